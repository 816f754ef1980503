//! Every frame of every capture: read as expected, and written again from the expectation alone.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use vrrpd::wire::addresses::AddressList;
use vrrpd::wire::advert::{AUTH_AH, AUTH_NONE, AUTH_PASSWORD, Advert, AuthField, Received};
use vrrpd::wire::ah::{self, AuthHeader};
use vrrpd::wire::announce::{self, ARP_FRAME_LEN, ArpForm, Mac, NA_FRAME_LEN};
use vrrpd::wire::auth::{Key, Origin, Password, Trailer};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};
use vrrpd::wire::ip::{Ipv4Header, Ipv4Packet, Protocol};

use crate::pcap;

#[test]
fn every_frame_reads_as_expected() {
    for_each_frame(|place, file, frame, bytes| match frame {
        Frame::Advert(expected) => {
            let packet = Packet::parse(bytes);
            assert_eq!((packet.source, packet.destination), (expected.src, expected.dst), "{place}");
            assert_eq!(packet.ttl, expected.ttl, "{place}");
            let sequence = packet.ah.map(|ah| format!("AH seq {}", ah.sequence));
            assert_eq!(sequence, expected.ah, "{place}");
            assert_eq!(packet.payload.len(), expected.vrrp_len, "{place}");

            let list = expected.list();
            let received = Received::parse(expected.version(), expected.family(), packet.payload, is_signed(file))
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(received.advert, expected.advert(file, &list), "{place}");
            assert_eq!(received.advert.addresses.iter().collect::<Vec<_>>(), expected.addrs, "{place}");
            assert_eq!(received.trailer.is_some(), is_signed(file), "{place}");
            assert_eq!(expected.count, expected.addrs.len(), "{place}");

            let (version, summed) = (expected.version(), received.summed);
            let form = checksum::recognise(version, expected.src, expected.dst, summed, &ChecksumForm::ALL);
            assert_eq!(form, Some(expected.form()), "{place}");
        }
        Frame::Garp { ip, op, tha } => {
            assert_eq!((op.as_str(), tha.as_str()), ("op1", "tha ff"), "{place}");
            assert_eq!((bytes[20..22].to_vec(), &bytes[28..32]), (vec![0, 1], &ip.octets()[..]), "{place}");
            assert_eq!((&bytes[32..38], &bytes[38..42]), (&[0xff; 6][..], &ip.octets()[..]), "{place}");
        }
        Frame::Na { target, flags, option } => {
            let [r, s, o] = [0x80, 0x40, 0x20].map(|bit| u8::from(bytes[58] & bit != 0));
            assert_eq!(format!("R{r}S{s}O{o}"), *flags, "{place}");
            assert_eq!(bytes[62..78], target.octets(), "{place}");
            assert_eq!((option.as_str(), bytes[78]), ("tlla", 2), "{place}");
        }
    });
}

#[test]
fn every_frame_is_written_byte_for_byte() {
    for_each_frame(|place, file, frame, bytes| match frame {
        Frame::Advert(expected) => {
            let packet = Packet::parse(bytes);
            let mut out = Vec::new();
            let list = expected.list();
            expected.advert(file, &list).emit(&mut out);
            let message_len = out.len();
            if is_signed(file) {
                let trailer = Trailer::parse(packet.payload.last_chunk().unwrap()).unwrap();
                let signed = Trailer::sign(&hmac_key(), HMAC_KEY_ID, trailer.sequence, &expected.origin(), &out);
                out.extend_from_slice(&signed.emit());
            }
            let summed_len = match expected.family() {
                Family::V4 => message_len,
                Family::V6 => out.len(),
            };
            let (version, form) = (expected.version(), expected.form());
            checksum::fill(version, form, expected.src, expected.dst, &mut out[..summed_len]);
            assert_eq!(out, packet.payload, "{place}");
        }
        Frame::Garp { ip, .. } => {
            let mut out = [0; ARP_FRAME_LEN];
            announce::write_gratuitous_arp(&mut out, source_mac(bytes), *ip, ArpForm::Request);
            assert_eq!(out[..], *bytes, "{place}");
        }
        Frame::Na { target, flags, .. } => {
            let mut out = [0; NA_FRAME_LEN];
            announce::write_neighbor_advert(&mut out, source_mac(bytes), *target, flags.starts_with("R1"));
            assert_eq!(out[..], *bytes, "{place}");
        }
    });
}

#[test]
fn one_prepared_message_completes_for_every_destination() {
    for_each_frame(|place, _, frame, bytes| {
        let Frame::Advert(expected) = frame else { return };
        let packet = Packet::parse(bytes);
        let covered = if expected.family() == Family::V6 { packet.payload.len() } else { expected.message_len() };
        let mut prepared = packet.payload[..covered].to_vec();
        checksum::write(&mut prepared, 0);
        let (sum, len) = (checksum::Sum::of(&prepared), prepared.len());
        let (version, form) = (expected.version(), expected.form());
        let found = checksum::compute(version, form, expected.src, expected.dst, sum, len);
        assert_eq!(found.to_be_bytes(), packet.payload[6..8], "{place}");
    });
}

#[test]
fn authentication_headers_verify_and_are_signed_to_the_same_packet() {
    let mut count = 0;
    for_each_frame(|place, _, frame, bytes| {
        let Frame::Advert(expected @ Expected { ah: Some(_), .. }) = frame else { return };
        count += 1;
        let key = Password::new(AH_KEY);
        let packet = Ipv4Packet::parse(&bytes[ETHERNET_LEN..]).unwrap();
        assert!(ah::is_authentic(&key, &packet), "{place}");
        assert!(!ah::is_authentic(&Password::new(b"ahkey13"), &packet), "{place}");

        let (header, message) = AuthHeader::parse(packet.payload).unwrap();
        assert_eq!(header.spi, packet.source, "{place}");
        let (source, destination) = (packet.source, packet.destination);
        let id = u16::from_be_bytes([packet.header[4], packet.header[5]]);
        let ip = Ipv4Header { source, destination, id, protocol: Protocol::Ah };
        let ip = ip.emit(AuthHeader::LEN + message.len());
        let signed = AuthHeader::sign(&key, &ip, source, destination, header.sequence, message);
        assert_eq!([&ip[..], &signed.emit(), message].concat(), bytes[ETHERNET_LEN..], "{place}");
        assert_eq!(IpAddr::from(destination), expected.dst, "{place}");
    });
    assert_eq!(count, 13, "authenticated adverts in the captures");
}

#[test]
fn trailers_verify_and_are_signed_to_the_same_bytes() {
    let mut count = 0;
    for_each_frame(|place, file, frame, bytes| {
        let Frame::Advert(expected) = frame else { return };
        if !is_signed(file) {
            return;
        }
        count += 1;
        let packet = Packet::parse(bytes);
        let (message, raw) = packet.payload.split_last_chunk().unwrap();
        let trailer = Trailer::parse(raw).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(trailer.key_id, HMAC_KEY_ID, "{place}");
        assert!(trailer.is_authentic(&hmac_key(), &expected.origin(), message), "{place}");
        assert!(!trailer.is_authentic(&Key::new(&[0; 32]).unwrap(), &expected.origin(), message), "{place}");
        let signed = Trailer::sign(&hmac_key(), HMAC_KEY_ID, trailer.sequence, &expected.origin(), message);
        assert_eq!(signed.emit(), *raw, "{place}");
    });
    assert_eq!(count, 10, "signed adverts in the captures");
}

#[test]
fn every_capture_has_an_expectation_and_is_described() {
    let described = fs::read_to_string(pcap::path("captures/README.md")).unwrap();
    let listed: BTreeSet<String> = load().into_iter().map(|capture| capture.file).collect();
    let present: BTreeSet<String> = fs::read_dir(pcap::path("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pcap"))
        .collect();
    assert_eq!(listed, present);
    for name in &listed {
        let stem = name.trim_end_matches(".pcap");
        assert!(described.contains(&format!("`{stem}`")), "README.md does not describe {name}");
    }
}

/// One IP packet taken apart, whatever its family.
struct Packet<'a> {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    ah: Option<AuthHeader>,
    /// Message and trailer.
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn parse(frame: &'a [u8]) -> Self {
        let bytes = &frame[ETHERNET_LEN..];
        if frame[12..ETHERNET_LEN] == [0x86, 0xdd] {
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
            return Self {
                source: address(8),
                destination: address(24),
                ttl: bytes[7],
                ah: None,
                payload: &bytes[40..],
            };
        }
        let packet = Ipv4Packet::parse(bytes).unwrap();
        let (ah, payload) = match packet.protocol {
            Protocol::Vrrp => (None, packet.payload),
            Protocol::Ah => {
                let (header, message) = AuthHeader::parse(packet.payload).unwrap();
                (Some(header), message)
            }
        };
        let (source, destination) = (packet.source.into(), packet.destination.into());
        Self { source, destination, ttl: packet.ttl, ah, payload }
    }
}

/// One file of `expected.json`.
#[derive(Deserialize)]
struct Capture {
    file: String,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Frame {
    Advert(Expected),
    Garp { ip: Ipv4Addr, op: String, tha: String },
    Na { target: Ipv6Addr, flags: String, option: String },
}

/// What an advert must read as; field names as in the file.
#[derive(Deserialize)]
struct Expected {
    version: u8,
    vrid: u8,
    priority: u8,
    count: usize,
    auth: String,
    adv: String,
    addrs: Vec<IpAddr>,
    ttl: u8,
    checksum: String,
    src: IpAddr,
    dst: IpAddr,
    vrrp_len: usize,
    ah: Option<String>,
}

impl Expected {
    fn version(&self) -> Version {
        match self.version {
            2 => Version::V2,
            3 => Version::V3,
            other => panic!("version {other}"),
        }
    }

    fn family(&self) -> Family {
        Family::of(&self.src)
    }

    fn list(&self) -> AddressList {
        AddressList::new(self.family(), self.addrs.iter().copied()).unwrap()
    }

    fn message_len(&self) -> usize {
        vrrpd::wire::advert::message_len(self.version(), self.family(), self.count as u8)
    }

    fn form(&self) -> ChecksumForm {
        match self.checksum.as_str() {
            "plain" => ChecksumForm::Rfc9568,
            "pseudo(real dst)" => ChecksumForm::Pseudo,
            "pseudo(224.0.0.18)" => ChecksumForm::OldUnicast,
            other => panic!("checksum {other}"),
        }
    }

    fn origin(&self) -> Origin {
        Origin { version: self.version(), vrid: Vrid::new(self.vrid).unwrap(), source: self.src }
    }

    fn advert<'a>(&self, file: &str, list: &'a AddressList) -> Advert<'a> {
        let (kind, data): (u8, &[u8; 8]) = match self.auth.as_str() {
            "none" | "-" => (AUTH_NONE, &[0; 8]),
            "AH" => (AUTH_AH, &[0; 8]),
            "PASS" if file == "k-v2-pass-multicast.pcap" => (AUTH_PASSWORD, b"s3cr3t77"),
            "PASS" if file == "k-v2-pass-shortkey-adv2.pcap" => (AUTH_PASSWORD, b"abc\0\0\0\0\0"),
            other => panic!("auth {other} in {file}"),
        };
        let interval = match self.adv.strip_suffix("cs") {
            Some(cs) => AdverInterval::from_centiseconds(cs.parse().unwrap()),
            None => AdverInterval::from_seconds(self.adv.trim_end_matches('s').parse().unwrap()),
        };
        Advert {
            version: self.version(),
            vrid: Vrid::new(self.vrid).unwrap(),
            priority: Priority::new(self.priority),
            interval: interval.unwrap(),
            auth: AuthField { kind, data },
            addresses: list.as_addresses(),
        }
    }
}

fn load() -> Vec<Capture> {
    let text = fs::read_to_string(pcap::path("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Hands over place (for messages), file name, expectation and bytes of each frame.
fn for_each_frame(mut check: impl FnMut(&str, &str, &Frame, &[u8])) {
    let captures = load();
    assert_eq!(captures.len(), 28);
    for capture in captures {
        let frames = pcap::frames(&pcap::path("captures").join(&capture.file));
        assert_eq!(frames.len(), capture.frames.len(), "frames of {}", capture.file);
        for (at, (expected, bytes)) in capture.frames.iter().zip(&frames).enumerate() {
            check(&format!("{} frame {}", capture.file, at + 1), &capture.file, expected, bytes);
        }
    }
}

fn source_mac(frame: &[u8]) -> Mac {
    frame[6..12].try_into().unwrap()
}

fn is_signed(file: &str) -> bool {
    file.contains("-hmac-")
}

fn hmac_key() -> Key {
    Key::new(&(0..32).collect::<Vec<u8>>()).unwrap()
}

const HMAC_KEY_ID: u8 = 7;
const AH_KEY: &[u8] = b"ahkey12";
const ETHERNET_LEN: usize = 14;
