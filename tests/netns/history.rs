//! What `vrrpd history` tells: why the address moved, and whether the host of a master that fell silent is still there; over
//! crashes, restarts and upgrades, from the file, and as it happens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::scratch::Scratch;
use vrrpd::wire::field::{Family, Version};

use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::stories::quick;
use crate::turn::{beside_others, in_turn};

/// In which anything comes.
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn takeover_after_silence_says_whether_the_host_is_there() {
    beside_others(|| {
        let plan =
            |version, family, addresses, is_multicast| Plan { version, family, addresses, is_multicast, ..quick() };
        for plan in [
            plan(Version::V3, Family::V4, vec![VIP_V4], false),
            plan(Version::V3, Family::V4, vec![VIP_V4], true),
            plan(Version::V3, Family::V6, vec![VIP_LINK_LOCAL, VIP_V6], false),
        ] {
            told(says_whether_the_host_is_there(&plan));
        }
    });
}

#[test]
fn history_goes_on_over_kill_restart_and_upgrade() {
    in_turn(|| told(goes_on()));
}

#[test]
fn message_catalog_is_taken_by_the_real_journalctl() {
    beside_others(|| told(catalog_is_taken()));
}

fn says_whether_the_host_is_there(plan: &Plan) -> Result<(), LabError> {
    let mut cluster = pair(plan)?;
    let asked = if plan.family == Family::V4 { "ARP" } else { "neighbour solicitations" };
    // Its daemon alone dies: the host answers.
    let folder = cluster.kill(A)?;
    let first = takeover(&cluster, &format!("peer still answers {asked}"), 0)?;
    numbers_fit(&cluster, &first);
    cluster.revive(A, &folder)?;
    held_by(&cluster, A)?;
    cluster.watch.pause(plan.interval * 5)?;
    // The host dies.
    cluster.die(A)?;
    let since = first["n"].as_u64().unwrap_or(0);
    let second = takeover(&cluster, &format!("peer does not answer {asked}"), since)?;
    numbers_fit(&cluster, &second);
    let lines = cluster.lines(B);
    for words in [format!("still answers {asked}: its daemon"), format!("does not answer {asked}: its host")] {
        let count = lines.iter().filter(|line| line.contains(&words)).count();
        assert_eq!(count, 1, "{words}: {lines:#?}");
    }
    let text = String::from_utf8_lossy(&history(&cluster.folder(B)?, &["-n", "9"])?.stdout).into_owned();
    eprintln!("{text}");
    let missed = format!("3 adverts missed, {} last heard 0.", cluster.plan.source(A));
    assert_eq!(text.matches(&missed).count(), 2, "{text}");
    Ok(())
}

/// Waits until node b tells of a takeover after an entry, with this finding.
fn takeover(cluster: &Cluster, finding: &str, since: u64) -> Result<Value, LabError> {
    let folder = cluster.folder(B)?;
    let found = || {
        let all = entries(&history(&folder, &["--json", "web"]).ok()?);
        let is_it = |entry: &&Value| entry["n"].as_u64() > Some(since) && entry["finding"] == finding;
        all.iter().find(is_it).cloned()
    };
    cluster.watch.wait(&format!("node b to find out: {finding}"), PATIENCE, |_| found())
}

/// Three adverts of node a were missed, and the last one came a master-down interval before.
fn numbers_fit(cluster: &Cluster, entry: &Value) {
    let (down, slack) = (cluster.plan.master_down(B), Duration::from_millis(150));
    let heard = Duration::from_millis(entry["last_heard_ms"].as_u64().unwrap_or(0));
    assert_eq!(
        (&entry["from"], &entry["to"], &entry["cause"]),
        (&"BACKUP".into(), &"MASTER".into(), &"master_down".into())
    );
    assert!(heard + Duration::from_millis(1) >= down && heard < down + slack, "{entry}: expected {down:?}");
    assert_eq!((entry["missed"].as_u64(), entry["priority"].as_u64()), (Some(3), Some(100)), "{entry}");
    assert_eq!(entry["peer"], cluster.plan.source(A).to_string(), "{entry}");
}

fn goes_on() -> Result<(), LabError> {
    let mut cluster = pair(&quick())?;
    let folder = cluster.folder(B)?;
    let mut follower = Follower::start(&folder, &["--follow", "-n", "0"])?;
    let mut by_json = Follower::start(&folder, &["--follow", "--json", "-n", "1000"])?;
    by_json.awaits("\"kind\":\"start\"")?;
    cluster.watch.pause(Duration::from_millis(300))?;

    cluster.kill(A)?;
    follower.awaits("web  BACKUP -> MASTER")?;
    follower.awaits("web: peer still answers ARP (")?;
    cluster.restart(B, Duration::from_millis(50))?;
    follower.awaits("killed or crashed")?;
    held_by_b(&cluster)?;
    assert_eq!(kinds(&history(&folder, &["--json"])?), ["start", "transition", "transition", "start", "transition"]);

    upgrade(&folder)?;
    follower.awaits("  -  upgrade  from version ")?;
    let (text, _) = cluster.status(B, &["--json"])?;
    let status: Value = serde_json::from_str(&text).unwrap_or_default();
    let reasons: Vec<&str> =
        status["transitions"].as_array().into_iter().flatten().filter_map(|it| it["reason"].as_str()).collect();
    assert!(reasons.len() >= 3 && reasons[0] == "started", "status forgot what was: {reasons:?}");

    cluster.stop(B)?;
    let output = history(&folder, &["--json"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.starts_with("vrrpd: the daemon is not running; this is from "),
        "{output:?}"
    );
    let all = entries(&output);
    let last = all.last().cloned().unwrap_or_default();
    assert_eq!(last["kind"], "stop", "{all:#?}");
    assert!(last["reason"].as_str().is_some_and(|words| words.starts_with("SIGTERM from pid ")), "{last}");
    let before_last = &all[all.len() - 2];
    assert_eq!((&before_last["from"], &before_last["to"]), (&"MASTER".into(), &"INIT".into()), "{all:#?}");

    cluster.relaunch(B)?;
    by_json.awaits("\"reason\":\"version 0.1.0\",\"boot\"")?;
    let numbers = by_json.ends()?;
    assert!(numbers.len() > 7 && numbers.windows(2).all(|two| two[0] < two[1]), "not each once: {numbers:?}");
    let numbers = follower.ends()?;
    assert_eq!(numbers, Vec::<u64>::new(), "text has no numbers");
    thousand_and_first(&mut cluster, &folder)
}

/// A full history drops its first entries when something happens.
fn thousand_and_first(cluster: &mut Cluster, folder: &Path) -> Result<(), LabError> {
    cluster.stop(B)?;
    let line = |n| format!("{{\"n\":{n},\"at\":\"2026-01-01T00:00:00.000Z\",\"kind\":\"stop\",\"reason\":\"\"}}\n");
    let full: String = (1..=1000).map(line).collect();
    let path = folder.join("run/history");
    fs::write(&path, full + "{\"n\":1001,\"at\":\"torn").map_err(LabError::kernel("fill the history"))?;
    cluster.relaunch(B)?;
    held_by_b(cluster)?;
    let all = entries(&history(folder, &["--json", "-n", "1000"])?);
    let first_and_last = (all[0]["n"].as_u64(), all[999]["n"].as_u64(), all[999]["to"].as_str());
    // A start and two transitions came.
    assert_eq!((all.len(), first_and_last), (1000, (Some(4), Some(1003), Some("MASTER"))));
    Ok(())
}

fn catalog_is_taken() -> Result<(), LabError> {
    let scratch = Scratch::new()?;
    let folder = scratch.path().join("usr/lib/systemd/catalog");
    let failed = || LabError::kernel("install the catalog");
    fs::create_dir_all(&folder).map_err(failed())?;
    fs::create_dir_all(scratch.path().join("var/lib/systemd/catalog")).map_err(failed())?;
    fs::write(folder.join("vrrpd.catalog"), include_str!("../../dist/vrrpd.catalog")).map_err(failed())?;
    let database = scratch.path().join("var/lib/systemd/catalog/database");
    let root = format!("--root={}", scratch.path().display());
    let run = |words: &[&str]| -> Result<(String, String), LabError> {
        let output = Command::new("journalctl").args(words).arg(&root).output().map_err(failed())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "journalctl {words:?}: {}", text(&output.stderr));
        Ok((text(&output.stdout), text(&output.stderr)))
    };
    let (_, said) = run(&["--update-catalog"])?;
    assert_eq!(said, "", "journalctl has something to say about the catalog");
    assert!(database.exists(), "no database was made");
    let text = fs::read(&database).map_err(LabError::kernel("read the database"))?;
    let text = String::from_utf8_lossy(&text);
    for kind in vrrpd::daemon::record::Kind::ALL {
        let entry = include_str!("../../dist/vrrpd.catalog").split(kind.message_id()).nth(1).unwrap_or_default();
        let subject = entry.lines().nth(1).unwrap_or_default();
        assert!(subject.starts_with("Subject: ") && text.contains(subject), "{kind:?} is not in the database");
    }
    Ok(())
}

/// Two nodes of ours; node a holds the address.
fn pair(plan: &Plan) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(plan, &[Vrrpd, Vrrpd])?;
    cluster.start(A)?;
    cluster.start(B)?;
    held_by(&cluster, A)?;
    cluster.watch.pause(plan.interval * 5)?;
    Ok(cluster)
}

fn held_by(cluster: &Cluster, node: Node) -> Result<(), LabError> {
    let awaited = format!("node {node} alone to hold the address");
    cluster.watch.wait(&awaited, PATIENCE, |log| (cluster.holders(log) == [node]).then_some(()))
}

/// Waits until node b is master; node a's daemon was killed and left the address.
fn held_by_b(cluster: &Cluster) -> Result<(), LabError> {
    let is_master = || cluster.status(B, &["--json"]).is_ok_and(|(text, _)| text.contains("\"state\":\"MASTER\""));
    cluster.watch.wait("node b to be master", PATIENCE, |_| is_master().then_some(()))
}

fn vrrpd(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    command.args(words).arg("--runtime-dir").arg(folder.join("run"));
    command
}

fn history(folder: &Path, words: &[&str]) -> Result<Output, LabError> {
    vrrpd(folder, &[&["history"], words].concat()).output().map_err(LabError::kernel("run vrrpd history"))
}

fn entries(output: &Output) -> Vec<Value> {
    let page: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    page["entries"].as_array().cloned().unwrap_or_default()
}

fn kinds(output: &Output) -> Vec<String> {
    entries(output).iter().map(|entry| entry["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

fn upgrade(folder: &Path) -> Result<(), LabError> {
    let output = vrrpd(folder, &["reload", "--exec"]).output().map_err(LabError::kernel("run vrrpd reload"))?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

/// `vrrpd history --follow` as somebody runs it.
struct Follower {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    folder: PathBuf,
}

impl Follower {
    fn start(folder: &Path, words: &[&str]) -> Result<Self, LabError> {
        let failed = || LabError::kernel("run vrrpd history --follow");
        let mut command = vrrpd(folder, &[&["history"], words].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed())?;
        let out = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe.into()).map_err(failed())?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the child.
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, lines, seen: Vec::new(), folder: folder.to_owned() })
    }

    /// Waits for a line with these words, in the order of the calls.
    fn awaits(&mut self, words: &str) -> Result<(), LabError> {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| line.contains(words)) {
                return Ok(());
            }
        }
        let problem = format!("no line with {words:?} came: {:#?}", self.seen);
        Err(LabError::Daemon { name: format!("vrrpd history --follow in {}", self.folder.display()), problem })
    }

    /// Ends it as Ctrl-C does: quietly. Returns the numbers of the entries that it printed as JSON, without those that came
    /// again with a finding.
    fn ends(mut self) -> Result<Vec<u64>, LabError> {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|errno| LabError::kernel("interrupt it")(errno.into()))?;
        self.child.wait().map_err(LabError::kernel("wait for it"))?;
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut said).map_err(LabError::kernel("read it"))?;
        }
        let waiting = "vrrpd: the daemon is not running; waiting for it";
        assert!(said.lines().all(|line| line == waiting), "{said}");
        self.seen.extend(self.lines.iter());
        let entries = self.seen.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(entries.filter(|entry| entry["finding"].is_null()).filter_map(|entry| entry["n"].as_u64()).collect())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It has ended, unless the story failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn told(done: Result<(), LabError>) {
    done.unwrap_or_else(|error| panic!("{error}"));
}
