//! Room for namespaces without being root: a user namespace in which this process is root.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::error::LabError;

/// Makes sure that this process may make network namespaces, if need be by moving it into a user namespace.
///
/// The calling thread ends up in an empty network namespace either way: nothing it does can reach the real network.
/// To be called while the process has one thread, as the kernel demands it of who moves.
///
/// **Errors:** [`LabError::Forbidden`] when the system allows neither.
pub fn make_room() -> Result<(), LabError> {
    let Err(refused) = unshare(CloneFlags::CLONE_NEWNET) else {
        return Ok(());
    };
    // The kernel's first word is the better reason: for a container's root it is the only one that can be acted on.
    // Some systems allow the user namespace and then no privilege in it.
    become_root_of_a_user_namespace()
        .and_then(|()| Ok(unshare(CloneFlags::CLONE_NEWNET)?))
        .map_err(|_| LabError::Forbidden { tried: "make network namespaces", source: refused.into() })
}

fn become_root_of_a_user_namespace() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // The kernel wants this before an unprivileged process may map its group.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}
