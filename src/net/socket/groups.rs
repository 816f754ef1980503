//! Group memberships, kept apart from the socket that receives.
//!
//! The kernel allows 20 memberships per IPv4 socket (`igmp_max_memberships`). A socket that joined nothing receives
//! whatever any socket of the host joined, so memberships live on small datagram sockets that never receive anything.
//! One stop before: the integrator, on `engine::input::Interface`. One stop after: [`super::Receiver`].

use std::io;
use std::net::IpAddr;

use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use crate::wire::field::Family;

/// The memberships of this process.
///
/// **Shape:** one holder socket per family and 20 memberships; can be empty.
#[derive(Debug, Default)]
pub struct Groups {
    holders: Vec<Holder>,
}

/// A socket that holds memberships and receives nothing.
#[derive(Debug)]
struct Holder {
    family: Family,
    socket: Socket,
    members: Vec<(u32, IpAddr)>,
}

impl Groups {
    /// Memberships per holder socket: the kernel's default limit.
    const PER_SOCKET: usize = 20;

    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins `group` on an interface; harmless when it is joined already.
    ///
    /// **Errors:** what the kernel says; the set is unchanged. An interface that was deleted and made again has
    /// another index and needs a join of its own.
    pub fn join(&mut self, interface: u32, group: IpAddr) -> io::Result<()> {
        if self.contains(interface, group) {
            return Ok(());
        }
        let family = Family::of(&group);
        let free = self.holders.iter().position(|h| h.family == family && h.members.len() < Self::PER_SOCKET);
        let place = match free {
            Some(place) => place,
            None => {
                self.holders.push(Holder::open(family)?);
                self.holders.len() - 1
            }
        };
        match self.holders.get_mut(place) {
            Some(holder) => holder.join(interface, group),
            None => Ok(()),
        }
    }

    /// Leaves `group` on an interface; harmless when it is not joined or the interface is gone.
    pub fn leave(&mut self, interface: u32, group: IpAddr) {
        for holder in &mut self.holders {
            holder.leave(interface, group);
        }
        self.holders.retain(|holder| !holder.members.is_empty());
    }

    /// Says whether `group` was joined on an interface.
    pub fn contains(&self, interface: u32, group: IpAddr) -> bool {
        self.holders.iter().any(|holder| holder.members.contains(&(interface, group)))
    }
}

impl Holder {
    fn open(family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
        Ok(Self { family, socket, members: Vec::new() })
    }

    fn join(&mut self, interface: u32, group: IpAddr) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                self.socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface))?;
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, interface)?,
        }
        self.members.push((interface, group));
        Ok(())
    }

    fn leave(&mut self, interface: u32, group: IpAddr) {
        let Some(place) = self.members.iter().position(|member| *member == (interface, group)) else {
            return;
        };
        // An error means that the interface is gone, and the membership with it.
        let _ = match group {
            IpAddr::V4(group) => self.socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface)),
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, interface),
        };
        self.members.swap_remove(place);
    }
}
