//! Entries of `virtual_routes`, `virtual_rules`, `static_routes` and `static_rules`.
//!
//! Reports what is left out. One stop before: a list of the tree; one stop after: `config::route`, which knows the words.

use super::remark::{Remark, excerpt};
use super::report::{At, Report};
use super::tree::Node;
use crate::config::route::{self, Entry, WordError};
use crate::engine::route::{Route, Rule};

/// Reads a route of an instance, whose interface is yet to be filled in; `None` when it was reported.
pub(super) fn route(node: &Node, report: &mut Report) -> Option<Route> {
    read(node, "routes", route::route, report)
}

/// Reads a route of no instance; `None` when it was reported.
pub(super) fn fixed_route(node: &Node, report: &mut Report) -> Option<Route> {
    let whole = |words: &[&str]| {
        let entry = route::route(words)?;
        if entry.value.is_complete() { Ok(entry) } else { Err(WordError { at: words.len(), is_known: false }) }
    };
    read(node, "routes", whole, report)
}

/// Reads a rule; `None` when it was reported.
pub(super) fn rule(node: &Node, report: &mut Report) -> Option<Rule> {
    read(node, "rules", route::rule, report)
}

fn read<T>(
    node: &Node,
    list: &'static str,
    read: impl FnOnce(&[&str]) -> Result<Entry<T>, WordError>,
    report: &mut Report,
) -> Option<T> {
    let words: Vec<At<&str>> = node.entry().collect();
    let texts: Vec<&str> = words.iter().map(|word| word.value).collect();
    let word = |at: usize| words.get(at).or(words.last()).map_or((node.spot, ""), |word| (word.spot, word.value));
    match read(&texts) {
        Ok(entry) => {
            for (at, effect) in entry.unapplied {
                let (spot, found) = word(at);
                report.remark(spot, Remark::NotApplied { keyword: excerpt(found), effect });
            }
            Some(entry.value)
        }
        Err(WordError { at, is_known: true }) => {
            let (spot, found) = word(at);
            let effect = "the whole entry is left out, because without it packets would go elsewhere";
            report.remark(spot, Remark::NotApplied { keyword: excerpt(found), effect });
            None
        }
        Err(WordError { at, is_known: false }) => {
            let (spot, found) = word(at);
            report.remark(spot, Remark::BadEntry { list, found: excerpt(found) });
            None
        }
    }
}
