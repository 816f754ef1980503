//! A host on the segment that sends what it likes: frames in other hosts' names, slowly, steadily, or as fast as it can.
//!
//! It keeps a hardware address of its own: taking a node's would move the switch's port, which is an attack on the switch
//! and beyond VRRP. It stays behind everything else on the machine (nice 19): it shall not starve the daemons of time.

use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::{LinkAddr, MsgFlags, sendto};
use socket2::Socket;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Lab;
use vrrpd::demo::namespace::Namespace;

use crate::tap::{link_of, packet_socket};

/// How often it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    /// Each frame twice a second: more often than anybody advertises, in versions and at intervals that are usual.
    Twice,
    /// A thousand frames a second, in turn.
    Thousand,
    /// One frame after the other.
    Most,
}

/// The host.
pub struct Intruder {
    socket: Socket,
    link: LinkAddr,
    _namespace: Namespace,
}

impl Intruder {
    /// Plugs it in.
    pub fn new(lab: &Lab) -> Result<Self, LabError> {
        let namespace = lab.plug("intruder", &[])?;
        let socket = namespace.enter(|| packet_socket(false)).map_err(LabError::kernel("open the intruder's link"))?;
        let link = link_of(&namespace)?;
        Ok(Self { socket, link, _namespace: namespace })
    }

    /// Sends these frames for a while; returns how many left.
    pub fn flood(&self, frames: &[Vec<u8>], rate: Rate, length: Duration) -> usize {
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                yield_to_others();
                self.send_all(frames, rate, length)
            });
            sender.join().expect("the intruder's thread does not panic")
        })
    }

    fn send_all(&self, frames: &[Vec<u8>], rate: Rate, length: Duration) -> usize {
        let (since, mut sent) = (now(), 0);
        let (every, at_once) = match rate {
            Rate::Twice => (Duration::from_millis(500), frames.len()),
            Rate::Thousand => (Duration::from_millis(1), 1),
            Rate::Most => (Duration::ZERO, 64),
        };
        let mut turns = frames.iter().cycle();
        let mut next = since;
        while now() < since + length && !frames.is_empty() {
            for frame in turns.by_ref().take(at_once) {
                sent += usize::from(self.send(frame));
            }
            next += every;
            std::thread::sleep(next.saturating_sub(now()));
        }
        sent
    }

    /// Sends one frame; false when the kernel had no room for it or it is longer than the link takes.
    pub fn send(&self, frame: &[u8]) -> bool {
        sendto(self.socket.as_raw_fd(), frame, &self.link, MsgFlags::empty()).is_ok()
    }
}

/// Puts this thread behind all others.
fn yield_to_others() {
    let thread = nix::unistd::gettid().to_string();
    let done = Command::new("renice").args(["-n", "19", "-p", &thread]).output();
    assert!(done.is_ok_and(|done| done.status.success()), "renice");
}
