//! How the routers of a simulation prove their adverts.

use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::params::{Auth, AuthMode, HmacParams, ReplayGuard};
use vrrpd::wire::auth::{Key, Password};
use vrrpd::wire::field::KeyId;

/// Authentication of one virtual router on all hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    None,
    Password,
    Ah,
    Hmac(HmacSpec),
}

/// The HMAC trailer; a list shorter than the number of hosts goes on with its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacSpec {
    /// Seconds; `None`: monotonic.
    pub window: Option<u64>,
    /// Per host.
    pub modes: Vec<AuthMode>,
    /// Per host: which of the two keys signs, 1 or 2. All hosts know both.
    pub active: Vec<u8>,
}

impl HmacSpec {
    /// Signed and required by all, with key 1.
    pub fn enforced(window: Option<u64>) -> Self {
        Self { window, modes: vec![AuthMode::Enforce], active: vec![1] }
    }

    pub fn mode(&self, host: usize) -> AuthMode {
        self.modes.get(host).or(self.modes.last()).copied().unwrap_or_default()
    }
}

impl Secret {
    pub fn params(&self, host: usize) -> Auth {
        match self {
            Self::None => Auth::None,
            Self::Password => Auth::Password { password: Password::new(PASSWORD), mode: AuthMode::Enforce },
            Self::Ah => Auth::Ah(Password::new(PASSWORD)),
            Self::Hmac(spec) => Auth::Hmac(HmacParams {
                keys: [1, 2].into_iter().map(|id| (key_id(id), Arc::new(key(id)))).collect(),
                active: key_id(spec.active.get(host).or(spec.active.last()).copied().unwrap_or(1)),
                mode: spec.mode(host),
                guard: match spec.window {
                    Some(seconds) => ReplayGuard::Time { window: Duration::from_secs(seconds) },
                    None => ReplayGuard::Monotonic,
                },
            }),
        }
    }

    pub fn hmac(&self) -> Option<&HmacSpec> {
        match self {
            Self::Hmac(spec) => Some(spec),
            Self::None | Self::Password | Self::Ah => None,
        }
    }

    /// Returns the window of adverts that are told apart by time, in nanoseconds.
    pub fn window(&self) -> Option<u64> {
        self.hmac().and_then(|spec| spec.window).map(|seconds| seconds * 1_000_000_000)
    }
}

/// Returns the key of an identifier; hosts know 1 and 2.
pub fn key(id: u8) -> Key {
    Key::new(&[id; 40]).expect("40 bytes are a key")
}

fn key_id(id: u8) -> KeyId {
    KeyId::new(id).expect("not 0")
}

const PASSWORD: &[u8] = b"seventh";
