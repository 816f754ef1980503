//! What is watched: `vrrp_script`, `track_file`, `vrrp_track_process`, `bfd_instance`, and the blocks that name them.
//!
//! Nothing here is run; all of it is kept as typed values, and said so. One stop before: the tree; one stop after:
//! `document`.

use std::time::Duration;

use super::document::{BfdSession, Command, Document, Script, Track, TrackFile, TrackKind, TrackProcess};
use super::lexer::command_words;
use super::remark::{Remark, excerpt};
use super::report::{Report, Spot};
use super::script;
use super::tree::Node;
use super::value::{Weight, host, no_more_words, number, seconds, weight};

/// A definition while the file is read.
pub(super) struct Defined {
    /// What it is.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// Where.
    pub spot: Spot,
    /// Some instance or group names it.
    pub is_used: bool,
}

/// Reads a `vrrp_script` block.
pub(super) fn script(block: &Node, document: &mut Document, report: &mut Report) -> Option<String> {
    let name = block.word(0)?;
    no_more_words(block, 1, report);
    let mut script = Script {
        name: name.value.clone(),
        command: Command { words: Vec::new(), user: None },
        interval: Duration::from_secs(1),
        timeout: None,
        weight: Weight::default(),
        rise: 1,
        fall: 1,
        fails_first: false,
    };
    let mut user = None;
    for node in &block.body {
        let count =
            |report: &mut Report| number(node, 1..=COUNT_MAX, "1 is taken", report).map_or(1, |at| at.value as u32);
        match node.keyword.as_str() {
            "script" => script.command = script::command(node, report).unwrap_or(script.command),
            "interval" => {
                let length = seconds(node, Duration::ZERO..=LENGTH_MAX, "1 second is taken", report);
                let length = length.map(|at| at.value).filter(|length| !length.is_zero());
                script.interval = length.unwrap_or(Duration::from_secs(1));
            }
            "timeout" => {
                let length = seconds(node, Duration::ZERO..=LENGTH_MAX, "the interval is taken", report);
                script.timeout = length.map(|at| at.value).filter(|length| !length.is_zero());
            }
            "weight" => {
                script.weight = weight("weight", &node.words, -253..=253, report).unwrap_or_default();
                continue;
            }
            "rise" => script.rise = count(report),
            "fall" => script.fall = count(report),
            "user" => {
                user = script::user(&node.words, report);
                continue;
            }
            "init_fail" => {
                script.fails_first = true;
                let text = "`init_fail` has no effect in Keepalived 2; here it will hold the instance back until the \
                            script has passed `rise` times, once scripts are run";
                report.remark(node.spot, Remark::Contradiction { text });
            }
            _ => {}
        }
        if node.keyword != "script" {
            no_more_words(node, 1, report);
        }
    }
    script.command.user = user.or(script.command.user);
    let what = format!("vrrp_script {}", excerpt(&script.name));
    if script.command.words.is_empty() {
        report.remark(block.spot, Remark::Undefined { what: format!("the command of {what}"), defined_at: None });
        return Some(script.name);
    }
    let effect = match script.weight.value {
        0 => "the instance stays eligible whatever it would say; watch the service otherwise",
        _ => "the priority stays the same whatever it would say; watch the service otherwise",
    };
    report.remark(block.spot, Remark::NotRun { what, effect });
    let name = script.name.clone();
    document.scripts.push(script);
    Some(name)
}

/// Reads a `track_file` block.
pub(super) fn file(block: &Node, document: &mut Document, report: &mut Report) -> Option<String> {
    let name = block.word(0)?.value.clone();
    let mut file =
        TrackFile { name: name.clone(), path: String::new(), weight: Weight { value: 1, is_reversed: false } };
    for node in &block.body {
        match node.keyword.as_str() {
            "file" => file.path = node.word(0).map(|word| word.value.clone()).unwrap_or_default(),
            "weight" => file.weight = weight("weight", &node.words, -254..=254, report).unwrap_or(file.weight),
            keyword => not_done(keyword, node, report),
        }
    }
    not_run("track_file", &name, block, report);
    document.files.push(file);
    Some(name)
}

/// Reads a `vrrp_track_process` block.
pub(super) fn process(block: &Node, document: &mut Document, report: &mut Report) -> Option<String> {
    let name = block.word(0)?.value.clone();
    let mut process =
        TrackProcess { name: name.clone(), words: Vec::new(), weight: Weight::default(), quorum: 1, quorum_max: None };
    let count = |node: &Node, report: &mut Report| number(node, 0..=65535, "the default holds", report);
    for node in &block.body {
        match node.keyword.as_str() {
            "process" => process.words = command_words(&node.rest),
            "weight" => process.weight = weight("weight", &node.words, -254..=254, report).unwrap_or_default(),
            "quorum" => process.quorum = count(node, report).map_or(1, |at| at.value.max(1) as u32),
            "quorum_max" => process.quorum_max = count(node, report).map(|at| at.value as u32),
            keyword => not_done(keyword, node, report),
        }
    }
    not_run("vrrp_track_process", &name, block, report);
    document.processes.push(process);
    Some(name)
}

/// Reads a `bfd_instance` block.
pub(super) fn bfd(block: &Node, document: &mut Document, report: &mut Report) -> Option<String> {
    let name = block.word(0)?.value.clone();
    let (mut neighbor, mut own_weight) = (None, Weight::default());
    for node in &block.body {
        match node.keyword.as_str() {
            "neighbor_ip" | "neighbour_ip" => {
                neighbor = node.entry().nth(1).and_then(|word| host(word, &node.keyword, "ignored", report));
            }
            "weight" => own_weight = weight("weight", &node.words, -253..=253, report).unwrap_or_default(),
            "vrrp" | "checker" => {}
            keyword => not_done(keyword, node, report),
        }
    }
    not_run("bfd_instance", &name, block, report);
    document.bfds.extend(neighbor.map(|neighbor| BfdSession { name: name.clone(), neighbor, weight: own_weight }));
    Some(name)
}

fn not_run(keyword: &str, name: &str, block: &Node, report: &mut Report) {
    let what = format!("{keyword} {}", excerpt(name));
    let effect = "the instance stays eligible and its priority the same, whatever it would say";
    report.remark(block.spot, Remark::NotRun { what, effect });
}

fn not_done(keyword: &str, node: &Node, report: &mut Report) {
    let effect = "what it belongs to is not run by this version";
    report.remark(node.spot, Remark::NotApplied { keyword: keyword.to_owned(), effect });
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

/// Reads a track block: what it names must have been defined before.
pub(super) fn block(
    node: &Node,
    kind: TrackKind,
    defined: &mut [Defined],
    ahead: &[(TrackKind, String, Spot)],
    report: &mut Report,
) -> Vec<(Track, Spot)> {
    let range = if matches!(kind, TrackKind::File | TrackKind::Process) { -254..=254 } else { -253..=253 };
    let mut tracks = Vec::new();
    for entry in &node.body {
        let name = entry.keyword.clone();
        let weight = match entry.word(0) {
            Some(word) if word.value == "weight" => {
                weight("weight", entry.words.get(1..).unwrap_or_default(), range.clone(), report)
            }
            Some(_) => {
                no_more_words(entry, 0, report);
                None
            }
            None => None,
        };
        let what = format!("{} {}", definition(kind), excerpt(&name));
        if kind == TrackKind::Interface {
            // Needs no definition.
        } else if let Some(found) = defined.iter_mut().find(|found| found.kind == kind && found.name == name) {
            found.is_used = true;
        } else {
            let later = ahead.iter().find(|(other, later, _)| *other == kind && *later == name);
            let defined_at = later.map(|(_, _, spot)| spot.line);
            report.remark(entry.spot, Remark::Undefined { what, defined_at });
            continue;
        }
        tracks.push((Track { kind, name, weight }, entry.spot));
    }
    tracks
}

/// Reports an interface that is named to be watched.
pub(super) fn interface_not_run(track: &Track, spot: Spot, report: &mut Report) {
    let what = format!("track_interface {}", excerpt(&track.name));
    let effect = "the instance stays as it is when that interface goes down; watch it otherwise";
    report.remark(spot, Remark::NotRun { what, effect });
}

/// Returns the keyword that defines what a track block names.
pub(super) fn definition(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Interface => "track_interface",
        TrackKind::Script => "vrrp_script",
        TrackKind::File => "track_file",
        TrackKind::Process => "vrrp_track_process",
        TrackKind::Bfd => "bfd_instance",
    }
}

const COUNT_MAX: i64 = i32::MAX as i64;
const LENGTH_MAX: Duration = Duration::from_secs(1_000_000);
