//! What a master tells its neighbours, and when: seen on the wire.

use std::net::IpAddr;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::Frame;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::lab::{VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::Sight;

use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::in_turn;
use crate::stories::{quick, steps};
use crate::story::Act::{Heal, Isolate, Start};
use crate::story::{Miss, Step, play};
use crate::tap::{Tap, mac_of, neighbour_news};

/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(250);
/// A node that was cut off for long has lost the other's hardware address, and its kernel asks for it once a second: so long
/// may its farewell take.
const RESOLUTION: Duration = Duration::from_secs(1);

#[test]
fn announcements_go_out_at_once_and_after_one_and_five_seconds_and_then_at_the_refresh() {
    in_turn(|| told(schedule()));
}

#[test]
fn both_forms_of_arp_and_the_flags_of_the_neighbour_advertisement_are_right() {
    in_turn(|| told(forms()));
}

#[test]
fn rival_that_was_heard_makes_the_master_announce_again() {
    in_turn(|| told(repair()));
}

fn plan() -> Plan {
    Plan { interval: Duration::from_millis(100), addresses: vec![VIP_V6, VIP_V4], ..quick() }
}

fn announcements(cluster: &Cluster, vip: IpAddr, since: Duration) -> Vec<Duration> {
    let wanted = Sight::Sent(Frame::Announcement { address: vip });
    cluster.watch.look(|log| {
        let mine = log.sightings().iter().filter(|seen| seen.node == A && seen.at >= since && seen.what == wanted);
        let mut times: Vec<Duration> = mine.map(|seen| seen.at).collect();
        // Two forms of one announcement.
        times.dedup_by(|next, kept| *next - *kept < Duration::from_millis(300));
        times
    })
}

fn schedule() -> Result<(), LabError> {
    let plan = plan();
    // The default is 60 s; the order of times is what counts here.
    let file = format!("{}announce_refresh = \"2s\"\n", plan.toml(A));
    let mut cluster = Cluster::with_files(&plan, &[Vrrpd], &[file.clone(), file])?;
    cluster.start(A)?;
    let held_at = cluster.watch.wait("node a to hold the address", Duration::from_secs(5), |log| {
        log.acquisitions(VIP_V4, A, Duration::ZERO).first().copied()
    })?;
    cluster.watch.pause(Duration::from_secs(10))?;
    for vip in [VIP_V4, VIP_V6] {
        let times: Vec<Duration> =
            announcements(&cluster, vip, held_at).into_iter().map(|at| at.saturating_sub(held_at)).collect();
        eprintln!("{vip} was announced {times:?} after it was held");
        let expected = [0, 1, 5, 7, 9].map(Duration::from_secs);
        let is_near = |(at, wanted): (&Duration, &Duration)| at.abs_diff(*wanted) <= SLACK;
        assert!(times.len() >= expected.len() && times.iter().zip(&expected).all(is_near), "{vip}: {times:?}");
    }
    Ok(())
}

fn forms() -> Result<(), LabError> {
    for is_forwarding in [false, true] {
        let mut cluster = Cluster::new(&plan(), &[Vrrpd])?;
        cluster.lab().namespace(A)?.set("ipv6/conf/eth0/forwarding", u8::from(is_forwarding))?;
        let mut tap = Tap::new(cluster.lab())?;
        cluster.start(A)?;
        let mac = mac_of(cluster.lab(), A)?;
        let frames: Vec<Vec<u8>> = tap.listen(Duration::from_secs(2)).iter().map(|(_, frame)| frame.clone()).collect();
        let IpAddr::V4(vip) = VIP_V4 else { panic!("IPv4") };
        for operation in [1, 2] {
            let header = [0, 1, 8, 0, 6, 4, 0, operation];
            let body = [&header[..], &mac, &vip.octets(), &[0xff; 6], &vip.octets()].concat();
            let found = frames.iter().filter(|frame| frame.get(14..42) == Some(&body)).collect::<Vec<_>>();
            assert!(!found.is_empty(), "no ARP with operation {operation}");
            assert!(found.iter().all(|frame| frame[..6] == [0xff; 6] && frame[6..12] == mac));
        }
        let news: Vec<_> = frames.iter().filter_map(|frame| neighbour_news(VIP_V6, frame)).collect();
        assert!(!news.is_empty(), "no neighbour advertisement");
        for found in news {
            assert_eq!(
                (found.mac, found.is_solicited, found.is_override, found.is_router),
                (mac, false, true, is_forwarding)
            );
        }
    }
    Ok(())
}

fn repair() -> Result<(), LabError> {
    let mut cluster = Cluster::new(&plan(), &[Vrrpd, Vrrpd])?;
    let steps = steps! { Start(A) => [A], Anything; Start(B) => [A], Nothing; Isolate(B) => [A, B], Nothing; };
    play(&mut cluster, "repair", &steps);
    cluster.watch.pause(Duration::from_secs(6))?;
    let healed_at = now();
    let steps = steps! { Heal(B) => [A], Anything; };
    play(&mut cluster, "repair", &steps);
    let first = cluster.watch.wait("node a to announce again", Duration::from_secs(3), |log| {
        let wanted = Sight::Sent(Frame::Announcement { address: VIP_V4 });
        log.sightings().iter().find(|seen| seen.node == A && seen.at >= healed_at && seen.what == wanted).map(|s| s.at)
    })?;
    eprintln!("announced again {:?} after the heal", first - healed_at);
    assert!(first - healed_at < cluster.plan.interval * 2 + RESOLUTION + SLACK);
    Ok(())
}

fn told(done: Result<(), LabError>) {
    done.unwrap_or_else(|error| panic!("{error}"));
}
