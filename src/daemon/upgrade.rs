//! Live upgrade: the process becomes the program that is on the disk now, and keeps its id, its addresses and its mastership.
//!
//! The new program is rehearsed first: as a child, with the same arguments, it reads the configuration, looks at its privileges
//! and says who it is. Only then does the protocol thread execute it, between two adverts; it adopts what the state file tells.
//! Every descriptor is closed by that but the one of the old program, which is the way back (`daemon::guard`).
//! One stop before: `daemon::service`, which brings programs and sockets to rest. One stop after: `daemon::start`.

use std::ffi::{CString, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{execve, getpid};
use rustix::thread::{CapabilitySet, clear_ambient_capability_set, configure_capability_in_ambient_set};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

/// What a program says of itself when it is rehearsed; one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handshake {
    /// The version of this line. A change that an old program would misunderstand gets another number.
    pub preflight: u32,
    /// The version of the program.
    pub version: String,
    /// The formats of the state file that it adopts from.
    pub reads_state: Vec<u32>,
}

impl Handshake {
    /// Returns that of this program.
    pub fn own() -> Self {
        Self { preflight: PREFLIGHT, version: VERSION.to_owned(), reads_state: vec![STATE_FORMAT] }
    }

    /// Finds it in what a rehearsed program printed.
    fn parse(output: &[u8]) -> Option<Self> {
        output.split(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
    }
}

/// What one program tells the next in [`VARIABLE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The process that this is meant for: whoever inherits the variable otherwise is not concerned.
    pub pid: u32,
    /// The descriptor of the program that wrote it.
    pub way_back: i32,
    /// What that was started as: a script that starts the next one may give that another name.
    pub name: String,
    /// How long the next one may take until it is ready.
    pub patience_ms: u64,
    /// The version of the program before.
    pub from: String,
    /// Why the one before gave up, where it was the new one.
    pub failure: Option<String>,
}

impl Note {
    /// Reads the note for this process.
    pub fn own() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        let note: Self = serde_json::from_str(&text).ok()?;
        (note.pid == std::process::id()).then_some(note)
    }
}

/// Returns where the program of this process is on the disk, or the one that was put in its place.
///
/// The name it was started by, if that is a path: it may be a link that leads elsewhere by now. Else what the kernel remembers,
/// which says so of a file that is gone.
pub(super) fn program_on_disk() -> Result<PathBuf, UpgradeError> {
    let started_as = std::env::args_os().next().map(PathBuf::from);
    let remembered = std::fs::read_link("/proc/self/exe")
        .map_err(|source| UpgradeError::System { tried: "find the own program", source })?;
    choose(started_as, remembered)
}

fn choose(started_as: Option<PathBuf>, remembered: PathBuf) -> Result<PathBuf, UpgradeError> {
    if let Some(path) = started_as.filter(|path| path.is_absolute() && is_executable(path)) {
        return Ok(path);
    }
    let name = remembered.as_os_str().as_bytes();
    let path = match name.strip_suffix(GONE).filter(|_| !remembered.exists()) {
        Some(name) => PathBuf::from(OsString::from_vec(name.to_vec())),
        None => remembered,
    };
    if is_executable(&path) { Ok(path) } else { Err(UpgradeError::NoProgram(path)) }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Lets a program show that it would start here, with the arguments of this process.
///
/// **Errors:** why it must not take over; nothing has changed then.
pub(super) async fn rehearse(program: &Path, arguments: &[OsString]) -> Result<Handshake, UpgradeError> {
    let failed = |source| UpgradeError::System { tried: "start the new program", source };
    let mut command = Command::new(program);
    command.args(arguments).arg(PREFLIGHT_OPTION).env_remove(VARIABLE).env_remove("NOTIFY_SOCKET").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _privileged = Privileged::thread();
        command.spawn().map_err(failed)?
    };
    let Ok(ended) = timeout(REHEARSAL_PATIENCE, child.wait_with_output()).await else {
        return Err(UpgradeError::Slow(program.to_owned()));
    };
    let output = ended.map_err(failed)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().rev().take(WORDS_MAX).map(str::to_owned).collect::<Vec<_>>();
        let words = words.into_iter().rev().collect::<Vec<_>>().join("; ");
        return Err(UpgradeError::Refused { program: program.to_owned(), status: output.status.to_string(), words });
    }
    let handshake = Handshake::parse(&output.stdout).filter(|handshake| handshake.preflight == PREFLIGHT);
    let handshake = handshake.ok_or_else(|| UpgradeError::Stranger(program.to_owned()))?;
    if !handshake.reads_state.contains(&STATE_FORMAT) {
        return Err(UpgradeError::Unreadable { version: handshake.version });
    }
    Ok(handshake)
}

/// While it lives, a program that the calling thread starts has the capabilities of the daemon, as the daemon had them from systemd.
///
/// Only for ourselves: threads that start programs of operators have given them up (`child::settle_thread`). Root's programs have
/// them in any case.
struct Privileged;

impl Privileged {
    fn thread() -> Self {
        for capability in [CapabilitySet::NET_ADMIN, CapabilitySet::NET_RAW] {
            // Refused where systemd gave none: the rehearsal then says what is missing.
            let _ = configure_capability_in_ambient_set(capability, true);
        }
        Self
    }
}

impl Drop for Privileged {
    fn drop(&mut self) {
        // Cannot fail on a kernel that could raise them.
        let _ = clear_ambient_capability_set();
    }
}

/// Why the running program stays.
#[derive(Debug)]
pub(super) enum UpgradeError {
    /// Nothing that could be executed is where the program was.
    NoProgram(PathBuf),
    /// The rehearsal failed.
    Refused {
        /// What was rehearsed.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// What it said last.
        words: String,
    },
    /// The rehearsal did not end.
    Slow(PathBuf),
    /// It ended well, without saying that it is one of us.
    Stranger(PathBuf),
    /// The new one could not go on from what this one writes down.
    Unreadable {
        /// Its version.
        version: String,
    },
    /// Another upgrade is under way.
    Busy,
    /// The system refused.
    System {
        /// What was tried.
        tried: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram(path) => write!(f, "no program can be executed at {}", path.display()),
            Self::Refused { program, status, words } if words.is_empty() => {
                write!(f, "{} would not start here ({status})", program.display())
            }
            Self::Refused { program, status, words } => {
                write!(f, "{} would not start here ({status}): {words}", program.display())
            }
            Self::Slow(program) => {
                write!(f, "{} did not end its rehearsal within {REHEARSAL_PATIENCE:?}", program.display())
            }
            Self::Stranger(program) => {
                write!(f, "{} does not say that it is a vrrpd that can take over", program.display())
            }
            Self::Unreadable { version } => write!(
                f,
                "version {version} cannot go on from the state file of version {VERSION} (format {STATE_FORMAT}): restart instead"
            ),
            Self::Busy => f.write_str("an upgrade is under way already"),
            Self::System { tried, source } => write!(f, "cannot {tried}: {source}"),
        }
    }
}

/// Another program, ready to be executed in the place of this one.
#[derive(Debug)]
pub(super) struct Replacement {
    program: CString,
    arguments: Vec<CString>,
    patience: Duration,
    /// This program.
    way_back: File,
}

impl Replacement {
    /// Prepares `program` with the arguments of this process; all that can fail before anything is given up.
    pub fn new(program: &Path) -> Result<Self, UpgradeError> {
        let failed = |source| UpgradeError::System { tried: "prepare the new program", source };
        let way_back = OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open("/proc/self/exe");
        Ok(Self {
            program: c_string(program.as_os_str().as_bytes()).map_err(failed)?,
            arguments: own_arguments().map_err(failed)?,
            patience: READY_PATIENCE,
            way_back: way_back.map_err(failed)?,
        })
    }

    /// Becomes the other program. Returns only when the system executes neither that nor this one once more.
    ///
    /// `is_stopping`: a signal to stop came meanwhile; the next program gets it again.
    /// All other threads end, without their destructors; all descriptors but one are closed. Signals that we catch wait until the
    /// next program catches them.
    pub fn execute(self, is_stopping: bool) -> io::Error {
        let way_back = self.way_back.as_raw_fd();
        let patience_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let name = self.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let note = |failure| Note {
            pid: std::process::id(),
            way_back,
            name: name.clone(),
            patience_ms,
            from: VERSION.to_owned(),
            failure,
        };
        let execute = || -> io::Result<()> {
            hold_signals(SigmaskHow::SIG_BLOCK)?;
            if is_stopping {
                kill(getpid(), Signal::SIGTERM)?;
            }
            fcntl(&self.way_back, FcntlArg::F_SETFD(FdFlag::empty()))?;
            let error = become_program(&self.program, &self.arguments, &note(None));
            let why = format!("cannot execute {}: {error}", self.program.to_string_lossy());
            Err(become_program(&path_of(way_back), &self.arguments, &note(Some(why))))
        };
        execute().err().unwrap_or_else(|| io::ErrorKind::Other.into())
    }
}

/// Executes a program with a note for it; returns only why that could not be done.
pub(super) fn become_program(program: &CString, arguments: &[CString], note: &Note) -> io::Error {
    let become_it = || -> io::Result<()> {
        execve(program, arguments, &environment(note)?)?;
        Ok(())
    };
    become_it().err().unwrap_or_else(|| io::ErrorKind::Other.into())
}

/// Returns the path by which the program behind a descriptor is executed.
pub(super) fn path_of(descriptor: i32) -> CString {
    // Digits hold no zero byte.
    CString::new(format!("/proc/self/fd/{descriptor}")).unwrap_or_default()
}

/// Returns the arguments of this process, its name included.
pub(super) fn own_arguments() -> io::Result<Vec<CString>> {
    std::env::args_os().map(|argument| c_string(argument.as_bytes())).collect()
}

/// Lets the signals through that are caught, or keeps them waiting.
pub(super) fn hold_signals(how: SigmaskHow) -> io::Result<()> {
    let caught: SigSet = CAUGHT.into_iter().collect();
    Ok(sigprocmask(how, Some(&caught), None)?)
}

fn environment(note: &Note) -> io::Result<Vec<CString>> {
    let others = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
    let note = (OsString::from(VARIABLE), OsString::from(serde_json::to_string(note)?));
    let variables = others.chain([note]);
    variables.map(|(name, value)| c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat())).collect()
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_zero| io::ErrorKind::InvalidInput.into())
}

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What asks `vrrpd run` for a rehearsal.
const PREFLIGHT_OPTION: &str = "--preflight";

/// The version of [`Handshake`].
const PREFLIGHT: u32 = 1;

/// The format of the state file that this program writes: the number in its magic.
const STATE_FORMAT: u32 = 1;

/// The environment variable with the [`Note`]. Programs that the daemon starts do not get it.
pub(super) const VARIABLE: &str = "VRRPD_UPGRADE";

/// What the event loop catches.
const CAUGHT: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];

/// What the kernel appends to the path of a file that is gone.
const GONE: &[u8] = b" (deleted)";

/// Lines of a failed rehearsal that are passed on.
const WORDS_MAX: usize = 8;

/// How long a rehearsal may take: a client of the control socket waits for it.
const REHEARSAL_PATIENCE: Duration = Duration::from_millis(2500);

/// How long the new program may take until it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_program_is_found_after_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(dir.path(), "vrrpd", "");
        let gone = dir.path().join("vrrpd (deleted)");
        let found = |started_as: Option<&Path>, remembered: &Path| {
            choose(started_as.map(Path::to_owned), remembered.to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(found(None, &gone), Ok(program.clone()));
        assert_eq!(found(Some(Path::new("vrrpd")), &gone), Ok(program.clone()), "a name is no path");
        // A link leads to what was installed beside it.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(found(Some(&link), Path::new("/gone (deleted)")), Ok(link));
        // A file may really have that name.
        script(dir.path(), "vrrpd (deleted)", "");
        assert_eq!(found(None, &gone), Ok(gone.clone()));
        std::fs::remove_file(&gone).unwrap();
        std::fs::remove_file(&program).unwrap();
        assert_eq!(found(None, &gone), Err(format!("no program can be executed at {}", program.display())));
    }

    #[test]
    fn a_rehearsal_tells_who_may_take_over() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handshake =
            |reads: u32| format!(r#"{{"preflight":1,"version":"9.9.9","reads_state":[{reads}],"more":true}}"#);
        for (name, text, expected) in [
            ("good", format!("[ \"$*\" = 'run --config x --preflight' ] && echo noise && echo '{}'", handshake(1)), ""),
            ("newer", format!("echo '{}'", handshake(7)), "restart instead"),
            ("stranger", "echo hello".to_owned(), "does not say that it is a vrrpd"),
            ("sick", "echo first >&2; echo 'x.toml:3:1: error: no' >&2; exit 78".to_owned(), "no"),
            ("crash", "kill -SEGV $$".to_owned(), "would not start here (signal: 11"),
        ] {
            let program = script(dir.path(), name, &text);
            let arguments = ["run", "--config", "x"].map(OsString::from);
            match runtime.block_on(rehearse(&program, &arguments)) {
                Ok(handshake) => assert_eq!((handshake.version.as_str(), expected), ("9.9.9", ""), "{name}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(!expected.is_empty() && text.contains(expected), "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn the_state_file_says_its_format() {
        assert_eq!(crate::daemon::state::MAGIC, format!("vrrpd-s{STATE_FORMAT}").as_bytes());
    }

    #[test]
    fn a_note_is_for_one_process_and_survives_the_way() {
        let note = Note {
            pid: 1,
            way_back: 7,
            name: "v".to_owned(),
            patience_ms: 5,
            from: "1".to_owned(),
            failure: Some("a \"b\"\n".to_owned()),
        };
        let variables = environment(&note).unwrap();
        let last = variables.last().unwrap().to_str().unwrap();
        let text = last.strip_prefix("VRRPD_UPGRADE=").unwrap();
        assert_eq!(serde_json::from_str::<Note>(text).unwrap(), note);
        assert_eq!(Note::own(), None, "nobody wrote one for this process");
    }
}
