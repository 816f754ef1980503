//! What is on a host: files, users, groups, units. Taken before an installation and after a removal, to be the same.

use std::collections::BTreeSet;

use vrrpd::demo::error::LabError;

use crate::container::Container;

/// One line for each thing.
#[derive(Default)]
pub struct Listing(BTreeSet<String>);

impl Listing {
    /// Looks at a host.
    pub fn of(host: &Container) -> Result<Self, LabError> {
        Ok(Self(host.ask(LOOK)?.lines().map(str::to_owned).collect()))
    }

    /// Returns what `later` has and this has not.
    pub fn more_in(&self, later: &Self) -> Vec<String> {
        later.0.difference(&self.0).cloned().collect()
    }
}

/// Left out: what lives in memory and belongs to the kernel or to systemd alone, the package that was copied to the home directory,
/// logs, and what the package system and systemd themselves keep of the past. Of these, only what has our name counts.
const LOOK: &str = r"
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path $HOME \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd \) -prune \
        -o ! -name '*-' -print | sed 's|^|file |'
    find /run /tmp /var -xdev -name '*vrrpd*' ! -path '/var/lib/dpkg/*' ! -path '/var/log/journal/*' | sed 's|^|file |'
    getent passwd | sed 's|^|user |'
    getent group | sed 's|^|group |'
    systemctl list-units --all --no-legend --plain 'vrrpd*' | sed 's|^|unit |'
    dpkg-query --list vrrpd 2>/dev/null | sed -n 's|^\([a-z]*\) *vrrpd .*|package \1|p' | grep -v un || :
";
