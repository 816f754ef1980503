//! A host: a container that systemd-nspawn boots, plugged into the laboratory's switch.
//!
//! It dies with this value, and with the program, whatever way that ends. One stop before: `proof`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};
use vrrpd::demo::process::Process;

/// A host.
pub struct Container {
    process: Process,
    root: PathBuf,
    /// Which it is; by this the client knows who answers.
    pub node: Node,
}

/// What a command wrote, and whether it ended well.
pub struct Said {
    /// Both streams, in the order they were written as far as that can be known.
    pub text: String,
    /// Whether its exit status was 0.
    pub is_good: bool,
}

impl Container {
    /// Boots a host from a copy of `tree`, with an address, and waits until it is up.
    ///
    /// `work`: where the copy goes. `packages`: a directory whose files go to the home directory. `boot`: the script of that name.
    pub fn boot(
        lab: &Lab,
        node: Node,
        tree: &Path,
        work: &Path,
        packages: &Path,
        boot: &Path,
    ) -> Result<Self, LabError> {
        let root = work.join(name(node));
        copy(tree, &root)?;
        copy(packages, &root.join("root"))?;
        furnish(&root, node).map_err(LabError::kernel(format!("furnish {}", root.display())))?;
        let group = format!("vrrpd-install-{}-{}", std::process::id(), name(node));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc"]);
        command.arg("sh").arg(boot).arg(name(node)).arg(&root).arg(group);
        let process = Process::start(lab.switch(), name(node), command, Box::new(|_| {}))?;
        let mut host = Self { process, root, node };
        host.await_boot(None)?;
        Ok(host)
    }

    /// Waits until the host is up, as another boot than that whose process 1 had the number `before`.
    pub fn await_boot(&mut self, before: Option<u32>) -> Result<(), LabError> {
        for _ in 0..600 {
            std::thread::sleep(Duration::from_millis(100));
            if !self.process.is_alive() {
                break;
            }
            if self.init().is_none_or(|init| Some(init) == before) {
                continue;
            }
            // "degraded" is told as a failure, and a host all the same.
            if self.run("systemctl is-system-running").is_ok_and(|said| is_up(said.text.trim())) {
                return Ok(());
            }
        }
        Err(self.process.problem("did not boot"))
    }

    /// Returns process 1 of the host as this program numbers it; `None` between two boots.
    pub fn init(&self) -> Option<u32> {
        let mut todo = vec![(self.process.id(), false)];
        while let Some((pid, is_below_nspawn)) = todo.pop() {
            let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if is_below_nspawn && command.trim_end() == "systemd" {
                return Some(pid);
            }
            let is_nspawn = command.trim_end() == "systemd-nspawn";
            todo.extend(children(pid).into_iter().map(|child| (child, is_nspawn)));
        }
        None
    }

    /// Runs a line of shell on the host, as its administrator, in the home directory.
    ///
    /// **Errors:** the host is not up, or `nsenter` cannot be run. A line that fails is no error.
    pub fn run(&self, line: &str) -> Result<Said, LabError> {
        let init = self.init().ok_or_else(|| self.process.problem("is not up"))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        command.args(["env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["timeout", "120", "sh", "-c", "exec 2>&1 </dev/null; cd; eval \"$1\"", "sh", line]);
        let output = command.output().map_err(LabError::kernel("run nsenter"))?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Ok(Said { text, is_good: output.status.success() })
    }

    /// Returns what a line of shell that must end well wrote, without the last line's end.
    pub fn ask(&self, line: &str) -> Result<String, LabError> {
        let said = self.run(line)?;
        let text = said.text.trim_end().to_owned();
        match said.is_good {
            true => Ok(text),
            false => Err(LabError::Daemon { name: self.name().to_owned(), problem: format!("{line} failed: {text}") }),
        }
    }

    /// Returns a property of our unit.
    pub fn property(&self, name: &str) -> Result<String, LabError> {
        self.ask(&format!("systemctl show vrrpd --value --property {name}"))
    }

    /// Says whether the kernel of the host has an address.
    pub fn holds(&self, address: std::net::IpAddr) -> bool {
        self.ask(&format!("ip -o address show to {address}")).is_ok_and(|text| !text.is_empty())
    }

    /// Returns its host name.
    pub fn name(&self) -> &'static str {
        name(self.node)
    }

    /// Writes a file of the host.
    pub fn write(&self, path: &str, text: &str) -> Result<(), LabError> {
        put(&self.root, path, text).map_err(LabError::kernel(format!("write {path} of {}", self.name())))
    }
}

/// Returns the host name of a node.
pub const fn name(node: Node) -> &'static str {
    match node {
        Node::A => "lb1",
        Node::B => "lb2",
        Node::C => "lb3",
    }
}

fn is_up(state: &str) -> bool {
    matches!(state, "running" | "degraded")
}

fn copy(tree: &Path, root: &Path) -> Result<(), LabError> {
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto", "--no-target-directory"]).arg(tree).arg(root);
    let status = command.status().map_err(LabError::kernel("run cp"))?;
    match status.success() {
        true => Ok(()),
        false => Err(LabError::kernel(format!("copy {}", tree.display()))(std::io::ErrorKind::Other.into())),
    }
}

/// Gives a tree what tells one host from another, and what makes a host of it: an address, a journal that is kept.
fn furnish(root: &Path, node: Node) -> std::io::Result<()> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
    put(root, "/etc/machine-id", &id)?;
    put(root, "/etc/hosts", "127.0.0.1 localhost\n192.0.2.11 lb1\n192.0.2.12 lb2\n")?;
    put(root, "/etc/hostname", &format!("{}\n", name(node)))?;
    put(root, "/etc/sysctl.d/ttl.conf", &format!("net.ipv4.ip_default_ttl = {}\n", node.ttl()))?;
    let network = format!("[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.{}/24\n", 11 + node.index());
    put(root, "/etc/systemd/network/eth0.network", &network)?;
    let wanted = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wanted)?;
    let unit = wanted.join("systemd-networkd.service");
    if fs::symlink_metadata(&unit).is_err() {
        std::os::unix::fs::symlink("/lib/systemd/system/systemd-networkd.service", unit)?;
    }
    fs::create_dir_all(root.join("var/log/journal"))
}

fn put(root: &Path, path: &str, text: &str) -> std::io::Result<()> {
    let path = root.join(path.trim_start_matches('/'));
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}
