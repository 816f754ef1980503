//! Reads texts for the tests, and converts what was read.

use vrrpd::config::keepalived::{Document, convert};
use vrrpd::config::{self, Config, Doubt, Finding, Format, Loaded, LocalHost, Problem, Remark};
use vrrpd::engine::params::{NodeParams, RouterParams};

/// Reads a keepalived.conf that must be usable.
#[track_caller]
pub fn load(text: &str) -> Loaded {
    match config::load_from("f.conf", text.as_bytes(), Format::Keepalived) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems}\n---\n{text}"),
    }
}

/// Returns all lines of a file that cannot be used.
#[track_caller]
pub fn refused(text: &str) -> String {
    match config::load_from("f.conf", text.as_bytes(), Format::Keepalived) {
        Ok(_) => panic!("usable:\n{text}"),
        Err(problems) => problems.to_string(),
    }
}

/// Returns what this host runs.
pub fn node(config: &Config) -> NodeParams {
    let host = LocalHost { addresses: &[], host_name: "lb1" };
    config.for_this_host(&host).expect("no node list, so no question")
}

/// Returns the instances as this host runs them.
pub fn routers(config: &Config) -> Vec<RouterParams> {
    node(config).routers.iter().map(|router| RouterParams::clone(router)).collect()
}

/// Returns the kinds of the warnings.
pub fn kinds(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().filter_map(remark).map(Remark::kind).collect()
}

/// Returns the remark of a warning.
pub fn remark(problem: &Problem) -> Option<&Remark> {
    match &problem.finding {
        Finding::Warning(Doubt::Keepalived(remark)) | Finding::Note(Doubt::Keepalived(remark)) => Some(remark),
        Finding::Warning(_) | Finding::Note(_) | Finding::Error(_) => None,
    }
}

/// Converts and loads again; both must be equal.
#[track_caller]
pub fn assert_converts(name: &str, loaded: &Loaded) -> String {
    let toml = convert(&loaded.config, document(loaded));
    match config::load_from("converted", toml.as_bytes(), Format::Toml) {
        Ok(again) => {
            assert_eq!(again.config, loaded.config, "{name}\n{toml}");
            // What this host runs of it, the same once more.
            assert_eq!(node(&again.config), node(&loaded.config), "{name}\n{toml}");
        }
        Err(problems) => panic!("{name}: {problems}\n{toml}"),
    }
    toml
}

/// Returns what the file said beside its configuration.
#[track_caller]
pub fn document(loaded: &Loaded) -> &Document {
    loaded.document.as_deref().expect("a keepalived.conf has one")
}
