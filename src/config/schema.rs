//! Every name that can be written in the TOML file, and the type of what stands behind it.
//!
//! Knows names and types; refuses unknown names. Neither defaults nor ranges are here. One stop before: `table`; one stop after: `resolve`.

mod auth;
mod check;
mod hook;
mod moved;

pub(super) use auth::{Auth, Hmac, HmacKey};
pub(super) use check::{Check, Group, Kind, Look, Process, Status, Target, Track};
pub(super) use hook::{Fifo, Hooks, NodeHooks, Program, Words};
pub(super) use moved::{Address, AddressOptions, Fixed, Scope};
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::problem::Report;
use super::source::{Place, Source, Written};
use super::table::{Fields, Key, Value, in_file_order, integer, list, place_of, string, wrong_type};

/// The file as written.
pub(super) struct File<'t> {
    /// `[daemon]`.
    pub daemon: Daemon<'t>,
    /// `[instance.NAME]`, in the order of the file.
    pub instances: Vec<Instance<'t>>,
    /// `[check.NAME]`, in the order of the file.
    pub checks: Vec<Check<'t>>,
    /// `[group.NAME]`, in the order of the file.
    pub groups: Vec<Group<'t>>,
    /// `[static]`.
    pub fixed: Fixed<'t>,
}

/// `[daemon]` as written.
pub(super) struct Daemon<'t> {
    /// `node`.
    pub node: Key<&'t str>,
    /// `runtime_dir`.
    pub runtime_dir: Key<&'t str>,
    /// `control_group`.
    pub control_group: Key<&'t str>,
    /// `metrics`.
    pub metrics: Key<&'t str>,
    /// What it says about programs and pipes.
    pub hooks: NodeHooks<'t>,
    /// `vip_lease`.
    pub vip_lease: Key<&'t str>,
}

/// `[instance.NAME]` as written.
pub(super) struct Instance<'t> {
    /// NAME.
    pub name: Written<&'t str>,
    /// `interface`.
    pub interface: Key<&'t str>,
    /// `virtual_router_id`.
    pub vrid: Key<i64>,
    /// `version`.
    pub version: Key<i64>,
    /// `advert_interval`.
    pub advert_interval: Key<&'t str>,
    /// `addresses`; an unusable entry makes the list [`Key::Wrong`] only when it is no list.
    pub addresses: Key<Items<Address<'t>>>,
    /// `virtual_routes`.
    pub routes: Key<Items<Written<&'t str>>>,
    /// `virtual_rules`.
    pub rules: Key<Items<Written<&'t str>>>,
    /// `preempt`.
    pub preempt: Key<&'t str>,
    /// `checksum`.
    pub checksum: Key<&'t str>,
    /// `strict`.
    pub strict: Key<bool>,
    /// `announce_repeats`.
    pub announce_repeats: Key<Items<Written<&'t str>>>,
    /// `announce_refresh`.
    pub announce_refresh: Key<&'t str>,
    /// `master_down_adverts`.
    pub master_down_adverts: Key<i64>,
    /// `ignore_link`.
    pub ignore_link: Key<bool>,
    /// `[instance.NAME.auth]`.
    pub auth: Key<Auth<'t>>,
    /// `min_ttl`.
    pub min_ttl: Key<i64>,
    /// `max_ttl`.
    pub max_ttl: Key<i64>,
    /// `multicast`.
    pub multicast: Key<Multicast<'t>>,
    /// `also_multicast`.
    pub also_multicast: Key<Multicast<'t>>,
    /// `[[instance.NAME.node]]`.
    pub nodes: Key<Items<Node<'t>>>,
    /// `source`.
    pub source: Key<&'t str>,
    /// `priority`.
    pub priority: Key<i64>,
    /// `peers`.
    pub peers: Key<Items<Peer<'t>>>,
    /// `checks`.
    pub checks: Key<Items<Track<'t>>>,
    /// `notify` and its like.
    pub hooks: Hooks<'t>,
    /// `vip_lease`.
    pub vip_lease: Key<&'t str>,
    /// `on_conflict`.
    pub on_conflict: Key<&'t str>,
}

/// The usable entries of a list.
pub(super) struct Items<T> {
    /// In written order.
    pub items: Vec<T>,
    /// False when an entry was reported: the list as a whole says nothing then.
    pub is_complete: bool,
}

/// `multicast`.
#[derive(Clone, Copy)]
pub(super) enum Multicast<'t> {
    /// `true`: the group of the protocol; `false`: none.
    Said(bool),
    /// Another group.
    Group(&'t str),
}

/// `[[instance.NAME.node]]` as written.
pub(super) struct Node<'t> {
    /// Where the table begins.
    pub place: Place,
    /// `name`.
    pub name: Key<&'t str>,
    /// `address`.
    pub address: Key<&'t str>,
    /// `priority`.
    pub priority: Key<i64>,
}

/// An entry of `peers`: a string, or a table with options.
pub(super) struct Peer<'t> {
    /// `address`.
    pub address: Written<&'t str>,
    /// `min_ttl`.
    pub min_ttl: Key<i64>,
    /// `max_ttl`.
    pub max_ttl: Key<i64>,
    /// `priority`.
    pub priority: Key<i64>,
}

/// Parses the text; `None` when it is not TOML, every reason reported.
pub(super) fn parse<'t>(source: &'t Source, report: &mut Report<'_>) -> Option<toml::Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let place = Place(error.span().map_or(0, |span| span.start));
        report.error(place, ConfigError::Syntax(error.message().replace('\n', " ")));
    }
    errors.is_empty().then_some(table)
}

/// Reads the whole file; reports every key that is unknown or of another type.
pub(super) fn file<'t>(document: &'t DeTable<'t>, report: &mut Report<'_>) -> File<'t> {
    let mut fields = Fields::new("the top level of the file", Place(0), document);
    let daemon = match fields.value("daemon") {
        Some((_, value)) => match value.get_ref() {
            DeValue::Table(table) => daemon(Fields::new("[daemon]", place_of(value), table), report),
            _ => {
                wrong_type::<()>("daemon", "a table, written [daemon]", value, report);
                Daemon::absent()
            }
        },
        None => Daemon::absent(),
    };
    let instances = tables("instance", "tables, written [instance.NAME]", &mut fields, report, instance);
    let checks = tables("check", "tables, written [check.NAME]", &mut fields, report, check::check);
    let groups = tables("group", "tables, written [group.NAME]", &mut fields, report, check::group);
    let fixed = match fields.value("static") {
        Some((_, value)) => match value.get_ref() {
            DeValue::Table(table) => moved::fixed(Fields::new("[static]", place_of(value), table), report),
            _ => {
                wrong_type::<()>("static", "a table, written [static]", value, report);
                Fixed::absent()
            }
        },
        None => Fixed::absent(),
    };
    fields.finish(KEEPALIVED, report);
    File { daemon, instances, checks, groups, fixed }
}

/// Reads the tables of one kind, each with a name, in the order of the file.
fn tables<'t, T>(
    key: &'static str,
    expected: &'static str,
    fields: &mut Fields<'t>,
    report: &mut Report<'_>,
    read: impl Fn(Written<&'t str>, Place, &'t DeTable<'t>, &mut Report<'_>) -> T,
) -> Vec<T> {
    let Some((_, value)) = fields.value(key) else { return Vec::new() };
    let DeValue::Table(tables) = value.get_ref() else {
        wrong_type::<()>(key, expected, value, report);
        return Vec::new();
    };
    let one = |(name, value): (Written<&'t str>, &'t Value<'t>)| match value.get_ref() {
        DeValue::Table(table) => Some(read(name, place_of(value), table, report)),
        _ => wrong_type(key, expected, value, report),
    };
    in_file_order(tables).into_iter().filter_map(one).collect()
}

impl Daemon<'_> {
    /// Returns what a file without `[daemon]` says.
    fn absent() -> Self {
        let hooks = NodeHooks::absent();
        let (node, runtime_dir, control_group, vip_lease) = (Key::Absent, Key::Absent, Key::Absent, Key::Absent);
        Self { node, runtime_dir, control_group, metrics: Key::Absent, hooks, vip_lease }
    }
}

fn daemon<'t>(mut fields: Fields<'t>, report: &mut Report<'_>) -> Daemon<'t> {
    let daemon = Daemon {
        node: fields.string("node", "a name such as \"lb1\"", report),
        runtime_dir: fields.string("runtime_dir", "a path such as \"/run/vrrpd\"", report),
        control_group: fields.string("control_group", "the name of a group such as \"vrrpd\"", report),
        metrics: fields.string("metrics", "an address and a port such as \"127.0.0.1:9165\"", report),
        hooks: hook::of_node(&mut fields, report),
        vip_lease: fields.string("vip_lease", LEASE, report),
    };
    fields.finish(KEEPALIVED, report);
    daemon
}

fn instance<'t>(name: Written<&'t str>, place: Place, table: &'t DeTable<'t>, report: &mut Report<'_>) -> Instance<'t> {
    let title = format!("[instance.{}]", super::error::excerpt(name.value));
    let mut fields = Fields::new(title.clone(), place, table);
    let instance = Instance {
        name,
        interface: fields.required("interface", "interface = \"eth0\"", report, |value, report| {
            string("interface", "the name of an interface such as \"eth0\"", value, report)
        }),
        vrid: fields.required("virtual_router_id", "virtual_router_id = 51", report, |value, report| {
            integer("virtual_router_id", "a number from 1 to 255", value, report)
        }),
        version: fields.integer("version", "2 or 3", report),
        advert_interval: fields.string("advert_interval", "a string with a unit such as \"1s\"", report),
        addresses: fields.required("addresses", "addresses = [\"10.0.0.30\"]", report, |value, report| {
            moved::addresses(value, report)
        }),
        routes: fields.read("virtual_routes", |value| moved::entries("virtual_routes", value, report)),
        rules: fields.read("virtual_rules", |value| moved::entries("virtual_rules", value, report)),
        preempt: fields.string("preempt", "\"always\", \"never\" or a delay such as \"after 30s\"", report),
        checksum: fields.string("checksum", "a word such as \"auto\"", report),
        strict: fields.boolean("strict", report),
        announce_repeats: fields.read("announce_repeats", |value| {
            items("announce_repeats", "a list such as [\"1s\", \"5s\"]", value, report, |value, report| {
                string("announce_repeats", "strings with a unit such as \"1s\"", value, report)
            })
        }),
        announce_refresh: fields.string("announce_refresh", "\"off\" or a string with a unit such as \"60s\"", report),
        master_down_adverts: fields.integer("master_down_adverts", "a number from 1 to 100", report),
        ignore_link: fields.boolean("ignore_link", report),
        auth: fields.read("auth", |value| auth::auth(&title, value, report)),
        min_ttl: fields.integer("min_ttl", TTL, report),
        max_ttl: fields.integer("max_ttl", TTL, report),
        multicast: fields.read("multicast", |value| multicast("multicast", value, report)),
        also_multicast: fields.read("also_multicast", |value| multicast("also_multicast", value, report)),
        nodes: fields.read("node", |value| nodes(&title, value, report)),
        source: fields.string("source", "this node's address such as \"10.0.0.20\"", report),
        priority: fields.integer("priority", PRIORITY, report),
        peers: fields.read("peers", |value| items("peers", "a list such as [\"10.0.0.21\"]", value, report, peer)),
        checks: fields.read("checks", |value| check::tracks(value, report)),
        hooks: hook::hooks(&mut fields, false, report),
        vip_lease: fields.string("vip_lease", LEASE, report),
        on_conflict: fields.string("on_conflict", "\"warn\" or \"yield\"", report),
    };
    fields.finish(KEEPALIVED, report);
    instance
}

fn multicast<'t>(key: &'static str, value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Multicast<'t>>> {
    let place = place_of(value);
    match value.get_ref() {
        DeValue::Boolean(said) => Some(Written { value: Multicast::Said(*said), place }),
        DeValue::String(group) => Some(Written { value: Multicast::Group(group), place }),
        _ => wrong_type(key, "true or a group such as \"224.0.0.18\"", value, report),
    }
}

fn nodes<'t>(title: &str, value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Items<Node<'t>>>> {
    let title = format!("[{title}]").replace("]]", ".node]]");
    items("node", "tables, written [[instance.NAME.node]]", value, report, |value, report| {
        let DeValue::Table(table) = value.get_ref() else {
            return wrong_type("node", "tables, written [[instance.NAME.node]]", value, report);
        };
        let place = place_of(value);
        let mut fields = Fields::new(title.clone(), place, table);
        let node = Node {
            place,
            name: fields.string("name", "a name such as \"lb1\"", report),
            address: fields.required("address", "address = \"10.0.0.20\"", report, |value, report| {
                string("address", "the node's address such as \"10.0.0.20\"", value, report)
            }),
            priority: fields.integer("priority", PRIORITY, report),
        };
        fields.finish(KEEPALIVED, report);
        Some(node)
    })
}

fn peer<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Peer<'t>> {
    const EXPECTED: &str =
        "addresses such as \"10.0.0.21\", or tables such as { address = \"10.0.0.21\", min_ttl = 255 }";
    let place = place_of(value);
    match value.get_ref() {
        DeValue::String(text) => {
            let address = Written { value: text.as_ref(), place };
            Some(Peer { address, min_ttl: Key::Absent, max_ttl: Key::Absent, priority: Key::Absent })
        }
        DeValue::Table(table) => {
            let mut fields = Fields::new("an entry of `peers`", place, table);
            let address = fields.required("address", "address = \"10.0.0.21\"", report, |value, report| {
                string("address", "the peer's address such as \"10.0.0.21\"", value, report)
            });
            let min_ttl = fields.integer("min_ttl", TTL, report);
            let max_ttl = fields.integer("max_ttl", TTL, report);
            let priority = fields.integer("priority", PRIORITY, report);
            fields.finish(KEEPALIVED, report);
            Some(Peer { address: *address.here()?, min_ttl, max_ttl, priority })
        }
        _ => wrong_type("peers", EXPECTED, value, report),
    }
}

/// Reads each entry of a list; keeps the usable ones.
fn items<'t, T>(
    key: &'static str,
    expected: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
    mut read: impl FnMut(&'t Value<'t>, &mut Report<'_>) -> Option<T>,
) -> Option<Written<Items<T>>> {
    let values = list(key, expected, value, report)?;
    let items: Vec<T> = values.iter().filter_map(|value| read(value, report)).collect();
    let is_complete = items.len() == values.len();
    Some(Written { value: Items { items, is_complete }, place: place_of(value) })
}

const PRIORITY: &str = "a number from 1 to 255";
const TTL: &str = "a number from 1 to 255";

const LEASE: &str = "\"off\" or a string with a unit such as \"3s\"";

/// Names of keepalived.conf, and what they are here.
const KEEPALIVED: &[(&str, &str)] = &[
    ("advert_int", "`advert_interval = \"1s\"`"),
    ("active_key", "`active` in [instance.NAME.auth.hmac]"),
    ("anti_replay", "`replay` in [instance.NAME.auth.hmac]"),
    ("auth_hmac", "the table [instance.NAME.auth.hmac]"),
    ("auth_pass", "`password` in [instance.NAME.auth]"),
    ("auth_type", "`password` or `ah` in [instance.NAME.auth]"),
    ("authentication", "the table [instance.NAME.auth]"),
    ("dont_track_primary", "`ignore_link = true`"),
    ("down_timer_adverts", "`master_down_adverts`"),
    ("enable_script_security", "the default; `script_security = false` is the opposite"),
    ("garp_master_delay", "`announce_repeats = [\"5s\"]`"),
    ("garp_master_refresh", "`announce_refresh = \"60s\"`"),
    ("global_defs", "the table [daemon]"),
    ("mcast_src_ip", "`source`"),
    ("nopreempt", "`preempt = \"never\"`"),
    ("preempt_delay", "`preempt = \"after 30s\"`"),
    ("router_id", "`node` in [daemon]"),
    ("state", "`priority`, which alone decides who is master"),
    ("time_window", "`window` in [instance.NAME.auth.hmac]"),
    ("track_file", "`checks`"),
    ("track_interface", "`checks`, and a table [check.NAME] with `interface`"),
    ("track_process", "`checks`"),
    ("track_script", "`checks`"),
    ("unicast_peer", "`peers` or a [[instance.NAME.node]] list"),
    ("unicast_src_ip", "`source` or a [[instance.NAME.node]] list"),
    ("virtual_ipaddress", "`addresses`"),
    ("virtual_ipaddress_excluded", "an entry of `addresses` with `advertise = false`"),
    ("vrrp_instance", "a table [instance.NAME]"),
    ("vrrp_script", "a table [check.NAME] with `exec`"),
    ("vrrp_strict", "`strict = true`"),
    ("vrrp_sync_group", "a table [group.NAME]"),
    ("vrrp_track_process", "a table [check.NAME] with `process`"),
    ("vrrp_version", "`version`"),
];
