//! Where the daemon keeps what outlives a reboot: the state directory, and small files in it that are whole or not there.
//!
//! What the next process needs at once is in the runtime directory (`daemon::state`); here is what an operator said and
//! what happened. A state directory that cannot be used keeps no daemon from running.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::DEFAULT_RUNTIME_DIR;

/// Where it is when nobody says otherwise and the runtime directory is the default one.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vrrpd";

/// Returns the state directory: `asked` on the command line, else that of the service manager (`$STATE_DIRECTORY`), else
/// [`DEFAULT_STATE_DIR`] for the default runtime directory, else the runtime directory itself, so that several daemons of one
/// host do not share one.
pub fn resolve(asked: Option<&Path>, runtime_dir: &Path) -> PathBuf {
    resolve_with(asked, std::env::var_os("STATE_DIRECTORY").as_deref(), runtime_dir)
}

/// As [`resolve`]; `given`: a list of the service manager, separated by colons, of which the first counts.
fn resolve_with(asked: Option<&Path>, given: Option<&OsStr>, runtime_dir: &Path) -> PathBuf {
    if let Some(asked) = asked {
        return asked.to_owned();
    }
    let first = given.and_then(|list| list.as_bytes().split(|byte| *byte == b':').next());
    match first.filter(|first| !first.is_empty()) {
        Some(first) => PathBuf::from(OsStr::from_bytes(first)),
        None if runtime_dir == Path::new(DEFAULT_RUNTIME_DIR) => PathBuf::from(DEFAULT_STATE_DIR),
        None => runtime_dir.to_owned(),
    }
}

/// A state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Names a directory that may be missing yet; nothing is made.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes the directory with mode 0755, parents included, where it is missing.
    ///
    /// **Errors:** it cannot be made, or is something else.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(&self.path)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where a file of it is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a small file; `None`: it is not there.
    ///
    /// **Errors:** it cannot be read, or has more than 4 MiB.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.file(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_SMALL + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_SMALL {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 4 MiB"));
        }
        Ok(Some(bytes))
    }

    /// Writes a small file with mode 0644: after a crash it is as before or as `bytes`, and when this returns it is on the
    /// disk. Makes the directory where it is missing.
    ///
    /// Blocks for as long as the disk takes. **Errors:** nothing has changed, as far as a reader can see.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.create()?;
        let (path, unborn) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&unborn)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unborn, &path)?;
            self.sync()
        };
        write().inspect_err(|_| {
            // What is half written is of no use to anybody.
            let _ = fs::remove_file(&unborn);
        })
    }

    /// Removes a file, for good when this returns; one that is not there is removed already.
    ///
    /// **Errors:** it is still there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts the names in the directory on the disk.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Longest small file in bytes.
const MAX_SMALL: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn command_line_comes_before_service_manager_before_default() {
        let of = |asked: Option<&str>, given: Option<&str>, runtime: &str| {
            resolve_with(asked.map(Path::new), given.map(OsStr::new), Path::new(runtime))
        };
        for (asked, given, runtime, expected) in [
            (Some("/a"), Some("/b"), "/run/vrrpd", "/a"),
            (None, Some("/b:/c"), "/run/vrrpd", "/b"),
            (None, Some("/b"), "/tmp/lb1", "/b"),
            (None, Some(""), "/run/vrrpd", "/var/lib/vrrpd"),
            (None, None, "/run/vrrpd", "/var/lib/vrrpd"),
            (None, None, "/tmp/lb1", "/tmp/lb1"),
        ] {
            assert_eq!(of(asked, given, runtime), Path::new(expected), "{asked:?} {given:?} {runtime}");
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().join("lib").join("vrrpd"));
        assert_eq!(state.read("a").unwrap(), None, "the directory is not even there");
        for bytes in [b"a long line".as_slice(), b"short"] {
            state.write("a", bytes).unwrap();
            assert_eq!(state.read("a").unwrap().as_deref(), Some(bytes));
        }
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.file("a")), mode(state.path())), (0o644, 0o755));
        state.remove("a").unwrap();
        state.remove("a").unwrap();
        assert_eq!(state.read("a").unwrap(), None);
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().to_owned());
        state.write("a", b"before").unwrap();
        fs::create_dir(state.file("a.new")).unwrap();
        assert!(state.write("a", b"after").is_err());
        assert_eq!(state.read("a").unwrap().as_deref(), Some(b"before".as_slice()));
        fs::write(dir.path().join("f"), "").unwrap();
        assert!(StateDir::at(dir.path().join("f")).write("a", b"").is_err(), "no directory");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().to_owned());
        File::create(state.file("a")).unwrap().set_len(MAX_SMALL + 1).unwrap();
        assert_eq!(state.read("a").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
