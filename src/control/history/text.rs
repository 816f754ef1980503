//! The history for a person: a line for each entry, its cause below it where it does not fit beside it.
//!
//! At most 80 columns where words allow it. One stop before: the entries. One stop after: a terminal.

use super::Entry;

/// Returns the lines of one entry, newlines included.
pub fn text(entry: &Entry) -> String {
    let what = match (entry.from, entry.to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        _ => entry.kind.word().to_owned(),
    };
    let whose = match (&entry.instance, &entry.group) {
        (Some(instance), _) => clean(instance),
        (None, Some(group)) => format!("group {}", clean(group)),
        (None, None) => "-".to_owned(),
    };
    let head = format!("{}  {whose}  {what}", clean(&entry.at));
    let cause = cause(entry);
    if cause.is_empty() {
        return head + "\n";
    }
    if head.chars().count() + 2 + cause.chars().count() <= COLUMNS {
        return format!("{head}  {cause}\n");
    }
    head + "\n" + &wrapped(&cause)
}

/// Returns the line of what was found out about an entry that was shown before; empty when nothing was.
pub fn finding_text(entry: &Entry) -> String {
    let instance = entry.instance.as_deref().map_or_else(|| "-".to_owned(), clean);
    let peer = entry.peer.as_deref().map_or_else(String::new, |peer| format!(" ({})", clean(peer)));
    entry
        .finding
        .as_deref()
        .map_or_else(String::new, |finding| wrapped(&format!("{instance}: {}{peer}", clean(finding))))
}

/// Says why, with the numbers that there are and with what was found later.
fn cause(entry: &Entry) -> String {
    let mut words = match (entry.missed, entry.last_heard_ms, &entry.peer) {
        (Some(missed), Some(silence), Some(peer)) => {
            let adverts = if missed == 1 { "advert" } else { "adverts" };
            format!("{missed} {adverts} missed, {} last heard {} ago", clean(peer), seconds(silence))
        }
        (Some(_), Some(silence), None) => format!("no master heard for {}", seconds(silence)),
        (_, _, Some(peer)) if !entry.reason.contains(peer.as_str()) => {
            format!("{} ({})", clean(&entry.reason), clean(peer))
        }
        (_, _, _) => clean(&entry.reason),
    };
    if let Some(finding) = &entry.finding {
        words = format!("{words}; {}", clean(finding));
    }
    words
}

/// Returns a length with two digits behind the point.
fn seconds(ms: u64) -> String {
    let hundredths = ms.saturating_add(5) / 10;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

/// Breaks words into indented lines.
fn wrapped(words: &str) -> String {
    let (mut lines, mut line) = (String::new(), INDENT.to_owned());
    for word in words.split(' ') {
        if line != INDENT && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &line;
            lines.push('\n');
            INDENT.clone_into(&mut line);
        }
        if line != INDENT {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}

/// Keeps text on its line: what came from elsewhere must not command a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

const COLUMNS: usize = 80;
const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::super::tests::day;
    use super::*;

    #[test]
    fn the_text_is_the_golden_one_and_fits() {
        let all: String = day().iter().map(text).collect();
        assert_eq!(all, include_str!("../../../tests/cli/history.txt"));
        assert!(all.lines().all(|line| line.chars().count() <= COLUMNS), "{all}");
    }

    #[test]
    fn who_never_heard_anybody_missed_nothing() {
        let takeover = Entry { peer: None, finding: None, ..day()[2].clone() };
        assert!(text(&takeover).contains("no master heard for 3.61 s"), "{}", text(&takeover));
        let one = Entry { missed: Some(1), last_heard_ms: Some(9), ..day()[2].clone() };
        assert!(text(&one).contains("1 advert missed, 10.0.0.21 last heard 0.01 s ago;"), "{}", text(&one));
    }

    #[test]
    fn words_of_others_cannot_command_a_terminal() {
        let entry =
            Entry { reason: "\u{1b}[2J\nforged".to_owned(), instance: Some("a\rb".to_owned()), ..day()[3].clone() };
        assert_eq!(text(&entry).lines().count(), 1);
        assert!(!text(&entry).contains(['\u{1b}', '\r']));
    }
}
