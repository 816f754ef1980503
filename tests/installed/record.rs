//! What came out, on the terminal as it comes and as a page at the end.

use std::fmt::Write as _;
use std::time::Duration;

use vrrpd::demo::lab::Node;
use vrrpd::demo::probe::Outage;

use crate::container::{Container, name};
use crate::expected::Expected;

/// What came of one command.
pub struct Row {
    /// The command, and what was expected.
    pub expected: &'static Expected,
    /// How long it took.
    pub took: Duration,
    /// What the client saw from its begin until all was quiet.
    pub outage: Outage,
    /// What it wrote.
    pub output: String,
    /// What is worth telling, or what is wrong.
    pub verdict: Result<String, String>,
}

/// All rows.
pub struct Record {
    systems: String,
    rows: Vec<Row>,
}

impl Record {
    /// Begins with what the hosts are.
    pub fn new(hosts: &[Container]) -> Self {
        let ask = |line: &str| hosts.first().and_then(|host| host.ask(line).ok()).unwrap_or_default();
        let debian = ask("cat /etc/debian_version");
        let systemd = ask("systemctl --version | sed -n '1s/^systemd [0-9]* (\\(.*\\))$/\\1/p'");
        // What is behind the version belongs to one machine.
        let kernel = ask("uname -r | sed 's/^\\([0-9]*\\.[0-9]*\\).*/\\1/'");
        let systems = format!("Debian {debian}, systemd {systemd}, Linux {kernel}");
        println!("{systems}");
        Self { systems, rows: Vec::new() }
    }

    /// Adds a row, and prints it.
    pub fn push(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Returns how many failed.
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict.is_err()).count()
    }

    /// Returns the page of docs/.
    pub fn page(&self) -> String {
        let mut page = HEAD.replace("@SYSTEMS@", &self.systems);
        for row in &self.rows {
            let _ = writeln!(page, "{}", row.cells());
        }
        page += "\n## What the commands said\n\nAll of it, in the same order; what said nothing is left out.\n";
        for row in self.rows.iter().filter(|row| !row.output.trim().is_empty()) {
            let (host, command) = (name(row.expected.node), row.expected.command);
            // Where the package lies: the home directory of whoever administers the host.
            let output = row.output.replace("/root", "~");
            // Of a line that was written again and again, the last.
            let lines = output.lines().map(|line| line.trim_end().rsplit('\r').next().unwrap_or_default());
            let lines = lines.collect::<Vec<_>>().join("\n");
            let _ = write!(page, "\n```text run-by tests/install\n{host}# {command}\n{lines}\n```\n");
        }
        page
    }
}

impl Row {
    fn line(&self) -> String {
        let verdict = match &self.verdict {
            Ok(note) => format!("ok      {note}"),
            Err(problem) => format!("FAILED  {problem}\n{}", self.output),
        };
        let (host, command) = (name(self.expected.node), self.expected.command);
        format!("{host}# {command}\n    {:.2} s | {} | {verdict}", self.took.as_secs_f64(), self.client())
    }

    fn client(&self) -> String {
        match self.expected.lost {
            Some(_) => format!(
                "lost {} of {} | silence {:.1} ms, own pause {:.1} ms | answered by {}",
                self.outage.lost,
                self.outage.sent,
                self.outage.gap.as_secs_f64() * 1e3,
                self.outage.own_pause.as_secs_f64() * 1e3,
                self.answered_by()
            ),
            None => "not judged".to_owned(),
        }
    }

    fn cells(&self) -> String {
        let (host, command) = (name(self.expected.node), self.expected.command.replace('|', "\\|"));
        let (lost, silence, pause, by) = match self.expected.lost {
            Some(_) => (
                format!("{} of {}", self.outage.lost, self.outage.sent),
                format!("{:.1} ms", self.outage.gap.as_secs_f64() * 1e3),
                format!("{:.1} ms", self.outage.own_pause.as_secs_f64() * 1e3),
                self.answered_by(),
            ),
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        let note = match &self.verdict {
            Ok(note) => note.clone(),
            Err(problem) => format!("**failed**: {problem}"),
        };
        format!(
            "| {host} | `{command}` | {:.1} s | {lost} | {silence} | {pause} | {by} | {note} |",
            self.took.as_secs_f64()
        )
    }

    fn answered_by(&self) -> String {
        let names = self.outage.answered_by.iter().map(|node: &Option<Node>| node.map_or("?", name));
        names.collect::<Vec<_>>().join(", ")
    }
}

const HEAD: &str = "# The install, played

Written by `./tests/install --record`, not by hand: the section \"Install on two load balancers\" of the README, its commands word for word,
on two hosts booted by systemd-nspawn (@SYSTEMS@) that a switch connects with a client. The client asks
192.0.2.30 for an answer each millisecond, from the command's begin until the address was where it belongs and had been for five seconds.

- **took**: until the command returned. **lost**: requests that were never answered, of those sent.
- **silence**: the longest time between two answers. **own pause**: the longest time in which the client itself asked nothing, because the
  machine had no processor for it: a silence of that length says nothing.
- **answered by**: whose answers they were, each change once.

| on | command | took | lost | silence | own pause | answered by | seen |
|---|---|---|---|---|---|---|---|
";
