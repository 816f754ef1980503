//! Every requirement of RFC 9568 and RFC 3768 that applies to us, on the engine itself and with time as a number.
//!
//! `docs/rfc9568-ledger.md` says which test belongs to which requirement; `bench` is what they stand on.

#[allow(dead_code)] // a part of it is for reloads
mod bench;

mod adoption;
mod answers;
mod auth_clock;
mod auth_hmac;
mod auth_modes;
mod auth_replay;
mod departures;
mod failback;
mod malformed;
mod offer;
mod packet;
mod rfc3768;
mod s5_1_header;
mod s5_2_fields;
mod s6_1_timers;
mod s6_4_1_initialize;
mod s6_4_2_backup;
mod s6_4_3_master;
mod s7_1_receiving;
mod s7_2_sending;
mod s8_operation;
mod trailer;
