//! `[check.NAME]`: what is looked at, how often, and when it counts.
//!
//! All defaults and ranges of checks are in this file. One stop before: `schema`; one stop after: `tracks`, which finds
//! checks by name.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint;
use super::error::{CheckError, TargetError, ValueError, excerpt};
use super::hooks::{PATH_MAX, limited, path, unfit_number, user, words};
use super::problem::Report;
use super::resolve::{interface, name, unfit, unknown_word};
use super::schema::{self, Items, Kind, Look, Status, Target};
use super::source::{Place, Written};
use super::suggest;
use super::table::Key;
use crate::engine::params::{
    ArgumentMatch, CheckKind, CheckParams, Command, Endpoint, FileSense, HttpParams, Initial, ProcessParams,
    ProcessTarget,
};

/// A check as far as it is right.
pub(super) struct Check<'t> {
    /// As written; instances name it so even when it is wrong.
    pub name: Written<&'t str>,
    /// `None`: something was reported.
    pub params: Option<CheckParams>,
}

/// Reads all checks.
pub(super) fn resolve<'t>(written: &[schema::Check<'t>], report: &mut Report<'_>) -> Vec<Check<'t>> {
    written.iter().map(|written| Check { name: written.name, params: check(written, report) }).collect()
}

fn check(written: &schema::Check<'_>, report: &mut Report<'_>) -> Option<CheckParams> {
    let name = name("check", &written.name, report);
    let initial = initial(&written.initial, report);
    let kind = only_kind(written, report);
    let is_fit = kind.is_none_or(|kind| check_keys(written, kind.look, report));
    let cadence =
        if kind.is_none_or(|kind| kind.look.repeats()) { Cadence::new(written, report) } else { Some(Cadence::TOLD) };
    let kind = kind.and_then(|kind| self::kind(written, kind.look, kind.target.as_ref()?, kind.place, report));
    let Cadence { interval, timeout, rise, fall } = cadence?;
    let params = CheckParams { name: name?, kind: kind?, interval, timeout, rise, fall, initial: initial? };
    is_fit.then_some(params)
}

/// Finds the one thing that is looked at.
fn only_kind<'w, 't>(written: &'w schema::Check<'t>, report: &mut Report<'_>) -> Option<&'w Kind<'t>> {
    match written.kinds.as_slice() {
        [] => {
            report.error(written.name.place, CheckError::LooksAtNothing);
            None
        }
        [kind] => Some(kind),
        [first, second, ..] => {
            let (first, second) = if first.place <= second.place { (first, second) } else { (second, first) };
            let first_line = report.line(first.place);
            report.error(second.place, CheckError::LooksAtTwo { first: first.look.key(), first_line });
            None
        }
    }
}

/// How often it looks, and how many looks count.
struct Cadence {
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
}

impl Cadence {
    /// Of kinds that are told of each change.
    const TOLD: Self = Self { interval: DEFAULT_INTERVAL, timeout: DEFAULT_INTERVAL, rise: 1, fall: 1 };

    fn new(written: &schema::Check<'_>, report: &mut Report<'_>) -> Option<Self> {
        let interval = limited("interval", &written.interval, INTERVAL, INTERVALS, report).or(DEFAULT_INTERVAL);
        let timeout = limited("timeout", &written.timeout, INTERVAL, INTERVALS, report);
        let timeout = timeout.or(interval.unwrap_or(DEFAULT_INTERVAL).min(LONGEST_DEFAULT_TIMEOUT));
        let (rise, fall) = (count("rise", &written.rise, report), count("fall", &written.fall, report));
        Some(Self { interval: interval?, timeout: timeout?, rise: rise?, fall: fall? })
    }
}

/// Reports keys that belong to another kind, and those of kinds that look again and again.
fn check_keys(written: &schema::Check<'_>, look: Look, report: &mut Report<'_>) -> bool {
    let mut is_fit = true;
    for (key, place) in &written.keys {
        let error = match OWNED.iter().find(|(owned, _)| owned == key) {
            Some((_, of)) if *of != look => CheckError::OtherKind { key, of: of.key(), kind: look.key() },
            None if REPEATED.contains(key) && !look.repeats() => CheckError::NeverRepeats { key, kind: look.key() },
            Some(_) | None => continue,
        };
        report.error(*place, error);
        is_fit = false;
    }
    is_fit
}

fn kind(
    written: &schema::Check<'_>,
    look: Look,
    target: &Target<'_>,
    place: Place,
    report: &mut Report<'_>,
) -> Option<CheckKind> {
    let text = match target {
        Target::Program(program) => {
            let words = words(look.key(), program, place, report);
            let user = written.user.and_then(|text| user("user", text, report)).optional();
            return Some(CheckKind::Exec(Command { words: words?, user: user? }));
        }
        Target::Process(table) => {
            let target = tabled_process(table, place, report);
            return process(written, target, report);
        }
        Target::Text(text) => Written { value: *text, place },
    };
    match look {
        Look::Http => http(written, &text, report),
        Look::Tcp => tcp(&text, report).map(CheckKind::Tcp),
        Look::Process => {
            let target = named_process(&text, report);
            process(written, target, report)
        }
        Look::Unit => unit(&text, report).map(CheckKind::Unit),
        Look::File => file(written, &text, report),
        Look::Interface => interface(look.key(), &text, report).map(CheckKind::Interface),
        Look::Ping => match super::address::target(text.value) {
            Ok(address) => Some(CheckKind::Ping(address)),
            Err(error) if !endpoint::is_name(text.value) => unreachable_at(look.key(), &text, error.into(), report),
            Err(_) => unreachable_at(look.key(), &text, TargetError::Name, report),
        },
        // Never text.
        Look::Exec => None,
    }
}

fn http(written: &schema::Check<'_>, text: &Written<&str>, report: &mut Report<'_>) -> Option<CheckKind> {
    let url = match endpoint::url(text.value) {
        Ok(url) => Some(url),
        Err(error) => unreachable_at("http", text, error, report),
    };
    let host = written.host.and_then(|host| {
        let is_fit = host.value.len() <= 255 && host.value.bytes().all(|byte| byte.is_ascii_graphic());
        if is_fit && !host.value.is_empty() && !host.value.contains('/') {
            return Some(host.value.to_owned());
        }
        unfit("host", host, "a name such as \"www.example.org\", as it stands in the `Host` header", report)
    });
    let socket = written.socket.and_then(|socket| path("socket", socket, SOCKET_MAX, report)).optional();
    let status = statuses(&written.status, report);
    let body = written.body.and_then(|body| {
        if body.value.is_empty() || body.value.len() > BODY_MAX {
            return unfit("body", body, "a text of 1 to 1024 bytes", report);
        }
        Some(body.value.to_owned())
    });
    let url = url?;
    let endpoint = match socket? {
        Some(socket) => Endpoint::Unix(socket),
        None => match url.address() {
            Ok(address) => Endpoint::Inet(address),
            Err(error) => return unreachable_at("http", text, error, report),
        },
    };
    let host = host.or(url.authority.to_owned())?;
    Some(CheckKind::Http(HttpParams { endpoint, host, path: url.path, status: status?, body: body.optional()? }))
}

fn statuses(written: &Key<Items<Status<'_>>>, report: &mut Report<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let Some(Written { value: Items { items, is_complete }, place }) = written.here() else {
        return matches!(written, Key::Absent).then(|| vec![200..=299]);
    };
    if items.is_empty() && *is_complete {
        let found = "an empty list".to_owned();
        report.error(*place, ValueError::Unfit { key: "status", found, expected: STATUSES });
    }
    let code = |digits: &str| {
        let is_number = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|code: &u16| is_number && STATUS.contains(code))
    };
    let one = |status: &Status<'_>, report: &mut Report<'_>| match status {
        Status::Code(number) => match u16::try_from(number.value).ok().filter(|code| STATUS.contains(code)) {
            Some(code) => Some(code..=code),
            None => unfit_number("status", number, STATUSES, report),
        },
        Status::Text(text) => {
            let (first, last) = text.value.split_once('-').unwrap_or((text.value, text.value));
            match (code(first), code(last)) {
                (Some(first), Some(last)) if first <= last => Some(first..=last),
                (_, _) => unfit("status", text, STATUSES, report),
            }
        }
    };
    let read: Vec<_> = items.iter().filter_map(|status| one(status, report)).collect();
    (*is_complete && !read.is_empty() && read.len() == items.len()).then_some(read)
}

fn tcp(text: &Written<&str>, report: &mut Report<'_>) -> Option<Endpoint> {
    if let Some(socket) = text.value.strip_prefix("unix:") {
        let socket = Written { value: socket, place: text.place };
        return path("tcp", &socket, SOCKET_MAX, report).map(Endpoint::Unix);
    }
    match endpoint::address_and_port(text.value) {
        Ok(address) => Some(Endpoint::Inet(address)),
        Err(error) => unreachable_at("tcp", text, error, report),
    }
}

fn process(written: &schema::Check<'_>, target: Option<ProcessTarget>, report: &mut Report<'_>) -> Option<CheckKind> {
    let number = |key, written: &Key<i64>, lowest: i64, expected, report: &mut Report<'_>| {
        written.and_then(|number| match u32::try_from(number.value) {
            Ok(count) if number.value >= lowest => Some(count),
            Ok(_) | Err(_) => unfit_number(key, number, expected, report),
        })
    };
    let min = number("min", &written.min, 1, "a number, at least 1", report);
    let max = number("max", &written.max, 0, "a number; 0 when none may run", report);
    let delays = "\"0s\" to \"1h\"";
    let gain_delay = limited("gain_delay", &written.gain_delay, DELAY, delays, report).or(Duration::ZERO);
    let loss_delay = limited("loss_delay", &written.loss_delay, DELAY, delays, report).or(Duration::ZERO);
    if let (Some(min), Some(max)) = (min.here(), max.here())
        && min.value > max.value
    {
        report.error(min.place, CheckError::MinAboveMax { max: max.value });
        return None;
    }
    if let (Some(min), Some(ProcessTarget::PidFile(_))) = (min.here(), &target)
        && min.value > 1
    {
        report.error(min.place, CheckError::ManyOfPidFile);
        return None;
    }
    Some(CheckKind::Process(ProcessParams {
        target: target?,
        quorum: min.or(1)?,
        quorum_max: max.optional()?,
        gain_delay: gain_delay?,
        loss_delay: loss_delay?,
    }))
}

fn named_process(text: &Written<&str>, report: &mut Report<'_>) -> Option<ProcessTarget> {
    let name = text.value;
    if name.is_empty() || name.starts_with('/') || name.contains(char::is_control) {
        let expected = "the name of a process such as \"haproxy\", without its path";
        return unfit("process", text, expected, report);
    }
    if name.len() > COMM_MAX {
        let mut kept = name.to_owned();
        while kept.len() > COMM_MAX {
            kept.pop();
        }
        report.error(text.place, CheckError::LongProcessName { kept });
        return None;
    }
    Some(ProcessTarget::Name(name.to_owned()))
}

fn tabled_process(table: &schema::Process<'_>, place: Place, report: &mut Report<'_>) -> Option<ProcessTarget> {
    let matching = table.matching.and_then(|text| match text.value {
        "exact" => Some(ArgumentMatch::Exact),
        "partial" => Some(ArgumentMatch::Partial),
        "initial" => Some(ArgumentMatch::Initial),
        _ => unknown_word("match", text, &["exact", "partial", "initial"], report),
    });
    match (table.pid_file.is_written(), table.command.is_written()) {
        (true, false) => {
            if let Some(matching) = table.matching.here() {
                report.error(matching.place, CheckError::MatchWithoutCommand);
                return None;
            }
            let pid_file = table.pid_file.here()?;
            path("pid_file", pid_file, PATH_MAX, report).map(ProcessTarget::PidFile)
        }
        (false, true) => {
            let Written { value: Items { items, is_complete }, place } = table.command.here()?;
            let words: Vec<String> = items.iter().map(|word| word.value.to_owned()).collect();
            if *is_complete && words.first().is_none_or(String::is_empty) {
                let found = "without a program".to_owned();
                let expected = "a program and its arguments, such as [\"haproxy\", \"-Ws\"]";
                report.error(*place, ValueError::Unfit { key: "command", found, expected });
                return None;
            }
            let matching = matching.or(ArgumentMatch::Exact)?;
            is_complete.then_some(ProcessTarget::CommandLine { words, matching })
        }
        (true, true) | (false, false) => {
            report.error(place, CheckError::ProcessTarget);
            None
        }
    }
}

/// Reads the name of a unit; without a type it is a service, as `systemctl` has it.
fn unit(text: &Written<&str>, report: &mut Report<'_>) -> Option<String> {
    let name = text.value;
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let unit = match ending {
        Some(ending) if UNIT_TYPES.contains(&ending) => name.to_owned(),
        Some(ending) => {
            if let Some(meant) = suggest::closest(ending, UNIT_TYPES.iter().copied()) {
                report.error(text.place, CheckError::UnitType { unit: excerpt(name), meant });
                return None;
            }
            format!("{name}.service")
        }
        None => format!("{name}.service"),
    };
    let stem = unit.rsplit_once('.').map_or("", |(stem, _)| stem);
    if stem.is_empty() || unit.len() > UNIT_MAX || !unit.chars().all(is_fit) {
        return unfit("unit", text, "the name of a systemd unit such as \"haproxy.service\"", report);
    }
    if stem.ends_with('@') {
        report.error(text.place, CheckError::UnitTemplate { unit: excerpt(name) });
        return None;
    }
    Some(unit)
}

fn file(written: &schema::Check<'_>, text: &Written<&str>, report: &mut Report<'_>) -> Option<CheckKind> {
    let sense = written.sense.and_then(|word| match word.value {
        "exists" => Some(FileSense::Exists),
        "absent" => Some(FileSense::Absent),
        "number" => Some(FileSense::Number),
        _ => unknown_word("sense", word, &["exists", "absent", "number"], report),
    });
    let path: Option<PathBuf> = path("file", text, PATH_MAX, report);
    if ["/proc/", "/sys/"].iter().any(|pseudo| text.value.starts_with(pseudo)) {
        report.error(text.place, CheckError::PseudoFile);
        return None;
    }
    Some(CheckKind::File { path: path?, sense: sense.or(FileSense::Exists)? })
}

fn initial(written: &Key<&str>, report: &mut Report<'_>) -> Option<Initial> {
    let initial = written.and_then(|word| match word.value {
        "unknown" => Some(Initial::Unknown),
        "passing" => Some(Initial::Passing),
        "failing" => Some(Initial::Failing),
        _ => unknown_word("initial", word, &["unknown", "passing", "failing"], report),
    });
    initial.or(Initial::default())
}

fn count(key: &'static str, written: &Key<i64>, report: &mut Report<'_>) -> Option<u32> {
    let count = written.and_then(|number| match u32::try_from(number.value) {
        Ok(count) if count > 0 => Some(count),
        Ok(_) | Err(_) => unfit_number(key, number, "a number, at least 1", report),
    });
    count.or(1)
}

/// Reports a text that nothing can be asked at; returns `None` for the caller to return.
fn unreachable_at<T>(
    key: &'static str,
    text: &Written<&str>,
    error: TargetError,
    report: &mut Report<'_>,
) -> Option<T> {
    report.error(text.place, ValueError::Target { key, found: excerpt(text.value), error });
    None
}

/// Which kind has which key.
const OWNED: &[(&str, Look)] = &[
    ("user", Look::Exec),
    ("host", Look::Http),
    ("socket", Look::Http),
    ("status", Look::Http),
    ("body", Look::Http),
    ("min", Look::Process),
    ("max", Look::Process),
    ("gain_delay", Look::Process),
    ("loss_delay", Look::Process),
    ("sense", Look::File),
];
/// Keys of kinds that look again and again.
const REPEATED: &[&str] = &["interval", "timeout", "rise", "fall"];

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// A check that is seldom run must not hang for as long before anybody knows.
const LONGEST_DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const INTERVALS: &str = "\"1ms\" to \"24h\"";
const DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
const STATUS: RangeInclusive<u16> = 100..=599;
const STATUSES: &str = "a number from 100 to 599, a range such as \"200-299\", or a list of these";
const BODY_MAX: usize = 1024;
/// The address of a unix socket has 108 bytes and an end.
pub(super) const SOCKET_MAX: usize = 107;
/// The kernel's names of processes have 16 bytes and an end in them.
const COMM_MAX: usize = 15;
const UNIT_MAX: usize = 255;
const UNIT_TYPES: [&str; 11] =
    ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"];
