//! Collects what a keepalived.conf and its included files say that is wrong, dropped or understood differently.
//!
//! One stop before: every reader of this room; one stop after: `problem`, whose lines an operator reads.

use super::refusal::Refusal;
use super::remark::Remark;
use crate::config::error::{ConfigError, Doubt};
use crate::config::problem::{Finding, Problem, SHOWN, shorten};

/// A place in one of the files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Spot {
    /// Which file, in the order they were opened; 0 is the one that was named.
    pub file: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with the place it is written at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub spot: Spot,
}

/// Collects findings.
#[derive(Debug)]
pub(super) struct Report {
    files: Vec<String>,
    found: Vec<(Spot, Finding)>,
    has_errors: bool,
}

impl Report {
    /// Makes an empty report; `name` is that of file 0.
    pub fn new(name: &str) -> Self {
        Self { files: vec![name.to_owned()], found: Vec::new(), has_errors: false }
    }

    /// Adds a file; returns its number.
    pub fn add_file(&mut self, name: String) -> u32 {
        self.files.push(name);
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns the name of the file that a place is in.
    pub fn file(&self, spot: Spot) -> &str {
        self.files.get(spot.file as usize).map_or("", String::as_str)
    }

    /// Returns the names of all files in the order they were opened.
    pub fn names(&self) -> &[String] {
        &self.files
    }

    /// Returns how many files were opened.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Adds something that Keepalived could not run either.
    pub fn refuse(&mut self, spot: Spot, refusal: Refusal) {
        self.has_errors = true;
        self.add(spot, Finding::Error(ConfigError::Keepalived(refusal)));
    }

    /// Adds something that is dropped or understood differently, or merely worth knowing.
    pub fn remark(&mut self, spot: Spot, remark: Remark) {
        let is_note = remark.is_note();
        let doubt = Doubt::Keepalived(remark);
        self.add(spot, if is_note { Finding::Note(doubt) } else { Finding::Warning(doubt) });
    }

    /// Says whether further findings will be counted and not shown, so that nothing need be guessed for them.
    pub fn is_crowded(&self) -> bool {
        self.found.len() > SHOWN
    }

    /// Says whether something was refused.
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Returns what was found, file by file and line by line; see `problem::shorten`.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(spot, finding)| (*spot, finding.severity()));
        let problem = |(spot, finding): (Spot, Finding)| Problem {
            file: self.files.get(spot.file as usize).cloned().unwrap_or_default(),
            line: spot.line.max(1) as usize,
            column: spot.column.max(1) as usize,
            finding,
        };
        shorten(self.found.into_iter().map(problem).collect(), self.has_errors)
    }

    /// A file of nothing but mistakes must not fill the memory.
    fn add(&mut self, spot: Spot, finding: Finding) {
        if self.found.len() < KEPT {
            self.found.push((spot, finding));
        }
    }
}

/// How many findings are kept; far more than are shown.
const KEPT: usize = 20_000;
