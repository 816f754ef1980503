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
    assert!(accepted.get() > 5000, "only {} adverts were accepted", accepted.get());
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
