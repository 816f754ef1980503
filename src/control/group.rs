//! Whose group the sockets belong to.
//!
//! One stop before: `[daemon] control_group`. One stop after: `control::server`, `control::http`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::Group;

/// Returns the group whose members may open the sockets: the one that the configuration says, else [`DEFAULT_GROUP`] if
/// there is such a group, else none.
pub fn control_group(said: Option<&str>) -> Option<String> {
    let is_there = |name: &str| matches!(Group::from_name(name), Ok(Some(_)));
    chosen_group(said, is_there)
}

fn chosen_group(said: Option<&str>, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let default = || is_there(DEFAULT_GROUP).then_some(DEFAULT_GROUP);
    said.or_else(default).map(str::to_owned)
}

/// The group where the configuration says none.
pub const DEFAULT_GROUP: &str = "vrrpd";

/// Gives a file to a group, or says why it stays root's.
pub(super) fn give_to(what: &str, path: &Path, group: &str) {
    let given = match Group::from_name(group) {
        // A daemon with a user of its own makes it with that group, and may not give it away.
        Ok(Some(group)) if fs::metadata(path).is_ok_and(|file| file.gid() == group.gid.as_raw()) => Ok(()),
        Ok(Some(group)) => chown(path, None, Some(group.gid.as_raw())).map_err(|error| error.to_string()),
        Ok(None) => Err("no such group".to_owned()),
        Err(errno) => Err(errno.to_string()),
    };
    if let Err(why) = given {
        tracing::info!("{what} is for root alone: group {group}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_group_holds_where_it_is_there() {
        let is_there = |name: &str| name == "vrrpd";
        assert_eq!(chosen_group(None, is_there).as_deref(), Some("vrrpd"));
        assert_eq!(chosen_group(None, |_| false), None);
        // What is said and is not there is told when it is given.
        assert_eq!(chosen_group(Some("adm"), |_| false).as_deref(), Some("adm"));
    }
}
