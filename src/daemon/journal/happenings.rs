//! The lines of what happens to the daemon, and of what is found out about a transition later.

use std::net::IpAddr;

use super::lines::{line, text};
use crate::control::history::Kind as Happening;
use crate::daemon::record::{Key, Kind, Level, Record};

/// What the host of a Master that fell silent does when it is asked for its hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers.
    Answers,
    /// It does not.
    Silent,
}

impl Finding {
    /// Returns the words for the history.
    pub const fn words(self, peer: IpAddr) -> &'static str {
        match (self, peer) {
            (Self::Answers, IpAddr::V4(_)) => "peer still answers ARP",
            (Self::Silent, IpAddr::V4(_)) => "peer does not answer ARP",
            (Self::Answers, IpAddr::V6(_)) => "peer still answers neighbour solicitations",
            (Self::Silent, IpAddr::V6(_)) => "peer does not answer neighbour solicitations",
        }
    }
}

/// Returns the line of what happened to the daemon.
pub(super) fn of_happening(level: Level, what: Happening, words: &str) -> Record {
    let (kind, phrase) = match what {
        Happening::Start => (Kind::Daemon, "Started"),
        Happening::Stop => (Kind::Daemon, "Stopped"),
        Happening::Upgrade => (Kind::Daemon, "Upgrade"),
        Happening::Reload if level <= Level::Error => (Kind::Reload, "Reload failed"),
        Happening::Reload => (Kind::Reload, "Reload complete"),
        Happening::Drain => (Kind::Drain, "Drained"),
        Happening::Resume => (Kind::Drain, "Resumed"),
        Happening::Transition | Happening::Group | Happening::Other => (Kind::Daemon, what.word()),
    };
    let message = if words.is_empty() { phrase.to_owned() } else { format!("{phrase}: {words}") };
    line(level, kind, message, Vec::new())
}

/// Returns the line of what was found out about the host of a Master that fell silent.
pub(super) fn of_finding(instance: &str, peer: IpAddr, finding: Finding) -> Record {
    let asked = match peer {
        IpAddr::V4(_) => "ARP",
        IpAddr::V6(_) => "neighbour solicitations",
    };
    let what = match finding {
        Finding::Answers => format!("still answers {asked}: its daemon does not run, or its advertisements are lost"),
        Finding::Silent => format!("does not answer {asked}: its host is down, or cut off"),
    };
    let message = format!("VRRP_Instance({instance}) {peer} {what}");
    line(Level::Info, Kind::Finding, message, vec![(Key::Instance, text(instance)), (Key::Peer, text(peer))])
}
