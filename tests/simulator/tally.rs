//! The words under which events are counted: a simulation must show how often what happened.

use vrrpd::engine::output::{EventKind, Reason};

/// Returns the word under which an event is counted.
pub fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Transition(transition) => match &transition.reason {
            Reason::Started => "started",
            Reason::Adopted { .. } => "adoptions",
            Reason::Owner => "owner starts",
            Reason::MasterDown { .. } => "takeovers after silence",
            Reason::Resigned => "takeovers after a resignation",
            Reason::Preempted { .. } => "preemptions",
            Reason::HigherPriority { .. } => "yields to a higher priority",
            Reason::HigherAddress => "yields to a higher address",
            Reason::Paused { .. } => "newcomers after a pause",
            Reason::Outranked { .. } => "outranked",
            Reason::Stopping => "stopping",
            Reason::Deconfigured => "removed by a reload",
            Reason::InterfaceMissing => "interface missing",
            Reason::LinkDown => "link down",
            Reason::NoAddress => "no address",
            Reason::Recovered => "recovered",
            Reason::CheckFailed { .. } => "checks failed",
            Reason::AwaitingCheck { .. } => "waiting for checks",
            Reason::GroupFault { .. } => "group faults",
            Reason::Removed { .. } => "addresses removed",
            Reason::AddressTaken { .. } => "addresses taken",
            Reason::GroupMoved { .. } => "group moves",
            Reason::Drained { .. } => "drained",
            Reason::Resumed => "resumed",
        },
        EventKind::Discarded { .. } => "discarded",
        EventKind::ClockSkew { .. } => "clock-skew",
        EventKind::Clock(_) => "clock",
        EventKind::Mismatch { .. } => "mismatches",
        EventKind::Rival { .. } => "rivals",
        EventKind::Checksum { .. } => "checksum forms",
        EventKind::PreemptDelay { .. } => "preempt delays",
        EventKind::Paused { .. } => "pauses without a rival",
        EventKind::Priority { .. } => "priority changes",
        EventKind::HandedOver { peer: Some(_) } => "handed over",
        EventKind::HandedOver { peer: None } => "handed over to nobody",
        EventKind::Vacant { .. } => "drained without a Master",
        EventKind::Check { .. } => "check verdicts",
        EventKind::Group(_) => "group transitions",
    }
}
