//! Drain and resume: what is asked for, what is answered, and the text of both.
//!
//! One stop before: `cli::drain`. One stop after: `daemon::service`, which does it.

use serde::{Deserialize, Serialize};

use super::message::SCHEMA;
use super::status::{InstanceStatus, State};

/// Give addresses away and stay away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Names; none: the whole node.
    #[serde(default)]
    pub instances: Vec<String>,
    /// For how long, in milliseconds; none: until somebody resumes.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// Why, for other people; at most [`MAX_REASON`] characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// Also when nobody would take over.
    #[serde(default)]
    pub force: bool,
}

/// Take part again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Names; none: whatever is drained.
    #[serde(default)]
    pub instances: Vec<String>,
}

/// The reply to a drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was done.
    pub drain: Outcome,
}

/// The reply to a resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was done.
    pub resume: Outcome,
}

/// What a drain or a resume did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The whole node is drained.
    pub node: bool,
    /// Those that it was about, in the order of the configuration.
    pub instances: Vec<Moved>,
    /// What else is to be known. Sentences.
    pub notes: Vec<String>,
}

/// What a drain or a resume did to one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Its name.
    pub name: String,
    /// The state it is in.
    pub state: State,
    /// Whether it is drained.
    pub drained: bool,
    /// What happens, for a person.
    pub what: String,
}

/// That an instance is drained, as the status has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// When it was, RFC 3339.
    pub since: String,
    /// When it ends by itself, RFC 3339; none: never.
    pub until: Option<String>,
    /// Why, for a person; may be empty.
    pub reason: String,
}

impl DrainReply {
    /// Makes the reply.
    pub fn new(drain: Outcome) -> Self {
        Self { schema: SCHEMA, drain }
    }
}

impl ResumeReply {
    /// Makes the reply.
    pub fn new(resume: Outcome) -> Self {
        Self { schema: SCHEMA, resume }
    }
}

impl Outcome {
    /// Returns the text for a person, a line for each instance and each note.
    pub fn text(&self) -> String {
        let width = self.instances.iter().map(|moved| moved.name.chars().count()).max().unwrap_or_default();
        let line = |moved: &Moved| format!("{:width$}  {}\n", moved.name, moved.what);
        let notes = self.notes.iter().map(|note| format!("{note}\n"));
        self.instances.iter().map(line).chain(notes).collect()
    }
}

/// Says what is missing until an instance has left: its own addresses that are here, and another Master. Nothing: it has.
pub fn missing(instance: &InstanceStatus) -> Option<String> {
    let mut missing = Vec::new();
    let mut here = instance.addresses.iter().filter(|address| address.present);
    if let Some(first) = here.next() {
        let more = match here.count() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        missing.push(format!("{}{more} still here", first.address));
    }
    let is_recent = |age: &u64| *age <= instance.master_down_ms;
    let is_heard = instance.peers.iter().any(|peer| {
        peer.last_heard_ms.as_ref().is_some_and(is_recent) && peer.priority.is_some_and(|priority| priority > 0)
    });
    if instance.state == State::Master {
        missing.push("still MASTER".to_owned());
    } else if !is_heard {
        missing.push("no other master heard".to_owned());
    }
    (!missing.is_empty()).then(|| format!("{}: {}", instance.name, missing.join(", ")))
}

/// Characters of a reason.
pub const MAX_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;

    fn moved(name: &str, what: &str) -> Moved {
        Moved { name: name.into(), state: State::Backup, drained: true, what: what.into() }
    }

    #[test]
    fn text_has_a_line_for_each_instance() {
        let instances = vec![moved("web", "hands over"), moved("mailbox", "stays BACKUP")];
        let outcome = Outcome { node: false, instances, notes: vec!["a sentence".into()] };
        assert_eq!(outcome.text(), "web      hands over\nmailbox  stays BACKUP\na sentence\n");
    }

    #[test]
    fn an_instance_has_left_when_another_master_is_heard_and_no_address_is_here() {
        let backup = samples::status(&[(samples::backup("web"), vec![false, false])]).instances.remove(0);
        assert_eq!(missing(&backup), None);
        let holding = samples::status(&[(samples::backup("web"), vec![true, true])]).instances.remove(0);
        assert_eq!(missing(&holding).unwrap(), "web: 10.0.0.30/32 and 1 more still here");
        let mut silent = backup.clone();
        silent.peers[0].last_heard_ms = Some(silent.master_down_ms + 1);
        assert_eq!(missing(&silent).unwrap(), "web: no other master heard");
        let mut resigned = backup;
        resigned.peers[0].priority = Some(0);
        assert_eq!(missing(&resigned).unwrap(), "web: no other master heard");
        let master = samples::status(&[(samples::router("web"), vec![true, false])]).instances.remove(0);
        assert_eq!(missing(&master).unwrap(), "web: 10.0.0.30/32 still here, still MASTER");
    }
}
