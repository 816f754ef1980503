//! What the kernel takes for a packet, whoever sends it: our own sockets, in batches, with nothing behind them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vrrpd::demo::error::LabError;
use vrrpd::demo::namespace::Namespace;
use vrrpd::demo::netlink::index_of;
use vrrpd::engine::input::RouterKey;
use vrrpd::engine::output::Transmit;
use vrrpd::net::socket::{Receiver, Sender, Wanted};

use crate::pair::cabled;

/// Microseconds of processor for one packet of the size of an advert.
pub struct Floor {
    /// To send it; that it arrives in the other namespace is part of that, since the sender's processor does it.
    pub sent: f64,
    /// To read it.
    pub read: f64,
}

/// Sends many packets from one namespace to another and reads them there.
pub fn measure() -> Result<Floor, LabError> {
    let [a, b] = cabled(1)?;
    let (mut sent, mut read) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (took_sending, took_reading) =
            round(&a, &b).map_err(LabError::kernel("send packets as fast as possible"))?;
        sent.push(took_sending);
        read.push(took_reading);
    }
    let median = |mut values: Vec<Duration>| {
        values.sort();
        values.get(values.len() / 2).map_or(0.0, |value| value.as_secs_f64() * 1e6 / PACKETS as f64)
    };
    Ok(Floor { sent: median(sent), read: median(read) })
}

fn round(a: &Namespace, b: &Namespace) -> io::Result<(Duration, Duration)> {
    let (go, is_ready) = std::sync::mpsc::channel::<()>();
    let (ready, begin) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || b.enter(move || read(&ready, &is_ready)));
        // Ends when the reader has its sockets, or has none.
        let _ = begin.recv();
        let sent = a.enter(send);
        drop(go);
        let read = reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked")));
        Ok((sent?, read?))
    })
}

fn send() -> io::Result<Duration> {
    let mut sender = Sender::open(WANTED).map_err(io::Error::other)?;
    let (source, destination) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let transmit = Transmit::detached(RouterKey(0), index_of("l0")?, source, destination);
    let message = [0x31, 1, 100, 1, 0, 100, 0, 0, 10, 0, 1, 1];
    let batch: Vec<(&Transmit, &[u8])> = vec![(&transmit, &message[..]); BATCH];
    let begin = processor_time()?;
    for _ in 0..PACKETS / BATCH {
        if let Some(failure) = sender.send(&batch).first() {
            return Err(failure.errno.into());
        }
    }
    Ok(processor_time()? - begin)
}

/// Reads once everything has arrived, and counts what it takes.
fn read(ready: &std::sync::mpsc::Sender<()>, is_sent: &std::sync::mpsc::Receiver<()>) -> io::Result<Duration> {
    let mut receiver = Receiver::open(WANTED).map_err(io::Error::other)?;
    // Nobody waits any more when this fails.
    let _ = ready.send(());
    let _ = is_sent.recv();
    let (begin, mut found) = (processor_time()?, 0);
    loop {
        let drained = receiver.receive(Duration::MAX, |_, _| {});
        found += drained.packets;
        if drained.packets == 0 {
            break;
        }
    }
    let took = processor_time()? - begin;
    if found < PACKETS { Err(io::Error::other(format!("{found} of {PACKETS} packets arrived"))) } else { Ok(took) }
}

fn processor_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

const WANTED: Wanted = Wanted { v4: true, v6: false, ah: false };
const ROUNDS: usize = 9;
/// What a receive buffer holds.
const PACKETS: usize = 8192;
const BATCH: usize = 64;
