//! No advert costs more instructions than it did, as valgrind counts them, in the profile that tests are built with.
//!
//! This program runs itself under valgrind: once with the work and once without, so that only the difference counts.

use crate::count;
use crate::work::{Kind, Pair};

/// What one advert may cost.
struct Bound {
    kind: Kind,
    sent: u64,
    heard: u64,
}

/// A quarter more than was counted, rounded up: a compiler of another version is no failure.
const BOUNDS: &[Bound] = &[
    Bound { kind: Kind::Unicast, sent: 5500, heard: 10_400 },
    Bound { kind: Kind::Multicast, sent: 5500, heard: 10_300 },
    Bound { kind: Kind::V6, sent: 4200, heard: 16_900 },
    Bound { kind: Kind::Hmac, sent: 75_300, heard: 65_400 },
];

#[test]
fn advert_sent_or_heard_costs_no_more_instructions_than_stated() {
    let mut findings = Vec::new();
    for bound in BOUNDS {
        let (nothing, sent) = (count(bound.kind, 0, 0), count(bound.kind, ROUNDS, 0));
        let both = count(bound.kind, ROUNDS, ROUNDS);
        let each = |more: u64, less: u64| more.saturating_sub(less) / u64::from(ROUNDS) / ROUTERS as u64;
        let (send, hear) = (each(sent, nothing), each(both, sent));
        let name = bound.kind.name();
        eprintln!(
            "instructions for each advert, {name}: {send} sent (at most {}), {hear} heard (at most {})",
            bound.sent, bound.heard
        );
        assert!(send > 10 && hear > 10, "{name}: nothing was done");
        if send > bound.sent || hear > bound.heard {
            findings.push(format!("{name}: {send} of {} sent, {hear} of {} heard", bound.sent, bound.heard));
        }
    }
    assert!(findings.is_empty(), "an advert costs more instructions than it may:\n{}", findings.join("\n"));
}

/// What is counted; by itself it shows that the work is done.
#[test]
fn work_that_is_counted() {
    let said = std::env::var(WORK).unwrap_or_else(|_| "unicast 1 1".to_owned());
    let words: Vec<&str> = said.split(' ').collect();
    let [kind, sent, heard] = words.as_slice() else { panic!("{WORK}={said}") };
    let kind = Kind::ALL.into_iter().find(|known| known.name() == *kind).expect("a kind of that name");
    let (sent, heard): (u32, u32) = (sent.parse().expect("a number"), heard.parse().expect("a number"));
    let mut pair = Pair::new(kind, ROUTERS);
    let before = pair.accepted();
    for round in 0..sent {
        assert_eq!(pair.send(), ROUTERS);
        if round < heard {
            assert_eq!(pair.receive(), ROUTERS);
        }
    }
    assert_eq!(pair.accepted() - before, u64::from(heard) * ROUTERS as u64);
}

fn count(kind: Kind, sent: u32, heard: u32) -> u64 {
    let mut program = count::under_valgrind(&std::env::current_exe().expect("this program"));
    program.args(["--exact", "instructions::work_that_is_counted", "--test-threads=1"]);
    program.env(WORK, format!("{} {sent} {heard}", kind.name()));
    count::instructions(program)
}

const ROUTERS: usize = 255;
const ROUNDS: u32 = 8;

/// Says what to do: kind, turns of the Master, and how many of them the Backup hears.
const WORK: &str = "VRRPD_GUARD_WORK";
