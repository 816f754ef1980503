//! A laboratory with a daemon on each node, and what can be done to it and asked of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::probe::Probe;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::{Log, Watch};

use crate::driver::{self, Daemon, Kind};

/// The nodes of one story. Fields are dropped in this order: daemons before the namespaces they live in.
pub struct Cluster {
    daemons: BTreeMap<Node, Daemon>,
    /// The client.
    pub probe: Probe,
    /// The eye.
    pub watch: Watch,
    lab: Lab,
    /// What every node is told.
    pub plan: Plan,
    kinds: Vec<Kind>,
    /// The daemons' files, where a node has one that is not written from the plan.
    files: BTreeMap<Node, String>,
    scratch: Scratch,
    starts: u32,
    /// Where the daemon of a node was started last.
    folders: BTreeMap<Node, PathBuf>,
}

impl Cluster {
    /// Builds the laboratory; no daemon runs yet.
    pub fn new(plan: &Plan, kinds: &[Kind]) -> Result<Self, LabError> {
        let lab = Lab::at(plan.site, plan.priorities.len())?;
        let watch = Watch::new(&lab, Arc::new(AtomicBool::new(false)))?;
        let probe = Probe::new(lab.client(), *plan.addresses.last().expect("a plan has an address"))?;
        let (plan, kinds, scratch) = (plan.clone(), kinds.to_vec(), Scratch::new()?);
        let (daemons, files, folders) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { daemons, probe, watch, lab, plan, kinds, files, scratch, starts: 0, folders })
    }

    /// Builds the laboratory as [`Cluster::new`] does, for nodes whose configuration is given, one for each node.
    pub fn with_files(plan: &Plan, kinds: &[Kind], files: &[String]) -> Result<Self, LabError> {
        let mut cluster = Self::new(plan, kinds)?;
        cluster.files = plan.nodes().zip(files.iter().cloned()).collect();
        Ok(cluster)
    }

    /// Gives a node a file of its own, from its next start on.
    pub fn configure(&mut self, node: Node, text: String) {
        self.files.insert(node, text);
    }

    /// Returns a path that is this node's own; gone with the cluster.
    pub fn path(&self, name: &str, node: Node) -> PathBuf {
        self.scratch.path().join(format!("{name}-{node}"))
    }

    /// Makes a node's service well or sick: the file that its check looks at is there or not.
    pub fn set_healthy(&self, node: Node, is_healthy: bool) -> Result<(), LabError> {
        let path = self.path("healthy", node);
        let done = if is_healthy { std::fs::write(&path, "") } else { std::fs::remove_file(&path) };
        done.map_err(LabError::kernel(format!("change {}", path.display())))
    }

    /// Returns what `vrrpd status` prints about a node's daemon, and its exit code.
    pub fn status(&self, node: Node, arguments: &[&str]) -> Result<(String, i32), LabError> {
        match self.daemons.get(&node) {
            Some(daemon) => daemon.status(arguments),
            None => Ok((String::new(), 3)),
        }
    }

    /// Returns what runs on a node; a third node runs what the first does.
    pub fn kind(&self, node: Node) -> Kind {
        self.kinds[node.index() % self.kinds.len()]
    }

    /// Starts a node's daemon; a dead host comes back to the switch.
    pub fn start(&mut self, node: Node) -> Result<(), LabError> {
        self.lab.heal(node)?;
        self.launch_fresh(node)
    }

    /// Starts a node's daemon, whatever its links are like.
    pub fn launch_fresh(&mut self, node: Node) -> Result<(), LabError> {
        self.starts += 1;
        // A folder per start: a killed daemon leaves files behind that would disturb the next one.
        let folder = self.scratch.path().join(format!("{node}{}", self.starts));
        std::fs::create_dir(&folder).map_err(LabError::kernel(format!("make {}", folder.display())))?;
        self.launch(node, &folder)
    }

    /// Does what the service manager does after a daemon of ours has ended: `vrrpd release`; returns what it said.
    pub fn release(&self, node: Node) -> Result<String, LabError> {
        let Some(folder) = self.folders.get(&node).filter(|_| self.kind(node).is_ours()) else {
            return Ok(String::new());
        };
        let mut command = driver::release(folder);
        let tried = LabError::kernel(format!("run vrrpd release on node {node}"));
        let output = self.lab.namespace(node)?.enter(move || command.output()).map_err(tried)?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match output.status.success() {
            true => Ok(text),
            false => Err(LabError::Daemon { name: format!("vrrpd release on node {node}"), problem: text }),
        }
    }

    /// Starts a node's daemon again where it was, whatever way it ended; nothing happens while it runs.
    pub fn relaunch(&mut self, node: Node) -> Result<(), LabError> {
        let Some(folder) = self.folders.get(&node).cloned() else { return self.start(node) };
        if self.daemons.contains_key(&node) {
            return Ok(());
        }
        // Keepalived takes a child that nobody has waited for yet to be alive.
        for file in ["main.pid", "vrrp.pid", "check.pid"] {
            let _ = std::fs::remove_file(folder.join(file));
        }
        self.launch(node, &folder)
    }

    /// Starts a node's daemon in a folder.
    fn launch(&mut self, node: Node, folder: &Path) -> Result<(), LabError> {
        let (kind, lab, plan) = (self.kind(node), &self.lab, &self.plan);
        let daemon = match self.files.get(&node) {
            Some(text) => Daemon::start_with(kind, lab, plan, node, folder, text)?,
            None => Daemon::start(kind, lab, plan, node, folder)?,
        };
        self.daemons.insert(node, daemon);
        self.folders.insert(node, folder.to_owned());
        Ok(())
    }

    /// Kills a node's daemon without a goodbye, and starts it again where it was: its files and its addresses stay.
    pub fn restart(&mut self, node: Node, pause: Duration) -> Result<(), LabError> {
        self.kill(node)?;
        self.watch.pause(pause)?;
        self.relaunch(node)
    }

    /// Kills a node's daemon without a goodbye, and returns where its files are; they and its addresses stay.
    pub fn kill(&mut self, node: Node) -> Result<PathBuf, LabError> {
        let folder = self.folder(node)?;
        self.daemons.remove(&node);
        Ok(folder)
    }

    /// Starts a node's daemon where a killed one was.
    pub fn revive(&mut self, node: Node, folder: &Path) -> Result<(), LabError> {
        self.launch(node, folder)
    }

    /// Returns where the files of a node's daemon are.
    pub fn folder(&self, node: Node) -> Result<PathBuf, LabError> {
        let problem = || LabError::Daemon { name: node.to_string(), problem: "does not run".to_owned() };
        self.daemons.get(&node).map(|daemon| daemon.folder().to_owned()).ok_or_else(problem)
    }

    /// Sends a signal to a node's daemon, if it runs.
    pub fn signal(&self, node: Node, signal: Signal) {
        self.daemons.get(&node).into_iter().for_each(|daemon| daemon.signal(signal));
    }

    /// Stops a node's daemon in order.
    pub fn stop(&mut self, node: Node) -> Result<(), LabError> {
        self.daemons.remove(&node).map_or(Ok(()), Daemon::stop)
    }

    /// Puts another program in the place of a node's daemon: stops the one, starts the other at once.
    pub fn swap(&mut self, node: Node, kind: Kind) -> Result<(), LabError> {
        self.stop(node)?;
        let nodes = self.plan.nodes().map(|one| if one == node { kind } else { self.kind(one) });
        self.kinds = nodes.collect();
        self.start(node)
    }

    /// Kills a node's host: its link goes first, so that nothing can say goodbye; then its daemon and its addresses.
    pub fn die(&mut self, node: Node) -> Result<(), LabError> {
        self.lab.isolate(node)?;
        self.daemons.remove(&node);
        self.plan.addresses.iter().try_for_each(|address| self.lab.forget_address(node, *address))
    }

    /// Cuts a node off; it notices nothing.
    pub fn isolate(&self, node: Node) -> Result<(), LabError> {
        self.lab.isolate(node)
    }

    /// Pulls a node's cable: it sees its carrier go.
    pub fn unplug(&self, node: Node) -> Result<(), LabError> {
        self.lab.carrier_down(node)
    }

    /// Undoes [`Cluster::isolate`] and [`Cluster::unplug`].
    pub fn heal(&self, node: Node) -> Result<(), LabError> {
        self.lab.heal(node)
    }

    /// Returns where everything happens.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Returns the address that the client asks.
    pub fn address(&self) -> IpAddr {
        *self.plan.addresses.last().expect("a plan has an address")
    }

    /// Returns who holds the address, in the order of the nodes: by the kernel's word, and where the daemon moves no
    /// addresses by who sends adverts.
    pub fn holders(&self, log: &Log) -> Vec<Node> {
        let by_address = log.holders(self.address());
        let by_advert = log.advertisers(self.plan.interval * 3 / 2);
        let is_holder = |node: &Node| match self.kind(*node).moves_addresses() {
            true => by_address.contains(node),
            false => self.daemons.contains_key(node) && by_advert.contains(node),
        };
        self.plan.nodes().filter(is_holder).collect()
    }

    /// Returns all that a node's running daemon wrote; nothing when none runs.
    pub fn lines(&self, node: Node) -> Vec<String> {
        self.daemons.get(&node).map(Daemon::lines).unwrap_or_default()
    }

    /// Runs a command on a node and returns what it wrote to its standard output.
    pub fn output(&self, node: Node, command: &[&'static str]) -> Result<String, LabError> {
        let tried = format!("run {} on node {node}", command.join(" "));
        let words = command.to_vec();
        let output = self.lab.namespace(node)?.enter(move || {
            let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
            std::process::Command::new(program).args(arguments).output()
        });
        let output = output.map_err(LabError::kernel(tried))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fails if a daemon that should run has ended.
    pub fn check_alive(&mut self) -> Result<(), LabError> {
        for (node, daemon) in &mut self.daemons {
            if !daemon.is_alive() {
                let problem = format!("ended on its own:\n{}", daemon.last_lines());
                return Err(LabError::Daemon { name: node.to_string(), problem });
            }
        }
        Ok(())
    }

    /// Returns what happened from `since` on and what the daemons said last, for a failed story.
    pub fn account(&self, since: Duration) -> String {
        let mut text = String::from("    seen (ms into the step):\n");
        self.watch.look(|log| {
            for seen in log.sightings().iter().filter(|seen| seen.at >= since) {
                let at = (seen.at - since).as_secs_f64() * 1e3;
                text += &format!("      {at:9.1} {} {:?}\n", seen.node, seen.what);
            }
        });
        for (node, daemon) in &self.daemons {
            text += &format!("    last words of {:?} on node {node}:\n{}", self.kind(*node), daemon.last_lines());
        }
        text
    }
}
