//! Engine events to the lines an operator reads, and the memory of the last transitions.
//!
//! Every line about an instance begins with `VRRP_Instance(NAME)`; the phrases are those that alerts written for
//! Keepalived look for. Lines that packets cause have a limit for the whole node, however many routers they aim at.
//! One stop before: `engine::output`. One stop after: `daemon::logging`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::logging::Log;
use super::record::{Key, Kind, Level, Record, Value};
use crate::control::status::TransitionStatus;
use crate::engine::output::{Discard, Event, EventKind, Mismatch, Reason, Transition, Verdict};
use crate::engine::params::RouterParams;
use crate::engine::time::{Instant, Now};
use crate::wire::checksum::ChecksumForm;
use crate::wire::field::Priority;

/// Writes down what happened.
pub struct Journal {
    log: Log,
    past: VecDeque<TransitionStatus>,
    budget: Budget,
}

impl Journal {
    /// Makes a journal without a past.
    pub fn new(log: Log) -> Self {
        Self { log, past: VecDeque::new(), budget: Budget::default() }
    }

    /// Writes the line of an event. `params`: the configuration of the event's router, if it has one.
    pub fn write(&mut self, now: Now, params: Option<&RouterParams>, event: &Event) {
        let mut record = record(params, &event.kind);
        if let (EventKind::Transition(transition), Some(params)) = (&event.kind, params) {
            self.remember(TransitionStatus::new(now.utc, &params.name, transition));
        }
        if is_caused_by_packet(&event.kind) && record.level < Level::Debug {
            match self.budget.spend(now.mono) {
                Spent::Allowed => {}
                Spent::First => {
                    record.level = Level::Debug;
                    self.log.write(now.utc, suppressed());
                }
                Spent::Exceeded => record.level = Level::Debug,
            }
        }
        self.log.write(now.utc, record);
    }

    /// Writes the line of a signal: `Received SIGTERM from pid 123 (uid 0, systemd): handing over and stopping`.
    pub fn write_signal(&self, now: Now, signal: Signal, action: &str) {
        let sender = match signal.sender {
            Some((pid, uid)) => match name_of_process(pid) {
                Some(name) => format!("pid {pid} (uid {uid}, {name})"),
                None => format!("pid {pid} (uid {uid})"),
            },
            None => "the kernel".to_owned(),
        };
        let message = format!("Received {} from {sender}: {action}", signal.name);
        self.log.write(now.utc, Record { kind: Some(Kind::Signal), ..Record::new(Level::Info, message) });
    }

    /// Returns the last transitions, oldest first, at most 100.
    pub fn transitions(&self) -> impl Iterator<Item = &TransitionStatus> {
        self.past.iter()
    }

    fn remember(&mut self, transition: TransitionStatus) {
        if self.past.len() == MAX_PAST {
            self.past.pop_front();
        }
        self.past.push_back(transition);
    }
}

/// A signal and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// `SIGTERM`, `SIGHUP` ...
    pub name: &'static str,
    /// Process and user id; none when the kernel did, as for a key on the terminal.
    pub sender: Option<(i32, u32)>,
}

/// How many lines packets may cause.
#[derive(Debug, Default)]
struct Budget {
    since: Option<Instant>,
    spent: u32,
}

/// What came of one more line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spent {
    /// It is within the limit.
    Allowed,
    /// It is the first beyond.
    First,
    /// It is another beyond.
    Exceeded,
}

impl Budget {
    fn spend(&mut self, now: Instant) -> Spent {
        if self.since.is_none_or(|since| now.since(since) >= BUDGET_PERIOD) {
            *self = Self { since: Some(now), spent: 0 };
        }
        self.spent = self.spent.saturating_add(1);
        match self.spent {
            ..=BUDGET => Spent::Allowed,
            FIRST_BEYOND => Spent::First,
            _ => Spent::Exceeded,
        }
    }
}

/// Transitions kept in memory.
const MAX_PAST: usize = 100;
/// Lines that packets may cause in one period, of all routers together.
const BUDGET: u32 = 60;
const FIRST_BEYOND: u32 = BUDGET + 1;
const BUDGET_PERIOD: Duration = Duration::from_secs(60);

/// Says whether somebody on the network can cause the event at will.
const fn is_caused_by_packet(kind: &EventKind) -> bool {
    match kind {
        EventKind::Discarded { .. }
        | EventKind::Mismatch { .. }
        | EventKind::Rival { .. }
        | EventKind::Checksum { .. }
        | EventKind::PreemptDelay { .. } => true,
        EventKind::Transition(_)
        | EventKind::Paused { .. }
        | EventKind::Priority { .. }
        | EventKind::HandedOver { .. }
        | EventKind::Check { .. }
        | EventKind::Group(_) => false,
    }
}

/// Returns the line of an event.
fn record(params: Option<&RouterParams>, kind: &EventKind) -> Record {
    let mut line = match kind {
        EventKind::Transition(transition) => of_transition(params, transition),
        EventKind::Discarded { reason, peer, count } => of_discard(params, *reason, *peer, *count),
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
        EventKind::Priority { from, to } => {
            let message = format!("Changing effective priority from {from} to {to}");
            line(Level::Info, Kind::Priority, message, vec![(Key::Priority, number(to.get()))])
        }
        EventKind::HandedOver { peer: Some(peer) } => {
            line(Level::Info, Kind::HandedOver, "addresses handed over".to_owned(), vec![(Key::Peer, text(peer))])
        }
        EventKind::Check { check, from: _, to, words } => {
            let level = if matches!(to, Verdict::Failing) { Level::Warn } else { Level::Info };
            let reason = (Key::Reason, text(words));
            line(level, Kind::Check, format!("Check({check}) is {to}"), vec![reason])
        }
        EventKind::Group(transition) => {
            let message = format!("VRRP_Group({}) Syncing instances to {} state", transition.group, transition.to);
            line(Level::Info, Kind::Group, message, vec![(Key::Reason, text(&transition.reason))])
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

fn suppressed() -> Record {
    let message = format!("more than {BUDGET} lines about packets in a minute: the rest of it goes to debug");
    line(Level::Warn, Kind::Suppressed, message, Vec::new())
}

fn line(level: Level, kind: Kind, message: String, fields: Vec<(Key, Value)>) -> Record {
    Record { level, kind: Some(kind), message, fields }
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn number(value: u8) -> Value {
    Value::Number(value.into())
}

fn with(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| format!(" with {peer}"))
}

fn bare(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| format!(" {peer}"))
}

/// Returns the name of a living process.
fn name_of_process(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::{NOW, params};
    use crate::daemon::logging::tests::Written;
    use crate::engine::input::RouterKey;
    use crate::engine::output::{Reason, StateName};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 21));

    fn priority(number: u8) -> Priority {
        Priority::new(number).unwrap()
    }

    fn event(kind: EventKind) -> Event {
        Event { router: Some(RouterKey(0)), kind }
    }

    fn takeover() -> EventKind {
        EventKind::Transition(Transition {
            from: StateName::Backup,
            to: StateName::Master,
            reason: Reason::MasterDown { silence: Duration::from_millis(3605) },
            priority: priority(101),
            peer: Some(PEER),
        })
    }

    fn discard(reason: Discard) -> EventKind {
        EventKind::Discarded { reason, peer: Some(PEER), count: 3 }
    }

    #[test]
    fn a_transition_is_one_line_with_its_cause() {
        let (log, written) = Written::log(Level::Trace);
        Journal::new(log.clone()).write(NOW, Some(&params("web")), &event(takeover()));
        assert_eq!(
            written.after(&log),
            ["INFO  VRRP_Instance(web) Entering MASTER STATE from=BACKUP reason=\"no advertisement for 3.605 s\" \
              priority=101 peer=10.0.0.21"]
        );
    }

    #[test]
    fn fields_name_instance_vrid_and_both_states() {
        let fields = record(Some(&params("web")), &takeover()).fields;
        let find = |wanted| fields.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.to_string());
        assert_eq!(find(Key::Instance).as_deref(), Some("web"));
        assert_eq!(find(Key::Vrid).as_deref(), Some("101"));
        assert_eq!(find(Key::To).as_deref(), Some("MASTER"));
        assert_eq!(find(Key::From).as_deref(), Some("BACKUP"));
    }

    #[test]
    fn lines_keep_the_phrases_that_alerts_look_for() {
        for (kind, expected) in [
            (
                discard(Discard::Checksum),
                "Invalid VRRPv3 checksum from 10.0.0.21 reason=checksum count=3 peer=10.0.0.21",
            ),
            (
                discard(Discard::NotAPeer),
                "unicast source address 10.0.0.21 not a unicast peer reason=not_a_peer count=3 peer=10.0.0.21",
            ),
            (
                discard(Discard::Destination),
                "Expected unicast packet but received multicast packet from 10.0.0.21 reason=destination count=3 \
                 peer=10.0.0.21",
            ),
            (
                EventKind::Mismatch { peer: PEER, what: Mismatch::AddressCount { theirs: 1, ours: 2 } },
                "expected 2 VIPs but received 1 peer=10.0.0.21",
            ),
            (
                EventKind::Mismatch { peer: PEER, what: Mismatch::AddressList { missing: [10, 0, 0, 31].into() } },
                "ip address associated with VRID 101 not present in advert from 10.0.0.21: 10.0.0.31 peer=10.0.0.21",
            ),
            (
                EventKind::Mismatch {
                    peer: PEER,
                    what: Mismatch::Interval { theirs: Duration::from_millis(2500), ours: Duration::from_secs(1) },
                },
                "advertisement interval mismatch ours = 100 centi-sec rcv'd=250 centi-sec peer=10.0.0.21",
            ),
            (
                EventKind::Rival { peer: PEER, priority: priority(90), ours: priority(101) },
                "Received advert from 10.0.0.21 with lower priority 90, ours 101, forcing new election priority=101 \
                 peer=10.0.0.21",
            ),
            (
                EventKind::Priority { from: priority(101), to: priority(81) },
                "Changing effective priority from 101 to 81 priority=81",
            ),
            (
                EventKind::PreemptDelay { length: Duration::from_millis(5500), peer: PEER },
                "start preempt delay (5.500000) peer=10.0.0.21",
            ),
            (EventKind::HandedOver { peer: Some(PEER) }, "addresses handed over peer=10.0.0.21"),
        ] {
            let line = record(Some(&params("web")), &kind).text();
            assert_eq!(line, format!("VRRP_Instance(web) {expected}"));
        }
    }

    #[test]
    fn a_packet_for_no_router_has_no_instance() {
        let line = record(None, &discard(Discard::UnknownVrid));
        assert_eq!(line.level, Level::Debug);
        let text = "Unknown VRID received from 10.0.0.21. ignoring... reason=unknown_vrid count=3 peer=10.0.0.21";
        assert_eq!(line.text(), text);
    }

    #[test]
    fn packets_cannot_flood_the_log_but_transitions_get_through() {
        let (log, written) = Written::log(Level::Info);
        let mut journal = Journal::new(log.clone());
        for _ in 0..500 {
            journal.write(NOW, Some(&params("web")), &event(discard(Discard::Ttl)));
        }
        journal.write(NOW, Some(&params("web")), &event(takeover()));
        let lines = written.after(&log);
        assert_eq!(lines.len(), 60 + 1 + 1, "{lines:#?}");
        assert!(lines[60].contains("more than 60 lines about packets in a minute"), "{}", lines[60]);
        assert!(lines[61].contains("Entering MASTER STATE"), "{}", lines[61]);

        let later = Now { mono: NOW.mono + Duration::from_secs(60), ..NOW };
        journal.write(later, Some(&params("web")), &event(discard(Discard::Ttl)));
        assert_eq!(written.after(&log).len(), 63);
    }

    #[test]
    fn the_last_hundred_transitions_are_remembered() {
        let (log, _) = Written::log(Level::Error);
        let mut journal = Journal::new(log);
        for count in 0..105 {
            journal.write(NOW, Some(&params(&format!("vi{count}"))), &event(takeover()));
        }
        let names: Vec<&str> = journal.transitions().map(|past| past.instance.as_str()).collect();
        assert_eq!((names.len(), names[0], names[99]), (100, "vi5", "vi104"));
        assert_eq!(journal.transitions().next().unwrap().at, "2026-11-22T08:28:03.417Z");
    }

    #[test]
    fn a_signal_names_its_sender() {
        let (log, written) = Written::log(Level::Info);
        let journal = Journal::new(log.clone());
        let me = i32::try_from(std::process::id()).unwrap();
        let name = name_of_process(me).unwrap();
        journal.write_signal(NOW, Signal { name: "SIGTERM", sender: Some((me, 0)) }, "handing over and stopping");
        journal.write_signal(NOW, Signal { name: "SIGINT", sender: None }, "handing over and stopping");
        journal.write_signal(NOW, Signal { name: "SIGHUP", sender: Some((-1, 5)) }, "reloading");
        assert_eq!(
            written.after(&log),
            [
                format!("INFO  Received SIGTERM from pid {me} (uid 0, {name}): handing over and stopping"),
                "INFO  Received SIGINT from the kernel: handing over and stopping".to_owned(),
                "INFO  Received SIGHUP from pid -1 (uid 5): reloading".to_owned(),
            ]
        );
    }
}
