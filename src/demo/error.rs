//! Why the laboratory could not be built or a step could not be taken.

use std::fmt;
use std::io;
use std::time::Duration;

/// What went wrong in the laboratory.
#[derive(Debug)]
pub enum LabError {
    /// The system does not let this user make network namespaces.
    Forbidden {
        /// What was tried.
        tried: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused something else.
    Kernel {
        /// What was tried.
        tried: String,
        /// What it said.
        source: io::Error,
    },
    /// A daemon did not start or ended on its own.
    Daemon {
        /// Its name in the laboratory.
        name: String,
        /// What happened, and its last words.
        problem: String,
    },
    /// Something did not come in time.
    TooLate {
        /// What was waited for, and what was seen instead.
        awaited: String,
        /// How long.
        waited: Duration,
    },
    /// The user asked to stop.
    Interrupted,
}

impl LabError {
    /// Makes a [`LabError::Kernel`] out of what was tried; for `map_err`.
    pub fn kernel(tried: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Kernel { tried: tried.into(), source }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { tried, source } => write!(f, "this system does not let this user {tried}: {source}"),
            Self::Kernel { tried, source } => write!(f, "cannot {tried}: {source}"),
            Self::Daemon { name, problem } => write!(f, "daemon {name}: {problem}"),
            Self::TooLate { awaited, waited } => write!(f, "waited {:.1} s for {awaited}", waited.as_secs_f64()),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Forbidden { source, .. } | Self::Kernel { source, .. } => Some(source),
            Self::Daemon { .. } | Self::TooLate { .. } | Self::Interrupted => None,
        }
    }
}
