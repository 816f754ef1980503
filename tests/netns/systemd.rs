//! A real systemd on a node of the laboratory: process 1 of namespaces of its own, with a root directory in memory.
//!
//! It lives in the node's network namespace, sees no process, file or control group of the machine, and has no unit but what
//! `systemd/boot` and a story give it. It dies with this value, and with the test program, whatever way that ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;

/// A booted systemd. Fields are dropped in this order: its processes before what they use.
pub struct Booted {
    process: Process,
    _group: ControlGroup,
    _scratch: Scratch,
    /// Process 1 of it, as this program numbers it.
    init: u32,
    node: Node,
}

impl Booted {
    /// Boots on a node and waits until it takes orders.
    pub fn boot(lab: &Lab, node: Node) -> Result<Self, LabError> {
        let (scratch, group) = (Scratch::new()?, ControlGroup::new()?);
        let boot = scratch.write("boot", include_str!("systemd/boot"))?;
        let root = scratch.path().join("root");
        fs::create_dir(&root).map_err(LabError::kernel("make a root directory"))?;
        // In its own control group before it makes that the root of all it sees.
        let script = "echo $$ >\"$1/cgroup.procs\" && \
                      exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup sh \"$2\" \"$3\"";
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "sh", "-c", script, "sh"]).arg(&group.0).arg(boot).arg(root);
        let process =
            Process::start(lab.namespace(node)?, &format!("systemd on node {node}"), command, Box::new(|_| {}))?;
        let mut booted = Self { process, _group: group, _scratch: scratch, init: 0, node };
        booted.await_orders()?;
        Ok(booted)
    }

    fn await_orders(&mut self) -> Result<(), LabError> {
        for _ in 0..300 {
            std::thread::sleep(Duration::from_millis(100));
            self.init = crate::processes::children(self.process.id()).first().copied().unwrap_or(0);
            if self.init > 0 && self.systemctl(&["is-system-running"]).is_ok_and(|words| words.trim() == "running") {
                return Ok(());
            }
            if !self.process.is_alive() {
                break;
            }
        }
        Err(self.process.problem("did not boot"))
    }

    /// Returns where a file of its root directory is for this program.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc").join(self.init.to_string()).join("root").join(inside.trim_start_matches('/'))
    }

    /// Installs our program, our unit and a configuration; `drop_in` changes the unit.
    pub fn install(&self, program: &Path, toml: &str, drop_in: &str) -> Result<(), LabError> {
        let failed = || LabError::kernel("install vrrpd");
        let unit = include_str!("../../dist/vrrpd.service").replace("/usr/sbin/vrrpd", PROGRAM);
        let units = self.path("/etc/systemd/system");
        fs::create_dir_all(units.join("vrrpd.service.d")).map_err(failed())?;
        fs::write(units.join("vrrpd.service"), unit).map_err(failed())?;
        fs::write(units.join("vrrpd.service.d/story.conf"), drop_in).map_err(failed())?;
        fs::write(self.path("/etc/vrrpd/vrrpd.toml"), toml).map_err(failed())?;
        fs::write(self.path("/etc/vrrpd.sysusers"), include_str!("../../dist/vrrpd.sysusers")).map_err(failed())?;
        self.run(&["systemd-sysusers", "/etc/vrrpd.sysusers"])?;
        self.replace(program)?;
        self.systemctl(&["daemon-reload"]).map(|_| ())
    }

    /// Puts a program in the place of the installed one, as a package does: in one step, the running one keeps its own.
    pub fn replace(&self, program: &Path) -> Result<(), LabError> {
        let fresh = self.path(&format!("{PROGRAM}.new"));
        let copied = fs::copy(program, &fresh).and_then(|_| fs::rename(&fresh, self.path(PROGRAM)));
        copied.map_err(LabError::kernel(format!("install {}", program.display())))
    }

    /// Runs a command in there; returns what it wrote on both streams. An error says that, if it failed.
    pub fn run(&self, words: &[&str]) -> Result<String, LabError> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--pid", "--net", "--cgroup", "--ipc", "--uts"]);
        let output = command.args(words).output().map_err(LabError::kernel("run nsenter"))?;
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        match output.status.success() {
            true => Ok(text),
            false => {
                let problem = format!("{} ended with {}: {}", words.join(" "), output.status, text.trim_end());
                Err(LabError::Daemon { name: format!("systemd on node {}", self.node), problem })
            }
        }
    }

    /// Runs `systemctl`.
    pub fn systemctl(&self, words: &[&str]) -> Result<String, LabError> {
        self.run(&[&["systemctl", "--no-pager"], words].concat())
    }

    /// Returns a property of our unit.
    pub fn property(&self, name: &str) -> Result<String, LabError> {
        let value = self.systemctl(&["show", "vrrpd", "--value", "--property", name])?;
        Ok(value.trim_end().to_owned())
    }

    /// Returns the process id of our daemon as this program numbers it; 0 when it does not run.
    pub fn daemon(&self) -> u32 {
        let children = crate::processes::children(self.init);
        let is_ours = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.to_string_lossy().starts_with(PROGRAM))
        };
        children.into_iter().find(is_ours).unwrap_or(0)
    }

    /// Returns what the journal has of our unit and of systemd about it.
    pub fn journal(&self) -> Result<String, LabError> {
        self.run(&["journalctl", "--sync"])?;
        self.run(&["journalctl", "--no-pager", "--output=short-precise", "--unit=vrrpd"])
    }
}

/// Where our program is in there.
pub const PROGRAM: &str = "/opt/vrrpd";

/// A control group of its own, in the version 2 hierarchy; gone with the value, and what others left behind with the next.
struct ControlGroup(PathBuf);

impl ControlGroup {
    fn new() -> Result<Self, LabError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(LabError::kernel("read mountinfo"))?;
        let of_version_2 = |line: &str| {
            let (place, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
        };
        let top = mounts.lines().find_map(of_version_2).ok_or(io::ErrorKind::NotFound.into());
        let top = top.map_err(LabError::kernel("find the version 2 hierarchy of control groups"))?;
        for left in fs::read_dir(&top).into_iter().flatten().flatten() {
            let name = left.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(GROUP_PREFIX).and_then(|rest| rest.split('-').next());
            let is_left = pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
            if is_left {
                remove(&left.path());
            }
        }
        // Several stories have a systemd at a time.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = top.join(format!("{GROUP_PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(LabError::kernel(format!("make {}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The processes were killed just before: the kernel may still be busy with that.
        for _ in 0..100 {
            remove(&self.0);
            if !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes a group and those below it, as far as nobody is in them.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

const GROUP_PREFIX: &str = "vrrpd-laboratory-";
