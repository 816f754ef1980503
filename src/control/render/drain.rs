//! The lines about an instance that stays away on request.

use super::clean;
use crate::control::status::{InstanceStatus, State};

/// Returns since when and until when an instance stays away, and why where the line before does not say it.
pub(super) fn line(instance: &InstanceStatus) -> Option<String> {
    let drain = instance.drain.as_ref()?;
    let until = drain.until.as_ref().map_or_else(String::new, |until| format!(" until {}", to_the_second(until)));
    let is_said = drain.reason.is_empty() || instance.state == State::Backup;
    let reason = if is_said { String::new() } else { format!(": {}", clean(&drain.reason)) };
    Some(format!("since {}{until}{reason}", to_the_second(&drain.since)))
}

/// Returns a time without its thousandths: nobody drains to the thousandth, and two times fit into a line.
fn to_the_second(time: &str) -> String {
    let whole = time.split_once('.').map_or(time.to_owned(), |(whole, _)| format!("{whole}Z"));
    clean(&whole)
}

/// Returns what somebody may have to act on: nobody has the addresses.
pub(super) fn problem(instance: &InstanceStatus) -> Option<String> {
    let is_missed = instance.drained && instance.state == State::Backup && instance.master.is_none();
    is_missed.then(|| format!("{}: drained, and no other master is heard", clean(&instance.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::drain::DrainStatus;
    use crate::control::render::{Paint, text};
    use crate::control::samples;
    use crate::engine::output::Reason;
    use crate::engine::snapshot::RouterSnapshot;

    fn drained(router: RouterSnapshot, until: Option<&str>) -> crate::control::status::Status {
        let words: std::sync::Arc<str> = "new disks".into();
        let reason = Reason::Drained { words: words.clone() };
        let router = RouterSnapshot { drained: Some(words), reason, ..router };
        let mut status = samples::status(&[(router, vec![false, false])]);
        let since = "2026-11-22T08:00:00.000Z".to_owned();
        let drain = DrainStatus { since, until: until.map(str::to_owned), reason: "new disks".into() };
        status.instances[0].drain = Some(drain);
        status
    }

    #[test]
    fn a_drained_instance_says_why_and_until_when() {
        let text = text(&drained(samples::backup("web"), Some("2026-11-22T09:00:00.000Z")), false, Paint::Plain);
        assert!(text.contains("\n  why        drained: new disks\n"), "{text}");
        let line = "\n  drained    since 2026-11-22T08:00:00Z until 2026-11-22T09:00:00Z\n";
        assert!(text.contains(line) && !text.contains('!'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_drained_instance_in_fault_says_both() {
        let status = drained(samples::fault("web"), None);
        assert_eq!(line(&status.instances[0]).unwrap(), "since 2026-11-22T08:00:00Z: new disks");
    }

    #[test]
    fn a_drained_instance_without_a_master_is_a_problem() {
        let status = drained(RouterSnapshot { master: None, ..samples::backup("web") }, None);
        let text = text(&status, false, Paint::Plain);
        assert!(text.contains("\n! web: drained, and no other master is heard\n"), "{text}");
    }
}
