//! `process` checks: births and deaths.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vrrpd::engine::input::CheckResult::{Failed, Passed};
use vrrpd::engine::params::{ArgumentMatch, CheckKind, CheckParams, ProcessParams, ProcessTarget};

use super::world::{Folder, PATIENCE, Process, check, ms, run, skipped};

/// An interval at which nothing here would be noticed in time.
const NEVER: Duration = Duration::from_secs(1000);

fn process(target: ProcessTarget) -> ProcessParams {
    ProcessParams { target, quorum: 1, quorum_max: None, gain_delay: Duration::ZERO, loss_delay: Duration::ZERO }
}

fn params(process: ProcessParams, interval: Duration) -> Arc<CheckParams> {
    check(CheckKind::Process(process), interval, PATIENCE)
}

/// Gives `sleep` a name that nothing else on this host has.
fn sleeper(folder: &Folder) -> (PathBuf, String) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("vt{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = folder.path(&name);
    std::os::unix::fs::symlink("/bin/sleep", &path).unwrap();
    (path, name)
}

/// Says whether the kernel tells this process of others; else says that the test is left out.
fn has_connector(name: &str) -> bool {
    let answers = || {
        let mut socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_CONNECTOR)?;
        socket.bind(&netlink_sys::SocketAddr::new(0, 1))?;
        // Length 40, type "done"; process events; length 4, operation "listen".
        let words: [u32; 10] = [40, 3, 0, 0, 1, 1, 0, 0, 4, 1];
        socket.send(&words.map(u32::to_ne_bytes).concat(), 0)?;
        socket.set_non_blocking(true)?;
        // The answer, or any event of this busy host.
        for _ in 0..50 {
            match socket.recv_from_full() {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(ms(10)),
                other => return other.map(|_| ()),
            }
        }
        Err(std::io::Error::from(std::io::ErrorKind::TimedOut))
    };
    let answer = answers();
    if let Err(error) = &answer {
        skipped(&format!("{name} needs the kernel's process connector: {error}"));
    }
    answer.is_ok()
}

#[test]
fn death_is_noticed_without_polling() {
    let folder = Folder::new();
    let (program, name) = sleeper(&folder);
    let first = Process::start(&program, &["1000"]);
    run(vec![params(process(ProcessTarget::Name(name)), NEVER)], async |reports| {
        assert_eq!(reports.next(0, Passed).await.1, "1 running");
        let start = first.kill();
        let (at, words) = reports.next(0, Failed).await;
        assert_eq!(words, "none running, expected at least 1");
        println!("death noticed after {:?}", at - start);
        assert!(at - start < ms(250), "{:?}", at - start);
    });
}

#[test]
fn birth_is_noticed_without_polling_where_the_kernel_tells() {
    if !has_connector("process::birth_is_noticed_without_polling_where_the_kernel_tells") {
        return;
    }
    let folder = Folder::new();
    let (program, name) = sleeper(&folder);
    run(vec![params(process(ProcessTarget::Name(name)), NEVER)], async |reports| {
        reports.next(0, Failed).await;
        for _ in 0..3 {
            let start = Instant::now();
            let process = Process::start(&program, &["1000"]);
            let (at, _) = reports.next(0, Passed).await;
            println!("birth noticed after {:?}", at - start);
            assert!(at - start < ms(250), "{:?}", at - start);
            process.kill();
            reports.next(0, Failed).await;
        }
    });
}

#[test]
fn birth_is_noticed_at_the_interval_where_the_kernel_does_not_tell() {
    let folder = Folder::new();
    let (program, name) = sleeper(&folder);
    // Without the capability the connector is closed to this thread.
    let story = move || {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(rustix::thread::CapabilitySet::NET_ADMIN);
        rustix::thread::set_capabilities(None, sets).unwrap();
        run(vec![params(process(ProcessTarget::Name(name)), ms(100))], async |reports| {
            reports.next(0, Failed).await;
            let process = Process::start(&program, &["1000"]);
            reports.next(0, Passed).await;
            let start = process.kill();
            let (at, _) = reports.next(0, Failed).await;
            assert!(at - start < ms(250), "{:?}", at - start);
        });
    };
    std::thread::spawn(story).join().unwrap();
}

#[test]
fn the_quorum_counts_processes_and_arguments_tell_them_apart() {
    let folder = Folder::new();
    let (program, name) = sleeper(&folder);
    let by_line = |words: &[&str], matching| ProcessTarget::CommandLine {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        matching,
    };
    let at_most_one = ProcessParams { quorum_max: Some(1), ..process(ProcessTarget::Name(name.clone())) };
    let two = ProcessParams { quorum: 2, ..process(ProcessTarget::Name(name.clone())) };
    let exact = process(by_line(&[&name, "1001"], ArgumentMatch::Exact));
    let partial = process(by_line(&[&name, "1002"], ArgumentMatch::Partial));
    let first = process(by_line(&[program.to_str().unwrap()], ArgumentMatch::Initial));
    let checks = [at_most_one, two, exact, partial, first].map(|process| params(process, ms(200))).to_vec();
    run(checks, async |reports| {
        for key in 0..5 {
            reports.next(key, Failed).await;
        }
        let one = Process::start(&program, &["1001"]);
        assert_eq!(reports.next(0, Passed).await.1, "1 running");
        reports.next(2, Passed).await;
        reports.next(4, Passed).await;
        let two = Process::start(&program, &["10020"]);
        assert_eq!(reports.next(0, Failed).await.1, "2 running, expected at most 1");
        assert_eq!(reports.next(1, Passed).await.1, "2 running");
        assert_eq!(reports.next(3, Passed).await.1, "1 running");
        one.kill();
        assert_eq!(reports.next(1, Failed).await.1, "1 running, expected at least 2");
        reports.next(2, Failed).await;
        two.kill();
        reports.next(3, Failed).await;
        reports.next(4, Failed).await;
    });
}

#[test]
fn a_pid_file_names_the_process() {
    let folder = Folder::new();
    let (program, _) = sleeper(&folder);
    let path = folder.path("pid");
    let (first, second) = (Process::start(&program, &["1000"]), Process::start(&program, &["1000"]));
    let write = |process: &Process| write(&path, process.id());
    run(vec![params(process(ProcessTarget::PidFile(path.clone())), NEVER)], async |reports| {
        reports.next(0, Failed).await;
        write(&first);
        reports.next(0, Passed).await;
        let start = first.kill();
        let (at, _) = reports.next(0, Failed).await;
        assert!(at - start < ms(250), "{:?}", at - start);
        write(&second);
        reports.next(0, Passed).await;
        fs::remove_file(&path).unwrap();
        reports.next(0, Failed).await;
        fs::write(&path, "not a number\n").unwrap();
        write(&second);
        reports.next(0, Passed).await;
    });
}

fn write(path: &Path, pid: i32) {
    fs::write(path, format!("{pid}\n")).unwrap();
}

#[test]
fn a_loss_counts_only_when_it_has_lasted() {
    let folder = Folder::new();
    let (program, name) = sleeper(&folder);
    let slow = ProcessParams { loss_delay: ms(700), ..process(ProcessTarget::Name(name)) };
    let first = Process::start(&program, &["1000"]);
    run(vec![params(slow, ms(50))], async |reports| {
        reports.next(0, Passed).await;
        first.kill();
        tokio::time::sleep(ms(100)).await;
        let second = Process::start(&program, &["1000"]);
        tokio::time::sleep(ms(1200)).await;
        assert!(reports.of(0).iter().all(|(_, result, _)| *result == Passed), "{:?}", reports.of(0));
        let start = second.kill();
        let (at, _) = reports.next(0, Failed).await;
        assert!(at - start >= ms(695) && at - start < ms(1500), "{:?}", at - start);
    });
}
