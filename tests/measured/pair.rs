//! Two nodes with a daemon each and as many cables as the routers need, and what is measured of them.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::namespace::Namespace;
use vrrpd::demo::netlink::{Netlink, index_of};
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;

use crate::usage::{Usage, family};

/// Routers on one cable.
pub const PER_CABLE: usize = 255;

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    Keepalived,
    /// Ours, at this path.
    Ours(PathBuf),
}

impl Program {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Ours(_) => "vrrpd",
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub routers: usize,
    pub interval: Duration,
    /// With an HMAC trailer, which Keepalived 2.2 does not know.
    pub is_signed: bool,
}

impl Case {
    pub fn name(&self) -> String {
        let signed = if self.is_signed { ", HMAC" } else { "" };
        format!("{} x {} ms{signed}", self.routers, self.interval.as_millis())
    }

    /// Returns how long the Backup waits.
    fn master_down(&self, priority: u32) -> Duration {
        self.interval * 3 + self.interval * (256 - priority) / 256
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// From the start until the last router is Master, less than it has to wait for; seconds.
    pub start: f64,
    /// Microseconds of processor for each advert: Master, Backup.
    pub cost: [f64; 2],
    /// Adverts that left, of those that were due.
    pub sent: f64,
    /// Changes of state while nothing happened.
    pub flaps: f64,
    /// Times that the threads were woken up in a second: Master, Backup.
    pub switches: [f64; 2],
    /// Resident memory of the Master in KiB.
    pub memory: f64,
    /// From the first to the last router that takes over when the Master is killed; seconds.
    pub spread: f64,
    /// From SIGTERM to the end of a Backup; seconds.
    pub exit: f64,
}

impl Figures {
    /// Returns the median of each figure; `None` of none.
    pub fn median(all: &[Self]) -> Option<Self> {
        let of = |read: &dyn Fn(&Self) -> f64| {
            let mut values: Vec<f64> = all.iter().map(read).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some(Self {
            start: of(&|f| f.start)?,
            cost: [of(&|f| f.cost[0])?, of(&|f| f.cost[1])?],
            sent: of(&|f| f.sent)?,
            flaps: of(&|f| f.flaps)?,
            switches: [of(&|f| f.switches[0])?, of(&|f| f.switches[1])?],
            memory: of(&|f| f.memory)?,
            spread: of(&|f| f.spread)?,
            exit: of(&|f| f.exit)?,
        })
    }
}

/// Runs one program as Master and as Backup and measures both.
pub fn measure(program: &Program, case: &Case, length: Duration) -> Result<Figures, LabError> {
    let nodes = cabled(case.routers.div_ceil(PER_CABLE))?;
    let mut figures = Figures::default();
    let begin = now();
    let master = Daemon::start(program, case, &nodes[0], 1)?;
    let up = master.await_masters(case.routers, Duration::from_secs(60))?;
    figures.start = (up.1.saturating_sub(begin)).as_secs_f64() - case.master_down(PRIORITIES[0]).as_secs_f64();
    // A Backup that leaves has nothing to hand over.
    let backup = Daemon::start(program, case, &nodes[1], 2)?;
    pause(Duration::from_secs(2).max(case.interval * 4));
    figures.exit = backup.stop()?.as_secs_f64();
    let backup = Daemon::start(program, case, &nodes[1], 2)?;
    // The second round of announcements is over by then.
    pause(Duration::from_secs(6).max(case.interval * 4));

    let (before, steady) = ([master.usage(), backup.usage()], now());
    let moved = master.changes() + backup.changes();
    pause(length);
    let (after, seconds) = ([master.usage(), backup.usage()], (now() - steady).as_secs_f64());
    figures.flaps = (master.changes() + backup.changes() - moved) as f64;
    let sent = (after[0].sent - before[0].sent) as f64;
    figures.sent = sent / (case.routers as f64 * seconds / case.interval.as_secs_f64());
    for at in 0..2 {
        figures.cost[at] = (after[at].ran - before[at].ran).as_secs_f64() * 1e6 / sent.max(1.0);
        figures.switches[at] = (after[at].switches - before[at].switches) as f64 / seconds;
    }
    figures.memory = after[0].resident_kib as f64;

    drop(master);
    let (first, last) = backup.await_masters(case.routers, Duration::from_secs(90))?;
    figures.spread = last.saturating_sub(first).as_secs_f64();
    backup.stop()?;
    Ok(figures)
}

/// A daemon that runs, and when each of its routers became Master.
struct Daemon {
    process: Process,
    program: &'static str,
    masters: Arc<Mutex<Vec<Duration>>>,
    changes: Arc<Mutex<usize>>,
    _scratch: Scratch,
}

impl Daemon {
    fn start(program: &Program, case: &Case, node: &Namespace, host: u8) -> Result<Self, LabError> {
        let scratch = Scratch::new()?;
        let (masters, changes) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (kept, counted) = (Arc::clone(&masters), Arc::clone(&changes));
        let follow = Box::new(move |line: &str| {
            if line.contains("Entering MASTER STATE") {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(now());
            }
            if line.contains(" STATE") && line.contains("Entering ") {
                *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        });
        let command = command(program, case, scratch.path(), host)?;
        let process = Process::start(node, program.name(), command, follow)?;
        Ok(Self { process, program: program.name(), masters, changes, _scratch: scratch })
    }

    /// Waits until so many routers are Master; returns when the first and the last became it.
    fn await_masters(&self, count: usize, patience: Duration) -> Result<(Duration, Duration), LabError> {
        let end = now() + patience;
        while now() < end {
            pause(Duration::from_millis(20));
            let masters = self.masters.lock().unwrap_or_else(PoisonError::into_inner);
            if let (true, Some(first), Some(last)) = (masters.len() >= count, masters.first(), masters.last()) {
                return Ok((*first, *last));
            }
        }
        let seen = self.masters.lock().unwrap_or_else(PoisonError::into_inner).len();
        Err(LabError::TooLate { awaited: format!("{}: {count} masters, {seen} came", self.program), waited: patience })
    }

    fn changes(&self) -> usize {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usage(&self) -> Usage {
        Usage::of(&family(self.process.id()))
    }

    fn stop(self) -> Result<Duration, LabError> {
        let begin = now();
        self.process.stop(Duration::from_secs(60))?;
        Ok(now() - begin)
    }
}

/// Makes two namespaces with cables `l0`, `l1` and so on between them.
pub fn cabled(cables: usize) -> Result<[Namespace; 2], LabError> {
    let nodes = [Namespace::new("a")?, Namespace::new("b")?];
    for node in &nodes {
        for scope in ["all", "default"] {
            node.set(&format!("ipv6/conf/{scope}/disable_ipv6"), 1)?;
        }
    }
    let [a, b] = &nodes;
    for cable in 0..cables {
        let name = format!("l{cable}");
        let made = {
            let (name, end) = (name.clone(), b.as_fd().try_clone_to_owned());
            a.enter(move || Netlink::open()?.add_veth(&name, 0, &name, end?.as_fd()))
        };
        made.map_err(LabError::kernel(format!("make the cable {name}")))?;
        for (node, host) in [(a, 1), (b, 2)] {
            let name = name.clone();
            let given = node.enter(move || {
                let (mut netlink, index) = (Netlink::open()?, index_of(&name)?);
                netlink.set_up(index, true)?;
                netlink.add_address(index, [10, cable as u8, 0, host].into(), 16)
            });
            given.map_err(LabError::kernel("give a cable its address"))?;
        }
    }
    Ok(nodes)
}

fn command(program: &Program, case: &Case, folder: &Path, host: u8) -> Result<Command, LabError> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map(|()| path).map_err(LabError::kernel("write a configuration"))
    };
    Ok(match program {
        Program::Keepalived => {
            let mut command = Command::new("keepalived");
            command.args(["-n", "-P", "-l", "-G", "-f"]).arg(write("keepalived.conf", keepalived_conf(case, host))?);
            for (option, name) in [("-p", "main.pid"), ("-r", "vrrp.pid"), ("-c", "check.pid")] {
                command.arg(option).arg(folder.join(name));
            }
            command
        }
        Program::Ours(binary) => {
            let path = match case.is_signed {
                false => write("keepalived.conf", keepalived_conf(case, host))?,
                true => write("vrrpd.toml", signed(case, host))?,
            };
            let mut command = Command::new(binary);
            command.arg("run").arg("--config").arg(path).arg("--runtime-dir").arg(folder.join("run"));
            command
        }
    })
}

fn keepalived_conf(case: &Case, host: u8) -> String {
    let mut text = String::from("global_defs {\n  script_user root\n  vrrp_version 3\n}\n");
    for number in 0..case.routers {
        let (cable, vrid) = (number / PER_CABLE, number % PER_CABLE + 1);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "vrrp_instance i{number} {{\n  state BACKUP\n  interface l{cable}\n  virtual_router_id {vrid}\n  \
             priority {}\n  advert_int {}\n  version 3\n  unicast_src_ip 10.{cable}.0.{host}\n  unicast_peer {{\n    \
             10.{cable}.0.{}\n  }}\n  virtual_ipaddress {{\n    10.{cable}.1.{vrid}/32 dev l{cable}\n  }}\n}}\n",
            PRIORITIES[usize::from(host) - 1],
            case.interval.as_secs_f64(),
            3 - host
        );
    }
    text
}

fn signed(case: &Case, host: u8) -> String {
    let mut text = String::new();
    for number in 0..case.routers {
        let (cable, vrid) = (number / PER_CABLE, number % PER_CABLE + 1);
        let _ = write!(
            text,
            "[instance.i{number}]\ninterface = \"l{cable}\"\nvirtual_router_id = {vrid}\npriority = {}\n\
             advert_interval = \"{}ms\"\nsource = \"10.{cable}.0.{host}\"\npeers = [\"10.{cable}.0.{}\"]\n\
             addresses = [\"10.{cable}.1.{vrid}\"]\nauth.hmac = {{ keys = {{ 1 = \"hex:{}\" }}, active = 1 }}\n",
            PRIORITIES[usize::from(host) - 1],
            case.interval.as_millis(),
            3 - host,
            "5a".repeat(32)
        );
    }
    text
}

fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Of the Master and of the Backup.
const PRIORITIES: [u32; 2] = [200, 100];
