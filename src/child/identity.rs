//! Who a program runs as.
//!
//! Users are looked up once and remembered: the lookup may ask a directory service, and checks run many times a second.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::engine::params::{Command, Fallback, Scripts, UserParams};

/// A user and a group, by number. Supplementary groups are dropped unless it is the daemon itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

impl Identity {
    /// Returns who this process is.
    pub fn own() -> Self {
        Self { uid: geteuid(), gid: getegid() }
    }
}

/// Why it is not known who runs a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// There is no user of that name or number.
    NoSuchUser(String),
    /// There is no group of that name or number.
    NoSuchGroup(String),
    /// A number without a user of its own, and no group is named.
    NoGroup(String),
    /// The user database did not answer.
    Unanswered {
        /// Who was asked for.
        name: String,
        /// What it said instead.
        errno: Errno,
    },
    /// The system has neither of the users that run programs of which nobody said who runs them.
    NoFallback,
    /// This process may not become that user.
    Forbidden {
        /// Whom it should become, as configured.
        wanted: String,
        /// Number of the user it is.
        own: u32,
    },
}

impl IdentityError {
    /// Returns the command that repairs it, if there is one.
    pub fn repair(&self) -> Option<String> {
        match self {
            Self::NoSuchUser(name) | Self::NoGroup(name) if is_name(name) => {
                Some(format!("useradd --system --no-create-home --shell /usr/sbin/nologin {name}"))
            }
            Self::NoSuchGroup(name) if is_name(name) => Some(format!("groupadd --system {name}")),
            Self::NoFallback => {
                Some("useradd --system --no-create-home --shell /usr/sbin/nologin vrrpd_script".to_owned())
            }
            Self::NoSuchUser(_) | Self::NoGroup(_) | Self::NoSuchGroup(_) => None,
            Self::Unanswered { .. } | Self::Forbidden { .. } => None,
        }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUser(name) => write!(f, "no such user {name:?}"),
            Self::NoSuchGroup(name) => write!(f, "no such group {name:?}"),
            Self::NoGroup(number) => write!(f, "user {number} has no entry: name its group as well"),
            Self::Unanswered { name, errno } => write!(f, "cannot look up {name:?}: {}", errno.desc()),
            Self::NoFallback => {
                f.write_str("no user for programs: expected a user \"vrrpd_script\" or \"nobody\", or one to be named")
            }
            Self::Forbidden { wanted, own } => {
                write!(f, "cannot become user {wanted:?}: running as user {own} without CAP_SETUID and CAP_SETGID")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

/// Returns who runs a command.
///
/// **Errors:** nobody of that name, or this process may not become that user.
pub fn identity(command: &Command, scripts: &Scripts) -> Result<Identity, IdentityError> {
    let own = Identity::own();
    if let Some(user) = command.user.as_ref().or(scripts.user.as_ref()) {
        let wanted = owner(user)?;
        return if wanted == own || may_switch() {
            Ok(wanted)
        } else {
            Err(IdentityError::Forbidden { wanted: user.name.clone(), own: own.uid.as_raw() })
        };
    }
    match scripts.fallback {
        Fallback::Unprivileged if !own.uid.is_root() => Ok(own),
        Fallback::Unprivileged => match fallback("vrrpd_script")? {
            Some(identity) => Ok(identity),
            None => fallback("nobody")?.ok_or(IdentityError::NoFallback),
        },
        Fallback::Keepalived if !may_switch() => Ok(own),
        Fallback::Keepalived => Ok(fallback("keepalived_script")?.unwrap_or(own)),
    }
}

/// Returns the user of that name, if there is one.
///
/// **Errors:** it is not known whether there is one: then nobody else runs the program in its place.
fn fallback(name: &str) -> Result<Option<Identity>, IdentityError> {
    match owner(&UserParams { name: name.to_owned(), group: None }) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityError::NoSuchUser(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the numbers of a configured user and group.
///
/// Names come before numbers. What was found, or found not to exist, is remembered until [`forget_owners`].
///
/// **Errors:** no such user or group, or nobody to ask.
pub fn owner(user: &UserParams) -> Result<Identity, IdentityError> {
    if let Some((_, found)) = known().iter().find(|(other, _)| other == user) {
        return found.clone();
    }
    let found = look_up(user);
    if !matches!(found, Err(IdentityError::Unanswered { .. })) {
        known().push((user.clone(), found.clone()));
    }
    found
}

/// Forgets the users that were looked up: after a reload they may be others.
pub fn forget_owners() {
    known().clear();
}

fn look_up(user: &UserParams) -> Result<Identity, IdentityError> {
    let number = user.name.parse::<u32>().ok();
    let mut entry = answer(&user.name, User::from_name(&user.name))?;
    if let (None, Some(number)) = (&entry, number) {
        entry = answer(&user.name, User::from_uid(Uid::from_raw(number)))?;
    }
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(number)) => Uid::from_raw(number),
        (None, None) => return Err(IdentityError::NoSuchUser(user.name.clone())),
    };
    let gid = match (&user.group, entry) {
        (Some(group), _) => match answer(group, Group::from_name(group))? {
            Some(entry) => entry.gid,
            None => Gid::from_raw(group.parse().map_err(|_| IdentityError::NoSuchGroup(group.clone()))?),
        },
        (None, Some(entry)) => entry.gid,
        (None, None) => return Err(IdentityError::NoGroup(user.name.clone())),
    };
    Ok(Identity { uid, gid })
}

/// Tells "there is none" from "nobody knows".
fn answer<T>(name: &str, answer: Result<Option<T>, Errno>) -> Result<Option<T>, IdentityError> {
    match answer {
        Ok(entry) => Ok(entry),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(IdentityError::Unanswered { name: name.to_owned(), errno }),
    }
}

/// Says whether this thread may become another user.
fn may_switch() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// Says whether a word can be a user's name, so that it may stand in a command that somebody copies into a shell.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// A user that was asked for, and the answer.
type Known = (UserParams, Result<Identity, IdentityError>);

/// Users that were looked up.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
