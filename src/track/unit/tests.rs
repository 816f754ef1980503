//! A unit of a made-up systemd on a real bus: `dbus-daemon`, which refuses messages that are not well formed.

use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::bus::{Bus, on_bus};
use super::wire::{CALL, ERROR, HEAD_LEN, Message, REPLY, SIGNAL, Writer, lengths};
use super::*;

/// An alias leads to the object of the unit itself.
const NAME: &str = "alias.service";
const PATH: &str = "/org/freedesktop/systemd1/unit/real_2eservice";

#[tokio::test]
async fn every_state_is_reported_when_it_comes() {
    let Some(mut host) = Host::start() else { return };
    let mut systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Passed, "active (running)").await;
    for (state, passes, words) in [
        (["loaded", "reloading", "reload", "success"], true, "reloading (reload)"),
        (["loaded", "refreshing", "refresh", "success"], true, "refreshing (refresh)"),
        (["loaded", "active", "exited", "success"], true, "active (exited)"),
        (["not-found", "active", "running", "success"], true, "active (running)"),
        (["loaded", "deactivating", "stop-sigterm", "success"], false, "deactivating (stop-sigterm)"),
        (["loaded", "failed", "failed", "exit-code"], false, "failed (exit-code)"),
        (["loaded", "failed", "failed", ""], false, "failed (failed)"),
        (["loaded", "activating", "auto-restart", "exit-code"], false, "activating (auto-restart)"),
        (["loaded", "inactive", "dead", "success"], false, "inactive (dead)"),
        (["masked", "inactive", "dead", "success"], false, "inactive (masked)"),
        (["not-found", "inactive", "dead", "success"], false, "not found"),
        (["loaded", "active", "run\u{1b}ning", "success"], true, "active (running)"),
    ] {
        systemd.change(state);
        let result = if passes { CheckResult::Passed } else { CheckResult::Failed };
        watcher.expect(result, words).await;
    }
    // Read anew, without a word of the unit.
    systemd.unit.lock().unwrap().state = ["loaded", "inactive", "dead", "success"];
    systemd.signal(MANAGER, "Reloading", "/org/freedesktop/systemd1", "b", &[1, 0, 0, 0]);
    systemd.signal(MANAGER, "Reloading", "/org/freedesktop/systemd1", "b", &[0, 0, 0, 0]);
    watcher.expect(CheckResult::Failed, "inactive (dead)").await;
    assert_eq!(systemd.unit.lock().unwrap().questions, 14, "asked once for each signal");
    host.bus.kill().unwrap();
}

#[tokio::test]
async fn signals_of_somebody_else_are_overheard() {
    let Some(host) = Host::start() else { return };
    let mut systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Passed, "active (running)").await;
    let to = systemd.unit.lock().unwrap().asker.clone();
    let mut stranger = Bus::connect(&host.socket).await.unwrap();
    for (interface, member, path) in
        [(PROPERTIES, "PropertiesChanged", PATH), (MANAGER, "Reloading", "/"), (BUS, "NameOwnerChanged", "/")]
    {
        let signal = signal(interface, member, path, "b", &[0, 0, 0, 0], &to);
        stranger.stream.write_all(&signal).await.unwrap();
    }
    // Answered behind all of that.
    stranger.call(&on_bus("GetId", &[]), |_| ()).await.unwrap();
    systemd.change(["loaded", "inactive", "dead", "success"]);
    watcher.expect(CheckResult::Failed, "inactive (dead)").await;
    assert_eq!(systemd.unit.lock().unwrap().questions, 2, "the strangers' signals led to questions");
    let asker = systemd.unit.lock().unwrap().asker.clone();
    assert_eq!(asker, to, "the connection was given up");
}

#[tokio::test]
async fn long_message_is_read_past() {
    let Some(host) = Host::start() else { return };
    let mut bus = Bus::connect(&host.socket).await.unwrap();
    let own_name = bus.next().await.unwrap().text().unwrap();
    let mut stranger = Bus::connect(&host.socket).await.unwrap();
    for (member, len) in [("Long", 1 << 20), ("Short", 1000)] {
        let mut body = Writer(Vec::new());
        body.string(&"x".repeat(len));
        stranger.stream.write_all(&signal("a.b", member, "/", "s", &body.0, &own_name)).await.unwrap();
    }
    assert_eq!(bus.next().await.unwrap().member, "Short");
}

#[tokio::test]
async fn short_absence_of_systemd_or_the_bus_is_not_reported() {
    let Some(mut host) = Host::start() else { return };
    let systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Passed, "active (running)").await;
    drop(systemd);
    let systemd = host.systemd(["loaded", "reloading", "reload", "success"]).await;
    watcher.expect(CheckResult::Passed, "reloading (reload)").await;
    host.restart();
    drop(systemd);
    let systemd = host.systemd(["loaded", "active", "exited", "success"]).await;
    watcher.expect(CheckResult::Passed, "active (exited)").await;
    // Back as it was: asked, and nothing to say.
    drop(systemd);
    let mut systemd = host.systemd(["loaded", "active", "exited", "success"]).await;
    while systemd.unit.lock().unwrap().questions == 0 {
        tokio::task::yield_now().await;
    }
    systemd.change(["loaded", "inactive", "dead", "success"]);
    watcher.expect(CheckResult::Failed, "inactive (dead)").await;
}

#[tokio::test]
async fn longer_absence_fails_with_its_reason_and_ends() {
    let Some(mut host) = Host::start() else { return };
    let systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Passed, "active (running)").await;
    drop(systemd);
    watcher.expect(CheckResult::Failed, "cannot ask systemd: GetNameOwner: NameHasNoOwner").await;
    host.stop();
    let socket = host.socket.display().to_string();
    watcher.expect(CheckResult::Failed, &format!("cannot ask systemd: {socket}: connection refused")).await;
    host.restart();
    watcher.expect(CheckResult::Failed, "cannot ask systemd: GetNameOwner: NameHasNoOwner").await;
    let _systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    watcher.expect(CheckResult::Passed, "active (running)").await;
}

#[tokio::test]
async fn systemd_that_does_not_answer_or_answers_nonsense_fails() {
    let Some(host) = Host::start() else { return };
    let systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    systemd.unit.lock().unwrap().is_silent = true;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Failed, "cannot ask systemd: no answer").await;
    drop(watcher);
    drop(systemd);
    let systemd = host.systemd(["loaded", "active", "running", "success"]).await;
    systemd.unit.lock().unwrap().refuses = true;
    let mut watcher = host.watcher();
    watcher.expect(CheckResult::Failed, "cannot ask systemd: LoadUnit: InvalidArgs").await;
}

#[tokio::test]
async fn something_else_than_a_bus_fails() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let mut watcher = Watcher::new(&socket);
    let words = format!("cannot ask systemd: {}: no such file or directory", socket.display());
    watcher.expect(CheckResult::Failed, &words).await;
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read_u8().await;
            let _ = stream.write_all(&[b'x'; 4096]).await;
            open.push(stream);
        }
    });
    watcher.expect(CheckResult::Failed, "cannot ask systemd: not a D-Bus bus").await;
    server.abort();
}

/// A bus of its own; gone with this.
struct Host {
    folder: TempDir,
    socket: PathBuf,
    bus: Child,
}

impl Host {
    /// Starts a bus; `None` where there is none.
    fn start() -> Option<Self> {
        if Command::new("dbus-daemon").arg("--version").stdout(Stdio::null()).status().is_err() {
            // Not by `println`, which the test program keeps to itself.
            writeln!(std::io::stdout(), "SKIPPED: needs dbus-daemon").unwrap();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let config = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
            "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context="default">
            <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
            socket.display()
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let bus = run_bus(&folder);
        Some(Self { folder, socket, bus })
    }

    fn stop(&mut self) {
        self.bus.kill().unwrap();
        self.bus.wait().unwrap();
    }

    fn restart(&mut self) {
        self.stop();
        // A bus that was killed leaves it.
        let _ = std::fs::remove_file(&self.socket);
        self.bus = run_bus(&self.folder);
    }

    async fn systemd(&self, state: [&'static str; 4]) -> Systemd {
        timeout(Duration::from_secs(20), Systemd::start(&self.socket, state)).await.expect("the bus does not answer")
    }

    fn watcher(&self) -> Watcher {
        Watcher::new(&self.socket)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// Starts a bus and waits until it can be connected to.
fn run_bus(folder: &TempDir) -> Child {
    let config = folder.path().join("conf");
    let mut command = Command::new("dbus-daemon");
    command.args(["--nofork", "--print-address", "--config-file"]).arg(config);
    let mut bus = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut address = String::new();
    std::io::BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(address.starts_with("unix:"), "{address:?}");
    bus
}

/// What the made-up systemd knows and saw.
struct Unit {
    /// `LoadState`, `ActiveState`, `SubState`, `Result`.
    state: [&'static str; 4],
    /// How often somebody asked for all of it.
    questions: u32,
    asker: String,
    is_silent: bool,
    refuses: bool,
}

/// Owns the name of systemd on a bus.
struct Systemd {
    unit: Arc<Mutex<Unit>>,
    /// The connection once more, to send signals.
    signals: std::os::unix::net::UnixStream,
    task: JoinHandle<()>,
}

impl Systemd {
    async fn start(socket: &Path, state: [&'static str; 4]) -> Self {
        let mut bus = Bus::connect(socket).await.unwrap();
        let signals = bus.stream.get_ref().as_fd().try_clone_to_owned().unwrap().into();
        let unit = Unit { state, questions: 0, asker: String::new(), is_silent: false, refuses: false };
        let unit = Arc::new(Mutex::new(unit));
        let mut body = Writer(Vec::new());
        body.string(SYSTEMD);
        body.number(4);
        let mut request = Writer::begin(CALL, 1000, &body);
        for (code, of, value) in [(1, "o", "/"), (2, "s", BUS), (3, "s", "RequestName"), (6, "s", BUS), (8, "g", "su")]
        {
            request.field(code, of, value);
        }
        bus.stream.write_all(&request.end(body)).await.unwrap();
        while bus.next().await.unwrap().reply_to != Some(1000) {}
        let shared = unit.clone();
        let task = tokio::spawn(async move { while serve(&mut bus, &shared).await.is_some() {} });
        Self { unit, signals, task }
    }

    fn change(&mut self, state: [&'static str; 4]) {
        self.unit.lock().unwrap().state = state;
        self.signal(PROPERTIES, "PropertiesChanged", PATH, "b", &[0, 0, 0, 0]);
    }

    fn signal(&mut self, interface: &str, member: &str, path: &str, types: &str, body: &[u8]) {
        self.signals.write_all(&signal(interface, member, path, types, body, "")).unwrap();
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.task.abort();
        // The bus ends the connection at once, whenever the task is dropped.
        let _ = self.signals.shutdown(std::net::Shutdown::Both);
    }
}

/// Answers one message; `None` when the connection has ended.
async fn serve(bus: &mut Bus, unit: &Mutex<Unit>) -> Option<()> {
    let mut head = [0; HEAD_LEN];
    bus.stream.read_exact(&mut head).await.ok()?;
    let mut rest = vec![0; lengths(&head).unwrap().0];
    bus.stream.read_exact(&mut rest).await.ok()?;
    let call = Message::parse(&head, &rest).unwrap();
    if call.kind != CALL || unit.lock().unwrap().is_silent {
        return Some(());
    }
    let (kind, types, body) = answer(&call, &mut unit.lock().unwrap());
    let mut reply = Writer::begin(kind, 2000, &body);
    reply.field(6, "s", &call.sender);
    if kind == ERROR {
        reply.field(4, "s", "org.freedesktop.DBus.Error.InvalidArgs");
    }
    if !types.is_empty() {
        reply.field(8, "g", types);
    }
    // The number of the call.
    reply.align(8);
    reply.0.extend_from_slice(&[5, 1, b'u', 0]);
    reply.0.extend_from_slice(&head[8..12]);
    bus.stream.write_all(&reply.end(body)).await.ok()
}

fn answer(call: &Message, unit: &mut Unit) -> (u8, &'static str, Writer) {
    let mut body = Writer(Vec::new());
    let mut arguments = call.reader();
    match call.member.as_str() {
        "Subscribe" => (REPLY, "", body),
        "LoadUnit" if unit.refuses => (ERROR, "", body),
        "LoadUnit" => {
            assert_eq!(call.text().as_deref(), Some(NAME));
            unit.asker.clone_from(&call.sender);
            body.string(PATH);
            (REPLY, "o", body)
        }
        "Get" => {
            assert_eq!(call.path, PATH);
            let (interface, property) = (arguments.string().unwrap(), arguments.string().unwrap());
            let place = ["LoadState", "ActiveState", "SubState", "Result"].iter().position(|name| *name == property);
            let place = place.unwrap();
            let of = if property == "Result" { "Service" } else { "Unit" };
            assert_eq!(interface, format!("{SYSTEMD}.{of}"));
            unit.questions += u32::from(property == "SubState");
            let value = unit.state[place];
            if value.is_empty() {
                return (ERROR, "", body);
            }
            body.signature("s");
            body.string(value);
            (REPLY, "v", body)
        }
        member => panic!("{member} is called"),
    }
}

/// Returns a signal, to everybody if `to` is empty.
fn signal(interface: &str, member: &str, path: &str, types: &str, body: &[u8], to: &str) -> Vec<u8> {
    let body = Writer(body.to_vec());
    let mut signal = Writer::begin(SIGNAL, 3000, &body);
    for (code, of, value) in [(1, "o", path), (2, "s", interface), (3, "s", member), (8, "g", types)] {
        signal.field(code, of, value);
    }
    if !to.is_empty() {
        signal.field(6, "s", to);
    }
    signal.end(body)
}

/// What is under test; gone with this.
struct Watcher {
    reports: mpsc::UnboundedReceiver<Outcome>,
    task: JoinHandle<()>,
}

impl Watcher {
    fn new(socket: &Path) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let socket = socket.to_owned();
        let task =
            tokio::spawn(async move { follow(&socket, NAME, move |outcome| sender.send(outcome).unwrap()).await });
        Self { reports, task }
    }

    /// Waits for the next report, which must be this one.
    async fn expect(&mut self, result: CheckResult, words: &str) {
        let report = timeout(Duration::from_secs(20), self.reports.recv()).await;
        let report = report.unwrap_or_else(|_| panic!("no report of {words:?}")).unwrap();
        assert_eq!((report.result, report.words.as_str()), (result, words));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
