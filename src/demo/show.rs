//! The demo itself: four scenes with two daemons of this binary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::clock::now;
use super::error::LabError;
use super::lab::{Lab, Node, VIP_V4};
use super::plan::{Plan, VRID};
use super::probe::{Outage, Probe};
use super::process::Process;
use super::scratch::Scratch;
use super::screen::{Look, Screen};
use super::site::Site;
use super::table::Row;
use super::watch::Watch;
use crate::wire::field::{Family, Version};

/// The running demo. Fields are dropped in this order: daemons before the namespaces they live in.
pub struct Show {
    daemons: BTreeMap<Node, Process>,
    probe: Probe,
    watch: Watch,
    lab: Lab,
    plan: Plan,
    scratch: Scratch,
    screen: Screen,
    program: PathBuf,
}

/// One scene.
struct Scene {
    /// What happens, for the table.
    event: &'static str,
    title: String,
    explanation: String,
    act: Act,
    /// Who must hold the address afterwards.
    holder: Node,
    /// What the protocol allows the client to miss; `None`: nothing, the address does not move.
    limit: Option<Duration>,
    /// Whether somebody held the address before, so that silence is a loss.
    is_served_before: bool,
}

enum Act {
    StartBoth,
    Stop(Node),
    Start(Node),
    Die(Node),
}

impl Show {
    /// Builds the laboratory for `program`, the binary to show. Waiting ends once `interrupted` is true.
    pub fn new(program: PathBuf, screen: Screen, interrupted: Arc<AtomicBool>) -> Result<Self, LabError> {
        let plan = Plan {
            site: Site::USUAL,
            vrid: VRID,
            version: Version::V3,
            family: Family::V4,
            is_multicast: false,
            interval: Duration::from_secs(1),
            priorities: vec![200, 100],
            preempt: false,
            addresses: vec![VIP_V4],
        };
        let lab = Lab::new(2)?;
        let watch = Watch::new(&lab, interrupted)?;
        let probe = Probe::new(lab.client(), VIP_V4)?;
        let scratch = Scratch::new()?;
        Ok(Self { daemons: BTreeMap::new(), probe, watch, lab, plan, scratch, screen, program })
    }

    /// Plays all scenes; returns one row for each that was played. A scene that goes wrong is the last one.
    pub fn play(&mut self) -> Result<Vec<Row>, LabError> {
        self.screen.say(&introduction(&self.plan));
        let mut rows = Vec::new();
        for scene in scenes(&self.plan) {
            let row = self.play_scene(&scene)?;
            let is_right = row.is_right();
            rows.push(row);
            if !is_right {
                break;
            }
        }
        Ok(rows)
    }

    fn play_scene(&mut self, scene: &Scene) -> Result<Row, LabError> {
        self.screen.begin(&scene.title, &scene.explanation);
        let since = now();
        self.act(&scene.act)?;
        let wanted = [scene.holder];
        let longest = Node::ALL.map(|node| self.plan.master_down(node)).into_iter().max().unwrap_or_default();
        let reached =
            self.watch.wait("the address to arrive", longest + SLACK, |log| (log.holders(VIP_V4) == wanted).then(now));
        match reached {
            // The table says what was seen instead.
            Ok(_) | Err(LabError::TooLate { .. }) => {}
            Err(error) => return Err(error),
        }
        let settled = if scene.limit.is_some() { SETTLE } else { self.plan.master_down(scene.holder) + SLACK / 4 };
        self.watch.pause(settled)?;
        self.check_alive()?;
        let holders = self.watch.look(|log| log.holders(VIP_V4));
        let answered_by = self.probe.answered_by(SETTLE / 2);
        let outage = self.probe.outage(since, now());
        let row = Row {
            event: scene.event.to_owned(),
            // An address that does not answer is not where it should be.
            holders: holders.into_iter().filter(|node| *node != scene.holder || answered_by == Some(*node)).collect(),
            expected: scene.holder,
            silence: if scene.is_served_before { silence(&outage) } else { "(nobody had it yet)".to_owned() },
            limit: scene.limit.map_or("-".to_owned(), seconds),
        };
        let reached = reached.ok().map(|at| at.saturating_sub(since));
        self.tell_outcome(scene, &row, reached, &outage);
        Ok(row)
    }

    fn tell_outcome(&self, scene: &Scene, row: &Row, reached: Option<Duration>, outage: &Outage) {
        let node = scene.holder;
        let (look, text) = match reached.filter(|_| row.is_right()) {
            None => (Look::Bad, format!("{VIP_V4} is not where it should be: at node {node}, and only there.")),
            Some(_) if scene.limit.is_none() => (Look::Good, format!("node {node} kept {VIP_V4} all the time.")),
            Some(after) => (Look::Good, format!("node {node} holds {VIP_V4}, {} later.", seconds(after))),
        };
        let client = match (scene.is_served_before, outage.lost) {
            (false, _) => String::new(),
            (true, 0) => format!(" The client was answered all {} times.", outage.sent),
            (true, lost) => format!(" The client missed {lost} of {} answers.", outage.sent),
        };
        self.screen.outcome(look, &(text + &client));
    }

    fn act(&mut self, act: &Act) -> Result<(), LabError> {
        match *act {
            Act::StartBoth => {
                self.start(Node::A)?;
                self.start(Node::B)
            }
            Act::Start(node) => self.start(node),
            Act::Stop(node) => match self.daemons.remove(&node) {
                Some(daemon) => daemon.stop(Duration::from_secs(10)).map(drop),
                None => Ok(()),
            },
            Act::Die(node) => {
                // The cable first: a dead host says no goodbye.
                self.lab.isolate(node)?;
                drop(self.daemons.remove(&node));
                self.lab.forget_address(node, VIP_V4)
            }
        }
    }

    fn start(&mut self, node: Node) -> Result<(), LabError> {
        let config = self.scratch.write(&format!("{node}.toml"), &self.plan.toml(node))?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(config);
        command.arg("--runtime-dir").arg(self.scratch.path().join(node.to_string()));
        command.args(["--log", "text", "--exit-with-parent"]);
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        let screen = self.screen.clone();
        let follow = Box::new(move |line: &str| screen.event(node, line));
        let name = format!("of node {node}");
        self.daemons.insert(node, Process::start(self.lab.namespace(node)?, &name, command, follow)?);
        Ok(())
    }

    /// Fails if a daemon that should run has ended.
    fn check_alive(&mut self) -> Result<(), LabError> {
        match self.daemons.values_mut().find_map(|daemon| (!daemon.is_alive()).then_some(&*daemon)) {
            Some(daemon) => Err(daemon.problem("ended on its own")),
            None => Ok(()),
        }
    }
}

/// What a loaded machine may add to the protocol's time before the demo gives up.
const SLACK: Duration = Duration::from_millis(1500);
/// How long a scene goes on after the address has arrived.
const SETTLE: Duration = Duration::from_millis(800);

fn introduction(plan: &Plan) -> String {
    let [a, b] = [Node::A, Node::B].map(|node| node.address(Family::V4).to_string());
    format!(
        "\
Two load balancers share one address. One of them holds it (the master); the
other waits for it to fall silent (the backup). A client asks the address for
an answer 1000 times a second and counts what it misses.

   node a {a} (priority {}) --+
                                     +-- switch -- client, asks {VIP_V4}
   node b {b} (priority {}) --+

All of this lives in network namespaces of this machine and is gone afterwards.",
        plan.priority(Node::A),
        plan.priority(Node::B),
    )
}

fn scenes(plan: &Plan) -> [Scene; 4] {
    let down = seconds(plan.master_down(Node::A));
    [
        Scene {
            event: "both nodes start",
            title: "1. Both nodes start".to_owned(),
            explanation: format!(
                "Each listens first. Node a has the better priority, so it is the first to conclude, after {down} of silence, that there is no master."
            ),
            act: Act::StartBoth,
            holder: Node::A,
            limit: Some(plan.master_down(Node::A)),
            is_served_before: false,
        },
        Scene {
            event: "a is stopped",
            title: "2. The master, node a, is stopped on purpose".to_owned(),
            explanation: "As for an upgrade. It says that it leaves and goes on answering until node b has taken over."
                .to_owned(),
            act: Act::Stop(Node::A),
            holder: Node::B,
            limit: Some(plan.skew(Node::B)),
            is_served_before: true,
        },
        Scene {
            event: "a is started again",
            title: "3. Node a is started again".to_owned(),
            explanation: "The configuration says preempt = \"never\": an address that is well served does not move."
                .to_owned(),
            act: Act::Start(Node::A),
            holder: Node::B,
            limit: None,
            is_served_before: true,
        },
        Scene {
            event: "b's host dies",
            title: "4. The host of the master, node b, dies".to_owned(),
            explanation: format!(
                "Its cable is cut and its daemon killed; nothing can say goodbye. Node a has only the silence to go by: three adverts a second apart, and its own skew, {down} in all."
            ),
            act: Act::Die(Node::B),
            holder: Node::A,
            limit: Some(plan.master_down(Node::A)),
            is_served_before: true,
        },
    ]
}

fn silence(outage: &Outage) -> String {
    if outage.lost == 0 {
        "0 s (nothing lost)".to_owned()
    } else {
        format!("{} ({} lost)", seconds(outage.gap), outage.lost)
    }
}

fn seconds(length: Duration) -> String {
    format!("{:.2} s", length.as_secs_f64())
}
