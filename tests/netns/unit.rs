//! Our unit under a real systemd: start, stop, crash, hang, and the program replaced.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrpd::daemon::record::Kind;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::probe::Outage;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::{Sight, Sighting};

use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::systemd::{Booted, PROGRAM};
use crate::upgrade::{install, plan};
use crate::{beside_others, in_turn};

#[test]
fn unit_serves_under_a_real_systemd() {
    in_turn(|| serves().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn key_is_a_credential_of_the_unit() {
    beside_others(|| reads_a_credential().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn programs_have_no_privilege_but_by_the_drop_in() {
    beside_others(|| programs_have_their_user().unwrap_or_else(|error| panic!("{error}")));
}

/// In which anything comes.
const PATIENCE: Duration = Duration::from_secs(15);

struct World {
    // Dropped in this order.
    systemd: Booted,
    cluster: Cluster,
    scratch: Scratch,
}

fn serves() -> Result<(), LabError> {
    tell(|world| {
        world.install(&world.cluster.plan.toml(A), "")?;
        world.play()
    })
}

/// A key that root alone can read and the unit hands over; the peer has the same one in its file, and believes what it signs.
fn reads_a_credential() -> Result<(), LabError> {
    let key = format!("hex:{}", "5a".repeat(32));
    let signed = |plan: &Plan, node, key: &str| format!("{}auth.hmac.keys = {{ 1 = \"{key}\" }}\n", plan.toml(node));
    tell(|world| {
        let file = world.systemd.path("/etc/vrrpd/web.key");
        std::fs::create_dir_all(world.systemd.path("/etc/vrrpd")).map_err(LabError::kernel("make a directory"))?;
        std::fs::write(&file, &key).map_err(LabError::kernel("write the key"))?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(LabError::kernel("hide the key"))?;
        let toml = signed(&world.cluster.plan, A, "credential:web");
        world.install(&toml, "[Service]\nLoadCredential=web:/etc/vrrpd/web.key\n")?;
        world.systemd.systemctl(&["start", "vrrpd"])?;
        world.held_by(A)?;
        let with_another_key = signed(&world.cluster.plan, B, &key.replace("5a", "5b"));
        world.cluster.configure(B, signed(&world.cluster.plan, B, &key));
        world.cluster.start(B)?;
        world.cluster.watch.pause(Duration::from_secs(5))?;
        world.held_by(A)?;
        world.cluster.stop(B)?;
        // That the peer listens to what is signed, and to nothing else.
        world.cluster.configure(B, with_another_key);
        world.cluster.start(B)?;
        world
            .cluster
            .watch
            .wait("both to hold the address", PATIENCE, |log| (world.cluster.holders(log) == [A, B]).then_some(()))
    })
}

/// Checks and hooks run as the daemon's user and with none of its capabilities, see all processes, and are root only with the drop-in.
fn programs_have_their_user() -> Result<(), LabError> {
    let with_checks = |plan: &Plan, user: &str| {
        let say = "{ id -un; grep -h ^Cap[EA] /proc/self/status; } >/run/vrrpd";
        format!(
            "{}checks = [\"who\", \"other\"]\nnotify_master = [\"/bin/sh\", \"-c\", \"{say}/hook\"]\n\
             [check.who]\nexec = [\"/bin/sh\", \"-c\", \"{say}/check\"]\n{user}\
             [check.other]\nprocess = \"systemd-journal\"\n",
            plan.toml(A)
        )
    };
    tell(|world| {
        let said = |name: &str| world.systemd.run(&["cat", &format!("/run/vrrpd/{name}")]);
        let none = "CapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
        world.install(&with_checks(&world.cluster.plan, ""), "")?;
        world.systemd.systemctl(&["start", "vrrpd"])?;
        world.held_by(A)?;
        same("who the daemon is", world.systemd.property("User")?, "vrrpd")?;
        world.cluster.watch.wait("the hook to run", PATIENCE, |_| said("hook").ok().map(|_| ()))?;
        for name in ["check", "hook"] {
            same(name, said(name)?, &format!("vrrpd\n{none}"))?;
        }
        world.systemd.systemctl(&["reload", "vrrpd"])?;

        let as_root = with_checks(&world.cluster.plan, "user = \"root\"\n");
        world.install(&as_root, "")?;
        world.systemd.systemctl(&["restart", "vrrpd"])?;
        world.cluster.watch.wait("the refusal", PATIENCE, |_| {
            let journal = world.systemd.journal().ok()?;
            journal.contains("cannot become user \"root\"").then_some(())
        })?;

        world.install(&as_root, include_str!("../../dist/privileged-hooks.conf"))?;
        world.systemd.systemctl(&["restart", "vrrpd"])?;
        world.held_by(A)?;
        world.cluster.watch.wait("the check to run as root", PATIENCE, |_| {
            said("check").ok().filter(|said| said.starts_with("root\n")).map(|_| ())
        })
    })
}

/// Tells a story of a node with a systemd and a peer without; the journal comes with what goes wrong.
fn tell(story: impl Fn(&mut World) -> Result<(), LabError>) -> Result<(), LabError> {
    let cluster = Cluster::new(&plan(Duration::from_secs(1)), &[Vrrpd, Vrrpd])?;
    let systemd = Booted::boot(cluster.lab(), A)?;
    let scratch = Scratch::new()?;
    let mut world = World { systemd, cluster, scratch };
    story(&mut world).map_err(|error| {
        let journal = world.systemd.journal().unwrap_or_default();
        LabError::Daemon { name: "the unit".to_owned(), problem: format!("{error}\n{journal}") }
    })
}

impl World {
    fn install(&self, toml: &str, drop_in: &str) -> Result<(), LabError> {
        let program = self.scratch.path().join("vrrpd");
        install(&program)?;
        self.systemd.install(&program, toml, drop_in)
    }

    fn play(&mut self) -> Result<(), LabError> {
        self.starts()?;
        self.is_upgraded()?;
        self.is_killed()?;
        self.hangs()?;
        self.stops()
    }

    fn starts(&mut self) -> Result<(), LabError> {
        self.systemd.systemctl(&["start", "vrrpd"])?;
        same("state after start", self.systemd.property("ActiveState")?, "active")?;
        self.held_by(A)?;
        let text = self.systemd.property("StatusText")?;
        same("what the daemon says of itself", text, "1 MASTER, 0 BACKUP")?;
        self.cluster.start(B)?;
        self.cluster.watch.pause(Duration::from_secs(2))?;
        let journal = self.systemd.run(&["journalctl", "--no-pager", "VRRP_INSTANCE=web", "VRRP_STATE=MASTER"])?;
        if !journal.contains("Entering MASTER STATE") {
            return Err(wrong(format!("the journal has no fields: {journal}")));
        }
        self.transitions_have_their_fields()
    }

    /// One line for each transition, with all that is known of it.
    fn transitions_have_their_fields(&self) -> Result<(), LabError> {
        let id = format!("MESSAGE_ID={}", Kind::Transition.message_id());
        let text = self.systemd.run(&["journalctl", "--no-pager", "--output=json", &id])?;
        let lines: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let states: Vec<&str> = lines.iter().filter_map(|line| line["VRRP_STATE"].as_str()).collect();
        same("states in the journal", states.join(" "), "BACKUP MASTER")?;
        let expected = [
            ("VRRP_INSTANCE", "web"),
            ("VRRP_ROUTER_ID", "51"),
            ("VRRP_PREVIOUS_STATE", "BACKUP"),
            ("VRRP_PRIORITY", "200"),
            ("VRRP_MISSED", "3"),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "vrrpd"),
        ];
        let line = lines.last().cloned().unwrap_or_default();
        for (name, value) in expected {
            same(name, line[name].as_str().unwrap_or_default().to_owned(), value)?;
        }
        let reason = line["VRRP_REASON"].as_str().unwrap_or_default();
        if reason.starts_with("no advertisement for 3.") { Ok(()) } else { Err(wrong(format!("{line}"))) }
    }

    /// The program on the disk is replaced: same process, same service, nothing lost.
    fn is_upgraded(&mut self) -> Result<(), LabError> {
        let (pid, since) = (self.systemd.property("MainPID")?, now());
        self.systemd.replace(&self.scratch.path().join("vrrpd"))?;
        let said = self.systemd.run(&[PROGRAM, "reload", "--exec"])?;
        eprintln!("unit upgraded | {}", said.trim_end());
        self.cluster.watch.pause(Duration::from_secs(2))?;
        same("state after the upgrade", self.systemd.property("ActiveState")?, "active")?;
        same("process id after the upgrade", self.systemd.property("MainPID")?, &pid)?;
        same("restarts", self.systemd.property("NRestarts")?, "0")?;
        self.nothing_lost("upgrade", since)
    }

    /// The daemon is killed: back before the peer takes over, with the address it had.
    fn is_killed(&mut self) -> Result<(), LabError> {
        let since = now();
        self.signal(Signal::SIGKILL)?;
        self.cluster.watch.wait("the unit to be restarted", PATIENCE, |_| {
            (self.systemd.property("NRestarts").ok()? == "1").then_some(())
        })?;
        self.cluster.watch.pause(Duration::from_secs(5))?;
        same("state after the crash", self.systemd.property("ActiveState")?, "active")?;
        self.nothing_lost("crash", since)
    }

    /// The daemon hangs: killed by the watchdog, and started again, before the peer is Master beside it.
    fn hangs(&mut self) -> Result<(), LabError> {
        let since = now();
        self.signal(Signal::SIGSTOP)?;
        self.cluster
            .watch
            .wait("the watchdog", PATIENCE, |_| (self.systemd.property("NRestarts").ok()? == "2").then_some(()))?;
        let took = now() - since;
        let journal = self.systemd.journal()?;
        if !journal.contains("Watchdog timeout") {
            return Err(wrong("nobody speaks of a watchdog".to_owned()));
        }
        self.cluster.watch.wait("node a to hold the address alone", PATIENCE, |log| {
            (self.cluster.holders(log) == [A]).then_some(())
        })?;
        let address = self.cluster.address();
        let (left, taken) = self.cluster.watch.look(|log| {
            let is_left =
                |seen: &&Sighting| seen.at >= since && seen.node == A && seen.what == Sight::Released(address);
            let left = log.sightings().iter().find(is_left).map(|seen| seen.at);
            (left, log.acquisitions(address, B, since).first().copied())
        });
        if taken.is_some_and(|taken| left.is_none_or(|left| left > taken)) {
            return Err(wrong(format!("node b took the address at {taken:?}, node a left it at {left:?}")));
        }
        let outage = self.outage(since);
        eprintln!("unit hung | restarted after {took:?} | lost {} | silence {:?}", outage.lost, outage.gap);
        if took < Duration::from_secs(4) { Ok(()) } else { Err(wrong(format!("restarted after {took:?}"))) }
    }

    fn stops(&mut self) -> Result<(), LabError> {
        self.cluster.watch.pause(Duration::from_secs(2))?;
        let since = now();
        self.systemd.systemctl(&["stop", "vrrpd"])?;
        self.held_by(B)?;
        same("state after stop", self.systemd.property("ActiveState")?, "inactive")?;
        same("result of all", self.systemd.property("Result")?, "success")?;
        self.nothing_lost("stop", since)
    }

    fn held_by(&self, node: vrrpd::demo::lab::Node) -> Result<(), LabError> {
        let awaited = format!("node {node} alone to hold the address");
        self.cluster.watch.wait(&awaited, PATIENCE, |log| (self.cluster.holders(log) == [node]).then_some(()))
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let pid = i32::try_from(self.systemd.daemon()).unwrap_or(0);
        if pid == 0 {
            return Err(wrong("the daemon does not run".to_owned()));
        }
        kill(Pid::from_raw(pid), signal).map_err(|errno| LabError::kernel("signal the daemon")(errno.into()))
    }

    fn outage(&self, since: Duration) -> Outage {
        self.cluster.probe.outage(since, now())
    }

    fn nothing_lost(&self, what: &str, since: Duration) -> Result<(), LabError> {
        let outage = self.outage(since);
        eprintln!("unit, {what} | lost {} | silence {:?} | own pause {:?}", outage.lost, outage.gap, outage.own_pause);
        // What a client misses that stood still itself proves nothing.
        if outage.lost == 0 || outage.own_pause >= Duration::from_millis(10) {
            return Ok(());
        }
        Err(wrong(format!("{what}: {outage:?}\n{}", self.cluster.account(since))))
    }
}

fn same(what: &str, found: String, expected: &str) -> Result<(), LabError> {
    if found == expected { Ok(()) } else { Err(wrong(format!("{what}: {found:?}, expected {expected:?}"))) }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "the unit".to_owned(), problem }
}
