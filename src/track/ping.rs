//! Asks an address for an echo (ICMP, ICMPv6): the host is there and the way to it works.
//!
//! One request for each look, on a socket of its own. What is not the answer to it is overheard: from another host, to another
//! program, with another token. One stop after: [`Outcome`].

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::Outcome;
use super::tcp::refusal;
use crate::wire::checksum::Sum;

/// Looks once; no answer is no end: the caller's timeout says so. Dropped before it is done, it closes its socket; the
/// words are the same for the same finding.
///
/// A link-local IPv6 address fails: which interface it is behind cannot be said.
pub(super) async fn probe(address: IpAddr) -> Outcome {
    match echo(address.to_canonical()).await {
        Ok(()) => Outcome::passed("answered"),
        Err(words) => Outcome::failed(words),
    }
}

/// Returns when the address has answered.
///
/// **Errors:** what the operator reads of a failure.
async fn echo(address: IpAddr) -> Result<(), String> {
    if let IpAddr::V6(v6) = address
        && v6.is_unicast_link_local()
    {
        return Err("a link-local address cannot be pinged without its interface".to_owned());
    }
    let line = Line::open(address)?;
    let request = Echo::fresh();
    line.socket.send(&request.emit(address)).await.map_err(|error| refusal(&error))?;
    let mut buffer = [0u8; 256];
    loop {
        let (len, from) = line.socket.recv_from(&mut buffer).await.map_err(|error| refusal(&error))?;
        let packet = buffer.get(..len).unwrap_or_default();
        if from.ip() == address && line.message(packet).is_some_and(|m| request.is_answered_by(m, &line)) {
            return Ok(());
        }
    }
}

/// A socket for ICMP to and from one address.
struct Line {
    /// Not UDP, but of the same calls.
    socket: UdpSocket,
    address: IpAddr,
    /// The kernel gives out every ICMP packet from there, of IPv4 with its header. Otherwise it puts in the
    /// identifier itself and gives out the answers to it.
    is_raw: bool,
}

impl Line {
    /// Opens one, without privileges if the kernel lets this group.
    ///
    /// **Errors:** what the operator reads.
    fn open(address: IpAddr) -> Result<Self, String> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let open = |kind: Type| Socket::new(domain, kind.nonblocking(), Some(protocol));
        let (socket, is_raw) = match open(Type::DGRAM) {
            Ok(socket) => (socket, false),
            Err(_) => (open(Type::RAW).map_err(|error| not_opened(&error))?, true),
        };
        socket.connect(&SocketAddr::new(address, 0).into()).map_err(|error| refusal(&error))?;
        let socket = UdpSocket::from_std(OwnedFd::from(socket).into()).map_err(|error| refusal(&error))?;
        Ok(Self { socket, address, is_raw })
    }

    /// Returns the ICMP message of a packet.
    fn message<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        if !self.is_raw || self.address.is_ipv6() {
            return Some(packet);
        }
        let header = usize::from(packet.first()? & 0x0f) * 4;
        packet.get(header..)
    }
}

/// What makes one request different from all others.
struct Echo {
    identifier: [u8; 2],
    sequence: [u8; 2],
    token: [u8; 16],
}

impl Echo {
    /// Makes one that cannot be foretold.
    fn fresh() -> Self {
        // The keys of the standard library's hash tables are random.
        let random = || RandomState::new().build_hasher().finish().to_be_bytes();
        let [i0, i1, s0, s1, ..] = random();
        let mut token = [0; 16];
        token.iter_mut().zip(random().into_iter().chain(random())).for_each(|(byte, random)| *byte = random);
        Self { identifier: [i0, i1], sequence: [s0, s1], token }
    }

    /// Returns the request: type, code, checksum, identifier, sequence, token. The checksum of ICMPv6 is the kernel's.
    fn emit(&self, to: IpAddr) -> Vec<u8> {
        let kind = if to.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
        let mut message = vec![kind, 0, 0, 0];
        message.extend_from_slice(&self.identifier);
        message.extend_from_slice(&self.sequence);
        message.extend_from_slice(&self.token);
        let sum = Sum::of(&message).checksum().to_be_bytes();
        message.splice(2..4, sum);
        message
    }

    fn is_answered_by(&self, message: &[u8], line: &Line) -> bool {
        let kind = if line.address.is_ipv4() { ANSWER_V4 } else { ANSWER_V6 };
        let [found, 0, _, _, i0, i1, s0, s1, token @ ..] = message else { return false };
        let is_ours = !line.is_raw || [*i0, *i1] == self.identifier;
        *found == kind && is_ours && [*s0, *s1] == self.sequence && *token == self.token
    }
}

const REQUEST_V4: u8 = 8;
const ANSWER_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const ANSWER_V6: u8 = 129;

fn not_opened(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_NET_RAW, or net.ipv4.ping_group_range with this group)",
        _ => "",
    };
    format!("cannot open an ICMP socket: {}{advice}", refusal(error))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::process::Command;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::engine::input::CheckResult;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn host_that_answers_passes_with_and_without_privileges() {
        alone("host_that_answers_passes_with_and_without_privileges", async || {
            for is_raw in [true, false] {
                if !is_raw {
                    allow_group();
                }
                for address in [V4, V6, "::ffff:127.0.0.1".parse().unwrap()] {
                    assert_eq!(Line::open(address.to_canonical()).unwrap().is_raw, is_raw);
                    let looked = tokio::time::timeout(Duration::from_secs(5), probe(address)).await;
                    let outcome = looked.unwrap_or_else(|_| panic!("no answer from {address}, raw: {is_raw}"));
                    assert_eq!((outcome.result, outcome.words.as_str()), (CheckResult::Passed, "answered"));
                }
            }
        });
    }

    #[test]
    fn only_the_answer_to_the_own_request_counts() {
        alone("only_the_answer_to_the_own_request_counts", async || {
            // The kernel keeps silent, and the test answers.
            set("ipv4/icmp_echo_ignore_all", "1");
            set("ipv6/icmp/echo_ignore_all", "1");
            answer_wrongly_then_rightly(V4).await;
            answer_wrongly_then_rightly(V6).await;
            allow_group();
            answer_wrongly_then_rightly(V4).await;
            answer_wrongly_then_rightly(V6).await;
        });
    }

    async fn answer_wrongly_then_rightly(address: IpAddr) {
        let other = raw(address, address);
        let mut asking = Box::pin(probe(address));
        assert!(is_pending(&mut asking).await, "{address} is silent");
        let request = next_request(&other).await;
        let right = reply(&request, |_| ());
        let wrong: [fn(&mut Vec<u8>); 7] = [
            |m| m[8] ^= 1,      // token
            |m| m[23] ^= 1,     // its last byte
            |m| m[7] ^= 1,      // sequence
            |m| m[4] ^= 1,      // identifier
            |m| m.truncate(16), // cut
            |m| m.push(0),      // longer
            |m| m[0] = if m[0] == ANSWER_V4 { REQUEST_V4 } else { REQUEST_V6 },
        ];
        for change in wrong {
            other.send(&reply(&request, change)).await.unwrap();
            assert!(is_pending(&mut asking).await, "{address}: a wrong answer counted");
        }
        if address.is_ipv4() {
            let elsewhere = raw(IpAddr::from([127, 0, 0, 2]), address);
            elsewhere.send(&right).await.unwrap();
            assert!(is_pending(&mut asking).await, "the answer of another host counted");
        }
        other.send(&right).await.unwrap();
        let looked =
            tokio::time::timeout(Duration::from_secs(5), &mut asking).await.expect("the right answer is overheard");
        assert_eq!(looked.result, CheckResult::Passed);
        drop(asking);
        // What was answered once does not answer the next request.
        let mut asking = Box::pin(probe(address));
        other.send(&right).await.unwrap();
        assert!(is_pending(&mut asking).await, "{address}: an old answer counted");
    }

    #[test]
    fn no_way_to_the_host_fails_at_once() {
        alone("no_way_to_the_host_fails_at_once", async || {
            // There is loopback and nothing else.
            for address in ["10.0.0.1", "fd00::1"] {
                let looked = tokio::time::timeout(Duration::from_secs(5), probe(address.parse().unwrap())).await;
                let outcome = looked.unwrap_or_else(|_| panic!("{address} is waited for"));
                assert_eq!((outcome.result, outcome.words.as_str()), (CheckResult::Failed, "network is unreachable"));
            }
        });
    }

    #[tokio::test]
    async fn link_local_address_fails_and_says_why() {
        let outcome = probe("fe80::1".parse().unwrap()).await;
        assert_eq!(outcome.result, CheckResult::Failed);
        assert_eq!(outcome.words, "a link-local address cannot be pinged without its interface");
    }

    #[test]
    fn missing_privilege_is_named() {
        let words = not_opened(&Errno::EPERM.into());
        assert!(
            words.starts_with("cannot open an ICMP socket: operation not permitted (needs CAP_NET_RAW,"),
            "{words}"
        );
        assert_eq!(not_opened(&Errno::EMFILE.into()), "cannot open an ICMP socket: too many open files");
    }

    /// Says whether a probe goes on, after everything that waited for it was read: loopback delivers at once.
    async fn is_pending(asking: &mut (impl Future<Output = Outcome> + Unpin)) -> bool {
        tokio::time::timeout(Duration::from_millis(20), asking).await.is_err()
    }

    /// Returns a socket that hears all ICMP and sends from one address to another.
    fn raw(from: IpAddr, to: IpAddr) -> UdpSocket {
        let (domain, protocol) = match from {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol)).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&SocketAddr::new(to, 0).into()).unwrap();
        UdpSocket::from_std(OwnedFd::from(socket).into()).unwrap()
    }

    async fn next_request(socket: &UdpSocket) -> Vec<u8> {
        let mut packet = [0; 256];
        loop {
            let len = socket.recv(&mut packet).await.unwrap();
            let start = if packet[0] >> 4 == 4 { 20 } else { 0 };
            if matches!(packet[start], REQUEST_V4 | REQUEST_V6) {
                return packet[start..len].to_vec();
            }
        }
    }

    /// Returns the answer to a request, changed.
    fn reply(request: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut message = request.to_vec();
        message[0] = if request[0] == REQUEST_V4 { ANSWER_V4 } else { ANSWER_V6 };
        change(&mut message);
        message[2..4].fill(0);
        let sum = Sum::of(&message).checksum().to_be_bytes();
        message[2..4].copy_from_slice(&sum);
        message
    }

    /// Lets this group ping without privileges; in a fresh namespace no group may.
    fn allow_group() {
        set("ipv4/ping_group_range", "0 0");
    }

    fn set(path: &str, value: &str) {
        std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
    }

    /// Runs a test in a network namespace of its own, loopback up; not being root, in a user namespace.
    fn alone(name: &str, test: impl AsyncFnOnce() + Send) {
        const AGAIN: &str = "VRRPD_TEST_NAMESPACE";
        let is_allowed = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                    return false;
                }
                assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
                true
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        if is_allowed {
            return;
        }
        assert!(std::env::var_os(AGAIN).is_none(), "no right to make a namespace even under unshare");
        if !Command::new("unshare").args(["-Urn", "true"]).status().is_ok_and(|status| status.success()) {
            // Not by `println`, which the test program keeps to itself.
            writeln!(io::stdout(), "SKIPPED: {name} needs root or user namespaces").unwrap();
            return;
        }
        let status = Command::new("unshare")
            .arg("-Urn")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &format!("track::ping::tests::{name}"), "--nocapture", "--test-threads=1"])
            .env(AGAIN, "1")
            .status()
            .unwrap();
        assert!(status.success(), "{name} failed under unshare");
    }
}
