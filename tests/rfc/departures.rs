//! What we do on purpose where it is not what an RFC says; each is in the ledger with its reason.

use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::RouterParams;

use crate::bench::*;

#[test]
fn advert_of_a_returning_master_does_not_unseat_a_master_of_the_lowest_priority() {
    let params = RouterParams { priority: prio(1), ..v3() };
    let rival = Packet::like(&params, 1).from("192.0.2.9");
    let mut bench = Bench::master(params);
    bench.wait(ms(10_000));
    let seen = bench.accepts(&rival);
    assert_eq!(
        transitions(&seen),
        [(StateName::Master, StateName::Backup, Reason::Paused { length: ms(9_000) })],
        "the rival was there first"
    );
    assert!(adverts(&seen).is_empty(), "an advert of priority 1 from a higher address would make the rival step down");
}

#[test]
fn status_of_a_master_shows_the_priority_and_address_it_sends() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    let master = bench.snapshot().master.unwrap();
    assert_eq!((master.address, master.priority), (ip("192.0.2.11"), prio(80)));
    bench.interface(vrrpd::engine::input::Interface { addresses: vec![ip("192.0.2.13")], ..interface() });
    assert_eq!(bench.snapshot().master.unwrap().address, ip("192.0.2.13"));
}
