//! `[instance.NAME.auth]` as it is written.
//!
//! Values of keys and passwords are never quoted in a message. One stop before and after: `schema`.

use toml::de::{DeTable, DeValue};

use super::KEEPALIVED;
use crate::config::problem::Report;
use crate::config::source::Written;
use crate::config::table::{Fields, Key, Value, in_file_order, place_of, string, wrong_type};

/// `[instance.NAME.auth]` as written.
#[derive(Clone)]
pub(in crate::config) struct Auth<'t> {
    /// `password`.
    pub password: Key<&'t str>,
    /// `ah`.
    pub ah: Key<&'t str>,
    /// `mode` of the password.
    pub mode: Key<&'t str>,
    /// `hmac`.
    pub hmac: Key<Hmac<'t>>,
}

/// `hmac` as written.
#[derive(Clone)]
pub(in crate::config) struct Hmac<'t> {
    /// `keys`, in the order of the file; an unusable entry makes it [`Key::Wrong`].
    pub keys: Key<Vec<HmacKey<'t>>>,
    /// `active`.
    pub active: Key<i64>,
    /// `mode`.
    pub mode: Key<&'t str>,
    /// `replay`.
    pub replay: Key<&'t str>,
    /// `window`.
    pub window: Key<&'t str>,
}

/// An entry of `keys` as written.
#[derive(Clone, Copy)]
pub(in crate::config) struct HmacKey<'t> {
    /// In front of the equals sign.
    pub id: Written<&'t str>,
    /// Behind it.
    pub value: Written<&'t str>,
}

/// Reads the table. `title`: that of the instance.
pub(super) fn auth<'t>(title: &str, value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Auth<'t>>> {
    let DeValue::Table(table) = value.get_ref() else {
        return wrong_type("auth", "a table, written [instance.NAME.auth]", value, report);
    };
    let place = place_of(value);
    let title = title.replace(']', ".auth]");
    let mut fields = Fields::new(title.clone(), place, table);
    let auth = Auth {
        password: fields.string("password", SECRET, report),
        ah: fields.string("ah", SECRET, report),
        mode: fields.string("mode", MODE, report),
        hmac: fields.read("hmac", |value| hmac(&title, value, report)),
    };
    fields.finish(KEEPALIVED, report);
    Some(Written { value: auth, place })
}

fn hmac<'t>(title: &str, value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Hmac<'t>>> {
    let DeValue::Table(table) = value.get_ref() else {
        return wrong_type("hmac", "a table such as { keys = { 1 = \"file:/etc/vrrpd/keys/web\" } }", value, report);
    };
    let place = place_of(value);
    let mut fields = Fields::new(title.replace(']', ".hmac]"), place, table);
    let hmac = Hmac {
        keys: fields.required("keys", "keys = { 1 = \"file:/etc/vrrpd/keys/web\" }", report, |value, report| {
            let DeValue::Table(table) = value.get_ref() else {
                return wrong_type("keys", KEYS, value, report);
            };
            Some(Written { value: keys(table, report)?, place: place_of(value) })
        }),
        active: fields.integer("active", "the number of a key, from 1 to 255", report),
        mode: fields.string("mode", MODE, report),
        replay: fields.string("replay", "\"time\" or \"monotonic\"", report),
        window: fields.string("window", "a string with a unit such as \"5s\"", report),
    };
    fields.finish(KEEPALIVED, report);
    Some(Written { value: hmac, place })
}

fn keys<'t>(table: &'t DeTable<'t>, report: &mut Report<'_>) -> Option<Vec<HmacKey<'t>>> {
    let entries = in_file_order(table);
    let key = |(id, value): (Written<&'t str>, &'t Value<'t>)| {
        Some(HmacKey { id, value: string("keys", KEYS, value, report)? })
    };
    let count = entries.len();
    let keys: Vec<_> = entries.into_iter().filter_map(key).collect();
    (keys.len() == count).then_some(keys)
}

const SECRET: &str = "a string of at most 8 bytes";
const MODE: &str = "\"receive-only\", \"permissive\" or \"enforce\"";
const KEYS: &str = "a table of strings such as { 1 = \"file:/etc/vrrpd/keys/web\" }";
