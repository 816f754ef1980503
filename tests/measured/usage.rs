//! What the kernel says that a process and its children have used.

use std::fs;
use std::time::Duration;

/// Since they began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a processor.
    pub ran: Duration,
    /// How often they gave it away or lost it.
    pub switches: u64,
    /// Memory that is theirs at this moment, in KiB.
    pub resident_kib: u64,
    /// Packets that left their namespace.
    pub sent: u64,
}

impl Usage {
    pub fn of(pids: &[u32]) -> Self {
        let mut usage = Self { sent: pids.first().map_or(0, |pid| sent(*pid)), ..Self::default() };
        for pid in pids {
            usage.resident_kib += field(&format!("/proc/{pid}/status"), "VmRSS:");
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let file = |name: &str| task.path().join(name).display().to_string();
                let ran = fs::read_to_string(file("schedstat")).unwrap_or_default();
                usage.ran += Duration::from_nanos(number(ran.split_whitespace().next()));
                for key in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                    usage.switches += field(&file("status"), key);
                }
            }
        }
        usage
    }
}

/// Returns a process and what it started.
pub fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        found.extend(lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>()));
    }
    found
}

/// Packets that left by the cables of the namespace that a process is in.
fn sent(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let cables = text.lines().filter_map(|line| line.trim_start().strip_prefix('l')?.split_once(':'));
    cables.filter(|(name, _)| name.parse::<u32>().is_ok()).map(|(_, row)| number(row.split_whitespace().nth(9))).sum()
}

fn field(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    number(line.and_then(|rest| rest.split_whitespace().next()))
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
