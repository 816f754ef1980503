//! Addresses that others change, that expire, and that others have too, against a real kernel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vrrpd::engine::params::{Ownership, PeerParams, RouterParams, Transport};
use vrrpd::net::netlink::{NewAddress, Place, Request, Requests};
use vrrpd::net::notice::Notice;
use vrrpd::net::service::{Report, Wish};

use crate::service::{KEY, PATIENCE, Service, clock, router, vip, watch_for};
use crate::world::{Kernel, Pair, privileged};

const V4: &str = "10.9.0.30";
const V6: &str = "2001:db8:9::30";

fn leased() -> Arc<RouterParams> {
    let ownership = Ownership { lease: Some(Duration::from_secs(2)), ..Ownership::default() };
    let params = router(vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")]);
    Arc::new(RouterParams { ownership, ..(*params).clone() })
}

/// Changes an address as `ip address change` does.
async fn change(kernel: &Kernel, address: &str, prefix_len: u8, lifetime: u32) {
    let place = Place { interface: kernel.index("va").await, address: address.parse().unwrap(), prefix_len };
    let options = Default::default();
    let new = NewAddress { place, label: None, broadcast: None, scope: 0, lifetime: Some(lifetime), options };
    let mut results = Vec::new();
    Requests::open().unwrap().carry_out(&[Request::Add(new)], &mut results);
    assert_eq!(results, [Ok(())]);
}

#[test]
fn lease_is_renewed_while_the_protocol_thread_turns_and_ends_when_it_hangs() {
    privileged("ownership::lease_is_renewed_while_the_protocol_thread_turns_and_ends_when_it_hangs", || {
        Pair::new().a.run(async |kernel| {
            let params = leased();
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.wish(Wish::Beat(clock()));
            service.acquire(&params);
            service.confirmed(2).await;
            let (begun, mut beat) = (Instant::now(), Instant::now());
            while begun.elapsed() < Duration::from_secs(4) {
                service.wait(|report| *report == Report::Pulse).await;
                assert!(kernel.has("va", V4).await && kernel.has("va", V6).await, "{:?}", begun.elapsed());
                beat = Instant::now();
                service.wish(Wish::Beat(clock()));
            }
            while kernel.has("va", V4).await || kernel.has("va", V6).await {
                assert!(beat.elapsed() < PATIENCE, "held by a hung thread");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // The kernel counts whole seconds, and removes when it comes to it: a second or two later where it is busy.
            let gone = beat.elapsed();
            println!("gone {gone:?} after the last sign of life");
            assert!(gone > Duration::from_millis(1500) && gone < Duration::from_secs(6), "{gone:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!kernel.has("va", V4).await, "put back without a sign of life");
            let is_blamed = |report: &Report| matches!(report, Report::Notice(Notice::PutBack { .. }));
            assert!(!service.seen.iter().any(is_blamed), "nobody removed it");
            service.wish(Wish::Beat(clock()));
            service.confirmed(2).await;
            assert!(kernel.has("va", V4).await && kernel.has("va", V6).await);
        });
    });
}

#[test]
fn lifetime_that_somebody_sets_is_taken_away_again() {
    privileged("ownership::lifetime_that_somebody_sets_is_taken_away_again", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(2).await;
            service.seen.clear();
            for (address, prefix_len) in [(V4, 32), (V6, 128)] {
                change(&kernel, address, prefix_len, 1).await;
                let restored = Notice::Restored { router: KEY, address: address.parse().unwrap() };
                service.wait(|report| *report == Report::Notice(restored.clone())).await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(kernel.has("va", V4).await && kernel.has("va", V6).await);
            let again = |report: &&Report| matches!(report, Report::Vips { .. } | Report::Trouble { .. });
            assert_eq!(service.seen.iter().filter(again).count(), 0, "{:?}", service.seen);
        });
    });
}

#[test]
fn duplicate_that_the_kernel_finds_is_tried_again_until_it_is_gone() {
    privileged("ownership::duplicate_that_the_kernel_finds_is_tried_again_until_it_is_gone", || {
        let pair = Pair::new();
        pair.b.run(async |kernel| kernel.add_address("vb", V6, 128).await);
        pair.a.run(async |_| {
            for name in ["all", "va"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "1").unwrap();
            }
            let mut careful = vip("2001:db8:9::30/128");
            careful.options.detects_duplicates = true;
            let params = router(vec![careful]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.wait(|report| matches!(report, Report::Notice(Notice::Refused { .. }))).await;
            let words = service.status(&params).await.troubles;
            assert!(words[0].iter().any(|words| words.starts_with("cannot add 2001:db8:9::30")), "{words:?}");
            pair.b.run(async |kernel| kernel.delete_address("vb", V6, 128).await);
            service.confirmed(1).await;
            std::net::UdpSocket::bind("[2001:db8:9::30]:0").expect("usable");
        });
    });
}

#[test]
fn ten_removals_in_a_minute_are_trouble() {
    privileged("ownership::ten_removals_in_a_minute_are_trouble", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(1).await;
            for _ in 0..9 {
                kernel.delete_address("va", V4, 32).await;
                service.confirmed(1).await;
            }
            assert!(!service.seen.iter().any(|report| matches!(report, Report::Trouble { .. })));
            let words = service.status(&params).await.troubles;
            assert_eq!(words, [["10.9.0.30 was removed by another program 9 times in the last minute"]]);
            kernel.delete_address("va", V4, 32).await;
            service.wait(|report| matches!(report, Report::Trouble { router: KEY, trouble: Some(_) })).await;
        });
    });
}

#[test]
fn host_that_has_the_addresses_too_is_found_and_a_peer_told_from_a_stranger() {
    privileged("ownership::host_that_has_the_addresses_too_is_found_and_a_peer_told_from_a_stranger", || {
        for peer in ["10.9.0.2", "10.9.0.77"] {
            let pair = Pair::new();
            pair.b.run(async |kernel| {
                kernel.add_address("vb", V4, 32).await;
                kernel.add_address("vb", V6, 128).await;
            });
            pair.a.run(async |_| {
                let peers =
                    vec![PeerParams { address: peer.parse().unwrap(), priority: None, min_ttl: None, max_ttl: None }];
                let transport = Transport::Unicast { peers, also: None };
                let vips = vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")];
                let params = Arc::new(RouterParams { transport, ..(*router(vips)).clone() });
                let mut service = Service::start(vec![watch_for(&params)]).await;
                service.acquire(&params);
                service.confirmed(2).await;
                let told = service.wait(|report| matches!(report, Report::Notice(Notice::Conflict { .. }))).await;
                let Report::Notice(Notice::Conflict { others, peer: found, .. }) = told else { panic!("{told:?}") };
                let is_peer = peer == "10.9.0.2";
                assert_eq!((others, found), (1, is_peer.then(|| peer.parse().unwrap())));
            });
        }
    });
}

#[test]
fn renamed_interface_does_not_take_the_addresses_along() {
    privileged("ownership::renamed_interface_does_not_take_the_addresses_along", || {
        Pair::new().a.run(async |kernel| {
            let params = router(vec![vip("10.9.0.30/32")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.acquire(&params);
            service.confirmed(1).await;
            kernel.rename("va", "elsewhere").await;
            let end = Instant::now() + PATIENCE;
            while kernel.has("elsewhere", V4).await {
                assert!(Instant::now() < end, "kept under another name");
                tokio::task::yield_now().await;
            }
            assert!(kernel.has("elsewhere", "10.9.0.1").await);
        });
    });
}
