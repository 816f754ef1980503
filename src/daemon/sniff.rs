//! `vrrpd sniff`: each advert that passes, decoded, with what this node's configuration would say to it.
//!
//! Looks, and sends nothing. One stop before: `cli::sniff`. One stop after: `net::socket::Tap`, `engine::verdict`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::event_loop::read_clocks;
use super::journal;
use super::secrecy;
use super::start::{StartError, local_addresses, params_of_this_host};
use crate::config;
use crate::control::rfc3339;
use crate::engine::input::{Datagram, Input, Interface};
use crate::engine::node::Node;
use crate::engine::verdict::Verdict;
use crate::net::socket::{Seen, Tap};
use crate::wire::advert::{AUTH_AH, AUTH_NONE, AUTH_PASSWORD, Header, Received, TRAILER_LEN};
use crate::wire::ah::AuthHeader;
use crate::wire::auth::Trailer;
use crate::wire::field::{Family, Version};
use crate::wire::ip::{Ipv4Packet, Protocol};

/// What the command line says.
#[derive(Debug, Default)]
pub struct SniffOptions {
    /// Only what passes this one; `None`: all.
    pub interface: Option<String>,
    /// The configuration that judges; `None`: there are no verdicts.
    pub config: Option<PathBuf>,
    /// Ends after this; `None`: never.
    pub length: Option<Duration>,
    /// Ends after so many packets; `None`: never.
    pub count: Option<u64>,
    /// JSON objects, one a line.
    pub json: bool,
    /// Lines with all that is in a packet.
    pub long: bool,
}

/// Prints what passes until length, count or a signal ends it; returns the exit code of sysexits.
pub fn sniff(options: &SniffOptions) -> u8 {
    match run(options) {
        Ok(()) => 0,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("vrrpd: {line}");
            }
            error.exit_code()
        }
    }
}

fn run(options: &SniffOptions) -> Result<(), StartError> {
    // For good: this program ends soon.
    let _ = secrecy::hide();
    let mut judge = match &options.config {
        Some(path) => Some(Judge::new(path)?),
        None => None,
    };
    let names = interface_names().map_err(StartError::System)?;
    if let Some(name) = options.interface.as_ref().filter(|name| !names.values().any(|known| known == *name)) {
        return Err(StartError::System(io::Error::new(io::ErrorKind::NotFound, format!("no interface {name:?}"))));
    }
    let tap = Tap::open().map_err(StartError::Socket)?;
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(StartError::System)?;
    }
    let end = options.length.map(|length| read_clocks().mono + length);
    let (mut buffer, mut count) = (vec![0; BUFFER], 0);
    while !is_over.load(Ordering::Relaxed) && options.count.is_none_or(|most| count < most) {
        let now = read_clocks();
        let left = end.map_or(Duration::from_secs(1), |end| end.since(now.mono));
        if left.is_zero() {
            break;
        }
        let Some((seen, packet)) = tap.receive(&mut buffer).map_err(StartError::System)? else {
            let wait = u16::try_from(left.as_millis().clamp(1, 1000)).unwrap_or(1000);
            // A signal ends the wait, too.
            let _ = poll(&mut [PollFd::new(tap.as_fd(), PollFlags::POLLIN)], PollTimeout::from(wait));
            continue;
        };
        let name = names.get(&seen.interface).cloned().unwrap_or_else(|| seen.interface.to_string());
        if options.interface.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let Some(mut line) = decode(packet) else { continue };
        (line.at, line.interface, line.outgoing) = (rfc3339::format(now.utc), name, seen.is_outgoing);
        line.verdict = judge.as_mut().filter(|_| !seen.is_outgoing).and_then(|judge| judge.say(now, seen, packet));
        count += 1;
        let text =
            if options.json { serde_json::to_string(&line).unwrap_or_default() } else { line.text(options.long) };
        if writeln!(io::stdout(), "{text}").is_err() {
            // Nobody reads any more.
            break;
        }
    }
    Ok(())
}

/// A node that takes no part, and its configuration.
struct Judge {
    node: Node,
}

impl Judge {
    fn new(path: &Path) -> Result<Self, StartError> {
        let loaded = config::load(path, None).map_err(StartError::Config)?;
        let mut node = Node::new(&params_of_this_host(&loaded.config)?);
        let here = local_addresses().map_err(StartError::System)?;
        let wanted: Vec<String> = node.routers().map(|(_, params)| params.interface.clone()).collect();
        for name in wanted {
            let of = |is_here: bool| {
                let those = here.iter().filter(|(interface, _)| (*interface == name) == is_here);
                those.map(|(_, address)| *address).collect()
            };
            let (addresses, elsewhere) = (of(true), of(false));
            let index = if_nametoindex(name.as_str()).ok();
            let interface = Interface { name, index, is_up: true, addresses, elsewhere };
            node.handle(read_clocks(), Input::Interface(interface));
        }
        Ok(Self { node })
    }

    /// Returns what this node would say to a packet; `None`: it is none that a node would look at.
    fn say(&mut self, now: crate::engine::time::Now, seen: Seen, packet: &[u8]) -> Option<Judged> {
        let interface = seen.interface;
        let datagram = match packet.first()? >> 4 {
            4 => Datagram::V4 { interface, packet },
            _ => {
                let ip = V6::read(packet)?;
                let (source, destination) = (ip.source, ip.destination);
                Datagram::V6 { interface, source, destination, hop_limit: ip.hop_limit, payload: ip.payload }
            }
        };
        let source = decode(packet).map(|line| line.source);
        let verdict = self.node.judge_packet(now, datagram);
        let router = match verdict {
            Verdict::Accepted(router) => Some(router),
            Verdict::Refused { router, .. } => router,
        };
        let params = router.and_then(|router| self.node.params(router)).map(Arc::clone);
        let instance = params.as_ref().map(|params| params.name.clone());
        Some(match verdict {
            Verdict::Accepted(_) => Judged { accepted: true, instance, reason: None, words: None },
            Verdict::Refused { refusal, .. } => Judged {
                accepted: false,
                instance,
                reason: Some(refusal.reason.name()),
                words: Some(journal::words_of_refusal(params.as_deref(), refusal, source)),
            },
        })
    }
}

/// One packet.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) at: String,
    pub(crate) interface: String,
    pub(crate) outgoing: bool,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) version: u8,
    pub(crate) virtual_router_id: u8,
    /// 0: the sender resigns.
    pub(crate) priority: u8,
    pub(crate) interval_ms: Option<u64>,
    pub(crate) addresses: Vec<IpAddr>,
    /// `none`, `password`, `ah`, `hmac key N`, or the number of a kind that is not known. Never a secret.
    pub(crate) authentication: String,
    verdict: Option<Judged>,
}

/// What this node would say.
#[derive(Debug, Serialize)]
struct Judged {
    accepted: bool,
    instance: Option<String>,
    reason: Option<&'static str>,
    words: Option<String>,
}

impl Line {
    /// Returns the lines that an operator reads, without the last line feed; none but the first is not indented.
    ///
    /// The first fits a terminal of 80 columns with addresses of IPv4 and a short name of the instance. The words of a refusal follow it, and with
    /// `is_long` what else is in the packet, both wrapped.
    fn text(&self, is_long: bool) -> String {
        let Self { at, interface, source, virtual_router_id, priority, .. } = self;
        let way = if self.outgoing { "out" } else { "in" };
        // Who looks on knows the day.
        let time = at.split_once('T').map_or("", |(_, time)| time);
        let mut text = format!("{time} {interface} {way} {source} vrid {virtual_router_id} priority {priority}");
        if self.interval_ms.is_none() {
            text += " (not a whole advert)";
        }
        self.verdict.iter().for_each(|verdict| text += &verdict.name());
        if is_long {
            text += &indented(&self.details());
        }
        let words = self.verdict.as_ref().and_then(|verdict| verdict.words.as_deref());
        text + &words.map_or_else(String::new, indented)
    }

    /// Returns what the first line leaves out.
    fn details(&self) -> String {
        let Self { destination, version, ttl, authentication, .. } = self;
        let interval = self.interval_ms.map_or_else(String::new, |interval| format!(", every {interval} ms"));
        let mut text =
            format!("to {destination}, version {version}, ttl {ttl}{interval}, auth {authentication}, addresses");
        for address in self.addresses.iter().take(ADDRESSES) {
            text += &format!(" {address}");
        }
        if self.addresses.len() > ADDRESSES {
            text += &format!(" and {} more", self.addresses.len() - ADDRESSES);
        }
        text
    }
}

impl Judged {
    /// Returns the end of the first line.
    fn name(&self) -> String {
        let verdict = if self.accepted { "accepted" } else { "refused" };
        let by = self.instance.as_ref().map_or_else(String::new, |instance| format!(" by {instance}"));
        format!(" {verdict}{by}")
    }
}

/// Returns words on lines of their own, each with a line feed before it, indented and of at most 80 columns.
fn indented(words: &str) -> String {
    let (mut text, mut column) = (String::new(), usize::MAX);
    for word in words.split(' ') {
        let len = word.chars().count();
        if column.saturating_add(1 + len) > COLUMNS {
            text += "\n    ";
            column = 4 + len;
        } else {
            text.push(' ');
            column += 1 + len;
        }
        text += word;
    }
    text
}

/// Reads a packet from its IP header on; `None`: it has no VRRP message.
pub(crate) fn decode(packet: &[u8]) -> Option<Line> {
    let (source, destination, ttl, is_ah, message): (IpAddr, IpAddr, _, _, _) = match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::parse(packet).ok()?;
            let (is_ah, message) = match ip.protocol {
                Protocol::Vrrp => (false, ip.payload),
                Protocol::Ah => (true, AuthHeader::parse(ip.payload).ok()?.1),
            };
            (ip.source.into(), ip.destination.into(), ip.ttl, is_ah, message)
        }
        _ => {
            let ip = V6::read(packet)?;
            (ip.source.into(), ip.destination.into(), ip.hop_limit, false, ip.payload)
        }
    };
    let header = Header::parse(message).ok()?;
    let version = if header.version == 2 { Version::V2 } else { Version::V3 };
    let received = Received::parse(version, Family::of(&source), message, true).ok();
    let kind = received.map(|received| received.advert.auth.kind);
    let authentication = match (received.and_then(|received| received.trailer), kind) {
        _ if is_ah => "ah".to_owned(),
        (Some(trailer), _) => key_named(trailer),
        (None, None | Some(AUTH_NONE)) => "none".to_owned(),
        (None, Some(AUTH_PASSWORD)) => "password".to_owned(),
        (None, Some(AUTH_AH)) => "ah".to_owned(),
        (None, Some(kind)) => kind.to_string(),
    };
    let interval = received.map(|received| received.advert.interval.as_duration());
    Some(Line {
        at: String::new(),
        interface: String::new(),
        outgoing: false,
        source,
        destination,
        ttl,
        version: header.version,
        virtual_router_id: header.vrid,
        priority: header.priority,
        interval_ms: interval.map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
        addresses: received.map_or_else(Vec::new, |received| received.advert.addresses.iter().collect()),
        authentication,
        verdict: None,
    })
}

fn key_named(trailer: &[u8; TRAILER_LEN]) -> String {
    Trailer::parse(trailer)
        .map_or_else(|error| format!("trailer: {error}"), |known| format!("hmac key {}", known.key_id))
}

/// An IPv6 packet without extension headers.
struct V6<'a> {
    source: std::net::Ipv6Addr,
    destination: std::net::Ipv6Addr,
    hop_limit: u8,
    payload: &'a [u8],
}

impl<'a> V6<'a> {
    /// `None`: shorter than it says, or than its header.
    fn read(packet: &'a [u8]) -> Option<Self> {
        let (header, rest) = packet.split_first_chunk::<40>()?;
        let address = |at: usize| -> Option<std::net::Ipv6Addr> {
            Some(<[u8; 16]>::try_from(header.get(at..at + 16)?).ok()?.into())
        };
        let [_, _, _, _, high, low, _, hop_limit, ..] = *header;
        let payload = rest.get(..usize::from(u16::from_be_bytes([high, low])))?;
        Some(Self { source: address(8)?, destination: address(24)?, hop_limit, payload })
    }
}

/// Returns the names of all interfaces by index.
fn interface_names() -> io::Result<BTreeMap<u32, String>> {
    let names = nix::net::if_::if_nameindex()?;
    Ok(names.iter().map(|entry| (entry.index(), entry.name().to_string_lossy().into_owned())).collect())
}

/// More than the longest packet of a link with large frames.
const BUFFER: usize = 1 << 16;
/// Addresses that are shown of one advert.
const ADDRESSES: usize = 8;
/// Width of a terminal.
const COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    const V3: [u8; 12] = [0x31, 51, 200, 1, 0, 100, 0xab, 0xcd, 10, 77, 1, 1];

    fn v4(message: &[u8]) -> Vec<u8> {
        let len = 20 + message.len() as u8;
        let head = [0x45, 0, 0, len, 0, 0, 0, 0, 255, 112, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2];
        [&head[..], message].concat()
    }

    #[test]
    fn an_advert_is_one_line_that_fits_and_the_rest_is_asked_for() {
        let mut line = decode(&v4(&V3)).unwrap();
        (line.at, line.interface) = ("2026-11-22T08:28:03.417Z".to_owned(), "eth0".to_owned());
        let first = "08:28:03.417Z eth0 in 10.77.0.1 vrid 51 priority 200";
        assert_eq!(line.text(false), first);
        let judged = Judged { accepted: true, instance: Some("web".to_owned()), reason: None, words: None };
        line.verdict = Some(judged);
        assert_eq!(line.text(false), format!("{first} accepted by web"));
        let details = "    to 10.77.0.2, version 3, ttl 255, every 1000 ms, auth none, addresses\n    10.77.1.1";
        assert_eq!(line.text(true), format!("{first} accepted by web\n{details}"));
        let words = Some("received an invalid passwd from 10.77.0.1! ".repeat(3).trim().to_owned());
        line.verdict = Some(Judged { accepted: false, instance: None, reason: Some("auth"), words });
        line.source = "255.255.255.255".parse().unwrap();
        (line.virtual_router_id, line.priority) = (255, 254);
        let text = line.text(true);
        assert!(
            text.starts_with("08:28:03.417Z eth0 in 255.255.255.255 vrid 255 priority 254 refused\n    to "),
            "{text}"
        );
        assert!(text.contains("\n    received an invalid") && text.ends_with("from 10.77.0.1!"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn a_password_is_named_and_not_shown() {
        let message = [&[0x21, 51, 200, 1, 1, 1, 0xab, 0xcd, 10, 77, 1, 1][..], b"s3cr3t77"].concat();
        let line = decode(&v4(&message)).unwrap();
        assert_eq!((line.authentication.as_str(), line.interval_ms), ("password", Some(1000)));
        assert!(!format!("{} {}", line.text(true), serde_json::to_string(&line).unwrap()).contains("s3cr3t"));
    }

    #[test]
    fn an_ipv6_advert_is_read() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 24, 112, 255];
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.extend([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12]);
        packet.extend([0x31, 51, 0, 1, 0, 10, 0, 0]);
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        let line = decode(&packet).unwrap();
        assert_eq!((line.priority, line.interval_ms), (0, Some(100)));
        assert_eq!(line.addresses, ["fe80::9".parse::<IpAddr>().unwrap()]);
        (0..packet.len()).for_each(|len| assert!(decode(&packet[..len]).is_none(), "{len} bytes"));
    }

    #[test]
    fn what_is_no_whole_advert_is_shown_as_far_as_it_goes() {
        let line = decode(&v4(&V3[..9])).unwrap();
        assert!(line.text(false).ends_with("priority 200 (not a whole advert)"), "{line:?}");
    }
}
