//! What a reload changes, or would: the reply to `reload`, and its text.
//!
//! One stop before: `daemon::reload`. One stop after: `cli::reload`, and the log.

use serde::{Deserialize, Serialize};

/// What a reload changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Nothing was changed: it was only asked for.
    pub dry_run: bool,
    /// Instances to which nothing happens.
    pub kept: Vec<String>,
    /// Instances that change in place.
    pub updated: Vec<Update>,
    /// Instances that end and begin anew, because name, interface, VRID, family or version is another.
    pub replaced: Vec<String>,
    /// Instances that begin.
    pub added: Vec<String>,
    /// Instances that hand over and end.
    pub removed: Vec<String>,
    /// What is about no instance: checks, groups, static entries, hooks of the daemon. Sentences.
    pub other: Vec<String>,
    /// Who changes the state because of it, or may. Sentences; empty: no instance does.
    pub state_changes: Vec<String>,
    /// What takes a restart, and is as it was. Sentences.
    pub needs_restart: Vec<String>,
    /// What should be looked at in the file, `FILE:LINE:COL: warning: text`.
    pub warnings: Vec<String>,
}

/// An instance that changes in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its name.
    pub name: String,
    /// What changes, such as `priority 100 -> 90`.
    pub what: Vec<String>,
}

impl Changes {
    /// Returns the text for a person, a line for each thing, at most 80 columns where words allow it.
    pub fn text(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.kept.is_empty() {
            lines.push(format!("kept {}", self.kept.len()));
        }
        for update in &self.updated {
            wrap(&mut lines, &format!("{}: {}", update.name, update.what.join(", ")));
        }
        let named = [("replaced", &self.replaced), ("added", &self.added), ("removed", &self.removed)];
        for (what, names) in named.into_iter().filter(|(_, names)| !names.is_empty()) {
            wrap(&mut lines, &format!("{what} {}: {}", names.len(), names.join(", ")));
        }
        for sentence in self.other.iter().chain(&self.needs_restart).chain(&self.state_changes) {
            wrap(&mut lines, sentence);
        }
        if self.state_changes.is_empty() {
            lines.push("no instance changes state".to_owned());
        }
        lines
    }

    /// Returns the same in one line, for a log; long lists by their number.
    pub fn summary(&self) -> String {
        let counts = [
            ("kept", self.kept.len()),
            ("updated", self.updated.len()),
            ("replaced", self.replaced.len()),
            ("added", self.added.len()),
            ("removed", self.removed.len()),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        counts.map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }
}

/// Adds a line, broken between words with what follows indented.
fn wrap(lines: &mut Vec<String>, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut line, INDENT.to_owned()));
        }
        if !line.is_empty() && line != INDENT {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

const COLUMNS: usize = 80;
const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_what_happens_and_to_whom() {
        let changes = Changes {
            kept: vec!["db".into(), "mail".into()],
            updated: vec![Update {
                name: "web".into(),
                what: vec!["priority 100 -> 90".into(), "addresses +10.0.0.31/32".into()],
            }],
            removed: vec!["old".into()],
            ..Changes::default()
        };
        let expected = [
            "kept 2",
            "web: priority 100 -> 90, addresses +10.0.0.31/32",
            "removed 1: old",
            "no instance changes state",
        ];
        assert_eq!(changes.text(), expected);
        assert_eq!(changes.summary(), "2 kept, 1 updated, 1 removed");
        let told = Changes { state_changes: vec!["web hands over".into()], ..changes };
        assert_eq!(told.text().last().map(String::as_str), Some("web hands over"));
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let what = vec![format!("addresses {}", vec!["+10.0.0.31/32"; 20].join(" "))];
        let changes = Changes { updated: vec![Update { name: "web".into(), what }], ..Changes::default() };
        let text = changes.text();
        assert!(text.len() > 3 && text.iter().all(|line| line.len() <= 80), "{text:#?}");
        assert!(text[1].starts_with("    +10.0.0.31/32 +"), "{text:#?}");
    }
}
