//! The commands of the pages, run as they stand there, each page on a pair of hosts of its own.
//!
//! Before a page is read the pair of the README runs: lb1 is master, lb2 backup, both by `vrrpd run`, with the very file that the README
//! shows in `/etc/vrrpd/vrrpd.toml`. A block "sh run" is one script on lb1, which must end with 0; the block "text output" behind it is
//! what it writes, but for times; a block "toml apply" is loaded by both first. What the fences mean is told in `docs/testing.md`; `tests/papers/` holds all other blocks.

#[path = "../papers/blocks.rs"]
mod blocks;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Lab;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::site::Site;
use vrrpd::demo::watch::Watch;

use self::blocks::{Block, Mark, blocks, pair, root};
use crate::beside_others;
use crate::driver::our_program;

/// Makes one test per page.
macro_rules! pages {
    ($($name:ident = $page:expr;)+) => {
        $(#[test]
        fn $name() {
            beside_others(|| read($page).unwrap_or_else(|error| panic!("{}: {error}", $page)));
        })+
    };
}

pages! {
    readme_is_so = "README.md";
    authentication_is_so = "docs/authentication.md";
    cookbook_is_so = "docs/cookbook.md";
    doctor_is_so = "docs/doctor.md";
    drain_is_so = "docs/drain.md";
    failover_is_so = "docs/failover.md";
    history_is_so = "docs/history.md";
    keepalived_is_so = "docs/keepalived.md";
    metrics_is_so = "docs/metrics.md";
    reload_is_so = "docs/reload.md";
    report_is_so = "docs/report.md";
    sniff_is_so = "docs/sniff.md";
    status_json_is_so = "docs/status-json.md";
    troubleshooting_is_so = "docs/troubleshooting.md";
}

/// The hosts of the README.
const SITE: Site = Site {
    interface: "eth0",
    first_node: Ipv4Addr::new(192, 0, 2, 11),
    client: Ipv4Addr::new(192, 0, 2, 254),
    prefix_len: 24,
};
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 30));
/// How each host starts its daemon. A page that has this line shows it: it is not run once more.
const START: &str = "vrrpd run";

/// Reads a page from top to bottom.
fn read(page: &str) -> Result<(), LabError> {
    let text = fs::read_to_string(root().join(page)).map_err(LabError::kernel(format!("read {page}")))?;
    let (found, _) = blocks(&text);
    let pair = Pair::start()?;
    let mut written = String::new();
    let mut count = 0;
    for block in &found {
        match block.mark {
            Mark::Run => {
                written = pair.run(A, &script(block))?;
                println!("{page}:{}:\n{}{written}", block.line, block.text);
                count += 1;
                // What it set off is over before the next one looks.
                pair.watch.pause(Duration::from_millis(1500))?;
            }
            Mark::Apply => {
                let file =
                    blocks::completed(&block.text).unwrap_or_else(|error| panic!("{page}:{}: {error}", block.line));
                [A, B].into_iter().try_for_each(|node| pair.apply(node, &file))?;
            }
            Mark::Output => {
                let (shown, seen) = (shape(&block.text), shape(&written));
                assert!(fits(&shown, &seen), "{page}:{} shows {shown:#?}; seen was {seen:#?}", block.line);
            }
            Mark::Bare | Mark::Usage | Mark::Install | Mark::Golden(_) | Mark::RunBy(_) | Mark::NoRun(_) => {}
            Mark::Unknown(ref words) => panic!("{page}:{}: {words:?}", block.line),
        }
    }
    assert!(count > 0, "{page} has no block to run");
    Ok(())
}

/// Returns the lines of a block that are to be run.
fn script(block: &Block) -> String {
    let is_start = |line: &&str| line.split('#').next().unwrap_or_default().trim() == START;
    block.text.lines().filter(|line| !is_start(line)).map(|line| format!("{line}\n")).collect()
}

/// Both hosts. Fields are dropped in this order.
pub struct Pair {
    /// `vrrpd run` of both.
    daemons: Vec<Process>,
    hosts: Vec<Process>,
    watch: Watch,
    lab: Lab,
    scratch: Scratch,
}

impl Pair {
    /// Builds the hosts and waits until lb1 has the address and lb2 knows it.
    pub fn start() -> Result<Self, LabError> {
        let (lab, scratch) = (Lab::at(SITE, 2)?, Scratch::new()?);
        let watch = Watch::new(&lab, Arc::new(AtomicBool::new(false)))?;
        let script = scratch.write("host", include_str!("papers/host"))?;
        let mut pair = Self { daemons: Vec::new(), hosts: Vec::new(), watch, lab, scratch };
        for node in [A, B] {
            pair.boot(node, &script)?;
            let run = pair.inside(node, START);
            let daemon =
                Process::start(pair.lab.namespace(node)?, &format!("{START} on {node}"), run, Box::new(|_| {}))?;
            pair.daemons.push(daemon);
        }
        let held = "lb1 to hold the address";
        pair.watch.wait(held, Duration::from_secs(20), |log| (log.holders(ADDRESS) == [A]).then_some(()))?;
        // So long that every time on the pages has two figures, and lb2 has heard who is master.
        pair.watch.pause(Duration::from_millis(1200))?;
        Ok(pair)
    }

    /// Makes the root directory of a host, with the files that the pages take for granted.
    fn boot(&mut self, node: Node, script: &Path) -> Result<(), LabError> {
        let root_of = self.scratch.path().join(format!("root-{node}"));
        fs::create_dir(&root_of).map_err(LabError::kernel("make a root directory"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--uts", "sh"]).arg(script).arg(root_of);
        command.arg(our_program().get_program()).arg(name(node));
        let host = Process::start(self.lab.namespace(node)?, name(node), command, Box::new(|_| {}))?;
        let is_ready = || host.last_lines(1).first().is_some_and(|line| line == "ready").then_some(());
        self.watch.wait("a host to be ready", Duration::from_secs(20), |_| is_ready())?;
        let inside = Path::new("/proc").join(host.id().to_string()).join("root");
        let files = [
            ("etc/vrrpd/vrrpd.toml", pair()),
            ("etc/keepalived/keepalived.conf", include_str!("../cli/explained/lb1.conf").to_owned()),
            ("srv/lb1.conf", include_str!("../cli/explained/lb1.conf").to_owned()),
            ("srv/lb2.conf", include_str!("../cli/explained/lb2.conf").to_owned()),
        ];
        for (path, text) in files {
            fs::write(inside.join(path), text).map_err(LabError::kernel(format!("write {path}")))?;
        }
        self.hosts.push(host);
        Ok(())
    }

    /// Makes a command of a script that runs on a host, in `/srv`, with both streams in one.
    fn inside(&self, node: Node, script: &str) -> Command {
        let host = self.hosts.get(node.index()).map_or(0, Process::id);
        // A daemon becomes the process itself, so that it ends with it; a script that hangs is ended.
        let (bound, exec): (&[&str], _) = match script {
            START => (&[], "exec "),
            _ => (&["timeout", "--foreground", "120"], ""),
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter", "--mount", "--uts", "--target", &host.to_string()]);
        command.args(["env", "-i", "PATH=/opt:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8"]);
        command.args(bound).args(["sh", "-euc"]).arg(format!("exec 2>&1; cd /srv; {exec}{script}"));
        command
    }

    /// Gives a host another configuration.
    fn apply(&self, node: Node, file: &str) -> Result<(), LabError> {
        let host = self.hosts.get(node.index()).map_or(0, Process::id);
        let path = format!("/proc/{host}/root/etc/vrrpd/vrrpd.toml");
        fs::write(path, file).map_err(LabError::kernel("write a configuration"))?;
        self.run(node, "vrrpd reload").map(|_| ())
    }

    /// Runs a script on a host; returns what it wrote.
    pub fn run(&self, node: Node, script: &str) -> Result<String, LabError> {
        let mut command = self.inside(node, script);
        let output = self.lab.namespace(node)?.enter(move || command.output());
        let output = output.map_err(LabError::kernel("run a script"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(LabError::Daemon { name: script.to_owned(), problem: format!("ended with {}: {text}", output.status) })
    }
}

fn name(node: Node) -> &'static str {
    match node {
        Node::A => "lb1",
        Node::B => "lb2",
        Node::C => "lb3",
    }
}

/// Returns the lines of a text without what differs from run to run: times, lengths of time, numbers of processes, and how columns are
/// filled up.
fn shape(text: &str) -> Vec<String> {
    text.lines().map(shape_of_line).collect()
}

fn shape_of_line(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut words: Vec<String> = Vec::new();
    let mut of_line = line.split_whitespace().peekable();
    while let Some(word) = of_line.next() {
        let bare = word.trim_end_matches([',', ':', ';', '.']);
        let tail = &word[bare.len()..];
        let is_number = bare.parse::<f64>().is_ok();
        let unit = of_line.peek().map(|next| next.trim_end_matches([',', ':', ';', '.']).to_owned());
        let is_amount = is_number && tail.is_empty() && unit.is_some_and(|unit| UNITS.contains(&unit.as_str()));
        let shaped = if is_amount {
            of_line.next().map(|unit| format!("LENGTH{}", &unit[unit.trim_end_matches([',', ':', ';', '.']).len()..]))
        } else if bare.ends_with('Z') && bare.contains(':') {
            Some(format!("TIME{tail}"))
        } else if is_length(bare) {
            Some(format!("LENGTH{tail}"))
        } else if is_number && matches!(words.last().map(String::as_str), Some("pid" | "id")) {
            Some(format!("NUMBER{tail}"))
        } else {
            None
        };
        let shaped = shaped.unwrap_or_else(|| word.to_owned());
        // "4m 59s" is one length, and so is "5m".
        if shaped.starts_with("LENGTH") && words.last().is_some_and(|last| last == "LENGTH") {
            words.pop();
        }
        words.push(shaped);
    }
    format!("{}{}", " ".repeat(indent), words.join(" "))
}

const UNITS: [&str; 3] = ["ms", "s", "us"];

/// Says whether a word is a length of time, such as `59s` or `3.219s`.
fn is_length(word: &str) -> bool {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    end > 0 && ["d", "h", "m", "s", "ms", "us"].contains(&&word[end..])
}

/// Says whether the lines that a page shows are those that were seen. A line `...` of the page stands for any lines, or none.
fn fits(shown: &[String], seen: &[String]) -> bool {
    match shown.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if first.trim() == "..." => (0..=seen.len()).any(|at| fits(rest, &seen[at..])),
        Some((first, rest)) => seen.first() == Some(first) && fits(rest, &seen[1..]),
    }
}

#[test]
fn shapes_keep_what_matters() {
    let line = "web  MASTER for 4m 59s, since 2026-11-22T08:23:04.417Z";
    assert_eq!(shape_of_line(line), "web MASTER for LENGTH, since TIME");
    assert_eq!(shape_of_line("  why   no advertisement for 3.219 s"), "  why no advertisement for LENGTH");
    assert_eq!(shape_of_line("priority 200, pid 4711 (uid 0)"), "priority 200, pid NUMBER (uid 0)");
    assert_eq!(shape_of_line("06:31:36.074Z eth0 out"), "TIME eth0 out");
    assert_ne!(shape_of_line("priority 200"), shape_of_line("priority 100"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&lines("a\n...\nd"), &lines("a\nb\nc\nd")) && fits(&lines("a\n...\nd"), &lines("a\nd")));
    assert!(
        !fits(&lines("a\n...\nd"), &lines("a\nb")) && !fits(&lines("a"), &lines("a\nb")) && !fits(&lines("b"), &[])
    );
}
