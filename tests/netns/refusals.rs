//! What keeps the daemon from running: one clear message, the exit code of sysexits, and a system left as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::namespace::Namespace;
use vrrpd::demo::scratch::Scratch;

/// An interface that no namespace has.
const GOOD: &str = r#"
[instance.web]
interface = "nowhere0"
virtual_router_id = 51
priority = 100
source = "10.9.0.1"
peers = ["10.9.0.2"]
addresses = ["10.9.0.100"]
"#;

/// A place of its own for a daemon that must not start.
struct Bench {
    namespace: Namespace,
    scratch: Scratch,
    program: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        // Anybody may run this copy, wherever the build directory is.
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        let program = scratch.path().join("vrrpd");
        fs::copy(env!("CARGO_BIN_EXE_vrrpd"), &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        Self { namespace: Namespace::new("refusals").unwrap(), scratch, program }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scratch.write(name, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn runtime_dir(&self) -> PathBuf {
        self.scratch.path().join("run")
    }

    fn run(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["run", "--log", "text", "--exit-with-parent", "--config"]).arg(config);
        command.arg("--runtime-dir").arg(self.runtime_dir());
        command.stdin(Stdio::null());
        command
    }

    fn outcome(&self, mut command: Command) -> (i32, String) {
        let Output { status, stdout, stderr } = self.namespace.enter(move || command.output()).unwrap();
        (status.code().unwrap(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }

    fn refuses(&self, command: Command, code: i32, words: &str) {
        let (found, text) = self.outcome(command);
        assert_eq!(found, code, "{text}");
        assert!(text.contains(words) && text.lines().count() == 1, "{words:?} expected, in one line:\n{text}");
    }

    fn status(&self) -> (i32, String) {
        let mut command = Command::new(&self.program);
        command.args(["status", "--runtime-dir"]).arg(self.runtime_dir());
        self.outcome(command)
    }
}

/// A file that is wrong, missing or unreadable, and a user without the capabilities.
pub fn each_has_one_message_and_its_exit_code() {
    let bench = Bench::new();
    let good = bench.file("good.toml", GOOD);
    let wrong = bench.file("wrong.toml", &GOOD.replace("priority = 100", "priority = 300"));
    bench.refuses(bench.run(&wrong), 78, "wrong.toml:5:12: error: ");
    bench.refuses(bench.run(&bench.scratch.path().join("missing.toml")), 78, "No such file or directory");
    bench.refuses(bench.run(bench.scratch.path()), 78, "error: ");
    let name = bench.file("name.toml", &GOOD.replace("nowhere0", "no/where"));
    bench.refuses(bench.run(&name), 78, "name.toml:3:13: error: ");

    let as_nobody = |mut command: Command| {
        command.uid(65_534).gid(65_534);
        command
    };
    let secret = bench.file("secret.toml", GOOD);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    bench.refuses(as_nobody(bench.run(&secret)), 78, "Permission denied");
    bench.refuses(as_nobody(bench.run(&good)), 77, "needs CAP_NET_ADMIN and CAP_NET_RAW");
    assert!(!bench.runtime_dir().exists(), "nothing was made");
    assert_eq!(bench.status().0, 3);
}

/// A second daemon on one runtime directory, and an interface that does not exist: waited for, said, and shown.
pub fn second_daemon_is_refused_and_a_missing_interface_waited_for() {
    let bench = Bench::new();
    let good = bench.file("good.toml", GOOD);
    let mut command = bench.run(&good);
    command.stderr(Stdio::piped());
    let mut first = bench.namespace.spawn(command).unwrap();
    let since = now();
    while bench.status().0 != 1 {
        assert!(now().saturating_sub(since) < Duration::from_secs(5), "no FAULT to be seen: {:?}", bench.status());
    }
    let (_, text) = bench.status();
    assert!(text.contains("interface does not exist"), "{text}");
    bench.refuses(bench.run(&good), 69, &format!("another vrrpd (pid {})", first.id()));
    assert_eq!(bench.status().0, 1, "the first one goes on");

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(first.wait().unwrap().success());
    let mut told = String::new();
    std::io::Read::read_to_string(&mut first.stderr.take().unwrap(), &mut told).unwrap();
    assert!(told.contains("Entering FAULT STATE") && told.contains("interface=nowhere0"), "{told}");
    assert_eq!(bench.status().0, 3);
    assert!(!bench.runtime_dir().join("vrrpd.sock").exists());
}
