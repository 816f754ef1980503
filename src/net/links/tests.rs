//! Tests of the view of interfaces and addresses.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::engine::params::{CheckParams, Initial};

fn link(index: u32, name: &str) -> Link {
    Link { index, name: name.into(), is_up: true, is_running: true, mac: Some([2, 0, 0, 0, 0, 1]) }
}

fn address(interface: u32, text: &str) -> Address {
    let (address, prefix_len) = text.split_once('/').unwrap();
    let address: IpAddr = address.parse().unwrap();
    Address {
        place: Place { interface, address, prefix_len: prefix_len.parse().unwrap() },
        protocol: 0,
        scope: 0,
        is_secondary: false,
        is_usable: true,
        is_duplicate: false,
        is_deprecated: false,
        lifetime: None,
        peer: None,
    }
}

fn vip(interface: u32, text: &str) -> Address {
    Address { protocol: OUR_PROTOCOL, ..address(interface, text) }
}

fn watching(names: &[&str], vips: &[&str]) -> Links {
    let mut links = Links::new();
    links.watch(Watch {
        interfaces: names.iter().map(|name| (*name).to_owned()).collect(),
        vips: vips.iter().map(|vip| vip.parse().unwrap()).collect(),
        ..Watch::default()
    });
    links
}

fn apply(links: &mut Links, event: Event) -> Vec<Change> {
    let mut changes = Vec::new();
    links.apply(event, &mut changes);
    changes
}

const AT: Instant = Instant::from_nanos(1_000_000_000);

fn told(links: &mut Links) -> Vec<(String, Option<u32>, bool, Vec<String>)> {
    let texts = |interface: &Interface| interface.addresses.iter().map(ToString::to_string).collect();
    links.changed(AT).iter().map(|i| (i.name.clone(), i.index, i.is_up, texts(i))).collect()
}

fn one(
    name: &str,
    index: Option<u32>,
    is_up: bool,
    addresses: &[&str],
) -> Vec<(String, Option<u32>, bool, Vec<String>)> {
    vec![(name.into(), index, is_up, addresses.iter().map(|text| (*text).to_owned()).collect())]
}

#[test]
fn watched_name_without_interface_is_told_as_missing_once() {
    let mut links = watching(&["eth0"], &[]);
    assert_eq!(told(&mut links), one("eth0", None, false, &[]));
    assert_eq!(told(&mut links), []);
}

#[test]
fn up_needs_carrier_too() {
    let mut links = watching(&["eth0"], &[]);
    apply(&mut links, Event::Link(Link { is_running: false, ..link(2, "eth0") }));
    assert_eq!(told(&mut links), one("eth0", Some(2), false, &[]));
    apply(&mut links, Event::Link(link(2, "eth0")));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &[]));
    assert_eq!(apply(&mut links, Event::Link(link(2, "eth0"))), [], "the same again says nothing");
}

#[test]
fn own_vips_and_configured_vips_are_left_out_and_cause_no_news() {
    let mut links = watching(&["eth0"], &["10.0.0.31"]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(address(2, "10.0.0.1/24")));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["10.0.0.1"]));
    apply(&mut links, Event::Address(vip(2, "10.0.0.30/32")));
    apply(&mut links, Event::Address(address(2, "10.0.0.31/32")));
    assert_eq!(told(&mut links), []);
    assert!(links.address(&vip(2, "10.0.0.31/32").place).is_some());
    assert_eq!(links.ours().collect::<Vec<_>>(), [vip(2, "10.0.0.30/32").place]);
}

#[test]
fn tentative_address_is_told_when_it_becomes_usable() {
    let mut links = watching(&["eth0"], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(Address { is_usable: false, ..address(2, "fe80::1/64") }));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &[]));
    apply(&mut links, Event::Address(address(2, "fe80::1/64")));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["fe80::1"]));
}

#[test]
fn addresses_stand_in_the_kernels_order() {
    let mut links = watching(&["eth0"], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(address(2, "10.0.0.1/24")));
    apply(&mut links, Event::Address(Address { is_secondary: true, ..address(2, "10.0.0.2/24") }));
    apply(&mut links, Event::Address(address(2, "192.0.2.1/24")));
    apply(&mut links, Event::Address(Address { scope: 253, ..address(2, "169.254.0.1/16") }));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["169.254.0.1", "10.0.0.1", "192.0.2.1", "10.0.0.2"]));
}

#[test]
fn rename_delete_and_recreate_are_followed_by_name() {
    let mut links = watching(&["eth0"], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(address(2, "10.0.0.1/24")));
    told(&mut links);
    let changes = apply(&mut links, Event::Link(link(2, "other")));
    assert_eq!(changes, [Change::Link("eth0".into()), Change::Link("other".into())]);
    assert_eq!(told(&mut links), one("eth0", None, false, &[]));
    apply(&mut links, Event::Link(link(2, "eth0")));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["10.0.0.1"]), "the addresses went along");
    apply(&mut links, Event::LinkGone { index: 2 });
    assert_eq!(told(&mut links), one("eth0", None, false, &[]));
    apply(&mut links, Event::Link(link(9, "eth0")));
    assert_eq!(told(&mut links), one("eth0", Some(9), true, &[]), "another index, no addresses");
}

#[test]
fn name_taken_over_before_the_old_holder_is_renamed_stays_with_the_taker() {
    let mut links = watching(&["eth0"], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Link(link(3, "eth0")));
    apply(&mut links, Event::LinkGone { index: 2 });
    assert_eq!(told(&mut links), one("eth0", Some(3), true, &[]));
}

#[test]
fn echo_of_our_own_deletion_is_no_loss() {
    let mut links = watching(&[], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    let ours = vip(2, "10.0.0.30/32");
    links.added(ours);
    links.deleted(ours.place);
    links.added(ours);
    // The kernel told of: our first add, our delete, our second add.
    assert_eq!(apply(&mut links, Event::Address(ours)), []);
    assert_eq!(apply(&mut links, Event::AddressGone(ours.place)), [], "that was ours");
    assert_eq!(apply(&mut links, Event::Address(ours)), [Change::Address(ours)]);
    assert_eq!(apply(&mut links, Event::AddressGone(ours.place)), [Change::AddressGone(ours.place)]);
}

#[test]
fn dump_replaces_everything() {
    let mut links = watching(&["eth0", "eth1"], &[]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    links.added(vip(2, "10.0.0.30/32"));
    told(&mut links);
    links.replace(Dump { links: vec![link(4, "eth1")], addresses: vec![address(4, "10.0.1.1/24")] });
    let mut expected = one("eth0", None, false, &[]);
    expected.extend(one("eth1", Some(4), true, &["10.0.1.1"]));
    assert_eq!(told(&mut links), expected);
    assert!(links.address(&vip(2, "10.0.0.30/32").place).is_none());
}

#[test]
fn new_watch_sorts_known_addresses_again() {
    let mut links = watching(&["eth0"], &["10.0.0.1"]);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(address(2, "10.0.0.1/24")));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &[]));
    links.watch(Watch { interfaces: ["eth0".to_owned()].into(), ..Watch::default() });
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["10.0.0.1"]));
}

#[test]
fn own_address_that_is_away_for_a_moment_is_not_missed() {
    let ms = Duration::from_millis;
    let mut links = watching(&["eth0"], &[]);
    links.watch.patience = ms(500);
    let own = address(2, "10.0.0.1/24");
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(own));
    assert_eq!(told(&mut links), one("eth0", Some(2), true, &["10.0.0.1"]));
    // Away and back: not a word.
    apply(&mut links, Event::AddressGone(own.place));
    assert!(links.changed(AT).is_empty());
    assert_eq!(links.deadline(), Some(AT + ms(500)));
    apply(&mut links, Event::Address(own));
    assert!(links.changed(AT + ms(15)).is_empty());
    assert_eq!(links.deadline(), None);
    // Away for good: told when it is time, counted from the first moment.
    apply(&mut links, Event::AddressGone(own.place));
    assert!(links.changed(AT + ms(1000)).is_empty() && links.changed(AT + ms(1499)).is_empty());
    let gone = links.changed(AT + ms(1500));
    assert!(gone.len() == 1 && gone[0].addresses.is_empty(), "{gone:?}");
    assert_eq!(links.deadline(), None);
    // With the link, or for another: at once.
    apply(&mut links, Event::Address(own));
    assert_eq!(links.changed(AT).len(), 1);
    apply(&mut links, Event::AddressGone(own.place));
    apply(&mut links, Event::Link(Link { is_running: false, ..link(2, "eth0") }));
    assert_eq!(links.changed(AT).len(), 1);
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(own));
    assert_eq!(links.changed(AT).len(), 1);
    apply(&mut links, Event::AddressGone(own.place));
    assert!(links.changed(AT).is_empty());
    apply(&mut links, Event::Address(address(2, "10.0.0.7/24")));
    assert_eq!(links.changed(AT)[0].addresses, ["10.0.0.7".parse::<IpAddr>().unwrap()]);
}

#[test]
fn configured_source_is_found_on_another_interface_and_followed() {
    let mut links = watching(&["eth0"], &[]);
    let source: IpAddr = "10.255.0.1".parse().unwrap();
    links.watch.sources.insert(source);
    apply(&mut links, Event::Link(link(1, "lo")));
    apply(&mut links, Event::Link(link(2, "eth0")));
    apply(&mut links, Event::Address(address(2, "10.0.0.1/24")));
    apply(&mut links, Event::Address(address(1, "127.0.0.1/8")));
    links.changed(AT);
    apply(&mut links, Event::Address(address(1, "10.255.0.1/32")));
    let elsewhere =
        |links: &mut Links| links.changed(AT).into_iter().map(|i| (i.name, i.elsewhere)).collect::<Vec<_>>();
    assert_eq!(elsewhere(&mut links), [("eth0".to_owned(), vec![source])]);
    apply(&mut links, Event::AddressGone(address(1, "10.255.0.1/32").place));
    assert_eq!(elsewhere(&mut links), [("eth0".to_owned(), vec![])]);
}

#[test]
fn interfaces_that_checks_name_are_watched() {
    let check = |name: &str, kind| {
        Arc::new(CheckParams {
            name: name.to_owned(),
            kind,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 1,
            initial: Initial::Unknown,
        })
    };
    let checks = vec![
        check("uplink", CheckKind::Interface("eth9".to_owned())),
        check("unit", CheckKind::Unit("haproxy.service".to_owned())),
    ];
    let watch = Watch::of(&NodeParams { checks, ..NodeParams::default() });
    assert_eq!(watch.interfaces, BTreeSet::from(["eth9".to_owned()]));
}

#[test]
fn addresses_are_within_a_prefix_of_one_family() {
    let is = |one: &str, other: &str, len| is_within(one.parse().unwrap(), other.parse().unwrap(), len);
    assert!(is("10.0.0.20", "10.0.0.99", 24) && !is("10.0.1.20", "10.0.0.99", 24));
    assert!(is("10.0.0.20", "10.0.0.20", 32) && !is("10.0.0.20", "10.0.0.21", 32) && is("10.0.0.20", "192.0.2.1", 0));
    assert!(is("2001:db8::1", "2001:db8::2:1", 64) && !is("2001:db8::1", "2001:db8:0:1::1", 64));
    assert!(!is("10.0.0.20", "::ffff:10.0.0.20", 0));
}
