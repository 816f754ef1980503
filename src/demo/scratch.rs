//! A directory for configuration files and sockets that is gone afterwards.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::clock::now;
use super::error::LabError;

/// A directory of our own, readable by nobody else; removed when dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a directory below the system's directory for temporary files.
    pub fn new() -> Result<Self, LabError> {
        let parent = std::env::temp_dir();
        for attempt in 0..100 {
            let name = format!("vrrpd-{}-{:x}", std::process::id(), now().as_nanos() + attempt);
            let path = parent.join(name);
            // Fails when it exists, whoever made it: what is there is never used.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(LabError::kernel(format!("make {}", path.display()))(error)),
            }
        }
        Err(LabError::kernel(format!("make a directory in {}", parent.display()))(io::ErrorKind::AlreadyExists.into()))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file in it and returns the file's path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, LabError> {
        let path = self.path.join(name);
        std::fs::write(&path, text).map_err(LabError::kernel(format!("write {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody to tell; it is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
