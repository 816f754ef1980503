//! What `docs/threat-model.md` says and no other test shows: a user of the same host, and a recording played to a node that
//! heard nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::namespace::Namespace;
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;
use vrrpd::wire::field::Version;

use crate::authentication::Pair;
use crate::driver::Kind;
use crate::forgery::Advert;
use crate::in_turn;
use crate::intruder::Intruder;
use crate::routers::{KEYS, Router};
use crate::status::status;
use crate::stories::steps;
use crate::story::Act::{Die, Start};
use crate::story::{Miss, Step};
use crate::tap::Tap;

/// The user and the group `nobody`, and a user in no group of ours.
const NOBODY: u32 = 65_534;
const DAEMON: u32 = 1;

#[test]
fn a_local_user_learns_and_moves_nothing() {
    in_turn(learns_and_moves_nothing);
}

#[test]
fn a_recording_keeps_a_node_waiting_that_heard_nothing_before_it() {
    in_turn(|| recording_keeps_waiting().unwrap_or_else(|error| panic!("{error}")));
}

fn learns_and_moves_nothing() {
    let scratch = Scratch::new().unwrap();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    // Anybody may run this copy, wherever the build directory is.
    let program = scratch.path().join("vrrpd");
    fs::copy(env!("CARGO_BIN_EXE_vrrpd"), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let secret = KEYS[1];
    let key_file = scratch.write("key", secret).unwrap();
    let config = scratch.write("vrrpd.toml", &config(&key_file)).unwrap();
    // A key that others may read is no key.
    fs::set_permissions(&key_file, Permissions::from_mode(0o644)).unwrap();
    let namespace = Namespace::new("threats").unwrap();
    let (mut check, path) = (Command::new(&program), config.clone());
    check.arg("check").arg(path);
    let refused = outcome(&namespace, check);
    assert!(refused.0 != 0 && refused.1.contains("chmod"), "{refused:?}");
    fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();

    let run_dir = scratch.path().join("run");
    let mut run = Command::new(&program);
    run.args(["run", "--log", "text", "--exit-with-parent", "--config"]).arg(&config);
    run.arg("--runtime-dir").arg(&run_dir);
    let mut daemon = Process::start(&namespace, "vrrpd", run, Box::new(|_| {})).unwrap();
    let status = |user: u32, group: u32| {
        let mut command = Command::new(&program);
        command.args(["status", "--json", "--runtime-dir"]).arg(&run_dir).uid(user).gid(group);
        outcome(&namespace, command)
    };
    let since = now();
    while status(0, 0).0 == 3 {
        assert!(now() < since + Duration::from_secs(5), "no daemon to be seen: {:?}", daemon.last_lines(9));
    }
    let (code, page) = status(DAEMON, DAEMON);
    assert_eq!(code, 77, "a user in no group of ours: {page}");
    // The one instance waits for its interface: FAULT.
    let (code, page) = status(DAEMON, NOBODY);
    assert_eq!(code, 1, "a member of the control group: {page}");

    let pid = serde_json::from_str::<serde_json::Value>(&page).unwrap()["pid"].as_u64().unwrap();
    let tries = format!(
        "cat {key} {config} /proc/{pid}/mem /proc/{pid}/environ; ls /proc/{pid}/fd/; echo >{run}/x; kill -TERM {pid}; true",
        key = key_file.display(),
        config = config.display(),
        run = run_dir.display(),
    );
    for group in [DAEMON, NOBODY] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &tries]).uid(DAEMON).gid(group).stderr(Stdio::null());
        assert_eq!(outcome(&namespace, shell).1, "", "what a local user could read, group {group}");
    }
    assert!(daemon.is_alive() && !run_dir.join("x").exists());
    let told =
        daemon.last_lines(usize::MAX).join("\n") + &page + &fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!told.contains(secret), "{told}");
    assert!(daemon.stop(Duration::from_secs(5)).unwrap().success());
}

fn config(key: &Path) -> String {
    format!(
        "[daemon]\ncontrol_group = \"nogroup\"\n[instance.web]\ninterface = \"nowhere0\"\nvirtual_router_id = 51\n\
         priority = 100\nsource = \"10.9.0.1\"\npeers = [\"10.9.0.2\"]\naddresses = [\"10.9.0.100\"]\n\
         [instance.web.auth]\nhmac = {{ keys = {{ 1 = \"file:{}\" }} }}\n",
        key.display()
    )
}

fn outcome(namespace: &Namespace, mut command: Command) -> (i32, String) {
    command.stdin(Stdio::null());
    let Output { status, stdout, stderr } = namespace.enter(move || command.output()).unwrap();
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// The limit of the HMAC trailer: within the window a node without a memory believes a recording, each advert of it once and
/// in order. A node that heard the sender itself believes none of it.
fn recording_keeps_waiting() -> Result<(), LabError> {
    let table = format!("keys = {{ 1 = \"{}\" }}, window = \"30s\"", KEYS[0]);
    let router = Router::plain("web", 51, Version::V3, false, "10.77.1.1").with_hmac(&table);
    let mut pair = Pair::new([Kind::Vrrpd, Kind::Vrrpd], vec![router.clone()])?;
    let mut tap = Tap::of_adverts(pair.cluster.lab())?;
    // Long before it sends: a switch may lose the first frames of a new port.
    let intruder = Intruder::new(pair.cluster.lab())?;
    pair.play(steps! { Start(A) => [A], Anything; })?;
    pair.cluster.watch.pause(Duration::from_secs(1))?;
    pair.play(vec![Step { act: Die(A), holders: vec![], miss: Miss::Anything }])?;
    let adverts = tap.listen(Duration::ZERO).iter().filter_map(|(_, frame)| Advert::read(&router, frame));
    let recording: Vec<Vec<u8>> = adverts.map(|advert| advert.verbatim()).collect();
    pair.cluster.start(B)?;
    let since = now();
    pair.cluster.watch.pause(Duration::from_millis(300))?;
    let play_once = || {
        recording.iter().try_for_each(|frame| {
            intruder.send(frame);
            pair.cluster.watch.pause(router.interval)
        })
    };
    play_once()?;
    let (played, first) = (now(), status(&pair.cluster, B, "web")?);
    let count = |key: &str, status: &serde_json::Value| status["counters"][key].as_u64().unwrap_or(0);
    let believed = count("advertisements_received", &first.instance);
    assert_eq!((first.state.as_str(), believed), ("BACKUP", recording.len() as u64), "{first:?}");
    // The second time it keeps nobody waiting.
    play_once()?;
    let (again, taken) = (
        status(&pair.cluster, B, "web")?,
        pair.cluster.watch.look(|log| log.acquisitions(pair.cluster.address(), B, since)),
    );
    let taken = taken.first().copied().unwrap_or(Duration::MAX);
    eprintln!(
        "{} adverts recorded: node b waited {:?}, then {:?}",
        recording.len(),
        played - since,
        taken.saturating_sub(played)
    );
    assert_eq!(again.state, "MASTER", "{again:?}");
    assert_eq!(count("advertisements_received", &again.instance), believed, "{again:?}");
    assert!(taken > played && taken < played + pair.cluster.plan.master_down(B) + Duration::from_millis(300));
    Ok(())
}
