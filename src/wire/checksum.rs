//! The Internet checksum over VRRP messages. RFC 1071.

/// What the checksum of a version 3 message over IPv4 covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChecksumForm {
    /// Message and IPv4 pseudo-header: Keepalived, FRR.
    Pseudo,
    /// Message alone: RFC 9568 section 5.2.8.
    Rfc9568,
    /// Message and a pseudo-header with 224.0.0.18 in a unicast packet: Keepalived before 1.3.7.
    OldUnicast,
}
