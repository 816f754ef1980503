//! What the network service found, as lines an operator reads.
//!
//! One stop before: `net::notice`. One stop after: `daemon::logging`.

use super::record::{Key, Kind, Level, Record, Value};
use crate::engine::output::Mac;
use crate::net::notice::Notice;

/// Writes a notice as a line; `name`: of the instance that it is about; `None`: of none.
pub(super) fn record(notice: &Notice, name: Option<&str>) -> Record {
    let mut record = line(notice, name);
    record.kind = kind(notice);
    record.fields.extend(name.map(|name| (Key::Instance, Value::Text(name.to_owned()))));
    record
}

fn kind(notice: &Notice) -> Option<Kind> {
    match notice {
        Notice::PutBack { .. }
        | Notice::Restored { .. }
        | Notice::Refused { .. }
        | Notice::Accepted { .. }
        | Notice::EntryPutBack { .. }
        | Notice::EntryRefused { .. }
        | Notice::EntryAccepted { .. } => Some(Kind::Holding),
        Notice::Conflict { .. } | Notice::ConflictOver { .. } => Some(Kind::Duplicate),
        Notice::Stuck { .. }
        | Notice::EntryStuck { .. }
        | Notice::Leftovers { .. }
        | Notice::LeftoverEntries { .. }
        | Notice::AnnounceOverflow { .. }
        | Notice::Overrun
        | Notice::Netlink { .. } => None,
    }
}

fn line(notice: &Notice, name: Option<&str>) -> Record {
    let of = name.map_or_else(|| "static:".to_owned(), |name| format!("VRRP_Instance({name})"));
    match notice {
        Notice::PutBack { address, count, .. } => {
            let text = format!("{of} {address} was removed by another program and put back ({count} times so far)");
            Record::new(Level::Warn, text)
        }
        Notice::Restored { address, .. } => {
            let text = format!("{of} {address} was changed by another program and made as it should be");
            Record::new(Level::Warn, text)
        }
        Notice::Refused { address, interface, refusal, .. } => {
            let text = format!("{of} cannot add {address} to {interface}: {refusal}; trying again");
            Record::new(Level::Error, text)
        }
        Notice::Accepted { address, .. } => Record::new(Level::Info, format!("{of} {address} is added at last")),
        Notice::Conflict { address, others, mac, peer, .. } => {
            let more = match others {
                0 => String::new(),
                others => format!(" and {others} more addresses"),
            };
            let whose = match peer {
                Some(peer) => format!("which is peer {peer}: its daemon does not run, or is cut off"),
                None => "which is no peer: another host is configured with it".to_owned(),
            };
            Record::new(Level::Warn, format!("{of} DUPLICATE ADDRESS: {address}{more} also at {}, {whose}", Mac(*mac)))
        }
        Notice::ConflictOver { address, others, .. } => {
            let more = match others {
                0 => String::new(),
                others => format!(" and {others} more addresses"),
            };
            Record::new(Level::Info, format!("{of} nobody else has {address}{more} any more"))
        }
        Notice::Stuck { place, refusal } => {
            Record::new(Level::Error, format!("cannot remove {place}: {refusal}; trying again"))
        }
        Notice::Leftovers { count } => {
            Record::new(Level::Warn, format!("removing {count} addresses that a daemon left behind"))
        }
        Notice::EntryPutBack { entry, count, .. } => {
            let text = format!("{of} {entry} was removed by another program and put back ({count} times so far)");
            Record::new(Level::Warn, text)
        }
        Notice::EntryRefused { entry, refusal, .. } => {
            Record::new(Level::Error, format!("{of} cannot add {entry}: {refusal}; trying again"))
        }
        Notice::EntryAccepted { entry, .. } => Record::new(Level::Info, format!("{of} {entry} is added at last")),
        Notice::EntryStuck { entry, refusal } => {
            Record::new(Level::Error, format!("cannot remove {entry}: {refusal}; trying again"))
        }
        Notice::LeftoverEntries { count } => {
            Record::new(Level::Warn, format!("removing {count} routes and rules that an earlier run left behind"))
        }
        Notice::AnnounceOverflow { count } => {
            Record::new(Level::Warn, format!("{count} announcements dropped: too many were pending"))
        }
        Notice::Overrun => {
            Record::new(Level::Warn, "Netlink: receive buffer overrun; interfaces and addresses were read again")
        }
        Notice::Netlink { error } => Record::new(Level::Error, format!("Netlink: {error}; trying again")),
    }
}
