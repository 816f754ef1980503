//! What the journal writes about hooks, and how often.
//!
//! One stop after: `daemon::journal`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use super::subject::{Subject, SubjectParams, ToldState};
use crate::child::{Ended, How};
use crate::engine::time::{Instant, Now};

/// Something about a hook that an operator may want to read.
///
/// `Display` is the line, such as `VRRP_Instance(web) /etc/vip-moved for MASTER failed: exit status 3 (no route); again in 1s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReport {
    /// Whose.
    pub owner: Owner,
    /// The program, or the path of the pipe.
    pub program: Arc<str>,
    /// What.
    pub what: HookNews,
    /// How many of this kind about this program and state were not reported since the last one that was.
    pub muted: u64,
}

/// Whose hook it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An instance's; its name.
    Instance(Arc<str>),
    /// A group's; its name.
    Group(Arc<str>),
    /// The daemon's.
    Daemon,
}

/// What is new about a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookNews {
    /// A call failed.
    Failed {
        /// What it was told; `None`: startup or shutdown.
        state: Option<ToldState>,
        /// How it ended.
        ended: Ended,
        /// When it is called again if the state lasts; `None`: it is not.
        retry: Option<Duration>,
    },
    /// A call succeeded after failures.
    Recovered {
        /// What it was told.
        state: ToldState,
        /// So many failures.
        failures: u32,
    },
    /// An occasion was not told to all programs because something newer happened.
    Superseded {
        /// What they would have been told.
        state: ToldState,
        /// Its number.
        sequence: u64,
    },
    /// A call took too long for a daemon that stops and was killed.
    Killed {
        /// What it was told.
        state: ToldState,
    },
    /// The pipe cannot be used; tried again.
    PipeRefused {
        /// What stands in the way.
        why: String,
    },
    /// The pipe is full, or does not take a line for another reason; the line is lost.
    PipeStuck {
        /// Why.
        why: String,
    },
    /// The pipe takes lines again.
    PipeFlows {
        /// So many were lost.
        lost: u64,
    },
    /// The program that reads the pipe ended; it is started again.
    ReaderEnded {
        /// How.
        ended: Ended,
        /// When it is started again.
        retry: Duration,
    },
}

impl HookReport {
    /// Says whether it is good news or none that anybody must act on.
    pub const fn is_harmless(&self) -> bool {
        match self.what {
            HookNews::Recovered { .. } | HookNews::Superseded { .. } | HookNews::PipeFlows { .. } => true,
            HookNews::Failed { .. }
            | HookNews::Killed { .. }
            | HookNews::PipeRefused { .. }
            | HookNews::PipeStuck { .. }
            | HookNews::ReaderEnded { .. } => false,
        }
    }
}

impl HookNews {
    /// Returns what was told or would have been.
    const fn state(&self) -> Option<ToldState> {
        match self {
            Self::Failed { state, .. } => *state,
            Self::Recovered { state, .. } | Self::Superseded { state, .. } | Self::Killed { state } => Some(*state),
            Self::PipeRefused { .. } | Self::PipeStuck { .. } | Self::PipeFlows { .. } | Self::ReaderEnded { .. } => {
                None
            }
        }
    }
}

impl Owner {
    pub(super) fn of(params: &SubjectParams) -> Self {
        match params.subject {
            Subject::Instance(_) => Self::Instance(Arc::clone(&params.name)),
            Subject::Group(_) => Self::Group(Arc::clone(&params.name)),
        }
    }
}

/// Passes reports on, at most one a minute of each kind about each program and state.
pub(super) struct Reporter {
    report: Box<dyn Fn(HookReport)>,
    muted: RefCell<HashMap<Kind, Muted>>,
    /// With so many kinds those whose time is over are forgotten.
    limit: Cell<usize>,
}

/// What is limited together.
type Kind = (Owner, Arc<str>, Discriminant<HookNews>, Option<ToldState>);

struct Muted {
    since: Instant,
    count: u64,
}

/// At most one report of a kind in this time.
const PERIOD: Duration = Duration::from_secs(60);
/// Fewer kinds than this are all remembered.
const MIN_LIMIT: usize = 4096;

impl Reporter {
    pub fn new(report: impl Fn(HookReport) + 'static) -> Self {
        Self { report: Box::new(report), muted: RefCell::default(), limit: Cell::new(MIN_LIMIT) }
    }

    /// Passes one on, or counts it.
    pub fn report(&self, now: Now, owner: Owner, program: Arc<str>, what: HookNews) {
        let kind = (owner.clone(), Arc::clone(&program), discriminant(&what), what.state());
        let mut all = self.muted.borrow_mut();
        if all.len() >= self.limit.get() {
            all.retain(|_, muted| now.mono.since(muted.since) < PERIOD);
            self.limit.set(MIN_LIMIT.max(all.len() * 2));
        }
        let mut muted = 0;
        if let Some(known) = all.get_mut(&kind) {
            if now.mono.since(known.since) < PERIOD {
                known.count = known.count.saturating_add(1);
                return;
            }
            muted = known.count;
        }
        all.insert(kind, Muted { since: now.mono, count: 0 });
        drop(all);
        (self.report)(HookReport { owner, program, what, muted });
    }
}

impl fmt::Display for HookReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Owner::Instance(name) => write!(f, "VRRP_Instance({name}) ")?,
            Owner::Group(name) => write!(f, "VRRP_Group({name}) ")?,
            Owner::Daemon => {}
        }
        write!(f, "{} {}", self.program, self.what)?;
        match self.muted {
            0 => Ok(()),
            muted => write!(f, " (and {muted} times not reported)"),
        }
    }
}

impl fmt::Display for HookNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { state, ended, retry } => {
                if let Some(state) = state {
                    write!(f, "for {state} ")?;
                }
                write!(f, "failed: {}", Words(ended))?;
                match retry {
                    Some(retry) => write!(f, "; again in {retry:?}"),
                    None => Ok(()),
                }
            }
            Self::Recovered { state, failures: 1 } => write!(f, "for {state} succeeded after 1 failure"),
            Self::Recovered { state, failures } => write!(f, "for {state} succeeded after {failures} failures"),
            Self::Superseded { state, sequence } => {
                write!(f, "for {state} skipped: something newer happened than number {sequence}")
            }
            Self::Killed { state } => write!(f, "for {state} killed: the daemon stops"),
            Self::PipeRefused { why } => write!(f, "cannot be used as a pipe: {why}"),
            Self::PipeStuck { why } => write!(f, "does not take a line, which is lost: {why}"),
            Self::PipeFlows { lost: 1 } => f.write_str("takes lines again; 1 was lost"),
            Self::PipeFlows { lost } => write!(f, "takes lines again; {lost} were lost"),
            Self::ReaderEnded { ended, retry } => {
                write!(f, "that reads a pipe ended: {}; again in {retry:?}", Words(ended))
            }
        }
    }
}

/// How a call ended, in words.
struct Words<'a>(&'a Ended);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.how {
            How::Exited(status) => write!(f, "exit status {status}")?,
            How::Signaled(signal) => write!(f, "signal {signal}")?,
            How::TimedOut => f.write_str("timed out")?,
            How::NotStarted(why) => write!(f, "not started: {why}")?,
        }
        match self.0.last_line.as_str() {
            "" => Ok(()),
            line => write!(f, " ({line})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn one_report_a_minute_of_each_kind_counts_the_others() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&seen);
        let reporter = Reporter::new(move |report| sink.borrow_mut().push(report));
        let report = |second: u64, program: &str, state| {
            let now = Now { mono: Instant::from_nanos(second * 1_000_000_000), utc: Duration::ZERO };
            reporter.report(now, Owner::Daemon, program.into(), HookNews::Superseded { state, sequence: second });
        };
        report(1, "a", ToldState::Master);
        report(2, "a", ToldState::Master);
        report(3, "b", ToldState::Master);
        report(4, "a", ToldState::Backup);
        report(60, "a", ToldState::Master);
        report(61, "a", ToldState::Master);
        report(62, "a", ToldState::Master);
        let sequence = |report: &HookReport| {
            let HookNews::Superseded { sequence, .. } = report.what else { panic!("{report}") };
            sequence
        };
        let found: Vec<(u64, u64)> = seen.borrow().iter().map(|report| (sequence(report), report.muted)).collect();
        assert_eq!(found, [(1, 0), (3, 0), (4, 0), (61, 2)]);
        let line = "a for MASTER skipped: something newer happened than number 61 (and 2 times not reported)";
        assert_eq!(seen.borrow()[3].to_string(), line);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let reporter = Reporter::new(|_| {});
        for number in 0..20_000_u64 {
            let now = Now { mono: Instant::from_nanos(number * 1_000_000_000), utc: Duration::ZERO };
            let news = HookNews::PipeFlows { lost: 1 };
            reporter.report(now, Owner::Daemon, number.to_string().into(), news);
        }
        assert!(reporter.muted.borrow().len() <= MIN_LIMIT);
    }
}
