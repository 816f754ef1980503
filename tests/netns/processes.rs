//! What the kernel says of processes: children, zombies, descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Returns how many descriptors a process has: the fewest in some looks, as those of running children come and go.
pub fn descriptors(pid: u32) -> usize {
    let look = |_| {
        std::thread::sleep(Duration::from_millis(10));
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
    };
    (0..50).map(look).min().unwrap_or(0)
}

/// Returns the children that have ended, and have not been waited for in half a second.
pub fn zombies(pid: u32) -> Vec<u32> {
    let look = || children(pid).into_iter().filter(|child| is_zombie(*child)).collect::<BTreeSet<_>>();
    let first = look();
    std::thread::sleep(Duration::from_millis(500));
    first.intersection(&look()).copied().collect()
}

/// Returns the children of all threads of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Says whether a process exists and has not ended.
pub fn is_running(pid: u32) -> bool {
    matches!(state(pid), Some(state) if state != 'Z' && state != 'X')
}

fn is_zombie(pid: u32) -> bool {
    state(pid) == Some('Z')
}

fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}
