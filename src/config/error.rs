//! What can be wrong with a configuration, in words an operator can act on.
//!
//! Each text says what is there, what was expected and how to mend it. One stop before: the reader or check that
//! found it; one stop after: `problem`, which adds the place.

use std::fmt;
use std::net::IpAddr;

pub use super::auth::AuthError;
use super::duration::DurationError;
pub use super::endpoint::TargetError;
pub use super::health::{CheckError, GroupError, HealthDoubt, HookError};
pub use super::keepalived::{Refusal, Remark};
pub use super::metrics::ListenError;
pub use super::sense::{ConflictError, Doubt, OptionError, SeatsError, VipError};
use super::source::ReadError;

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file is no text.
    Read(ReadError),
    /// What a keepalived.conf says cannot be run.
    Keepalived(Refusal),
    /// The text is not TOML.
    Syntax(String),
    /// A key or table is misplaced or unknown.
    Key(KeyError),
    /// A value is not what its key asks for.
    Value(ValueError),
    /// Nodes, peers and group do not fit.
    Seats(SeatsError),
    /// The addresses do not fit.
    Vip(VipError),
    /// Options do not fit each other or the protocol.
    Option(OptionError),
    /// Its secrets cannot prove anything.
    Auth(AuthError),
    /// Tables contradict each other.
    Conflict(ConflictError),
    /// A check cannot be run, or nobody knows what it means.
    Check(CheckError),
    /// A program or pipe cannot be used.
    Hook(HookError),
    /// Instances cannot move together so.
    Group(GroupError),
    /// There are more problems than are shown.
    TooMany {
        /// How many are not.
        hidden: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Keepalived(refusal) => refusal.fmt(f),
            Self::Syntax(text) => write!(f, "not TOML: {text}"),
            Self::Key(error) => error.fmt(f),
            Self::Value(error) => error.fmt(f),
            Self::Seats(error) => error.fmt(f),
            Self::Vip(error) => error.fmt(f),
            Self::Option(error) => error.fmt(f),
            Self::Auth(error) => error.fmt(f),
            Self::Conflict(error) => error.fmt(f),
            Self::Check(error) => error.fmt(f),
            Self::Hook(error) => error.fmt(f),
            Self::Group(error) => error.fmt(f),
            Self::TooMany { hidden } => write!(f, "{hidden} more problems follow; mend these first"),
        }
    }
}

impl From<ReadError> for ConfigError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<KeyError> for ConfigError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<ValueError> for ConfigError {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

impl From<SeatsError> for ConfigError {
    fn from(error: SeatsError) -> Self {
        Self::Seats(error)
    }
}

impl From<VipError> for ConfigError {
    fn from(error: VipError) -> Self {
        Self::Vip(error)
    }
}

impl From<OptionError> for ConfigError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

impl From<AuthError> for ConfigError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<ConflictError> for ConfigError {
    fn from(error: ConflictError) -> Self {
        Self::Conflict(error)
    }
}

impl From<CheckError> for ConfigError {
    fn from(error: CheckError) -> Self {
        Self::Check(error)
    }
}

impl From<HookError> for ConfigError {
    fn from(error: HookError) -> Self {
        Self::Hook(error)
    }
}

impl From<GroupError> for ConfigError {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}

/// Is this key one that its table has?
#[derive(Debug, PartialEq, Eq)]
pub enum KeyError {
    /// No table has it.
    Unknown {
        /// As written.
        key: String,
        /// The table, as its header is written.
        table: String,
        /// What was probably meant.
        hint: KeyHint,
    },
    /// It must be there.
    Missing {
        /// The key.
        key: &'static str,
        /// The table, as its header is written.
        table: String,
        /// How it could be written.
        example: &'static str,
    },
}

/// What a person who wrote an unknown key probably meant.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyHint {
    /// This key of the same table.
    Meant(&'static str),
    /// keepalived.conf names it so; here it is written like this.
    FromKeepalived(&'static str),
    /// Nobody knows; these exist.
    OneOf(Vec<&'static str>),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, table, hint } => {
                write!(f, "unknown key {} in {table}; ", Quoted(key))?;
                match hint {
                    KeyHint::Meant(meant) => write!(f, "did you mean `{meant}`?"),
                    KeyHint::FromKeepalived(ours) => write!(f, "that is keepalived.conf, here it is {ours}"),
                    KeyHint::OneOf(keys) => write!(f, "it has {}", List(keys)),
                }
            }
            Self::Missing { key, table, example } => write!(f, "{table} needs `{key}`, such as {example}"),
        }
    }
}

/// Is this value what its key asks for?
#[derive(Debug, PartialEq, Eq)]
pub enum ValueError {
    /// Of another TOML type.
    WrongType {
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Of the right type and out of range or badly formed.
    Unfit {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Not one of the words.
    UnknownWord {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// The words.
        words: &'static [&'static str],
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// No length of time.
    Duration {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// Why.
        error: DurationError,
    },
    /// No address.
    Address {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// Why.
        error: AddressError,
    },
    /// Nothing that can be connected to.
    Target {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// Why.
        error: TargetError,
    },
    /// Nothing that clients can be awaited at.
    Listen {
        /// The key.
        key: &'static str,
        /// As written.
        found: String,
        /// Why.
        error: ListenError,
    },
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { key, expected, found } => write!(f, "`{key}` takes {expected}, not {found}"),
            Self::Unfit { key, found, expected } => write!(f, "`{key}` is {found}; expected {expected}"),
            Self::UnknownWord { key, found, words, meant } => {
                write!(f, "`{key}` is {found:?}; expected ")?;
                for (at, word) in words.iter().enumerate() {
                    let before = if at == 0 {
                        ""
                    } else if at + 1 == words.len() {
                        " or "
                    } else {
                        ", "
                    };
                    write!(f, "{before}{word:?}")?;
                }
                meant.map_or(Ok(()), |meant| write!(f, "; did you mean {meant:?}?"))
            }
            Self::Duration { key, found, error } => write!(f, "`{key}` is {found:?}: {error}"),
            Self::Address { key, found, error } => write!(f, "`{key}` is {found:?}: {error}"),
            Self::Target { key, found, error } => write!(f, "`{key}` is {found:?}: {error}"),
            Self::Listen { key, found, error } => write!(f, "`{key}` is {found:?}: {error}"),
        }
    }
}

/// Is this text an address that can serve here?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Neither IPv4 nor IPv6.
    NotAnAddress,
    /// A prefix length where an address alone belongs.
    UnwantedPrefix,
    /// A prefix length that is no number from 1 to this.
    PrefixLen(u8),
    /// With a zone (`%ens5`).
    Zone,
    /// All zeros.
    Unspecified,
    /// A loopback address.
    Loopback,
    /// A multicast address.
    Multicast,
    /// The broadcast address 255.255.255.255.
    Broadcast,
    /// An IPv4 address in IPv6 clothes.
    Mapped(IpAddr),
    /// A group belongs here and this is none.
    NotMulticast,
    /// An IPv6 link-local address where no interface can be named.
    NeedsInterface,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress => f.write_str("expected an address such as \"10.0.0.30\" or \"2001:db8::30\""),
            Self::UnwantedPrefix => f.write_str("expected an address without a prefix length"),
            Self::PrefixLen(longest) => write!(f, "expected a prefix length from 1 to {longest} after the slash"),
            Self::Zone => f.write_str("expected an address without %zone; the interface has its own key"),
            Self::Unspecified => f.write_str("the unspecified address belongs to nobody"),
            Self::Loopback => f.write_str("a loopback address cannot be reached from another node"),
            Self::Multicast => f.write_str("a multicast address belongs to no single node"),
            Self::Broadcast => f.write_str("the broadcast address belongs to no single node"),
            Self::Mapped(inner) => write!(f, "an IPv4 address is written as \"{inner}\""),
            Self::NeedsInterface => f.write_str(
                "a link-local address is another host on each interface, and a check names none; \
                 expected a global or unique local address, or fe80:: addresses asked by `exec`",
            ),
            Self::NotMulticast => f.write_str("expected a multicast group such as \"224.0.0.18\" or \"ff02::12\""),
        }
    }
}

/// Cuts a written value to what is shown of it.
pub(super) fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(QUOTED).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    cut
}

/// A key as it is shown: in backquotes, control characters escaped, cut when endless.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", excerpt(self.0).escape_debug())
    }
}

/// Keys in a row.
struct List<'a>(&'a [&'static str]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            write!(f, "{}`{key}`", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// How many characters of a key or value are shown.
const QUOTED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_key_is_shown_escaped_and_cut() {
        assert_eq!(Quoted("a\u{1b}[31m").to_string(), "`a\\u{1b}[31m`");
        assert_eq!(Quoted(&"k".repeat(1000)).to_string(), format!("`{}...`", "k".repeat(40)));
    }

    #[test]
    fn an_unknown_word_lists_the_known_ones() {
        let error = ValueError::UnknownWord {
            key: "checksum",
            found: "rfc9586".into(),
            words: &["auto", "pseudo", "rfc9568"],
            meant: Some("rfc9568"),
        };
        let text = "`checksum` is \"rfc9586\"; expected \"auto\", \"pseudo\" or \"rfc9568\"; did you mean \"rfc9568\"?";
        assert_eq!(error.to_string(), text);
    }
}
