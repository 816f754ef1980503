//! The lines about authentication, clocks and refused packets.

use std::collections::BTreeMap;

use super::{MAX_LINE, MAX_LISTED, clean, length};
use crate::control::status::{InstanceStatus, PeerStatus, Status};

/// Returns how an instance authenticates, if it does.
pub(super) fn auth(instance: &InstanceStatus) -> Option<String> {
    let auth = instance.authentication.as_ref().filter(|auth| auth.kind != "none")?;
    let mode = auth.mode.as_ref().map_or_else(String::new, |mode| format!(", {}", clean(mode)));
    let keys = auth.active_key.map_or_else(String::new, |active| {
        let known: Vec<String> = auth.keys.iter().take(MAX_KEYS).map(u8::to_string).collect();
        let more = if auth.keys.len() > MAX_KEYS { " ..." } else { "" };
        format!(", key {active} of {}{more}", known.join(" "))
    });
    let window = match (auth.window_ms, &auth.replay) {
        (Some(window), _) => format!(", window {}", length(window)),
        (None, Some(guard)) => format!(", {}", clean(guard)),
        (None, None) => String::new(),
    };
    Some(format!("{}{mode}{keys}{window}", clean(&auth.kind)))
}

/// Returns a line for each peer whose packets were refused, and one for everybody else's.
pub(super) fn refused(instance: &InstanceStatus) -> Vec<String> {
    let mut strangers = instance.counters.discarded.clone();
    for (reason, count) in instance.peers.iter().flat_map(|peer| &peer.discarded) {
        if let Some(rest) = strangers.get_mut(reason) {
            *rest = rest.saturating_sub(*count);
        }
    }
    let of_peer = |peer: &PeerStatus| counts(&format!("from {}: ", peer.address), &peer.discarded);
    let mut lines: Vec<String> = instance.peers.iter().filter_map(of_peer).take(MAX_LISTED).collect();
    lines.extend(counts("from strangers: ", &strangers));
    lines
}

/// Returns the line of refused packets that no instance is for, if there were some.
pub(super) fn strays(status: &Status) -> Option<String> {
    counts("refused, for no instance: ", &status.discarded)
}

/// Returns how far a peer's clock is off, where that is a second or more.
pub(super) fn clock(peer: &PeerStatus) -> Option<String> {
    let offset = peer.clock_offset_ms.filter(|offset| offset.unsigned_abs() >= 1000)?;
    Some(said(offset))
}

/// Returns the clocks that somebody may have to set right: those off by more than half the window.
pub(super) fn problems(instance: &InstanceStatus) -> Vec<String> {
    let Some(window) = instance.authentication.as_ref().and_then(|auth| auth.window_ms) else { return Vec::new() };
    let of_peer = |peer: &PeerStatus| {
        let offset = peer.clock_offset_ms.filter(|offset| offset.unsigned_abs() > window / 2)?;
        let (peer, window) = (peer.address, length(window));
        Some(format!("clock of {peer} is {}, refused beyond {window}", said(offset)))
    };
    instance.peers.iter().filter_map(of_peer).collect()
}

fn said(offset: i64) -> String {
    let direction = if offset < 0 { "behind" } else { "ahead" };
    format!("{} {direction}", length(offset.unsigned_abs()))
}

/// Writes counts, the largest first, as many as fit a line; `None`: all are 0.
fn counts(start: &str, counts: &BTreeMap<String, u64>) -> Option<String> {
    let mut counts: Vec<(&String, &u64)> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut text = start.to_owned();
    for (place, (reason, count)) in counts.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let entry = format!("{comma}{count} {}", clean(reason));
        if place > 0 && text.chars().count() + entry.chars().count() + MORE > MAX_LINE {
            text.push_str(&format!(", {} more", counts.len() - place));
            break;
        }
        text.push_str(&entry);
    }
    (!counts.is_empty()).then_some(text)
}

/// Keys that are listed.
const MAX_KEYS: usize = 8;
/// Characters of `, NN more`.
const MORE: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::{pair, router, signed, status};
    use crate::engine::output::{ClockOffset, Discard};
    use std::time::Duration;

    #[test]
    fn what_was_refused_is_told_by_sender_and_fits_the_line() {
        let mut web = signed("web");
        for reason in Discard::ALL {
            (0..1_000_000).take(if reason == Discard::Replay { 70_000 } else { 1000 }).for_each(|_| {
                web.peers[0].discarded.add(reason);
                web.counters.discarded.add(reason);
            });
        }
        let lines = refused(&status(&[(web, vec![])]).instances[0]);
        assert_eq!(
            lines,
            [
                "from 10.0.0.21: 70000 replay, 1012 hmac, 1003 stale, 25 more".to_owned(),
                "from strangers: 4 checksum".to_owned()
            ]
        );
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
        let mut quiet = router("web");
        quiet.counters.discarded = Default::default();
        assert_eq!(refused(&status(&[(quiet, vec![])]).instances[0]), [""; 0]);
    }

    #[test]
    fn authentication_is_one_short_line() {
        assert_eq!(auth(&pair().instances[0]).as_deref(), Some("hmac, enforce, key 1 of 1 2, window 5.0s"));
        assert_eq!(auth(&pair().instances[1]), None);
    }

    #[test]
    fn a_clock_past_half_the_window_is_a_problem() {
        for (ms, is_ahead, said, problem) in [
            (900, true, None, None),
            (2500, false, Some("2.5s behind"), None),
            (2501, true, Some("2.5s ahead"), Some("clock of 10.0.0.21 is 2.5s ahead, refused beyond 5.0s")),
        ] {
            let mut web = signed("web");
            web.peers[0].clock = Some(ClockOffset { length: Duration::from_millis(ms), is_ahead });
            let status = status(&[(web, vec![])]);
            assert_eq!(clock(&status.instances[0].peers[0]).as_deref(), said);
            assert_eq!(problems(&status.instances[0]).first().map(String::as_str), problem);
        }
    }

    #[test]
    fn packets_for_no_instance_are_a_line_only_where_there_were_some() {
        assert_eq!(strays(&pair()).as_deref(), Some("refused, for no instance: 2 unknown_vrid"));
        assert_eq!(strays(&status(&[])), None);
    }
}
