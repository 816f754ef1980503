//! Why a keepalived.conf cannot be run at all, in words to act on.
//!
//! One stop before: whoever found it; one stop after: `problem`, which adds the place.

use std::fmt;

use crate::config::secret::SecretError;
use crate::wire::field::{Family, KeyId, Vrid};

/// Why Keepalived could not run this file, or why running it here would be unsafe.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It defines, repeats or includes itself without end.
    Endless,
    /// A file that is being read is included again.
    IncludeLoop {
        /// The file.
        path: String,
    },
    /// An include that insists found nothing.
    NothingIncluded {
        /// As written.
        pattern: String,
    },
    /// An include that insists found a file that cannot be read.
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// A keyword without what must follow.
    MissingWord {
        /// The keyword.
        keyword: &'static str,
    },
    /// Not one line is of this language.
    NotKeepalived,
    /// No `vrrp_instance` at all.
    NoInstance,
    /// An instance without a `virtual_router_id`.
    NoRouterId,
    /// An instance without an interface.
    NoInterface,
    /// No interface can have this name.
    BadInterface {
        /// As written.
        found: String,
    },
    /// A version 3 or strict instance without addresses.
    NoAddresses,
    /// `vrrp_strict` and unicast.
    StrictUnicast,
    /// Two instances that nobody could tell apart.
    SameRouter {
        /// The interface of both.
        interface: String,
        /// The family of both.
        family: Family,
        /// The identifier of both.
        vrid: Vrid,
        /// The other instance.
        instance: String,
        /// Its line.
        line: u32,
    },
    /// `auth_hmac` without a key that signs.
    NoActiveKey {
        /// The number that is named.
        found: Option<KeyId>,
    },
    /// A key of `auth_hmac` without a number.
    KeyNumber {
        /// As written; `None` when it is no number, and so perhaps a key.
        found: Option<String>,
    },
    /// A key of `auth_hmac` that cannot be used.
    Key {
        /// Its number.
        id: KeyId,
        /// Why.
        error: SecretError,
    },
    /// A `bfd_instance` that is tracked.
    Bfd {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endless => {
                f.write_str("the file defines, repeats or includes itself without end; nothing behind this is read")
            }
            Self::IncludeLoop { path } => {
                write!(f, "{path} is being read already, or too many files are included; take this line out")
            }
            Self::NothingIncluded { pattern } => write!(f, "no file fits {pattern:?}, and this keyword insists on one"),
            Self::Unreadable { path, why } => write!(f, "{path}: {why}, and this keyword insists on it"),
            Self::MissingWord { keyword } => {
                write!(f, "`{keyword}` needs a word behind it; Keepalived ends at this line too")
            }
            Self::NotKeepalived => {
                f.write_str("no line of it is keepalived.conf; if it is TOML, say --format toml or name it .toml")
            }
            Self::NoInstance => f.write_str("no vrrp_instance, so there is no address to move"),
            Self::NoRouterId => f.write_str("the instance has no usable virtual_router_id; write one from 1 to 255"),
            Self::NoInterface => f.write_str("the instance has no interface; write `interface eth0`"),
            Self::BadInterface { found } => {
                write!(f, "no interface can be named {found:?}; expected 1 to 15 bytes without blanks, '/' and ':'")
            }
            Self::NoAddresses => f.write_str(
                "the instance has no usable virtual_ipaddress, and version 3 and strict mode need one; write one",
            ),
            Self::StrictUnicast => f.write_str(
                "strict mode and unicast exclude each other, and Keepalived ends here; \
                 take vrrp_strict (or strict_mode) or unicast_peer out",
            ),
            Self::SameRouter { interface, family, vrid, instance, line } => write!(
                f,
                "virtual_router_id {vrid} on {interface} over {family} is already that of instance {instance:?}, \
                 at line {line}; give this one another number"
            ),
            Self::NoActiveKey { found } => {
                match found {
                    Some(found) => write!(f, "`active_key` names key {found}, which is not there; ")?,
                    None => f.write_str("auth_hmac has no `active_key`; ")?,
                }
                f.write_str("Keepalived then runs without any authentication; write the number of one of the keys")
            }
            Self::KeyNumber { found: Some(found) } => {
                write!(f, "the number of a key is {found}; expected 1 to 255, as in `key 1 file:/etc/vrrpd/keys/web`")
            }
            Self::KeyNumber { found: None } => {
                f.write_str("the number of a key from 1 to 255 belongs here, as in `key 1 file:/etc/vrrpd/keys/web`")
            }
            Self::Key { id, error } => write!(f, "key {id}: {error}"),
            Self::Bfd { name } => write!(
                f,
                "BFD is not spoken, so bfd_instance {name} would never come up and the instance never take part; \
                 take the line out, or watch the neighbour with a vrrp_script such as \"/usr/bin/ping -c1 -W1 ADDRESS\""
            ),
        }
    }
}
