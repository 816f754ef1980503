//! What of a keepalived.conf is dropped or understood differently, in words to act on.
//!
//! One stop before: whoever found it; one stop after: `problem`, which adds the place.

use std::fmt;
use std::net::IpAddr;

pub(super) use crate::config::error::excerpt;
use crate::wire::field::Family;

/// What is dropped or understood differently.
#[derive(Debug, PartialEq, Eq)]
pub enum Remark {
    /// A line that is too long.
    LongLine {
        /// Its length.
        bytes: usize,
    },
    /// A line with a NUL byte.
    NulLine,
    /// Bytes that are no text.
    NotUtf8,
    /// An odd number of double quotes.
    OpenQuote,
    /// A `{` where no block begins.
    UnexpectedOpen,
    /// A `}` where no block ends.
    ExtraClose,
    /// A block without its `{`.
    MissingOpen {
        /// Its keyword.
        keyword: String,
    },
    /// A block without its `}`.
    MissingClose {
        /// Its keyword.
        keyword: String,
    },
    /// A sequence that cannot be read.
    BadSequence {
        /// As written.
        text: String,
    },
    /// A random number was asked for.
    Random {
        /// What stands in its place.
        taken: String,
    },
    /// An include that found nothing.
    NothingIncluded {
        /// As written.
        pattern: String,
    },
    /// A file that is not included.
    NotIncluded {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// A keyword nobody knows there.
    Unknown {
        /// As written.
        keyword: String,
        /// Where; `None`: outside any block.
        block: Option<String>,
        /// What was probably meant.
        meant: Option<&'static str>,
        /// A `{` follows.
        has_brace: bool,
    },
    /// Words that nobody asked for.
    ExtraWords {
        /// The keyword.
        keyword: String,
        /// The words.
        words: String,
    },
    /// A value that is not taken.
    Value {
        /// The keyword.
        keyword: String,
        /// As written.
        found: String,
        /// What it takes.
        expected: String,
        /// What holds instead.
        instead: String,
    },
    /// What is none of our business.
    Skipped {
        /// The keyword.
        keyword: String,
        /// Why.
        reason: &'static str,
    },
    /// A keyword that has no effect here.
    NotApplied {
        /// The keyword.
        keyword: String,
        /// What leaving it out means, and what to do.
        effect: &'static str,
    },
    /// A keyword that has no effect here, and nothing depends on it.
    Minor {
        /// The keyword.
        keyword: String,
        /// What is done instead.
        effect: &'static str,
    },
    /// A keyword that holds once is there again.
    Again {
        /// The keyword.
        keyword: String,
    },
    /// A weight whose failure leaves its node above the other one.
    WeakWeight {
        /// Whose.
        instance: String,
        /// What is watched.
        name: String,
        /// Its weight.
        weight: i16,
        /// The other node's file.
        peer: String,
        /// How much higher this node is while nothing has failed.
        lead: i32,
    },
    /// An entry of a list that cannot be read.
    BadEntry {
        /// What the list holds.
        list: &'static str,
        /// As written.
        found: String,
    },
    /// A name that is there twice.
    Twice {
        /// Keyword and name.
        what: String,
        /// Line of the first.
        line: u32,
    },
    /// A name that nobody defined before.
    Undefined {
        /// Keyword and name.
        what: String,
        /// Line of its definition behind this one.
        defined_at: Option<u32>,
    },
    /// A definition that nobody uses.
    Unused {
        /// Keyword and name.
        what: String,
    },
    /// A command that only a shell could run.
    ShellSyntax {
        /// The first word of it.
        word: String,
    },
    /// A password longer than 8 bytes.
    LongPassword,
    /// A key in a file that everybody can read.
    ExposedKey {
        /// Mode of the file.
        mode: u32,
    },
    /// An address without a prefix length.
    BareAddress {
        /// The address.
        address: IpAddr,
        /// How many more of the instance have none.
        others: usize,
    },
    /// An address of the other family.
    OtherFamily {
        /// The address.
        address: IpAddr,
        /// Family of the instance.
        family: Family,
    },
    /// An address of another instance.
    OfAnother {
        /// The address.
        address: IpAddr,
        /// The other instance.
        instance: String,
    },
    /// More addresses than an advert carries.
    NotAdvertised {
        /// How many are not listed.
        count: usize,
    },
    /// Options that contradict each other.
    Contradiction {
        /// What holds, and what to do.
        text: &'static str,
    },
    /// What works, and is worth knowing.
    Note {
        /// What it is.
        text: &'static str,
    },
    /// A name that cannot be kept.
    Renamed {
        /// As written.
        found: String,
        /// What it is here.
        name: String,
    },
    /// Keywords of `global_defs` behind the instances they should hold for.
    TooLate {
        /// The keyword.
        keyword: String,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongLine { .. }
            | Self::NulLine
            | Self::NotUtf8
            | Self::OpenQuote
            | Self::UnexpectedOpen
            | Self::ExtraClose
            | Self::MissingOpen { .. }
            | Self::MissingClose { .. }
            | Self::BadSequence { .. }
            | Self::Random { .. }
            | Self::NothingIncluded { .. }
            | Self::NotIncluded { .. }
            | Self::Unknown { .. } => self.fmt_text(f),
            Self::ExtraWords { .. }
            | Self::Value { .. }
            | Self::Skipped { .. }
            | Self::NotApplied { .. }
            | Self::Minor { .. }
            | Self::Again { .. }
            | Self::BadEntry { .. }
            | Self::Twice { .. }
            | Self::Undefined { .. }
            | Self::Unused { .. }
            | Self::Renamed { .. }
            | Self::TooLate { .. } => self.fmt_keyword(f),
            Self::ShellSyntax { .. }
            | Self::LongPassword
            | Self::ExposedKey { .. }
            | Self::BareAddress { .. }
            | Self::OtherFamily { .. }
            | Self::OfAnother { .. }
            | Self::NotAdvertised { .. }
            | Self::WeakWeight { .. }
            | Self::Note { .. }
            | Self::Contradiction { .. } => self.fmt_sense(f),
        }
    }
}

impl Remark {
    /// Says what is wrong with the text of the file.
    fn fmt_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongLine { bytes } => {
                write!(f, "the line has {bytes} bytes and is ignored, as by Keepalived; at most 1023 are read")
            }
            Self::NulLine => f.write_str("the line has a NUL byte and is ignored, as by Keepalived"),
            Self::NotUtf8 => f.write_str("some bytes are no UTF-8 and are read as question marks; write UTF-8"),
            Self::OpenQuote => f.write_str("a double quote is not closed on this line; add it"),
            Self::UnexpectedOpen => f.write_str("no block begins at this `{`, so it is ignored, as by Keepalived"),
            Self::ExtraClose => f.write_str("no block is open at this `}`, so it is ignored, as by Keepalived"),
            Self::MissingOpen { keyword } => {
                write!(f, "`{keyword}` has no `{{`; what follows is read as Keepalived reads it; add the brace")
            }
            Self::MissingClose { keyword } => write!(
                f,
                "the block of `{keyword}` is not closed, so all that follows was read as part of it, as by Keepalived; \
                 add the `}}`"
            ),
            Self::BadSequence { text } => {
                write!(f, "cannot be read as ~SEQ(name, start, step, end) or ~LST(name, values...): {text:?}; ignored")
            }
            Self::Random { taken } => write!(f, "random numbers are not made; {taken} stands in the place of this one"),
            Self::NothingIncluded { pattern } => write!(f, "no file fits {pattern:?}; nothing is included"),
            Self::NotIncluded { path, why } => write!(f, "{path} is not included: {why}"),
            Self::Unknown { keyword, block, meant, has_brace } => {
                write!(f, "unknown keyword {:?} ", keyword)?;
                match block {
                    Some(block) => write!(f, "in `{block}`")?,
                    None => f.write_str("outside any block")?,
                }
                f.write_str("; the line is ignored, as by Keepalived")?;
                if *has_brace {
                    f.write_str(", and so is its `{`: the next `}` ends the block around it")?;
                }
                meant.map_or(Ok(()), |meant| write!(f, "; did you mean `{meant}`?"))
            }
            _ => Ok(()),
        }
    }

    /// Says what becomes of a keyword.
    fn fmt_keyword(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExtraWords { keyword, words } => write!(f, "`{keyword}` takes less; ignored: {words:?}"),
            Self::Value { keyword, found, expected, instead } => {
                write!(f, "`{keyword}` is {found:?}; expected {expected}; {instead}")
            }
            Self::Skipped { keyword, reason } => write!(f, "`{keyword}` is skipped: {reason}"),
            Self::NotApplied { keyword, effect } | Self::Minor { keyword, effect } => {
                write!(f, "`{keyword}` is not applied: {effect}")
            }
            Self::Again { keyword } => {
                write!(
                    f,
                    "`{keyword}` is already there; this one is left out, as by Keepalived; write one script that \
                           calls both"
                )
            }
            Self::BadEntry { list, found } => {
                write!(f, "{found:?} cannot be read; the whole entry is left out of the {list}; mend it")
            }
            Self::Twice { what, line } => {
                write!(f, "{what} is already there, at line {line}; this one is left out, as by Keepalived")
            }
            Self::Undefined { what, defined_at: Some(line) } => write!(
                f,
                "{what} is defined only behind this, at line {line}, so Keepalived ignores it here; \
                 move the definition up"
            ),
            Self::Undefined { what, defined_at: None } => {
                write!(f, "{what} is not defined, so it is ignored, as by Keepalived")
            }
            Self::Unused { what } => write!(f, "{what} is used by no instance"),
            Self::Renamed { found, name } => {
                write!(
                    f,
                    "the name {found:?} becomes {name:?}: names have 1 to 64 characters without blanks and slashes"
                )
            }
            Self::TooLate { keyword } => write!(
                f,
                "`{keyword}` does not hold for the instances in front of it, as in Keepalived; \
                 move global_defs to the beginning"
            ),
            _ => Ok(()),
        }
    }

    /// Says what does not fit together.
    fn fmt_sense(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WeakWeight { instance, name, weight, peer, lead } => write!(
                f,
                "weight {weight} of {name} can never move the address of {instance}: the node of {peer} is {lead} lower, \
                 and a failure must take away more than that"
            ),
            Self::ShellSyntax { word } => write!(
                f,
                "no shell is involved, so {word:?} is a plain word to the program; \
                 put the line into a script, or write sh -c '...'"
            ),
            Self::ExposedKey { mode } => write!(
                f,
                "everybody on this host can read this key, for the mode of the file is {mode:04o}; \
                 put the key into a file of its own, or take the mode away from others"
            ),
            Self::LongPassword => f.write_str("only the first 8 bytes of auth_pass count; cut it on every node"),
            Self::BareAddress { address, others } => {
                let bits = if address.is_ipv6() { 128 } else { 32 };
                write!(f, "{address} has no prefix length and gets /{bits}, as with Keepalived")?;
                if *others > 0 { write!(f, "; so do {others} more of this instance") } else { Ok(()) }
            }
            Self::OtherFamily { address, family } => write!(
                f,
                "{address} is left out, as by Keepalived: adverts of this instance carry {family}; \
                 put it into virtual_ipaddress_excluded and it moves along"
            ),
            Self::OfAnother { address, instance } => write!(
                f,
                "{address} already belongs to instance {instance:?} and is left out here; \
                 two elections cannot move one address"
            ),
            Self::NotAdvertised { count } => {
                write!(f, "{count} addresses do not fit an advert; they move along unlisted, as with Keepalived")
            }
            Self::Contradiction { text } | Self::Note { text } => f.write_str(text),
            _ => Ok(()),
        }
    }

    /// Says whether everything works as it is, so that nobody need change anything.
    pub fn is_note(&self) -> bool {
        matches!(self, Self::Skipped { .. } | Self::Minor { .. } | Self::Note { .. } | Self::BareAddress { .. })
    }

    /// Names the kind of remark, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LongLine { .. } => "long-line",
            Self::NulLine => "nul-line",
            Self::NotUtf8 => "not-utf8",
            Self::OpenQuote => "open-quote",
            Self::UnexpectedOpen | Self::ExtraClose | Self::MissingOpen { .. } | Self::MissingClose { .. } => "braces",
            Self::BadSequence { .. } | Self::Random { .. } => "sequence",
            Self::NothingIncluded { .. } | Self::NotIncluded { .. } => "include",
            Self::Unknown { .. } => "unknown-keyword",
            Self::ExtraWords { .. } => "extra-words",
            Self::Value { .. } => "value",
            Self::Skipped { .. } => "skipped",
            Self::NotApplied { .. } => "not-applied",
            Self::Minor { .. } => "minor",
            Self::Again { .. } => "again",
            Self::WeakWeight { .. } => "weak-weight",
            Self::BadEntry { .. } => "bad-entry",
            Self::Twice { .. } => "twice",
            Self::Undefined { .. } => "undefined",
            Self::Unused { .. } => "unused",
            Self::ShellSyntax { .. } => "shell-syntax",
            Self::LongPassword => "long-password",
            Self::ExposedKey { .. } => "exposed-key",
            Self::BareAddress { .. } => "bare-address",
            Self::OtherFamily { .. } => "other-family",
            Self::OfAnother { .. } => "of-another",
            Self::NotAdvertised { .. } => "not-advertised",
            Self::Contradiction { .. } => "contradiction",
            Self::Note { .. } => "note",
            Self::Renamed { .. } => "renamed",
            Self::TooLate { .. } => "too-late",
        }
    }
}
