//! The history as values and as text: transitions with their causes, and what happened to the daemon.
//!
//! Names are an interface: adding keys is allowed, renaming is not (`docs/history.md`). One stop before: `daemon::history`,
//! which keeps the entries. One stop after: `control::message` (the reply), the file, `cli::history`.

mod text;

use serde::{Deserialize, Serialize};
pub use text::{finding_text, text};

use super::message::SCHEMA;
use super::status::{State, TransitionStatus};
use crate::engine::output::{GroupTransition, Reason, Transition};
use crate::engine::time::Now;

/// Entries that are kept.
pub const MAX_ENTRIES: usize = 1000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: ascending, over restarts and reboots too.
    pub n: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What kind of thing.
    pub kind: Kind,
    /// The instance it happened to; none: the daemon, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The group it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// State left; transitions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// State entered; transitions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<State>,
    /// Name of the cause, for programs; transitions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The cause, or what happened, for a person; may be empty.
    #[serde(default)]
    pub reason: String,
    /// Effective priority at that time; transitions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The other node it has to do with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Adverts that should have come and did not; a takeover after silence only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u32>,
    /// Time since the last advert, in milliseconds; where that is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heard_ms: Option<u64>,
    /// What was found out later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// The run of the kernel in which the daemon began; of starts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An instance changed its state.
    Transition,
    /// A group did.
    Group,
    /// The daemon began.
    Start,
    /// The daemon ended in order.
    Stop,
    /// The daemon became another program, or did not.
    Upgrade,
    /// The configuration was read again.
    Reload,
    /// Somebody drained instances.
    Drain,
    /// Somebody ended that.
    Resume,
    /// Something that a later version writes.
    #[serde(other)]
    Other,
}

impl Kind {
    /// Returns the word in text.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transition => "transition",
            Self::Group => "group",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Upgrade => "upgrade",
            Self::Reload => "reload",
            Self::Drain => "drain",
            Self::Resume => "resume",
            Self::Other => "other",
        }
    }
}

impl Entry {
    /// Makes an entry that is no transition and has no number yet.
    pub fn new(now: Now, kind: Kind, instance: Option<&str>, reason: &str) -> Self {
        Self {
            n: 0,
            at: super::rfc3339::format(now.utc),
            kind,
            instance: instance.map(str::to_owned),
            group: None,
            from: None,
            to: None,
            cause: None,
            reason: cut(reason),
            priority: None,
            peer: None,
            missed: None,
            last_heard_ms: None,
            finding: None,
            boot: None,
        }
    }

    /// Makes the entry of a transition; it has no number yet.
    pub fn transition(now: Now, instance: &str, transition: &Transition) -> Self {
        let (missed, silence) = match transition.reason {
            Reason::MasterDown { silence, missed } => (Some(missed), Some(silence)),
            Reason::Adopted { silence } => (None, Some(silence)),
            Reason::Started
            | Reason::Owner
            | Reason::Resigned
            | Reason::Preempted { .. }
            | Reason::HigherPriority { .. }
            | Reason::HigherAddress
            | Reason::Paused { .. }
            | Reason::Outranked { .. }
            | Reason::Stopping
            | Reason::Deconfigured
            | Reason::InterfaceMissing
            | Reason::LinkDown
            | Reason::NoAddress
            | Reason::Recovered
            | Reason::CheckFailed { .. }
            | Reason::AwaitingCheck { .. }
            | Reason::GroupFault { .. }
            | Reason::Removed { .. }
            | Reason::AddressTaken { .. }
            | Reason::GroupMoved { .. }
            | Reason::Drained { .. }
            | Reason::Resumed => (None, None),
        };
        Self {
            from: Some(transition.from.into()),
            to: Some(transition.to.into()),
            cause: Some(transition.reason.name().to_owned()),
            priority: Some(transition.priority.get()),
            peer: transition.peer.map(|peer| peer.to_string()),
            missed,
            last_heard_ms: silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
            ..Self::new(now, Kind::Transition, Some(instance), &transition.reason.to_string())
        }
    }

    /// Makes the entry of a group's transition; it has no number yet.
    pub fn of_group(now: Now, transition: &GroupTransition) -> Self {
        Self {
            group: Some(transition.group.to_string()),
            from: Some(transition.from.into()),
            to: Some(transition.to.into()),
            cause: Some(transition.reason.name().to_owned()),
            ..Self::new(now, Kind::Group, None, &transition.reason.to_string())
        }
    }

    /// Returns the entry as the status shows transitions; `None`: it is none.
    pub fn as_status(&self) -> Option<TransitionStatus> {
        Some(TransitionStatus {
            at: self.at.clone(),
            instance: self.instance.clone()?,
            from: self.from?,
            to: self.to?,
            reason: self.reason.clone(),
        })
    }
}

/// Cuts words so that no entry is long: a check may say anything.
fn cut(words: &str) -> String {
    if words.chars().count() <= MAX_WORDS {
        return words.to_owned();
    }
    words.chars().take(MAX_WORDS).chain("...".chars()).collect()
}

/// Characters of a reason.
const MAX_WORDS: usize = 240;

/// The reply to `history`: entries, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The number of the last entry, whoever it is about; 0: there is none.
    #[serde(default)]
    pub last: u64,
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Up to where this goes.
    #[serde(skip)]
    pub until: Cursor,
}

/// How much of the history a client knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the last entry, whoever it is about.
    pub n: u64,
    /// How much was found out about entries by then.
    pub findings: u64,
}

impl HistoryReply {
    /// Makes a reply of the last `count` entries about an instance or group, or about anything.
    pub fn new<'a>(
        entries: impl DoubleEndedIterator<Item = &'a Entry>,
        count: usize,
        instance: Option<&str>,
        until: Cursor,
    ) -> Self {
        let is_asked = |entry: &&Entry| {
            instance.is_none_or(|name| [&entry.instance, &entry.group].into_iter().flatten().any(|whose| whose == name))
        };
        let mut found: Vec<Entry> = entries.rev().filter(is_asked).take(count).cloned().collect();
        found.reverse();
        Self { schema: SCHEMA, last: until.n, entries: found, until }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::samples::NOW;
    use crate::engine::output::StateName;
    use crate::wire::field::Priority;

    /// Returns a start, a transition without and one with numbers, and a stop: what a day leaves.
    pub fn day() -> Vec<Entry> {
        let transition =
            |from, to, reason, peer| Transition { from, to, reason, priority: Priority::new(101).unwrap(), peer };
        let later = |seconds| Now { utc: NOW.utc + Duration::from_secs(seconds), ..NOW };
        let peer = Some([10, 0, 0, 21].into());
        let (init, backup, master) = (StateName::Init, StateName::Backup, StateName::Master);
        let down = Reason::MasterDown { silence: Duration::from_millis(3605), missed: 3 };
        let words = "version 0.1.0, after a reboot; the host went down without stopping it";
        let mut entries = vec![
            Entry::new(later(0), Kind::Start, None, words),
            Entry::transition(later(0), "web", &transition(init, backup, Reason::Started, None)),
            Entry::transition(later(60), "web", &transition(backup, master, down, peer)),
            Entry::new(later(100), Kind::Reload, None, "1 kept, 1 updated"),
            Entry::transition(
                later(4000),
                "web",
                &transition(
                    master,
                    StateName::Fault,
                    Reason::CheckFailed { check: "apache".into(), words: "HTTP 503 Service Unavailable".into() },
                    None,
                ),
            ),
            Entry::of_group(
                later(4000),
                &GroupTransition {
                    group: "frontend".into(),
                    from: master,
                    to: StateName::Fault,
                    reason: Reason::GroupFault { member: "web".into() },
                },
            ),
            Entry::new(later(86_400), Kind::Stop, None, "SIGTERM from pid 1 (uid 0, systemd)"),
        ];
        entries[2].finding = Some("peer still answers ARP".to_owned());
        entries[0].boot = Some("3f0e".to_owned());
        for (n, entry) in (7..).zip(&mut entries) {
            entry.n = n;
        }
        entries
    }

    #[test]
    fn an_entry_survives_the_way_and_an_unknown_kind_is_no_error() {
        for entry in day() {
            let line = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
        }
        let later: Entry = serde_json::from_str(r#"{"n":1,"at":"x","kind":"eclipse","moon":"new"}"#).unwrap();
        assert_eq!((later.kind, later.reason.as_str()), (Kind::Other, ""));
    }

    #[test]
    fn a_takeover_after_silence_has_its_numbers() {
        let takeover = &day()[2];
        assert_eq!((takeover.missed, takeover.last_heard_ms), (Some(3), Some(3605)));
        assert_eq!(takeover.cause.as_deref(), Some("master_down"));
        assert_eq!(takeover.peer.as_deref(), Some("10.0.0.21"));
    }

    #[test]
    fn a_reply_has_the_last_of_an_instance() {
        let day = day();
        let numbers = |count, instance| {
            let reply = HistoryReply::new(day.iter(), count, instance, Cursor::default());
            reply.entries.iter().map(|entry| entry.n).collect::<Vec<_>>()
        };
        assert_eq!(numbers(2, None), [12, 13]);
        assert_eq!(numbers(2, Some("web")), [9, 11]);
        assert_eq!(numbers(2, Some("frontend")), [12]);
        assert_eq!(numbers(2, Some("mail")), [0; 0]);
        assert_eq!(numbers(0, None), [0; 0]);
    }

    #[test]
    fn the_json_reply_is_the_golden_one() {
        let reply = HistoryReply::new(day().iter(), 10, None, Cursor { n: 13, findings: 0 });
        let text = serde_json::to_string_pretty(&reply).unwrap() + "\n";
        assert_eq!(text, include_str!("../../tests/cli/history.json"));
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(cut(&"x".repeat(500)).len(), MAX_WORDS + 3);
    }
}
