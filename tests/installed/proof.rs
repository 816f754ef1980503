//! The proof that the section "Install on two load balancers" of README.md is true: follows it word for word on two hosts with a
//! systemd of their own, while a client asks the address each millisecond, and judges each command.
//!
//! `tests/install` runs it. One row for each command; exit status 1 when one of them did not do what `expected` says.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "waits for real hosts in real time")]

mod container;
mod expected;
mod left;
mod readme;
mod record;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};
use vrrpd::demo::probe::Probe;
use vrrpd::demo::site::Site;

use container::Container;
use expected::{Expected, Seen, Service};
use readme::Step;
use record::{Record, Row};

/// The address that the clients know.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 30));

const HEADING: &str = "Install on two load balancers";
/// The hosts of the section, and a client.
const SITE: Site = Site {
    interface: "eth0",
    first_node: Ipv4Addr::new(192, 0, 2, 11),
    client: Ipv4Addr::new(192, 0, 2, 100),
    prefix_len: 24,
};
/// In which the address is where it is expected.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long all must be quiet before an event is judged: longer than the other node waits before it takes over.
const QUIET: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.as_slice() {
        [tree, work, packages, record @ ..] => {
            prove(Path::new(tree), Path::new(work), Path::new(packages), record.first().map(PathBuf::from))
        }
        _ => Err("usage: install-proof TREE WORK PACKAGES [RECORD]; ./tests/install runs it".to_owned()),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("install-proof: {failed} failed");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("install-proof: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Plays all; returns how many commands did not do what they should.
///
/// `tree`: a root directory of Debian. `work`: an empty directory, on the same file system. `packages`: what to install.
fn prove(tree: &Path, work: &Path, packages: &Path, record: Option<PathBuf>) -> Result<usize, String> {
    let readme = std::fs::read_to_string("README.md").map_err(|error| format!("README.md: {error}"))?;
    let steps = readme::steps(&readme, HEADING)?;
    let mut expected = expected::ALL.iter();
    let mut world = World::new(tree, work, packages).map_err(|error| error.to_string())?;
    let mut rows = Record::new(&world.hosts);
    for step in steps {
        match step {
            Step::Configure(toml) => world.configure(&toml).map_err(|error| error.to_string())?,
            Step::Run(node, command) => {
                let expected = expected.next().filter(|next| next.node == node && next.command == command);
                let expected = expected.ok_or(format!("README.md has {command:?} where something else is expected"))?;
                rows.push(world.take(expected));
            }
        }
    }
    if let Some(next) = expected.next() {
        return Err(format!("README.md has no {:?}", next.command));
    }
    if let Some(path) = record {
        std::fs::write(&path, rows.page()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(rows.failed())
}

/// Two hosts and a client.
struct World {
    // Dropped in this order: the hosts before the namespaces they are plugged into.
    hosts: [Container; 2],
    clean: [left::Listing; 2],
    probe: Probe,
    _lab: Lab,
}

impl World {
    fn new(tree: &Path, work: &Path, packages: &Path) -> Result<Self, LabError> {
        let lab = Lab::at(SITE, 0)?;
        let boot = Path::new("tests/installed/boot");
        let host = |node| Container::boot(&lab, node, tree, work, packages, boot);
        let hosts = [host(Node::A)?, host(Node::B)?];
        let clean = [left::Listing::of(&hosts[0])?, left::Listing::of(&hosts[1])?];
        let probe = Probe::new(lab.client(), ADDRESS)?;
        Ok(Self { hosts, clean, probe, _lab: lab })
    }

    fn configure(&self, toml: &str) -> Result<(), LabError> {
        self.hosts.iter().try_for_each(|host| host.write("/etc/vrrpd/vrrpd.toml", toml))
    }

    /// Runs one command and judges it.
    fn take(&mut self, expected: &'static Expected) -> Row {
        let index = expected.node.index();
        let (since, before) = (now(), Service::of(&self.hosts[index]));
        let init = self.hosts[index].init();
        let said = self.hosts[index].run(expected.command);
        let took = now() - since;
        let is_reboot = expected.command == "systemctl reboot";
        let mut verdict = match (&said, is_reboot) {
            // Its shell goes down with the host.
            (_, true) => self.hosts[index].await_boot(init).map_err(|error| error.to_string()),
            (Ok(said), false) if said.is_good => Ok(()),
            (Ok(_), false) => Err("it failed".to_owned()),
            (Err(error), false) => Err(error.to_string()),
        };
        let output = said.map(|said| said.text).unwrap_or_default();
        verdict = verdict.and_then(|()| self.settle(expected.master));
        let outage = self.probe.outage(since, now());
        if let Some(limit) = expected.lost.filter(|limit| outage.lost > *limit) {
            verdict = verdict.and(Err(format!("{} requests lost, {limit} allowed", outage.lost)));
        }
        let host = &self.hosts[index];
        let seen = Seen { host, output: &output, before, after: Service::of(host), clean: &self.clean[index] };
        let verdict = verdict.and_then(|()| (expected.proof)(&seen));
        if verdict.is_err() {
            self.tell_all();
        }
        Row { expected, took, outage, output, verdict }
    }

    /// Waits until the address has been at one place alone, or at none, for long enough.
    fn settle(&self, master: Option<Node>) -> Result<(), String> {
        let wanted: Vec<Node> = master.into_iter().collect();
        let (end, mut quiet_since) = (now() + PATIENCE, now());
        while now() - quiet_since < QUIET {
            std::thread::sleep(Duration::from_millis(100));
            let holders = self.holders();
            if holders != wanted {
                quiet_since = now();
            }
            if quiet_since > end {
                return Err(format!("the address is at {holders:?}, expected at {wanted:?}"));
            }
        }
        let answering = self.probe.answered_by(Duration::from_millis(500));
        match answering == master {
            true => Ok(()),
            false => Err(format!("{answering:?} answers, expected {wanted:?}")),
        }
    }

    fn holders(&self) -> Vec<Node> {
        self.hosts.iter().filter(|host| host.holds(ADDRESS)).map(|host| host.node).collect()
    }

    /// Writes what the hosts say of the service, for who looks for the reason of a failure.
    fn tell_all(&self) {
        for host in &self.hosts {
            let line = "ip -br address; systemctl status --no-pager -n 0 vrrpd; \
                        journalctl --no-pager -o short-precise -u vrrpd -u systemd-networkd -n 40";
            let text = host.run(line).map(|said| said.text).unwrap_or_else(|error| error.to_string());
            eprintln!("--- {}\n{text}", host.name());
        }
    }
}
