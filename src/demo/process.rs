//! A process in a namespace: its log lines are kept, it dies with this value.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::now;
use super::error::LabError;
use super::namespace::Namespace;

/// A started process. Dropping it kills it and its children.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Called with each line the process writes.
pub type Follow = Box<dyn FnMut(&str) + Send>;

impl Process {
    /// Starts `command` in `namespace`, without a terminal's signals: Ctrl-C is for us, who then end it in order.
    pub fn start(namespace: &Namespace, name: &str, mut command: Command, follow: Follow) -> Result<Self, LabError> {
        let tried = || LabError::kernel(format!("start {name} ({})", command_line(&command)));
        let failed = tried();
        let (reader, writer) = std::io::pipe().map_err(LabError::kernel("make a pipe"))?;
        let second = writer.try_clone().map_err(LabError::kernel("copy a pipe"))?;
        command.stdin(Stdio::null()).stdout(writer).stderr(second).process_group(0);
        let child = namespace.spawn(command).map_err(failed)?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        // Ends by itself when the last writer has closed the pipe.
        std::thread::Builder::new()
            .name(format!("log-{name}"))
            .spawn(move || read_lines(reader, &kept, follow))
            .map_err(LabError::kernel("start a thread"))?;
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// Returns its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says whether the process has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the last `count` lines it wrote.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Makes the error that says that this process did not do what it should, with its last words.
    pub fn problem(&self, problem: &str) -> LabError {
        let lines = self.last_lines(12);
        let words = if lines.is_empty() { "(it wrote nothing)".to_owned() } else { lines.join("\n    ") };
        LabError::Daemon { name: self.name.clone(), problem: format!("{problem}; its last words:\n    {words}") }
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// **Errors:** it was still there after `timeout`; then it is killed.
    #[expect(clippy::disallowed_methods, reason = "waits for another process, for a bounded time")]
    pub fn stop(mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        self.signal(Signal::SIGTERM);
        let end = now() + timeout;
        while now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(self.problem(&format!("did not stop within {:.1} s", timeout.as_secs_f64())))
    }

    /// Sends it a signal; nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // No such process: it has ended, and has not been waited for yet or just has been.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    /// Kills it and everything it started, without a goodbye.
    fn drop(&mut self) {
        if !self.is_alive() {
            return;
        }
        // Stopped first, or a child would notice its parent's death and say goodbye on the network.
        self.signal(Signal::SIGSTOP);
        for pid in descendants(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn read_lines(reader: std::io::PipeReader, kept: &Mutex<Vec<String>>, mut follow: Follow) {
    for line in BufReader::new(reader).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        follow(&line);
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Returns the processes below `pid`, children before grandchildren.
fn descendants(pid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut todo = vec![i32::try_from(pid).unwrap_or(0)];
    while let Some(parent) = todo.pop() {
        let before = found.len();
        found.extend(children(parent));
        todo.extend_from_slice(found.get(before..).unwrap_or_default());
    }
    found
}

/// Returns the children of a process; each of its threads has its own.
fn children(pid: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_through_generations() {
        // A shell that starts a shell that starts a sleep: the first two wait, so three generations exist.
        let mut child = Command::new("sh").args(["-c", "sh -c 'sleep 60; :'; :"]).spawn().unwrap();
        let end = now() + Duration::from_secs(10);
        while descendants(child.id()).len() < 2 && now() < end {
            std::thread::yield_now();
        }
        let found = descendants(child.id());
        for pid in &found {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 2);
    }
}
