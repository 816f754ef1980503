//! Other programs of this host that speak VRRP, and what of it is ours: two for one virtual router fight over its addresses.
//!
//! Found in `/proc`, in this network namespace alone: the files below `/proc/PID/net` are the same ones for all processes of a
//! namespace, and may be looked at without privileges. What they are told is read by our own readers. One stop before: the
//! start of the daemon and `doctor`. One stop after: `config`.

mod refuse;

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{self, Format, Keys, LocalHost};
use crate::engine::params::RouterParams;

pub(super) use refuse::{Refusal, refuse};

/// A program that speaks VRRP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Keepalived, unless it was told to check alone.
    Keepalived,
    /// Another daemon of ours.
    Vrrpd,
}

/// A process that speaks VRRP in this network namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Other {
    /// Its number.
    pub pid: i32,
    /// What it runs.
    pub program: Program,
    /// The file it reads, as it names it.
    pub config: PathBuf,
    /// What of it is ours.
    pub overlap: Overlap,
}

/// What another program has in common with us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// These; empty: nothing.
    Shared(Vec<Shared>),
    /// Its file cannot be used; why.
    Unread(String),
}

/// Something that two programs of one host would fight over. `Display` names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    /// Our instance.
    pub instance: String,
    /// What: a virtual router, or an address.
    pub what: String,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.instance, self.what)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keepalived => "Keepalived",
            Self::Vrrpd => "vrrpd",
        })
    }
}

/// Returns the other programs of this network namespace that speak VRRP, by process number; one entry for each that was started,
/// none for its children.
pub fn others(ours: &[&RouterParams], host: &LocalHost<'_>) -> Vec<Other> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found: Vec<(i32, i32, Called)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid == own || !is_in_this_network(pid) {
            continue;
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if let Some(called) = called(&line) {
            found.push((pid, parent_of(pid), called));
        }
    }
    found.sort_by_key(|(pid, _, _)| *pid);
    let pids: Vec<i32> = found.iter().map(|(pid, _, _)| *pid).collect();
    let started = found.into_iter().filter(|(_, parent, _)| !pids.contains(parent));
    started.map(|(pid, _, called)| other(pid, called, ours, host)).collect()
}

fn other(pid: i32, called: Called, ours: &[&RouterParams], host: &LocalHost<'_>) -> Other {
    let format = match called.program {
        Program::Keepalived => Some(Format::Keepalived),
        Program::Vrrpd => None,
    };
    let overlap = match config::load_with(&seen_from_here(pid, &called.config), format, Keys::LeftAlone) {
        Ok(loaded) => {
            let placed = loaded.config.for_this_host(host);
            let theirs: Vec<&RouterParams> = match &placed {
                Ok(params) => params.routers.iter().map(AsRef::as_ref).collect(),
                Err(_) => loaded.config.routers().collect(),
            };
            Overlap::Shared(shared(ours, &theirs))
        }
        Err(problems) => Overlap::Unread(problems.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    Other { pid, program: called.program, config: called.config, overlap }
}

/// Returns what two sets of routers of one host have in common, in our order: a virtual router, else an address.
fn shared(ours: &[&RouterParams], theirs: &[&RouterParams]) -> Vec<Shared> {
    let is_same = |ours: &RouterParams, theirs: &RouterParams| {
        (&ours.interface, ours.vrid, ours.family) == (&theirs.interface, theirs.vrid, theirs.family)
    };
    let common = |router: &&RouterParams| {
        let instance = router.name.clone();
        if theirs.iter().any(|theirs| is_same(router, theirs)) {
            let what = format!("{}, virtual_router_id {}", router.interface, router.vrid.get());
            return Some(Shared { instance, what });
        }
        let has = |vip| theirs.iter().flat_map(|theirs| &theirs.vips).any(|theirs| theirs.address == vip);
        let vip = router.vips.iter().map(|vip| vip.address).find(|vip| has(*vip))?;
        Some(Shared { instance, what: vip.to_string() })
    };
    ours.iter().filter_map(common).collect()
}

/// Returns the path by which we reach a file that another process names: it may have a root of its own.
fn seen_from_here(pid: i32, path: &Path) -> PathBuf {
    let inside = match path.is_absolute() {
        true => PathBuf::from(format!("/proc/{pid}/root{}", path.display())),
        false => Path::new(&format!("/proc/{pid}/cwd")).join(path),
    };
    // Without the right to look into that process its root is taken for ours.
    if fs::metadata(&inside).is_ok() { inside } else { path.to_owned() }
}

/// What a command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Called {
    program: Program,
    config: PathBuf,
}

/// Reads a command line as `/proc` shows it; `None`: a program that does not speak VRRP, or one that has ended.
fn called(line: &[u8]) -> Option<Called> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split('\0').filter(|word| !word.is_empty());
    let program = words.next()?.rsplit('/').next()?;
    let words: Vec<&str> = words.collect();
    match program {
        "keepalived" => called_keepalived(&words),
        "vrrpd" if words.first() == Some(&"run") => {
            let config = value_of(&words, "-c", "--config").map_or_else(config::default_path, PathBuf::from);
            Some(Called { program: Program::Vrrpd, config })
        }
        _ => None,
    }
}

fn called_keepalived(words: &[&str]) -> Option<Called> {
    let has =
        |short: char, long: &str| words.iter().any(|word| *word == long || (is_bundle(word) && word.contains(short)));
    // Told to check alone.
    if has('C', "--check") && !has('P', "--vrrp") {
        return None;
    }
    let config = value_of(words, "-f", "--use-file").unwrap_or(KEEPALIVED_CONF);
    Some(Called { program: Program::Keepalived, config: PathBuf::from(config) })
}

/// Says whether a word is letters of options that take no value, such as `-nlD`.
fn is_bundle(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|letters| letters.chars().all(|c| "nlDdPCRVIxXmM".contains(c)))
}

/// Returns the value of an option: the next word, or what follows it.
fn value_of<'a>(words: &[&'a str], short: &str, long: &str) -> Option<&'a str> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if *word == short || *word == long {
            return rest.next().copied();
        }
        let behind = |option: &str| word.strip_prefix(option);
        let value = behind(long).and_then(|value| value.strip_prefix('='));
        if let Some(value) = value.or_else(|| behind(short).filter(|_| !word.starts_with("--"))) {
            return Some(value);
        }
    }
    None
}

/// Says whether a process is in our network namespace; not when that cannot be found out.
pub fn is_in_this_network(pid: i32) -> bool {
    let number = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.ino());
    let own = number("/proc/self/net/dev");
    own.is_some() && number(&format!("/proc/{pid}/net/dev")) == own
}

fn parent_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

/// What Keepalived reads when it is told nothing else.
const KEEPALIVED_CONF: &str = "/etc/keepalived/keepalived.conf";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::params::{Scope, Transport, Vip, VipOptions};
    use crate::wire::field::{Family, Vrid};

    fn config_of(words: &str) -> Option<(Program, String)> {
        let line: String = words.split(' ').map(|word| format!("{word}\0")).collect();
        called(line.as_bytes()).map(|called| (called.program, called.config.display().to_string()))
    }

    #[test]
    fn a_command_line_says_who_speaks_and_by_which_file() {
        let keepalived = |path: &str| Some((Program::Keepalived, path.to_owned()));
        for (words, expected) in [
            ("/usr/sbin/keepalived", keepalived(KEEPALIVED_CONF)),
            ("keepalived --dont-fork -P -f /a/b.conf", keepalived("/a/b.conf")),
            ("keepalived -nl -f/a.conf", keepalived("/a.conf")),
            ("keepalived --use-file=/a.conf -D", keepalived("/a.conf")),
            ("keepalived -n -C", None),
            ("keepalived -nC -P", keepalived(KEEPALIVED_CONF)),
            ("/usr/sbin/vrrpd run --config /x.toml", Some((Program::Vrrpd, "/x.toml".to_owned()))),
            ("vrrpd run -c x.toml", Some((Program::Vrrpd, "x.toml".to_owned()))),
            ("vrrpd status", None),
            // FRR's, which has nothing to run.
            ("/usr/lib/frr/vrrpd -d -A 127.0.0.1", None),
            ("vim keepalived", None),
        ] {
            assert_eq!(config_of(words), expected, "{words}");
        }
        assert_eq!(called(b""), None, "has ended");
    }

    fn router(name: &str, interface: &str, vrid: u8, vip: &str) -> RouterParams {
        let transport = Transport::Multicast { group: "224.0.0.18".parse().unwrap() };
        let mut router = RouterParams::plain(name, interface, Vrid::new(vrid).unwrap(), Family::V4, transport);
        let (scope, options) = (Scope::Global, VipOptions::default());
        let address = vip.parse().unwrap();
        router.vips.push(Vip {
            address,
            prefix_len: 32,
            interface: None,
            advertise: true,
            label: None,
            broadcast: None,
            scope,
            options,
        });
        router
    }

    #[test]
    fn routers_and_addresses_are_what_two_can_have_in_common() {
        let ours = router("web", "eth0", 51, "10.0.0.30");
        let common =
            |theirs: RouterParams| shared(&[&ours], &[&theirs]).first().map(ToString::to_string).unwrap_or_default();
        assert_eq!(common(router("x", "eth0", 51, "10.0.0.99")), "web (eth0, virtual_router_id 51)");
        assert_eq!(common(router("x", "eth1", 51, "10.0.0.30")), "web (10.0.0.30)");
        assert_eq!(common(router("x", "eth1", 51, "10.0.0.31")), "");
        assert_eq!(common(router("x", "eth0", 52, "10.0.0.31")), "");
    }

    #[test]
    fn this_process_is_in_this_network() {
        assert!(is_in_this_network(i32::try_from(std::process::id()).unwrap()));
        assert!(!is_in_this_network(0));
    }
}
