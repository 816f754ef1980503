//! What watches over the balancers of a pair: the kind of check and what its verdict does, as written for each daemon.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use vrrpd::demo::lab::Node::{self, A};
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::Version;

use crate::balancer::{Balancer, Failure, HEALTH};
use crate::driver::{Kind, config};
use crate::stories::quick;

/// Failures in a row that count.
const FALL: u32 = 2;
/// What a failed check with a weight adds: enough to lose against the other node.
pub const WEIGHT: i32 = -150;

/// A kind of check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// The balancer's process, by its pid file.
    Process,
    /// A connection to where it says its health.
    Tcp,
    /// A request there.
    Http,
    /// The same by curl.
    Exec,
}

/// What its verdict does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Without weight: FAULT.
    Fault,
    /// The priority falls below that of the other node.
    Weight,
}

/// A pair of nodes and what watches over the balancers.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// What runs on node a, which has priority 200, and on node b, which has 100.
    pub kinds: [Kind; 2],
    /// Whether node b takes the address from a living node with less priority.
    pub backup_preempts: bool,
    /// Version 2, an advert a second, instead of version 3 and ten.
    pub is_v2: bool,
}

impl Check {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Process, Self::Tcp, Self::Http, Self::Exec];

    /// The table at the head of `serving.rs`.
    pub fn sees(self, failure: Failure) -> bool {
        match (self, failure) {
            (_, Failure::Killed) => true,
            (Self::Process | Self::Tcp, Failure::Hung | Failure::Refusing) => false,
            (Self::Http | Self::Exec, Failure::Hung | Failure::Refusing) => true,
        }
    }

    /// What it says of what it sees, in part.
    pub fn words(self, failure: Failure) -> &'static str {
        match (self, failure) {
            (Self::Process, _) => "none running",
            (Self::Tcp | Self::Http, Failure::Killed) => "refused",
            (Self::Http, Failure::Refusing) => "503",
            (Self::Tcp | Self::Http, Failure::Hung | Failure::Refusing) | (Self::Exec, Failure::Hung) => "timed out",
            // Statuses of curl: it could not connect; the server said no.
            (Self::Exec, Failure::Killed) => "exit status 7",
            (Self::Exec, Failure::Refusing) => "exit status 22",
        }
    }

    /// From one look to the next, and how long one may take.
    fn interval(self, kind: Kind) -> Duration {
        match (kind, self) {
            // Whole seconds are all it has.
            (Kind::Keepalived | Kind::VrrpdConf | Kind::Frr, _) => Duration::from_secs(1),
            // It is told, and counts the first time.
            (Kind::Vrrpd, Self::Process) => Duration::ZERO,
            (Kind::Vrrpd, Self::Tcp | Self::Http) => Duration::from_millis(100),
            // To start a program takes a busy machine some time.
            (Kind::Vrrpd, Self::Exec) => Duration::from_millis(250),
        }
    }

    /// How long it takes at most until the check has failed.
    pub fn detection(self, kind: Kind, failure: Failure) -> Duration {
        let interval = self.interval(kind);
        match failure {
            Failure::Killed | Failure::Refusing => interval * FALL,
            Failure::Hung => interval * FALL + interval,
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.kinds;
        let patience = if self.backup_preempts { "" } else { " (nopreempt)" };
        write!(f, "{a:?} / {b:?}{patience}{}", if self.is_v2 { " v2" } else { "" })
    }
}

/// What each daemon of a pair is told, as `node` is told it.
pub fn plan(pair: Pair, node: Node) -> Plan {
    let (version, interval) = match pair.is_v2 {
        true => (Version::V2, Duration::from_secs(1)),
        false => (Version::V3, Duration::from_millis(100)),
    };
    Plan { version, interval, preempt: node == A || pair.backup_preempts, ..quick() }
}

/// Writes a node's configuration file; `folder` is its balancer's.
pub fn file(pair: Pair, check: Check, by: By, node: Node, folder: &Path) -> String {
    let kind = pair.kinds[node.index()];
    let text = config(kind, &plan(pair, node), node);
    match kind {
        Kind::Keepalived | Kind::VrrpdConf | Kind::Frr => keepalived_conf(&text, check, by, folder),
        Kind::Vrrpd => toml(&text, check, by, folder),
    }
}

fn toml(text: &str, check: Check, by: By, folder: &Path) -> String {
    let track = match by {
        By::Fault => "\"haproxy\"".to_owned(),
        By::Weight => format!("{{ name = \"haproxy\", weight = {WEIGHT} }}"),
    };
    let kind = match check {
        Check::Process => format!("process = {{ pid_file = \"{}\" }}", Balancer::pid_file(folder).display()),
        Check::Tcp => format!("tcp = \"{HEALTH}\""),
        Check::Http => format!("http = \"http://{HEALTH}/health\""),
        Check::Exec => format!("exec = [\"{}\"]", curl().join("\", \"")),
    };
    let times = match check {
        Check::Process => String::new(),
        Check::Tcp | Check::Http | Check::Exec => {
            let ms = check.interval(Kind::Vrrpd).as_millis();
            format!("interval = \"{ms}ms\"\ntimeout = \"{ms}ms\"\nrise = 2\nfall = {FALL}\n")
        }
    };
    format!("{text}checks = [{track}]\n\n[check.haproxy]\n{kind}\n{times}")
}

/// A script is all it has for this; by a process it means the pid file, as `killall` cannot tell namespaces apart.
fn keepalived_conf(text: &str, check: Check, by: By, folder: &Path) -> String {
    let script = match check {
        Check::Process => format!("/bin/sh -c 'kill -0 $(cat {})'", Balancer::pid_file(folder).display()),
        Check::Tcp | Check::Http | Check::Exec => curl().join(" "),
    };
    let weight = match by {
        By::Fault => String::new(),
        By::Weight => format!("  weight {WEIGHT}\n"),
    };
    let block = format!(
        "vrrp_script haproxy {{\n  script \"{script}\"\n  interval 1\n  timeout 1\n  rise 2\n  fall {FALL}\n{weight}}}\n"
    );
    let instance = "vrrp_instance web {";
    text.replace(instance, &format!("{block}{instance}\n  track_script {{\n    haproxy\n  }}"))
}

/// Program and arguments.
fn curl() -> Vec<String> {
    // Its own time limit is far beyond the check's.
    let words = ["/usr/bin/curl", "-sf", "-o", "/dev/null", "--max-time", "5"];
    words.into_iter().map(str::to_owned).chain([format!("http://{HEALTH}/health")]).collect()
}
