//! `vrrpd demo` as a user sees it: its page, its exit status, and nothing left behind.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// It ends well within 30 s, fits 80 columns, is not coloured when nobody looks, and cleans up.
pub fn plays_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let mut demo = start(folder.path());
    let mut page = String::new();
    demo.stdout.take().unwrap().read_to_string(&mut page).unwrap();
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{page}");
    assert!(begin.elapsed() < Duration::from_secs(30), "took {:?}\n{page}", begin.elapsed());
    assert!(!page.contains('\x1b'), "coloured although it goes to a pipe:\n{page}");
    // A word that is longer than a line, such as a path, stays whole.
    let too_wide = page.lines().find(|line| line.chars().count() > 80 && line.split_whitespace().count() > 4);
    assert_eq!(too_wide, None, "{page}");
    for row in ["both nodes start", "a is stopped", "a is started again", "b's host dies"] {
        assert!(page.lines().any(|line| line.starts_with(row)), "no row for {row:?}:\n{page}");
    }
    let stopped = page.lines().find(|line| line.starts_with("a is stopped")).unwrap_or_default();
    assert!(stopped.contains("nothing lost"), "a planned stop cost the client something: {stopped}");
    assert_nothing_left(folder.path());
}

/// Ctrl-C in the middle of it: status 130, no daemon and no file stays.
pub fn is_gone_after_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(folder.path());
    let pid = Pid::from_raw(demo.id().try_into().unwrap());
    let is_playing = || fs::read_dir(folder.path()).unwrap().next().is_some() && !children(pid).is_empty();
    wait_until("the demo to start its daemons", is_playing);
    let daemons = children(pid);
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    for daemon in daemons {
        wait_until("its daemons to end", || !is_running(daemon));
    }
    assert_nothing_left(folder.path());
}

/// A demo that is killed can clean up no files, but its daemons must end with it.
pub fn its_daemons_die_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(folder.path());
    let pid = Pid::from_raw(demo.id().try_into().unwrap());
    wait_until("the demo to start its daemons", || children(pid).len() == 2);
    // They ask the kernel for it first thing, but not before they run.
    std::thread::sleep(Duration::from_millis(500));
    let daemons = children(pid);
    demo.kill().unwrap();
    demo.wait().unwrap();
    for daemon in daemons {
        wait_until("its daemons to end", || !is_running(daemon));
    }
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    command.arg("demo").env("TMPDIR", folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn assert_nothing_left(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Returns the children of a process, whichever of its threads started them.
fn children(pid: Pid) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Says whether a process exists and is more than an entry that nobody has collected.
fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited 10 s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
