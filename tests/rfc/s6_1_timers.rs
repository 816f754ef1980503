//! RFC 9568 sections 6.1 and 6.2: parameters, formulas, and which timer runs when.

use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::{Preempt, RouterParams};

use crate::bench::*;

#[test]
fn rfc9568_6_1_owner_preempts_even_with_preempt_off() {
    let params = RouterParams { priority: prio(255), preempt: Preempt::Never, ..v3() };
    let worse = Packet::like(&params, 100);
    // A long pause makes even an owner a newcomer; the worse Master it finds must not keep the addresses.
    let mut bench = Bench::master(params);
    bench.wait(ms(10_000));
    bench.accepts(&worse);
    assert_eq!(bench.state(), StateName::Backup);
    for _ in 0..3 {
        bench.wait(ms(1000));
        bench.accepts(&worse);
    }
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(bench.state(), StateName::Master, "{seen:?}");
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Master, Reason::Preempted { priority: prio(100) })]);
}
