//! Where a program is, element by element, with symbolic links followed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::identity::Identity;

/// Something on the way to a file, the file included.
#[derive(Debug)]
pub(super) struct Element {
    /// Without symbolic links, but for the last one, which this may be.
    pub path: PathBuf,
    /// Of itself, not of what it points at.
    pub metadata: Metadata,
}

impl Element {
    /// Returns the permission bits, setuid and sticky included.
    pub fn mode(&self) -> u32 {
        self.metadata.permissions().mode() & 0o7777
    }

    /// Says whether root runs whatever somebody else makes of it.
    pub fn is_unsafe(&self) -> bool {
        self.has_foreign_owner() || self.is_writable()
    }

    /// Says whether somebody else than root owns it.
    pub fn has_foreign_owner(&self) -> bool {
        self.metadata.uid() != 0
    }

    /// Says whether its group or everybody can change it. In a sticky directory they can only add to it; a link's own
    /// mode means nothing.
    pub fn is_writable(&self) -> bool {
        let is_sticky_directory = self.metadata.is_dir() && self.mode() & 0o1000 != 0;
        self.mode() & 0o022 != 0 && !is_sticky_directory && !self.metadata.is_symlink()
    }

    /// Says whether somebody may do what `bit` stands for: 4 read, 2 write, 1 execute or search.
    ///
    /// By the permission bits alone: access control lists and security modules are not looked at.
    pub fn allows(&self, who: Identity, bit: u32) -> bool {
        let mode = self.mode();
        if who.uid.is_root() {
            return bit != 1 || self.metadata.is_dir() || mode & 0o111 != 0;
        }
        let is_member = || {
            // Only who stays what the daemon is keeps its other groups.
            let groups = if who == Identity::own() { nix::unistd::getgroups().unwrap_or_default() } else { Vec::new() };
            self.metadata.gid() == who.gid.as_raw() || groups.iter().any(|group| group.as_raw() == self.metadata.gid())
        };
        let shift = if self.metadata.uid() == who.uid.as_raw() {
            6
        } else if is_member() {
            3
        } else {
            0
        };
        mode >> shift & bit != 0
    }
}

/// Why a path does not lead to anything.
#[derive(Debug)]
pub(super) enum WalkError {
    /// There is no such element.
    Missing(PathBuf),
    /// More follows, but it is not a directory.
    NotADirectory(PathBuf),
    /// Symbolic links lead to each other.
    Loop(PathBuf),
    /// It cannot be looked at.
    Unseen(PathBuf, io::Error),
}

/// Returns everything that is passed on the way to a file: directories, symbolic links, and last the file itself.
///
/// **Errors:** where the way ends.
pub(super) fn walk(path: &Path) -> Result<Vec<Element>, WalkError> {
    let unseen = |path: &Path, error| WalkError::Unseen(path.to_owned(), error);
    let absolute = std::path::absolute(path).map_err(|error| unseen(path, error))?;
    let mut todo: VecDeque<OsString> = names(&absolute).collect();
    let mut here = PathBuf::from("/");
    let root = here.symlink_metadata().map_err(|error| unseen(&here, error))?;
    let mut elements = vec![Element { path: here.clone(), metadata: root }];
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let metadata = match next.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(WalkError::Missing(next)),
            Err(error) => return Err(WalkError::Unseen(next, error)),
        };
        if metadata.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(WalkError::Loop(next));
            }
            let target = next.read_link().map_err(|error| unseen(&next, error))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                todo.push_front(name);
            }
        } else if !todo.is_empty() && !metadata.is_dir() {
            return Err(WalkError::NotADirectory(next));
        } else {
            here.clone_from(&next);
        }
        elements.push(Element { path: next, metadata });
    }
    Ok(elements)
}

/// Returns the path of a program: itself if it has a slash, else where `search` has it first.
pub(super) fn locate(program: &str, search: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let directories = search.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| Path::new(directory).join(program)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// Returns the names in a path; `..` is one of them.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// The kernel's bound on symbolic links in one path.
const LINKS_MAX: usize = 40;
