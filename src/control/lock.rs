//! One daemon per runtime directory: a lock that dies with its holder.
//!
//! One stop before: `daemon` start. One stop after: `control::server`, which needs a [`Lock`] to replace a socket file.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

/// Proof that no other daemon uses the runtime directory; ends when dropped.
///
/// The kernel gives the lock back when the process ends in whatever way. The file itself stays: removing it would let
/// a third process lock another file of the same name.
#[derive(Debug)]
pub struct Lock {
    runtime_dir: PathBuf,
    _file: Flock<File>,
}

impl Lock {
    /// Returns the directory that is locked.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }
}

/// Why a runtime directory could not be had.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon has it.
    Held {
        /// The directory.
        runtime_dir: PathBuf,
        /// Process id of the other, when its file tells.
        pid: Option<u32>,
    },
    /// The system refused.
    System {
        /// What was tried.
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { runtime_dir, pid: Some(pid) } => {
                write!(f, "another vrrpd (pid {pid}) uses the runtime directory {}", runtime_dir.display())
            }
            Self::Held { runtime_dir, pid: None } => {
                write!(f, "another vrrpd uses the runtime directory {}", runtime_dir.display())
            }
            Self::System { tried, path, source } => write!(f, "cannot {tried} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::System { source, .. } => Some(source),
        }
    }
}

/// Takes the runtime directory, which is made when it does not exist, and writes the own process id into its lock file.
///
/// Does not wait. **Errors:** [`LockError::Held`] is the operator's, [`LockError::System`] the system's.
pub fn lock(runtime_dir: &Path) -> Result<Lock, LockError> {
    let system = |tried, path: &Path, source| LockError::System { tried, path: path.to_owned(), source };
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(runtime_dir)
        .map_err(|error| system("create the runtime directory", runtime_dir, error))?;
    let path = runtime_dir.join("vrrpd.lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path)
        .map_err(|error| system("open the lock file", &path, error))?;
    let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => file,
        Err((file, Errno::EWOULDBLOCK)) => {
            return Err(LockError::Held { runtime_dir: runtime_dir.to_owned(), pid: written_pid(file) });
        }
        Err((_, errno)) => return Err(system("lock", &path, errno.into())),
    };
    share(&file, runtime_dir).map_err(|error| system("share the lock file", &path, error))?;
    write_pid(&mut file).map_err(|error| system("write the lock file", &path, error))?;
    Ok(Lock { runtime_dir: runtime_dir.to_owned(), _file: file })
}

/// Gives the file to the user that has the directory: what root did by hand must not lock out a daemon with a user of its own.
fn share(file: &File, runtime_dir: &Path) -> io::Result<()> {
    let owner = fs::metadata(runtime_dir)?;
    if geteuid().is_root() && file.metadata()?.uid() != owner.uid() {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn written_pid(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let runtime_dir = dir.path().join("made/on/the/way");
        let held = lock(&runtime_dir).unwrap();
        let error = lock(&runtime_dir).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("another vrrpd (pid {}) uses the runtime directory {}", std::process::id(), runtime_dir.display())
        );
        assert_eq!(held.runtime_dir(), runtime_dir);
    }

    #[test]
    fn a_lock_ends_with_its_holder_and_a_longer_pid_leaves_no_digits() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("vrrpd.lock"), "4294967295\nrest").unwrap();
        drop(lock(dir.path()).unwrap());
        let _held = lock(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("vrrpd.lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let text = lock(&file.join("run")).unwrap_err().to_string();
        assert!(text.starts_with("cannot create the runtime directory "), "{text}");
    }

    #[test]
    fn what_root_locks_belongs_to_whom_the_directory_belongs() {
        let dir = tempfile::tempdir().unwrap();
        let owner = if geteuid().is_root() { 1234 } else { geteuid().as_raw() };
        std::os::unix::fs::chown(dir.path(), Some(owner), None).unwrap();
        drop(lock(dir.path()).unwrap());
        let file = fs::metadata(dir.path().join("vrrpd.lock")).unwrap();
        assert_eq!(file.uid(), owner);
    }
}
