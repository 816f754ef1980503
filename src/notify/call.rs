//! What a program is told: its arguments, as Keepalived's, and its variables.

use std::net::IpAddr;

use super::subject::{Cause, SubjectParams, ToldState};
use crate::engine::output::StateName;
use crate::engine::params::{Hook, HookEvent};

/// One occasion as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub state: ToldState,
    pub previous: StateName,
    pub reason: String,
    pub master: Option<IpAddr>,
    /// Grows by one for each occasion of the subject, from 1.
    pub sequence: u64,
}

/// Returns the hooks that are called for a state, those for it alone first.
pub(super) fn hooks_for(calls: &[Hook], state: ToldState) -> Vec<Hook> {
    let event = match state {
        ToldState::Master => HookEvent::Master,
        ToldState::Backup => HookEvent::Backup,
        ToldState::Fault => HookEvent::Fault,
        ToldState::Stop => HookEvent::Stop,
        ToldState::Deleted => HookEvent::Deleted,
    };
    let with = |event| calls.iter().filter(move |hook| hook.event == event);
    with(event).chain(with(HookEvent::Any)).cloned().collect()
}

/// Returns what is appended to the configured words.
pub(super) fn arguments(event: HookEvent, params: &SubjectParams, state: ToldState, priority: u8) -> Vec<String> {
    match event {
        HookEvent::Any => {
            vec![params.kind().to_owned(), params.name.to_string(), state.to_string(), priority.to_string()]
        }
        HookEvent::Master
        | HookEvent::Backup
        | HookEvent::Fault
        | HookEvent::Stop
        | HookEvent::Deleted
        | HookEvent::MasterHearsLower => Vec::new(),
    }
}

/// What changes from call to call of one occasion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub cause: Cause,
    /// From 1.
    pub number: u32,
    /// Effective priority; 0 of a group.
    pub priority: u8,
}

/// Returns the variables of a call. All are always there; one that does not apply is empty.
pub(super) fn environment(node: &str, params: &SubjectParams, told: &Told, attempt: Attempt) -> Vec<(String, String)> {
    let mut variables = vec![("VRRPD_NODE".to_owned(), node.to_owned())];
    variables.extend(
        [
            ("VRRPD_TYPE", params.kind().to_owned()),
            ("VRRPD_NAME", params.name.to_string()),
            ("VRRPD_STATE", told.state.to_string()),
            ("VRRPD_PREVIOUS_STATE", told.previous.to_string()),
            ("VRRPD_PRIORITY", attempt.priority.to_string()),
            ("VRRPD_REASON", told.reason.clone()),
            ("VRRPD_INTERFACE", params.interface.clone()),
            ("VRRPD_ADDRESSES", params.addresses.clone()),
            ("VRRPD_VIRTUAL_ROUTER_ID", params.vrid.map_or_else(String::new, |vrid| vrid.to_string())),
            ("VRRPD_MASTER", told.master.map_or_else(String::new, |master| master.to_string())),
            ("VRRPD_SEQUENCE", told.sequence.to_string()),
            ("VRRPD_ATTEMPT", attempt.number.to_string()),
            ("VRRPD_CAUSE", attempt.cause.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    variables
}
