//! The state file: what this process leaves behind for the next one, however it ends.
//!
//! `RUNTIME_DIR/state` is one file, so that one rename replaces all of it and no two parts can ever disagree: a table of
//! the routers in JSON, written at start and at reload, and behind it a slot of 64 bytes for each router, written in place
//! while the daemon runs. Table and slots carry checksums: a file that was cut or changed anywhere counts as absent, a slot
//! as unknown. It holds no secret. On a tmpfs, where it belongs, writing never waits.
//!
//! | file | does |
//! |---|---|
//! | `bytes` | header and slots to bytes and back |
//! | [`table`] | the routers by name, as JSON |
//! | [`past`] | reads what an earlier process left |
//! | [`live`] | writes what this process does |
//!
//! One stop before: `daemon::effects`, which tells what left and what changed. One stop after, in another process:
//! `daemon::start`, which adopts, and `daemon::release`.

mod bytes;
pub mod live;
pub mod past;
pub mod table;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Puts a whole file in the place of the one that is there, at one instant; returns it, open to be written.
fn replace(runtime_dir: &Path, bytes: &[u8]) -> io::Result<File> {
    let path = path(runtime_dir);
    let unborn = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unborn)?;
    file.write_all(bytes).and_then(|()| fs::rename(&unborn, &path)).inspect_err(|_| {
        let _ = fs::remove_file(&unborn);
    })?;
    Ok(file)
}

/// Returns where the state file of a runtime directory is.
pub fn path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("state")
}
