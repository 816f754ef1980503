//! Adds and deletes addresses, many per system call.
//!
//! The kernel carries a route request out within the system call that sends it, so its answers wait to be read when
//! the send returns, and nothing here waits for anything but the kernel's own lock. One stop before: `net::vips`.

use std::io;
use std::os::fd::AsFd;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use super::message::{answers, emit};
use super::{Refusal, Request};

/// How long to wait for an answer that is not there when the send returns, in milliseconds. It always was.
const PATIENCE_MS: u16 = 1000;
/// Room for the answers to one batch.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Largest datagram the kernel answers with.
const DATAGRAM: usize = 64 << 10;

/// The request socket of the service thread.
pub struct Requests {
    socket: Socket,
    datagram: Vec<u8>,
    sequence: u32,
}

impl Requests {
    /// Opens the socket.
    ///
    /// **Errors:** what the kernel says; missing privilege shows only in the answers to requests.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Refusals in words, without the whole request coming back. Old kernels have neither.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = socket.set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX));
        }
        Ok(Self { socket, datagram: Vec::with_capacity(DATAGRAM), sequence: 0 })
    }

    /// Carries out requests in order; one being refused does not stop the others.
    ///
    /// **Shape:** `results` is emptied and gets one entry per request, in order. Deleting what does not exist is
    /// success. A request without an answer counts as refused with `ETIMEDOUT`; it may have been carried out.
    pub fn carry_out(&mut self, requests: &[Request], results: &mut Vec<Result<(), Refusal>>) {
        let first = self.sequence.wrapping_add(1);
        self.datagram.clear();
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            emit(request, self.sequence, &mut self.datagram);
        }
        results.clear();
        results.extend(requests.iter().map(|_| Err(refusal(Errno::ETIMEDOUT))));
        if let Err(error) = self.socket.send(&self.datagram, 0) {
            let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
            results.fill(Err(Refusal { errno, text: None }));
            return;
        }
        self.read_answers(first, requests, results);
    }

    fn read_answers(&mut self, first: u32, requests: &[Request], results: &mut [Result<(), Refusal>]) {
        let mut open = results.len();
        while open > 0 {
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            match self.socket.recv(&mut self.datagram, 0) {
                Ok(_) => answers(&self.datagram, |answer| {
                    let place = answer.sequence.wrapping_sub(first) as usize;
                    if let (Some(result), Some(request)) = (results.get_mut(place), requests.get(place)) {
                        *result = settle(request, answer.result);
                        open = open.saturating_sub(1);
                    }
                }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Answers were lost; the requests they belong to keep ETIMEDOUT and are tried again.
                Err(_) => return,
            }
        }
    }

    /// Waits for an answer; false when none came.
    fn wait(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(PATIENCE_MS)).is_ok_and(|ready| ready > 0)
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// Counts the deletion of what is not there as done.
fn settle(request: &Request, result: Result<(), Refusal>) -> Result<(), Refusal> {
    match (request, result) {
        (Request::Delete(_), Err(refused))
            if matches!(Errno::from_raw(refused.errno), Errno::EADDRNOTAVAIL | Errno::ENODEV) =>
        {
            Ok(())
        }
        (Request::DeletePeer(..), Err(refused))
            if matches!(Errno::from_raw(refused.errno), Errno::EADDRNOTAVAIL | Errno::ENODEV) =>
        {
            Ok(())
        }
        // A route is missed in other words than a rule.
        (Request::DeleteEntry(_) | Request::Forget(_), Err(refused))
            if matches!(Errno::from_raw(refused.errno), Errno::ESRCH | Errno::ENOENT | Errno::ENODEV) =>
        {
            Ok(())
        }
        (
            Request::Add(_)
            | Request::Delete(_)
            | Request::DeletePeer(..)
            | Request::AddEntry(_)
            | Request::DeleteEntry(_)
            | Request::Forget(_),
            result,
        ) => result,
    }
}

fn refusal(errno: Errno) -> Refusal {
    Refusal { errno: errno as i32, text: None }
}

#[cfg(test)]
mod tests {
    use super::super::{NewAddress, Place};
    use super::*;

    #[test]
    fn only_a_deletion_may_miss_its_address() {
        let place = Place { interface: 1, address: "10.0.0.1".parse().unwrap(), prefix_len: 32 };
        let delete = Request::Delete(place);
        let add = Request::Add(NewAddress {
            place,
            label: None,
            broadcast: None,
            scope: 0,
            lifetime: None,
            options: Default::default(),
        });
        for (request, errno, good) in [
            (&delete, Errno::EADDRNOTAVAIL, true),
            (&delete, Errno::ENODEV, true),
            (&delete, Errno::EPERM, false),
            (&add, Errno::ENODEV, false),
        ] {
            assert_eq!(settle(request, Err(refusal(errno))).is_ok(), good, "{request:?} {errno}");
        }
    }
}
