//! What is watched: `vrrp_script`, `track_file`, `vrrp_track_process`, `bfd_instance`, and the blocks that name them.
//!
//! One stop before: the tree; one stop after: `health`, which puts them together with the instances.

use std::path::PathBuf;
use std::time::Duration;

use super::document::Block;
use super::refusal::Refusal;
use super::remark::{Remark, excerpt};
use super::report::{Report, Spot};
use super::script;
use super::tree::Node;
use super::value::{Weight, is_interface, no_more_words, number, seconds, unfit, weight};
use crate::engine::params::{
    ArgumentMatch, CheckKind, CheckParams, Command, FileSense, Initial, ProcessParams, ProcessTarget,
};

/// What kind of thing a track block names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrackKind {
    /// An interface.
    Interface,
    /// A `vrrp_script`.
    Script,
    /// A `track_file`.
    File,
    /// A `vrrp_track_process`.
    Process,
    /// A `bfd_instance`.
    Bfd,
}

/// A definition.
#[derive(Debug)]
pub(super) struct Defined {
    /// What it is.
    pub kind: TrackKind,
    /// Its name as it is written.
    pub name: String,
    /// Where.
    pub spot: Spot,
    /// Line of its `}`.
    pub last_line: u32,
    /// Some instance or group names it.
    pub is_used: bool,
    /// Where no track block says otherwise.
    pub weight: Weight,
    /// What is looked at; `None` for what cannot be.
    pub check: Option<CheckParams>,
}

/// What an instance or group watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    /// What.
    pub target: Target,
    /// What it does to the priority; 0: FAULT.
    pub weight: Weight,
    /// Where it is named.
    pub spot: Spot,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A place among the definitions.
    Defined(usize),
    /// An interface.
    Interface(String),
}

/// Reads a definition; `name`: of its check.
pub(super) fn definition(kind: TrackKind, block: &Node, name: String, report: &mut Report) -> Option<Defined> {
    let written = block.word(0)?.value.clone();
    no_more_words(block, 1, report);
    let (check, weight) = match kind {
        TrackKind::Script => script(block, name, report),
        TrackKind::File => file(block, name, report),
        TrackKind::Process => process(block, name, report),
        // Who tracks it is refused.
        TrackKind::Bfd => (None, Weight::default()),
        TrackKind::Interface => return None,
    };
    if check.is_none() && kind != TrackKind::Bfd {
        let what = format!("what {} {} looks at", keyword(kind), excerpt(&written));
        report.remark(block.spot, Remark::Undefined { what, defined_at: None });
    }
    let (spot, last_line) = (block.spot, block.last_line);
    Some(Defined { kind, name: written, spot, last_line, is_used: false, weight, check })
}

impl Defined {
    /// Returns where its block is, under the name it has in the parameters.
    pub fn block(&self) -> Option<Block> {
        let name = self.check.as_ref()?.name.clone();
        Some(Block { table: super::document::Table::Check, name, spot: self.spot, last_line: self.last_line })
    }
}

/// Returns a check that is not asked again and again.
pub(super) fn watched(name: String, kind: CheckKind) -> CheckParams {
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    CheckParams { name, kind, interval, timeout, rise: 1, fall: 1, initial: Initial::Unknown }
}

fn script(block: &Node, name: String, report: &mut Report) -> (Option<CheckParams>, Weight) {
    let (mut command, mut user, mut own_weight) = (None::<Command>, None, Weight::default());
    let (mut interval, mut timeout) = (Duration::from_secs(1), None);
    let (mut rise, mut fall, mut initial) = (1, 1, Initial::Unknown);
    for node in &block.body {
        let count =
            |report: &mut Report| number(node, 1..=COUNT_MAX, "1 is taken", report).map_or(1, |at| at.value as u32);
        let length = |instead, report: &mut Report| {
            let length =
                seconds(node, Duration::ZERO..=Duration::from_secs(1_000_000), instead, report).map(|at| at.value);
            if length.is_some_and(|length| length > LENGTH_MAX) {
                let effect = "a day at most";
                report.remark(node.spot, Remark::Minor { keyword: node.keyword.clone(), effect });
            }
            let length = length.filter(|length| !length.is_zero());
            length.map(|length| length.clamp(Duration::from_millis(1), LENGTH_MAX))
        };
        match node.keyword.as_str() {
            "script" => {
                command = script::command(node, report).or(command);
                continue;
            }
            "interval" => interval = length("1 second is taken", report).unwrap_or(Duration::from_secs(1)),
            "timeout" => timeout = length("the interval is taken", report),
            "weight" => {
                own_weight = weight("weight", &node.words, -253..=253, report).unwrap_or_default();
                continue;
            }
            "rise" => rise = count(report),
            "fall" => fall = count(report),
            "user" => {
                user = script::user(&node.words, report);
                continue;
            }
            "init_fail" => {
                initial = Initial::Failing;
                let text = "`init_fail` has no effect in Keepalived 2; here the script counts as failed until it has \
                            passed `rise` times";
                report.remark(node.spot, Remark::Note { text });
            }
            _ => {}
        }
        no_more_words(node, 1, report);
    }
    let check = command.map(|mut command| {
        command.user = user.or(command.user);
        let (kind, timeout) = (CheckKind::Exec(command), timeout.unwrap_or(interval));
        CheckParams { name, kind, interval, timeout, rise, fall, initial }
    });
    (check, own_weight)
}

fn file(block: &Node, name: String, report: &mut Report) -> (Option<CheckParams>, Weight) {
    let (mut path, mut own_weight) = (None, Weight { value: 1, is_reversed: false });
    for node in &block.body {
        match (node.keyword.as_str(), node.word(0)) {
            ("file", Some(word)) if is_watched(&word.value) => path = Some(PathBuf::from(&word.value)),
            ("file", Some(word)) => {
                let expected = "the absolute path of a file, and not in /proc or /sys".to_owned();
                unfit::<()>("file", word, expected, "nothing is watched", report);
            }
            ("weight", _) => own_weight = weight("weight", &node.words, -254..=254, report).unwrap_or(own_weight),
            _ => {
                let effect = "the file is not made; while it is missing it counts as 0";
                report.remark(node.spot, Remark::NotApplied { keyword: node.keyword.clone(), effect });
            }
        }
    }
    let kind = path.map(|path| CheckKind::File { path, sense: FileSense::Number });
    (kind.map(|kind| watched(name, kind)), own_weight)
}

/// Says whether changes of a file can be noticed.
fn is_watched(path: &str) -> bool {
    let is_pseudo = ["/proc/", "/sys/"].iter().any(|pseudo| path.starts_with(pseudo));
    path.starts_with('/') && !path.ends_with('/') && !is_pseudo
}

fn process(block: &Node, name: String, report: &mut Report) -> (Option<CheckParams>, Weight) {
    const DELAY: std::ops::RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(3600);
    let mut words = Vec::new();
    let (mut own_weight, mut is_whole, mut matching) = (Weight::default(), false, None);
    let (mut quorum, mut quorum_max) = (1, None);
    let (mut gain_delay, mut loss_delay) = (Duration::ZERO, Duration::ZERO);
    for node in &block.body {
        let count = |least, report: &mut Report| {
            number(node, least..=65535, "the default holds", report).map(|at| at.value as u32)
        };
        let delay = |report: &mut Report| {
            seconds(node, DELAY, "there is no delay", report).map_or(Duration::ZERO, |at| at.value)
        };
        match node.keyword.as_str() {
            "process" => words = node.words.iter().map(|word| word.value.clone()).collect(),
            "weight" => own_weight = weight("weight", &node.words, -254..=254, report).unwrap_or_default(),
            "quorum" => quorum = count(1, report).unwrap_or(1),
            "quorum_max" => quorum_max = count(0, report),
            "delay" => {
                gain_delay = delay(report);
                loss_delay = gain_delay;
            }
            "fork_delay" => gain_delay = delay(report),
            "terminate_delay" => loss_delay = delay(report),
            "full_command" => is_whole = true,
            _ => matching = param_match(node, report).or(matching),
        }
    }
    if let Some(most) = quorum_max.filter(|most| *most != 0 && *most < quorum) {
        let (keyword, found) = ("quorum_max".to_owned(), most.to_string());
        let remark =
            Remark::Value { keyword, found, expected: "at least the quorum".to_owned(), instead: "ignored".to_owned() };
        report.remark(block.spot, remark);
        quorum_max = None;
    }
    if quorum_max == Some(0) {
        // None may run, so there is nothing to reach.
        quorum = 1;
    }
    let target = target(words, is_whole, matching, block, report);
    let kind =
        target.map(|target| CheckKind::Process(ProcessParams { target, quorum, quorum_max, gain_delay, loss_delay }));
    (kind.map(|kind| watched(name, kind)), own_weight)
}

/// Reads how parameters are compared. Keepalived's `initial` is about the last parameter, its `partial` about the first ones.
fn param_match(node: &Node, report: &mut Report) -> Option<ArgumentMatch> {
    let word = node.word(0)?;
    match word.value.as_str() {
        "initial" => Some(ArgumentMatch::Partial),
        "partial" => Some(ArgumentMatch::Initial),
        _ => unfit("param_match", word, "initial or partial".to_owned(), "they must be equal", report),
    }
}

fn target(
    words: Vec<String>,
    is_whole: bool,
    matching: Option<ArgumentMatch>,
    block: &Node,
    report: &mut Report,
) -> Option<ProcessTarget> {
    let name = words.first().filter(|name| !name.is_empty() && !name.contains(char::is_control))?;
    let is_path = name.starts_with('/');
    if is_path && words.len() == 1 && matching.is_none() && !is_whole {
        let text = "a path is no name of a process, so Keepalived finds none; here the command line is looked at, as \
                    with full_command";
        report.remark(block.spot, Remark::Contradiction { text });
    }
    match (words.len(), matching) {
        (1, None) if !is_whole && !is_path => {
            let end = (0..=COMM_MAX.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default();
            let short = name.get(..end).unwrap_or_default().to_owned();
            if short != *name {
                let expected = format!("at most the {COMM_MAX} bytes that the kernel keeps of a name");
                let instead = format!("processes named {short:?} are counted");
                let remark = Remark::Value { keyword: "process".to_owned(), found: excerpt(name), expected, instead };
                report.remark(block.spot, remark);
            }
            Some(ProcessTarget::Name(short))
        }
        // No parameters are wanted, or any are as good.
        (1, Some(_)) => Some(ProcessTarget::CommandLine { words, matching: ArgumentMatch::Exact }),
        (1, None) => Some(ProcessTarget::CommandLine { words, matching: ArgumentMatch::Initial }),
        (_, matching) => Some(ProcessTarget::CommandLine { words, matching: matching.unwrap_or_default() }),
    }
}

/// Returns what a track block names; `None` when the keyword is none.
pub(super) fn kind(keyword: &str) -> Option<TrackKind> {
    match keyword {
        "track_interface" => Some(TrackKind::Interface),
        "track_script" => Some(TrackKind::Script),
        "track_file" => Some(TrackKind::File),
        "track_process" => Some(TrackKind::Process),
        "track_bfd" => Some(TrackKind::Bfd),
        _ => None,
    }
}

/// Returns what a keyword of the top level defines; `None` when it defines nothing.
pub(super) fn defined_kind(keyword: &str) -> Option<TrackKind> {
    match keyword {
        "vrrp_script" => Some(TrackKind::Script),
        "track_file" | "vrrp_track_file" => Some(TrackKind::File),
        "vrrp_track_process" => Some(TrackKind::Process),
        "bfd_instance" => Some(TrackKind::Bfd),
        _ => None,
    }
}

/// Reads a track block into `tracks`: what it names must have been defined before.
pub(super) fn block(
    node: &Node,
    kind: TrackKind,
    defined: &mut [Defined],
    ahead: &[(TrackKind, String, Spot)],
    tracks: &mut Vec<Tracked>,
    report: &mut Report,
) {
    for entry in &node.body {
        let Some(found) = entry_of(entry, kind, defined, ahead, report) else { continue };
        match tracks.iter().find(|other| other.target == found.target) {
            Some(first) => {
                let what = format!("{} {}", keyword(kind), excerpt(&entry.keyword));
                report.remark(entry.spot, Remark::Twice { what, line: first.spot.line });
            }
            None => tracks.push(found),
        }
    }
}

fn entry_of(
    entry: &Node,
    kind: TrackKind,
    defined: &mut [Defined],
    ahead: &[(TrackKind, String, Spot)],
    report: &mut Report,
) -> Option<Tracked> {
    let name = &entry.keyword;
    let range = if matches!(kind, TrackKind::File | TrackKind::Process) { -254..=254 } else { -253..=253 };
    let own = match entry.word(0) {
        Some(word) if word.value == "weight" => {
            weight("weight", entry.words.get(1..).unwrap_or_default(), range, report)
        }
        Some(_) => {
            no_more_words(entry, 0, report);
            None
        }
        None => None,
    };
    if kind == TrackKind::Interface {
        if !is_interface(name) {
            let word = super::report::At { value: name.clone(), spot: entry.spot };
            return unfit("track_interface", &word, "the name of an interface".to_owned(), "ignored", report);
        }
        let target = Target::Interface(name.clone());
        return Some(Tracked { target, weight: own.unwrap_or_default(), spot: entry.spot });
    }
    let Some((at, found)) = defined.iter_mut().enumerate().find(|(_, it)| it.kind == kind && it.name == *name) else {
        let what = format!("{} {}", keyword(kind), excerpt(name));
        let later = ahead.iter().find(|(other, later, _)| *other == kind && later == name);
        let defined_at = later.map(|(_, _, spot)| spot.line);
        report.remark(entry.spot, Remark::Undefined { what, defined_at });
        return None;
    };
    found.is_used = true;
    if kind == TrackKind::Bfd {
        report.refuse(entry.spot, Refusal::Bfd { name: excerpt(name) });
    }
    // What looks at nothing was told of.
    found.check.as_ref()?;
    Some(Tracked { target: Target::Defined(at), weight: own.unwrap_or(found.weight), spot: entry.spot })
}

/// Returns the keyword that defines what a track block names.
pub(super) fn keyword(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Interface => "track_interface",
        TrackKind::Script => "vrrp_script",
        TrackKind::File => "track_file",
        TrackKind::Process => "vrrp_track_process",
        TrackKind::Bfd => "bfd_instance",
    }
}

const COUNT_MAX: i64 = i32::MAX as i64;
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3600);
/// What the kernel keeps of a process's name, in bytes.
const COMM_MAX: usize = 15;
