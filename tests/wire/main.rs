//! Golden bytes and properties of the `wire` layer.
//!
//! | file | shows |
//! |---|---|
//! | `captures` | what Keepalived and FRR sent reads as it should and is written again byte for byte |
//! | `malformed` | each broken packet is refused for its own reason |
//! | `tampering` | no bit of an authenticated packet can be turned over, but for those that are named |
//! | `properties` | what holds for any bytes; also run by the fuzz target |
//! | `random` | those, over a fixed set of cases |

mod captures;
mod malformed;
mod pcap;
mod properties;
mod random;
mod tampering;
