//! Bytes to values and back. No clocks, no sockets, no configuration.
//!
//! | file | between |
//! |---|---|
//! | [`field`] | single fields whose wrong values cannot be made |
//! | [`addresses`] | the list of addresses in it |
//! | [`advert`] | a VRRP message |
//! | [`checksum`] | the sums over it |
//! | [`ip`] | the IPv4 header a raw socket delivers |
//! | [`auth`], [`ah`] | passwords, the HMAC trailer, the Authentication Header |
//! | [`announce`] | gratuitous ARP and unsolicited neighbour advertisements |
//! | [`inquiry`] | who else has an address |
//!
//! Parsing never panics and never allocates; what comes out is valid.

pub mod addresses;
pub mod advert;
pub mod ah;
pub mod announce;
pub mod auth;
pub mod checksum;
pub mod field;
pub mod inquiry;
pub mod ip;
