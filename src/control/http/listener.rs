//! Where clients of the endpoint come in: a TCP port, or a unix socket with its permissions.
//!
//! One stop before: `[daemon] metrics`. One stop after: `http`, which serves who comes in.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::control::group::give_to;
use crate::engine::params::Endpoint;

/// A bound address. The file of a unix socket goes away with it.
#[derive(Debug)]
pub struct Listener(Bound);

#[derive(Debug)]
enum Bound {
    Inet(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Who came in.
pub(super) enum Stream {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Binds; inside a runtime only.
    ///
    /// A unix socket has mode 0660 and belongs to `group`, where that is possible; else it is for root alone, which the log
    /// says. One that a dead daemon left is replaced; one that somebody listens on, or another kind of file, is not.
    pub fn bind(at: &Endpoint, group: Option<&str>) -> io::Result<Self> {
        match at {
            Endpoint::Inet(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(|listener| Self(Bound::Inet(listener)))
            }
            Endpoint::Unix(path) => {
                clear(path)?;
                // Nobody but root may connect before the mode is set: that takes the right to write.
                let listener = StdUnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                if let Some(group) = group {
                    give_to("metrics socket", path, group);
                }
                fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
                UnixListener::from_std(listener).map(|listener| Self(Bound::Unix(listener, path.clone())))
            }
        }
    }

    /// Waits for the next client.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Bound::Inet(listener) => listener.accept().await.map(|(stream, _)| Stream::Inet(stream)),
            Bound::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// Returns the port it got.
    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        match &self.0 {
            Bound::Inet(listener) => listener.local_addr().map_or(0, |address| address.port()),
            Bound::Unix(..) => 0,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Bound::Unix(_, path) = &self.0 {
            // A file that stays is replaced by the next daemon.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

/// Returns an endpoint as `[daemon] metrics` writes it.
pub fn shown(at: &Endpoint) -> String {
    match at {
        Endpoint::Inet(address) => address.to_string(),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
    }
}
