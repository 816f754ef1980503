//! The service against a real kernel: addresses held, put back, announced; interfaces followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use tokio::sync::{mpsc, oneshot};
use vrrpd::engine::input::{Interface, RouterKey};
use vrrpd::engine::params::{NodeParams, PeerParams, RouterParams, Scope, Transport, Vip, VipOptions};
use vrrpd::net::links::Watch;
use vrrpd::net::netlink::{NewAddress, OUR_PROTOCOL, Place, Request, Requests};
use vrrpd::net::notice::Notice;
use vrrpd::net::service::{NetService, Report, Status, Wish};
use vrrpd::wire::field::{Family, Vrid};

use crate::world::{Kernel, Pair, privileged};

/// How long anything may take here; a busy machine included.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const KEY: RouterKey = RouterKey(3);

pub fn vip(text: &str) -> Vip {
    let (address, prefix_len) = text.split_once('/').unwrap();
    Vip {
        address: address.parse().unwrap(),
        prefix_len: prefix_len.parse().unwrap(),
        interface: None,
        advertise: true,
        label: None,
        broadcast: None,
        scope: Scope::Global,
        options: VipOptions::default(),
    }
}

pub fn router(vips: Vec<Vip>) -> Arc<RouterParams> {
    let peers = vec![PeerParams { address: "10.9.0.2".parse().unwrap(), priority: None, min_ttl: None, max_ttl: None }];
    let transport = Transport::Unicast { peers, also: None };
    Arc::new(RouterParams { vips, ..RouterParams::plain("web", "va", Vrid::new(1).unwrap(), Family::V4, transport) })
}

/// Returns the time on the clock of the protocol thread.
pub fn clock() -> vrrpd::engine::time::Instant {
    let since_boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    vrrpd::engine::time::Instant::from_nanos(Duration::from(since_boot).as_nanos() as u64)
}

/// A running service with both ends of its channels.
pub struct Service {
    wishes: mpsc::Sender<Wish>,
    reports: mpsc::UnboundedReceiver<Report>,
    /// What was reported while waiting for something else.
    pub seen: Vec<Report>,
}

impl Service {
    /// Starts a service that finds `wishes` in its channel, and waits until it is ready.
    pub async fn start(wishes: Vec<Wish>) -> Self {
        let mut service = Self::begin(wishes);
        service.wait(|report| *report == Report::Ready).await;
        // The kernel notices the carrier of a fresh cable a little later.
        let is_up = |report: &Report| matches!(report, Report::Interface(interface) if interface.is_up);
        if !service.seen.iter().any(is_up) {
            service.wait(is_up).await;
        }
        service
    }

    pub fn begin(first: Vec<Wish>) -> Self {
        let (wishes, receiver) = mpsc::channel(1024);
        for wish in first {
            wishes.try_send(wish).unwrap();
        }
        let (sender, reports) = mpsc::unbounded_channel();
        let service = NetService::open(receiver, clock, move |report| drop(sender.send(report))).unwrap();
        tokio::spawn(service.run());
        Self { wishes, reports, seen: Vec::new() }
    }

    pub fn wish(&self, wish: Wish) {
        self.wishes.try_send(wish).unwrap();
    }

    pub fn acquire(&self, params: &Arc<RouterParams>) {
        self.wish(Wish::Acquire { router: KEY, params: Arc::clone(params) });
    }

    /// Waits for a report, and keeps what came before it.
    pub async fn wait(&mut self, is_it: impl Fn(&Report) -> bool) -> Report {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let report = self.reports.recv().await.expect("the service runs");
                if is_it(&report) {
                    return report;
                }
                self.seen.push(report);
            }
        });
        match found.await {
            Ok(report) => report,
            Err(_) => panic!("not reported in time; but: {:?}", self.seen),
        }
    }

    /// Waits until VIPs were confirmed up to `end`.
    pub async fn confirmed(&mut self, end: u16) {
        self.wait(|report| matches!(report, Report::Vips { router: KEY, held } if held.end == end)).await;
    }

    pub async fn interface(&mut self, is_it: impl Fn(&Interface) -> bool) -> Interface {
        match self.wait(|report| matches!(report, Report::Interface(interface) if is_it(interface))).await {
            Report::Interface(interface) => interface,
            other => panic!("{other:?}"),
        }
    }

    pub async fn settle(&self) {
        let (reply, settled) = oneshot::channel();
        self.wish(Wish::Settle(reply));
        tokio::time::timeout(PATIENCE, settled).await.expect("settles in time").unwrap();
    }

    pub async fn status(&self, params: &Arc<RouterParams>) -> Status {
        let (reply, status) = oneshot::channel();
        self.wish(Wish::Status { routers: vec![(KEY, Arc::clone(params))], reply });
        status.await.unwrap()
    }
}

pub fn watch_for(params: &Arc<RouterParams>) -> Wish {
    Wish::Watch(Watch::of(&NodeParams { routers: vec![Arc::clone(params)], ..NodeParams::default() }))
}

/// Adds an address as an earlier run of the daemon would have left it.
async fn leave_behind(kernel: &Kernel, address: &str) {
    let place = Place { interface: kernel.index("va").await, address: address.parse().unwrap(), prefix_len: 32 };
    let request = Request::Add(NewAddress {
        place,
        label: None,
        broadcast: None,
        scope: 0,
        lifetime: None,
        options: VipOptions::default(),
    });
    let mut results = Vec::new();
    Requests::open().unwrap().carry_out(&[request], &mut results);
    assert_eq!(results, [Ok(())]);
}

#[test]
fn requests_are_idempotent_and_refusals_come_with_the_kernels_words() {
    privileged("service::requests_are_idempotent_and_refusals_come_with_the_kernels_words", || {
        Pair::new().a.run(async |kernel| {
            let interface = kernel.index("va").await;
            let place = |text: &str, prefix_len| Place { interface, address: text.parse().unwrap(), prefix_len };
            let new = |place| NewAddress {
                place,
                label: None,
                broadcast: None,
                scope: 0,
                lifetime: None,
                options: VipOptions::default(),
            };
            let v4 = place("10.9.0.30", 32);
            let v6 = place("2001:db8:9::30", 128);
            let mut requests = Requests::open().unwrap();
            let mut results = Vec::new();
            let adds = [Request::Add(new(v4)), Request::Add(new(v6))];
            for _ in 0..2 {
                requests.carry_out(&adds, &mut results);
                assert_eq!(results, [Ok(()), Ok(())]);
            }
            // The prefix counts: this is another address, so nothing is deleted.
            requests.carry_out(&[Request::Delete(Place { prefix_len: 24, ..v4 })], &mut results);
            assert_eq!(results, [Ok(())]);
            assert!(kernel.has("va", "10.9.0.30").await);
            let missing = Place { interface: 9999, ..v4 };
            let deletes = [Request::Delete(v4), Request::Delete(v6), Request::Delete(v4), Request::Delete(missing)];
            requests.carry_out(&deletes, &mut results);
            assert_eq!(results, [Ok(()), Ok(()), Ok(()), Ok(())]);
            assert!(!kernel.has("va", "10.9.0.30").await && !kernel.has("va", "2001:db8:9::30").await);

            let bad = NewAddress { lifetime: Some(0), ..new(v4) };
            let long = NewAddress { label: Some("a label too long for any".into()), ..new(v4) };
            requests.carry_out(&[Request::Add(bad), Request::Add(new(v4)), Request::Add(long)], &mut results);
            let refusal = results[0].as_ref().unwrap_err();
            assert_eq!(refusal.errno, 22);
            assert!(refusal.text.as_ref().is_some_and(|text| !text.is_empty()), "{refusal:?}");
            assert_eq!(results[1], Ok(()), "one refusal does not stop the next");
            assert_eq!(results[2].as_ref().unwrap_err().errno, 34);
        });
    });
}

#[test]
fn added_addresses_look_in_the_kernel_as_configured() {
    privileged("service::added_addresses_look_in_the_kernel_as_configured", || {
        Pair::new().a.run(async |kernel| {
            // The kernel refuses two scopes within one prefix, hence a prefix of its own.
            // With duplicate detection on, only an address that opts out is usable at once.
            for name in ["all", "va"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "1").unwrap();
            }
            let mut labelled = vip("10.9.0.30/32");
            labelled.label = Some("vip".into());
            labelled.broadcast = Some("10.9.0.255".parse().unwrap());
            labelled.scope = Scope::Link;
            let mut no_source = vip("2001:db8:9::30/128");
            no_source.options.preferred_lifetime = Some(0);
            no_source.options.has_no_route = true;
            let params = router(vec![labelled, vip("10.9.0.31/24"), no_source]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(3).await;
            let mut described = Vec::new();
            for message in kernel.addresses(kernel.index("va").await).await {
                let mut ours = false;
                let mut text = String::new();
                let mut flags = AddressFlags::empty();
                for attribute in &message.attributes {
                    match attribute {
                        AddressAttribute::Address(address) => text = format!("{address}{text}"),
                        AddressAttribute::Label(label) => text += &format!(" label {label}"),
                        AddressAttribute::Broadcast(address) => text += &format!(" brd {address}"),
                        AddressAttribute::Protocol(number) => ours = u8::from(*number) == OUR_PROTOCOL,
                        AddressAttribute::Flags(all) => flags = *all,
                        _ => {}
                    }
                }
                if ours {
                    assert!(flags.contains(AddressFlags::Permanent) && !flags.contains(AddressFlags::Tentative));
                    for (flag, word) in
                        [(AddressFlags::Deprecated, " deprecated"), (AddressFlags::Noprefixroute, " noprefixroute")]
                    {
                        text += if flags.contains(flag) { word } else { "" };
                    }
                    described.push(format!("{text} scope {}", u8::from(message.header.scope)));
                }
            }
            described.sort();
            assert_eq!(
                described,
                [
                    "10.9.0.30 brd 10.9.0.255 label vip scope 253",
                    "10.9.0.31 label va scope 0",
                    "2001:db8:9::30 deprecated noprefixroute scope 0"
                ]
            );
            // Usable at once: a socket can be bound to it.
            std::net::UdpSocket::bind("[2001:db8:9::30]:0").unwrap();
            assert_eq!(service.status(&params).await.present, [[true, true, true]]);
            service.wish(Wish::Release { router: KEY });
            service.settle().await;
            assert!(!kernel.has("va", "10.9.0.30").await && !kernel.has("va", "2001:db8:9::30").await);
            assert!(kernel.has("va", "10.9.0.1").await);
            assert_eq!(service.status(&params).await.present, [[false, false, false]]);
        });
    });
}

#[test]
fn vip_deleted_by_somebody_else_is_put_back() {
    privileged("service::vip_deleted_by_somebody_else_is_put_back", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(2).await;
            let addresses = [("10.9.0.30", 32), ("2001:db8:9::30", 128)];
            for (index, (address, prefix_len)) in (0u16..).zip(addresses) {
                let since = Instant::now();
                kernel.delete_address("va", address, prefix_len).await;
                service.wait(|report| matches!(report, Report::Vips { held, .. } if *held == (index..index + 1))).await;
                println!("{address} was back after {:?}", since.elapsed());
                assert!(since.elapsed() < Duration::from_secs(1));
                assert!(kernel.has("va", address).await);
                let count = u32::from(index) + 1;
                let told = Notice::PutBack { router: KEY, address: address.parse().unwrap(), count };
                // An IPv6 address is told of when the kernel took it, and confirmed when it answers.
                if !service.seen.contains(&Report::Notice(told.clone())) {
                    service.wait(|report| *report == Report::Notice(told.clone())).await;
                }
            }
        });
    });
}

#[test]
fn loss_of_the_primary_address_brings_secondary_vips_back() {
    privileged("service::loss_of_the_primary_address_brings_secondary_vips_back", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/24"), vip("10.9.0.31/24")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(2).await;
            // Without promotion the kernel deletes the secondaries of the prefix too.
            kernel.delete_address("va", "10.9.0.1", 24).await;
            service.interface(|interface| !interface.addresses.contains(&"10.9.0.1".parse().unwrap())).await;
            let end = Instant::now() + PATIENCE;
            while service.status(&params).await.present != [[true, true]] {
                assert!(Instant::now() < end, "not back in time");
                tokio::task::yield_now().await;
            }
            assert!(kernel.has("va", "10.9.0.30").await && kernel.has("va", "10.9.0.31").await);
        });
    });
}

#[test]
fn leftovers_are_removed_before_ready_and_wanted_ones_adopted() {
    privileged("service::leftovers_are_removed_before_ready_and_wanted_ones_adopted", || {
        Pair::new().a.run(async |kernel| {
            leave_behind(&kernel, "10.9.0.30").await;
            leave_behind(&kernel, "10.9.0.66").await;
            let params = router(vec![vip("10.9.0.30/32")]);
            let acquire = Wish::Acquire { router: KEY, params: Arc::clone(&params) };
            let mut service = Service::start(vec![watch_for(&params), acquire]).await;
            assert!(!kernel.has("va", "10.9.0.66").await && kernel.has("va", "10.9.0.30").await);
            let reports = std::mem::take(&mut service.seen);
            assert!(reports.contains(&Report::Vips { router: KEY, held: 0..1 }), "{reports:?}");
            let Some(Report::Interface(interface)) = reports.first() else { panic!("{reports:?}") };
            assert!(!interface.addresses.contains(&"10.9.0.30".parse().unwrap()), "{interface:?}");
            assert!(interface.addresses.contains(&"10.9.0.1".parse().unwrap()));
        });
    });
}

#[test]
fn unmarked_vip_goes_where_it_belongs_and_stays_elsewhere() {
    privileged("service::unmarked_vip_goes_where_it_belongs_and_stays_elsewhere", || {
        Pair::new().a.run(async |kernel| {
            kernel.add_address("va", "10.9.0.30", 32).await;
            kernel.add_address("va", "10.9.0.31", 24).await;
            kernel.add_address("lo", "10.9.0.32", 32).await;
            let params = router(["10.9.0.30/32", "10.9.0.31/32", "10.9.0.32/32"].map(vip).to_vec());
            let service = Service::start(vec![watch_for(&params)]).await;
            assert!(!kernel.has("va", "10.9.0.30").await, "what a killed daemon of another make left behind");
            assert!(kernel.has("va", "10.9.0.31").await, "another prefix length is another address");
            assert!(kernel.has("lo", "10.9.0.32").await, "and so is one on another interface");
            assert!(service.seen.contains(&Report::Notice(Notice::Leftovers { count: 1 })), "{:?}", service.seen);
        });
    });
}

#[test]
fn interfaces_are_followed_through_rename_delete_and_recreate() {
    privileged("service::interfaces_are_followed_through_rename_delete_and_recreate", || {
        let pair = Pair::new();
        pair.a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            let first = kernel.index("va").await;
            service.acquire(&params);
            service.confirmed(2).await;

            kernel.set_up("va", false).await;
            service.interface(|interface| interface.index == Some(first) && !interface.is_up).await;
            let sent = service.status(&params).await.announced.sent;
            kernel.set_up("va", true).await;
            service.wait(|report| matches!(report, Report::Vips { held, .. } if *held == (1..2))).await;
            assert!(kernel.has("va", "2001:db8:9::30").await, "an IPv6 VIP comes back with the link");
            let end = Instant::now() + PATIENCE;
            while service.status(&params).await.announced.sent < sent + 2 {
                assert!(Instant::now() < end, "held VIPs were not announced with the link");
                tokio::task::yield_now().await;
            }

            kernel.rename("va", "elsewhere").await;
            service.interface(|interface| interface.index.is_none()).await;
            kernel.rename("elsewhere", "va").await;
            service.interface(|interface| interface.index == Some(first) && interface.is_up).await;
            let end = Instant::now() + PATIENCE;
            while service.status(&params).await.present != [[true, true]] {
                assert!(Instant::now() < end, "not back in time");
                tokio::task::yield_now().await;
            }

            kernel.delete("va").await;
            service.interface(|interface| interface.index.is_none()).await;
            kernel.add_veth("va", "vc").await;
            kernel.set_up("vc", true).await;
            kernel.set_up("va", true).await;
            let again = service.interface(|interface| interface.index.is_some() && interface.is_up).await;
            assert_ne!(again.index, Some(first));
            let end = Instant::now() + PATIENCE;
            while service.status(&params).await.present != [[true, true]] {
                assert!(Instant::now() < end, "not added to the recreated interface in time");
                tokio::task::yield_now().await;
            }
            let refused = |report: &&Report| matches!(report, Report::Notice(Notice::Refused { .. }));
            assert_eq!(service.seen.iter().find(refused), None);
        });
    });
}

#[test]
fn lost_notifications_lead_to_a_new_reading_and_nothing_stays_lost() {
    privileged("service::lost_notifications_lead_to_a_new_reading_and_nothing_stays_lost", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(1).await;
            let interface = kernel.index("va").await;
            let foreign = |index: u32| Place {
                interface,
                address: std::net::Ipv4Addr::from(0x0a0b_0000 + index).into(),
                prefix_len: 32,
            };
            // On this thread the service cannot read meanwhile, so its buffer overflows.
            let mut requests = Requests::open().unwrap();
            let mut results = Vec::new();
            let add = |place| {
                Request::Add(NewAddress {
                    place,
                    label: None,
                    broadcast: None,
                    scope: 0,
                    lifetime: None,
                    options: VipOptions::default(),
                })
            };
            let batch: Vec<Request> = (0..500).flat_map(|i| [add(foreign(i)), Request::Delete(foreign(i))]).collect();
            for _ in 0..60 {
                requests.carry_out(&batch, &mut results);
            }
            let vip = Place { interface, address: "10.9.0.30".parse().unwrap(), prefix_len: 32 };
            requests.carry_out(&[Request::Delete(vip)], &mut results);
            service.wait(|report| *report == Report::Notice(Notice::Overrun)).await;
            let end = Instant::now() + PATIENCE;
            while !kernel.has("va", "10.9.0.30").await {
                assert!(Instant::now() < end, "not back in time");
            }
        });
    });
}
