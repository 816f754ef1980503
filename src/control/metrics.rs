//! The status of a daemon as Prometheus reads it: text in the exposition format, version 0.0.4.
//!
//! Knows no more than [`Status`]; `docs/metrics.md` lists every family, and a test holds the two together. One stop before:
//! `control::status`. One stop after: `control::http`, and `vrrpd status --prometheus`.

mod families;
mod keepalived;
mod page;

pub use page::{Family, Kind};

use super::status::Status;

/// The `Content-Type` of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns every family, in the order of [`text`].
pub fn families() -> impl Iterator<Item = &'static Family> {
    keepalived::FAMILIES.iter().chain(families::FAMILIES)
}

/// Returns all that is measured of a daemon. A family without a sample is left out.
pub fn text(status: &Status) -> String {
    let mut text = String::new();
    for family in families() {
        family.write(status, &mut text);
    }
    text
}

/// Returns what is said of a daemon that does not run.
pub fn text_of_no_daemon() -> String {
    let mut text = String::new();
    keepalived::UP.samples(&mut text).flag(&[], false);
    text
}

#[cfg(test)]
mod tests;
