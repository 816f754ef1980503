//! Two namespaces with a veth pair between them.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};
use rtnetlink::{Handle, IpVersion, LinkUnspec, LinkVeth};
use socket2::{Domain, Protocol, Socket, Type};

/// Set in the environment of a test that runs itself again.
const AGAIN: &str = "VRRPD_TEST_NAMESPACE";

/// Says that a test is left out, past the test harness, which shows nothing that a passing test prints.
fn skipped(what: &str) {
    // Standard output that is closed hears nothing anyway.
    let _ = writeln!(std::io::stdout(), "SKIPPED: {what}");
}

/// Runs a test where it may make namespaces; `name` is its full name.
pub fn privileged(name: &str, test: impl FnOnce()) {
    if std::thread::scope(|scope| scope.spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join()).unwrap() {
        return test();
    }
    assert!(std::env::var_os(AGAIN).is_none(), "no right to make a namespace even under unshare");
    let unshare_works = Command::new("unshare").args(["-Urn", "true"]).status().is_ok_and(|status| status.success());
    if !unshare_works {
        skipped(&format!("{name} needs root or user namespaces"));
        return;
    }
    let status = Command::new("unshare")
        .arg("-Urn")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(AGAIN, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed under unshare");
}

/// A network namespace; gone with its last socket after this is dropped.
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET).unwrap();
                    // Addresses are usable at once, so that tests need not wait.
                    for name in ["all", "default"] {
                        fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0").unwrap();
                    }
                    Self(File::open("/proc/thread-self/ns/net").unwrap())
                })
                .join()
                .unwrap()
        })
    }

    /// Runs something in this namespace, on a thread of its own.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                inside()
            });
            match inside.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs something asynchronous in this namespace, with a connection to its kernel.
    pub fn run<T: Send>(&self, inside: impl AsyncFnOnce(Kernel) -> T + Send) -> T {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                inside(Kernel(handle)).await
            })
        })
    }

    /// Opens a packet socket that hears everything on every interface of this namespace.
    pub fn listen(&self) -> Socket {
        self.enter(|| {
            let all = Protocol::from(i32::from(0x0003u16.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
            // Inside a user namespace the limit applies; it does for all but the largest bursts.
            let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(32 << 20));
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket
        })
    }
}

/// Reads frames until `enough` says so or `patience` is over.
pub fn frames(socket: &Socket, patience: Duration, mut enough: impl FnMut(&[u8]) -> bool) -> bool {
    let end = Instant::now() + patience;
    let mut frame = [0u8; 4096];
    while Instant::now() < end {
        match nix::sys::socket::recv(socket.as_raw_fd(), &mut frame, nix::sys::socket::MsgFlags::empty()) {
            Ok(len) if enough(&frame[..len]) => return true,
            Ok(_) | Err(_) => {}
        }
    }
    false
}

/// Somebody else who changes the network.
pub struct Kernel(Handle);

impl Kernel {
    pub async fn index(&self, name: &str) -> u32 {
        use futures_util::StreamExt;
        let mut links = self.0.link().get().match_name(name.to_owned()).execute();
        links.next().await.unwrap().unwrap().header.index
    }

    /// Makes a veth pair and leaves both ends here, down.
    pub async fn add_veth(&self, name: &str, peer: &str) {
        self.0.link().add(LinkVeth::new(name, peer).build()).execute().await.unwrap();
    }

    pub async fn delete(&self, name: &str) {
        self.0.link().del(self.index(name).await).execute().await.unwrap();
    }

    pub async fn set_up(&self, name: &str, is_up: bool) {
        let link = LinkUnspec::new_with_index(self.index(name).await);
        let link = if is_up { link.up() } else { link.down() };
        self.0.link().set(link.build()).execute().await.unwrap();
    }

    pub async fn rename(&self, name: &str, to: &str) {
        self.set_up(name, false).await;
        let link = LinkUnspec::new_with_index(self.index(name).await).name(to);
        self.0.link().set(link.build()).execute().await.unwrap();
        self.set_up(to, true).await;
    }

    pub async fn move_to(&self, name: &str, other: &Namespace) {
        let link = LinkUnspec::new_with_index(self.index(name).await).setns_by_fd(other.0.as_raw_fd());
        self.0.link().set(link.build()).execute().await.unwrap();
    }

    pub async fn add_address(&self, name: &str, address: &str, prefix_len: u8) {
        let address: IpAddr = address.parse().unwrap();
        let mut request = self.0.address().add(self.index(name).await, address, prefix_len);
        if address.is_ipv6() {
            request.message_mut().header.flags = AddressHeaderFlags::Nodad;
        }
        request.execute().await.unwrap();
    }

    /// Deletes an address as `ip address del` does.
    pub async fn delete_address(&self, name: &str, address: &str, prefix_len: u8) {
        let index = self.index(name).await;
        for message in self.addresses(index).await {
            let address: IpAddr = address.parse().unwrap();
            if message.header.prefix_len == prefix_len && local(&message) == Some(address) {
                self.0.address().del(message).execute().await.unwrap();
                return;
            }
        }
        panic!("{address}/{prefix_len} is not on {name}");
    }

    pub async fn addresses(&self, index: u32) -> Vec<rtnetlink::packet_route::address::AddressMessage> {
        use futures_util::TryStreamExt;
        self.0.address().get().set_link_index_filter(index).execute().try_collect().await.unwrap()
    }

    /// Returns the routes and then the rules that carry a mark, in the kernel's order.
    pub async fn entries(&self, mark: u8) -> Entries {
        use futures_util::TryStreamExt;
        let mut entries = Entries::default();
        for (family, version) in [(AddressFamily::Inet, IpVersion::V4), (AddressFamily::Inet6, IpVersion::V6)] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let routes: Vec<RouteMessage> = self.0.route().get(question).execute().try_collect().await.unwrap();
            entries.routes.extend(routes.into_iter().filter(|route| u8::from(route.header.protocol) == mark));
            let rules: Vec<RuleMessage> = self.0.rule().get(version).execute().try_collect().await.unwrap();
            let is_marked = |rule: &RuleMessage| rule.attributes.contains(&RuleAttribute::Protocol(mark.into()));
            entries.rules.extend(rules.into_iter().filter(is_marked));
        }
        entries
    }

    pub async fn delete_route(&self, route: RouteMessage) {
        self.0.route().del(route).execute().await.unwrap();
    }

    pub async fn delete_rule(&self, rule: RuleMessage) {
        self.0.rule().del(rule).execute().await.unwrap();
    }

    pub async fn add_route(&self, route: RouteMessage) {
        self.0.route().add(route).replace().execute().await.unwrap();
    }

    /// Says whether the kernel has an address on an interface.
    pub async fn has(&self, name: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        self.addresses(self.index(name).await).await.iter().any(|message| local(message) == Some(address))
    }
}

fn local(message: &rtnetlink::packet_route::address::AddressMessage) -> Option<IpAddr> {
    use rtnetlink::packet_route::address::AddressAttribute;
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        AddressAttribute::Address(address) if address.is_ipv6() => Some(*address),
        _ => None,
    })
}

/// Routes and rules of the kernel.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    pub routes: Vec<RouteMessage>,
    pub rules: Vec<RuleMessage>,
}

/// Two namespaces; `va` in the first and `vb` in the second are one cable.
pub struct Pair {
    pub a: Namespace,
    pub b: Namespace,
}

impl Pair {
    /// Both ends up, 10.9.0.1/24 and 2001:db8:9::1/64 on one side, .2 and ::2 on the other.
    pub fn new() -> Self {
        let pair = Self { a: Namespace::new(), b: Namespace::new() };
        pair.a.run(async |kernel| {
            kernel.add_veth("va", "vb").await;
            kernel.move_to("vb", &pair.b).await;
            kernel.set_up("lo", true).await;
            kernel.set_up("va", true).await;
            kernel.add_address("va", "10.9.0.1", 24).await;
            kernel.add_address("va", "2001:db8:9::1", 64).await;
        });
        pair.b.run(async |kernel| {
            kernel.set_up("lo", true).await;
            kernel.set_up("vb", true).await;
            kernel.add_address("vb", "10.9.0.2", 24).await;
            kernel.add_address("vb", "2001:db8:9::2", 64).await;
        });
        pair
    }
}
