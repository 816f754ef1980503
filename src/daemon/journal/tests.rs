//! Tests of the lines and of what limits them.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::control::samples::{NOW, params};
use crate::daemon::logging::tests::Written;
use crate::daemon::record::Key;
use crate::engine::input::RouterKey;
use crate::engine::output::{
    ClockOffset, Discard, Evidence, GroupTransition, Mismatch, Reason, Refusal, StateName, Transition,
};
use crate::wire::field::Priority;

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
        reason: Reason::MasterDown { silence: Duration::from_millis(3605), missed: 3 },
        priority: priority(101),
        peer: Some(PEER),
    })
}

fn discard(reason: Discard) -> EventKind {
    EventKind::Discarded { refusal: reason.into(), peer: Some(PEER), count: 3 }
}

#[test]
fn a_transition_is_one_line_with_its_cause() {
    let (log, written) = Written::log(Level::Trace);
    Journal::new(log.clone(), History::in_memory(), &[]).write(NOW, Some(&params("web")), &event(takeover()));
    assert_eq!(
        written.after(&log),
        ["INFO  VRRP_Instance(web) Entering MASTER STATE from=BACKUP reason=\"no advertisement for 3.605 s\" \
          priority=101 peer=10.0.0.21"]
    );
}

#[test]
fn fields_name_instance_vrid_and_both_states() {
    let fields = record(&Health::default(), Some(&params("web")), &takeover()).fields;
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
            "Invalid VRRPv3 checksum from 10.0.0.21: damaged or forged reason=checksum count=3 peer=10.0.0.21",
        ),
        (
            discard(Discard::NotAPeer),
            "unicast source address 10.0.0.21 not a unicast peer reason=not_a_peer count=3 peer=10.0.0.21",
        ),
        (
            discard(Discard::Destination),
            "Expected unicast packet but received multicast packet from 10.0.0.21: that node sends to a group \
             reason=destination count=3 peer=10.0.0.21",
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
            "Changing effective priority from 101 to 81 priority=81 reason=101",
        ),
        (
            EventKind::PreemptDelay { length: Duration::from_millis(5500), peer: PEER },
            "start preempt delay (5.500000) peer=10.0.0.21",
        ),
        (
            EventKind::ClockSkew {
                peer: PEER,
                skew: ClockOffset { length: Duration::from_millis(3_200), is_ahead: true },
                window: Duration::from_secs(5),
            },
            "authentication clock skew -3 sec from 10.0.0.21 approaching window 5 sec: check the clocks (ahead by 3.2 s), \
             beyond the window its adverts are refused peer=10.0.0.21",
        ),
        (EventKind::HandedOver { peer: Some(PEER) }, "addresses handed over peer=10.0.0.21"),
        (
            EventKind::Vacant { silence: Duration::from_secs(5) },
            "drained, and nobody is master reason=\"no advertisement for 5.000 s\"",
        ),
    ] {
        let line = record(&Health::default(), Some(&params("web")), &kind).text();
        assert_eq!(line, format!("VRRP_Instance(web) {expected}"));
    }
}

#[test]
fn a_packet_for_no_router_has_no_instance() {
    let refusal = Refusal { reason: Discard::UnknownVrid, evidence: Evidence::Number { found: 62 } };
    let line = record(&Health::default(), None, &EventKind::Discarded { refusal, peer: Some(PEER), count: 3 });
    assert_eq!(line.level, Level::Debug);
    let text = "Unknown VRID 62 received from 10.0.0.21. ignoring... reason=unknown_vrid count=3 peer=10.0.0.21";
    assert_eq!(line.text(), text);
}

#[test]
fn packets_cannot_flood_the_log_but_transitions_get_through() {
    let (log, written) = Written::log(Level::Info);
    let mut journal = Journal::new(log.clone(), History::in_memory(), &[]);
    let web = params("web");
    // Every class of packet from every forged peer, at once.
    for last in 0..=255 {
        for reason in Discard::ALL {
            let peer = Some([10, 0, 0, last].into());
            let kind = EventKind::Discarded { refusal: reason.into(), peer, count: 1 };
            journal.write(NOW, Some(&web), &event(kind));
        }
    }
    journal.write(NOW, Some(&web), &event(takeover()));
    let skew = ClockOffset { length: Duration::from_secs(3), is_ahead: false };
    let skew = EventKind::ClockSkew { peer: PEER, skew, window: Duration::from_secs(5) };
    journal.write(NOW, Some(&web), &event(skew));
    let lines = written.after(&log);
    assert_eq!(lines.len(), 8 + 1 + 2, "{lines:#?}");
    let left_out = "WARN  too many lines about refused packets: beyond 8 at once and one each 30 s they go to debug, 1 \
                    did; `vrrpd status` counts what is refused count=1";
    assert_eq!(lines[8], left_out);
    assert!(lines[9].contains("Entering MASTER STATE"), "{}", lines[9]);
    assert!(lines[10].contains("authentication clock skew"), "what is refused mutes no peer: {}", lines[10]);

    // Whatever comes next a minute later tells what was left out, even where it is not a packet.
    let later = Now { mono: NOW.mono + Duration::from_secs(60), ..NOW };
    journal.write(later, Some(&web), &event(takeover()));
    let level = |reason: &&Discard| record(&Health::default(), Some(&web), &discard(**reason)).level;
    let noise = Discard::ALL.iter().filter(|reason| level(reason) == Level::Debug).count();
    let count = 256 * (Discard::ALL.len() - noise) - 8 - 1;
    let lines = written.after(&log);
    assert_eq!(lines.len(), 13);
    assert!(
        lines[12].ends_with(&format!("{count} did; `vrrpd status` counts what is refused count={count}")),
        "{lines:?}"
    );
}

#[test]
fn an_hour_of_a_flood_is_three_lines_a_minute() {
    let (log, written) = Written::log(Level::Info);
    let mut journal = Journal::new(log.clone(), History::in_memory(), &[]);
    let web = params("web");
    for second in 0..3600 {
        let now = Now { mono: NOW.mono + Duration::from_secs(second), ..NOW };
        for reason in Discard::ALL {
            journal.write(now, Some(&web), &event(discard(reason)));
        }
    }
    let lines = written.after(&log).len();
    assert!((8 + 2 * 59 + 59..=8 + 2 * 60 + 60).contains(&lines), "{lines}");
}

#[test]
fn the_last_hundred_transitions_are_remembered() {
    let (log, _) = Written::log(Level::Error);
    let mut journal = Journal::new(log, History::in_memory(), &[]);
    for count in 0..105 {
        journal.write(NOW, Some(&params(&format!("vi{count}"))), &event(takeover()));
    }
    let transitions = journal.transitions();
    let names: Vec<&str> = transitions.iter().map(|past| past.instance.as_str()).collect();
    assert_eq!((names.len(), names[0], names[99]), (100, "vi5", "vi104"));
    assert_eq!(transitions[0].at, "2026-11-22T08:28:03.417Z");
}

#[test]
fn transitions_of_groups_are_remembered_and_are_none_of_an_instance() {
    let (log, _) = Written::log(Level::Info);
    let mut journal = Journal::new(log, History::in_memory(), &[]);
    let transition = GroupTransition {
        group: "frontend".into(),
        from: StateName::Backup,
        to: StateName::Fault,
        reason: Reason::GroupFault { member: "web".into() },
    };
    assert_eq!(journal.write(NOW, None, &Event { router: None, kind: EventKind::Group(transition) }), None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let entries = runtime.block_on(journal.history().last(10, None)).entries;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(
        (entry.kind, entry.group.as_deref(), entry.instance.as_deref()),
        (Happening::Group, Some("frontend"), None)
    );
    assert_eq!(entry.cause.as_deref(), Some("group_fault"));
    assert!(journal.transitions().is_empty());
}

#[test]
fn a_signal_names_its_sender() {
    let (log, written) = Written::log(Level::Info);
    let mut journal = Journal::new(log.clone(), History::in_memory(), &[]);
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
