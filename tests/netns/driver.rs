//! One daemon of any kind on one node: its configuration file, how it is started, how it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{INTERFACE, Lab, Node};
use vrrpd::demo::netlink::{Netlink, index_of};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::process::Process;
use vrrpd::wire::field::{Family, Version};

use crate::processes::children;

/// What runs on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The program we replace.
    Keepalived,
    /// FRR's zebra and vrrpd: multicast only, the address sits on an interface with the virtual MAC address and is
    /// never removed.
    Frr,
    /// Ours.
    Vrrpd,
    /// Ours, with the very keepalived.conf that Keepalived is given.
    VrrpdConf,
}

impl Kind {
    /// How much longer than the protocol says a start may take until the daemon listens. Generous.
    pub fn start_slack(self) -> Duration {
        match self {
            Self::Keepalived => Duration::from_millis(1500),
            Self::Frr => Duration::from_secs(4),
            Self::Vrrpd | Self::VrrpdConf => Duration::from_millis(500),
        }
    }

    /// Says whether the node's address list shows who is master.
    pub fn moves_addresses(self) -> bool {
        match self {
            Self::Keepalived | Self::Vrrpd | Self::VrrpdConf => true,
            Self::Frr => false,
        }
    }

    /// Says whether it is our daemon, whatever file it reads.
    pub fn is_ours(self) -> bool {
        match self {
            Self::Vrrpd | Self::VrrpdConf => true,
            Self::Keepalived | Self::Frr => false,
        }
    }
}

/// A running daemon. Dropping it kills it without a goodbye.
pub struct Daemon {
    /// Last first: the order in which they are stopped.
    processes: Vec<Process>,
    kind: Kind,
    folder: PathBuf,
}

impl Daemon {
    /// Starts a daemon on a node; `folder` is its own and exists.
    pub fn start(kind: Kind, lab: &Lab, plan: &Plan, node: Node, folder: &Path) -> Result<Self, LabError> {
        Self::start_with(kind, lab, plan, node, folder, &config(kind, plan, node))
    }

    /// Starts a daemon as [`Daemon::start`] does, with this text for its file; FRR's is written from the plan.
    pub fn start_with(
        kind: Kind,
        lab: &Lab,
        plan: &Plan,
        node: Node,
        folder: &Path,
        text: &str,
    ) -> Result<Self, LabError> {
        let processes = match kind {
            Kind::Keepalived => vec![run(lab, node, keepalived(text, folder)?)?],
            Kind::Vrrpd => vec![run(lab, node, vrrpd("vrrpd.toml", text, folder)?)?],
            Kind::VrrpdConf => vec![run(lab, node, vrrpd("keepalived.conf", text, folder)?)?],
            Kind::Frr => {
                prepare_frr(lab, plan, node, folder)?;
                let zebra = run(lab, node, frr("zebra", folder)?)?;
                await_file(&folder.join("zserv"), &zebra)?;
                vec![run(lab, node, frr("vrrpd", folder)?)?, zebra]
            }
        };
        Ok(Self { processes, kind, folder: folder.to_owned() })
    }

    /// Says whether all of it is running.
    pub fn is_alive(&mut self) -> bool {
        self.processes.iter_mut().all(Process::is_alive)
    }

    /// Returns where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends a signal to all of it; Keepalived does its work in a child.
    pub fn signal(&self, signal: Signal) {
        for process in &self.processes {
            let children = if self.kind == Kind::Keepalived { children(process.id()) } else { Vec::new() };
            process.signal(signal);
            for child in children.into_iter().filter_map(|child| i32::try_from(child).ok()) {
                let _ = kill(Pid::from_raw(child), signal);
            }
        }
    }

    /// Returns all that it wrote.
    pub fn lines(&self) -> Vec<String> {
        self.processes.iter().flat_map(|process| process.last_lines(usize::MAX)).collect()
    }

    /// Returns what `vrrpd status` prints about it, and its exit code; of ours only.
    pub fn status(&self, arguments: &[&str]) -> Result<(String, i32), LabError> {
        let mut command = our_program();
        command.arg("status").arg("--runtime-dir").arg(self.folder.join("run")).args(arguments);
        let output = command.output().map_err(LabError::kernel("run vrrpd status"))?;
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1)))
    }

    /// Returns its last words.
    pub fn last_lines(&self) -> String {
        let lines = self.processes.iter().flat_map(|process| process.last_lines(25));
        lines.map(|line| format!("      {line}\n")).collect()
    }

    /// Stops it as a service manager would, and waits for its end.
    pub fn stop(self) -> Result<(), LabError> {
        for process in self.processes {
            let problem = process.problem("ended badly");
            let status = process.stop(Duration::from_secs(10))?;
            // FRR's daemons end with whatever status they like.
            if !status.success() && self.kind != Kind::Frr {
                return Err(problem);
            }
        }
        Ok(())
    }
}

fn run(lab: &Lab, node: Node, command: Command) -> Result<Process, LabError> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Process::start(lab.namespace(node)?, &format!("{program} on node {node}"), command, Box::new(|_| {}))
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(LabError::kernel(format!("write {}", path.display())))
}

/// Our program; another build of it (optimised, say) is measured with `VRRPD_BINARY`.
pub fn our_program() -> Command {
    Command::new(std::env::var_os("VRRPD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_vrrpd").into()))
}

/// Makes the command line that takes away what a daemon of ours left that ran in this folder.
pub fn release(folder: &Path) -> Command {
    let mut command = our_program();
    command.arg("release").arg("--runtime-dir").arg(folder.join("run"));
    command
}

/// Makes our command line; the file's name says what language it is in.
fn vrrpd(name: &str, text: &str, folder: &Path) -> Result<Command, LabError> {
    let config = folder.join(name);
    write(&config, text)?;
    let mut command = our_program();
    command.arg("run").arg("--config").arg(config).arg("--runtime-dir").arg(folder.join("run"));
    command.args(["--log", "text", "--exit-with-parent"]);
    Ok(command)
}

fn keepalived(conf: &str, folder: &Path) -> Result<Command, LabError> {
    let config = folder.join("keepalived.conf");
    write(&config, conf)?;
    let mut command = Command::new(program(&["/usr/sbin/keepalived", "/usr/bin/keepalived"]));
    command.args(["-n", "-P", "-l", "-G", "-D", "-f"]).arg(config);
    for (flag, file) in [("-p", "main.pid"), ("-r", "vrrp.pid"), ("-c", "check.pid")] {
        command.arg(flag).arg(folder.join(file));
    }
    // Its dumps go there.
    command.env("TMPDIR", folder);
    Ok(command)
}

/// Returns what a node's configuration file says in the language of its daemon.
pub fn config(kind: Kind, plan: &Plan, node: Node) -> String {
    match kind {
        Kind::Vrrpd => plan.toml(node),
        Kind::Keepalived | Kind::VrrpdConf | Kind::Frr => keepalived_conf(plan, node),
    }
}

fn keepalived_conf(plan: &Plan, node: Node) -> String {
    let mut lines = vec![
        format!("global_defs {{\n  router_id {node}\n  script_user root\n}}"),
        "vrrp_instance web {".to_owned(),
        "  state BACKUP".to_owned(),
        format!("  interface {}", plan.site.interface),
        format!("  virtual_router_id {}", plan.vrid),
        format!("  version {}", plan.version.number()),
        format!("  priority {}", plan.priority(node)),
        format!("  advert_int {}", plan.interval.as_secs_f64()),
    ];
    if !plan.preempt {
        lines.push("  nopreempt".to_owned());
    }
    if !plan.is_multicast {
        lines.push(format!("  unicast_src_ip {}", plan.source(node)));
        lines.push("  unicast_peer {".to_owned());
        lines.extend(plan.peers(node).map(|peer| format!("    {peer}")));
        lines.push("  }".to_owned());
    }
    lines.push("  virtual_ipaddress {".to_owned());
    for address in &plan.addresses {
        lines.push(format!("    {address}/{} dev {}", Family::of(address).max_prefix_len(), plan.site.interface));
    }
    lines.push("  }\n}\n".to_owned());
    lines.join("\n")
}

/// Makes the interface that FRR wants to find, and files it may read after it has dropped root.
fn prepare_frr(lab: &Lab, plan: &Plan, node: Node, folder: &Path) -> Result<(), LabError> {
    let namespace = lab.namespace(node)?;
    for key in ["all", "default"] {
        namespace.set(&format!("ipv4/conf/{key}/arp_ignore"), 1)?;
        namespace.set(&format!("ipv4/conf/{key}/rp_filter"), 0)?;
    }
    namespace.set(&format!("ipv4/conf/{INTERFACE}/rp_filter"), 0)?;
    let addresses = plan.addresses.clone();
    let vrid = plan.vrid;
    let made = namespace.enter(move || {
        let mut netlink = Netlink::open()?;
        // Left over from the last start: a reboot would have removed it.
        if let Ok(index) = index_of(FRR_INTERFACE) {
            netlink.delete_link(index)?;
        }
        let index = netlink.add_macvlan(FRR_INTERFACE, index_of(INTERFACE)?, [0, 0, 0x5e, 0, 1, vrid])?;
        addresses
            .into_iter()
            .try_for_each(|address| netlink.add_address(index, address, Family::of(&address).max_prefix_len()))
    });
    made.map_err(LabError::kernel("make the interface with the virtual MAC address"))?;
    write(&folder.join("vrrpd.conf"), &frr_conf(plan, node))?;
    write(&folder.join("zebra.conf"), "")?;
    give_to_frr(folder).map_err(LabError::kernel("give a folder to the user frr"))
}

/// The interface with the virtual MAC address. FRR finds it by that address, not by its name.
const FRR_INTERFACE: &str = "vr4-51";

fn frr_conf(plan: &Plan, node: Node) -> String {
    let version = match plan.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    let vrid = plan.vrid;
    let mut text = format!("interface {INTERFACE}\n vrrp {vrid} version {version}\n");
    text += &format!(" vrrp {vrid} priority {}\n", plan.priority(node));
    text += &format!(" vrrp {vrid} advertisement-interval {}\n", plan.interval.as_millis());
    if !plan.preempt {
        text += &format!(" no vrrp {vrid} preempt\n");
    }
    for address in &plan.addresses {
        text += &format!(" vrrp {vrid} ip {address}\n");
    }
    text + "!\n"
}

fn frr(daemon: &str, folder: &Path) -> Result<Command, LabError> {
    let paths = [format!("/usr/lib/frr/{daemon}"), format!("/usr/libexec/frr/{daemon}")];
    let mut command = Command::new(program(&paths.each_ref().map(String::as_str)));
    command.args(["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "--log", "stdout", "--log-level", "warn"]);
    command.arg("-z").arg(folder.join("zserv")).arg("-i").arg(folder.join(format!("{daemon}.pid")));
    command.arg("--vty_socket").arg(folder).arg("-f").arg(folder.join(format!("{daemon}.conf")));
    command.current_dir(folder);
    Ok(command)
}

fn give_to_frr(folder: &Path) -> std::io::Result<()> {
    let user = nix::unistd::User::from_name("frr")?.ok_or(std::io::ErrorKind::NotFound)?;
    if let Some(parent) = folder.parent() {
        fs::set_permissions(parent, fs::Permissions::from_mode(0o711))?;
    }
    let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    chown(folder, uid, gid)?;
    for entry in fs::read_dir(folder)? {
        chown(entry?.path(), uid, gid)?;
    }
    Ok(())
}

fn await_file(path: &Path, process: &Process) -> Result<(), LabError> {
    for _ in 0..500 {
        if path.exists() {
            // The socket's name is there a moment before somebody listens.
            std::thread::sleep(Duration::from_millis(200));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(process.problem(&format!("made no {}", path.display())))
}

/// Returns the first path that exists; the first one if none does, so that the error names it.
fn program(paths: &[&str]) -> PathBuf {
    let found = paths.iter().find(|path| Path::new(path).exists()).or(paths.first());
    found.map(PathBuf::from).unwrap_or_default()
}
