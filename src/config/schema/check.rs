//! What is watched, for whom, and which instances move together, as written.
//!
//! One stop before: `schema`; one stop after: `checks`, `tracks` and `groups`.

use toml::de::{DeTable, DeValue};

use super::hook::{Hooks, USER, Words, hooks, word_list, words};
use super::{Items, items};
use crate::config::error::excerpt;
use crate::config::problem::Report;
use crate::config::source::{Place, Written};
use crate::config::table::{Fields, Key, Value, integer, place_of, string, wrong_type};

/// `[check.NAME]` as written.
pub(in crate::config) struct Check<'t> {
    /// NAME.
    pub name: Written<&'t str>,
    /// What is looked at: each of the kinds that is there.
    pub kinds: Vec<Kind<'t>>,
    /// Every key that is there, with its place.
    pub keys: Vec<(&'static str, Place)>,
    /// `interval`.
    pub interval: Key<&'t str>,
    /// `timeout`.
    pub timeout: Key<&'t str>,
    /// `rise`.
    pub rise: Key<i64>,
    /// `fall`.
    pub fall: Key<i64>,
    /// `initial`.
    pub initial: Key<&'t str>,
    /// `user` of `exec`.
    pub user: Key<&'t str>,
    /// `host` of `http`.
    pub host: Key<&'t str>,
    /// `socket` of `http`.
    pub socket: Key<&'t str>,
    /// `status` of `http`.
    pub status: Key<Items<Status<'t>>>,
    /// `body` of `http`.
    pub body: Key<&'t str>,
    /// `min` of `process`.
    pub min: Key<i64>,
    /// `max` of `process`.
    pub max: Key<i64>,
    /// `gain_delay` of `process`.
    pub gain_delay: Key<&'t str>,
    /// `loss_delay` of `process`.
    pub loss_delay: Key<&'t str>,
    /// `sense` of `file`.
    pub sense: Key<&'t str>,
}

/// What is looked at.
pub(in crate::config) struct Kind<'t> {
    /// Which.
    pub look: Look,
    /// Where it begins.
    pub place: Place,
    /// What stands there; `None`: something unusable, which was reported.
    pub target: Option<Target<'t>>,
}

/// The kinds of checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Look {
    /// A program.
    Exec,
    /// A request over HTTP.
    Http,
    /// A connection.
    Tcp,
    /// Processes.
    Process,
    /// A systemd unit.
    Unit,
    /// A file.
    File,
    /// An interface.
    Interface,
    /// An ICMP echo.
    Ping,
}

impl Look {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 8] =
        [Self::Exec, Self::Http, Self::Tcp, Self::Process, Self::Unit, Self::File, Self::Interface, Self::Ping];

    /// Returns the key that says so.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Process => "process",
            Self::Unit => "unit",
            Self::File => "file",
            Self::Interface => "interface",
            Self::Ping => "ping",
        }
    }

    /// Says whether it looks again and again; the others are told when something changes.
    pub const fn repeats(self) -> bool {
        match self {
            Self::Exec | Self::Http | Self::Tcp | Self::Ping => true,
            Self::Process | Self::Unit | Self::File | Self::Interface => false,
        }
    }

    /// Returns what the key takes.
    const fn expected(self) -> &'static str {
        match self {
            Self::Exec => "the path of a program, or a list such as [\"/usr/bin/program\", \"argument\"]",
            Self::Http => "a URL such as \"http://127.0.0.1:8080/health\"",
            Self::Tcp => "an address and a port such as \"127.0.0.1:80\", or \"unix:/run/program.sock\"",
            Self::Process => {
                "the name of a process such as \"haproxy\", or a table such as { pid_file = \"/run/haproxy.pid\" }"
            }
            Self::Unit => "the name of a systemd unit such as \"haproxy.service\"",
            Self::File => "the path of a file such as \"/run/maintenance\"",
            Self::Interface => "the name of an interface such as \"eth1\"",
            Self::Ping => "an address such as \"10.0.0.1\"",
        }
    }
}

/// What stands at the key of a kind.
pub(in crate::config) enum Target<'t> {
    /// `exec`.
    Program(Words<'t>),
    /// `process` with a table.
    Process(Process<'t>),
    /// Any other.
    Text(&'t str),
}

/// `process` with a table.
pub(in crate::config) struct Process<'t> {
    /// `pid_file`.
    pub pid_file: Key<&'t str>,
    /// `command`.
    pub command: Key<Items<Written<&'t str>>>,
    /// `match`.
    pub matching: Key<&'t str>,
}

/// An entry of `status`.
pub(in crate::config) enum Status<'t> {
    /// A number.
    Code(Written<i64>),
    /// A number or a range as text.
    Text(Written<&'t str>),
}

/// An entry of `checks`: a string, or a table with options.
pub(in crate::config) struct Track<'t> {
    /// `name`.
    pub name: Written<&'t str>,
    /// `weight`.
    pub weight: Key<i64>,
    /// `reverse`.
    pub reverse: Key<bool>,
    /// `urgent`.
    pub urgent: Key<bool>,
}

/// `[group.NAME]` as written.
pub(in crate::config) struct Group<'t> {
    /// NAME.
    pub name: Written<&'t str>,
    /// `instances`.
    pub instances: Key<Items<Written<&'t str>>>,
    /// `checks`.
    pub checks: Key<Items<Track<'t>>>,
    /// `notify` and its like.
    pub hooks: Hooks<'t>,
}

/// Reads `[check.NAME]`.
pub(super) fn check<'t>(
    name: Written<&'t str>,
    place: Place,
    table: &'t DeTable<'t>,
    report: &mut Report<'_>,
) -> Check<'t> {
    let mut fields = Fields::new(format!("[check.{}]", excerpt(name.value)), place, table);
    let length = "a string with a unit such as \"1s\"";
    let mut check = Check {
        name,
        kinds: Look::ALL.iter().filter_map(|look| kind(*look, &mut fields, report)).collect(),
        keys: Vec::new(),
        interval: fields.string("interval", length, report),
        timeout: fields.string("timeout", length, report),
        rise: fields.integer("rise", COUNT, report),
        fall: fields.integer("fall", COUNT, report),
        initial: fields.string("initial", "\"unknown\", \"passing\" or \"failing\"", report),
        user: fields.string("user", USER, report),
        host: fields.string("host", "a name such as \"www.example.org\"", report),
        socket: fields.string("socket", "the path of a unix socket such as \"/run/program.sock\"", report),
        status: fields.read("status", |value| statuses(value, report)),
        body: fields.string("body", "text that the answer must contain", report),
        min: fields.integer("min", COUNT, report),
        max: fields.integer("max", COUNT, report),
        gain_delay: fields.string("gain_delay", length, report),
        loss_delay: fields.string("loss_delay", length, report),
        sense: fields.string("sense", "\"exists\", \"absent\" or \"number\"", report),
    };
    check.keys = fields.places();
    fields.finish(KEEPALIVED_CHECK, report);
    check
}

fn kind<'t>(look: Look, fields: &mut Fields<'t>, report: &mut Report<'_>) -> Option<Kind<'t>> {
    let (_, value) = fields.value(look.key())?;
    let target = match (look, value.get_ref()) {
        (Look::Exec, _) => words(look.key(), value, report).map(|words| Target::Program(words.value)),
        (Look::Process, DeValue::Table(table)) => Some(Target::Process(process(place_of(value), table, report))),
        (_, _) => string(look.key(), look.expected(), value, report).map(|text| Target::Text(text.value)),
    };
    Some(Kind { look, place: place_of(value), target })
}

fn process<'t>(place: Place, table: &'t DeTable<'t>, report: &mut Report<'_>) -> Process<'t> {
    let mut fields = Fields::new("the table of `process`", place, table);
    let process = Process {
        pid_file: fields.string("pid_file", "the path of a file such as \"/run/haproxy.pid\"", report),
        command: fields
            .read("command", |value| word_list("command", "a list such as [\"haproxy\", \"-Ws\"]", value, report)),
        matching: fields.string("match", "\"exact\", \"partial\" or \"initial\"", report),
    };
    fields.finish(&[("param_match", "`match`")], report);
    process
}

/// Reads one status or a list of them.
fn statuses<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Items<Status<'t>>>> {
    match value.get_ref() {
        DeValue::Array(_) => items("status", STATUS, value, report, status),
        _ => {
            let items = vec![status(value, report)?];
            Some(Written { value: Items { items, is_complete: true }, place: place_of(value) })
        }
    }
}

fn status<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Status<'t>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Status::Text(Written { value: text, place: place_of(value) })),
        _ => integer("status", STATUS, value, report).map(Status::Code),
    }
}

/// Reads `checks` of an instance or a group.
pub(super) fn tracks<'t>(value: &'t Value<'t>, report: &mut Report<'_>) -> Option<Written<Items<Track<'t>>>> {
    items("checks", "a list such as [\"apache\"]", value, report, |value, report| {
        let place = place_of(value);
        match value.get_ref() {
            DeValue::String(name) => Some(Track {
                name: Written { value: name, place },
                weight: Key::Absent,
                reverse: Key::Absent,
                urgent: Key::Absent,
            }),
            DeValue::Table(table) => {
                let mut fields = Fields::new("an entry of `checks`", place, table);
                let name = fields.required("name", "name = \"apache\"", report, |value, report| {
                    string("name", "the name of a check such as \"apache\"", value, report)
                });
                let weight = fields.integer("weight", "a number from -254 to 254", report);
                let reverse = fields.boolean("reverse", report);
                let urgent = fields.boolean("urgent", report);
                fields.finish(&[("init_fail", "`initial = \"failing\"` of the check")], report);
                Some(Track { name: *name.here()?, weight, reverse, urgent })
            }
            _ => {
                wrong_type("checks", "names such as \"apache\", or tables such as { name = \"apache\" }", value, report)
            }
        }
    })
}

/// Reads `[group.NAME]`.
pub(super) fn group<'t>(
    name: Written<&'t str>,
    place: Place,
    table: &'t DeTable<'t>,
    report: &mut Report<'_>,
) -> Group<'t> {
    let mut fields = Fields::new(format!("[group.{}]", excerpt(name.value)), place, table);
    let group = Group {
        name,
        instances: fields.required("instances", "instances = [\"web\", \"web6\"]", report, |value, report| {
            items("instances", "a list such as [\"web\", \"web6\"]", value, report, |value, report| {
                string("instances", "names of instances", value, report)
            })
        }),
        checks: fields.read("checks", |value| tracks(value, report)),
        hooks: hooks(&mut fields, true, report),
    };
    fields.finish(KEEPALIVED_GROUP, report);
    group
}

const COUNT: &str = "a number, at least 1";
const STATUS: &str = "a number such as 200, a range such as \"200-299\", or a list of these";

/// Names of keepalived.conf in a check, and what they are here.
const KEEPALIVED_CHECK: &[(&str, &str)] = &[
    ("delay", "`gain_delay` and `loss_delay`"),
    ("fork_delay", "`gain_delay`"),
    ("init_fail", "`initial = \"failing\"`"),
    ("param_match", "`match` in the table of `process`"),
    ("quorum", "`min`"),
    ("quorum_max", "`max`"),
    ("script", "`exec`"),
    ("terminate_delay", "`loss_delay`"),
    ("weight", "an entry of `checks` in the instance, such as { name = \"apache\", weight = -20 }"),
];

/// Names of keepalived.conf in a group, and what they are here.
const KEEPALIVED_GROUP: &[(&str, &str)] = &[
    ("global_tracking", "nothing: weights of members count"),
    ("group", "`instances`"),
    ("notify_master_rx_lower_pri", "a key of the instances, which are those that hear adverts"),
    ("sync_group_tracking_weight", "nothing: weights of members count"),
    ("track_file", "`checks`"),
    ("track_interface", "`checks`"),
    ("track_process", "`checks`"),
    ("track_script", "`checks`"),
];
