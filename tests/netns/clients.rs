//! Clients of the control socket that mean harm, or stand still: none of them costs an advert at 10 ms, and all of them
//! together cost a bounded amount of memory.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::Spacing;

use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::in_turn;
use crate::measure::{FORGIVEN, is_regular};
use crate::status::status;
use crate::stories::quick;

const INTERVAL: Duration = Duration::from_millis(10);
/// How long each kind of client is there.
const LENGTH: Duration = Duration::from_secs(3);
const IDLE: usize = 1000;
/// As many as are served at a time.
const SERVED: usize = 32;
/// What the daemon may take more of memory than without them: 32 MiB of replies that nobody reads, and as much again.
const MEMORY_KIB: u64 = 64 << 10;
const REQUEST: &[u8] = b"{\"schema\":1,\"command\":\"status\"}\n";

#[test]
fn no_client_of_the_control_socket_costs_an_advert_or_memory_without_bound() {
    in_turn(|| endures_clients().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn who_may_not_is_told_so_and_changes_nothing() {
    in_turn(|| refuses_strangers().unwrap_or_else(|error| panic!("{error}")));
}

fn endures_clients() -> Result<(), LabError> {
    let plan = Plan { interval: INTERVAL, ..quick() };
    let mut cluster = pair(&plan)?;
    let socket = cluster.folder(A)?.join("run/vrrpd.sock");
    let pid = status(&cluster, A, "web")?.pid;
    let quiet = adverts(&cluster)?;
    let (before, since) = (memory_kib(pid), now());
    let kinds: [(&str, Come); 4] = [("idle", idle), ("deaf", deaf), ("half a request", half), ("no newline", endless)];
    for (name, come) in kinds {
        let clients = come(&socket);
        let spacing = adverts(&cluster)?;
        let memory = memory_kib(pid);
        eprintln!(
            "{name}: {} clients, {spacing:?} (alone {quiet:?}), memory {before} KiB -> {memory} KiB",
            clients.len()
        );
        assert!(is_regular(&spacing), "{name}: {spacing:?}, {quiet:?} without them");
        assert!(memory < before + MEMORY_KIB, "{name}: memory grew from {before} to {memory} KiB");
    }
    let moved = [A, B].map(|node| cluster.watch.look(|log| log.acquisitions(cluster.address(), node, since).len()));
    assert!(moved.iter().sum::<usize>() <= FORGIVEN, "nodes a and b took over: {moved:?}");
    let patience = now() + Duration::from_secs(10);
    while cluster.status(A, &[])?.1 != 0 {
        assert!(now() < patience, "nobody is served after the clients are gone");
        cluster.watch.pause(Duration::from_millis(100))?;
    }
    cluster.check_alive()?;
    cluster.stop(A)
}

/// Makes clients of one kind.
type Come = fn(&Path) -> Vec<UnixStream>;

/// Says nothing. Who is too many is told so.
fn idle(socket: &Path) -> Vec<UnixStream> {
    (0..IDLE).map(|_| connect(socket)).collect()
}

/// Asks and asks and reads nothing.
fn deaf(socket: &Path) -> Vec<UnixStream> {
    let ask = |_| {
        let mut client = connect(socket);
        client.set_nonblocking(true).unwrap();
        // The daemon reads no further while it waits, and closes in the end.
        for _ in 0..5000 {
            if client.write_all(REQUEST).is_err() {
                break;
            }
        }
        client
    };
    (0..SERVED).map(ask).collect()
}

/// Begins a request.
fn half(socket: &Path) -> Vec<UnixStream> {
    let ask = |_| {
        let mut client = connect(socket);
        // Refused: its place is still another's.
        let _ = client.write_all(&REQUEST[..REQUEST.len() / 2]);
        client
    };
    (0..SERVED).map(ask).collect()
}

/// Sends 10 MB without an end of the line, or what the daemon takes of it.
fn endless(socket: &Path) -> Vec<UnixStream> {
    let ask = |_| {
        let mut client = connect(socket);
        let block = [b'x'; 10_000];
        let sent = (0..1000).take_while(|_| client.write_all(&block).is_ok()).count();
        assert!(sent < 1000, "all of 10 MB were read");
        client
    };
    (0..SERVED).map(ask).collect()
}

fn connect(socket: &Path) -> UnixStream {
    let client = UnixStream::connect(socket).unwrap();
    client.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

fn refuses_strangers() -> Result<(), LabError> {
    let mut cluster = pair(&quick())?;
    let folder = cluster.folder(A)?;
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    // So that it is the socket that says no, and not the directories on the way.
    folder.ancestors().take(2).for_each(open);
    let program = folder.join("vrrpd");
    fs::copy(env!("CARGO_BIN_EXE_vrrpd"), &program).map_err(LabError::kernel("copy the program"))?;
    open(&program);
    let run = |(uid, gid): (u32, u32), command: &str| outcome(&program, &folder, (uid, gid), command);
    let (nobody, member) = ((65_534, 65_534), (65_534, 0));
    let (code, text) = run(nobody, "status");
    assert!(code == 77 && text.contains("permission denied on "), "{code}: {text}");
    assert_eq!(run(member, "status").0, 0, "who is of its group may look");
    let (code, text) = run(member, "reload");
    assert!(code == 69 && text.contains("only root may change anything"), "{code}: {text}");
    assert_eq!(run((0, 0), "reload").0, 0);
    let told = cluster.lines(A).iter().filter(|line| line.contains("reload")).count();
    assert!(told > 0, "the reload of root is in the log");
    let mut client = connect(&folder.join("run/vrrpd.sock"));
    client.write_all(REQUEST).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 1);
    cluster.stop(A)
}

fn outcome(program: &PathBuf, folder: &Path, (uid, gid): (u32, u32), command: &str) -> (i32, String) {
    let mut process = Command::new(program);
    process.args([command, "--runtime-dir"]).arg(folder.join("run")).uid(uid).gid(gid);
    let output = process.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

fn pair(plan: &Plan) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(plan, &[Kind::Vrrpd, Kind::Vrrpd])?;
    cluster.start(A)?;
    cluster.start(B)?;
    let address = cluster.address();
    cluster.watch.wait("node a to hold the address", Duration::from_secs(10), |log| {
        (log.holders(address) == [A]).then_some(())
    })?;
    cluster.watch.pause(Duration::from_secs(1))?;
    Ok(cluster)
}

/// Returns how far apart the adverts of node a are for a while.
fn adverts(cluster: &Cluster) -> Result<Spacing, LabError> {
    let since = now();
    cluster.watch.pause(LENGTH)?;
    cluster
        .watch
        .look(|log| log.spacing(A, since))
        .ok_or_else(|| LabError::Daemon { name: "a".to_owned(), problem: "no adverts at all".to_owned() })
}

/// Returns how much memory a process has.
fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
