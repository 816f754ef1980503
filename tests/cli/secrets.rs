//! What holds a secret shows it to nobody: log, status, arguments, environment, and other processes of its user.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use super::{command, outcome, vrrpd};

const SECRET: &str = "h0rse77x";
const NOBODY: u32 = 65_534;

/// An instance whose interface does not exist; `auth` is a table.
fn config(auth: &str) -> String {
    format!(
        "[instance.web]\ninterface = \"nowhere0\"\nvirtual_router_id = 51\nversion = 2\npriority = 100\n\
         source = \"10.9.0.1\"\npeers = [\"10.9.0.2\"]\naddresses = [\"10.9.0.100\"]\n{auth}"
    )
}

/// A daemon in a network of its own; killed when dropped.
struct Daemon {
    process: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts `program run` behind `words`; `None`: this host does not let us.
    fn start(words: &[&str], program: &Path, directory: TempDir, auth: &str) -> Self {
        let file = directory.path().join("vrrpd.toml");
        fs::write(&file, config(auth)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program);
        command.args(["run", "--log", "text", "--exit-with-parent", "--config"]).arg(&file);
        command.arg("--runtime-dir").arg(directory.path().join("run"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = command.stderr(log).spawn().unwrap();
        let mut daemon = Self { process, directory };
        // Some seconds: each look takes some milliseconds.
        assert!((0..2000).any(|_| daemon.status(&[]).0 == 1), "no FAULT to be seen: {:?}", daemon.stop());
        daemon
    }

    fn status(&self, arguments: &[&str]) -> (i32, String, String) {
        let directory = self.directory.path().join("run");
        outcome(&vrrpd(&[&["status", "--runtime-dir", directory.to_str().unwrap()], arguments].concat()))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it; returns what it wrote.
    fn stop(&mut self) -> String {
        self.signal(Signal::SIGTERM);
        let status = self.process.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{log}");
        log
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn no_secret_is_in_log_status_arguments_or_environment() {
    let isolation = if geteuid().is_root() { ["unshare", "-n"] } else { ["unshare", "-Urn"] };
    if !works(&[&isolation[..], &["true"]].concat()) {
        return skipped("no_secret_is_in_log_status_arguments_or_environment needs root or user namespaces");
    }
    for (kind, auth) in [
        ("password", format!("[instance.web.auth]\npassword = \"{SECRET}\"\n")),
        ("ah", format!("[instance.web.auth]\nah = \"{SECRET}\"\n")),
        ("hmac", format!("[instance.web.auth.hmac]\nkeys = {{ 1 = \"{}\" }}\n", SECRET.repeat(4))),
    ] {
        let program = Path::new(env!("CARGO_BIN_EXE_vrrpd"));
        let mut daemon = Daemon::start(&isolation, program, TempDir::new().unwrap(), &auth);
        let (_, text, _) = daemon.status(&[]);
        let (_, json, _) = daemon.status(&["--json"]);
        assert!(json.contains(&format!("\"kind\":\"{kind}\"")), "{json}");
        assert!(text.contains(&format!("  auth       {kind}")), "{text}");
        daemon.signal(Signal::SIGUSR1);
        // All of the status: what begins each of its lines begins a line of the log, behind time and level.
        let begin = |line: &str| line.chars().take_while(|c| !c.is_ascii_digit()).take(14).collect::<String>();
        let lines: Vec<String> = text.lines().skip(1).map(begin).filter(|line| !line.trim().is_empty()).collect();
        assert!(lines.len() > 5, "{text}");
        let is_shown = || lines.iter().all(|line| daemon.log().contains(line.trim_end()));
        assert!((0..2000).any(|_| is_shown() || daemon.status(&[]).0 != 1), "{text}\n{}", daemon.log());
        assert!(is_shown(), "{text}\n{}", daemon.log());
        let process = Path::new("/proc").join(daemon.process.id().to_string());
        let proc = |name: &str| String::from_utf8_lossy(&fs::read(process.join(name)).unwrap()).into_owned();
        let seen = ["cmdline", "environ", "comm", "status"].map(proc);
        assert!(seen[0].contains("--runtime-dir") && seen[1].contains("PATH="), "{seen:?}");
        let log = daemon.stop();
        assert!(log.contains("Entering FAULT STATE") && log.contains("Received SIGUSR1"), "{log}");
        for shown in seen.iter().chain([&text, &json, &log]) {
            assert!(!shown.contains(SECRET) && !shown.contains("h0rse"), "{shown}");
        }
    }
}

/// A file with an error beside the secret, and one where the secret itself is wrong.
#[test]
fn no_secret_is_in_a_complaint_about_its_file() {
    for text in [
        config(&format!("nonsense = 1\n[instance.web.auth]\npassword = \"{SECRET}\"\n")),
        config(&format!("[instance.web.auth]\npassword = \"{SECRET} and more than eight bytes\"\nah = \"{SECRET}\"\n")),
        config(&format!("[instance.web.auth]\npassword = [\"{SECRET}\"]\n")),
        config(&format!("[instance.web.auth.hmac]\nkeys = {{ 1 = \"{SECRET}\" }}\n")),
        config(&format!("[instance.web.auth.hmac]\nkeys = {{ 1 = \"{}\" }}\nactive = 2\n", SECRET.repeat(4))),
        config(&format!("[instance.web.auth.hmac]\nkeys = {{ \"{SECRET}\" = \"{}\" }}\n", SECRET.repeat(4))),
        config(&format!("[instance.web.auth]\npassword = \"{SECRET}\" \"{SECRET}\"\n")),
    ] {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("vrrpd.toml");
        fs::write(&file, &text).unwrap();
        for arguments in [&["run", "--config"][..], &["check"], &["check", "--json"]] {
            let mut command = command(arguments);
            command.arg(&file);
            if arguments[0] == "run" {
                command.arg("--runtime-dir").arg(directory.path().join("run"));
            }
            let (code, stdout, stderr) = outcome(&command.output().unwrap());
            assert_eq!(code, 78, "{text}\n{stdout}{stderr}");
            assert!(!format!("{stdout}{stderr}").contains("h0rse"), "{text}\n{stdout}{stderr}");
        }
    }
}

/// As another process of its user, with its capabilities: `environ` needs the same right as a look into the memory.
#[test]
fn memory_with_a_secret_is_closed_to_other_processes_of_the_same_user() {
    const NAME: &str = "memory_with_a_secret_is_closed_to_other_processes_of_the_same_user";
    let user = NOBODY.to_string();
    let capabilities = "+net_admin,+net_raw";
    let ids = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    let ids = [&ids[..], &["--inh-caps", capabilities, "--ambient-caps", capabilities]].concat();
    let as_nobody = [&["setpriv"][..], &ids].concat();
    if !geteuid().is_root() || !works(&[&["unshare", "-n"][..], &as_nobody, &["true"]].concat()) {
        return skipped(&format!("{NAME} needs root and setpriv"));
    }
    let secret = format!("[instance.web.auth]\npassword = \"{SECRET}\"\n");
    for (auth, is_readable) in [("", true), (secret.as_str(), false)] {
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("run")).unwrap();
        chown(directory.path().join("run"), Some(NOBODY), Some(NOBODY)).unwrap();
        // Wherever the build directory is, nobody may run this; copied by a process of its own, so that no other test's child
        // holds it open for writing.
        let program = directory.path().join("vrrpd");
        assert!(works(&["cp", env!("CARGO_BIN_EXE_vrrpd"), program.to_str().unwrap()]));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut daemon = Daemon::start(&[&["unshare", "-n"][..], &as_nobody].concat(), &program, directory, auth);
        let environ = format!("/proc/{}/environ", daemon.process.id());
        assert_eq!(works(&[&as_nobody[..], &["cat", &environ]].concat()), is_readable, "with {auth:?}");
        daemon.stop();
    }
}

/// Runs a program to its end; says whether that was a success.
fn works(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Says that a test is left out, past the test harness, which shows nothing that a passing test prints.
pub(crate) fn skipped(what: &str) {
    // Standard output that is closed hears nothing anyway.
    let _ = writeln!(std::io::stdout(), "SKIPPED: {what}");
}
