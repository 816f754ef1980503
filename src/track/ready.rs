//! Waits until the kernel has something to say on any descriptor.
//!
//! tokio's own type for that has an unsafe constructor. Its reading end of a pipe registers whatever it is given, without
//! reading from it unless told to.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe::Receiver;

/// A descriptor that is watched by the runtime and closed with this value.
pub(super) struct Ready(Receiver);

impl Ready {
    /// Watches a descriptor that does not block; inside a runtime only.
    ///
    /// **Errors:** the kernel cannot watch it.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        Receiver::from_owned_fd_unchecked(descriptor).map(Self)
    }

    /// Waits until there is something to read; again and again until [`Ready::read`] found nothing.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads by `read`, which returns `WouldBlock` when there is nothing.
    ///
    /// **Errors:** those of `read`.
    pub fn read<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.0.try_io(read)
    }
}
