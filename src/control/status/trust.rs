//! The parts of the status that are about authentication, clocks and refused packets. Never a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::milliseconds;
use crate::engine::output::{ClockOffset, Discard, Tally};
use crate::engine::params::{Auth, AuthMode, ReplayGuard};

/// How the adverts of an instance prove whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStatus {
    /// `none`, `password`, `ah` or `hmac`.
    pub kind: String,
    /// `receive-only`, `permissive` or `enforce`; none: `none` and `ah` have no such choice.
    pub mode: Option<String>,
    /// `hmac`: the identifier of the key that signs.
    pub active_key: Option<u8>,
    /// `hmac`: the identifiers of all keys, ascending; else empty.
    pub keys: Vec<u8>,
    /// `hmac`: what a recorded advert is told apart by, `time` or `monotonic`.
    pub replay: Option<String>,
    /// With `time`: how far clocks may differ, in milliseconds.
    pub window_ms: Option<u64>,
}

pub(super) fn auth_status(auth: &Auth) -> AuthStatus {
    let (kind, mode) = match auth {
        Auth::None => ("none", None),
        Auth::Password { mode, .. } => ("password", Some(*mode)),
        Auth::Ah(_) => ("ah", None),
        Auth::Hmac(hmac) => ("hmac", Some(hmac.mode)),
    };
    let hmac = match auth {
        Auth::None | Auth::Password { .. } | Auth::Ah(_) => None,
        Auth::Hmac(hmac) => Some(hmac),
    };
    let (replay, window) = match hmac.map(|hmac| hmac.guard) {
        None => (None, None),
        Some(ReplayGuard::Time { window }) => (Some("time"), Some(window)),
        Some(ReplayGuard::Monotonic) => (Some("monotonic"), None),
    };
    AuthStatus {
        kind: kind.to_owned(),
        mode: mode.map(|mode| mode_name(mode).to_owned()),
        active_key: hmac.map(|hmac| hmac.active.get()),
        keys: hmac.map_or_else(Vec::new, |hmac| hmac.keys.iter().map(|(id, _)| id.get()).collect()),
        replay: replay.map(str::to_owned),
        window_ms: window.map(milliseconds),
    }
}

/// Returns the count of every reason.
pub(super) fn all_reasons(count: impl Fn(Discard) -> u64) -> BTreeMap<String, u64> {
    Discard::ALL.iter().map(|reason| (reason.name().to_owned(), count(*reason))).collect()
}

/// Returns the counts of reasons that happened: there are many peers.
pub(super) fn found_reasons(tally: &Tally) -> BTreeMap<String, u64> {
    let mut found = all_reasons(|reason| tally.count(reason));
    found.retain(|_, count| *count > 0);
    found
}

/// Returns the offset as one number: positive where the other clock is ahead.
pub(super) fn offset_ms(offset: ClockOffset) -> i64 {
    let length = i64::try_from(offset.length.as_millis()).unwrap_or(i64::MAX);
    if offset.is_ahead { length } else { -length }
}

const fn mode_name(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::ReceiveOnly => "receive-only",
        AuthMode::Permissive => "permissive",
        AuthMode::Enforce => "enforce",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::auth::Password;

    #[test]
    fn each_kind_of_authentication_is_shown_without_its_secret() {
        let password = Password::new(b"s3cr3t77");
        let mode = AuthMode::Permissive;
        for (auth, kind, mode) in [
            (Auth::None, "none", None),
            (Auth::Password { password: password.clone(), mode }, "password", Some("permissive")),
            (Auth::Ah(password), "ah", None),
        ] {
            let status = auth_status(&auth);
            assert_eq!((status.kind.as_str(), status.mode.as_deref()), (kind, mode));
            assert_eq!((status.active_key, status.keys.len(), status.replay), (None, 0, None));
            assert!(!serde_json::to_string(&auth_status(&auth)).unwrap().contains("s3cr3t"));
        }
    }

    #[test]
    fn an_offset_is_positive_ahead() {
        let offset = |ms, is_ahead| offset_ms(ClockOffset { length: Duration::from_millis(ms), is_ahead });
        assert_eq!((offset(1200, true), offset(1200, false), offset(0, false)), (1200, -1200, 0));
    }
}
