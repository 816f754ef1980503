//! Refuses to start beside a Keepalived that runs the same virtual routers.
//!
//! Its file is the proof; where that cannot be used, what it sends is: an advert of ours that leaves this host before we
//! have sent any. One stop before: `daemon::start`.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::net::if_::if_indextoname;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Other, Overlap, Program, Shared, others};
use crate::config::LocalHost;
use crate::daemon::event_loop::read_clocks;
use crate::daemon::sniff::decode;
use crate::engine::params::{NodeParams, RouterParams};
use crate::net::socket::Tap;
use crate::wire::field::Family;

/// A Keepalived that owns what this daemon is to own. `Display` says how to switch over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::daemon) struct Refusal {
    other: Other,
    shared: Vec<Shared>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Other { pid, program, config, .. } = &self.other;
        write!(f, "{program} (process {pid}, {}) runs the same on this host: ", config.display())?;
        for (at, shared) in self.shared.iter().enumerate() {
            write!(f, "{}{shared}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str(
            "; to switch over: systemctl disable --now keepalived && systemctl enable --now vrrpd (docs/migrate-from-keepalived.md); \
             --beside-keepalived starts all the same",
        )
    }
}

/// Says whether a Keepalived stands in the way.
///
/// One that is ending is waited for, a second at most. **Errors:** the one that stays.
pub(in crate::daemon) fn refuse(params: &NodeParams, addresses: &[IpAddr]) -> Result<(), Refusal> {
    let routers: Vec<&RouterParams> = params.routers.iter().map(AsRef::as_ref).collect();
    let host = LocalHost { addresses, host_name: "" };
    let mut standing = None;
    for _ in 0..LOOKS {
        standing = first(others(&routers, &host));
        match standing {
            Some(Standing::Shares(_)) => pause(),
            Some(Standing::Unread(..)) | None => break,
        }
    }
    match standing {
        None => Ok(()),
        Some(Standing::Shares(refusal)) => Err(refusal),
        Some(Standing::Unread(other, why)) => {
            let shared = heard(&routers);
            if !shared.is_empty() {
                return Err(Refusal { other, shared });
            }
            let (pid, config) = (other.pid, other.config.display());
            tracing::warn!(
                "Keepalived (process {pid}, {config}) runs on this host and its file cannot be used: {why}; if it runs the same \
                 virtual routers, both will fight over the addresses"
            );
            Ok(())
        }
    }
}

enum Standing {
    Shares(Refusal),
    Unread(Other, String),
}

/// Returns the Keepalived that is the worst for us.
fn first(others: Vec<Other>) -> Option<Standing> {
    let mut unread = None;
    for other in others.into_iter().filter(|other| other.program == Program::Keepalived) {
        match other.overlap.clone() {
            Overlap::Shared(shared) if shared.is_empty() => {}
            Overlap::Shared(shared) => return Some(Standing::Shares(Refusal { other, shared })),
            Overlap::Unread(why) => unread = unread.or(Some(Standing::Unread(other, why))),
        }
    }
    unread
}

#[allow(clippy::disallowed_methods, reason = "before any thread runs, and nothing is due yet")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Listens for a little more than the longest interval; returns the routers for which this host sends adverts.
fn heard(routers: &[&RouterParams]) -> Vec<Shared> {
    let Ok(tap) = Tap::open() else { return Vec::new() };
    let longest = routers.iter().map(|router| router.advertisement_interval.as_duration()).max().unwrap_or_default();
    let end = read_clocks().mono + (longest + MARGIN).min(LONGEST);
    let mut found: Vec<Shared> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    while read_clocks().mono < end && found.len() < routers.len() {
        let Ok(Some((seen, packet))) = tap.receive(&mut buffer) else {
            // Whatever ends the wait, the time is looked at.
            let _ = poll(&mut [PollFd::new(tap.as_fd(), PollFlags::POLLIN)], PollTimeout::from(STEP_MS));
            continue;
        };
        let Some(line) = decode(packet).filter(|_| seen.is_outgoing) else { continue };
        let name = if_indextoname(seen.interface).ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let is_its = |router: &&&RouterParams| {
            (router.interface == name)
                && router.vrid.get() == line.virtual_router_id
                && router.family == Family::of(&line.source)
        };
        if let Some(router) = routers.iter().find(is_its) {
            let what =
                format!("{} sends adverts for virtual_router_id {} on {name}", line.source, line.virtual_router_id);
            let shared = Shared { instance: router.name.clone(), what };
            if !found.contains(&shared) {
                found.push(shared);
            }
        }
    }
    found
}

/// How often a Keepalived that may be ending is looked at, and the time between.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// Beyond an interval: Keepalived may be late.
const MARGIN: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(5);
const STEP_MS: u16 = 100;
/// More than the longest packet of a link with large frames.
const BUFFER: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn other(program: Program, overlap: Overlap) -> Other {
        Other { pid: 7, program, config: "/etc/keepalived/keepalived.conf".into(), overlap }
    }

    #[test]
    fn only_a_keepalived_with_something_of_ours_stands_in_the_way() {
        let shared = vec![Shared { instance: "web".to_owned(), what: "eth0, virtual_router_id 51".to_owned() }];
        let same = |program| other(program, Overlap::Shared(shared.clone()));
        let is_refused = |others: Vec<Other>| matches!(first(others), Some(Standing::Shares(_)));
        assert!(!is_refused(vec![other(Program::Keepalived, Overlap::Shared(Vec::new()))]));
        assert!(!is_refused(vec![same(Program::Vrrpd)]), "the lock is for that");
        let unread = other(Program::Keepalived, Overlap::Unread("no".to_owned()));
        assert!(is_refused(vec![unread.clone(), same(Program::Keepalived)]));
        assert!(matches!(first(vec![unread]), Some(Standing::Unread(..))));
        let Some(Standing::Shares(refusal)) = first(vec![same(Program::Keepalived)]) else { panic!() };
        let text = refusal.to_string();
        let start = "Keepalived (process 7, /etc/keepalived/keepalived.conf) runs the same on this host: web (eth0, virtual_router_id 51); \
                     to switch over: systemctl disable --now keepalived";
        assert!(text.starts_with(start), "{text}");
    }
}
