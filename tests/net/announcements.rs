//! Announcements on the wire, and how long a takeover of many addresses takes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use vrrpd::engine::params::Vip;
use vrrpd::net::service::{Report, Wish};

use crate::service::{KEY, PATIENCE, Service, router, vip, watch_for};
use crate::world::{Pair, frames, privileged};

/// Returns whose address a frame announces, and in which form (ARP operation; 0 for IPv6).
fn announced(frame: &[u8]) -> Option<(IpAddr, u16)> {
    if frame.get(12..14)? == [0x08, 0x06] && frame.get(28..32)? == frame.get(38..42)? {
        let address = <[u8; 4]>::try_from(frame.get(28..32)?).ok()?;
        return Some((address.into(), u16::from_be_bytes([*frame.get(20)?, *frame.get(21)?])));
    }
    if frame.get(12..14)? == [0x86, 0xdd] && frame.get(54)? == &136 && frame.get(21)? == &255 {
        return Some((<[u8; 16]>::try_from(frame.get(62..78)?).ok()?.into(), 0));
    }
    None
}

#[test]
fn announcements_reach_the_other_end_in_both_forms() {
    privileged("announcements::announcements_reach_the_other_end_in_both_forms", || {
        let pair = Pair::new();
        let wire = pair.b.listen();
        pair.a.run(async |_| {
            let params = router(vec![vip("10.9.0.30/32"), vip("2001:db8:9::30/128")]);
            let mut service = Service::start(vec![watch_for(&params)]).await;
            service.wish(Wish::Announce { router: KEY, vips: 0..2 });
            service.acquire(&params);
            service.confirmed(2).await;
            service.wish(Wish::Announce { router: KEY, vips: 0..9 });
            let end = Instant::now() + PATIENCE;
            while service.status(&params).await.announced.sent < 3 {
                assert!(Instant::now() < end, "not sent in time");
                tokio::task::yield_now().await;
            }
            service.wish(Wish::Release { router: KEY });
            service.wish(Wish::Announce { router: KEY, vips: 0..2 });
            service.settle().await;
            assert_eq!(service.status(&params).await.announced.sent, 3, "what is not held is not announced");
        });
        let expected: BTreeSet<(IpAddr, u16)> = [
            ("10.9.0.30".parse().unwrap(), 1),
            ("10.9.0.30".parse().unwrap(), 2),
            ("2001:db8:9::30".parse().unwrap(), 0),
        ]
        .into();
        let mut found = BTreeSet::new();
        frames(&wire, PATIENCE, |frame| {
            found.extend(announced(frame).filter(|key| expected.contains(key)));
            found == expected
        });
        assert_eq!(found, expected);
    });
}

/// Takes over many VIPs and announces each as it is confirmed; prints how long it took.
fn measure(kind: &str, count: u16, address: impl Fn(u16) -> String) {
    let pair = Pair::new();
    let wire = pair.b.listen();
    let vips: Vec<Vip> = (0..count).map(|index| vip(&address(index))).collect();
    let first: IpAddr = vips[0].address;
    let listener = std::thread::spawn(move || {
        let mut when = (None, None);
        let mut seen = BTreeSet::new();
        frames(&wire, Duration::from_secs(20), |frame| {
            if let Some((address, form)) = announced(frame)
                && form != 2
                && address.is_ipv4() == first.is_ipv4()
            {
                when.0.get_or_insert_with(Instant::now);
                seen.insert(address);
                when.1 = Some(Instant::now());
            }
            seen.len() == usize::from(count)
        });
        (when, seen.len())
    });
    pair.a.run(async |_| {
        let params = router(vips);
        let mut service = Service::start(vec![watch_for(&params)]).await;
        let start = Instant::now();
        service.acquire(&params);
        let mut confirmed = (None, 0u16);
        while confirmed.1 < count {
            let report = service.wait(|report| matches!(report, Report::Vips { .. })).await;
            let Report::Vips { router, held } = report else { continue };
            confirmed.0.get_or_insert(start.elapsed());
            confirmed.1 += held.end - held.start;
            service.wish(Wish::Announce { router, vips: held });
        }
        let all_confirmed = start.elapsed();
        let (when, seen) = tokio::task::spawn_blocking(move || listener.join().unwrap()).await.unwrap();
        assert_eq!(seen, usize::from(count));
        let since = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(start));
        let (first_frame, last_frame) = (since(when.0), since(when.1));
        println!(
            "{count} {kind} VIPs: first confirmed {:?}, all {all_confirmed:?}; first announced {first_frame:?}, all {last_frame:?}",
            confirmed.0
        );
        let start = Instant::now();
        service.wish(Wish::Release { router: KEY });
        service.settle().await;
        println!("{count} {kind} VIPs: all deleted {:?}", start.elapsed());
    });
}

#[test]
fn two_thousand_vips_are_taken_over_and_announced() {
    privileged("announcements::two_thousand_vips_are_taken_over_and_announced", || {
        measure("IPv4", 2000, |index| format!("10.10.{}.{}/32", index / 250, index % 250 + 1));
        measure("IPv6", 2000, |index| format!("2001:db8:a::{:x}/128", index + 1));
    });
}
