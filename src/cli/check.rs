//! `vrrpd check`: what is wrong with these files?
//!
//! One stop before: the command line; one stop after: `config`, which finds it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CheckArgs, Exit};
use crate::config::{self, Format, Loaded, Problem, Problems, Severity, keepalived};

/// Checks every file and prints what is wrong.
pub fn run(args: &CheckArgs) -> Exit {
    let default = [config::default_path()];
    let paths: &[PathBuf] = if args.paths.is_empty() { &default } else { &args.paths };
    let format = args.format.map(Format::from);
    let loaded: Vec<(String, Result<Loaded, Problems>)> =
        paths.iter().map(|path| (path.display().to_string(), load(path, format))).collect();
    let good: Vec<(&str, &Loaded)> =
        loaded.iter().filter_map(|(name, result)| Some((name.as_str(), result.as_ref().ok()?))).collect();
    let of_pairs = keepalived::weak_weights(&good);
    let of_files = loaded.into_iter().flat_map(|(_, result)| match result {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    });
    let problems: Vec<Problem> = of_files.chain(of_pairs).collect();
    let printed = if args.json { print_json(&problems) } else { print_lines(&problems) };
    if problems.iter().any(|problem| args.strict || problem.severity() == Severity::Error) {
        return Exit::Config;
    }
    // A reader that went away has seen enough; any other failure has lost warnings.
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Software,
        Err(_) | Ok(()) => Exit::Good,
    }
}

fn load(path: &Path, format: Option<Format>) -> Result<Loaded, Problems> {
    if path == Path::new("-") {
        config::load_from("-", io::stdin().lock(), format.unwrap_or(Format::Toml))
    } else {
        config::load(path, format)
    }
}

/// Prints a line each on standard error.
pub(super) fn print_lines(problems: &[Problem]) -> io::Result<()> {
    let mut lines = String::new();
    for problem in problems {
        lines.push_str(&problem.to_string());
        lines.push('\n');
    }
    io::stderr().lock().write_all(lines.as_bytes())
}

fn print_json(problems: &[Problem]) -> io::Result<()> {
    let problems = problems.iter().map(|problem| ProblemObject {
        file: &problem.file,
        line: problem.line,
        column: problem.column,
        severity: problem.severity().to_string(),
        text: problem.text(),
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
    text: String,
}
