//! What would keep a program from running, said beforehand, each with the command that repairs it.
//!
//! Looks at permission bits alone; access control lists and security modules may decide otherwise.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Gid, Group, Uid, User};

use super::identity::{Identity, IdentityError, identity};
use super::path::{Element, WalkError, locate, walk};
use super::start::search_path;
use crate::engine::params::{Command, Scripts};

/// Something that keeps a program from running, or lets somebody else change what root runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody to run it as.
    Identity(IdentityError),
    /// It has no slash and no directory of PATH has it.
    NotFound {
        /// As configured.
        program: String,
        /// Directories, separated by colons.
        search: String,
    },
    /// An element of its path is not there.
    Missing(PathBuf),
    /// An element of its path that should be a directory is something else.
    NotADirectory(PathBuf),
    /// It is not a file.
    NotAFile(PathBuf),
    /// Symbolic links that lead to each other.
    Loop(PathBuf),
    /// It cannot be looked at.
    Unseen {
        /// What.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The user may not pass this directory.
    NotSearchable(Refused),
    /// The user may not execute the program.
    NotExecutable(Refused),
    /// The user may not read the script, and its interpreter will have to.
    NotReadable(Refused),
    /// The file system it is on was mounted with `noexec`.
    NoExec(PathBuf),
    /// The `#!` line names an interpreter that is not there.
    NoInterpreter {
        /// The script.
        script: PathBuf,
        /// What its first line names.
        interpreter: String,
    },
    /// Root runs it, and somebody else can change this element of its path.
    Unsafe(Standing),
}

/// Who may do what with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// User and group, by name where they have one.
    pub owner: String,
    /// Somebody else than root owns it.
    pub has_foreign_owner: bool,
    /// Its group or everybody can change it.
    pub is_writable: bool,
    /// It is a symbolic link.
    pub is_link: bool,
}

/// Somebody may not do something with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub standing: Standing,
    /// Who.
    pub user: String,
}

/// Returns everything that stands in the way of a program; empty: nothing that could be found.
///
/// Root must be asked for an answer that holds for all users.
pub fn audit(command: &Command, scripts: &Scripts) -> Vec<Obstacle> {
    let Some(program) = command.words.first() else { return Vec::new() };
    let who = match identity(command, scripts) {
        Ok(who) => who,
        Err(error) => return vec![Obstacle::Identity(error)],
    };
    let search = search_path();
    match locate(program, &search) {
        Some(path) => audit_path(&path, who),
        None => vec![Obstacle::NotFound { program: program.clone(), search }],
    }
}

impl Obstacle {
    /// Says whether the program runs all the same.
    pub fn is_bearable(&self, scripts: &Scripts) -> bool {
        matches!(self, Self::Unsafe(_)) && !scripts.refuses_unsafe
    }

    /// Returns the command that repairs it, to be run by root in a shell, if there is one.
    pub fn repair(&self) -> Option<String> {
        match self {
            Self::Identity(error) => error.repair(),
            Self::NotSearchable(refused) => Some(format!("chmod a+x {}", quoted(&refused.standing.path))),
            Self::NotExecutable(refused) => Some(format!("chmod a+rx {}", quoted(&refused.standing.path))),
            Self::NotReadable(refused) => Some(format!("chmod a+r {}", quoted(&refused.standing.path))),
            Self::NoInterpreter { script, interpreter } if interpreter.ends_with('\r') => {
                Some(format!("sed -i 's/\\r$//' {}", quoted(script)))
            }
            Self::Unsafe(standing) => Some(standing.repair()),
            Self::NotFound { .. }
            | Self::Missing(_)
            | Self::NotADirectory(_)
            | Self::NotAFile(_)
            | Self::Loop(_)
            | Self::Unseen { .. }
            | Self::NoExec(_)
            | Self::NoInterpreter { .. } => None,
        }
    }
}

impl Standing {
    fn of(element: &Element) -> Self {
        let (uid, gid) = (Uid::from_raw(element.metadata.uid()), Gid::from_raw(element.metadata.gid()));
        let group = Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name);
        Self {
            path: element.path.clone(),
            mode: element.mode(),
            owner: format!("{}:{group}", user_name(uid)),
            has_foreign_owner: element.has_foreign_owner(),
            is_writable: element.is_writable(),
            is_link: element.metadata.is_symlink(),
        }
    }

    fn repair(&self) -> String {
        let path = quoted(&self.path);
        let chown = if self.is_link { "chown -h root:" } else { "chown root:" };
        let chown = self.has_foreign_owner.then(|| format!("{chown} {path}"));
        let chmod = self.is_writable.then(|| format!("chmod go-w {path}"));
        chown.into_iter().chain(chmod).collect::<Vec<_>>().join(" && ")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => error.fmt(f)?,
            Self::NotFound { program, search } => write!(f, "{program:?} is in no directory of PATH ({search})")?,
            Self::Missing(path) => write!(f, "{} does not exist", path.display())?,
            Self::NotADirectory(path) => write!(f, "{} is not a directory", path.display())?,
            Self::NotAFile(path) => write!(f, "{} is not a file", path.display())?,
            Self::Loop(path) => write!(f, "{}: too many symbolic links", path.display())?,
            Self::Unseen { path, why } => write!(f, "{} cannot be looked at: {why}", path.display())?,
            Self::NotSearchable(refused) => write!(f, "{refused} may not pass {}", refused.standing)?,
            Self::NotExecutable(refused) => write!(f, "{refused} may not execute {}", refused.standing)?,
            Self::NotReadable(refused) => write!(f, "{refused} may not read the script {}", refused.standing)?,
            Self::NoExec(path) => write!(f, "{} is on a file system mounted with noexec", path.display())?,
            Self::NoInterpreter { script, interpreter } => {
                write!(f, "{} wants the interpreter {interpreter:?}, which does not exist", script.display())?;
            }
            Self::Unsafe(standing) => write!(f, "root runs it, but others can change {standing}")?,
        }
        match self.repair() {
            Some(repair) => write!(f, "; repair: {repair}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (mode {:04o}, owner {})", self.path.display(), self.mode, self.owner)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.user)
    }
}

/// Refuses a program that runs as root when somebody else could change it. Quick enough for each run.
///
/// **Errors:** which element of its path, or that it could not be found out; for an operator to read.
pub(super) fn refuse_unsafe(path: &Path) -> Result<(), String> {
    let elements = walk(path).map_err(|error| Obstacle::from(error).to_string())?;
    match elements.iter().find(|element| element.is_unsafe()) {
        Some(element) => Err(Obstacle::Unsafe(Standing::of(element)).to_string()),
        None => Ok(()),
    }
}

/// Says why the kernel refused to start a program.
pub(super) fn explain(command: &Command, scripts: &Scripts, error: &io::Error) -> String {
    let program = command.words.first().map(String::as_str).unwrap_or_default();
    match audit(command, scripts).iter().find(|obstacle| !matches!(obstacle, Obstacle::Unsafe(_))) {
        Some(obstacle) => obstacle.to_string(),
        None => format!("{program}: {error}"),
    }
}

fn audit_path(path: &Path, who: Identity) -> Vec<Obstacle> {
    let elements = match walk(path) {
        Ok(elements) => elements,
        Err(error) => return vec![error.into()],
    };
    let mut found: Vec<Obstacle> = Vec::new();
    let refused = |element: &Element| Refused { standing: Standing::of(element), user: user_name(who.uid) };
    let directories = elements.iter().filter(|element| element.metadata.is_dir());
    found.extend(directories.filter(|element| !element.allows(who, 1)).map(|e| Obstacle::NotSearchable(refused(e))));
    let Some(file) = elements.last() else { return found };
    if !file.metadata.is_file() {
        found.push(Obstacle::NotAFile(file.path.clone()));
        return found;
    }
    if !file.allows(who, 1) {
        found.push(Obstacle::NotExecutable(refused(file)));
    }
    if statvfs(&file.path).is_ok_and(|statistics| statistics.flags().contains(FsFlags::ST_NOEXEC)) {
        found.push(Obstacle::NoExec(file.path.clone()));
    }
    if who.uid.is_root() {
        found.extend(elements.iter().filter(|e| e.is_unsafe()).map(|e| Obstacle::Unsafe(Standing::of(e))));
    }
    if let Some(interpreter) = interpreter(&file.path) {
        if file.allows(who, 1) && !file.allows(who, 4) {
            found.push(Obstacle::NotReadable(refused(file)));
        }
        found.extend(audit_interpreter(&file.path, &interpreter, who));
    }
    found
}

/// Looks at what the `#!` line of a script names, and at what `env` will look for in turn.
fn audit_interpreter(script: &Path, words: &[String], who: Identity) -> Vec<Obstacle> {
    let Some((first, rest)) = words.split_first() else { return Vec::new() };
    let missing =
        |interpreter: &str| Obstacle::NoInterpreter { script: script.to_owned(), interpreter: interpreter.to_owned() };
    let mut found: Vec<Obstacle> = match walk(Path::new(first)) {
        Ok(elements) if who.uid.is_root() => {
            elements.iter().filter(|e| e.is_unsafe()).map(|e| Obstacle::Unsafe(Standing::of(e))).collect()
        }
        Ok(_) => Vec::new(),
        Err(WalkError::Missing(_)) => vec![missing(first)],
        Err(error) => vec![error.into()],
    };
    let searched = rest.first().filter(|word| first.ends_with("/env") && !word.starts_with('-') && !word.contains('='));
    if let Some(program) = searched
        && locate(program, &search_path()).is_none()
    {
        found.push(missing(program));
    }
    found
}

/// Returns the words of a script's `#!` line; `None`: it is none, or cannot be read.
fn interpreter(path: &Path) -> Option<Vec<String>> {
    use std::io::Read as _;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(HEAD_MAX).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    // A carriage return is part of the name for the kernel as well.
    let words =
        String::from_utf8_lossy(line).split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Some(words)
}

impl From<WalkError> for Obstacle {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Missing(path) => Self::Missing(path),
            WalkError::NotADirectory(path) => Self::NotADirectory(path),
            WalkError::Loop(path) => Self::Loop(path),
            WalkError::Unseen(path, error) => Self::Unseen { path, why: error.to_string() },
        }
    }
}

fn user_name(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Returns a path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@' | '%');
    if text.chars().all(is_plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// How much of a script the kernel looks at for its first line.
const HEAD_MAX: u64 = 256;
