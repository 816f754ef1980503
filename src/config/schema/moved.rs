//! What moves with an instance or is there always: addresses, routes and rules as written.
//!
//! One stop before: `schema`; one stop after: `vips` and `fixed`.

use toml::de::DeValue;

use super::{Items, items};
use crate::config::problem::Report;
use crate::config::source::Written;
use crate::config::table::{Fields, Key, Value, integer, place_of, string, wrong_type};

/// An entry of `addresses`: a string, or a table with options.
pub(in crate::config) struct Address<'t> {
    /// Address with or without a prefix length.
    pub address: Written<&'t str>,
    /// `interface`.
    pub interface: Key<&'t str>,
    /// `advertise`.
    pub advertise: Key<bool>,
    /// `label`.
    pub label: Key<&'t str>,
    /// `broadcast`.
    pub broadcast: Key<&'t str>,
    /// `scope`.
    pub scope: Key<Scope<'t>>,
    /// What few addresses have.
    pub options: AddressOptions<'t>,
}

/// What few addresses have.
pub(in crate::config) struct AddressOptions<'t> {
    /// `peer`.
    pub peer: Key<&'t str>,
    /// `preferred_lifetime`.
    pub preferred_lifetime: Key<&'t str>,
    /// `dad`.
    pub dad: Key<bool>,
    /// `home`.
    pub home: Key<bool>,
    /// `mngtmpaddr`.
    pub mngtmpaddr: Key<bool>,
    /// `noprefixroute`.
    pub noprefixroute: Key<bool>,
    /// `autojoin`.
    pub autojoin: Key<bool>,
    /// `no_track`.
    pub no_track: Key<bool>,
}

/// `scope` of an address.
#[derive(Clone, Copy)]
pub(in crate::config) enum Scope<'t> {
    /// A word.
    Word(&'t str),
    /// A number.
    Number(i64),
}

/// `[static]` as written.
pub(in crate::config) struct Fixed<'t> {
    /// `addresses`.
    pub addresses: Key<Items<Address<'t>>>,
    /// `routes`.
    pub routes: Key<Items<Written<&'t str>>>,
    /// `rules`.
    pub rules: Key<Items<Written<&'t str>>>,
}

/// Reads `[static]`.
pub(super) fn fixed<'t>(mut fields: Fields<'t>, report: &mut Report<'_>) -> Fixed<'t> {
    let fixed = Fixed {
        addresses: fields.read("addresses", |value| addresses(value, report)),
        routes: fields.read("routes", |value| entries("routes", value, report)),
        rules: fields.read("rules", |value| entries("rules", value, report)),
    };
    fields.finish(&[], report);
    fixed
}

impl Fixed<'_> {
    /// Returns what a file without `[static]` says.
    pub(super) fn absent() -> Self {
        Self { addresses: Key::Absent, routes: Key::Absent, rules: Key::Absent }
    }
}

/// Reads a list of addresses.
pub(super) fn addresses<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Items<Address<'t>>>> {
    items("addresses", "a list such as [\"10.0.0.30\"]", value, report, address)
}

/// Reads a list of routes or rules, each in the words of `ip`.
pub(super) fn entries<'t>(
    key: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
) -> Option<Written<Items<Written<&'t str>>>> {
    items(key, "a list such as [\"default via 10.0.0.1\"]", value, report, |value, report| {
        string(key, "strings in the words of `ip`, such as \"from 10.0.0.0/8 table 100\"", value, report)
    })
}

fn address<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Address<'t>> {
    const EXPECTED: &str = "addresses such as \"10.0.0.30/24\", or tables such as { address = \"10.0.0.30\", ... }";
    let place = place_of(value);
    match value.get_ref() {
        DeValue::String(text) => Some(Address {
            address: Written { value: text, place },
            interface: Key::Absent,
            advertise: Key::Absent,
            label: Key::Absent,
            broadcast: Key::Absent,
            scope: Key::Absent,
            options: AddressOptions::absent(),
        }),
        DeValue::Table(table) => {
            let mut fields = Fields::new("an entry of `addresses`", place, table);
            let address = fields.required("address", "address = \"10.0.0.30\"", report, |value, report| {
                string("address", "an address such as \"10.0.0.30/24\"", value, report)
            });
            let interface = fields.string("interface", "the name of an interface such as \"eth0\"", report);
            let advertise = fields.boolean("advertise", report);
            let label = fields.string("label", "a label such as \"eth0:vip\"", report);
            let broadcast = fields.string("broadcast", "an IPv4 address such as \"10.0.0.255\"", report);
            let scope = fields.read("scope", |value| scope(value, report));
            let options = address_options(&mut fields, report);
            fields.finish(KEEPALIVED_ADDRESS, report);
            let address = *address.here()?;
            Some(Address { address, interface, advertise, label, broadcast, scope, options })
        }
        _ => wrong_type("addresses", EXPECTED, value, report),
    }
}

impl AddressOptions<'_> {
    /// Returns what an address without a table says.
    fn absent() -> Self {
        Self {
            peer: Key::Absent,
            preferred_lifetime: Key::Absent,
            dad: Key::Absent,
            home: Key::Absent,
            mngtmpaddr: Key::Absent,
            noprefixroute: Key::Absent,
            autojoin: Key::Absent,
            no_track: Key::Absent,
        }
    }
}

fn address_options<'t>(fields: &mut Fields<'t>, report: &mut Report<'_>) -> AddressOptions<'t> {
    AddressOptions {
        peer: fields.string("peer", "the other end's address such as \"10.0.0.2\"", report),
        preferred_lifetime: fields.string("preferred_lifetime", "a string with a unit such as \"0s\"", report),
        dad: fields.boolean("dad", report),
        home: fields.boolean("home", report),
        mngtmpaddr: fields.boolean("mngtmpaddr", report),
        noprefixroute: fields.boolean("noprefixroute", report),
        autojoin: fields.boolean("autojoin", report),
        no_track: fields.boolean("no_track", report),
    }
}

fn scope<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Scope<'t>>> {
    const EXPECTED: &str = "\"global\", \"site\", \"link\", \"host\" or a number from 0 to 254";
    let place = place_of(value);
    match value.get_ref() {
        DeValue::String(word) => Some(Written { value: Scope::Word(word), place }),
        _ => integer("scope", EXPECTED, value, report)
            .map(|number| Written { value: Scope::Number(number.value), place }),
    }
}

/// Names of keepalived.conf in an address, and what they are here.
const KEEPALIVED_ADDRESS: &[(&str, &str)] = &[
    ("brd", "`broadcast`"),
    ("dev", "`interface`"),
    ("nodad", "the default; `dad = true` is the opposite"),
    ("preferred_lft", "`preferred_lifetime = \"0s\"`"),
];
