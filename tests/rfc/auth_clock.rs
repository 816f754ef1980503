//! Wall clocks that are set while nodes sign and judge by time: nobody changes its state, and wrong clocks can be mended.

use std::time::Duration;

use vrrpd::engine::output::{ClockOffset, ClockTrouble, Discard, EventKind, StateName};
use vrrpd::engine::params::{AuthMode, ReplayGuard, RouterParams};

use crate::bench::*;
use crate::trailer::*;

/// Steps of a clock: milliseconds, forward or back.
const STEPS: [(u64, bool); 4] = [(3_600_000, false), (3_000, false), (3_000, true), (3_600_000, true)];

fn step(bench: &mut Bench, (length, is_ahead): (u64, bool)) {
    let utc = bench.utc();
    bench.set_clock(if is_ahead { utc + ms(length) } else { utc - ms(length) });
}

fn offset((length, is_ahead): (u64, bool)) -> ClockOffset {
    ClockOffset { length: ms(length), is_ahead }
}

fn troubles(seen: &[Seen]) -> Vec<ClockTrouble> {
    let trouble = |event: &EventKind| match event {
        EventKind::Clock(trouble) => Some(*trouble),
        _ => None,
    };
    events(seen).into_iter().filter_map(trouble).collect()
}

/// Two nodes that hear each other.
struct Pair {
    /// The first is better, and Master while all is well.
    nodes: [Bench; 2],
}

impl Pair {
    fn of(guard: ReplayGuard) -> Self {
        let params = hmac(unicast(v3()), AuthMode::Enforce, guard);
        let better = RouterParams { priority: prio(150), ..params.clone() };
        let mut pair = Self { nodes: [backup(better), backup(mirror(&params))] };
        pair.run(ms(5000));
        assert_eq!(pair.states(), [StateName::Master, StateName::Backup]);
        pair
    }

    fn states(&self) -> [StateName; 2] {
        [self.nodes[0].state(), self.nodes[1].state()]
    }

    /// Lets both run side by side, in steps of 10 ms; returns what each told, and for how long two were Master.
    fn run(&mut self, length: Duration) -> ([Vec<Seen>; 2], Duration) {
        let (mut all, mut double) = ([Vec::new(), Vec::new()], Duration::ZERO);
        for _ in 0..length.as_millis() / 10 {
            let mut waiting: Vec<(usize, Seen)> = Vec::new();
            for (place, node) in self.nodes.iter_mut().enumerate() {
                waiting.extend(untimed(node.run(ms(10))).into_iter().map(|seen| (place, seen)));
            }
            while let Some((place, seen)) = (!waiting.is_empty()).then(|| waiting.remove(0)) {
                if let Seen::Sent(sent) = &seen {
                    let heard = self.nodes[1 - place].hear_sent(sent);
                    waiting.extend(heard.into_iter().map(|seen| (1 - place, seen)));
                }
                all[place].push(seen);
            }
            if self.states() == [StateName::Master; 2] {
                double += ms(10);
            }
        }
        (all, double)
    }

    /// Starts one of them again, with the wall clock that it has.
    fn restart(&mut self, place: usize) {
        let params = (*self.nodes[place].snapshot().params).clone();
        let utc = self.nodes[place].utc();
        let mut node = Bench::new(RouterParams { tracks: Vec::new(), ..params });
        node.set_clock(utc);
        self.nodes[place] = begin(node);
    }
}

#[test]
fn clock_that_is_set_on_either_node_moves_nothing() {
    for guard in [TIME, ReplayGuard::Monotonic] {
        for (place, by) in [0, 1].into_iter().flat_map(|place| STEPS.map(|by| (place, by))) {
            let mut pair = Pair::of(guard);
            step(&mut pair.nodes[place], by);
            let (seen, double) = pair.run(ms(20_000));
            assert_eq!((pair.states(), double), ([StateName::Master, StateName::Backup], ms(0)), "{place} {by:?}");
            assert!(pair.nodes.iter().all(|node| node.refusals().is_empty()), "{place} {by:?}");
            let told = if guard == TIME { vec![ClockTrouble::Stepped { by: offset(by) }] } else { vec![] };
            assert_eq!(troubles(&seen[place]), told);
            assert!(troubles(&seen[1 - place]).is_empty());
            let (length, is_ahead) = by;
            step(&mut pair.nodes[place], (length, !is_ahead));
            let (seen, _) = pair.run(ms(2000));
            assert_eq!(troubles(&seen[place]), if guard == TIME { vec![ClockTrouble::Restored] } else { vec![] });
        }
    }
}

#[test]
fn both_clocks_may_be_set_and_one_node_started_again() {
    let patience = ms(WINDOW * 1000 + 3_610 + 1_000);
    for (place, by) in [0, 1].into_iter().flat_map(|place| STEPS.map(|by| (place, by))) {
        let mut pair = Pair::of(TIME);
        pair.nodes.iter_mut().for_each(|node| step(node, by));
        pair.run(ms(2000));
        pair.restart(place);
        let (seen, double) = pair.run(ms(40_000));
        assert_eq!(pair.states(), [StateName::Master, StateName::Backup], "{place} {by:?}");
        assert!(double <= patience, "{place} {by:?}: two Masters for {double:?}");
        if by.0 > WINDOW * 1000 {
            assert_eq!(troubles(&seen[1 - place]), [ClockTrouble::Followed { by: offset(by) }], "{place} {by:?}");
        }
    }
}

#[test]
fn node_that_began_with_a_wrong_clock_is_right_as_soon_as_its_clock_is() {
    let patience = ms(WINDOW * 1000 + 3_610 + 1_000);
    for (place, by) in [0, 1].into_iter().flat_map(|place| STEPS.map(|by| (place, by))) {
        let mut pair = Pair::of(TIME);
        step(&mut pair.nodes[place], by);
        pair.restart(place);
        pair.run(ms(15_000));
        let (length, is_ahead) = by;
        step(&mut pair.nodes[place], (length, !is_ahead));
        let (_, double) = pair.run(ms(20_000));
        assert_eq!(pair.states(), [StateName::Master, StateName::Backup], "{place} {by:?}");
        assert!(double <= patience, "{place} {by:?}: two Masters for {double:?}");
        let (_, double) = pair.run(ms(10_000));
        assert_eq!(double, ms(0), "{place} {by:?}");
    }
}

#[test]
fn packet_that_fits_the_wall_clock_alone_moves_the_clock_only_after_the_mark() {
    for (length, is_ahead) in [(3_600_000, true), (3_600_000, false)] {
        let params = enforced(v3());
        let packet = Packet::like(&params, 150);
        let mut bench = backup(params);
        let recorded = signed(&packet, stamp(bench.utc()));
        bench.accepts(&recorded);
        bench.wait(ms(100));
        step(&mut bench, (length, is_ahead));
        assert_eq!(troubles(&bench.tick()), [ClockTrouble::Stepped { by: offset((length, is_ahead)) }]);
        bench.refuses(&recorded, Discard::Replay);
        let wall = stamp(bench.utc());
        bench.refuses(&signed_by(&packet, 1, &[1; 32], wall), Discard::Hmac);
        bench.refuses(&signed_by(&packet, 2, &KEY, wall), Discard::UnknownKey);
        bench.refuses(&signed(&Packet { sum: Summed::Fixed(1), ..packet.clone() }, wall), Discard::Checksum);
        if is_ahead {
            let seen = bench.accepts(&signed(&packet, wall));
            assert_eq!(troubles(&seen), [ClockTrouble::Followed { by: offset((length, is_ahead)) }]);
            assert_eq!(bench.snapshot().peers[0].clock.map(|clock| clock.length), Some(ms(0)));
        } else {
            // Whoever it is has said something later: this may be a recording, as long as it was heard a moment ago.
            bench.refuses(&signed(&packet, wall), Discard::Stale);
            bench.wait(ms(WINDOW * 1000 + 3_609 - 100));
            bench.refuses(&signed(&packet, stamp(bench.utc())), Discard::Stale);
            bench.wait(ms(2));
            let seen = bench.accepts(&signed(&packet, stamp(bench.utc())));
            assert_eq!(troubles(&seen), [ClockTrouble::Followed { by: offset((length, is_ahead)) }]);
        }
        bench.refuses(&recorded, Discard::Stale);
    }
}

#[test]
fn refused_packets_never_move_the_clock() {
    let params = RouterParams { strict: true, ..enforced(v2()) };
    let packet = Packet::like(&params, 150);
    let mut bench = backup(params);
    bench.accepts(&signed(&packet, stamp(bench.utc())));
    let kept = bench.utc();
    step(&mut bench, (3_600_000, true));
    bench.tick();
    let wall = stamp(bench.utc());
    bench
        .refuses(&signed(&Packet { addresses: vec![ip("192.0.2.101")], ..packet.clone() }, wall), Discard::AddressList);
    bench.refuses(&signed(&Packet { byte_5: 3, ..packet.clone() }, wall), Discard::Interval);
    bench.accepts(&signed(&packet, stamp(kept) + 1));
}

#[test]
fn clock_that_is_set_before_anybody_knows_it_is_followed() {
    let params = enforced(v3());
    let packet = Packet::like(&params, 150);
    let mut bench = backup(params);
    step(&mut bench, (3_600_000, true));
    assert!(troubles(&bench.tick()).is_empty());
    bench.accepts(&signed(&packet, stamp(bench.utc())));
}

#[test]
fn clock_before_the_release_is_told_by_nodes_that_go_by_time() {
    let began = |params: RouterParams, seconds: u64| {
        let mut bench = Bench::new(params);
        bench.set_clock(Duration::from_secs(seconds));
        let utc = bench.utc();
        (troubles(&bench.link(true)), utc, troubles(&bench.start()))
    };
    let (told, utc, again) = began(enforced(v3()), 86_400);
    assert_eq!((told, again), (vec![ClockTrouble::BeforeRelease { utc }], vec![]));
    for (params, seconds) in [
        (enforced(v3()), 1_793_491_200),
        (v3(), 86_400),
        (hmac(unicast(v3()), AuthMode::Enforce, ReplayGuard::Monotonic), 86_400),
    ] {
        assert!(began(params, seconds).0.is_empty());
    }
}

#[test]
fn sender_whose_clock_was_far_ahead_starts_over_when_it_follows() {
    let params = enforced(v3());
    let mut bench = Bench::new(RouterParams { priority: prio(200), ..params.clone() });
    let utc = bench.utc();
    bench.set_clock(utc + ms(3_600_000));
    let mut bench = begin(bench);
    bench.run(ms(10_000));
    assert_eq!(bench.state(), StateName::Master);
    step(&mut bench, (3_600_000, false));
    let seen = bench.accepts(&signed(&Packet::like(&params, 50), stamp(bench.utc())));
    let by = offset((3_600_000, false));
    assert_eq!(troubles(&seen), [ClockTrouble::Stepped { by }, ClockTrouble::Followed { by }]);
    let sent = adverts(&seen);
    let now = stamp(bench.utc()) >> 32;
    assert_eq!(sent.iter().map(|sent| stamp_of(&sent.payload) >> 32).collect::<Vec<_>>(), [now], "the answer");
}
