//! How the adverts of an instance prove whose they are: from the written table to what the engine takes.
//!
//! One stop before: `schema`; one stop after: `resolve`. Keys are read by `secret`.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::error::Doubt;
use super::problem::Report;
use super::resolve::{length, unfit, unknown_word};
use super::schema::{self, Hmac, HmacKey};
use super::secret::{Form, SecretError, Secrets, exposed_mode};
use super::source::{Place, Written};
use super::table::Key;
use crate::engine::params::{Auth, AuthMode, HmacParams, ReplayGuard};
use crate::wire::auth::{self, Password};
use crate::wire::field::{AdverInterval, KeyId, Version};

/// Reads `[instance.NAME.auth]`; absent means none.
pub(super) fn auth(
    written: &Key<schema::Auth<'_>>,
    version: Option<Version>,
    interval: Option<AdverInterval>,
    secrets: &Secrets,
    report: &mut Report<'_>,
) -> Option<Auth> {
    let written = match written {
        Key::Absent => return Some(Auth::None),
        Key::Wrong => return None,
        Key::Here(written) => written,
    };
    let schema::Auth { password, ah, mode, hmac } = &written.value;
    let kinds = [
        ("password", password.here().map(|key| key.place), password.is_written()),
        ("ah", ah.here().map(|key| key.place), ah.is_written()),
        ("hmac", hmac.here().map(|key| key.place), hmac.is_written()),
    ];
    let there: Vec<_> = kinds.iter().filter(|(_, _, is_written)| *is_written).collect();
    match there.as_slice() {
        [] => {
            report.error(written.place, AuthError::Nothing);
            return None;
        }
        [_] => {}
        [(one, ..), .., (other, place, _)] => {
            report.error(place.unwrap_or(written.place), AuthError::TwoKinds { one, other });
            return None;
        }
    }
    if let Some(hmac) = hmac.here() {
        if let Some(mode) = mode.here() {
            report.error(mode.place, AuthError::ModeOfHmac);
        }
        let hmac = self::hmac(hmac, interval, secrets, report)?;
        return (!mode.is_written()).then_some(Auth::Hmac(hmac));
    }
    match (password.here(), ah.here()) {
        (Some(password), _) => {
            let mode = self::mode(mode, report);
            Some(Auth::Password { password: secret("password", password, version, report)?, mode: mode? })
        }
        (None, Some(ah)) => {
            if let Some(mode) = mode.here() {
                report.error(mode.place, AuthError::ModeOfAh);
            }
            let secret = secret("ah", ah, version, report)?;
            (!mode.is_written()).then_some(Auth::Ah(secret))
        }
        (None, None) => None,
    }
}

/// Reads the secret of version 2; RFC 2338 section 5.3.6.
fn secret(
    key: &'static str,
    written: &Written<&str>,
    version: Option<Version>,
    report: &mut Report<'_>,
) -> Option<Password> {
    if version == Some(Version::V3) {
        report.error(written.place, AuthError::OfVersion2 { key });
        return None;
    }
    if written.value.len() > 8 {
        report.warn(written.place, Doubt::LongSecret);
    }
    Some(Password::new(written.value.as_bytes()))
}

fn hmac(
    written: &Written<Hmac<'_>>,
    interval: Option<AdverInterval>,
    secrets: &Secrets,
    report: &mut Report<'_>,
) -> Option<HmacParams> {
    let Hmac { keys, active, mode, replay, window } = &written.value;
    let params_keys = keys.here().and_then(|written| self::keys(written, secrets, report));
    let active = match (&params_keys, active) {
        (Some(keys), Key::Here(active)) => active_key(active, keys, report),
        (Some(keys), Key::Absent) => match keys.as_slice() {
            [(id, _)] => Some(*id),
            _ => {
                let place = keys_place(written);
                report.error(place, AuthError::WhichSigns { keys: ids(keys) });
                None
            }
        },
        (_, Key::Wrong) | (None, _) => None,
    };
    let mode = self::mode(mode, report);
    let guard = guard(replay, window, interval, report);
    Some(HmacParams { keys: params_keys?, active: active?, mode: mode?, guard: guard? })
}

/// Returns where the keys are written, or the table.
fn keys_place(written: &Written<Hmac<'_>>) -> Place {
    written.value.keys.here().map_or(written.place, |keys| keys.place)
}

type NumberedKey = (KeyId, Arc<auth::Key>);

fn keys(written: &Written<Vec<HmacKey<'_>>>, secrets: &Secrets, report: &mut Report<'_>) -> Option<Vec<NumberedKey>> {
    if written.value.is_empty() {
        report.error(written.place, AuthError::NoKeys);
        return None;
    }
    let exposed = secrets.file.as_deref().and_then(exposed_mode);
    let mut keys: Vec<NumberedKey> = Vec::with_capacity(written.value.len());
    for HmacKey { id, value } in &written.value {
        let Some(number) = key_id(id.value) else {
            report.error(id.place, AuthError::KeyId { found: shown_number(id.value) });
            continue;
        };
        if let (Form::Inline, Some(mode)) = (Form::of(value.value), exposed) {
            report.warn(value.place, Doubt::ExposedKey { mode });
        }
        match secrets.key(value.value) {
            Err(error) => report.error(value.place, AuthError::Key { id: number, error }),
            Ok(key) => {
                if let Some((other, _)) = keys.iter().find(|(_, other)| **other == key) {
                    report.warn(value.place, Doubt::EqualKeys { other: *other });
                }
                keys.push((number, key.into()));
            }
        }
    }
    keys.sort_by_key(|(id, _)| *id);
    (keys.len() == written.value.len()).then_some(keys)
}

fn active_key(written: &Written<i64>, keys: &[NumberedKey], report: &mut Report<'_>) -> Option<KeyId> {
    let found = u8::try_from(written.value).ok().and_then(KeyId::new);
    let active = found.filter(|active| keys.iter().any(|(id, _)| id == active));
    if active.is_none() {
        report.error(written.place, AuthError::NoSuchKey { active: written.value, keys: ids(keys) });
    }
    active
}

fn ids(keys: &[NumberedKey]) -> Vec<KeyId> {
    keys.iter().map(|(id, _)| *id).collect()
}

/// Reads the number of a key as it is written everywhere: 1 to 255 without a sign or leading zeros.
pub(super) fn key_id(text: &str) -> Option<KeyId> {
    text.parse().ok().and_then(KeyId::new).filter(|id| id.to_string() == text)
}

/// Returns a number to show; `None` for anything else, which may be a key in the wrong place.
pub(super) fn shown_number(text: &str) -> Option<String> {
    (text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

fn mode(written: &Key<&str>, report: &mut Report<'_>) -> Option<AuthMode> {
    let mode = written.and_then(|text| match mode_of(text.value) {
        Some(mode) => Some(mode),
        None => unknown_word("mode", text, &["receive-only", "permissive", "enforce"], report),
    });
    mode.or(AuthMode::default())
}

/// Returns the mode of a word; both languages have the same.
pub(super) fn mode_of(word: &str) -> Option<AuthMode> {
    match word {
        "receive-only" => Some(AuthMode::ReceiveOnly),
        "permissive" => Some(AuthMode::Permissive),
        "enforce" => Some(AuthMode::Enforce),
        _ => None,
    }
}

fn guard(
    replay: &Key<&str>,
    window: &Key<&str>,
    interval: Option<AdverInterval>,
    report: &mut Report<'_>,
) -> Option<ReplayGuard> {
    let is_monotonic = replay.and_then(|text| match text.value {
        "time" => Some(false),
        "monotonic" => Some(true),
        _ => unknown_word("replay", text, &["time", "monotonic"], report),
    });
    let length = window.and_then(|text| {
        let length = length("window", text, report)?;
        if WINDOW.contains(&length) && length.subsec_nanos() == 0 {
            return Some(length);
        }
        unfit("window", text, "whole seconds from \"1s\" to \"300s\"", report)
    });
    let is_monotonic = is_monotonic.or(false)?;
    if is_monotonic {
        if let Some(window) = window.here() {
            report.error(window.place, AuthError::WindowOfMonotonic);
        }
        return (!window.is_written()).then_some(ReplayGuard::Monotonic);
    }
    let default = default_window(interval.map_or(Duration::ZERO, AdverInterval::as_duration));
    Some(ReplayGuard::Time { window: length.or(default)? })
}

/// Returns how far clocks may differ unless the file says otherwise: three intervals of whole seconds, at least 5 s.
pub(super) fn default_window(interval: Duration) -> Duration {
    let intervals = Duration::from_secs(interval.as_secs().saturating_mul(3));
    intervals.clamp(DEFAULT_WINDOW, *WINDOW.end())
}

/// Can these secrets prove whose an advert is? Holds nothing of them.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No secret at all.
    Nothing,
    /// Two kinds of proof.
    TwoKinds {
        /// A key.
        one: &'static str,
        /// Another.
        other: &'static str,
    },
    /// A secret of version 2 in version 3.
    OfVersion2 {
        /// The key.
        key: &'static str,
    },
    /// `mode` of an Authentication Header.
    ModeOfAh,
    /// `mode` beside `hmac` and not in it.
    ModeOfHmac,
    /// No key of the trailer.
    NoKeys,
    /// A key without a number from 1 to 255.
    KeyId {
        /// As written; `None` when it is no number, and so perhaps a key.
        found: Option<String>,
    },
    /// A key that cannot be used.
    Key {
        /// Its number.
        id: KeyId,
        /// Why.
        error: SecretError,
    },
    /// Several keys, and none is said to sign.
    WhichSigns {
        /// Their numbers.
        keys: Vec<KeyId>,
    },
    /// The key that should sign is not there.
    NoSuchKey {
        /// As written.
        active: i64,
        /// The numbers of those that are.
        keys: Vec<KeyId>,
    },
    /// A window where clocks are not compared.
    WindowOfMonotonic,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "`auth` needs `hmac`, such as hmac = { keys = { 1 = \"file:/etc/vrrpd/keys/web\" } }, or in version 2 \
                 `password` or `ah`",
            ),
            Self::TwoKinds { one, other } => {
                write!(f, "`{one}` and `{other}` exclude each other; take one of them out")
            }
            Self::OfVersion2 { key } => write!(
                f,
                "version 3 has no `{key}` (RFC 9568 section 9); write `hmac`, or `version = 2`, or take the table out"
            ),
            Self::ModeOfAh => f.write_str(
                "`ah` has no `mode`: every node sends and requires the Authentication Header; take `mode` out",
            ),
            Self::ModeOfHmac => {
                f.write_str("`mode` is that of `password`; the one of `hmac` stands in its table, so move it there")
            }
            Self::NoKeys => {
                f.write_str("`keys` is empty; expected at least one, such as { 1 = \"file:/etc/vrrpd/keys/web\" }")
            }
            Self::KeyId { found: Some(found) } => write!(f, "the number of a key is {found}; expected 1 to 255"),
            Self::KeyId { found: None } => f.write_str(
                "a key has no number; expected 1 to 255 in front of it, such as { 1 = \"file:/etc/vrrpd/keys/web\" }",
            ),
            Self::Key { id, error } => write!(f, "key {id}: {error}"),
            Self::WhichSigns { keys } => {
                let first = keys.first().map(KeyId::to_string).unwrap_or_default();
                write!(f, "there are keys {} and none is said to sign; write `active = {first}`", List(keys))
            }
            Self::NoSuchKey { active, keys } => {
                write!(f, "`active` is {active}; expected the number of one of the keys: {}", List(keys))
            }
            Self::WindowOfMonotonic => {
                f.write_str("`window` is for replay = \"time\"; \"monotonic\" compares no clocks, so take `window` out")
            }
        }
    }
}

/// Numbers of keys in a row.
struct List<'a>(&'a [KeyId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
const DEFAULT_WINDOW: Duration = Duration::from_secs(5);
