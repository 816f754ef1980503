//! Nodes that stay away on request.

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::Preempt;

use crate::simulator::MS;
use crate::simulator::spec::{Cluster, RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story, skew};

fn drained() -> Reason {
    Reason::Drained { words: "as told".into() }
}

/// Two routers over two links in one group.
fn pair(priorities: &[u8]) -> Cluster {
    let spec = RouterSpec::new(priorities);
    Cluster {
        routers: vec![spec.clone(), RouterSpec { link: 1, ..spec }],
        checks: Vec::new(),
        groups: vec![vec![0, 1]],
    }
}

fn drain(story: &mut Story, host: usize) {
    story.act(Action::Drain(host, 0, true));
}

fn resume(story: &mut Story, host: usize) {
    story.act(Action::Drain(host, 0, false));
}

#[test]
fn drained_master_hands_over_as_at_a_stop_and_listens() {
    for priorities in [[200, 100], [255, 100]] {
        let mut story = Story::elected(RouterSpec::new(&priorities));
        story.forget();
        let at = story.now();
        drain(&mut story, 0);
        story.go(SECOND);
        let took_over_at = at + 50 * MS + DELAY + skew(100, SECOND);
        assert_eq!(story.changes(0), [(at, StateName::Backup, drained())]);
        assert_eq!(story.changes(1), [(took_over_at, StateName::Master, Reason::Resigned)]);
        assert_eq!(story.released(0), [took_over_at + DELAY + OVERLAP]);
        assert_eq!((story.longest_gap(), story.longest_rivalry()), (0, 0));
        assert_eq!(story.snapshot(0).drained.as_deref(), Some("as told"));
        assert_eq!(story.snapshot(0).master.map(|master| master.priority.get()), Some(100));
        // An owner never hears of another Master without preempting it: this one does.
        story.go(3600 * SECOND);
        assert_eq!((story.masters(), story.changes(0).len()), (vec![1], 1));
        assert_eq!(story.words(0).last(), Some(&"handed over"), "not a word since");
    }
}

#[test]
fn first_resignation_of_a_drain_may_be_lost() {
    let mut story = Story::elected(RouterSpec::new(&[200, 1]));
    story.world.segment.drops_first_resignation = true;
    story.forget();
    drain(&mut story, 0);
    story.go(3 * SECOND);
    assert_eq!((story.masters(), story.longest_gap()), (vec![1], 0));
}

#[test]
fn drained_backup_does_not_take_over_and_says_so_once() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    drain(&mut story, 1);
    story.go(SECOND);
    story.forget();
    let snapshot = story.snapshot(1);
    assert_eq!((snapshot.state, &snapshot.reason), (StateName::Backup, &drained()));
    let heard_at = snapshot.peers[0].last_heard_at.unwrap().as_nanos();
    story.act(Action::Crash(0));
    story.go(3600 * SECOND);
    assert_eq!((story.masters(), story.changes(1)), (vec![], vec![]));
    // When every other Backup would have taken over, and not before.
    let silence = std::time::Duration::from_secs(5);
    assert_eq!(story.events(1), [(heard_at + 5 * SECOND, EventKind::Vacant { silence })]);
    assert_eq!(story.snapshot(1).master, None);
    story.forget();
    let at = story.now();
    resume(&mut story, 1);
    story.go(5 * SECOND);
    let changes: Vec<_> = story.changes(1).into_iter().map(|(at, state, _)| (at, state)).collect();
    assert_eq!(changes, [(at + 3 * SECOND + skew(100, SECOND), StateName::Master)]);
}

#[test]
fn nobody_is_missed_once_a_minute_at_most() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    drain(&mut story, 1);
    story.go(SECOND);
    story.forget();
    for _ in 0..20 {
        story.act(Action::Crash(0));
        story.go(6 * SECOND);
        story.act(Action::Start(0));
        story.go(6 * SECOND);
    }
    let told = story.events(1).iter().filter(|(_, kind)| matches!(kind, EventKind::Vacant { .. })).count();
    assert_eq!(told, 4, "in 240 s");
}

#[test]
fn better_node_resumed_takes_back_as_preemption_says() {
    for (preempt, masters) in [(Preempt::Always, [0]), (Preempt::Never, [1])] {
        let mut spec = RouterSpec::new(&[200, 100]);
        spec.preempts = vec![preempt];
        let mut story = Story::elected(spec);
        drain(&mut story, 0);
        story.go(60 * SECOND);
        story.forget();
        let at = story.now();
        resume(&mut story, 0);
        story.go(20 * SECOND);
        assert_eq!((story.masters(), story.longest_gap()), (masters.to_vec(), 0));
        let expected: &[u64] = if masters == [0] { &[at + 3 * SECOND + skew(200, SECOND)] } else { &[] };
        assert_eq!(story.changes(0).iter().map(|(at, _, _)| *at).collect::<Vec<_>>(), expected);
        assert_eq!(story.snapshot(0).drained, None);
    }
}

#[test]
fn resumed_owner_waits_before_it_is_master_again() {
    let mut story = Story::elected(RouterSpec::new(&[255, 100]));
    drain(&mut story, 0);
    story.go(10 * SECOND);
    story.forget();
    let at = story.now();
    resume(&mut story, 0);
    story.go(10 * SECOND);
    let changes: Vec<_> = story.changes(0).into_iter().map(|(at, state, _)| (at, state)).collect();
    assert_eq!(changes, [(at + 3 * SECOND + skew(255, SECOND), StateName::Master)]);
}

#[test]
fn resumed_before_anybody_followed_waits_its_skew_alone() {
    let mut story = Story::new(RouterSpec::new(&[200, 100]));
    story.act(Action::Start(0));
    story.go(10 * SECOND);
    story.forget();
    drain(&mut story, 0);
    story.go(100 * MS);
    resume(&mut story, 0);
    story.go(5 * SECOND);
    assert_eq!((story.masters(), story.longest_gap()), (vec![0], 0));
}

#[test]
fn drain_of_one_member_moves_its_group() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    story.act(Action::Drain(0, 1, true));
    story.go(5 * SECOND);
    for router in 0..2 {
        assert_eq!((story.world.masters(router), story.world.measures[router].longest_gap), (vec![1], 0));
        assert_eq!(story.changes_of(0, router).iter().map(|(_, _, reason)| reason).collect::<Vec<_>>(), [&drained()]);
    }
    let group: Vec<_> = story.group_changes(0).into_iter().map(|(_, change)| (change.to, change.reason)).collect();
    assert_eq!(group, [(StateName::Backup, drained())]);
    story.act(Action::Crash(1));
    story.go(60 * SECOND);
    assert!([0, 1].iter().all(|router| story.world.masters(*router).is_empty()));
    story.act(Action::Drain(0, 1, false));
    story.go(5 * SECOND);
    assert_eq!([0, 1].map(|router| story.world.masters(router)), [vec![0], vec![0]]);
}

#[test]
fn drain_survives_a_crash_and_keeps_an_heir_from_going_on() {
    for priority in [200, 255] {
        let mut story = Story::elected(RouterSpec::new(&[priority, 100]));
        story.act(Action::Kill(0));
        // The order was written down, and the process died before it could hand over.
        story.world.hosts[0].drained.insert(0);
        story.forget();
        story.act(Action::Start(0));
        story.go(60 * SECOND);
        assert_eq!(story.masters(), [1]);
        let changes: Vec<_> = story.changes(0).into_iter().map(|(_, state, _)| state).collect();
        assert!(!changes.contains(&StateName::Master), "{changes:?}");
        assert_eq!((story.state(0), &story.snapshot(0).reason), (StateName::Backup, &drained()));
    }
}

#[test]
fn drained_node_that_recovers_stays_drained() {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.tracks.push(TrackSpec::fault(0));
    let mut story = Story::elected(spec);
    drain(&mut story, 0);
    story.go(5 * SECOND);
    story.forget();
    story.fail(0, 0);
    story.go(SECOND);
    story.pass(0, 0);
    story.go(60 * SECOND);
    let changes: Vec<_> = story.changes(0).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!((changes, story.masters()), (vec![StateName::Fault, StateName::Backup], vec![1]));
    assert_eq!(story.snapshot(0).reason, drained());
}

#[test]
fn drained_node_that_stops_says_nothing_more() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    drain(&mut story, 0);
    story.go(5 * SECOND);
    story.forget();
    story.act(Action::Stop(0));
    story.go(SECOND);
    assert_eq!(story.words(0), ["change", "finished"]);
}
