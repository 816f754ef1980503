//! Why the network service could not be opened.

use std::fmt;
use std::io;

/// The service could not be opened.
#[derive(Debug)]
pub struct ServiceError {
    pub(super) what: &'static str,
    pub(super) source: io::Error,
}

impl ServiceError {
    /// Says whether a missing privilege is the cause (exit code 77).
    pub fn is_permission(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open {}: {}", self.what, self.source)?;
        if self.is_permission() {
            f.write_str("; needs CAP_NET_ADMIN and CAP_NET_RAW: run as root, or set AmbientCapabilities= in the unit")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
