//! A load balancer on a node: a real HAProxy in front of one server, and what can befall it.
//!
//! It binds the virtual address whether the node holds it or not (`ip_nonlocal_bind`, as pairs of balancers do), says
//! `/health` on its loopback address, and marks each answer with the node's name.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};
use vrrpd::demo::netlink::{Netlink, index_of};

/// Where checks ask for the balancer's health.
pub const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The port of the service.
pub const PORT: u16 = 80;
/// The header by which an answer says whose it is.
pub const MARK: &str = "x-node";

/// What befalls a balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It is killed (SIGKILL).
    Killed,
    /// It is stopped (SIGSTOP): its process is there, its sockets take connections, nobody answers.
    Hung,
    /// Its server is taken out: it answers 503, to the clients and when asked for its health.
    Refusing,
}

/// One HAProxy. Dropping it kills it.
pub struct Balancer {
    child: Option<Child>,
    node: Node,
    folder: PathBuf,
}

impl Balancer {
    /// Starts a balancer for `vip` on a node; its files go to `folder`, which exists.
    pub fn start(lab: &Lab, node: Node, vip: IpAddr, folder: &Path) -> Result<Self, LabError> {
        lab.namespace(node)?.set("ipv4/ip_nonlocal_bind", 1)?;
        let mut balancer = Self { child: None, node, folder: folder.to_owned() };
        balancer.write("haproxy.cfg", &balancer.config(vip))?;
        balancer.run(lab)?;
        Ok(balancer)
    }

    /// Returns the file that names its process.
    pub fn pid_file(folder: &Path) -> PathBuf {
        folder.join("haproxy.pid")
    }

    /// Lets something befall it; returns when, just before.
    pub fn fail(&mut self, failure: Failure) -> Result<Duration, LabError> {
        let at = now();
        match failure {
            Failure::Killed => self.kill(),
            Failure::Hung => self.signal(Signal::SIGSTOP),
            Failure::Refusing => self.tell("set server app/one state maint")?,
        }
        Ok(at)
    }

    /// Undoes [`Balancer::fail`].
    pub fn repair(&mut self, lab: &Lab, failure: Failure) -> Result<(), LabError> {
        match failure {
            Failure::Killed => self.run(lab),
            Failure::Hung => {
                self.signal(Signal::SIGCONT);
                Ok(())
            }
            Failure::Refusing => self.tell("set server app/one state ready"),
        }
    }

    fn config(&self, vip: IpAddr) -> String {
        let (node, socket) = (self.node, self.folder.join("admin"));
        format!(
            "global\n  maxconn 4000\n  stats socket {} mode 600 level admin\n\
             defaults\n  mode http\n  timeout connect 500ms\n  timeout client 5s\n  timeout server 5s\n\
             frontend service\n  bind {vip}:{PORT}\n  http-after-response set-header {MARK} {node}\n  default_backend app\n\
             frontend health\n  bind {HEALTH}\n  monitor-uri /health\n  monitor fail if {{ nbsrv(app) lt 1 }}\n\
             backend app\n  server one {SERVER}\n",
            socket.display()
        )
    }

    fn run(&mut self, lab: &Lab) -> Result<(), LabError> {
        let log = fs::File::create(self.folder.join("haproxy.log")).map_err(LabError::kernel("make a log"))?;
        let mut command = Command::new("haproxy");
        // In the foreground, one process.
        command.args(["-db", "-f"]).arg(self.folder.join("haproxy.cfg"));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin")).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(LabError::kernel("copy a descriptor"))?).stderr(log);
        let child = lab.namespace(self.node)?.spawn(command).map_err(LabError::kernel("start haproxy"))?;
        // Written as HAProxy itself does: another file, then renamed.
        self.write("pid", &format!("{}\n", child.id()))?;
        self.child = Some(child);
        let pid_file = Self::pid_file(&self.folder);
        fs::rename(self.folder.join("pid"), pid_file).map_err(LabError::kernel("rename a pid file"))?;
        self.await_health(lab)
    }

    /// Waits until it answers: its sockets are there before it is ready.
    fn await_health(&mut self, lab: &Lab) -> Result<(), LabError> {
        let end = now() + Duration::from_secs(10);
        while now() < end {
            let asked = lab.namespace(self.node)?.enter(|| {
                let mut stream = std::net::TcpStream::connect_timeout(&HEALTH, Duration::from_millis(200))?;
                stream.set_read_timeout(Some(Duration::from_millis(200)))?;
                stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
                let mut line = [0; 12];
                stream.read_exact(&mut line)?;
                Ok(line.ends_with(b" 200"))
            });
            if asked.unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let words = fs::read_to_string(self.folder.join("haproxy.log")).unwrap_or_default();
        Err(LabError::Daemon { name: format!("haproxy on node {}", self.node), problem: format!("no answer: {words}") })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        fs::write(self.folder.join(name), text).map_err(LabError::kernel(format!("write {name}")))
    }

    /// Says something to its administration socket; its answer is an empty line.
    fn tell(&self, words: &str) -> Result<(), LabError> {
        let told = (|| {
            let mut stream = UnixStream::connect(self.folder.join("admin"))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(format!("{words}\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if answer.trim().is_empty() { Ok(()) } else { Err(std::io::Error::other(answer)) }
        })();
        told.map_err(LabError::kernel(format!("tell haproxy to {words}")))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()) {
            // No such process: it has ended.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It fails when the process has ended, and then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the balancers balance: a server on the switch that answers every request with 200.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the server.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let listener = lab.switch().enter(|| {
            let mut netlink = Netlink::open()?;
            let bridge = index_of("br0")?;
            netlink.set_up(bridge, true)?;
            netlink.add_address(bridge, SERVER.ip(), 16)?;
            let listener = TcpListener::bind(SERVER)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(LabError::kernel("listen on the switch"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("server".to_owned())
            .spawn({
                let stop = Arc::clone(&stop);
                move || serve(&listener, &stop)
            })
            .map_err(LabError::kernel("start a thread"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One after the other: a request is answered at once.
fn serve(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((mut stream, _)) => {
                // A balancer that was killed in between has no use for an answer.
                let _ = answer(&mut stream);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn answer(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut request: Vec<u8> = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => request.extend(buffer.iter().take(len)),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 200)), 8000);
