//! Keys of the HMAC trailer: where they are, who may know them, and what they must be.
//!
//! The only reader of key files. Refuses what others than root and the own user could read or change, and never says
//! what a key is, right or wrong. One stop before: `auth` and `keepalived`, for a value as it is written; one stop
//! after: [`Key`].

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::User;
use zeroize::Zeroizing;

use crate::keygen;
use crate::wire::auth::{Key, KeyLengthError};

/// What is done with the key files and credentials that a configuration names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// They are read: this host uses them.
    Read,
    /// They are left alone, because the file is for another host. In the place of each stands a key that nobody knows,
    /// so that such a configuration believes no one.
    LeftAlone,
}

/// What keys are read with.
pub(super) struct Secrets {
    /// What is done with what is not in the configuration itself.
    pub keys: Keys,
    /// The file that is read, if it is one.
    pub file: Option<PathBuf>,
    /// Where relative paths begin.
    pub directory: PathBuf,
    /// Where systemd puts the credentials of a unit.
    pub credentials: Option<PathBuf>,
    /// The user that reads.
    pub user: u32,
}

impl Secrets {
    /// Returns what this process has. `directory`: where relative paths begin.
    pub fn of_process(keys: Keys, file: Option<&Path>, directory: &Path) -> Self {
        let credentials = std::env::var_os(VARIABLE).filter(|directory| !directory.is_empty());
        Self {
            keys,
            file: file.map(Path::to_owned),
            directory: directory.to_owned(),
            credentials: credentials.map(PathBuf::from),
            user: nix::unistd::geteuid().as_raw(),
        }
    }

    /// Reads a key: `hex:` and digits, `file:PATH`, `credential:NAME`, or its own text.
    ///
    /// **Errors:** see [`SecretError`]; the operator's fault.
    pub fn key(&self, text: &str) -> Result<Key, SecretError> {
        let inline = |fault| SecretError { path: None, fault };
        let path = match Form::of(text) {
            Form::Inline => return decode(text.as_bytes()).map_err(inline),
            Form::File(path) if is_path(path) => self.directory.join(path),
            Form::File(_) => return Err(inline(SecretFault::NoPath)),
            Form::Credential(name) if !is_file_name(name) => return Err(inline(SecretFault::NoName)),
            Form::Credential(name) => match (&self.credentials, self.keys) {
                (Some(directory), _) => directory.join(name),
                (None, Keys::Read) => return Err(inline(SecretFault::NoCredentials { name: name.to_owned() })),
                (None, Keys::LeftAlone) => PathBuf::from(name),
            },
        };
        let key = match self.keys {
            Keys::Read => self.contents(&path).and_then(|bytes| decode(without_line_end(&bytes))),
            Keys::LeftAlone => unknown_key(),
        };
        key.map_err(|fault| SecretError { path: Some(path), fault })
    }

    /// Reads a key file.
    fn contents(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        // A device may do something when it is opened, so it is looked at first; what counts is what was opened.
        must_be_file(&fs::metadata(path).map_err(|error| self.absent(path, error))?)?;
        read_all(&mut self.open(path)?)
    }

    /// Returns why there is nothing to open: a file the operator can make, a credential the unit must load.
    fn absent(&self, path: &Path, error: io::Error) -> SecretFault {
        let is_credential = path.parent() == self.credentials.as_deref();
        match error.kind() {
            io::ErrorKind::NotFound if !is_credential => SecretFault::Missing { why: error.to_string() },
            _ => self.unreadable(error),
        }
    }

    /// Opens a key file, without waiting for the other end of a pipe.
    fn open(&self, path: &Path) -> Result<File, SecretFault> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
        let file = file.map_err(|error| self.unreadable(error))?;
        let metadata = file.metadata().map_err(unreadable)?;
        must_be_file(&metadata)?;
        self.must_be_private(path, &metadata)?;
        Ok(file)
    }

    /// Says who may not read it, where that is the reason.
    fn unreadable(&self, error: io::Error) -> SecretFault {
        match error.kind() {
            io::ErrorKind::PermissionDenied if self.user != 0 => SecretFault::Denied { user: self.user },
            _ => unreadable(error),
        }
    }

    /// Refuses a file that somebody else than root and the own user may read or change.
    fn must_be_private(&self, path: &Path, metadata: &Metadata) -> Result<(), SecretFault> {
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if owner != 0 && owner != self.user && !(self.user == 0 && is_user(owner, DAEMON)) {
            return Err(SecretFault::Owner { owner, user: self.user });
        }
        // systemd lets a user read its credential by an access list, which shows in the bits of the group.
        let is_credential = owner == 0 && path.parent() == self.credentials.as_deref();
        let forbidden = if is_credential { 0o037 } else { 0o077 };
        if mode & forbidden != 0 { Err(SecretFault::Exposed { mode }) } else { Ok(()) }
    }
}

/// Says whether a user has that name.
fn is_user(user: u32, name: &str) -> bool {
    matches!(User::from_uid(user.into()), Ok(Some(user)) if user.name == name)
}

/// How a key is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form<'t> {
    /// In the configuration itself.
    Inline,
    /// In a file of its own.
    File(&'t str),
    /// In a credential of the systemd unit.
    Credential(&'t str),
}

impl<'t> Form<'t> {
    /// Returns how a value is written.
    pub fn of(text: &'t str) -> Self {
        match (text.strip_prefix(FILE), text.strip_prefix(CREDENTIAL)) {
            (Some(path), _) => Self::File(path),
            (None, Some(name)) => Self::Credential(name),
            (None, None) => Self::Inline,
        }
    }
}

/// Returns the mode of a configuration file that others can read, so that a key in it is no secret.
pub(super) fn exposed_mode(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some(metadata.mode() & 0o7777).filter(|mode| mode & 0o007 != 0)
}

/// Reads `hex:` and digits, or plain text.
fn decode(text: &[u8]) -> Result<Key, SecretFault> {
    if let Some(digits) = text.strip_prefix(HEX.as_bytes()) {
        return Ok(Key::new(&unhex(digits)?)?);
    }
    if [FILE, CREDENTIAL].iter().any(|prefix| text.starts_with(prefix.as_bytes())) {
        return Err(SecretFault::Reference);
    }
    if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(SecretFault::NoText);
    }
    Ok(Key::new(text)?)
}

/// Reads pairs of digits; blanks may stand between pairs.
fn unhex(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    let mut high = None;
    for (at, digit) in digits.iter().enumerate() {
        if matches!(digit, b' ' | b'\t') && high.is_none() {
            continue;
        }
        let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        match (value, high.take()) {
            (Some(value), Some(high)) => bytes.push(high << 4 | value),
            (Some(value), None) => high = Some(value),
            (None, Some(_)) if matches!(digit, b' ' | b'\t') => return Err(SecretFault::OddDigits),
            (None, _) => return Err(SecretFault::NoDigit { at: at + 1 }),
        }
    }
    if high.is_some() { Err(SecretFault::OddDigits) } else { Ok(bytes) }
}

/// Makes the key that stands for one which is not read.
fn unknown_key() -> Result<Key, SecretFault> {
    let key = keygen::fresh_key().map_err(unreadable)?;
    Ok(Key::new(key.as_slice())?)
}

/// Reads a file of at most [`FILE_MAX`] bytes, without a copy that is not wiped.
fn read_all(file: &mut File) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let mut bytes = Zeroizing::new(vec![0; FILE_MAX + 1]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if filled > FILE_MAX {
        return Err(SecretFault::TooLarge);
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn must_be_file(metadata: &Metadata) -> Result<(), SecretFault> {
    let kind = metadata.file_type();
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(SecretFault::NoFile { found })
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.contains(char::is_control)
}

/// Says whether a text can be the name of a credential.
fn is_file_name(name: &str) -> bool {
    is_path(name) && name.len() <= 255 && !name.contains('/') && name != "." && name != ".."
}

fn unreadable(error: io::Error) -> SecretFault {
    SecretFault::Unreadable { why: error.to_string() }
}

/// Why there is no key; holds nothing of it.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretError {
    /// The file it should come from; `None`: the configuration itself.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub fault: SecretFault,
}

/// What is wrong with a key, or with where it is.
#[derive(Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// Too short or too long.
    Length(KeyLengthError),
    /// Half an octet.
    OddDigits,
    /// Something else than a digit behind `hex:`.
    NoDigit {
        /// How many characters behind the prefix, from 1.
        at: usize,
    },
    /// Neither digits nor plain text.
    NoText,
    /// A key file that names another place.
    Reference,
    /// `file:` without a path.
    NoPath,
    /// `credential:` without the name of a file.
    NoName,
    /// Not started by systemd with credentials.
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The system refused.
    Unreadable {
        /// Its reason.
        why: String,
    },
    /// The file is there, and this user may not read it.
    Denied {
        /// The user that reads.
        user: u32,
    },
    /// There is no such file.
    Missing {
        /// What the system says.
        why: String,
    },
    /// No regular file.
    NoFile {
        /// What it is.
        found: &'static str,
    },
    /// Of a stranger.
    Owner {
        /// Who owns it.
        owner: u32,
        /// Who reads it.
        user: u32,
    },
    /// Others than its owner may read or change it.
    Exposed {
        /// Its mode.
        mode: u32,
    },
    /// Longer than any key.
    TooLarge,
}

impl From<KeyLengthError> for SecretFault {
    fn from(error: KeyLengthError) -> Self {
        Self::Length(error)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or(Path::new("FILE"));
        if self.path.is_some() {
            write!(f, "{}: ", path.display())?;
        }
        match &self.fault {
            SecretFault::Length(error) => write!(f, "{error}; `vrrpd keygen` makes one"),
            SecretFault::OddDigits => f.write_str("half an octet; expected two digits for each octet behind `hex:`"),
            SecretFault::NoDigit { at } => {
                write!(f, "character {at} behind `hex:` is no hexadecimal digit; expected two for each octet")
            }
            SecretFault::NoText => {
                f.write_str("neither `hex:` with digits nor plain ASCII text in one line; `vrrpd keygen` makes one")
            }
            SecretFault::Reference => {
                f.write_str("names another place; expected the key itself, as `vrrpd keygen` makes it")
            }
            SecretFault::NoPath => f.write_str("expected a path behind `file:`, such as \"file:/etc/vrrpd/keys/web\""),
            SecretFault::NoName => {
                f.write_str("expected the name of a systemd credential behind `credential:`, without slashes")
            }
            SecretFault::NoCredentials { name } => write!(
                f,
                "no credential {name:?}, for ${VARIABLE} is not set; the unit needs LoadCredential={name}:PATH, and \
                 outside of it `vrrpd check --no-programs` leaves keys alone"
            ),
            SecretFault::Unreadable { why } => write!(f, "cannot be read: {why}"),
            SecretFault::Denied { user } => write!(
                f,
                "user {user}, who runs this, may not read it; expected a file of that user in a directory that it may enter \
                 (chown -R), or a credential: LoadCredential= of the unit"
            ),
            SecretFault::Missing { why } => {
                write!(f, "cannot be read: {why}; `vrrpd keygen > {}` makes a key, for all nodes the same", Word(path))
            }
            SecretFault::NoFile { found } => write!(f, "is {found}; expected a file with the key"),
            SecretFault::Owner { owner, user } => {
                let (name, owners) = match user {
                    0 => ("root".to_owned(), "root".to_owned()),
                    user => (user.to_string(), format!("root or user {user}, who runs this")),
                };
                write!(f, "belongs to user {owner}, who can read and change it; expected {owners}: ")?;
                write!(f, "chown {name} {word} && chmod 600 {word}", word = Word(path))
            }
            SecretFault::Exposed { mode } => {
                write!(f, "mode {mode:04o} lets others than its owner read or change it; chmod 600 {}", Word(path))
            }
            SecretFault::TooLarge => write!(f, "more than {FILE_MAX} bytes, which no key has"),
        }
    }
}

impl std::error::Error for SecretError {}

/// A path as a word of a shell.
pub(super) struct Word<'a>(pub &'a Path);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c));
        if is_plain { f.write_str(&text) } else { write!(f, "'{}'", text.replace('\'', "'\\''")) }
    }
}

/// The user of the unit, as `dist/vrrpd.sysusers` makes it: root, who checks its files, does not mind that they are its own.
const DAEMON: &str = "vrrpd";
const HEX: &str = "hex:";
const FILE: &str = "file:";
const CREDENTIAL: &str = "credential:";
/// Set by systemd for a unit that has credentials.
pub(super) const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// More than any key needs, blanks between its octets included.
const FILE_MAX: usize = 1024;

#[cfg(test)]
mod tests;
