//! The line of each event: its phrase, its level, its fields.

use std::net::IpAddr;

use super::BUDGET;
use super::health::{Health, of_group};
use crate::daemon::record::{Key, Kind, Level, Record, Value};
use crate::engine::output::{Discard, EventKind, Mismatch, Reason, Transition};
use crate::engine::params::RouterParams;
use crate::wire::checksum::ChecksumForm;
use crate::wire::field::Priority;

/// Says whether somebody on the network can cause the event at will.
pub(super) const fn is_caused_by_packet(kind: &EventKind) -> bool {
    match kind {
        EventKind::Discarded { .. }
        | EventKind::ClockSkew { .. }
        | EventKind::Mismatch { .. }
        | EventKind::Rival { .. }
        | EventKind::Checksum { .. }
        | EventKind::PreemptDelay { .. } => true,
        EventKind::Transition(_)
        | EventKind::Paused { .. }
        | EventKind::Priority { .. }
        | EventKind::HandedOver { .. }
        | EventKind::Check { .. }
        | EventKind::Clock(_)
        | EventKind::Group(_) => false,
    }
}

/// Returns the line of an event. `health`: what the lines about checks need to know.
pub(super) fn record(health: &Health, params: Option<&RouterParams>, kind: &EventKind) -> Record {
    let mut line = match kind {
        EventKind::Transition(transition) => of_transition(params, transition),
        EventKind::Discarded { refusal, peer, count } => of_discard(params, refusal.reason, *peer, *count),
        EventKind::ClockSkew { peer, skew, window } => {
            let direction = if skew.is_ahead { "ahead" } else { "behind" };
            let (length, window) = (skew.length.as_secs_f64(), window.as_secs());
            let message =
                format!("clock of {peer} is {length:.1} s {direction}, its adverts are refused from {window} s on");
            line(Level::Warn, Kind::Clock, message, vec![(Key::Peer, text(peer))])
        }
        EventKind::Clock(trouble) => line(Level::Warn, Kind::Clock, format!("{trouble:?}"), Vec::new()),
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
    let is_of_interface = matches!(transition.reason, Reason::InterfaceMissing | Reason::LinkDown | Reason::NoAddress);
    if let Some(params) = params.filter(|_| is_of_interface) {
        fields.push((Key::Interface, text(&params.interface)));
    }
    line(Level::Info, Kind::Transition, message, fields)
}

fn of_discard(params: Option<&RouterParams>, reason: Discard, peer: Option<IpAddr>, count: u64) -> Record {
    let from = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
    let version = params.map_or_else(String::new, |params| format!("v{}", params.version.number()));
    let (level, message) = match reason {
        Discard::Incomplete => (Level::Debug, format!("vrrp packet{from} too short")),
        Discard::BadIpHeader => (Level::Debug, format!("invalid IP header{from}")),
        Discard::Length => (Level::Warn, format!("vrrp packet{from} too long")),
        Discard::Fragment => (Level::Debug, format!("vrrp packet{from} is a fragment")),
        Discard::Protocol => (Level::Debug, format!("packet{from} of another protocol")),
        Discard::NotVrrp => (Level::Debug, format!("AH packet{from} holds no vrrp packet")),
        Discard::Ttl => (Level::Warn, format!("invalid TTL/HL{from}")),
        Discard::Version => (Level::Warn, format!("wrong VRRP version{from}")),
        Discard::Type => (Level::Debug, format!("invalid VRRP type{from}")),
        Discard::Vrid => (Level::Debug, format!("invalid VRID 0{from}")),
        Discard::UnknownVrid => (Level::Debug, format!("Unknown VRID received{from}. ignoring...")),
        Discard::Checksum => (Level::Warn, format!("Invalid VRRP{version} checksum{from}")),
        Discard::CountZero => (Level::Warn, format!("vrrp packet{from} lists no VIPs")),
        Discard::Interval => {
            (Level::Warn, format!("advertisement interval mismatch{}: both nodes may become MASTER", with(peer)))
        }
        Discard::AuthType => (Level::Warn, format!("Invalid auth type{from}")),
        Discard::Auth => (Level::Warn, format!("received an invalid passwd{from}!")),
        Discard::AuthMissing => (Level::Warn, format!("missing authentication trailer{from}")),
        Discard::AuthMalformed => (Level::Warn, format!("malformed authentication trailer{from}")),
        Discard::UnknownKey => (Level::Warn, format!("unknown authentication key{from}")),
        Discard::Hmac => (Level::Warn, format!("invalid authentication HMAC{from}")),
        Discard::Stale => (Level::Warn, format!("stale authentication trailer{from}")),
        Discard::Replay => (Level::Warn, format!("received a replayed packet{from}")),
        Discard::Destination => (Level::Warn, format!("Expected {}{from}", expected_destination(params))),
        Discard::SourceNotLinkLocal => (Level::Warn, format!("source address is not link-local{from}")),
        Discard::NotAPeer => (Level::Warn, format!("unicast source address{} not a unicast peer", bare(peer))),
        Discard::OwnAddress => (
            Level::Warn,
            "WARNING - advert received from remote host with our IP address: duplicate source address".to_owned(),
        ),
        Discard::AddressList => (Level::Warn, format!("ip addresses not those of the advert{from}")),
        Discard::Owner => (Level::Warn, format!("Dropping packet(s){from} since we are address owner")),
    };
    let mut fields = vec![(Key::Reason, text(reason.name())), (Key::Count, Value::Number(count))];
    if let Some(peer) = peer {
        fields.push((Key::Peer, text(peer)));
    }
    line(level, Kind::Discarded, message, fields)
}

fn expected_destination(params: Option<&RouterParams>) -> &'static str {
    match params {
        Some(params) if params.peers().is_empty() => "multicast packet but received unicast packet",
        Some(_) => "unicast packet but received multicast packet",
        None => "another destination",
    }
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

pub(super) fn suppressed() -> Record {
    let message = format!("more than {BUDGET} lines about packets in a minute: the rest of it goes to debug");
    line(Level::Warn, Kind::Suppressed, message, Vec::new())
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

fn with(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| format!(" with {peer}"))
}

fn bare(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| format!(" {peer}"))
}
