//! Many virtual routers: 1020 on four interfaces, whose Master is killed while its kernel keeps the addresses and answers
//! for them; and a reload that changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::{self, Frame};
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::netlink::{Netlink, index_of};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::scratch::Scratch;

use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::in_turn;
use crate::status::status;
use crate::stories::quick;

/// Cables between the two nodes, and virtual routers on each.
const LINKS: u8 = 4;
const ROUTERS: u8 = 255;
const ALL: usize = LINKS as usize * ROUTERS as usize;
/// How long after the Backup's patience every address is to be held and announced: what a loaded machine takes.
const LATE: Duration = Duration::from_secs(3);

#[test]
fn takeover_of_1020_routers_from_a_kernel_that_still_answers() {
    in_turn(|| takes_all_over().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn reload_without_a_change_asks_the_kernel_nothing() {
    in_turn(|| asks_nothing().unwrap_or_else(|error| panic!("{error}")));
}

fn takes_all_over() -> Result<(), LabError> {
    let plan = quick();
    let files = [A, B].map(|node| file(node, LINKS));
    let mut cluster = Cluster::with_files(&plan, &[Kind::Vrrpd, Kind::Vrrpd], &files)?;
    (0..LINKS).try_for_each(|link| plug(&cluster, link))?;
    cluster.start(A)?;
    until(Duration::from_secs(30), "node a to be Master of all", || masters(&cluster, A) == ALL);
    cluster.start(B)?;
    until(Duration::from_secs(30), "node b to be Backup of all", || entered(&cluster, B, "BACKUP") == ALL);
    // Past the announcements that node a repeats.
    cluster.watch.pause(Duration::from_secs(6))?;

    let listener = cluster.lab().namespace(A)?.enter(announcements).map_err(LabError::kernel("listen on node a"))?;
    let killed_at = now();
    cluster.kill(A)?;
    let patience = Plan { interval: Duration::from_secs(1), ..plan }.master_down(B);
    let mut announced = BTreeSet::new();
    until(patience + LATE * 10, "node b to announce all", || {
        hear(&listener, &mut announced);
        announced.len() == ALL
    });
    let took = now() - killed_at;
    cluster.watch.pause(Duration::from_secs(3))?;
    let held = cluster.output(B, &["ip", "-4", "-o", "address"])?.matches("inet 10.79.").count();
    let (masters, backups) = (entered(&cluster, B, "MASTER"), entered(&cluster, B, "BACKUP"));
    eprintln!("many: {ALL} addresses announced {took:?} after the kill, patience {patience:?}");
    assert!(took < patience + LATE, "{took:?}, of which {patience:?} are patience");
    assert_eq!(held, ALL, "addresses that the kernel of node b has");
    assert_eq!((masters, backups), (ALL, ALL), "each became Backup once and Master once");
    cluster.check_alive()?;
    cluster.stop(B)
}

fn asks_nothing() -> Result<(), LabError> {
    let plan = quick();
    let files = [A, B].map(|node| file(node, 1));
    let mut cluster = Cluster::with_files(&plan, &[Kind::Vrrpd, Kind::Vrrpd], &files)?;
    plug(&cluster, 0)?;
    cluster.start(A)?;
    until(Duration::from_secs(30), "node a to be Master of all", || masters(&cluster, A) == usize::from(ROUTERS));
    // Past the first rounds of questions who else has the addresses.
    cluster.watch.pause(Duration::from_secs(8))?;
    let scratch = Scratch::new()?;
    let trace = scratch.path().join("trace");
    let pid = status(&cluster, A, "l0r1")?.pid;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-yy", "-e", "trace=sendto,sendmsg,sendmmsg", "-p", &pid.to_string(), "-o"]).arg(&trace);
    let mut strace = strace.stderr(Stdio::null()).spawn().map_err(LabError::kernel("run strace"))?;
    let lines = || std::fs::read_to_string(&trace).unwrap_or_default();
    until(Duration::from_secs(10), "strace to see adverts", || lines().contains("sendmmsg("));
    let reloads = || cluster.lines(A).iter().filter(|line| line.contains("255 kept")).count();
    for count in 1..=3 {
        cluster.signal(A, Signal::SIGHUP);
        until(Duration::from_secs(10), "node a to reload", || reloads() == count);
    }
    let ended = kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT);
    let _ = strace.wait();
    ended.map_err(io::Error::from).map_err(LabError::kernel("end strace"))?;
    let text = lines();
    let requests: Vec<&str> = text.lines().filter(|line| line.contains("NETLINK")).collect();
    assert!(requests.is_empty(), "{} requests in 3 reloads, the first: {:?}", requests.len(), requests.first());
    cluster.check_alive()
}

/// Lays one more cable between the two nodes.
fn plug(cluster: &Cluster, link: u8) -> Result<(), LabError> {
    let tried = || LabError::kernel(format!("lay cable {link}"));
    let lab = cluster.lab();
    let other = lab.namespace(B)?.as_fd().try_clone_to_owned().map_err(tried())?;
    let name = format!("l{link}");
    let made = lab.namespace(A)?.enter({
        let name = name.clone();
        move || Netlink::open()?.add_veth(&name, 0, &name, other.as_fd()).map(|_| ())
    });
    made.map_err(tried())?;
    for node in [A, B] {
        let (name, source) = (name.clone(), source(node, link));
        let up = lab.namespace(node)?.enter(move || {
            let (mut netlink, index) = (Netlink::open()?, index_of(&name)?);
            netlink.set_up(index, true)?;
            netlink.add_address(index, source, 24)
        });
        up.map_err(tried())?;
    }
    Ok(())
}

fn source(node: Node, link: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 78, link, node.index() as u8 + 1))
}

/// Writes a node's file: every virtual router on so many cables.
fn file(node: Node, links: u8) -> String {
    let (mut text, priority) = (format!("[daemon]\nnode = \"{node}\"\n"), if node == A { 200 } else { 100 });
    let other = if node == A { B } else { A };
    for (link, vrid) in (0..links).flat_map(|link| (1..=ROUTERS).map(move |vrid| (link, vrid))) {
        let (source, peer) = (source(node, link), source(other, link));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[instance.l{link}r{vrid}]\ninterface = \"l{link}\"\nvirtual_router_id = {vrid}\npriority = {priority}\n\
             advert_interval = \"1s\"\nsource = \"{source}\"\npeers = [\"{peer}\"]\naddresses = [\"10.79.{link}.{vrid}\"]\n"
        );
    }
    text
}

/// Opens a socket for the adverts and announcements on all links of this namespace.
fn announcements() -> io::Result<Socket> {
    const ALL_PROTOCOLS: u16 = 0x0003;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL_PROTOCOLS.to_be()))))?;
    socket.attach_filter(&frame::filter())?;
    socket.set_nonblocking(true)?;
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20));
    Ok(socket)
}

/// Takes in which addresses the other node announced.
fn hear(listener: &Socket, announced: &mut BTreeSet<IpAddr>) {
    /// Frames of this node's own.
    const OUTGOING: u8 = 4;
    let mut buffer = [0; 256];
    while let Ok((len, Some(from))) = recvfrom::<LinkAddr>(listener.as_raw_fd(), &mut buffer) {
        if let (Some(Frame::Announcement { address }), true) =
            (Frame::parse(&buffer[..len]), from.pkttype() != OUTGOING)
        {
            announced.insert(address);
        }
    }
}

fn masters(cluster: &Cluster, node: Node) -> usize {
    entered(cluster, node, "MASTER")
}

/// Returns how often instances of a node entered a state.
fn entered(cluster: &Cluster, node: Node, state: &str) -> usize {
    let phrase = format!("Entering {state} STATE");
    cluster.lines(node).iter().filter(|line| line.contains(&phrase)).count()
}

fn until(patience: Duration, awaited: &str, mut is_so: impl FnMut() -> bool) {
    let end = now() + patience;
    while !is_so() {
        assert!(now() < end, "waited {patience:?} for {awaited}");
        sleep(Duration::from_millis(10));
    }
}
