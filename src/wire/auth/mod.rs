//! How a message proves whose it is: secrets, and the HMAC trailer that they sign.
//!
//! | file | holds |
//! |---|---|
//! | `secret` | [`Password`] of version 2, [`Key`] of the trailer |
//! | `trailer` | [`Trailer`] with its [`Sequence`] and [`Origin`] |

mod secret;
mod trailer;

pub use secret::{Key, KeyLengthError, Password};
pub use trailer::{Origin, Sequence, Trailer, TrailerError};
