//! A file of an operator to typed parameters of the engine.
//!
//! ```text
//! source (text) -> schema (written names) -> resolve (defaults, ranges) -> Config -> for_this_host -> NodeParams
//! bytes of a keepalived.conf -> keepalived (its own grammar)             -> Config
//! ```
//! All that is wrong is found in one go and told with file, line and column. Nothing here asks the system for more than
//! the file, and for the names of routing tables: an interface or address that is missing on this host is no mistake of
//! the file.

mod address;
mod auth;
#[cfg(test)]
mod auth_tests;
#[cfg(test)]
mod check_tests;
mod checks;
mod cross;
mod duration;
mod endpoint;
mod error;
pub mod explain;
mod fixed;
mod groups;
mod health;
#[cfg(test)]
mod health_tests;
mod hooks;
pub mod keepalived;
mod metrics;
#[cfg(test)]
mod option_tests;
mod ownership;
mod placement;
mod problem;
pub mod redact;
mod resolve;
mod route;
mod schema;
mod seats;
mod secret;
mod sense;
mod source;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod tracks;
mod vips;
mod weights;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use duration::{DurationError, parse as parse_duration};
pub use error::{
    AddressError, AuthError, CheckError, ConfigError, ConflictError, Doubt, GroupError, HealthDoubt, HookError,
    KeyError, KeyHint, OptionError, Refusal, Remark, SeatsError, TargetError, ValueError, VipError,
};
pub use placement::{Config, DaemonSettings, LocalHost, Unplaced};
pub use problem::{Finding, Problem, Problems, Severity};
pub use resolve::DEFAULT_RUNTIME_DIR;
pub use secret::{Keys, SecretError, SecretFault};
pub use source::ReadError;

use problem::Report;
use secret::Secrets;
use source::{Source, read_bytes};

/// The language of a configuration file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Ours.
    Toml,
    /// That of keepalived.conf.
    Keepalived,
}

impl Format {
    /// Returns the language by the file's name: `.conf` is keepalived.conf, everything else TOML.
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension == "conf") { Self::Keepalived } else { Self::Toml }
    }
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration of all nodes.
    pub config: Config,
    /// What should be looked at, in the order of the file; no errors among them.
    pub warnings: Vec<Problem>,
    /// What a keepalived.conf says beyond that; `None` for TOML.
    pub document: Option<Box<keepalived::Document>>,
}

/// Reads and checks a file, and the key files that it names.
///
/// `format`: `None` goes by the name. **Errors:** everything that is wrong with it, warnings included.
pub fn load(path: &Path, format: Option<Format>) -> Result<Loaded, Problems> {
    load_with(path, format, Keys::Read)
}

/// Reads and checks a file; `keys` says what is done with the key files that it names. See [`load`].
pub fn load_with(path: &Path, format: Option<Format>, keys: Keys) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let format = format.unwrap_or_else(|| Format::of(path));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let secrets = Secrets::of_process(keys, Some(path), directory);
    match File::open(path).map_err(ReadError::Unreadable) {
        Ok(file) => check(&name, file, format, &secrets),
        Err(error) => Err(Problems(vec![Problem::of_file(name, error.into())])),
    }
}

/// Reads and checks an open file, such as standard input; `name` stands before the line numbers. See [`load`].
pub fn load_from(name: &str, reader: impl Read, format: Format) -> Result<Loaded, Problems> {
    load_from_with(name, reader, format, Keys::Read)
}

/// Reads and checks an open file; `keys` says what is done with the key files that it names. See [`load_from`].
pub fn load_from_with(name: &str, reader: impl Read, format: Format, keys: Keys) -> Result<Loaded, Problems> {
    check(name, reader, format, &Secrets::of_process(keys, None, Path::new(".")))
}

/// Returns the file that is read when none is named: our own, or keepalived.conf if only that exists.
pub fn default_path() -> PathBuf {
    let (ours, theirs) = (Path::new("/etc/vrrpd/vrrpd.toml"), Path::new("/etc/keepalived/keepalived.conf"));
    if !ours.exists() && theirs.exists() { theirs.to_owned() } else { ours.to_owned() }
}

fn check(name: &str, reader: impl Read, format: Format, secrets: &Secrets) -> Result<Loaded, Problems> {
    let unreadable = |error: ReadError| Problems(vec![Problem::of_file(name, error.into())]);
    match format {
        Format::Toml => check_toml(&Source::read_from(name, reader).map_err(unreadable)?, secrets),
        Format::Keepalived => keepalived::read(name, &read_bytes(reader).map_err(unreadable)?, secrets),
    }
}

fn check_toml(source: &Source, secrets: &Secrets) -> Result<Loaded, Problems> {
    let mut report = Report::new(source);
    let config = schema::parse(source, &mut report).and_then(|document| {
        let file = schema::file(document.get_ref(), &mut report);
        resolve::resolve(&file, secrets, &mut report)
    });
    let problems = report.into_problems();
    match config {
        Some(config) => Ok(Loaded { config, warnings: problems, document: None }),
        None => Err(Problems(problems)),
    }
}
