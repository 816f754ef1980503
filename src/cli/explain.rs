//! `vrrpd explain`: who is Master, and what happens if, from the files alone.
//!
//! One stop before: the command line; one stop after: `config::explain`, which finds it.

mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use super::{Exit, ExplainArgs};
use crate::config::explain::seats::Cluster;
use crate::config::{self, Format, Keys, Loaded, Severity};

/// Explains the files, all together.
///
/// Exit code: 0; 78 when a file is wrong, or when two of them would make two masters or lose an address.
pub fn run(args: &ExplainArgs) -> Exit {
    let default = [config::default_path()];
    let paths: &[PathBuf] = if args.paths.is_empty() { &default } else { &args.paths };
    let keys = if args.no_programs { Keys::LeftAlone } else { Keys::Read };
    let mut loaded: Vec<(String, Loaded)> = Vec::new();
    let mut is_wrong = false;
    for path in paths {
        match config::load_with(path, args.format.map(Format::from), keys) {
            Ok(good) => loaded.push((path.display().to_string(), good)),
            Err(problems) => {
                is_wrong = true;
                let _ = writeln!(io::stderr(), "{problems}");
            }
        }
    }
    if is_wrong {
        return Exit::Config;
    }
    let files: Vec<(&str, &Loaded)> = loaded.iter().map(|(name, loaded)| (name.as_str(), loaded)).collect();
    let cluster = Cluster::of(&files);
    let differences = cluster.differences();
    let mut out = text::differences(&differences);
    for router in &cluster.routers {
        out.push_str(&text::router(&cluster, router));
    }
    let warnings = loaded.iter().flat_map(|(_, loaded)| &loaded.warnings);
    let told: Vec<String> =
        warnings.filter(|warning| warning.severity() != Severity::Note).map(|warning| warning.to_string()).collect();
    out.push_str(&text::warnings(&told));
    match io::stdout().lock().write_all(out.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Software,
        _ if differences.iter().any(|difference| difference.is_dangerous) => Exit::Config,
        Err(_) | Ok(()) => Exit::Good,
    }
}
