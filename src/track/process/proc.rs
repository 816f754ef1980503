//! What `/proc` says of a process.

use std::fs;

use crate::engine::params::{ArgumentMatch, ProcessTarget};

/// Says whether a process is one of those looked for; one that has ended is not, even if nobody has waited for it.
pub(super) fn matches(target: &ProcessTarget, pid: i32) -> bool {
    match target {
        ProcessTarget::Name(name) => {
            let Ok(comm) = fs::read(format!("/proc/{pid}/comm")) else { return false };
            is_named(&comm, name) && is_running(pid)
        }
        ProcessTarget::CommandLine { words, matching } => {
            // Empty for one that has ended, and for the kernel's own.
            let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
            is_called(&line, words, *matching)
        }
        ProcessTarget::PidFile(_) => false,
    }
}

/// Returns all processes that are looked for, for each target.
pub(super) fn scan(targets: &[ProcessTarget]) -> Vec<Vec<i32>> {
    let mut found = vec![Vec::new(); targets.len()];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for (target, found) in targets.iter().zip(&mut found) {
            if matches(target, pid) {
                found.push(pid);
            }
        }
    }
    found
}

/// Says whether there is a process of that number with a thread that has not ended.
pub(super) fn is_running(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name is in parentheses and may hold anything; then state and, 17 fields on, the number of threads.
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut fields = rest.split_whitespace();
    let has_ended = matches!(fields.next(), Some("Z" | "X" | "x") | None);
    // The first thread may have ended and the others live.
    !has_ended || fields.nth(16).and_then(|count| count.parse().ok()).unwrap_or(0_u32) > 1
}

/// Returns the number of a process in the first line of a text.
pub(super) fn parse_pid(text: &[u8]) -> Option<i32> {
    let word = text.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    std::str::from_utf8(word).ok()?.parse().ok().filter(|pid| *pid > 0)
}

/// The kernel keeps the first 15 bytes of a name.
fn is_named(comm: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    comm.strip_suffix(b"\n").unwrap_or(comm) == name.get(..15).unwrap_or(name)
}

/// A program without a slash is also found behind any directory.
fn is_called(line: &[u8], words: &[String], matching: ArgumentMatch) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    let mut of_process = line.split(|byte| *byte == 0);
    let Some(called) = of_process.next() else { return false };
    let base = called.rsplit(|byte| *byte == b'/').next().unwrap_or(called);
    if called != program.as_bytes() && base != program.as_bytes() {
        return false;
    }
    let found: Vec<&[u8]> = of_process.collect();
    let is_equal = |(found, wanted): (&&[u8], &String)| *found == wanted.as_bytes();
    let are_first_equal = |count: usize| found.iter().zip(arguments).take(count).all(is_equal);
    match matching {
        ArgumentMatch::Exact => found.len() == arguments.len() && are_first_equal(arguments.len()),
        ArgumentMatch::Initial => found.len() >= arguments.len() && are_first_equal(arguments.len()),
        ArgumentMatch::Partial => {
            let last = arguments.last().zip(found.last());
            let is_prefix = last.is_none_or(|(wanted, found)| found.starts_with(wanted.as_bytes()));
            found.len() == arguments.len() && are_first_equal(arguments.len().saturating_sub(1)) && is_prefix
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_kernel_cuts_them() {
        assert!(is_named(b"haproxy\n", "haproxy"));
        assert!(!is_named(b"haproxy2\n", "haproxy"));
        assert!(is_named(b"a-very-long-nam\n", "a-very-long-name"));
        assert!(!is_named(b"\n", "x"));
    }

    #[test]
    fn arguments_are_compared_in_three_ways() {
        use ArgumentMatch::{Exact, Initial, Partial};
        let cases = [
            ("/bin/a\0-f\0x\0", "/bin/a -f x", [true, true, true]),
            ("/bin/a\0-f\0x\0", "a -f x", [true, true, true]),
            ("/bin/a\0-f\0x\0", "/sbin/a -f x", [false, false, false]),
            ("/bin/a\0-f\0xyz\0", "/bin/a -f x", [false, true, false]),
            ("/bin/a\0-f\0x\0-g\0", "/bin/a -f x", [false, false, true]),
            ("/bin/a\0-f\0", "/bin/a -f x", [false, false, false]),
            ("/bin/a\0-g\0x\0", "/bin/a -f x", [false, false, false]),
            ("/bin/a\0", "/bin/a", [true, true, true]),
            ("/bin/a\0-x\0", "/bin/a", [false, false, true]),
            ("", "/bin/a", [false, false, false]),
        ];
        for (line, words, expected) in cases {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let found = [Exact, Partial, Initial].map(|matching| is_called(line.as_bytes(), &words, matching));
            assert_eq!(found, expected, "{line:?} {words:?}");
        }
    }

    #[test]
    fn the_number_in_a_pid_file_is_its_first_word() {
        assert_eq!(parse_pid(b"12\n"), Some(12));
        assert_eq!(parse_pid(b" 12 34\n"), Some(12));
        assert_eq!(parse_pid(b"-1"), None);
        assert_eq!(parse_pid(b"0"), None);
        assert_eq!(parse_pid(b"x"), None);
        assert_eq!(parse_pid(b""), None);
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_does_not_run() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(pid));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(id, flags).unwrap();
        assert!(fs::read(format!("/proc/{pid}/comm")).is_ok());
        assert!(!is_running(pid));
        child.wait().unwrap();
        assert!(!is_running(pid));
        assert!(is_running(i32::try_from(std::process::id()).unwrap()));
    }
}
