//! The line of each event: its phrase, its level, its fields.

use std::net::IpAddr;

use super::budget::{Cause, REFILL};
use super::clock::{of_skew, of_trouble};
use super::health::{Health, of_group};
use super::refusals::of_discard;
use crate::daemon::record::{Key, Kind, Level, Record, Value};
use crate::engine::output::{EventKind, Mismatch, Reason, Transition};
use crate::engine::params::RouterParams;
use crate::wire::checksum::ChecksumForm;
use crate::wire::field::Priority;

/// Returns the line of an event. `health`: what the lines about checks need to know.
pub(super) fn record(health: &Health, params: Option<&RouterParams>, kind: &EventKind) -> Record {
    let mut line = match kind {
        EventKind::Transition(transition) => of_transition(params, transition),
        EventKind::Discarded { refusal, peer, count } => of_discard(params, *refusal, *peer, *count),
        EventKind::ClockSkew { peer, skew, window } => of_skew(*peer, *skew, *window),
        EventKind::Clock(trouble) => of_trouble(*trouble),
        EventKind::Mismatch { peer, what } => of_mismatch(params, *peer, *what),
        EventKind::Rival { peer, priority, ours } => of_rival(*peer, *priority, *ours),
        EventKind::Checksum { peer, form } => of_checksum(*peer, *form),
        EventKind::PreemptDelay { length, peer } => {
            let message = format!("start preempt delay ({:.6})", length.as_secs_f64());
            line(Level::Info, Kind::PreemptDelay, message, vec![(Key::Peer, text(peer))])
        }
        EventKind::Paused { length } => {
            let message = format!("timer expired {:.6} seconds ago", length.as_secs_f64());
            line(
                Level::Warn,
                Kind::Paused,
                message,
                vec![(Key::Reason, text("did not run; no other master was heard"))],
            )
        }
        EventKind::Priority { from, to } => health.of_priority(params, *from, *to),
        EventKind::HandedOver { peer: Some(peer) } => {
            line(Level::Info, Kind::HandedOver, "addresses handed over".to_owned(), vec![(Key::Peer, text(peer))])
        }
        EventKind::Check { check, from: _, to, words } => health.of_check(check, *to, words),
        EventKind::Group(transition) => of_group(transition),
        EventKind::Vacant { silence } => {
            let reason = format!("no advertisement for {:.3} s", silence.as_secs_f64());
            let fields = vec![(Key::Reason, text(reason))];
            line(Level::Warn, Kind::Vacant, "drained, and nobody is master".to_owned(), fields)
        }
        EventKind::HandedOver { peer: None } => {
            let reason = (Key::Reason, text("no other master was heard"));
            line(Level::Warn, Kind::HandedOver, "addresses withdrawn, nobody took over".to_owned(), vec![reason])
        }
    };
    if let Some(params) = params {
        line.message = format!("VRRP_Instance({}) {}", params.name, line.message);
        line.fields.insert(0, (Key::Instance, text(&params.name)));
        line.fields.insert(1, (Key::Vrid, number(params.vrid.get())));
    }
    line
}

fn of_transition(params: Option<&RouterParams>, transition: &Transition) -> Record {
    let message = format!("Entering {} STATE", transition.to);
    let mut fields = vec![
        (Key::From, text(transition.from)),
        (Key::To, text(transition.to)),
        (Key::Reason, text(&transition.reason)),
        (Key::Priority, number(transition.priority.get())),
    ];
    if let Some(peer) = transition.peer {
        fields.push((Key::Peer, text(peer)));
    }
    if let Reason::MasterDown { silence, missed } = transition.reason {
        let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        fields.extend([(Key::Missed, Value::Number(missed.into())), (Key::Silence, Value::Number(silence))]);
    }
    let is_of_interface = matches!(transition.reason, Reason::InterfaceMissing | Reason::LinkDown | Reason::NoAddress);
    if let Some(params) = params.filter(|_| is_of_interface) {
        fields.push((Key::Interface, text(&params.interface)));
    }
    line(Level::Info, Kind::Transition, message, fields)
}

fn of_mismatch(params: Option<&RouterParams>, peer: IpAddr, what: Mismatch) -> Record {
    let message = match what {
        Mismatch::AddressCount { theirs, ours } => format!("expected {ours} VIPs but received {theirs}"),
        Mismatch::AddressList { missing } => {
            let vrid = params.map_or_else(String::new, |params| format!(" {}", params.vrid));
            format!("ip address associated with VRID{vrid} not present in advert from {peer}: {missing}")
        }
        Mismatch::Interval { theirs, ours } => format!(
            "advertisement interval mismatch ours = {} centi-sec rcv'd={} centi-sec",
            ours.as_millis() / 10,
            theirs.as_millis() / 10
        ),
        Mismatch::FirstNotLinkLocal => format!("first address in advert from {peer} is not link-local"),
        Mismatch::TwoOwners => format!(
            "CONFIGURATION ERROR: local instance and {peer} are both configured as address owner, please resolve"
        ),
        Mismatch::SamePriority => format!("{peer} has our priority: the higher address decides"),
    };
    line(Level::Warn, Kind::Mismatch, message, vec![(Key::Peer, text(peer))])
}

fn of_rival(peer: IpAddr, priority: Priority, ours: Priority) -> Record {
    let message = if priority == ours {
        format!("Received advert from {peer} with same priority {priority} but lower IP address than ours")
    } else {
        format!("Received advert from {peer} with lower priority {priority}, ours {ours}, forcing new election")
    };
    let fields = vec![(Key::Priority, number(ours.get())), (Key::Peer, text(peer))];
    line(Level::Warn, Kind::Rival, message, fields)
}

fn of_checksum(peer: IpAddr, form: ChecksumForm) -> Record {
    let (level, form) = match form {
        ChecksumForm::Pseudo => (Level::Debug, "with pseudo-header"),
        ChecksumForm::Rfc9568 => (Level::Info, "of RFC 9568, without pseudo-header"),
        ChecksumForm::OldUnicast => (Level::Info, "of Keepalived before 1.3.7"),
    };
    line(level, Kind::Checksum, format!("{peer} uses the checksum {form}"), vec![(Key::Peer, text(peer))])
}

/// Returns the line that tells of lines left out.
pub(super) fn suppressed(cause: Cause, count: u64) -> Record {
    let message = format!(
        "too many lines about {}: beyond {} at once and one each {} s they go to debug, {count} did; `vrrpd status` counts \
         what is refused",
        cause.subject(),
        cause.burst(),
        REFILL.as_secs()
    );
    line(Level::Warn, Kind::Suppressed, message, vec![(Key::Count, Value::Number(count))])
}

pub(super) fn line(level: Level, kind: Kind, message: String, fields: Vec<(Key, Value)>) -> Record {
    Record { level, kind: Some(kind), message, fields }
}

pub(super) fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

pub(super) fn number(value: u8) -> Value {
    Value::Number(value.into())
}
