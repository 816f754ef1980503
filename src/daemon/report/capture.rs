//! VRRP packets as a capture file, without what in them is a secret or lets one be guessed.
//!
//! The passwords of version 2 and the digests of Authentication Headers, whose keys have eight bytes, become zeros. One stop
//! before: `daemon::report`; one stop after: `net::socket::Tap`.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::daemon::event_loop::read_clocks;
use crate::net::socket::{Seen, Tap};
use crate::wire::checksum::Sum;

/// What was captured.
pub struct Capture {
    /// A capture file of the classic form, link type `LINUX_SLL2`.
    pub file: Vec<u8>,
    /// Packets in it.
    pub packets: usize,
    /// Packets of which something became zeros.
    pub blanked: usize,
    /// It ended early because it has [`FILE_MAX`] bytes.
    pub is_full: bool,
}

/// Writes down what passes for a while, or until `is_over`.
///
/// **Errors:** no socket, as without CAP_NET_RAW.
pub fn capture(length: Duration, is_over: &AtomicBool) -> io::Result<Capture> {
    let tap = Tap::open().map_err(io::Error::other)?;
    let mut capture = Capture { file: head(), packets: 0, blanked: 0, is_full: false };
    let mut buffer = vec![0; BUFFER];
    let end = read_clocks().mono + length;
    while !is_over.load(Ordering::Relaxed) && !capture.is_full {
        let now = read_clocks();
        let left = end.since(now.mono);
        if left.is_zero() {
            break;
        }
        match tap.receive(&mut buffer)? {
            Some((seen, packet)) => capture.add(now.utc, seen, packet),
            None => {
                let wait = u16::try_from(left.as_millis().clamp(1, 1000)).unwrap_or(1000);
                // A signal ends the wait, too.
                let _ = poll(&mut [PollFd::new(tap.as_fd(), PollFlags::POLLIN)], PollTimeout::from(wait));
            }
        }
    }
    Ok(capture)
}

impl Capture {
    fn add(&mut self, utc: Duration, seen: Seen, packet: &[u8]) {
        let mut packet = within(packet).to_vec();
        let protocol: u16 = if packet.first().is_some_and(|first| first >> 4 == 4) { 0x0800 } else { 0x86dd };
        self.blanked += usize::from(blank(&mut packet));
        let len = u32::try_from(packet.len() + LINK_LEN).unwrap_or(u32::MAX);
        let seconds = u32::try_from(utc.as_secs()).unwrap_or(u32::MAX);
        for number in [seconds, utc.subsec_micros(), len, len] {
            self.file.extend(number.to_le_bytes());
        }
        let way = if seen.is_outgoing { OUTGOING } else { 0 };
        self.file.extend(protocol.to_be_bytes());
        self.file.extend([0, 0]);
        self.file.extend(seen.interface.to_be_bytes());
        self.file.extend([0, 1, way, 0]);
        self.file.extend([0; 8]);
        self.file.append(&mut packet);
        self.packets += 1;
        self.is_full = self.file.len() > FILE_MAX;
    }
}

/// Returns a packet without what stands behind its end, such as padding.
fn within(packet: &[u8]) -> &[u8] {
    let half = |at: usize| {
        packet.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |half| usize::from(u16::from_be_bytes(*half)))
    };
    let len = match packet.first().map(|first| first >> 4) {
        Some(4) => half(2),
        _ => half(4).saturating_add(V6_HEADER),
    };
    packet.get(..len).unwrap_or(packet)
}

/// Makes zeros of passwords and of what lets keys of eight bytes be guessed; says whether there was any.
///
/// A message that had a right checksum has one afterwards, any other has 0.
fn blank(packet: &mut [u8]) -> bool {
    let (at, protocol) = match packet.first().map(|first| first >> 4) {
        Some(4) => (usize::from(packet.first().map_or(0, |first| first & 15)) * 4, packet.get(9).copied()),
        _ => (V6_HEADER, packet.get(6).copied()),
    };
    match protocol {
        Some(AH) => {
            // A length that is wrong does not say where the digest ends.
            let is_usual = packet.get(at + 1) == Some(&AH_USUAL);
            zero(packet, at + AH_FIXED, if is_usual { at + AH_LEN } else { usize::MAX });
            if let Some(message) = packet.get_mut(at + AH_LEN..) {
                blank_message(message);
            }
            true
        }
        _ => packet.get_mut(at..).is_some_and(blank_message),
    }
}

fn blank_message(message: &mut [u8]) -> bool {
    let &mut [first, _, _, count, kind, ..] = message else { return false };
    if first >> 4 == 3 || (first >> 4 == 2 && kind == 0) {
        return false;
    }
    let was_right = Sum::of(message).is_good();
    let addresses = HEADER + 4 * usize::from(count);
    zero(message, addresses.min(message.len().saturating_sub(PASSWORD)).max(HEADER), usize::MAX);
    zero(message, 6, 8);
    if was_right {
        let right = Sum::of(message).checksum();
        message.iter_mut().skip(6).zip(right.to_be_bytes()).for_each(|(to, from)| *to = from);
    }
    true
}

fn zero(bytes: &mut [u8], from: usize, to: usize) {
    let to = to.min(bytes.len());
    bytes.get_mut(from.min(to)..to).unwrap_or_default().fill(0);
}

fn head() -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(0xa1b2_c3d4_u32.to_le_bytes());
    head.extend(2_u16.to_le_bytes());
    head.extend(4_u16.to_le_bytes());
    head.extend([0; 8]);
    head.extend(u32::try_from(BUFFER).unwrap_or(u32::MAX).to_le_bytes());
    head.extend(LINK_TYPE.to_le_bytes());
    head
}

const BUFFER: usize = 1 << 16;
const FILE_MAX: usize = 8 << 20;
/// `LINKTYPE_LINUX_SLL2`, which says the interface and whether a packet left.
const LINK_TYPE: u32 = 276;
const LINK_LEN: usize = 20;
const OUTGOING: u8 = 4;
const AH: u8 = 51;
/// Bytes of an Authentication Header before the digest, and with it.
const AH_FIXED: usize = 12;
const AH_LEN: usize = 24;
/// How the header says that.
const AH_USUAL: u8 = 4;
const V6_HEADER: usize = 40;
/// Bytes of a message before the addresses, and of the password behind them.
const HEADER: usize = 8;
const PASSWORD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, message: &[u8]) -> Vec<u8> {
        let len = 20 + message.len() as u8;
        [&[0x45, 0, 0, len, 0, 0, 0, 0, 255, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], message].concat()
    }

    fn v2(kind: u8, count: u8, password: &[u8]) -> Vec<u8> {
        let mut message = [&[0x21, 51, 100, count, kind, 1, 0, 0, 10, 0, 0, 9][..], password].concat();
        let right = Sum::of(&message).checksum();
        message[6..8].copy_from_slice(&right.to_be_bytes());
        message
    }

    #[test]
    fn a_password_becomes_zeros_and_the_checksum_stays_right() {
        let mut packet = v4(112, &v2(1, 1, b"hunter22"));
        assert!(blank(&mut packet));
        assert_eq!((&packet[28..32], &packet[32..]), (&[10, 0, 0, 9][..], &[0; 8][..]));
        assert!(Sum::of(&packet[20..]).is_good());
        assert_eq!(packet[26..28], v2(1, 1, &[0; 8])[6..8]);
    }

    #[test]
    fn a_password_is_found_whatever_the_count_says() {
        for count in [0, 1, 2, 3, 255] {
            let mut packet = v4(112, &v2(1, count, b"hunter22"));
            packet[26] ^= 1;
            assert!(blank(&mut packet));
            assert!(!packet.windows(4).any(|four| b"hunter22".windows(4).any(|of| of == four)), "{count}");
            assert_eq!(packet[26..28], [0, 0]);
        }
    }

    #[test]
    fn what_has_no_password_stays() {
        let v3 = [0x31, 51, 200, 1, 0, 100, 0xab, 0xcd, 10, 77, 1, 1];
        for message in [&v3[..], &v2(0, 1, &[7; 8]), &[0x21], &[]] {
            let packet = v4(112, message);
            let mut same = packet.clone();
            assert!(!blank(&mut same));
            assert_eq!(same, packet);
        }
    }

    #[test]
    fn a_digest_becomes_zeros() {
        let header = [[112, 4, 0, 0, 0, 0, 0, 51, 0, 0, 0, 9].as_slice(), &[0xee; 12]].concat();
        let mut packet = v4(51, &[&header, v2(2, 1, &[0xdd; 8]).as_slice()].concat());
        assert!(blank(&mut packet));
        assert!(!packet.contains(&0xee) && !packet.contains(&0xdd), "{packet:x?}");
        let mut short = v4(51, &[&[112, 9, 0, 0, 0, 0, 0, 51, 0, 0, 0, 9][..], &[0xee; 40]].concat());
        assert!(blank(&mut short));
        assert!(!short.contains(&0xee));
    }

    #[test]
    fn padding_is_cut_and_the_frame_says_where() {
        let mut capture = Capture { file: head(), packets: 0, blanked: 0, is_full: false };
        let packet = [v4(112, &v2(1, 1, b"hunter22")), b"padding".to_vec()].concat();
        capture.add(Duration::new(9, 5000), Seen { interface: 3, is_outgoing: true }, &packet);
        assert_eq!((capture.packets, capture.blanked, capture.file.len()), (1, 1, 24 + 16 + 20 + 40));
        assert_eq!(capture.file[24..32], [9, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(capture.file[40..52], [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 0]);
    }
}
