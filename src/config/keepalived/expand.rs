//! Lines of files to the lines that count: conditions, definitions, sequences, parameters and included files.
//!
//! All work is bounded: a file that defines itself without end is refused, not followed. One stop before: `lexer`; one
//! stop after: `tree`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::hmac::UNSET_CREDENTIALS;
use super::include;
use super::lexer::{self, LineFault};
use super::refusal::Refusal;
use super::remark::{Remark, excerpt};
use super::report::{Report, Spot};
use super::sequence::{self, Repeat};
use crate::config::secret::VARIABLE;

/// What a file may ask of the host it is read on.
pub(super) struct Host {
    /// Equals the word behind `@`: the host name up to the first dot.
    pub config_id: String,
    /// Looks up an environment variable.
    pub variable: fn(&str) -> Option<String>,
}

impl Host {
    /// Returns what this process knows.
    pub fn of_process() -> Self {
        let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let config_id = host_name.split('.').next().unwrap_or_default().to_owned();
        Self { config_id, variable: |name| std::env::var(name).ok() }
    }
}

/// A line that counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without comment, everything replaced; never empty.
    pub text: String,
    /// Where it begins.
    pub spot: Spot,
    /// Nothing was replaced, so that columns can be counted.
    pub is_verbatim: bool,
}

/// A comment of the file that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where its line is.
    pub spot: Spot,
    /// Without the mark and outer blanks.
    pub text: String,
    /// Nothing else is on the line.
    pub is_alone: bool,
}

/// Reads files into lines.
pub(super) struct Expander<'r> {
    /// What is wrong so far.
    pub report: &'r mut Report,
    /// The lines so far.
    pub lines: Vec<Line>,
    /// The comments of file 0.
    pub comments: Vec<Comment>,
    host: &'r Host,
    definitions: BTreeMap<String, String>,
    /// Name and lines of a definition that goes on.
    unfinished: Option<(String, String)>,
    /// The files that are being read, outermost first.
    pub(super) open: Vec<PathBuf>,
    /// What `include` insists on beside its own letter.
    pub(super) include_check: include::Check,
    pub(super) directory: PathBuf,
    /// Units of work left: lines, replacements and repetitions.
    work: usize,
    /// Bytes of lines left.
    room: usize,
    is_exhausted: bool,
}

impl<'r> Expander<'r> {
    /// Makes an empty reader; `directory` is where relative names begin.
    pub fn new(report: &'r mut Report, host: &'r Host, directory: &Path) -> Self {
        Self {
            report,
            lines: Vec::new(),
            comments: Vec::new(),
            host,
            definitions: BTreeMap::new(),
            unfinished: None,
            open: Vec::new(),
            include_check: include::Check::NONE,
            directory: directory.to_owned(),
            work: WORK_MAX,
            room: ROOM_MAX,
            is_exhausted: false,
        }
    }

    /// Reads the bytes of file `file`.
    pub fn read(&mut self, file: u32, bytes: &[u8]) {
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line_number = u32::try_from(number + 1).unwrap_or(u32::MAX);
            let spot = Spot { file, line: line_number, column: 1 };
            if !self.spend(self.cost(0), line.len(), spot) {
                return;
            }
            match lexer::strip(line) {
                Err(LineFault::Long) => self.report.remark(spot, Remark::LongLine { bytes: line.len() }),
                Err(LineFault::Nul) => self.report.remark(spot, Remark::NulLine),
                Ok(stripped) => {
                    let spot = Spot { column: stripped.column, ..spot };
                    if stripped.is_garbled {
                        self.report.remark(spot, Remark::NotUtf8);
                    }
                    if stripped.has_open_quote {
                        self.report.remark(spot, Remark::OpenQuote);
                    }
                    if let (0, Some(text)) = (file, stripped.comment) {
                        self.comments.push(Comment { spot, text, is_alone: stripped.text.is_empty() });
                    }
                    if !stripped.text.is_empty() || self.unfinished.is_some() {
                        self.take(&stripped.text, spot, true, 0);
                    }
                }
            }
        }
    }

    /// Reports a definition that never ended.
    pub fn finish(&mut self) {
        if let Some((name, value)) = self.unfinished.take() {
            self.definitions.insert(name, value);
        }
    }

    /// Takes one line in; `depth` counts the replacements it came through.
    fn take(&mut self, text: &str, spot: Spot, is_verbatim: bool, depth: usize) {
        if depth > DEPTH_MAX || !self.spend(self.cost(depth), text.len(), spot) {
            return self.exhaust(spot);
        }
        if self.go_on_defining(text) || self.define(text) {
            return;
        }
        if let Some((check, pattern)) = include::directive(text) {
            return self.include(check, pattern, spot);
        }
        if let Some(rest) = text.strip_prefix('@') {
            let (id, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let is_ours = match id.strip_prefix('^') {
                Some(other) => other != self.host.config_id,
                None => id == self.host.config_id,
            };
            let rest = rest.trim();
            if is_ours && !rest.is_empty() {
                self.take(rest, spot, false, depth + 1);
            }
            return;
        }
        if text.starts_with("~SEQ") || text.starts_with("~LST") {
            return self.repeat(text, spot, depth);
        }
        let Some(replaced) = self.replaced(text, spot) else {
            return self.emit(text.to_owned(), spot, is_verbatim);
        };
        let is_special = replaced.contains('\n') || replaced.starts_with(['@', '~']);
        if !is_special && include::directive(&replaced).is_none() {
            return self.emit(replaced, spot, false);
        }
        for line in replaced.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
            self.take(line, spot, false, depth + 1);
        }
    }

    fn emit(&mut self, text: String, spot: Spot, is_verbatim: bool) {
        if let Some(words) = text.strip_prefix("include_check") {
            self.include_check = self.include_check.changed(words);
        }
        if !text.trim().is_empty() {
            self.lines.push(Line { text: text.trim().to_owned(), spot, is_verbatim });
        }
    }

    /// Adds a line to a definition that goes on; says whether there is one.
    fn go_on_defining(&mut self, text: &str) -> bool {
        let Some((name, mut value)) = self.unfinished.take() else { return false };
        let (text, goes_on) = match text.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (text, false),
        };
        if !value.is_empty() {
            value.push('\n');
        }
        value.push_str(text.trim());
        if goes_on {
            self.unfinished = Some((name, value));
        } else {
            self.definitions.insert(name, value);
        }
        true
    }

    /// Reads `$NAME=value`; says whether the line is one.
    fn define(&mut self, text: &str) -> bool {
        let Some((name, value)) = text.strip_prefix('$').and_then(|text| text.split_once('=')) else { return false };
        if !is_name(name) {
            return false;
        }
        match value.trim().strip_suffix('\\') {
            Some(first) => self.unfinished = Some((name.to_owned(), first.trim().to_owned())),
            None => {
                self.definitions.insert(name.to_owned(), value.trim().to_owned());
            }
        }
        true
    }

    fn repeat(&mut self, text: &str, spot: Spot, depth: usize) {
        let Some((head, rest)) = sequence::cut(text) else {
            return self.report.remark(spot, Remark::BadSequence { text: excerpt(text) });
        };
        let head = self.replaced(head, spot).unwrap_or_else(|| head.to_owned());
        let Some(repeat) = Repeat::parse(&head) else {
            return self.report.remark(spot, Remark::BadSequence { text: excerpt(text) });
        };
        let saved: Vec<_> = repeat.names().map(|name| (name.to_owned(), self.definitions.get(name).cloned())).collect();
        for round in repeat.rounds() {
            self.definitions.extend(round);
            self.take(rest, spot, false, depth + 1);
            if self.is_exhausted {
                break;
            }
        }
        for (name, value) in saved {
            match value {
                Some(value) => self.definitions.insert(name, value),
                None => self.definitions.remove(&name),
            };
        }
    }

    /// Returns the text with every known parameter replaced; `None` when there is none.
    fn replaced(&mut self, text: &str, spot: Spot) -> Option<String> {
        if !text.contains('$') {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let has_changed = self.replace(text, spot, 0, &mut out);
        has_changed.then_some(out)
    }

    fn replace(&mut self, text: &str, spot: Spot, depth: usize, out: &mut String) -> bool {
        let mut has_changed = false;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if depth > DEPTH_MAX || out.len() > EXPANDED_MAX || !self.spend(1, 0, spot) {
                self.exhaust(spot);
                return has_changed;
            }
            match parameter(after).and_then(|(name, after)| Some((self.value(name, spot)?, after))) {
                Some((value, after)) => {
                    self.replace(&value, spot, depth + 1, out);
                    has_changed = true;
                    rest = after;
                }
                None => {
                    out.push('$');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        has_changed
    }

    /// Returns what a parameter stands for; a definition of the file comes before what is predefined.
    fn value(&mut self, parameter: &str, spot: Spot) -> Option<String> {
        let (name, arguments) = parameter.split_once(char::is_whitespace).unwrap_or((parameter, ""));
        if let Some(value) = self.definitions.get(name) {
            return Some(value.clone());
        }
        match name {
            "_PWD" => Some(self.directory.display().to_string()),
            "_INSTANCE" => Some(self.host.config_id.clone()),
            "_ENV" => Some(self.variable(arguments.trim())),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_RANDOM" => {
                let least = arguments.split_whitespace().next().unwrap_or("0").to_owned();
                self.report.remark(spot, Remark::Random { taken: excerpt(&least) });
                Some(least)
            }
            _ => None,
        }
    }

    /// Returns an environment variable; one that is not set is empty.
    ///
    /// The place of systemd's credentials is not: a key is named by it, and that name is needed on a host without it too.
    fn variable(&self, name: &str) -> String {
        let value = (self.host.variable)(name).unwrap_or_default();
        if name == VARIABLE && value.is_empty() { UNSET_CREDENTIALS.to_owned() } else { value }
    }

    /// Returns what a line costs: nothing where it stands in the file itself, whose size is limited.
    fn cost(&self, depth: usize) -> usize {
        usize::from(depth > 0 || self.open.len() > 1)
    }

    /// Takes work and bytes from what is left; false when nothing is.
    pub(super) fn spend(&mut self, work: usize, bytes: usize, spot: Spot) -> bool {
        match (self.work.checked_sub(work), self.room.checked_sub(bytes)) {
            (Some(work), Some(room)) if !self.is_exhausted => {
                (self.work, self.room) = (work, room);
                true
            }
            _ => {
                self.exhaust(spot);
                false
            }
        }
    }

    fn exhaust(&mut self, spot: Spot) {
        if !self.is_exhausted {
            self.is_exhausted = true;
            self.report.refuse(spot, Refusal::Endless);
        }
    }
}

/// Cuts the name of a parameter off the text behind `$`; the blank or comma behind a bare name stays.
fn parameter(after: &str) -> Option<(&str, &str)> {
    if let Some(braced) = after.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| name.starts_with(|c: char| c == '_' || c.is_alphabetic()));
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    (is_name(name) && (rest.is_empty() || rest.starts_with([' ', '\t', ',', ')', '\n']))).then_some((name, rest))
}

/// Says whether a text can be the name of a definition.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

const WORK_MAX: usize = 100_000;
const ROOM_MAX: usize = 32 * 1024 * 1024;
const DEPTH_MAX: usize = 32;
const EXPANDED_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let host = Host { config_id: "lb1".into(), variable: |name| (name == "VIP").then(|| "10.0.0.9".into()) };
        let mut report = Report::new("f");
        let mut expander = Expander::new(&mut report, &host, Path::new("/etc/k"));
        expander.read(0, text.as_bytes());
        expander.finish();
        let lines = expander.lines.into_iter().map(|line| line.text).collect();
        (lines, report.into_problems().iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn assert_lines(text: &str, lines: &[&str]) {
        assert_eq!(read(text), (lines.iter().map(|line| (*line).to_owned()).collect(), Vec::new()), "{text}");
    }

    #[test]
    fn conditions_choose_lines_by_host() {
        assert_lines("@lb1 a\n@lb2 b\n@^lb1 c\n@^lb2 d", &["a", "d"]);
        assert_lines("@lb1 $X=1\n@lb2 $X=2\np ${X}", &["p 1"]);
    }

    #[test]
    fn definitions_are_replaced_where_the_name_ends() {
        assert_lines("$A=1\n$B=${A}2\nx $A y$A ${A}z $B", &["x 1 y1 1z 12"]);
        assert_lines("$A=1\nx $AB $A/24 $A,$A)", &["x $AB $A/24 1,1)"]);
        assert_lines("$A=1\n$C=$A\n$A=2\nx $C", &["x 2"]);
        assert_lines(
            "$E=\nx ${E}y ${_HASH}${_BANG} ${_INSTANCE} ${_PWD} ${_ENV VIP}${_ENV NO}",
            &["x y #! lb1 /etc/k 10.0.0.9"],
        );
        assert_lines("x ${_ENV CREDENTIALS_DIRECTORY}/y", &["x $CREDENTIALS_DIRECTORY/y"]);
        assert_lines("script \"echo $HOME ${HOME}\"", &["script \"echo $HOME ${HOME}\""]);
    }

    #[test]
    fn definitions_of_several_lines_become_several_lines() {
        assert_lines("$M= \\\n a 1 \\\n @lb2 b \\\n @lb1 c $N\n$N=7\nx\n$M", &["x", "a 1", "c 7"]);
        assert_lines("$M= \\\n a \\\n b\nq $M", &["q a", "b"]);
    }

    #[test]
    fn sequences_repeat_the_rest() {
        assert_lines("~SEQ(i, 1, 3) a $i", &["a 1", "a 2", "a 3"]);
        assert_lines("~SEQ(i, 2) a$i", &["a1", "a2"]);
        assert_lines("~SEQ(i, 6, -2, 3) a$i", &["a6", "a4"]);
        assert_lines("~SEQx(i, 9, 11) a$i", &["a9", "aa", "ab"]);
        assert_lines("~LST(i, x, y) ~SEQ(j, 2) $i ${j}", &["x 1", "x 2", "y 1", "y 2"]);
        assert_lines("~LST({a, b}, {1,2},{3}) ${a}-${b}.", &["1-2.", "3-."]);
        let (lines, problems) = read("~SEQ(i, 1, 0, 5) a\n~SEQ(i\n~LST() x");
        assert_eq!((lines.len(), problems.len()), (0, 3), "{problems:?}");
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for text in [
            "$A=${A}\nx ${A}",
            "$A=${B}${B}\n$B=${A}${A}\nx ${A}",
            "~SEQ(i, 1, 4000000000) x $i",
            "$A= \\\n x \\\n $A\n$A",
        ] {
            let (_, problems) = read(text);
            assert_eq!(problems.len(), 1, "{text}");
            assert!(problems[0].contains("error: "), "{problems:?}");
        }
        let doubling: String = (0..40).map(|n| format!("$A{n}=${{A{}}}${{A{}}}\n", n + 1, n + 1)).collect();
        assert!(read(&format!("{doubling}x ${{A0}}")).1[0].contains("error: "));
    }
}
