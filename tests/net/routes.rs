//! Routes, rules, static entries and rare options of addresses against a real kernel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use vrrpd::config::{self, Format, LocalHost};
use vrrpd::engine::params::{NodeParams, RouterParams};
use vrrpd::net::links::Watch;
use vrrpd::net::netlink::OUR_PROTOCOL;
use vrrpd::net::notice::Notice;
use vrrpd::net::service::{Report, Wish};

use crate::service::{KEY, PATIENCE, Service};
use crate::world::{Entries, Kernel, Pair, privileged};

const INSTANCE: &str = "[instance.web]\ninterface = \"va\"\nvirtual_router_id = 1\nsource = \"10.9.0.1\"\n\
                        peers = [\"10.9.0.2\"]\naddresses = [\"10.9.0.30\"]\n";

/// Reads what is added to an instance on `va`.
fn read(more: &str) -> NodeParams {
    let text = format!("{INSTANCE}{more}");
    let loaded = config::load_from("t", text.as_bytes(), Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.config.for_this_host(&LocalHost { addresses: &[], host_name: "a" }).unwrap()
}

fn router(params: &NodeParams) -> Arc<RouterParams> {
    Arc::clone(&params.routers[0])
}

async fn start(params: &NodeParams) -> Service {
    Service::start(vec![Wish::Watch(Watch::of(params)), Wish::Fix(Arc::new(params.fixed.clone()))]).await
}

/// Waits until the kernel's entries are as wanted.
async fn until(kernel: &Kernel, what: &str, is_it: impl Fn(&Entries) -> bool) -> Entries {
    let end = Instant::now() + PATIENCE;
    loop {
        let entries = kernel.entries(OUR_PROTOCOL).await;
        if is_it(&entries) {
            return entries;
        }
        assert!(Instant::now() < end, "{what}: {entries:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn count(entries: &Entries) -> (usize, usize) {
    (entries.routes.len(), entries.rules.len())
}

fn route_in(entries: &Entries, table: u32) -> &RouteMessage {
    let is_in = |route: &&RouteMessage| route.attributes.contains(&RouteAttribute::Table(table));
    entries.routes.iter().find(is_in).unwrap_or_else(|| panic!("no route in {table}: {entries:#?}"))
}

fn rule_at(entries: &Entries, preference: u32) -> &RuleMessage {
    let is_at = |rule: &&RuleMessage| rule.attributes.contains(&RuleAttribute::Priority(preference));
    entries.rules.iter().find(is_at).unwrap_or_else(|| panic!("no rule at {preference}: {entries:#?}"))
}

#[test]
fn routes_and_rules_look_in_the_kernel_as_configured() {
    privileged("routes::routes_and_rules_look_in_the_kernel_as_configured", || {
        Pair::new().a.run(async |kernel| {
            let params = read(
                "virtual_routes = [\n\"default via 10.9.0.254 src 10.9.0.30 table 100 metric 7 mtu lock 1400 initcwnd 20\",\n\
                 \"10.8.0.0/16 table 101\", \"blackhole 10.7.0.0/24 table 1000\",\n\
                 \"2001:db8:7::/48 via 2001:db8:9::fe table 102\", \"10.6.0.0/16 via inet6 fe80::9 table 103\",\n\
                 \"10.5.0.0/16 table 104 nexthop via 10.9.0.2 weight 3 nexthop via 10.9.0.3\",\n\
                 \"10.4.0.0/16 via 192.0.2.9 dev va onlink table 105 tos 4\"]\n\
                 virtual_rules = [\"from 10.8.1.0/24 to 10.7.0.0/16 table 1000 preference 10\",\n\
                 \"not fwmark 0x1/0xf iif va oif vx goto 90 preference 11\", \"ipproto tcp dport 80 prohibit preference 12\",\n\
                 \"inet6 from 2001:db8::/32 tos 4 table 102 preference 13\", \"nop preference 90\"]\n",
            );
            let mut service = start(&params).await;
            service.wish(Wish::Acquire { router: KEY, params: router(&params) });
            service.confirmed(1).await;
            let entries = until(&kernel, "all of them", |entries| count(entries) == (7, 5)).await;
            let va = kernel.index("va").await;

            let route = route_in(&entries, 100);
            for expected in [
                RouteAttribute::Gateway("10.9.0.254".parse::<std::net::IpAddr>().unwrap().into()),
                RouteAttribute::PrefSource("10.9.0.30".parse::<std::net::IpAddr>().unwrap().into()),
                RouteAttribute::Priority(7),
                RouteAttribute::Oif(va),
            ] {
                assert!(route.attributes.contains(&expected), "{expected:?}\n{route:#?}");
            }
            let metrics = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Metrics(metrics) => Some(metrics.clone()),
                _ => None,
            });
            let metrics = metrics.unwrap();
            for expected in [RouteMetric::Lock(4), RouteMetric::Mtu(1400), RouteMetric::InitCwnd(20)] {
                assert!(metrics.contains(&expected), "{metrics:?}");
            }
            assert_eq!(route_in(&entries, 101).header.scope, RouteScope::Link);
            assert_eq!(route_in(&entries, 1000).header.kind, RouteType::BlackHole);
            assert!(route_in(&entries, 103).attributes.iter().any(|a| matches!(a, RouteAttribute::Via(_))));
            let hops = route_in(&entries, 104).attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::MultiPath(hops) => Some(hops.iter().map(|hop| hop.hops).collect::<Vec<_>>()),
                _ => None,
            });
            assert_eq!(hops, Some(vec![2, 0]));
            assert_eq!(route_in(&entries, 105).header.tos, 4);

            let rule = rule_at(&entries, 10);
            assert_eq!((rule.header.src_len, rule.header.dst_len, rule.header.action), (24, 16, RuleAction::ToTable));
            assert!(rule.attributes.contains(&RuleAttribute::Table(1000)));
            let rule = rule_at(&entries, 11);
            assert_eq!(rule.header.action, RuleAction::Goto);
            assert_eq!(rule.header.flags.bits() & 2, 2, "inverted");
            for expected in [RuleAttribute::FwMark(1), RuleAttribute::FwMask(15), RuleAttribute::Oifname("vx".into())] {
                assert!(rule.attributes.contains(&expected), "{expected:?}\n{rule:#?}");
            }
            assert_eq!(rule_at(&entries, 12).header.action, RuleAction::Prohibit);
            assert_eq!(rule_at(&entries, 13).header.tos, 4);
            assert_eq!(rule_at(&entries, 90).header.action, RuleAction::Nop);

            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            assert_eq!(count(&kernel.entries(OUR_PROTOCOL).await), (0, 0));
            assert!(!kernel.has("va", "10.9.0.30").await);
            assert!(!service.seen.iter().any(|report| matches!(report, Report::Notice(_))), "{:?}", service.seen);
        });
    });
}

#[test]
fn route_and_rule_taken_away_are_put_back() {
    privileged("routes::route_and_rule_taken_away_are_put_back", || {
        Pair::new().a.run(async |kernel| {
            let params = read(
                "virtual_routes = [\"10.8.0.0/16 via 10.9.0.254 src 10.9.0.30\", \"2001:db8:7::/48 via 2001:db8:9::fe\",\n\
                 \"10.7.0.0/16 via 10.9.0.254 no_track\"]\nvirtual_rules = [\"from 10.8.0.0/16 table 100\"]\n",
            );
            let mut service = start(&params).await;
            service.wish(Wish::Acquire { router: KEY, params: router(&params) });
            let entries = until(&kernel, "all of them", |entries| count(entries) == (3, 1)).await;

            kernel.delete_rule(entries.rules[0].clone()).await;
            service.wait(|report| is_put_back(report, "rule inet from 10.8.0.0/16 table 100")).await;
            for (family, text) in [("10.8.0.0", "route 10.8.0.0/16"), ("2001:db8:7::", "route 2001:db8:7::/48")] {
                kernel.delete_route(route_to(&entries, family)).await;
                service.wait(|report| is_put_back(report, text)).await;
            }
            // Another program puts its own in the place of ours.
            let mut other = route_to(&entries, "10.8.0.0");
            other.header.protocol = RouteProtocol::Static;
            other.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::PrefSource(_)));
            kernel.add_route(other).await;
            service.wait(|report| is_put_back(report, "route 10.8.0.0/16")).await;
            // The address goes, and the kernel takes the route that comes from it along without a word.
            kernel.delete_address("va", "10.9.0.30", 32).await;
            service.wait(|report| is_put_back(report, "route 10.8.0.0/16")).await;
            assert!(kernel.has("va", "10.9.0.30").await);

            kernel.delete_route(route_to(&entries, "10.7.0.0")).await;
            kernel.set_up("va", false).await;
            until(&kernel, "none goes over an interface that is down", |entries| entries.routes.is_empty()).await;
            kernel.set_up("va", true).await;
            // That of IPv4 comes back; that of IPv6 as soon as its gateway can be reached again.
            kernel.add_address("va", "2001:db8:9::1", 64).await;
            until(&kernel, "back with the interface", |entries| count(entries) == (2, 1)).await;

            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            assert_eq!(count(&kernel.entries(OUR_PROTOCOL).await), (0, 0));
        });
    });
}

fn route_to(entries: &Entries, network: &str) -> RouteMessage {
    let to = RouteAttribute::Destination(network.parse::<std::net::IpAddr>().unwrap().into());
    let mut route = entries.routes.iter().find(|route| route.attributes.contains(&to)).unwrap().clone();
    route.header.flags = Default::default();
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
    route
}

fn is_put_back(report: &Report, text: &str) -> bool {
    matches!(report, Report::Notice(Notice::EntryPutBack { entry, .. }) if entry.starts_with(text))
}

#[test]
fn own_default_route_gives_way_and_comes_back() {
    privileged("routes::own_default_route_gives_way_and_comes_back", || {
        Pair::new().a.run(async |kernel| {
            let before = host_route(&kernel, "10.9.0.253").await;
            kernel.add_route(before).await;
            let params = read("virtual_routes = [\"default via 10.9.0.254\"]\n");
            let service = start(&params).await;
            service.wish(Wish::Acquire { router: KEY, params: router(&params) });
            until(&kernel, "ours", |entries| count(entries) == (1, 0)).await;
            assert_eq!(kernel.entries(4).await.routes.len(), 1, "the host's own stays behind ours");
            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            assert_eq!(count(&kernel.entries(OUR_PROTOCOL).await), (0, 0));
            assert_eq!(kernel.entries(4).await.routes.len(), 1);
        });
    });
}

/// Returns a static default route of the host.
async fn host_route(kernel: &Kernel, via: &str) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = rtnetlink::packet_route::AddressFamily::Inet;
    route.header.table = 254;
    route.header.protocol = RouteProtocol::Static;
    route.header.kind = RouteType::Unicast;
    route.attributes = vec![
        RouteAttribute::Gateway(via.parse::<std::net::IpAddr>().unwrap().into()),
        RouteAttribute::Oif(kernel.index("va").await),
    ];
    route
}

#[test]
fn static_entries_are_there_from_start_to_end() {
    privileged("routes::static_entries_are_there_from_start_to_end", || {
        Pair::new().a.run(async |kernel| {
            let params = read(
                "[static]\naddresses = [{ address = \"10.20.0.1/24\", interface = \"va\" }]\n\
                 routes = [\"10.21.0.0/16 via 10.20.0.9\"]\nrules = [\"from 10.21.0.0/16 table 100\"]\n",
            );
            let mut service = start(&params).await;
            let entries = kernel.entries(OUR_PROTOCOL).await;
            assert_eq!(count(&entries), (1, 1), "before anything else");
            assert!(kernel.has("va", "10.20.0.1").await);
            let address = "10.20.0.1".parse().unwrap();
            let is_own = |report: &Report| {
                matches!(report, Report::Interface(interface) if interface.addresses.contains(&address))
            };
            assert!(service.seen.iter().any(is_own), "a source like any other: {:?}", service.seen);
            service.wish(Wish::Wanted(Vec::new()));
            kernel.delete_address("va", "10.20.0.1", 24).await;
            service.wait(|report| matches!(report, Report::Notice(Notice::PutBack { .. }))).await;
            until(&kernel, "the route with the address", |entries| count(entries) == (1, 1)).await;
            assert!(!service.seen.iter().any(|report| matches!(report, Report::Vips { .. })), "of no router");
            service.wish(Wish::Fix(Arc::default()));
            service.settle().await;
            assert_eq!(count(&kernel.entries(OUR_PROTOCOL).await), (0, 0));
            assert!(!kernel.has("va", "10.20.0.1").await);
        });
    });
}

#[test]
fn leftover_entries_are_removed_at_start_and_wanted_ones_kept() {
    privileged("routes::leftover_entries_are_removed_at_start_and_wanted_ones_kept", || {
        Pair::new().a.run(async |kernel| {
            let kept = "\"10.8.0.0/16 via 10.9.0.254 dev va mtu 1400\", \"2001:db8:8::/48 via 2001:db8:9::fe\"";
            let kept_rule = "\"from 10.8.0.0/16 table 100 preference 9\"";
            let earlier = read(&format!(
                "[static]\nroutes = [{kept}, \"10.7.0.0/16 via 10.9.0.254\", \"2001:db8:7::/48 dev va\",\n\
                 \"blackhole 2001:db8:6::/48\", \"blackhole 10.6.0.0/16\", \"10.5.0.0/16 nexthop via 10.9.0.2 nexthop via 10.9.0.3\"]\n\
                 rules = [{kept_rule}, \"to 10.7.0.0/16 fwmark 0x1/0xf iif va table 100\", \"inet6 table 100\"]\n"
            ));
            let service = start(&earlier).await;
            until(&kernel, "all of them", |entries| count(entries) == (7, 3)).await;
            // What is wanted at the end stays.
            drop(service);
            let before = until(&kernel, "still there", |entries| count(entries) == (7, 3)).await;
            let kept_before = rule_at(&before, 9).clone();

            let later = read(&format!("[static]\nroutes = [{kept}]\nrules = [{kept_rule}]\n"));
            let service = start(&later).await;
            let entries = kernel.entries(OUR_PROTOCOL).await;
            assert_eq!(count(&entries), (2, 1), "{entries:#?}");
            assert_eq!(*rule_at(&entries, 9), kept_before);
            let is_told = |report: &Report| matches!(report, Report::Notice(Notice::LeftoverEntries { count: 7 }));
            assert!(service.seen.iter().any(is_told), "{:?}", service.seen);
        });
    });
}

#[test]
fn rare_options_of_addresses_reach_the_kernel() {
    privileged("routes::rare_options_of_addresses_reach_the_kernel", || {
        Pair::new().a.run(async |kernel| {
            std::fs::write("/proc/sys/net/ipv6/conf/all/accept_dad", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/va/accept_dad", "1").unwrap();
            let params = read("").routers[0].as_ref().clone();
            let addresses = "addresses = [\"10.9.0.30\", { address = \"10.9.1.1/30\", peer = \"10.9.1.2\", noprefixroute = true },\n\
                 { address = \"2001:db8:9::30\", preferred_lifetime = \"0s\", home = true, noprefixroute = true },\n\
                 { address = \"2001:db8:5::31/64\", mngtmpaddr = true },\n\
                 { address = \"2001:db8:9::32\", dad = true, preferred_lifetime = \"900s\" },\n\
                 { address = \"10.9.0.33\", no_track = true }]\n";
            let text = INSTANCE.replace("addresses = [\"10.9.0.30\"]\n", addresses);
            let loaded = config::load_from("t", text.as_bytes(), Format::Toml).unwrap();
            let params = RouterParams {
                vips: loaded.config.for_this_host(&LocalHost { addresses: &[], host_name: "a" }).unwrap().routers[0]
                    .vips
                    .clone(),
                ..params
            };
            let params = Arc::new(params);
            let mut service = Service::start(vec![crate::service::watch_for(&params)]).await;
            let begin = Instant::now();
            service.acquire(&params);
            // The last that is confirmed is the one that is looked at for duplicates.
            service.wait(|report| matches!(report, Report::Vips { router: KEY, held } if *held == (4..5))).await;
            assert!(begin.elapsed() > Duration::from_millis(300), "not before the kernel is sure");
            let messages = kernel.addresses(kernel.index("va").await).await;
            let found = |text: &str| {
                let address: std::net::IpAddr = text.parse().unwrap();
                let is_it = |attribute: &AddressAttribute| {
                    matches!(attribute, AddressAttribute::Local(found) if *found == address)
                        || (address.is_ipv6() && *attribute == AddressAttribute::Address(address))
                };
                messages.iter().find(|message| message.attributes.iter().any(is_it)).unwrap()
            };
            let flags = |text: &str| {
                found(text).attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Flags(flags) => Some(*flags),
                    _ => None,
                })
            };
            let peer = AddressAttribute::Address("10.9.1.2".parse().unwrap());
            assert!(found("10.9.1.1").attributes.contains(&peer), "{:#?}", found("10.9.1.1"));
            assert!(flags("10.9.1.1").unwrap().contains(AddressFlags::Noprefixroute | AddressFlags::Permanent));
            let deprecated = AddressFlags::Deprecated | AddressFlags::Homeaddress | AddressFlags::Noprefixroute;
            assert!(flags("2001:db8:9::30").unwrap().contains(deprecated | AddressFlags::Permanent));
            assert!(flags("2001:db8:5::31").unwrap().contains(AddressFlags::Managetempaddr));
            assert!(!flags("2001:db8:9::32").unwrap().intersects(AddressFlags::Nodad | AddressFlags::Tentative));
            kernel.delete_address("va", "10.9.0.33", 32).await;
            kernel.delete_address("va", "10.9.0.30", 32).await;
            service.wait(|report| matches!(report, Report::Notice(Notice::PutBack { .. }))).await;
            assert!(!kernel.has("va", "10.9.0.33").await, "its removal is left alone");
            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            for address in ["10.9.0.30", "10.9.1.1", "2001:db8:9::30", "2001:db8:5::31", "2001:db8:9::32"] {
                assert!(!kernel.has("va", address).await, "{address}");
            }
        });
    });
}

#[test]
fn rules_go_before_routes_and_routes_before_addresses() {
    privileged("routes::rules_go_before_routes_and_routes_before_addresses", || {
        Pair::new().a.run(async |kernel| {
            let params = read(
                "virtual_routes = [\"10.8.0.0/16 via 10.9.0.254 src 10.9.0.30\"]\n\
                 virtual_rules = [\"from 10.8.0.0/16 table 100 preference 9\"]\n",
            );
            let service = start(&params).await;
            let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Rule];
            let (connection, _handle, mut messages) = new_multicast_connection(&groups).unwrap();
            tokio::spawn(connection);
            service.wish(Wish::Acquire { router: KEY, params: router(&params) });
            until(&kernel, "all of them", |entries| count(entries) == (1, 1)).await;
            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            let mut seen = Vec::new();
            while seen.len() < 6 {
                let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
                seen.extend(name_of_ours(message.0.payload));
            }
            assert_eq!(seen, ["+address", "+route", "+rule", "-rule", "-route", "-address"]);
        });
    });
}

fn name_of_ours(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<&'static str> {
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    let ours = RouteProtocol::from(OUR_PROTOCOL);
    match message {
        RouteNetlinkMessage::NewAddress(_) => Some("+address"),
        RouteNetlinkMessage::DelAddress(_) => Some("-address"),
        RouteNetlinkMessage::NewRoute(route) if route.header.protocol == ours => Some("+route"),
        RouteNetlinkMessage::DelRoute(route) if route.header.protocol == ours => Some("-route"),
        RouteNetlinkMessage::NewRule(_) => Some("+rule"),
        RouteNetlinkMessage::DelRule(_) => Some("-rule"),
        _ => None,
    }
}
