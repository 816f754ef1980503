//! `vrrpd check`: what is wrong with these files, and with the programs they name?
//!
//! One stop before: the command line; one stop after: `config` and `daemon::audit`, which find it.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CheckArgs, Exit};
use crate::config::{self, Config, Format, Keys, Loaded, Problem, Problems, Severity, keepalived};
use crate::daemon::audit;

/// Checks every file and prints what is wrong.
pub fn run(args: &CheckArgs) -> Exit {
    let default = [config::default_path()];
    let paths: &[PathBuf] = if args.paths.is_empty() { &default } else { &args.paths };
    let format = args.format.map(Format::from);
    let keys = if args.no_programs { Keys::LeftAlone } else { Keys::Read };
    let loaded: Vec<(String, Result<Loaded, Problems>)> =
        paths.iter().map(|path| (path.display().to_string(), load(path, format, keys))).collect();
    let good: Vec<(&str, &Loaded)> =
        loaded.iter().filter_map(|(name, result)| Some((name.as_str(), result.as_ref().ok()?))).collect();
    let of_pairs = keepalived::weak_weights(&good);
    let of_files = loaded.iter().flat_map(|(name, result)| match result {
        Ok(loaded) => {
            let of_programs = if args.no_programs { Vec::new() } else { programs(name, &loaded.config) };
            loaded.warnings.iter().map(Line::from).chain(of_programs).collect()
        }
        Err(problems) => problems.0.iter().map(Line::from).collect::<Vec<_>>(),
    });
    let worst = if args.strict { Severity::Warning } else { Severity::Error };
    let lines: Vec<Line> = of_files.chain(of_pairs.iter().map(Line::from)).collect();
    let printed = if args.json { print_json(&lines) } else { print_lines(&lines) };
    if lines.iter().any(|line| line.severity <= worst) {
        return Exit::Config;
    }
    // A reader that went away has seen enough; any other failure has lost warnings.
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Software,
        Err(_) | Ok(()) => Exit::Good,
    }
}

fn load(path: &Path, format: Option<Format>, keys: Keys) -> Result<Loaded, Problems> {
    if path == Path::new("-") {
        config::load_from_with("-", io::stdin().lock(), format.unwrap_or(Format::Toml), keys)
    } else {
        config::load_with(path, format, keys)
    }
}

/// Looks at the programs of a good file, on this host.
///
/// A check that cannot run has failed, so that is an error; a hook that cannot is missed by nobody but its operator.
fn programs(name: &str, config: &Config) -> Vec<Line> {
    let text = std::fs::read_to_string(name).unwrap_or_default();
    let of_line = |finding: audit::Finding| {
        let (line, column) = place_of(&finding.program, &text).unwrap_or((1, 1));
        let severity = match (finding.is_check, finding.is_bearable) {
            (true, false) => Severity::Error,
            (true, true) | (false, _) => Severity::Warning,
        };
        Line { file: name.to_owned(), line, column, severity, text: format!("{}: {}", finding.whose, finding.obstacle) }
    };
    audit::of_config(config).into_iter().map(of_line).collect()
}

/// Returns where a file names a program first, outside of comments: line and column from 1.
fn place_of(program: &str, text: &str) -> Option<(usize, usize)> {
    let is_comment = |line: &str| line.trim_start().starts_with(['#', '!']);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !is_comment(line));
    lines.find_map(|(number, line)| {
        let at = line.find(program)?;
        Some((number, line.get(..at)?.chars().count() + 1))
    })
}

/// One problem as it is printed. `Display` is `FILE:LINE:COL: error|warning|note: text`.
struct Line {
    file: String,
    line: usize,
    column: usize,
    severity: Severity,
    text: String,
}

impl From<&Problem> for Line {
    fn from(problem: &Problem) -> Self {
        let Problem { file, line, column, .. } = problem;
        let (severity, text) = (problem.severity(), problem.text());
        Self { file: file.clone(), line: *line, column: *column, severity, text }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity, self.text)
    }
}

/// Prints a line each on standard error.
pub(super) fn print_lines(problems: &[impl Display]) -> io::Result<()> {
    let mut lines = String::new();
    for problem in problems {
        lines.push_str(&problem.to_string());
        lines.push('\n');
    }
    io::stderr().lock().write_all(lines.as_bytes())
}

fn print_json(lines: &[Line]) -> io::Result<()> {
    let problems = lines.iter().map(|line| ProblemObject {
        file: &line.file,
        line: line.line,
        column: line.column,
        severity: line.severity.to_string(),
        text: &line.text,
    });
    let mut text = serde_json::to_string(&CheckObject { schema: 1, problems: problems.collect() })?;
    text.push('\n');
    io::stdout().lock().write_all(text.as_bytes())
}

/// What `--json` prints; keys may be added, none renamed.
#[derive(Serialize)]
struct CheckObject<'a> {
    schema: u32,
    problems: Vec<ProblemObject<'a>>,
}

#[derive(Serialize)]
struct ProblemObject<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    severity: String,
    text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_the_file_names_it_first_and_not_in_a_comment() {
        let text = "# uses /usr/bin/probe\n[check.a]\nexec = [\"/usr/bin/probe\", \"-q\"]\n";
        assert_eq!(place_of("/usr/bin/probe", text), Some((3, 10)));
        assert_eq!(place_of("/usr/bin/other", text), None);
    }
}
