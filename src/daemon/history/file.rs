//! The file of the history: one JSON object a line, appended to, made short again when it has grown.
//!
//! A line is an entry, or what was found later about one. A line that cannot be read is left out: the last one may be torn
//! by a crash. One stop before: `daemon::history`. One stop after: the disk; `vrrpd history` when no daemon runs.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};

use crate::control::history::{Entry, MAX_ENTRIES};
use crate::daemon::state_dir::StateDir;

/// The name of the file in the state directory.
pub const NAME: &str = "history";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Something that happened.
    Entry(Box<Entry>),
    /// What was found out later about the entry with that number.
    Finding {
        /// Which.
        of: u64,
        /// What.
        finding: String,
    },
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The last entries, oldest first, numbers ascending; at most [`MAX_ENTRIES`].
    pub entries: Vec<Entry>,
    /// How many lines the file has.
    pub lines: usize,
    /// Something in it cannot be read, or its last line has no end.
    pub is_torn: bool,
}

/// Reads the history of a state directory; one that is not there is empty.
///
/// Blocks for as long as the disk takes. **Errors:** the file cannot be read.
pub fn read(state_dir: &StateDir) -> io::Result<Content> {
    let mut file = match File::open(state_dir.file(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        Err(error) => return Err(error),
    };
    let surplus = file.metadata()?.len().saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(surplus))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let mut content = parse(&bytes);
    content.is_torn |= surplus > 0;
    Ok(content)
}

/// Reads lines, whatever they hold.
pub fn parse(bytes: &[u8]) -> Content {
    let mut entries: VecDeque<Entry> = VecDeque::new();
    let mut content = Content { is_torn: bytes.last().is_some_and(|last| *last != b'\n'), ..Content::default() };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        content.lines += 1;
        // A line without its end is not whole, although what is there may read well.
        let line = line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice::<Line>(line).ok());
        match line {
            Some(Line::Entry(entry)) if entries.back().is_none_or(|last| last.n < entry.n) => {
                entries.push_back(*entry);
                if entries.len() > MAX_ENTRIES {
                    entries.pop_front();
                }
            }
            Some(Line::Finding { of, finding }) => {
                if let Ok(index) = entries.binary_search_by_key(&of, |entry| entry.n)
                    && let Some(entry) = entries.get_mut(index)
                {
                    entry.finding = Some(finding);
                }
            }
            Some(Line::Entry(_)) | None => content.is_torn = true,
        }
    }
    content.entries = entries.into();
    content
}

/// Returns the line of an entry or a finding, newline included.
pub fn to_line(line: &Line) -> Vec<u8> {
    // All keys are strings: this cannot fail, and an empty line would be left out.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Adds lines at the end; they are on the disk when this returns.
///
/// **Errors:** some of it may be there.
pub fn append(state_dir: &StateDir, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(state_dir.file(NAME))?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Replaces the file by one that has these entries alone; whole or not at all.
pub fn rewrite(state_dir: &StateDir, entries: &[Entry]) -> io::Result<()> {
    let lines = entries.iter().flat_map(|entry| to_line(&Line::Entry(Box::new(entry.clone()))));
    state_dir.write(NAME, &lines.collect::<Vec<u8>>())
}

/// What is read of a file at most, from its end: twice a thousand entries have less than half of it.
const MAX_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::history::tests::day;

    fn bytes(entries: &[Entry]) -> Vec<u8> {
        entries.iter().flat_map(|entry| to_line(&Line::Entry(Box::new(entry.clone())))).collect()
    }

    #[test]
    fn every_truncation_is_read_and_what_is_whole_is_there() {
        let day = day();
        let mut file = bytes(&day);
        file.extend(to_line(&Line::Finding { of: 9, finding: "late".to_owned() }));
        let ends: Vec<usize> = (0..file.len()).filter(|at| file[*at] == b'\n').map(|at| at + 1).collect();
        for length in 0..=file.len() {
            let content = parse(&file[..length]);
            let whole = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(content.entries.len(), whole.min(day.len()), "{length} bytes");
            for (found, written) in content.entries.iter().zip(&day) {
                let is_late = whole > day.len() && written.n == 9;
                let finding = if is_late { Some("late".to_owned()) } else { written.finding.clone() };
                assert_eq!(*found, Entry { finding, ..written.clone() });
            }
            let is_whole = length == 0 || ends.contains(&length);
            assert_eq!(content.is_torn, !is_whole, "{length} bytes");
        }
    }

    #[test]
    fn garbage_in_the_middle_costs_its_own_line_alone() {
        let day = day();
        let mut file = bytes(&day[..2]);
        file.extend(b"\0\0\0\0\0 {\"n\":8\n\xff\xfe\n");
        file.extend(bytes(&day[2..]));
        let content = parse(&file);
        assert_eq!((content.entries, content.is_torn, content.lines), (day.clone(), true, day.len() + 2));
        assert_eq!(parse(b"{\"of\":3,\"finding\":\"of nobody\"}\n").entries, []);
    }

    #[test]
    fn no_more_than_a_thousand_are_read_of_however_many() {
        let entries: Vec<Entry> = (1..=2500).map(|n| Entry { n, ..day()[1].clone() }).collect();
        let content = parse(&bytes(&entries));
        let numbers = (content.entries.first().map(|entry| entry.n), content.entries.last().map(|entry| entry.n));
        assert_eq!((content.entries.len(), numbers, content.lines), (MAX_ENTRIES, (Some(1501), Some(2500)), 2500));
        // Numbers that do not ascend have no order.
        let twice = [bytes(&entries[..3]), bytes(&entries[..3])].concat();
        assert_eq!(parse(&twice).entries.len(), 3);
    }

    #[test]
    fn a_file_is_appended_to_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::at(dir.path().to_owned());
        assert_eq!(read(&state_dir).unwrap(), Content::default());
        let day = day();
        for entry in &day {
            append(&state_dir, &bytes(std::slice::from_ref(entry))).unwrap();
        }
        assert_eq!(read(&state_dir).unwrap().entries, day);
        rewrite(&state_dir, &day[4..]).unwrap();
        assert_eq!(read(&state_dir).unwrap(), Content { entries: day[4..].to_vec(), lines: 3, is_torn: false });
        assert!(append(&StateDir::at(dir.path().join("missing")), b"").is_err());
    }

    #[test]
    fn of_a_file_that_is_too_long_the_end_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::at(dir.path().to_owned());
        let mut file = vec![b'x'; MAX_BYTES as usize];
        file.push(b'\n');
        file.extend(bytes(&day()));
        std::fs::write(state_dir.file(NAME), file).unwrap();
        let content = read(&state_dir).unwrap();
        assert_eq!((content.entries, content.is_torn), (day(), true));
    }
}
