//! As many routers as fit, reloaded ten times a second without a change.

use std::sync::Arc;

use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{NodeParams, RouterParams};
use vrrpd::wire::field::Vrid;

use crate::bench::*;

const ROUTERS: usize = 4080;

#[test]
fn thousands_of_routers_send_every_advert_on_time_through_reloads_without_a_change() {
    let router = |place: usize| {
        let (name, vrid) = (format!("r{place}"), Vrid::new((place % 255 + 1) as u8).unwrap());
        Arc::new(RouterParams { name, vrid, ..v3() })
    };
    let params = || NodeParams { routers: (0..ROUTERS).map(router).collect(), ..NodeParams::default() };
    let mut bench = Bench::of(params());
    bench.link(true);
    bench.start();
    bench.run(ms(3610));
    assert!(bench.snapshots().iter().all(|router| router.state == StateName::Master));
    let sent = |bench: &Bench| -> Vec<u64> {
        bench.snapshots().iter().map(|router| router.counters.advertisements_sent).collect()
    };
    let before = sent(&bench);
    for _ in 0..30 {
        let due = bench.due_at();
        assert_eq!(bench.reload(&params()).1, []);
        assert_eq!(bench.due_at(), due);
        bench.run(ms(100));
    }
    assert!(sent(&bench).iter().zip(before).all(|(after, before)| *after == before + 3));
}
