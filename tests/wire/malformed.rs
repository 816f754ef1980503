//! `malformed.json`: packets that are broken, or odd but good, one flaw each.
//!
//! Here each is judged by its bytes alone: a flaw that needs the receiver's configuration to be seen must not be one
//! here.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;
use vrrpd::wire::advert::{Header, ParseError, Received};
use vrrpd::wire::ah::{AhError, AuthHeader};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{Family, Version, Vrid};
use vrrpd::wire::ip::{IpError, Ipv4Packet, Protocol};

use crate::pcap;

#[test]
fn each_packet_is_refused_for_its_own_reason() {
    let cases = load();
    for case in &cases {
        let verdict = case.judge().map_err(Flaw::reason);
        let expected = if case.shows_in_bytes() { Err(case.reason.as_str()) } else { Ok(()) };
        assert_eq!(verdict, expected, "{}", case.id);
        assert!(case.verdict == "drop" || expected.is_ok(), "{}: accepted, yet flawed", case.id);
    }
    assert_eq!(cases.len(), 114);
}

#[test]
fn every_error_is_reached() {
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for case in load() {
        if let Err(flaw) = case.judge() {
            *reached.entry(flaw.name()).or_default() += 1;
        }
    }
    let mut missing = Flaw::NAMES.to_vec();
    missing.retain(|name| !reached.contains_key(name));
    // The unit tests of `wire::ip` and `wire::ah` reach these.
    assert_eq!(missing, ["ip: version", "ip: header beyond total", "ah: length"]);
}

#[test]
fn no_cut_of_any_packet_is_taken_for_a_whole_one() {
    for case in load() {
        let bytes = case.bytes();
        let (shortest, whole) = match bytes.get(2..4) {
            Some(&[high, low]) if case.profile != "v3ip6" => (0, usize::from(high) << 8 | usize::from(low)),
            Some(_) | None => (IPV6_HEADER_LEN, bytes.len()),
        };
        for len in shortest..bytes.len().min(whole).min(200) {
            let cut = Case { hex: case.hex[..len * 2].to_owned(), ..case.clone() };
            assert!(cut.judge().is_err(), "{} cut to {len} bytes", case.id);
        }
    }
}

/// What the bytes alone show.
enum Flaw {
    Ip(IpError),
    Ah(AhError),
    Advert(ParseError),
    Checksum,
}

impl Flaw {
    const NAMES: [&str; 18] = [
        "ip: incomplete",
        "ip: version",
        "ip: header length",
        "ip: header beyond total",
        "ip: length",
        "ip: fragment",
        "ip: protocol",
        "ah: incomplete",
        "ah: next header",
        "ah: length",
        "incomplete",
        "length",
        "version",
        "type",
        "vrid",
        "count",
        "interval",
        "checksum",
    ];

    /// Returns which variant it is.
    fn name(&self) -> &'static str {
        match self {
            Self::Ip(IpError::Incomplete { .. }) => "ip: incomplete",
            Self::Ip(IpError::Version(_)) => "ip: version",
            Self::Ip(IpError::HeaderLength { .. }) => "ip: header length",
            Self::Ip(IpError::HeaderBeyondTotal { .. }) => "ip: header beyond total",
            Self::Ip(IpError::Length { .. }) => "ip: length",
            Self::Ip(IpError::Fragment) => "ip: fragment",
            Self::Ip(IpError::Protocol(_)) => "ip: protocol",
            Self::Ah(AhError::Incomplete { .. }) => "ah: incomplete",
            Self::Ah(AhError::NextHeader(_)) => "ah: next header",
            Self::Ah(AhError::Length(_)) => "ah: length",
            Self::Advert(ParseError::Incomplete { .. }) => "incomplete",
            Self::Advert(ParseError::Length { .. }) => "length",
            Self::Advert(ParseError::Version { .. }) => "version",
            Self::Advert(ParseError::Type(_)) => "type",
            Self::Advert(ParseError::VridZero) => "vrid",
            Self::Advert(ParseError::CountZero) => "count",
            Self::Advert(ParseError::IntervalZero) => "interval",
            Self::Checksum => "checksum",
        }
    }

    /// Returns the word of `malformed.json`.
    fn reason(self) -> &'static str {
        match self.name() {
            "ip: incomplete" | "ah: incomplete" | "incomplete" => "incomplete packet",
            "ip: version" | "ip: header length" | "ip: header beyond total" => "bad IP header",
            "ip: length" | "length" => "length mismatch",
            "ip: fragment" => "fragment",
            "ip: protocol" => "protocol",
            "ah: next header" => "not VRRP",
            "count" => "count zero",
            other => other,
        }
    }
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize, Clone)]
struct Case {
    id: String,
    profile: String,
    verdict: String,
    reason: String,
    hex: String,
}

impl Case {
    /// Says whether the flaw is one of the bytes, not one against the receiver's configuration.
    fn shows_in_bytes(&self) -> bool {
        match self.reason.as_str() {
            "interval" => self.id.ends_with("-adv-0"),
            "vrid" | "version" | "type" | "checksum" | "count zero" | "fragment" | "protocol" | "not VRRP" => true,
            "incomplete packet" | "bad IP header" | "length mismatch" => true,
            _ => false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        (0..self.hex.len()).step_by(2).map(|at| u8::from_str_radix(&self.hex[at..at + 2], 16).unwrap()).collect()
    }

    fn judge(&self) -> Result<(), Flaw> {
        let bytes = self.bytes();
        let version = if self.profile.starts_with("v2") { Version::V2 } else { Version::V3 };
        if self.profile == "v3ip6" {
            let (header, payload) = bytes.split_at(IPV6_HEADER_LEN);
            let address =
                |at: usize| -> IpAddr { Ipv6Addr::from(<[u8; 16]>::try_from(&header[at..at + 16]).unwrap()).into() };
            return judge_message(version, address(8), address(24), payload);
        }
        let packet = Ipv4Packet::parse(&bytes).map_err(Flaw::Ip)?;
        let message = match packet.protocol {
            Protocol::Vrrp => packet.payload,
            Protocol::Ah => AuthHeader::parse(packet.payload).map_err(Flaw::Ah)?.1,
        };
        judge_message(version, packet.source.into(), packet.destination.into(), message)
    }
}

fn judge_message(version: Version, source: IpAddr, destination: IpAddr, message: &[u8]) -> Result<(), Flaw> {
    let family = Family::of(&source);
    let received = Received::parse(version, family, message, false).map_err(Flaw::Advert)?;
    let header = Header::parse(message).map_err(Flaw::Advert)?;
    assert_eq!((Vrid::new(header.vrid), header.version), (Some(received.advert.vrid), version.number()));
    let permitted = [ChecksumForm::Pseudo];
    checksum::recognise(version, source, destination, received.summed, &permitted).map(|_| ()).ok_or(Flaw::Checksum)
}

fn load() -> Vec<Case> {
    let text = fs::read_to_string(pcap::path("malformed.json")).unwrap();
    serde_json::from_str::<Table>(&text).unwrap().cases
}

const IPV6_HEADER_LEN: usize = 40;
