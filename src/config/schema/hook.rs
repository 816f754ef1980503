//! Programs and pipes that are told what happens, as written.
//!
//! One stop before: `schema`; one stop after: `hooks`.

use toml::de::DeValue;

use super::{Items, items};
use crate::config::problem::Report;
use crate::config::source::{Place, Written};
use crate::config::table::{Fields, Key, Value, place_of, string, wrong_type};
use crate::engine::params::HookEvent;

/// A program: a string, a list of words, or a table with a user.
pub(in crate::config) struct Program<'t> {
    /// What is run.
    pub words: Written<Words<'t>>,
    /// `user`.
    pub user: Key<&'t str>,
}

/// What is run.
pub(in crate::config) enum Words<'t> {
    /// A program without arguments.
    Alone(&'t str),
    /// A program and its arguments.
    List(Items<Written<&'t str>>),
}

/// The hooks of an instance or a group.
pub(in crate::config) struct Hooks<'t> {
    /// Each key with its event, in the order in which they are called.
    pub programs: Vec<(HookEvent, &'static str, Key<Program<'t>>)>,
    /// `notify_timeout`.
    pub timeout: Key<&'t str>,
    /// `notify_refresh`.
    pub refresh: Key<&'t str>,
}

/// What `[daemon]` says about programs and pipes.
pub(in crate::config) struct NodeHooks<'t> {
    /// `script_user`.
    pub user: Key<&'t str>,
    /// `script_fallback`.
    pub fallback: Key<&'t str>,
    /// `script_security`.
    pub security: Key<bool>,
    /// `startup_script`.
    pub startup: Key<Program<'t>>,
    /// `startup_script_timeout`.
    pub startup_timeout: Key<&'t str>,
    /// `shutdown_script`.
    pub shutdown: Key<Program<'t>>,
    /// `shutdown_script_timeout`.
    pub shutdown_timeout: Key<&'t str>,
    /// `notify_fifo`.
    pub fifos: Key<Items<Fifo<'t>>>,
    /// `notify_priority_changes`.
    pub priority_changes: Key<bool>,
    /// `notify_states_on_reload`.
    pub states_on_reload: Key<bool>,
}

/// An entry of `notify_fifo`: a string, or a table with options.
pub(in crate::config) struct Fifo<'t> {
    /// `path`.
    pub path: Written<&'t str>,
    /// `user`.
    pub user: Key<&'t str>,
    /// `reader`.
    pub reader: Key<Program<'t>>,
}

/// Reads the hooks of an instance, or of a group, which hears no adverts of its own.
pub(super) fn hooks<'t>(fields: &mut Fields<'t>, is_group: bool, report: &mut Report<'_>) -> Hooks<'t> {
    let events = EVENTS.iter().filter(|(event, _)| !is_group || *event != HookEvent::MasterHearsLower);
    let programs =
        events.map(|&(event, key)| (event, key, fields.read(key, |value| program(key, value, report)))).collect();
    Hooks {
        programs,
        timeout: fields.string("notify_timeout", "a string with a unit such as \"30s\"", report),
        refresh: fields.string("notify_refresh", "\"off\" or a string with a unit such as \"5m\"", report),
    }
}

impl NodeHooks<'_> {
    /// Returns what a file without `[daemon]` says.
    pub(super) fn absent() -> Self {
        Self {
            user: Key::Absent,
            fallback: Key::Absent,
            security: Key::Absent,
            startup: Key::Absent,
            startup_timeout: Key::Absent,
            shutdown: Key::Absent,
            shutdown_timeout: Key::Absent,
            fifos: Key::Absent,
            priority_changes: Key::Absent,
            states_on_reload: Key::Absent,
        }
    }
}

/// Reads the keys of `[daemon]` that are about programs and pipes.
pub(super) fn of_node<'t>(fields: &mut Fields<'t>, report: &mut Report<'_>) -> NodeHooks<'t> {
    let length = "a string with a unit such as \"10s\"";
    NodeHooks {
        user: fields.string("script_user", USER, report),
        fallback: fields.string("script_fallback", "\"unprivileged\" or \"keepalived\"", report),
        security: fields.boolean("script_security", report),
        startup: fields.read("startup_script", |value| program("startup_script", value, report)),
        startup_timeout: fields.string("startup_script_timeout", length, report),
        shutdown: fields.read("shutdown_script", |value| program("shutdown_script", value, report)),
        shutdown_timeout: fields.string("shutdown_script_timeout", length, report),
        fifos: fields.read("notify_fifo", |value| fifos(value, report)),
        priority_changes: fields.boolean("notify_priority_changes", report),
        states_on_reload: fields.boolean("notify_states_on_reload", report),
    }
}

/// Reads a program in any of its three forms.
fn program<'t>(key: &'static str, value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Program<'t>>> {
    let place = place_of(value);
    let DeValue::Table(table) = value.get_ref() else {
        let words = words(key, value, report)?;
        return Some(Written { value: Program { words, user: Key::Absent }, place });
    };
    let mut fields = Fields::new(format!("the table of `{key}`"), place, table);
    let written =
        fields.required("exec", "exec = [\"/usr/local/sbin/program\", \"argument\"]", report, |value, report| {
            words("exec", value, report)
        });
    let user = fields.string("user", USER, report);
    fields.finish(KEEPALIVED, report);
    match written {
        Key::Here(words) => Some(Written { value: Program { words, user }, place }),
        Key::Absent | Key::Wrong => None,
    }
}

/// Reads a program without a user.
pub(super) fn words<'t>(
    key: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
) -> Option<Written<Words<'t>>> {
    const EXPECTED: &str = "the path of a program, or a list such as [\"/usr/bin/program\", \"argument\"]";
    let place = place_of(value);
    match value.get_ref() {
        DeValue::String(path) => Some(Written { value: Words::Alone(path), place }),
        DeValue::Array(_) => {
            let list = word_list(key, EXPECTED, value, report)?;
            Some(Written { value: Words::List(list.value), place })
        }
        _ => wrong_type(key, EXPECTED, value, report),
    }
}

/// Reads a list of words.
pub(super) fn word_list<'t>(
    key: &'static str,
    expected: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
) -> Option<Written<Items<Written<&'t str>>>> {
    items(key, expected, value, report, |value, report| string(key, "strings, one for each word", value, report))
}

/// Reads one pipe or a list of them.
fn fifos<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Items<Fifo<'t>>>> {
    match value.get_ref() {
        DeValue::Array(_) => items("notify_fifo", FIFO, value, report, fifo),
        _ => {
            let items = vec![fifo(value, report)?];
            Some(Written { value: Items { items, is_complete: true }, place: place_of(value) })
        }
    }
}

fn fifo<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Fifo<'t>> {
    let place: Place = place_of(value);
    match value.get_ref() {
        DeValue::String(path) => {
            Some(Fifo { path: Written { value: path, place }, user: Key::Absent, reader: Key::Absent })
        }
        DeValue::Table(table) => {
            let mut fields = Fields::new("the table of `notify_fifo`", place, table);
            let path = fields.required("path", "path = \"/run/vrrpd/events\"", report, |value, report| {
                string("path", "the path of a named pipe such as \"/run/vrrpd/events\"", value, report)
            });
            let user = fields.string("user", USER, report);
            let reader = fields.read("reader", |value| program("reader", value, report));
            fields.finish(KEEPALIVED, report);
            Some(Fifo { path: *path.here()?, user, reader })
        }
        _ => wrong_type("notify_fifo", FIFO, value, report),
    }
}

/// What a user is written as.
pub(super) const USER: &str = "a user such as \"nobody\" or \"nobody:nogroup\"";
const FIFO: &str = "the path of a named pipe, a table such as { path = \"/run/vrrpd/events\" }, or a list of these";

/// The keys in the order in which they are called: for one event its own first.
const EVENTS: &[(HookEvent, &str)] = &[
    (HookEvent::Master, "notify_master"),
    (HookEvent::Backup, "notify_backup"),
    (HookEvent::Fault, "notify_fault"),
    (HookEvent::Stop, "notify_stop"),
    (HookEvent::Deleted, "notify_deleted"),
    (HookEvent::MasterHearsLower, "notify_master_rx_lower_pri"),
    (HookEvent::Any, "notify"),
];

/// Names of keepalived.conf beside a program or a pipe, and what they are here.
const KEEPALIVED: &[(&str, &str)] = &[("notify_fifo_script", "`reader`"), ("script", "`exec`"), ("username", "`user`")];
