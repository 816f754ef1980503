//! Routes and rules of an instance, and what is there whoever is Master.
//!
//! One stop before: `schema`; one stop after: `net::routes`, by way of the parameters.

use super::error::ValueError;
use super::error::excerpt;
use super::problem::Report;
use super::route::{self, Entry, WordError};
use super::schema::{self, Items};
use super::source::Written;
use super::table::Key;
use super::vips;
use crate::engine::params::Fixed;
use crate::engine::route::{Route, Rule};

/// Reads `[static]`; `None` when something was reported.
pub(super) fn fixed(written: &schema::Fixed<'_>, report: &mut Report<'_>) -> Option<Fixed> {
    let routes = list("routes", &written.routes, report, |words| {
        let entry = route::route(words)?;
        if entry.value.is_complete() { Ok(entry) } else { Err(WordError { at: words.len(), is_known: false }) }
    });
    let rules = list("rules", &written.rules, report, route::rule);
    Some(Fixed { addresses: vips::fixed(&written.addresses, report)?, routes: routes?, rules: rules? })
}

/// Reads `virtual_routes`, whose interface is yet to be filled in.
pub(super) fn routes(written: &Key<Items<Written<&str>>>, report: &mut Report<'_>) -> Option<Vec<Route>> {
    list("virtual_routes", written, report, route::route)
}

/// Reads `virtual_rules`.
pub(super) fn rules(written: &Key<Items<Written<&str>>>, report: &mut Report<'_>) -> Option<Vec<Rule>> {
    list("virtual_rules", written, report, route::rule)
}

fn list<T>(
    key: &'static str,
    written: &Key<Items<Written<&str>>>,
    report: &mut Report<'_>,
    read: impl Fn(&[&str]) -> Result<Entry<T>, WordError>,
) -> Option<Vec<T>> {
    let Some(Written { value: Items { items, .. }, .. }) = written.here() else {
        return matches!(written, Key::Absent).then(Vec::new);
    };
    let entry = |text: &Written<&str>, report: &mut Report<'_>| {
        let words: Vec<&str> = text.value.split_whitespace().collect();
        let (at, expected) = match read(&words) {
            Ok(entry) => match entry.unapplied.first() {
                None => return Some(entry.value),
                Some((at, _)) => (*at, "an entry without this word, which has no effect"),
            },
            Err(WordError { at, is_known: true }) => (at, "an entry without this word, which nobody applies"),
            Err(WordError { at, is_known: false }) => (at, "the words of `ip`, such as \"default via 10.0.0.1\""),
        };
        let found = match words.get(at) {
            Some(word) => format!("{} in {}", excerpt(word), excerpt(text.value)),
            None => format!("{} and ends there", excerpt(text.value)),
        };
        report.error(text.place, ValueError::Unfit { key, found, expected });
        None
    };
    let read: Vec<Option<T>> = items.iter().map(|text| entry(text, report)).collect();
    read.into_iter().collect()
}
