//! What hooks are about: instances and groups, and what happens to them.
//!
//! One stop before: `daemon::service`, which turns events into these. One stop after: [`super::Notifier`].

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::input::RouterKey;
use crate::engine::output::{GroupTransition, Reason, StateName, Transition};
use crate::engine::params::{GroupParams, Hooks, RouterParams};
use crate::engine::time::Now;
use crate::wire::field::{Priority, Vrid};

/// Who has hooks. Instances come before groups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An instance; stays the same when a reload gives it another name.
    Instance(RouterKey),
    /// A group, by its name.
    Group(Arc<str>),
}

/// What programs and pipes are told about a subject whatever happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectParams {
    /// Which.
    pub subject: Subject,
    /// Its name.
    pub name: Arc<str>,
    /// What is called.
    pub hooks: Hooks,
    /// Its interface; of a group those of its members, without repetition, with blanks between.
    pub interface: String,
    /// Its identifier on the wire; none of a group.
    pub vrid: Option<Vrid>,
    /// Its addresses with prefix length, with blanks between; of a group those of its members in their order. At most
    /// [`MAX_ADDRESSES`] bytes; `...` at the end says that there are more. Empty when nothing is called.
    pub addresses: String,
}

/// Most bytes of [`SubjectParams::addresses`]; the kernel takes no variable of more than 128 KiB.
pub const MAX_ADDRESSES: usize = 96 * 1024;

impl SubjectParams {
    /// Describes an instance.
    pub fn instance(key: RouterKey, params: &RouterParams) -> Self {
        let hooks = params.hooks.clone();
        let addresses = if hooks.calls.is_empty() { String::new() } else { addresses(&[params]) };
        Self {
            subject: Subject::Instance(key),
            name: params.name.as_str().into(),
            hooks,
            interface: params.interface.clone(),
            vrid: Some(params.vrid),
            addresses,
        }
    }

    /// Describes a group; `routers`: those of the node, its members among them.
    pub fn group<'a>(params: &GroupParams, routers: impl Iterator<Item = &'a RouterParams>) -> Self {
        let mut members: Vec<(usize, &RouterParams)> = routers
            .filter_map(|router| Some((params.members.iter().position(|member| *member == router.name)?, router)))
            .collect();
        members.sort_by_key(|(place, _)| *place);
        let members: Vec<&RouterParams> = members.into_iter().map(|(_, router)| router).collect();
        let mut interfaces: Vec<&str> = Vec::new();
        for member in &members {
            if !interfaces.contains(&member.interface.as_str()) {
                interfaces.push(&member.interface);
            }
        }
        let name: Arc<str> = params.name.as_str().into();
        Self {
            subject: Subject::Group(Arc::clone(&name)),
            name,
            hooks: params.hooks.clone(),
            interface: interfaces.join(" "),
            vrid: None,
            addresses: if params.hooks.calls.is_empty() { String::new() } else { addresses(&members) },
        }
    }

    /// Returns `INSTANCE` or `GROUP`.
    pub(super) const fn kind(&self) -> &'static str {
        match self.subject {
            Subject::Instance(_) => "INSTANCE",
            Subject::Group(_) => "GROUP",
        }
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// State entered. INIT is told to nobody, but ends what was going on for the state before.
    pub state: StateName,
    /// State left.
    pub previous: StateName,
    /// Effective priority; `None` for a group, which is told as 0.
    pub priority: Option<Priority>,
    /// Why.
    pub reason: Reason,
    /// The Master that is known, this node included.
    pub master: Option<IpAddr>,
    /// When.
    pub at: Now,
}

impl Occasion {
    /// Describes the transition of an instance. `own`: its source address.
    pub fn of_instance(transition: &Transition, own: Option<IpAddr>, at: Now) -> Self {
        let master = match transition.to {
            StateName::Master => own,
            StateName::Backup => transition.peer,
            StateName::Init | StateName::Fault => None,
        };
        Self {
            state: transition.to,
            previous: transition.from,
            priority: Some(transition.priority),
            reason: transition.reason.clone(),
            master,
            at,
        }
    }

    /// Describes the transition of a group.
    pub fn of_group(transition: &GroupTransition, at: Now) -> Self {
        Self {
            state: transition.to,
            previous: transition.from,
            priority: None,
            reason: transition.reason.clone(),
            master: None,
            at,
        }
    }
}

/// Why programs are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The state was entered from INIT.
    Start,
    /// The state was entered from another one.
    Transition,
    /// A rival was heard while MASTER.
    Rivalry,
    /// The time of [`Hooks::refresh`] is over.
    Refresh,
    /// The call failed before.
    Retry,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Transition => "transition",
            Self::Rivalry => "rivalry",
            Self::Refresh => "refresh",
            Self::Retry => "retry",
        })
    }
}

/// A state as programs and pipes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToldState {
    /// Holding the addresses.
    Master,
    /// Listening.
    Backup,
    /// Cannot take part.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload removed the subject.
    Deleted,
}

impl ToldState {
    /// Returns what is told of a state; nothing of INIT.
    pub(super) const fn of(state: StateName) -> Option<Self> {
        match state {
            StateName::Init => None,
            StateName::Backup => Some(Self::Backup),
            StateName::Master => Some(Self::Master),
            StateName::Fault => Some(Self::Fault),
        }
    }

    /// Says whether it is the last thing a subject is told.
    pub(super) const fn is_end(self) -> bool {
        match self {
            Self::Master | Self::Backup | Self::Fault => false,
            Self::Stop | Self::Deleted => true,
        }
    }
}

impl fmt::Display for ToldState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        })
    }
}

/// Lists the addresses of routers.
fn addresses(routers: &[&RouterParams]) -> String {
    let mut list = String::new();
    for vip in routers.iter().flat_map(|router| &router.vips) {
        let before = list.len();
        let blank = if list.is_empty() { "" } else { " " };
        // Writing to a `String` cannot fail.
        let _ = write!(list, "{blank}{}/{}", vip.address, vip.prefix_len);
        if list.len() > MAX_ADDRESSES - " ...".len() {
            list.truncate(before);
            list.push_str(" ...");
            break;
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::params::{Command, Hook, HookEvent, Scope, Transport, Vip, VipOptions};
    use crate::wire::field::Family;

    #[test]
    fn a_group_lists_what_its_members_have_in_their_order() {
        let routers =
            [router("b", "eth1", 2), router("other", "eth9", 9), router("a", "eth0", 1), router("c", "eth1", 1)];
        let members = ["c", "a", "b"].map(str::to_owned).into();
        let params = GroupParams { name: "front".to_owned(), members, hooks: hooks() };
        let group = SubjectParams::group(&params, routers.iter());
        assert_eq!(group.interface, "eth1 eth0");
        assert_eq!(group.addresses, "2001:db8::/64 2001:db8::/64 2001:db8::/64 2001:db8::1/64");
        assert_eq!((group.subject, group.vrid), (Subject::Group("front".into()), None));
    }

    #[test]
    fn what_calls_nothing_lists_no_addresses() {
        let router = RouterParams { hooks: Hooks::default(), ..router("a", "eth0", 3) };
        let params = SubjectParams::instance(RouterKey(7), &router);
        assert_eq!((params.addresses.as_str(), params.interface.as_str()), ("", "eth0"));
    }

    #[test]
    fn a_list_too_long_for_the_kernel_is_cut_between_addresses() {
        let params = SubjectParams::instance(RouterKey(7), &router("a", "eth0", 10_000));
        assert!(params.addresses.len() <= MAX_ADDRESSES && params.addresses.len() > MAX_ADDRESSES - 50);
        let mut words = params.addresses.split(' ').rev();
        assert_eq!(words.next(), Some("..."));
        assert!(words.all(|word| word.starts_with("2001:db8::") && word.ends_with("/64")));
    }

    fn hooks() -> Hooks {
        let command = Command { words: vec!["/bin/true".to_owned()], user: None };
        Hooks { calls: vec![Hook { event: HookEvent::Any, command }], ..Hooks::default() }
    }

    fn router(name: &str, interface: &str, count: u32) -> RouterParams {
        let first = u128::from_be_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let vip = |number: u32| Vip {
            address: IpAddr::V6((first + u128::from(number)).into()),
            prefix_len: 64,
            interface: None,
            advertise: true,
            label: None,
            broadcast: None,
            scope: Scope::Global,
            options: VipOptions::default(),
        };
        let transport = Transport::Multicast { group: "ff02::12".parse().unwrap() };
        RouterParams {
            vips: (0..count).map(vip).collect(),
            hooks: hooks(),
            ..RouterParams::plain(name, interface, Vrid::new(51).unwrap(), Family::V6, transport)
        }
    }
}
