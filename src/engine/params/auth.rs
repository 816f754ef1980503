//! How adverts prove whose they are: what the operator decided.
//!
//! One stop before: `config`. One stop after: `engine::receive` and `engine::send`.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::auth::{Key, Password};
use crate::wire::field::KeyId;

/// Authentication of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// None: version 2 sends auth type 0; data ignored.
    None,
    /// Version 2, RFC 2338 simple password: 8 bytes in the clear.
    Password {
        /// The 8 bytes.
        password: Password,
        /// What is sent and believed without it.
        mode: AuthMode,
    },
    /// Version 2, RFC 2338 IP Authentication Header with the same 8 bytes as key.
    Ah(Password),
    /// Both versions and families: the trailer of draft-cassen-vrrp-auth-hmac.
    Hmac(HmacParams),
}

impl Auth {
    /// Says whether adverts are told apart by the time at which they were signed.
    pub const fn goes_by_time(&self) -> bool {
        match self {
            Self::Hmac(HmacParams { guard: ReplayGuard::Time { .. }, .. }) => true,
            Self::Hmac(HmacParams { guard: ReplayGuard::Monotonic, .. })
            | Self::None
            | Self::Password { .. }
            | Self::Ah(_) => false,
        }
    }
}

/// The keys of the HMAC trailer and how strictly it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacParams {
    /// Keys whose signature is believed, in ascending order of their identifiers, each once; never empty.
    pub keys: Vec<(KeyId, Arc<Key>)>,
    /// The key that signs; one of `keys`.
    pub active: KeyId,
    /// What is sent and believed without a trailer.
    pub mode: AuthMode,
    /// What a recorded advert is told apart by.
    pub guard: ReplayGuard,
}

/// How far a node has gone in the change to authenticated adverts. A wrong proof is refused in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Sends none, believes adverts with and without: the first step, on every node.
    ReceiveOnly,
    /// Sends it, believes adverts with and without: the second step.
    Permissive,
    /// Sends it and believes nothing without: the last step.
    #[default]
    Enforce,
}

/// What a recorded advert is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayGuard {
    /// Its time is within `window` of ours and after the last one accepted from that sender. Clocks must agree.
    Time {
        /// Whole seconds, 1 to 300.
        window: Duration,
    },
    /// It comes after the last one accepted from that sender; clocks may differ but never go back.
    Monotonic,
}

impl AuthMode {
    /// Says whether adverts leave with a proof.
    pub const fn signs(self) -> bool {
        match self {
            Self::ReceiveOnly => false,
            Self::Permissive | Self::Enforce => true,
        }
    }

    /// Says whether adverts without a proof are refused.
    pub const fn requires(self) -> bool {
        match self {
            Self::ReceiveOnly | Self::Permissive => false,
            Self::Enforce => true,
        }
    }
}

impl HmacParams {
    /// Returns the key of an identifier.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|(known, _)| *known == id).map(|(_, key)| &**key)
    }
}
