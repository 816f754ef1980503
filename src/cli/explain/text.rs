//! The text of `vrrpd explain`, at most 80 columns where names and addresses are of ordinary length.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::config::explain::differ::Difference;
use crate::config::explain::outcome::{Failure, Move, What, Worth, detection};
use crate::config::explain::seats::{Cluster, Seat, VirtualRouter};
use crate::engine::params::{Preempt, Transport};

/// Writes what two files say differently; empty when nothing is.
pub fn differences(differences: &[Difference]) -> String {
    let mut out = String::new();
    if differences.is_empty() {
        return out;
    }
    out.push_str("The files differ:\n");
    for Difference { router, text, is_dangerous } in differences {
        let mark = if *is_dangerous { "DANGER " } else { "" };
        paragraph(&mut out, "  ", &format!("{mark}{router}: {text}."));
    }
    out.push('\n');
    out
}

/// Writes what should be looked at; empty when nothing is.
pub fn warnings(lines: &[String]) -> String {
    let mut out = String::new();
    if !lines.is_empty() {
        out.push_str("To look at:\n");
        for line in lines {
            paragraph(&mut out, "  ", line);
        }
    }
    out
}

/// Writes everything about one virtual router.
pub fn router(cluster: &Cluster, router: &VirtualRouter) -> String {
    let mut out = String::new();
    heading(&mut out, router);
    if let Some(group) = cluster.group_of(router) {
        let mates: Vec<&str> = group.members.iter().map(String::as_str).filter(|name| *name != router.name).collect();
        let text = format!(
            "Moves together with {} (group {}): the fault of one is that of all.",
            mates.join(", "),
            group.name
        );
        paragraph(&mut out, "  ", &text);
    }
    if router.is_complete() {
        when_all_is_well(&mut out, cluster, router);
        for node in 0..router.seats.len() {
            failures_of(&mut out, cluster, router, node);
        }
        failures_of_all(&mut out, cluster, router);
        failures_of_pairs(&mut out, cluster, router);
        nobody_left(&mut out, cluster, router);
        idle_checks(&mut out, cluster, router);
        way_back(&mut out, cluster, router);
    } else {
        half_known(&mut out, cluster, router);
    }
    numbers(&mut out, router);
    out.push('\n');
    out
}

fn heading(out: &mut String, router: &VirtualRouter) {
    let Some(params) = router.nodes().next().map(|seat| &seat.params) else { return };
    let vips: Vec<String> = params.vips.iter().map(|vip| format!("{}/{}", vip.address, vip.prefix_len)).collect();
    let vips = match vips.as_slice() {
        [] => "no address".to_owned(),
        [first, second, third, rest @ ..] if rest.len() > 1 => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        all => all.join(", "),
    };
    let _ = writeln!(out, "{}: {vips} on {}", router.name, params.interface);
    let version = params.version.number();
    let way = match &params.transport {
        Transport::Unicast { also: None, .. } => "unicast",
        Transport::Unicast { also: Some(_), .. } => "unicast and multicast",
        Transport::Multicast { .. } => "multicast",
    };
    let interval = seconds(params.advertisement_interval.as_duration());
    let _ = writeln!(out, "  Virtual router {}, version {version}, {way}, an advert every {interval}.", params.vrid);
}

fn when_all_is_well(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let Some(master) = cluster.master(router, &[]).and_then(|node| Some((node, router.node(node)?))) else {
        paragraph(out, "  ", "Nobody may be master, even when all is well.");
        return;
    };
    let worth = |node: usize| shown(cluster.worth(router, node, &[]));
    let mut others: Vec<(usize, &Seat)> = router.nodes().enumerate().filter(|(node, _)| *node != master.0).collect();
    others.sort_by_key(|(node, _)| std::cmp::Reverse(value(cluster.worth(router, *node, &[]))));
    let others: Vec<String> = others.iter().map(|(node, seat)| format!("{} ({})", seat.node, worth(*node))).collect();
    let text =
        format!("When all is well {} is master ({}), then {}.", master.1.node, worth(master.0), others.join(", "));
    paragraph(out, "  ", &text);
    let has_tie = router
        .nodes()
        .enumerate()
        .any(|(node, _)| node != master.0 && cluster.worth(router, node, &[]) == cluster.worth(router, master.0, &[]));
    if has_tie {
        paragraph(out, "  ", "Priorities are equal: between two masters the higher source address wins.");
    }
}

fn failures_of(out: &mut String, cluster: &Cluster, router: &VirtualRouter, node: usize) {
    let Some(seat) = router.node(node) else { return };
    let failures = seat.failures(node);
    let moves: Vec<Move> = failures.iter().map(|failure| cluster.consequence(router, failure)).collect();
    out.push('\n');
    if moves.iter().all(|to| *to == Move::None) {
        paragraph(out, "  ", &format!("No single failure on {} moves the address.", seat.node));
        return;
    }
    let _ = writeln!(
        out,
        "  {:<22} {:<9} {:<33} SEEN WITHIN",
        cut(&format!("FAILS ON {}", seat.node), 22),
        "IS THEN",
        "THE ADDRESS"
    );
    for (failure, to) in failures.iter().zip(&moves) {
        let worth = shown(cluster.worth(router, node, std::slice::from_ref(failure)));
        let seen = match &failure.what {
            What::Host | What::Stop => String::new(),
            What::Check(name) => seat
                .check(name)
                .map_or_else(String::new, |check| detection(check).map_or_else(|| "at once".to_owned(), seconds)),
        };
        let line = format!(
            "  {:<22} {worth:<9} {:<33} {seen}",
            cut(&name(&failure.what), 22),
            destination(router, failure, *to)
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn destination(router: &VirtualRouter, failure: &Failure, to: Move) -> String {
    let is_lossless = matches!(failure.what, What::Stop | What::Check(_));
    match to {
        Move::None => "stays".to_owned(),
        Move::Nobody => "NOBODY has it".to_owned(),
        Move::To { node, within } => {
            let node = router.node(node).map_or("?", |seat| &seat.node);
            let suffix = if is_lossless { ", no gap" } else { "" };
            format!("to {} in {}{suffix}", cut(node, 12), seconds(within))
        }
    }
}

/// What no redundancy helps against: the same check fails on every node.
fn failures_of_all(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let names: BTreeSet<&str> =
        router.nodes().flat_map(|seat| &seat.params.tracks).map(|track| track.check.as_str()).collect();
    let mut lines = String::new();
    for check in names {
        let here = |seat: &Seat| seat.failures(0).iter().any(|failure| failure.what == What::Check(check.to_owned()));
        if router.nodes().all(here) {
            let failure = |node| Failure { node, what: What::Check(check.to_owned()) };
            let failures: Vec<Failure> = (0..router.seats.len()).map(failure).collect();
            let end = outcome(router, cluster.master(router, &failures));
            let _ = writeln!(lines, "  {:<22} {end}", cut(check, 22));
        }
    }
    if !lines.is_empty() {
        let _ = write!(out, "\n  FAILS ON EVERY NODE\n{lines}");
    }
}

/// Who is Master in the end.
fn outcome(router: &VirtualRouter, master: Option<usize>) -> String {
    match master.and_then(|node| router.node(node)) {
        Some(seat) => format!("{} is master", seat.node),
        None => "NOBODY has the address".to_owned(),
    }
}

/// What takes a node out, whatever the others are.
fn fatal(cluster: &Cluster, router: &VirtualRouter, failure: &Failure) -> bool {
    matches!(cluster.worth(router, failure.node, std::slice::from_ref(failure)), Worth::Fault | Worth::Gone)
}

/// Two failures that together do what neither does alone.
fn failures_of_pairs(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let all: Vec<Failure> = router.nodes().enumerate().flat_map(|(node, seat)| seat.failures(node)).collect();
    let all: Vec<Failure> = all.into_iter().filter(|failure| failure.what != What::Stop).collect();
    let alone: Vec<Option<usize>> = all.iter().map(|one| cluster.master(router, std::slice::from_ref(one))).collect();
    let mut found = Vec::new();
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate().skip(at + 1) {
            let is_same_check = one.what == other.what && router.seats.len() == 2;
            if is_same_check || (fatal(cluster, router, one) && fatal(cluster, router, other)) {
                continue;
            }
            let together = cluster.master(router, &[one.clone(), other.clone()]);
            if alone.get(at) != Some(&together) && alone.get(other_at) != Some(&together) {
                found.push((one, other, together));
            }
        }
    }
    if found.is_empty() {
        return;
    }
    out.push_str("\n  FAIL TOGETHER\n");
    for (one, other, together) in found.iter().take(PAIRS_SHOWN) {
        let end = outcome(router, *together);
        let at = |failure: &Failure| {
            let node = router.node(failure.node).map_or("?", |seat| &seat.node);
            format!("{} on {}", name(&failure.what), cut(node, 12))
        };
        let _ = writeln!(out, "  {:<50} {end}", format!("{}, {}", at(one), at(other)));
    }
    if found.len() > PAIRS_SHOWN {
        let _ = writeln!(out, "  and {} more pairs", found.len() - PAIRS_SHOWN);
    }
}

/// When nobody is left.
fn nobody_left(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let all = router.nodes().enumerate().flat_map(|(node, seat)| seat.failures(node));
    let mut names: Vec<String> = Vec::new();
    for failure in all.filter(|failure| fatal(cluster, router, failure)) {
        let name = name(&failure.what);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    out.push('\n');
    paragraph(out, "  ", &format!("Nobody has the address while every node has one of: {}.", names.join(", ")));
}

/// Checks that move nothing, alone or with one more failure.
fn idle_checks(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let all: Vec<Failure> = router.nodes().enumerate().flat_map(|(node, seat)| seat.failures(node)).collect();
    let mut idle: BTreeSet<&str> = BTreeSet::new();
    let mut busy: BTreeSet<&str> = BTreeSet::new();
    for failure in &all {
        let What::Check(check) = &failure.what else { continue };
        let with = |other: &Failure| [other.clone(), failure.clone()];
        let moves = cluster.master(router, std::slice::from_ref(failure)) != cluster.master(router, &[])
            || all.iter().any(|other| {
                cluster.master(router, &with(other)) != cluster.master(router, std::slice::from_ref(other))
            });
        if moves {
            busy.insert(check)
        } else {
            idle.insert(check)
        };
    }
    let idle: Vec<&str> = idle.difference(&busy).copied().collect();
    if !idle.is_empty() {
        out.push('\n');
        let text = format!("Moves nothing, alone or with any other failure: {}.", idle.join(", "));
        paragraph(out, "  ", &text);
    }
}

fn way_back(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let Some(seat) = cluster.master(router, &[]).and_then(|node| router.node(node)) else { return };
    let node = &seat.node;
    out.push('\n');
    let text = match seat.params.preempt {
        Preempt::Always => format!("When {node} is well again it takes the address back, without a gap."),
        Preempt::After(delay) => {
            format!("When {node} is well again it waits {} and takes the address back, without a gap.", seconds(delay))
        }
        Preempt::Never => {
            format!("When {node} is well again the address stays where it is, until something fails there.")
        }
    };
    paragraph(out, "  ", &text);
}

/// What can be said of one node without the others' files.
fn half_known(out: &mut String, cluster: &Cluster, router: &VirtualRouter) {
    let strangers = router.strangers();
    let who = match strangers.as_slice() {
        [] => "the other nodes are".to_owned(),
        [one] => format!("{one} is"),
        more => format!("{} are", more.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let text = format!(
        "Who is master cannot be told: these files do not say what {who} worth. Name the other nodes' files too: vrrpd explain ONE OTHER."
    );
    paragraph(out, "  ", &text);
    for (node, seat) in router.nodes().enumerate() {
        out.push('\n');
        let _ = writeln!(out, "  {} has priority {}.", seat.node, shown(cluster.worth(router, node, &[])));
        for failure in seat.failures(node) {
            if matches!(failure.what, What::Check(_)) {
                let then = match cluster.worth(router, node, std::slice::from_ref(&failure)) {
                    Worth::Fault => "it gives the address up (FAULT)".to_owned(),
                    other => format!("priority {}", shown(other)),
                };
                let _ = writeln!(out, "  while {} fails: {then}", name(&failure.what));
            }
        }
    }
}

fn numbers(out: &mut String, router: &VirtualRouter) {
    let names: BTreeSet<&str> = router.nodes().flat_map(Seat::numbers).map(|track| track.check.as_str()).collect();
    if !names.is_empty() {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        paragraph(out, "  ", &format!("Counted as 0, since only the file on each node says more: {names}."));
    }
}

fn name(what: &What) -> String {
    match what {
        What::Host => "host or link".to_owned(),
        What::Stop => "vrrpd is stopped".to_owned(),
        What::Check(check) => check.clone(),
    }
}

fn shown(worth: Worth) -> String {
    match worth {
        Worth::Priority(priority) => priority.to_string(),
        Worth::Fault => "FAULT".to_owned(),
        Worth::Gone => "gone".to_owned(),
    }
}

fn value(worth: Worth) -> u8 {
    match worth {
        Worth::Priority(priority) => priority.get(),
        Worth::Fault | Worth::Gone => 0,
    }
}

/// Returns a length of time as people say it.
fn seconds(length: Duration) -> String {
    let ms = length.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 1000.0 {
        return format!("{ms:.0} ms");
    }
    let text = format!("{:.2}", length.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Cuts what is too long for a column.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(2)).chain("..".chars()).collect()
}

/// Writes words in lines of at most 80 columns.
fn paragraph(out: &mut String, indent: &str, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            out.push('\n');
            width = 0;
        }
        if width == 0 {
            out.push_str(indent);
            width = indent.len();
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Pairs that are shown one by one.
const PAIRS_SHOWN: usize = 12;
