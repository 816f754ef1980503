//! What a report says about the host: versions, network settings, and what `ip` and `journalctl` print.
//!
//! Programs run without a shell, for a bounded time, and what they print is cut at a bound. One stop before:
//! `daemon::report`; one stop after: the kernel and the system's programs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Files of the report, each with the words that print it.
pub const COMMANDS: &[(&str, &[&str])] = &[
    ("host/addresses.txt", &["ip", "-d", "address", "show"]),
    ("host/links.txt", &["ip", "-s", "link", "show"]),
    ("host/groups.txt", &["ip", "maddress", "show"]),
    ("host/routes-4.txt", &["ip", "-4", "route", "show", "table", "all"]),
    ("host/routes-6.txt", &["ip", "-6", "route", "show", "table", "all"]),
    ("host/rules-4.txt", &["ip", "-4", "rule", "show"]),
    ("host/rules-6.txt", &["ip", "-6", "rule", "show"]),
    ("host/neighbours.txt", &["ip", "-s", "neighbour", "show"]),
];

/// The file of the journal, and the words that print it.
pub const JOURNAL: (&str, &[&str]) =
    ("journal.txt", &["journalctl", "-u", "vrrpd.service", "-n", "1000", "--no-pager", "-o", "short-iso-precise"]);

/// Runs a program to its end; returns what it wrote to standard output, and a remark where that is not all.
///
/// **Errors:** it is not there, failed without output, or took too long.
pub fn output_of(words: &[&str]) -> io::Result<(Vec<u8>, Option<String>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        timeout(PATIENCE, run(words))
            .await
            .unwrap_or_else(|_| Err(io::Error::other(format!("takes over {PATIENCE:?}"))))
    })
}

async fn run(words: &[&str]) -> io::Result<(Vec<u8>, Option<String>)> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).env("LC_ALL", "C").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        match stdout {
            Some(stdout) => stdout.take(OUTPUT_MAX + 1).read_to_end(&mut out).await,
            None => Ok(0),
        }
    };
    let complain = async {
        match stderr {
            Some(stderr) => stderr.take(COMPLAINT_MAX).read_to_end(&mut err).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(read, complain)?;
    if out.len() as u64 > OUTPUT_MAX {
        out.truncate(usize::try_from(OUTPUT_MAX).unwrap_or(usize::MAX));
        // It waits for somebody to read the rest, and is killed when it is dropped.
        return Ok((out, Some(format!("cut after {} MiB", OUTPUT_MAX >> 20))));
    }
    let status = child.wait().await?;
    let complaint = String::from_utf8_lossy(&err).trim().replace('\n', "; ");
    match (status.success(), out.is_empty()) {
        (true, _) => Ok((out, None)),
        (false, false) => Ok((out, Some(format!("{status}: {complaint}")))),
        (false, true) => Err(io::Error::other(format!("{status}: {complaint}"))),
    }
}

/// Returns the versions of everything that counts. `daemon`: that of the one that runs.
pub fn versions(daemon: Option<&str>) -> String {
    let mut text = format!("this vrrpd  {} ({})\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let _ = writeln!(text, "daemon      {}", daemon.unwrap_or("not running"));
    for (name, path) in [
        ("kernel", "/proc/version"),
        ("up for", "/proc/uptime"),
        ("vendor", "/sys/class/dmi/id/sys_vendor"),
        ("product", "/sys/class/dmi/id/product_name"),
    ] {
        let value = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        let _ = writeln!(text, "{name:<12}{}", value.trim());
    }
    for words in [["systemctl", "--version"], ["ip", "-V"]] {
        let said = match output_of(&words) {
            Ok((out, _)) => String::from_utf8_lossy(&out).lines().next().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = writeln!(text, "{:<12}{said}", words.first().unwrap_or(&""));
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_else(|error| error.to_string());
    let _ = write!(text, "\n/etc/os-release:\n{release}");
    text
}

/// Returns the kernel's settings that matter to addresses which move, a line each; what is missing is left out.
pub fn settings() -> String {
    let root = Path::new("/proc/sys");
    let mut text = String::new();
    let mut tell = |name: &str| {
        if let Ok(value) = fs::read_to_string(root.join(name)) {
            let _ = writeln!(text, "{} = {}", name.replace('/', "."), value.trim());
        }
    };
    SETTINGS.iter().for_each(|name| tell(name));
    for (folder, names) in [("net/ipv4/conf", OF_INTERFACE_4), ("net/ipv6/conf", OF_INTERFACE_6)] {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten().take(INTERFACES_MAX);
        let mut interfaces: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        interfaces.sort();
        for interface in &interfaces {
            names.iter().for_each(|name| tell(&format!("{folder}/{interface}/{name}")));
        }
    }
    text
}

const SETTINGS: &[&str] = &[
    "kernel/sched_rt_runtime_us",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/ipv4/igmp_max_memberships",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_nonlocal_bind",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv4/ping_group_range",
    "net/ipv6/ip_nonlocal_bind",
    "net/ipv6/neigh/default/gc_thresh3",
];

const OF_INTERFACE_4: &[&str] = &[
    "accept_local",
    "arp_accept",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "arp_notify",
    "forwarding",
    "promote_secondaries",
    "proxy_arp",
    "rp_filter",
];

const OF_INTERFACE_6: &[&str] =
    &["accept_dad", "accept_ra", "dad_transmits", "disable_ipv6", "forwarding", "ndisc_notify", "optimistic_dad"];

/// Where the system's programs are, for users whose own path lacks half of it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PATIENCE: Duration = Duration::from_secs(10);
const OUTPUT_MAX: u64 = 4 << 20;
const COMPLAINT_MAX: u64 = 4096;
const INTERFACES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_cut_and_complained_about() {
        assert_eq!(output_of(&["echo", "a b"]).unwrap(), (b"a b\n".to_vec(), None));
        let (out, remark) = output_of(&["head", "-c", "5000000", "/dev/zero"]).unwrap();
        assert_eq!((out.len(), remark.as_deref()), (4 << 20, Some("cut after 4 MiB")));
        assert_eq!(output_of(&["no-such-program"]).unwrap_err().kind(), io::ErrorKind::NotFound);
        let error = output_of(&["ls", "/no/such/file"]).unwrap_err().to_string();
        assert!(error.contains("/no/such/file") && error.contains("exit status"), "{error}");
    }

    #[test]
    fn settings_name_interfaces() {
        let text = settings();
        assert!(text.contains("net.ipv4.conf.lo.rp_filter = "), "{text}");
    }
}
