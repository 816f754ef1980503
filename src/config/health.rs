//! What is wrong with checks, hooks and groups, in words to act on.
//!
//! One stop before: `checks`, `tracks`, `hooks`, `groups`, `weights`; one stop after: `problem`.

use std::fmt;
use std::net::IpAddr;

use super::error::excerpt;

/// Can this check be run, and does an instance name it well?
#[derive(Debug, PartialEq, Eq)]
pub enum CheckError {
    /// Nothing to look at.
    LooksAtNothing,
    /// Two things to look at.
    LooksAtTwo {
        /// The key of the first.
        first: &'static str,
        /// Its line.
        first_line: usize,
    },
    /// A key of another kind.
    OtherKind {
        /// The key.
        key: &'static str,
        /// The kind that has it.
        of: &'static str,
        /// The kind of this check.
        kind: &'static str,
    },
    /// `interval` or the like of a kind that is told of changes.
    NeverRepeats {
        /// The key.
        key: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// Neither or both of the two ways to find processes.
    ProcessTarget,
    /// `match` without `command`.
    MatchWithoutCommand,
    /// The name of a process that the kernel cuts.
    LongProcessName {
        /// What the kernel keeps.
        kept: String,
    },
    /// `min` above `max`.
    MinAboveMax {
        /// `max`.
        max: u32,
    },
    /// More than one process of a file with one number.
    ManyOfPidFile,
    /// A template of units.
    UnitTemplate {
        /// As written.
        unit: String,
    },
    /// A type of units that is none.
    UnitType {
        /// As written.
        unit: String,
        /// What was probably meant.
        meant: &'static str,
    },
    /// A file whose changes the kernel does not tell.
    PseudoFile,
    /// A check that is not there.
    Undefined {
        /// As written.
        name: String,
        /// Some of those that are there.
        known: Vec<String>,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// A check that is in one list twice.
    Twice {
        /// Its name.
        name: String,
        /// Line of the first.
        first_line: usize,
    },
    /// A check of an instance and of its group.
    OfInstanceAndGroup {
        /// Its name.
        name: String,
        /// The instance.
        instance: String,
        /// The line there.
        line: usize,
    },
    /// A weight of 0.
    WeightZero,
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LooksAtNothing => f.write_str(
                "the check looks at nothing; write one of `exec`, `http`, `tcp`, `process`, `unit`, `file`, \
                 `interface`, `ping`",
            ),
            Self::LooksAtTwo { first, first_line } => write!(
                f,
                "the check looks at something else already, by `{first}` at line {first_line}; make two checks of it"
            ),
            Self::OtherKind { key, of, kind } => {
                write!(f, "`{key}` belongs to `{of}`, and this check is of the kind `{kind}`; take it out")
            }
            Self::NeverRepeats { key, kind } => {
                write!(
                    f,
                    "`{key}` beside `{kind}`, which does not look again and again: it is told of each change at once; "
                )?;
                f.write_str(match (*kind, *key) {
                    ("process", "rise" | "fall") => "take it out, or write `gain_delay` or `loss_delay`",
                    (_, _) => "take it out",
                })
            }
            Self::ProcessTarget => f.write_str("expected one of `pid_file` and `command`"),
            Self::MatchWithoutCommand => f.write_str("`match` says how a `command` is compared; take it out"),
            Self::LongProcessName { kept } => write!(
                f,
                "the kernel keeps 15 bytes of a process's name; write process = {kept:?}, or \
                 process = {{ command = [...], match = \"initial\" }} to compare the command line"
            ),
            Self::MinAboveMax { max } => write!(f, "`min` is above `max`, which is {max}; the check could never pass"),
            Self::ManyOfPidFile => {
                f.write_str("a pid file names one process, so a `min` above 1 could never pass; take it out")
            }
            Self::UnitTemplate { unit } => {
                write!(f, "{unit:?} is a template and never runs; write an instance of it, with a name after the @")
            }
            Self::UnitType { unit, meant } => write!(
                f,
                "{unit:?} does not end in a type of units; did you mean {meant:?}? (else write the whole name with \
                 \".service\")"
            ),
            Self::PseudoFile => f.write_str(
                "the kernel tells no changes of files in /proc and /sys; look at them by `exec`, or watch an \
                 `interface` or a `process`",
            ),
            Self::Undefined { name, known, meant } => undefined(f, "check", name, known, meant.as_deref()),
            Self::Twice { name, first_line } => {
                write!(f, "check {name:?} is already in the list, at line {first_line}; take one of them out")
            }
            Self::OfInstanceAndGroup { name, instance, line } => write!(
                f,
                "check {name:?} counts for each member, and instance {instance:?} names it itself, at line {line}; \
                 take one of them out"
            ),
            Self::WeightZero => {
                f.write_str("a weight of 0 moves nothing; leave `weight` out, and a failure means FAULT")
            }
        }
    }
}

/// Can this program be run, or this pipe be written?
#[derive(Debug, PartialEq, Eq)]
pub enum HookError {
    /// A string that only a shell could take apart.
    ShellLine {
        /// The key.
        key: &'static str,
        /// As written.
        line: String,
    },
    /// A list without a program.
    NoProgram {
        /// The key.
        key: &'static str,
    },
    /// A program without its whole path.
    RelativeProgram {
        /// The key.
        key: &'static str,
        /// As written.
        program: String,
    },
    /// A length of time for a program that is not there.
    TimeoutAlone {
        /// The key.
        key: &'static str,
        /// The key of the program.
        of: &'static str,
    },
    /// A pipe that is there twice.
    FifoTwice {
        /// Line of the first.
        first_line: usize,
    },
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShellLine { key, line } => {
                write!(
                    f,
                    "`{key}` is one program without arguments when it is a string, and there is no shell; write "
                )?;
                // Quotes and the like mean something to a shell alone: the words are not ours to guess.
                if line.contains(SHELL) || line.len() > LINE_MAX {
                    f.write_str("[\"/path/of/program\", \"argument\"]")?;
                } else {
                    let words: Vec<String> = line.split_whitespace().map(|word| format!("{word:?}")).collect();
                    write!(f, "[{}]", words.join(", "))?;
                }
                let cut: String = line.chars().take(LINE_MAX).collect();
                let rest = if cut.len() < line.len() { "..." } else { "" };
                write!(f, ", or for a shell [\"/bin/sh\", \"-c\", \"{}{rest}\"]", cut.escape_debug())
            }
            Self::NoProgram { key } => {
                write!(f, "`{key}` is an empty list; expected a program, such as [\"/usr/bin/program\", \"argument\"]")
            }
            Self::RelativeProgram { key, program } => write!(
                f,
                "`{key}` runs {program:?}, which is no whole path, and no PATH is searched; write it from the slash on, \
                 such as \"/usr/bin/program\" (`command -v` shows it)"
            ),
            Self::TimeoutAlone { key, of } => write!(f, "`{key}` without `{of}`; take it out"),
            Self::FifoTwice { first_line } => {
                write!(f, "the pipe is already in the list, at line {first_line}; each event would come twice")
            }
        }
    }
}

/// Can these instances move together?
#[derive(Debug, PartialEq, Eq)]
pub enum GroupError {
    /// No members.
    Empty,
    /// A member that is not there.
    Undefined {
        /// As written.
        name: String,
        /// Some of those that are there.
        known: Vec<String>,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// A member that is there twice.
    Twice {
        /// Its name.
        name: String,
        /// Line of the first.
        first_line: usize,
    },
    /// A member of another group.
    OfAnother {
        /// Its name.
        name: String,
        /// The other group.
        group: String,
        /// The line there.
        line: usize,
    },
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a group without instances; name two or more, or take it out"),
            Self::Undefined { name, known, meant } => undefined(f, "instance", name, known, meant.as_deref()),
            Self::Twice { name, first_line } => {
                write!(f, "instance {name:?} is already in the list, at line {first_line}; take one of them out")
            }
            Self::OfAnother { name, group, line } => write!(
                f,
                "instance {name:?} is in group {group:?} already, at line {line}; make one group of both, or take it out"
            ),
        }
    }
}

/// What is watched moves nothing, or not what was meant.
#[derive(Debug, PartialEq, Eq)]
pub enum HealthDoubt {
    /// A check that nobody names.
    Unused {
        /// Its name.
        name: String,
    },
    /// A group with one member.
    LonelyGroup,
    /// Two members that want to be on different nodes.
    OrderDiffers {
        /// The better node of the first member.
        better: String,
        /// The worse one.
        worse: String,
        /// The first member.
        first: String,
        /// The member with the opposite order.
        second: String,
    },
    /// A node of one member that the other does not have.
    NodeOfOneMember {
        /// The node.
        node: String,
        /// The member that has it.
        first: String,
        /// The member that does not.
        second: String,
    },
    /// A weight that moves nothing whatever else fails.
    WeakWeight {
        /// The instance.
        instance: String,
        /// The check.
        check: String,
        /// The weight.
        weight: i16,
        /// The better one of the two nodes that are closest.
        better: (String, u8),
        /// The worse one.
        worse: (String, u8),
    },
    /// A weight on a node whose priority never changes.
    WeightOfOwner {
        /// The instance.
        instance: String,
        /// The check.
        check: String,
        /// The node.
        node: String,
    },
    /// `urgent` on what only moves a priority.
    UrgentWeight,
    /// A check that asks an address that moves.
    AsksVip {
        /// The check.
        check: String,
        /// The address.
        address: IpAddr,
        /// The instance it belongs to.
        instance: String,
    },
}

impl fmt::Display for HealthDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused { name } => {
                write!(f, "no instance and no group names check {name:?}, so it is not run; add it to `checks`")
            }
            Self::LonelyGroup => f.write_str("a group with one instance moves nothing together; take it out"),
            Self::OrderDiffers { better, worse, first, second } => write!(
                f,
                "instance {first:?} wants {better} rather than {worse}, and {second:?} the other way round; they move \
                 together, so a master that leaves may find no willing successor: give the nodes one order"
            ),
            Self::NodeOfOneMember { node, first, second } => write!(
                f,
                "instance {first:?} has {node} in its node list and {second:?} has not; there the group is not whole"
            ),
            Self::WeakWeight { instance, check, weight, better, worse } => {
                let apart = better.1.abs_diff(worse.1);
                write!(
                    f,
                    "weight {weight} of check {check:?} can never move the address of {instance:?}: of two nodes {} ({}) \
                     and {} ({}) are closest, {apart} apart",
                    better.0, better.1, worse.0, worse.1
                )?;
                if weight.unsigned_abs() > u16::from(apart) {
                    f.write_str(", and the sum is cut to 1 to 254; write other priorities")
                } else {
                    write!(f, "; write more than {apart}, or leave `weight` out so that a failure means FAULT")
                }
            }
            Self::WeightOfOwner { instance, check, node } => write!(
                f,
                "weight of check {check:?} has no effect for {instance:?} on {node}, whose priority 255 never changes; \
                 write a priority up to 254, or leave `weight` out so that a failure means FAULT"
            ),
            Self::UrgentWeight => f.write_str(
                "`urgent` beside `weight`: a weight moves the priority, and the addresses are handed over without haste; \
                 take one of them out",
            ),
            Self::AsksVip { check, address, instance } => write!(
                f,
                "check {check:?} asks {address}, which moves with {instance:?}: a backup would judge the master by it; \
                 ask an address that stays on this host, such as 127.0.0.1"
            ),
        }
    }
}

fn undefined(f: &mut fmt::Formatter<'_>, what: &str, name: &str, known: &[String], meant: Option<&str>) -> fmt::Result {
    write!(f, "there is no {what} {:?}; ", excerpt(name))?;
    match (meant, known) {
        (Some(meant), _) => write!(f, "did you mean {meant:?}?"),
        (None, []) => write!(f, "write a table [{what}.NAME] for it"),
        (None, known) => write!(f, "expected one of {}", known.join(", ")),
    }
}

/// What a shell reads as more than a letter, besides blanks.
pub(super) const SHELL: [char; 22] =
    ['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '{', '}', '~', '#', '!', '^'];

/// How much of a line of a shell is shown.
const LINE_MAX: usize = 200;
