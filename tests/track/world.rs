//! Scripts in a folder, checks that run for a while, and what became of processes.

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use vrrpd::engine::input::{CheckKey, CheckResult};
use vrrpd::engine::params::{CheckKind, CheckParams, Command, Initial, Scripts, UserParams};
use vrrpd::track::{self, Report};

/// Far more than anything here takes, unless it does not happen at all.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Runs a test in a process of its own: it counts what all threads share, or needs another environment.
pub fn by_itself(name: &str, environment: &[(&str, &str)], test: impl FnOnce()) {
    const AGAIN: &str = "VRRPD_TEST_BY_ITSELF";
    if std::env::var_os(AGAIN).is_some() {
        return test();
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(AGAIN, "1");
    let output = again.envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("test result: ok. 1 passed"), "{name} failed by itself");
}

/// Says that a test is left out, past the test harness, which shows nothing that a passing test prints.
pub fn skipped(what: &str) {
    // Standard output that is closed hears nothing anyway.
    let _ = writeln!(std::io::stdout(), "SKIPPED: {what}");
}

/// Says whether this is root; else says that the test is left out.
pub fn is_root(name: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skipped(&format!("{name} needs root"));
    }
    is_root
}

/// A folder for scripts that everybody may pass.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a shell script of mode 0755, or replaces it in one step.
    ///
    /// Another process writes it: what another test starts meanwhile would inherit our descriptor, and a file that somebody
    /// may write to cannot be executed.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2.part" && chmod 755 "$2.part" && mv "$2.part" "$2""#;
        let status = std::process::Command::new("sh").args(["-c", write, "sh", body]).arg(&path).status().unwrap();
        assert!(status.success());
        path
    }
}

/// A command as this very user.
pub fn command(program: &Path, arguments: &[&str]) -> Command {
    let words = std::iter::once(program.to_str().unwrap()).chain(arguments.iter().copied());
    Command { words: words.map(str::to_owned).collect(), user: Some(own()) }
}

fn own() -> UserParams {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    UserParams { name: user.to_string(), group: Some(group.to_string()) }
}

pub fn check(kind: CheckKind, interval: Duration, timeout: Duration) -> Arc<CheckParams> {
    Arc::new(CheckParams {
        name: "check".to_owned(),
        kind,
        interval,
        timeout,
        rise: 1,
        fall: 1,
        initial: Initial::Unknown,
    })
}

/// Runs something asynchronous as the service thread does.
pub fn service<T>(inside: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, inside)
}

/// What checks have reported so far, and when.
#[derive(Clone, Default)]
pub struct Reports(Rc<RefCell<Vec<(Instant, Report)>>>);

impl Reports {
    /// Waits until a check reports such a result that has not been asked for yet; returns when, and its words.
    pub async fn next(&self, key: u32, result: CheckResult) -> (Instant, String) {
        let end = Instant::now() + PATIENCE;
        loop {
            {
                let mut reports = self.0.borrow_mut();
                let found =
                    reports.iter().position(|(_, report)| report.check == CheckKey(key) && report.result == result);
                if let Some(place) = found {
                    let (at, report) = reports.drain(..=place).next_back().unwrap();
                    return (at, report.words.to_string());
                }
            }
            assert!(Instant::now() < end, "no {result:?} of check {key} in {:?}", self.0.borrow());
            tokio::time::sleep(ms(1)).await;
        }
    }

    /// Returns what one check has reported and nobody has asked for.
    pub fn of(&self, key: u32) -> Vec<(Instant, CheckResult, String)> {
        let reports = self.0.borrow();
        let of_check = reports.iter().filter(|(_, report)| report.check == CheckKey(key));
        of_check.map(|(at, report)| (*at, report.result, report.words.to_string())).collect()
    }
}

/// Runs checks, keys 0, 1 and so on, while `story` goes on.
pub fn run<T>(checks: Vec<Arc<CheckParams>>, story: impl AsyncFnOnce(Reports) -> T) -> T {
    let reports = Reports::default();
    let kept = reports.clone();
    let report = move |report| kept.0.borrow_mut().push((Instant::now(), report));
    let checks = (0..).map(CheckKey).zip(checks).collect();
    service(async move {
        tokio::select! {
            () = track::run(checks, Arc::new(Scripts::default()), report) => unreachable!("it does not return"),
            value = story(reports) => value,
        }
    })
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// Waits until a script has written its process number, and returns it.
pub async fn pid_in(path: &Path) -> i32 {
    let mut pid = None;
    until("a script writes its number", || {
        pid =
            fs::read_to_string(path).ok().filter(|text| text.ends_with('\n')).and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    pid.unwrap()
}

/// Says whether a process is there and has not ended. What has lost its parent is waited for by another process, sometime.
pub fn exists(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Returns the children of this process, ended ones included.
pub fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// Returns how many descriptors this process has open.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// A process that dies with the test.
pub struct Process(std::process::Child);

impl Process {
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        Self(std::process::Command::new(program).args(arguments).spawn().unwrap())
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Kills it and waits for it; returns when the signal was sent.
    pub fn kill(mut self) -> Instant {
        let at = Instant::now();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        at
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
