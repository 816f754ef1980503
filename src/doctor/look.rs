//! Reads what the host says of itself: files, settings, the answers of `nft`. Changes nothing.
//!
//! All paths are below a root, which is `/` but in tests. One stop before: `doctor::run`. One stop after: `doctor::facts`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::facts::{Clock, Facts, Filter, Machine, Networkd, TextFile};
use crate::daemon::beside::is_in_this_network;
use crate::wire::field::Family;

/// Fills in what files and settings say; links and routers are known.
pub fn host(facts: &mut Facts, root: &Path, unseen: &mut Vec<String>) {
    let names: Vec<String> = facts.interfaces().into_iter().map(str::to_owned).collect();
    let running = Running::read();
    facts.sysctls = sysctls(root, &names);
    facts.networkd = running.is_here("systemd-network").then(|| networkd(root, facts));
    facts.network_manager = running.is_here("NetworkManager").then(|| network_manager(root, facts));
    facts.address_files = glob(root, &ADDRESS_FILES, unseen);
    facts.balancer_files = glob(root, &BALANCER_FILES, unseen);
    facts.machine = machine(root);
    facts.clock = clock(root, &running);
    facts.filter = filter(root, &running, unseen);
}

/// Programs that run, by the name that the kernel has for them.
struct Running(Vec<(String, i32)>);

impl Running {
    fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let comm = |pid| Some((fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned(), pid));
        Self(pids.filter_map(comm).collect())
    }

    /// The kernel keeps 15 bytes of a name.
    fn is_there(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found.starts_with(name))
    }

    /// The same, in this network namespace.
    fn is_here(&self, name: &str) -> bool {
        self.0.iter().any(|(found, pid)| found.starts_with(name) && is_in_this_network(*pid))
    }
}

fn sysctls(root: &Path, names: &[String]) -> BTreeMap<String, String> {
    let of_interface = |name: &String| SYSCTLS.map(|(family, key)| format!("{family}/conf/{name}/{key}"));
    let all = ["all".to_owned()];
    let per_interface = all.iter().chain(names).flat_map(of_interface);
    let keys = per_interface.chain(["ipv4/ip_nonlocal_bind".to_owned(), "ipv6/ip_nonlocal_bind".to_owned()]);
    let read = |key: String| {
        let text = fs::read_to_string(root.join("proc/sys/net").join(&key)).ok()?;
        Some((key, text.trim().to_owned()))
    };
    keys.filter_map(read).collect()
}

const SYSCTLS: [(&str, &str); 6] = [
    ("ipv4", "rp_filter"),
    ("ipv4", "promote_secondaries"),
    ("ipv4", "arp_ignore"),
    ("ipv4", "arp_announce"),
    ("ipv6", "disable_ipv6"),
    ("ipv6", "accept_dad"),
];

/// Reads which file systemd-networkd goes by for each interface that it manages.
fn networkd(root: &Path, facts: &Facts) -> Networkd {
    let mut links = BTreeMap::new();
    for link in &facts.links {
        let state = root.join(format!("run/systemd/netif/links/{}", link.index));
        let Ok(state) = fs::read_to_string(state) else { continue };
        let value = |key: &str| state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let Some(path) = value("NETWORK_FILE").filter(|_| value("ADMIN_STATE") != Some("unmanaged")) else { continue };
        let mut files: Vec<TextFile> = read(root, path).into_iter().collect();
        let name = path.rsplit('/').next().unwrap_or_default();
        files.extend(drop_ins(root, &NETWORK_FOLDERS, name));
        links.insert(link.name.clone(), files);
    }
    let mut main: Vec<TextFile> = read(root, "/usr/lib/systemd/networkd.conf").into_iter().collect();
    main.extend(read(root, "/etc/systemd/networkd.conf"));
    main.extend(drop_ins(root, &["usr/lib/systemd", "run/systemd", "etc/systemd"], "networkd.conf"));
    Networkd { links, main }
}

const NETWORK_FOLDERS: [&str; 3] = ["usr/lib/systemd/network", "run/systemd/network", "etc/systemd/network"];

/// Returns the drop-ins of a file by name, as they count; of one name in several folders the last folder has it.
fn drop_ins(root: &Path, folders: &[&str], name: &str) -> Vec<TextFile> {
    let mut found: BTreeMap<PathBuf, TextFile> = BTreeMap::new();
    for folder in folders {
        for path in entries(root, &format!("{folder}/{name}.d"), ".conf") {
            if let (Some(name), Some(file)) = (path.file_name(), read_path(root, &path).ok()) {
                found.insert(PathBuf::from(name), file);
            }
        }
    }
    found.into_values().collect()
}

fn network_manager(root: &Path, facts: &Facts) -> Vec<String> {
    let is_managed = |index: u32| {
        let state = fs::read_to_string(root.join(format!("run/NetworkManager/devices/{index}"))).unwrap_or_default();
        state.lines().any(|line| line.trim() == "managed=true")
    };
    facts.links.iter().filter(|link| is_managed(link.index)).map(|link| link.name.clone()).collect()
}

/// Folders and endings of names.
const ADDRESS_FILES: [(&str, &str); 12] = [
    ("etc/netplan", ".yaml"),
    ("run/netplan", ".yaml"),
    ("usr/lib/netplan", ".yaml"),
    ("etc/network", "interfaces"),
    ("etc/network/interfaces.d", ""),
    ("etc/systemd/network", ".network"),
    ("run/systemd/network", ".network"),
    ("usr/lib/systemd/network", ".network"),
    ("etc/NetworkManager/system-connections", ".nmconnection"),
    ("run/NetworkManager/system-connections", ".nmconnection"),
    ("usr/lib/NetworkManager/system-connections", ".nmconnection"),
    ("etc/sysconfig/network-scripts", ""),
];
const BALANCER_FILES: [(&str, &str); 5] = [
    ("etc/haproxy", ".cfg"),
    ("etc/haproxy/conf.d", ".cfg"),
    ("etc/nginx", "nginx.conf"),
    ("etc/nginx/conf.d", ".conf"),
    ("etc/nginx/sites-enabled", ""),
];

fn glob(root: &Path, folders: &[(&str, &str)], unseen: &mut Vec<String>) -> Vec<TextFile> {
    let mut found = Vec::new();
    for path in folders.iter().flat_map(|(folder, ending)| entries(root, folder, ending)) {
        match read_path(root, &path) {
            Ok(file) => found.push(file),
            Err(error) => unseen.push(format!("{}: {error}", path.display())),
        }
    }
    found
}

/// Returns the plain files of a folder with that ending, sorted.
fn entries(root: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending) && path.is_file()).collect();
    found.sort();
    found
}

fn read(root: &Path, path: &str) -> Option<TextFile> {
    read_path(root, &root.join(path.trim_start_matches('/'))).ok()
}

/// Reads a file; its path is told without the root.
fn read_path(root: &Path, path: &Path) -> std::io::Result<TextFile> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(bytes.get(..FILE).unwrap_or(&bytes)).into_owned();
    let path = path.strip_prefix(root).unwrap_or(path);
    Ok(TextFile { path: format!("/{}", path.display()), text })
}

/// What is read of a file.
const FILE: usize = 1 << 20;

fn machine(root: &Path) -> Machine {
    let read = |name: &str| {
        let text = fs::read_to_string(root.join("sys/class/dmi/id").join(name)).unwrap_or_default();
        text.trim().to_owned()
    };
    Machine { vendor: read("sys_vendor"), product: read("product_name"), asset: read("chassis_asset_tag") }
}

fn clock(root: &Path, running: &Running) -> Clock {
    if running.is_there("systemd-timesyn") {
        // Made when a server was heard, by timesyncd alone.
        let is_heard = root.join("run/systemd/timesync/synchronized").exists();
        return if is_heard { Clock::Synchronised } else { Clock::Waiting };
    }
    let others = ["chronyd", "ntpd", "openntpd", "ptp4l", "phc2sys"];
    others.into_iter().find(|name| running.is_there(name)).map_or(Clock::Unkept, Clock::Kept)
}

fn filter(root: &Path, running: &Running, unseen: &mut Vec<String>) -> Filter {
    let mut filter = Filter { has_firewalld: running.is_here("firewalld"), ..Filter::default() };
    let ufw = fs::read_to_string(root.join("etc/ufw/ufw.conf")).unwrap_or_default();
    filter.has_ufw = ufw.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"));
    match answer("nft", &["-j", "list", "ruleset"]) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(ruleset) => filter.nft = Some(ruleset),
            Err(error) => unseen.push(format!("the answer of nft: {error}")),
        },
        Err(why) => unseen.push(format!("the rules of nftables: {why}")),
    }
    let tables = [
        (Family::V4, "ip_tables_names", "iptables-legacy-save"),
        (Family::V6, "ip6_tables_names", "ip6tables-legacy-save"),
    ];
    for (family, names, program) in tables {
        let tables = fs::read_to_string(root.join("proc/net").join(names)).unwrap_or_default();
        if !tables.lines().any(|table| table == "filter") {
            continue;
        }
        match answer(program, &["-t", "filter"]) {
            Ok(text) => filter.legacy.push((family, text)),
            Err(why) => unseen.push(format!("the rules of the older iptables: {why}")),
        }
    }
    filter
}

/// Runs a program from where daemons are kept, and returns what it wrote.
///
/// **Errors:** that there is none, or its own words.
fn answer(program: &str, arguments: &[&str]) -> Result<String, String> {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(program));
    let path = paths.find(|path| path.exists()).ok_or_else(|| format!("{program} is not installed"))?;
    let output = Command::new(path).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program}: {}", words.lines().next().unwrap_or("failed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn networkd_is_asked_by_index_and_drop_ins_come_in_order() {
        let root = tree(&[
            (
                "run/systemd/netif/links/2",
                "# This is private data.\nADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n",
            ),
            ("run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n"),
            ("run/systemd/network/10-netplan-eth0.network", "[Network]\nDHCP=yes\n"),
            ("run/systemd/network/10-netplan-eth0.network.d/50-x.conf", "run\n"),
            ("etc/systemd/network/10-netplan-eth0.network.d/50-x.conf", "etc\n"),
            ("etc/systemd/network/10-netplan-eth0.network.d/10-a.conf", "first\n"),
            ("etc/systemd/networkd.conf", "[Network]\nManageForeignRoutes=no\n"),
        ]);
        let found = networkd(root.path(), &facts());
        let texts: Vec<&str> = found.links["eth0"].iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["[Network]\nDHCP=yes\n", "first\n", "etc\n"]);
        assert_eq!(found.links["eth0"][0].path, "/run/systemd/network/10-netplan-eth0.network");
        assert_eq!(found.main.len(), 1);
        assert_eq!(networkd(Path::new("/nonexistent"), &facts()), Networkd::default());
    }

    #[test]
    fn files_settings_and_firmware_are_read_below_a_root() {
        let root = tree(&[
            ("proc/sys/net/ipv4/ip_nonlocal_bind", "0\n"),
            ("proc/sys/net/ipv4/conf/all/rp_filter", "2\n"),
            ("proc/sys/net/ipv4/conf/eth0/rp_filter", "1\n"),
            ("etc/netplan/50-cloud-init.yaml", "a"),
            ("etc/network/interfaces", "b"),
            ("etc/haproxy/haproxy.cfg", "c"),
            ("sys/class/dmi/id/sys_vendor", "Hetzner\n"),
            ("run/NetworkManager/devices/2", "[device]\nmanaged=true\n"),
        ]);
        let mut facts = facts();
        facts.sysctls = sysctls(root.path(), &["eth0".to_owned()]);
        assert_eq!(facts.of_interface("ipv4", "eth0", "rp_filter"), Some(2));
        assert_eq!((facts.sysctl("ipv4/ip_nonlocal_bind"), facts.sysctl("ipv6/ip_nonlocal_bind")), (Some(0), None));
        let mut unseen = Vec::new();
        let paths: Vec<String> =
            glob(root.path(), &ADDRESS_FILES, &mut unseen).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["/etc/netplan/50-cloud-init.yaml", "/etc/network/interfaces"]);
        assert_eq!(glob(root.path(), &BALANCER_FILES, &mut unseen)[0].path, "/etc/haproxy/haproxy.cfg");
        assert_eq!((machine(root.path()).vendor.as_str(), unseen.len()), ("Hetzner", 0));
        assert_eq!(network_manager(root.path(), &facts), ["eth0"]);
    }

    #[test]
    fn a_clock_is_synchronised_when_timesyncd_heard_a_server() {
        let root = tree(&[("run/systemd/timesync/synchronized", "")]);
        let running = |names: &[&str]| Running(names.iter().map(|name| ((*name).to_owned(), 1)).collect());
        assert_eq!(clock(root.path(), &running(&["systemd-timesyn"])), Clock::Synchronised);
        assert_eq!(clock(Path::new("/nonexistent"), &running(&["systemd-timesyn"])), Clock::Waiting);
        assert_eq!(clock(root.path(), &running(&["chronyd"])), Clock::Kept("chronyd"), "left by timesyncd long ago");
        assert_eq!(clock(root.path(), &running(&["sshd"])), Clock::Unkept);
    }
}
