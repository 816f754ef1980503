//! The fuzz targets in small: the same bodies over mutations of the same seeds, always the same ones.
//!
//! `VRRPD_FUZZ_ROUNDS=n` makes it n times as many. `VRRPD_FUZZ_SEEDS=directory` writes the seeds there, a directory for each
//! target, for `fuzz/run`. A failure prints the bytes in hexadecimal.
//!
//! | file | is |
//! |---|---|
//! | `seeds` | where each target begins: captures, malformed packets, configuration files |
//! | `mutate` | what is done to a seed |

#[path = "../simulator/facts.rs"]
mod facts;
#[path = "../keepalived/property.rs"]
mod keepalived;
mod mutate;
#[path = "../wire/pcap.rs"]
mod pcap;
#[path = "../wire/properties.rs"]
mod properties;
#[path = "../simulator/property.rs"]
mod property;
mod seeds;
#[path = "../simulator/shapes.rs"]
mod shapes;
#[path = "../../fuzz/bodies/toml.rs"]
mod toml;
#[path = "../simulator/watch.rs"]
#[allow(dead_code)] // the simulation asks it for more
mod watch;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[test]
fn adverts_and_packets() {
    let seeds = seeds::adverts();
    let (messages, packets) = (Cell::new(0), Cell::new(0));
    run(&seeds, 150_000, |bytes| {
        messages.set(messages.get() + properties::check_advert(bytes));
        packets.set(packets.get() + usize::from(properties::check_packet(bytes)));
    });
    println!("{} seeds, {} messages and {} packets read", seeds.len(), messages.get(), packets.get());
    assert!(messages.get() > 5000 && packets.get() > 10_000, "the mutations are too wild to show anything");
}

#[test]
fn engine() {
    let seeds = seeds::engine();
    let accepted = Cell::new(0);
    run(&seeds, 10_000, |bytes| {
        let routers = property::check(bytes);
        accepted.set(accepted.get() + routers.iter().map(|counters| counters.advertisements_received).sum::<u64>());
    });
    println!("{} seeds, {} adverts accepted", seeds.len(), accepted.get());
    assert!(accepted.get() > 2000, "only {} adverts were accepted", accepted.get());
}

/// What the long run found: a Backup that recovers in its own handover, after another resigned.
#[test]
fn handover_is_taken_back_after_another_node_resigned() {
    let shape: [&[u8]; 4] = [&[0x55; 7], &[5, 0x32, 0xdc, 0xd4, 0xd4, 0xd4, 0xd4], &[0; 9], &[0xd4; 4]];
    let rest = [0xd5, 0xd4, 0, 0, 0xd4, 0x64, 0, 0, 0xea, 0xea, 1, 0, 0, 8, 0xd4];
    let bytes = [shape.concat(), rest.to_vec()].concat();
    let routers = property::check(&bytes);
    assert_eq!(routers.iter().map(|counters| counters.became_master).collect::<Vec<_>>(), [2, 1]);
}

/// What the long run found: a member that waits for its mate when its priority falls.
#[test]
fn ready_member_does_not_wait_again_when_its_priority_falls() {
    let bytes = [
        0x0b, 0x40, 9, 0, 0x44, 1, 0x10, 0, 6, 0, 0x4a, 0x92, 0x24, 0x49, 0x24, 0, 0, 0x5a, 0x31, 0, 0x12, 0x2b, 0x2b,
        0x2b, 0x5a, 0, 0,
    ];
    let routers = property::check(&bytes);
    assert_eq!(routers.iter().map(|counters| counters.became_master).collect::<Vec<_>>(), [1, 1]);
}

/// What the long run found: a member whose priority fell while it waited for its mate counted its first interval as
/// Master from a deadline that lay ahead.
#[test]
fn rising_member_counts_its_interval_from_no_later_than_now() {
    let bytes = [
        0x0b, 0x9f, 0xea, 0x37, 0x64, 0x33, 0x90, 0x01, 0x02, 0x03, 0x2b, 0x2b, 0x2b, 0x2b, 0x2b, 0x2b, 0xf2, 0x52,
        0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x32, 0x33, 0x33, 0x33, 0x33, 0x33,
        0x33, 0x03, 0x52, 0x52, 0x52, 0x52, 0x50, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52,
        0x52, 0x52, 0x52, 0x52, 0xc0, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52,
        0x00, 0x01, 0x0c, 0x00, 0x84, 0x00,
    ];
    let routers = property::check(&bytes);
    assert_eq!(routers.iter().map(|counters| counters.became_master).collect::<Vec<_>>(), [1, 1]);
}

/// What the long run found: a group that gives its addresses away and wants them again in one turn.
#[test]
fn handover_ends_and_begins_in_one_turn() {
    let bytes = [
        0x0b, 0x9f, 0x12, 0x12, 0x46, 0x55, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x01, 0x00, 0x00, 0x00, 0x00,
        0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x52, 0x52, 0x52, 0x52, 0x54, 0xd2, 0x52, 0x55, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x52, 0x63, 0x52, 0x52, 0x27, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52, 0x52,
    ];
    let routers = property::check(&bytes);
    assert!(routers.iter().all(|counters| counters.became_master > 1));
}

/// What the long run found: a member that lets go and preempts in one turn, and says farewell first.
#[test]
fn farewell_is_no_first_advert() {
    let bytes = [
        0x0b, 0x6f, 0x2a, 0xff, 0x06, 0x0a, 0x0a, 0xff, 0xff, 0x63, 0x30, 0xff, 0x15, 0x15, 0x15, 0x15, 0xff, 0x01,
        0xff, 0xff, 0x63, 0x30, 0xff, 0x15, 0x15, 0x15, 0x15, 0x15, 0x15, 0x15, 0xff, 0xff, 0xff, 0x04, 0x2a, 0x00,
        0x2a, 0x2a,
    ];
    let routers = property::check(&bytes);
    assert_eq!(routers.iter().map(|counters| counters.became_master).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn keepalived_conf() {
    run(&seeds::keepalived(), 8000, keepalived::check_keepalived);
}

#[test]
fn toml() {
    run(&seeds::toml(), 8000, toml::check_toml);
}

#[test]
fn seeds_are_written_for_the_long_run() {
    let temporary = tempfile::tempdir().unwrap();
    let chosen = std::env::var_os("VRRPD_FUZZ_SEEDS");
    let directory = chosen.as_deref().map_or(temporary.path(), Path::new);
    for (target, seeds) in seeds::all() {
        let target = directory.join(target);
        std::fs::create_dir_all(&target).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(target.join(format!("seed-{number:03}")), seed).unwrap();
        }
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), seeds.len());
    }
}

/// Runs a body over the seeds, then over mutations of them.
fn run(seeds: &[Vec<u8>], count: u64, body: impl Fn(&[u8])) {
    let rounds = std::env::var("VRRPD_FUZZ_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number"));
    let ask = |bytes: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| body(bytes))).is_err() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{hex}");
        }
    };
    seeds.iter().for_each(|seed| ask(seed));
    let mut dice = mutate::Dice::new(seeds.len() as u64);
    for _ in 0..count * rounds {
        ask(&dice.mutate(seeds));
    }
}
