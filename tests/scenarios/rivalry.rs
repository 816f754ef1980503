//! Two Masters: a split heals, or two nodes are mistaken about each other.

use std::net::{IpAddr, Ipv4Addr};

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::wire::field::{Priority, Version};

use crate::simulator::MS;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story};

/// Two Masters of priorities 200 and 100 that do not hear each other; the first one's next advert is due after
/// `first_in`, the other one's after `other_in`.
fn split() -> (Story, u64, u64) {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.act(Action::Block(0, 1, true));
    story.act(Action::Block(1, 0, true));
    story.go(20 * SECOND);
    assert_eq!(story.masters(), [0, 1]);
    let due = |host| story.sent(host).last().map(|(at, _)| at + SECOND).unwrap();
    let times = (due(0), due(1));
    story.forget();
    (story, times.0, times.1)
}

fn heal(story: &mut Story) {
    story.act(Action::Block(0, 1, false));
    story.act(Action::Block(1, 0, false));
}

#[test]
fn loser_that_hears_the_winner_first_sends_a_last_advert_and_the_winner_repairs() {
    let (mut story, winner_due, loser_due) = split();
    // Let the loser send into the void, then heal: the winner is next.
    let wait = if loser_due < winner_due { loser_due - story.now() } else { 0 };
    story.go(wait);
    heal(&mut story);
    story.forget();
    story.go(2 * SECOND);
    let gave_up_at = winner_due + DELAY;
    let reason = Reason::HigherPriority { priority: Priority::new(200).unwrap() };
    assert_eq!(story.changes(1), [(gave_up_at, StateName::Backup, reason)]);
    let left_at = gave_up_at + OVERLAP;
    assert_eq!(story.sent(1), [(left_at, 100)], "the farewell tells the winner that there was a rival");
    assert_eq!(story.words(1), ["change", "release", "send"]);
    let announced: Vec<u64> = story.announced(0).into_iter().map(|(at, _)| at).collect();
    assert_eq!(announced[..2], [left_at + DELAY, left_at + DELAY + SECOND], "at once and again after 1 s");
    assert!(story.sent(0).contains(&(left_at + DELAY, 200)), "RFC 9568 6.4.3: a losing advert is answered");
}

#[test]
fn winner_that_hears_the_loser_first_answers_at_once_and_repairs() {
    let (mut story, winner_due, loser_due) = split();
    let wait = if winner_due < loser_due { winner_due - story.now() } else { 0 };
    story.go(wait);
    heal(&mut story);
    story.forget();
    let loser_due = if loser_due < story.now() { loser_due + SECOND } else { loser_due };
    story.go(loser_due - story.now() + 2 * DELAY + OVERLAP);
    assert_eq!(story.sent(0)[0], (loser_due + DELAY, 200));
    assert_eq!(story.transitions(1)[0].0, loser_due + 2 * DELAY, "a round trip after its own advert");
    assert_eq!(story.released(1), [loser_due + 2 * DELAY + OVERLAP]);
    assert_eq!(story.announced(0)[0].0, loser_due + DELAY);
    assert!(story.events(0).iter().any(|(_, kind)| matches!(kind, EventKind::Rival { .. })));
}

#[test]
fn rival_is_in_the_snapshot_of_a_master_for_as_long_as_it_is_heard() {
    let (mut story, _, _) = split();
    assert_eq!(story.rival(0), None);
    // The winner hears the loser, which hears nobody.
    story.act(Action::Block(1, 0, false));
    story.go(3 * SECOND);
    let (address, since) = story.rival(0).expect("a rival");
    story.go(3 * SECOND);
    assert_eq!(story.rival(0), Some((address, since)), "the same one, since the same time");
    assert_eq!(story.rival(1), None, "it hears nobody");
    heal(&mut story);
    story.go(SECOND);
    assert_eq!(story.masters(), [0]);
    story.go(4 * SECOND);
    assert_eq!(story.rival(0), None, "forgotten");
}

#[test]
fn answer_does_not_shift_the_rhythm_of_the_winner() {
    let (mut story, winner_due, _) = split();
    heal(&mut story);
    story.forget();
    story.go(5 * SECOND);
    let sent: Vec<u64> = story.sent(0).into_iter().map(|(at, _)| at).collect();
    for number in 0..4 {
        assert!(sent.contains(&(winner_due + number * SECOND)), "{number}: {sent:?}");
    }
}

/// Two nodes behind address translation that see each other with a lower address than their own: both win each tie.
fn mistaken() -> Story {
    let mut spec = RouterSpec::new(&[100, 100]);
    spec.version = Version::V2; // its checksum leaves the addresses out
    spec.masks = vec![Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)))];
    Story::elected(spec)
}

#[test]
fn two_mistaken_masters_do_not_answer_each_other_without_end() {
    let mut story = mistaken();
    assert_eq!(story.masters(), [0, 1]);
    story.forget();
    story.go(100 * SECOND);
    for host in [0, 1] {
        let sent = story.sent(host).len();
        assert!((200..=300).contains(&sent), "{sent} adverts in 100 intervals: one of the timer and up to two answers");
        let announced = story.announced(host).len();
        assert!((90..=101).contains(&announced), "{announced} announcements in 100 s: repairs are rate limited too");
        let told = story.events(host).into_iter().filter(|(_, kind)| matches!(kind, EventKind::Rival { .. })).count();
        assert!((1..=2).contains(&told), "one report a minute, not {told}");
    }
}

#[test]
fn equal_masters_after_a_split_are_decided_by_the_address() {
    let mut story = Story::elected(RouterSpec::new(&[100, 100]));
    story.act(Action::Block(0, 1, true));
    story.act(Action::Block(1, 0, true));
    story.go(20 * SECOND);
    heal(&mut story);
    story.forget();
    story.go(SECOND + 10 * MS);
    assert_eq!(story.masters(), [1]);
    assert_eq!(story.changes(0)[0].2, Reason::HigherAddress);
    assert!(story.longest_rivalry() <= SECOND + 2 * DELAY);
}

#[test]
fn master_answers_a_resignation_and_starts_its_interval_afresh() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100, 50]));
    // Host 1 is Master on the other side of a split; it stops just after the split has healed.
    story.act(Action::Block(0, 1, true));
    story.act(Action::Block(1, 0, true));
    story.act(Action::Block(1, 2, true));
    story.act(Action::Block(2, 1, true));
    story.go(20 * SECOND + 300 * MS);
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        story.act(Action::Block(from, to, false));
    }
    story.forget();
    let at = story.now();
    story.act(Action::Stop(1));
    story.go(5 * SECOND);
    let sent: Vec<u64> = story.sent(0).into_iter().map(|(at, _)| at).collect();
    assert!(sent.contains(&(at + DELAY)), "at once: {sent:?}");
    assert_eq!(story.changes(2), [], "the resignation of another Master makes nobody take over");
    assert_eq!(story.masters(), [0]);
}
