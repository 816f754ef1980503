//! Collects everything that is wrong with a file and says where.
//!
//! One stop before: a reader that found something; one stop after: `vrrpd check`, or the daemon's log.

use std::fmt;

use super::error::{ConfigError, Doubt};
use super::source::{Place, Source};

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used; somebody should look at it.
    Warning,
    /// It works; this is worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One thing that is wrong, with its place. `Display` is `FILE:LINE:COL: error|warning|note: text`.
#[derive(Debug)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub finding: Finding,
}

/// What is wrong.
#[derive(Debug)]
pub enum Finding {
    /// The configuration cannot be used.
    Error(ConfigError),
    /// It can be used; somebody should look at it.
    Warning(Doubt),
    /// It works; this is worth knowing.
    Note(Doubt),
}

impl Finding {
    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Error(_) => Severity::Error,
            Self::Warning(_) => Severity::Warning,
            Self::Note(_) => Severity::Note,
        }
    }
}

impl Problem {
    /// Makes the problem of a file that cannot be looked into; it stands at line 1, column 1.
    pub(super) fn of_file(name: impl Into<String>, error: ConfigError) -> Self {
        Self { file: name.into(), line: 1, column: 1, finding: Finding::Error(error) }
    }

    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        self.finding.severity()
    }

    /// Returns the text without place and severity.
    pub fn text(&self) -> String {
        match &self.finding {
            Finding::Error(error) => error.to_string(),
            Finding::Warning(doubt) | Finding::Note(doubt) => doubt.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity(), self.text())
    }
}

/// Everything that is wrong with one file, in the order of the file; at least one is an error.
///
/// `Display` is one line each, without a line feed after the last.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Collects problems while a file is read.
#[derive(Debug)]
pub(super) struct Report<'s> {
    source: &'s Source,
    found: Vec<(Place, Finding)>,
    has_errors: bool,
}

impl<'s> Report<'s> {
    /// Makes an empty report about `source`.
    pub fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new(), has_errors: false }
    }

    /// Adds an error.
    pub fn error(&mut self, place: Place, error: impl Into<ConfigError>) {
        self.has_errors = true;
        self.found.push((place, Finding::Error(error.into())));
    }

    /// Adds a warning.
    pub fn warn(&mut self, place: Place, doubt: Doubt) {
        self.found.push((place, Finding::Warning(doubt)));
    }

    /// Returns the line of a place, from 1.
    pub fn line(&self, place: Place) -> usize {
        self.source.position(place).0
    }

    /// Says whether an error was added.
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Returns what was found in the order of the file, errors before warnings at one place.
    ///
    /// A file with more than [`SHOWN`] problems is another kind of file: the rest is counted, not shown.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(place, finding)| (*place, finding.severity()));
        let problem = |(place, finding)| {
            let (line, column) = self.source.position(place);
            Problem { file: self.source.name().to_owned(), line, column, finding }
        };
        shorten(self.found.into_iter().map(problem).collect(), self.has_errors)
    }
}

/// Keeps the first [`SHOWN`] problems of a file and counts the rest in one more.
pub(super) fn shorten(mut problems: Vec<Problem>, has_errors: bool) -> Vec<Problem> {
    let hidden = problems.len().saturating_sub(SHOWN);
    problems.truncate(SHOWN);
    // The rest holds an error whenever the file has one: a reader of the last line must not take it for usable.
    if let (Some(last), true) = (problems.last(), hidden > 0) {
        let finding = if has_errors {
            Finding::Error(ConfigError::TooMany { hidden })
        } else {
            Finding::Warning(Doubt::TooMany { hidden })
        };
        problems.push(Problem { file: last.file.clone(), line: last.line, column: last.column, finding });
    }
    problems
}

/// How many problems of one file are shown.
pub(super) const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_in_the_order_of_the_file_and_end() {
        let source = Source::from_text("f.toml", "a\n".repeat(300));
        let mut report = Report::new(&source);
        for line in (0..150).rev() {
            report.error(Place(line * 2), ConfigError::Syntax("no".into()));
        }
        let problems = report.into_problems();
        assert_eq!(problems.len(), SHOWN + 1);
        assert_eq!(problems[0].to_string(), "f.toml:1:1: error: not TOML: no");
        assert_eq!(problems[SHOWN].to_string(), "f.toml:100:1: error: 50 more problems follow; mend these first");
    }
}
