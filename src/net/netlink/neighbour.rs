//! What the kernel knows of another host on the link, where that keeps a packet from leaving.
//!
//! A host that could not be reached is asked for once a second and no more often, and packets for it wait, or are
//! dropped. One stop before: `net::service`, which knows that the host is there again.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Lets the kernel ask for a host with the next packet, when it asked in vain before; says whether it had.
///
/// An entry with a hardware address stays, whoever made it. **Errors:** what the kernel says. Answers come within the
/// system call, so nothing is waited for.
pub fn ask_anew(interface: u32, address: IpAddr) -> io::Result<bool> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    let wanted = entry(interface, address);
    send(&socket, RouteNetlinkMessage::GetNeighbour(wanted.clone()), NLM_F_REQUEST)?;
    let is_vain = match receive(&socket)? {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(found)) => {
            matches!(found.header.state, NeighbourState::Incomplete | NeighbourState::Failed)
        }
        // There is none, or the kernel is older than the question (5.0).
        _ => false,
    };
    if is_vain {
        send(&socket, RouteNetlinkMessage::DelNeighbour(wanted), NLM_F_REQUEST | NLM_F_ACK)?;
        receive(&socket)?;
    }
    Ok(is_vain)
}

fn entry(interface: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = interface;
    let (family, address) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}

fn send(socket: &Socket, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.finalize();
    let mut datagram = vec![0; message.buffer_len()];
    message.serialize(&mut datagram);
    socket.send(&datagram, 0).map(|_| ())
}

fn receive(socket: &Socket) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let mut datagram = Vec::with_capacity(DATAGRAM);
    socket.recv(&mut datagram, 0)?;
    NetlinkMessage::deserialize(&datagram).map(|message| message.payload).map_err(io::Error::other)
}

/// Room for one answer.
const DATAGRAM: usize = 8 << 10;
