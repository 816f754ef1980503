//! Metrics and health as others ask for them: a real Prometheus over a failover, health checks, clients that only take, and
//! a reload that moves the endpoint.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use serde_json::Value;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::Log;
use vrrpd::wire::field::Family;

use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::measure::{FORGIVEN, is_regular};
use crate::status::status;
use crate::stories::quick;
use crate::{beside_others, in_turn};

const PORT: u16 = 9165;
/// Clients that hold a connection and say nothing.
const IDLE: usize = 1000;
/// Scrapes beside them.
const SCRAPES: usize = 40;
/// Clients that ask and do not read.
const SLOW: usize = 40;
/// What the daemon may weigh beside them; without them it weighs about 10 MiB, and ten times that in a debug build.
const WEIGHT_KIB: u64 = 96 * 1024;

#[test]
fn prometheus_sees_a_failover_and_health_checks_the_master() {
    beside_others(|| failover().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn clients_that_only_take_delay_no_advert() {
    in_turn(|| only_takers().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn reload_moves_the_metrics_and_a_port_in_use_is_waited_for() {
    beside_others(|| moved().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn rules_are_right_and_tell_of_what_they_should() {
    beside_others(|| {
        for words in [["check", "rules", "vrrpd-rules.yml"], ["test", "rules", "vrrpd-rules-test.yml"]] {
            let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring");
            let output = Command::new("promtool").args(words).current_dir(monitoring).output().expect("promtool runs");
            let text = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&text));
        }
    });
}

fn at(node: Node) -> SocketAddr {
    SocketAddr::new(node.address(Family::V4), PORT)
}

/// A node's file with `[daemon] metrics`.
fn file(plan: &Plan, node: Node, metrics: &str) -> String {
    plan.toml(node).replacen("\n\n", &format!("\nmetrics = \"{metrics}\"\n\n"), 1)
}

fn started(plan: &Plan) -> Result<Cluster, LabError> {
    let files = [A, B].map(|node| file(plan, node, &at(node).to_string()));
    let mut cluster = Cluster::with_files(plan, &[Vrrpd, Vrrpd], &files)?;
    cluster.start(A)?;
    cluster.start(B)?;
    let held = |log: &Log| (cluster.holders(log) == [A]).then_some(());
    cluster.watch.wait("node a to be master", Duration::from_secs(10), held)?;
    Ok(cluster)
}

/// Asks from the laboratory's client; returns status and body. 0: nobody answers.
fn ask(cluster: &Cluster, words: &[&str]) -> Result<(u16, String), LabError> {
    let mut command = Command::new("/usr/bin/curl");
    command.args(["-sS", "-m", "5", "-w", "\n%{http_code}"]).args(words);
    let output = cluster.lab().client().enter(move || command.output()).map_err(LabError::kernel("run curl"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
    Ok((code.parse().unwrap_or(0), body.to_owned()))
}

fn page(cluster: &Cluster, node: Node, path: &str) -> Result<(u16, String), LabError> {
    ask(cluster, &[&format!("http://{}{path}", at(node))])
}

/// Starts a Prometheus beside the client that asks both nodes four times a second.
fn prometheus(cluster: &Cluster, scratch: &Scratch) -> Result<Process, LabError> {
    let config = scratch.path().join("prometheus.yml");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring/vrrpd-rules.yml");
    let text = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 1s}}\nrule_files: [{}]\n\
         scrape_configs:\n  - job_name: vrrpd\n    static_configs:\n      - targets: [\"{}\", \"{}\"]\n",
        rules.display(),
        at(A),
        at(B)
    );
    std::fs::write(&config, text).map_err(LabError::kernel("write prometheus.yml"))?;
    let mut command = Command::new("prometheus");
    command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(scratch.path().join("tsdb"));
    command.args(["--web.listen-address", "127.0.0.1:9090"]).current_dir(scratch.path());
    Process::start(cluster.lab().client(), "prometheus", command, Box::new(|_| {}))
}

/// Asks Prometheus; returns the value for each node, in their order; `None`: it knows none.
fn query(cluster: &Cluster, text: &str) -> Result<[Option<String>; 2], LabError> {
    let asked = format!("query={text}");
    let (_, body) = ask(cluster, &["-G", "--data-urlencode", &asked, "http://127.0.0.1:9090/api/v1/query"])?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    let of = |node: Node| {
        let mine = |one: &&Value| one["metric"]["instance"] == at(node).to_string();
        let found = answer["data"]["result"].as_array()?.iter().find(mine)?;
        Some(found["value"][1].as_str()?.to_owned())
    };
    Ok([of(A), of(B)])
}

fn await_query(cluster: &Cluster, text: &str, expected: [&str; 2]) -> Result<(), LabError> {
    let end = now() + Duration::from_secs(20);
    loop {
        let found = query(cluster, text)?;
        if found.each_ref().map(Option::as_deref) == expected.map(Some) {
            return Ok(());
        }
        if now() > end {
            return Err(wrong(format!("{text} is {found:?}, expected {expected:?}")));
        }
        cluster.watch.pause(Duration::from_millis(100))?;
    }
}

fn failover() -> Result<(), LabError> {
    let (plan, scratch) = (quick(), Scratch::new()?);
    let mut cluster = started(&plan)?;
    let state = "keepalived_vrrp_state{iname=\"web\",ip_address=\"10.77.1.1\"}";
    let watcher = prometheus(&cluster, &scratch)?;
    let seen = await_query(&cluster, "up", ["1", "1"]).and_then(|()| await_query(&cluster, state, ["2", "1"]));
    seen.map_err(|error| watcher.problem(&error.to_string()))?;
    for (node, path, code, text) in [
        (A, "/master/web", 200, "MASTER\n"),
        (B, "/master/web", 503, "BACKUP\n"),
        (A, "/master/other", 404, "no instance \"other\"\n"),
        (A, "/healthz", 200, "ok\n"),
        (B, "/healthz", 200, "ok\n"),
        (B, "/", 404, "no such page, expected /metrics, /healthz or /master/INSTANCE\n"),
        (B, "/master/%ff", 400, "the name of the instance is not UTF-8 with %XX\n"),
    ] {
        let found = page(&cluster, node, path)?;
        assert_eq!((found.0, found.1.as_str()), (code, text), "node {node} {path}");
    }
    let posted = ask(&cluster, &["-X", "POST", "-d", "x", &format!("http://{}/metrics", at(A))])?;
    assert_eq!(posted.0, 405);
    for (_, text) in [page(&cluster, A, "/metrics")?, (200, cluster.status(A, &["--prometheus"])?.0)] {
        assert!(text.contains("\nvrrpd_address_present{iname=\"web\""), "{text}");
        check_metrics(&text);
    }
    ask_as_the_dashboard(&cluster)?;
    cluster.die(A)?;
    await_query(&cluster, "up", ["0", "1"]).map_err(|error| watcher.problem(&error.to_string()))?;
    let end = now() + Duration::from_secs(20);
    while query(&cluster, state)?[1].as_deref() != Some("2") {
        assert!(now() < end, "node b is not seen as master");
        cluster.watch.pause(Duration::from_millis(100))?;
    }
    assert_eq!(page(&cluster, B, "/master/web")?, (200, "MASTER\n".to_owned()));
    watcher.stop(Duration::from_secs(10)).map(|_| ())
}

/// Asks for each panel of the dashboard, as Grafana does with its variables filled in; each answers, and those that should
/// have something to show do.
fn ask_as_the_dashboard(cluster: &Cluster) -> Result<(), LabError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring/vrrpd-dashboard.json");
    let text = std::fs::read_to_string(path).map_err(LabError::kernel("read the dashboard"))?;
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let mut shown = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let query =
                target["expr"].as_str().expect("an expression").replace("$job", "vrrpd").replace("$iname", ".*");
            let (code, body) = ask(
                cluster,
                &["-G", "--data-urlencode", &format!("query={query}"), "http://127.0.0.1:9090/api/v1/query"],
            )?;
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            assert!(code == 200 && answer["status"] == "success", "{query}: {body}");
            shown += usize::from(answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()));
        }
    }
    // Nothing is refused, nothing checked and no advert signed here, no address is missing: those stay empty.
    assert!(shown >= 12, "{shown} panels have something to show");
    Ok(())
}

fn check_metrics(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}\n{text}");
}

/// Opens connections from the laboratory's client; each sends `request`, and none reads.
fn hold(cluster: &Cluster, count: usize, request: &'static [u8]) -> Result<Vec<TcpStream>, LabError> {
    let open = move || {
        let one = |_| {
            let mut client = TcpStream::connect_timeout(&at(A), Duration::from_secs(5))?;
            client.set_read_timeout(Some(Duration::from_secs(5)))?;
            client.write_all(request).map(|()| client)
        };
        (0..count).map(one).collect()
    };
    cluster.lab().client().enter(open).map_err(LabError::kernel("connect to the metrics"))
}

/// Asks for the metrics ten times a second, as a light client; returns how often all of them came.
fn scrape(cluster: &Cluster, count: usize) -> Result<usize, LabError> {
    let one = || {
        let mut client = TcpStream::connect_timeout(&at(A), Duration::from_secs(5))?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut text = String::new();
        client.read_to_string(&mut text)?;
        std::thread::sleep(Duration::from_millis(100));
        Ok(text.starts_with("HTTP/1.1 200 ") && text.contains("\nvrrpd_address_present"))
    };
    let all = move || (0..count).map(|_| one()).collect::<std::io::Result<Vec<bool>>>();
    let all = cluster.lab().client().enter(all).map_err(LabError::kernel("ask for the metrics"))?;
    Ok(all.into_iter().filter(|is_whole| *is_whole).count())
}

fn weight_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
}

fn only_takers() -> Result<(), LabError> {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard);
    setrlimit(Resource::RLIMIT_NOFILE, most.min(16_384), most).expect("as many descriptors as are allowed");
    let cluster = started(&Plan { interval: Duration::from_millis(10), ..quick() })?;
    cluster.watch.pause(Duration::from_millis(500))?;
    let pid = status(&cluster, A, "web")?.pid;
    let (since, before) = (now(), weight_kib(pid));
    let idle = hold(&cluster, IDLE, b"")?;
    let slow = hold(&cluster, SLOW, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let (answered, asked) = (scrape(&cluster, SCRAPES)?, SCRAPES);
    let after = weight_kib(pid);
    let (spacing, moves) = cluster.watch.look(|log| {
        let moves = [A, B].map(|node| log.acquisitions(cluster.address(), node, since).len());
        (log.spacing(A, since), moves.iter().sum::<usize>())
    });
    let spacing = spacing.ok_or_else(|| wrong("no adverts at all".to_owned()))?;
    eprintln!(
        "{IDLE} idle clients, {SLOW} that do not read, {answered} of {asked} scrapes answered: {spacing:?}; \
         {before} to {after} KiB"
    );
    drop((idle, slow));
    assert_eq!(answered, asked, "scrapes that were answered");
    assert!(after < before + WEIGHT_KIB, "grew from {before} to {after} KiB");
    assert!(is_regular(&spacing), "{spacing:?}");
    assert!(moves <= FORGIVEN, "the address moved {moves} times");
    Ok(())
}

/// Gives node a another file and waits for a line of its log.
fn reload(cluster: &Cluster, metrics: &str, line: &str) -> Result<(), LabError> {
    let path = cluster.folder(A)?.join("vrrpd.toml");
    std::fs::write(&path, file(&cluster.plan, A, metrics)).map_err(LabError::kernel("write vrrpd.toml"))?;
    cluster.signal(A, Signal::SIGHUP);
    await_line(cluster, line)
}

fn await_line(cluster: &Cluster, line: &str) -> Result<(), LabError> {
    let told = |cluster: &Cluster| cluster.lines(A).iter().any(|written| written.contains(line));
    cluster.watch.wait(line, Duration::from_secs(10), |_| told(cluster).then_some(()))
}

fn moved() -> Result<(), LabError> {
    let cluster = started(&quick())?;
    assert_eq!(page(&cluster, A, "/healthz")?.0, 200);
    let entered = |cluster: &Cluster| cluster.lines(A).iter().filter(|line| line.contains("Entering")).count();
    let before = entered(&cluster);
    let socket = cluster.path("metrics", A);
    let shown = format!("unix:{}", socket.display());
    reload(&cluster, &shown, &format!("metrics at {shown}"))?;
    assert_eq!(page(&cluster, A, "/healthz")?.0, 0, "the port is closed");
    let mode = std::fs::metadata(&socket).map_err(LabError::kernel("look at the socket"))?.mode() & 0o7777;
    assert_eq!(mode, 0o660);
    let path = socket.display().to_string();
    assert_eq!(ask(&cluster, &["--unix-socket", &path, "http://x/master/web"])?, (200, "MASTER\n".to_owned()));

    let taken = SocketAddr::new(IpAddr::from([10, 77, 0, 1]), PORT + 1);
    let other = cluster.lab().namespace(A)?.enter(move || TcpListener::bind(taken));
    let other = other.map_err(LabError::kernel("take a port"))?;
    reload(&cluster, &taken.to_string(), &format!("no metrics at {taken}: "))?;
    assert!(!socket.exists(), "the socket went with its endpoint");
    drop(other);
    await_line(&cluster, &format!("metrics at {taken}"))?;
    let url = format!("http://{taken}/master/web");
    let end = now() + Duration::from_secs(10);
    while ask(&cluster, &[&url])?.0 != 200 {
        assert!(now() < end, "the port was not taken again");
        cluster.watch.pause(Duration::from_millis(100))?;
    }
    let status = cluster.status(A, &["--prometheus"])?;
    assert!(status.1 == 0 && status.0.starts_with("# HELP keepalived_up "), "{status:?}");
    assert_eq!(entered(&cluster), before, "no state changed");
    Ok(())
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "metrics".to_owned(), problem }
}
