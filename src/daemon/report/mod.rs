//! `vrrpd report`: all that somebody who helps from afar needs to know, in one file without secrets.
//!
//! Changes nothing. What cannot be read is a line of `errors.txt` and never a failure. Each reader hides what is a secret
//! in what it reads; then every member passes a sieve that knows the secrets of the configuration.
//!
//! | file | does |
//! |---|---|
//! | `archive` | the tar, and the sieve |
//! | `host` | versions, settings, what other programs print |
//! | `capture` | packets without passwords |
//!
//! One stop before: `cli::report`. One stop after: `config::redact`, `control::client`, `daemon::state`.

mod archive;
mod capture;
mod host;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use self::archive::{Archive, Sieve};
use super::drains::Drains;
use super::event_loop::read_clocks;
use super::history::file;
use super::secrecy;
use super::state::past::Past;
use super::state_dir::{self, StateDir};
use crate::config::redact::{self, Copies};
use crate::config::{self, Format};
use crate::control::client::{self, ClientError, StatusReply};
use crate::control::history::{Cursor, Entry, HistoryReply, MAX_ENTRIES, text as entry_text};
use crate::control::render::{Paint, text as status_text};
use crate::control::rfc3339;
use crate::engine::adopt::Hold;

/// What the command line says.
#[derive(Debug)]
pub struct ReportOptions {
    /// The configuration; `None`: that of the running daemon, else the usual one.
    pub config: Option<PathBuf>,
    /// Its language; `None` goes by the name.
    pub format: Option<Format>,
    /// Where the daemon's socket is.
    pub runtime_dir: PathBuf,
    /// What outlives a reboot; `None`: as the daemon has it.
    pub state_dir: Option<PathBuf>,
    /// How long packets are listened to; zero: not at all.
    pub length: Duration,
}

/// A report that is made.
pub struct Report {
    /// A tar.
    pub bytes: Vec<u8>,
    /// Names and lengths of its members.
    pub members: Vec<(String, usize)>,
    /// What is not in it, and why.
    pub errors: Vec<String>,
    /// When it was begun, RFC 3339.
    pub at: String,
}

/// Makes a report. Takes as long as packets are listened to, and some seconds.
pub fn report(options: &ReportOptions) -> Report {
    // For good: this program ends soon.
    let _ = secrecy::hide();
    let now = read_clocks();
    let mut draft = Draft::default();
    let status = draft.status(options, "status");
    let config = options.config.clone().or_else(|| status.as_ref().map(|reply| reply.status.config.path.clone()));
    let config = config.unwrap_or_else(config::default_path);
    let copies = redact::copies(&config, options.format);
    draft.config(&copies);
    draft.history(options);
    draft.state(options);
    draft.add("versions.txt", host::versions(status.as_ref().map(|reply| reply.status.version.as_str())));
    draft.add("host/settings.txt", host::settings());
    for (name, words) in host::COMMANDS.iter().chain([&host::JOURNAL]) {
        match host::output_of(words) {
            Ok((out, remark)) => {
                draft.members.push(((*name).to_owned(), out));
                draft.errors.extend(remark.map(|remark| format!("{name}: {}: {remark}", words.join(" "))));
            }
            Err(error) => draft.errors.push(format!("{name}: {}: {error}", words.join(" "))),
        }
    }
    let capture = (!options.length.is_zero()).then(|| draft.capture(options.length)).flatten();
    if status.is_some() && !options.length.is_zero() {
        draft.status(options, "status-after");
    }
    draft.finish(now.utc, &Sieve::new(&copies.secrets), capture)
}

/// A report that grows.
#[derive(Default)]
struct Draft {
    members: Vec<(String, Vec<u8>)>,
    errors: Vec<String>,
}

impl Draft {
    fn add(&mut self, name: &str, text: String) {
        self.members.push((name.to_owned(), text.into_bytes()));
    }

    fn add_json(&mut self, name: &str, value: &impl serde::Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.add(name, text + "\n"),
            Err(error) => self.errors.push(format!("{name}: {error}")),
        }
    }

    /// Asks the daemon how things are, if there is one.
    fn status(&mut self, options: &ReportOptions, name: &str) -> Option<StatusReply> {
        match client::status(&options.runtime_dir) {
            Ok(reply) => {
                match serde_json::from_str::<Value>(&reply.json) {
                    Ok(value) => self.add_json(&format!("{name}.json"), &value),
                    Err(error) => self.errors.push(format!("{name}.json: {error}")),
                }
                self.add(&format!("{name}.txt"), status_text(&reply.status, true, Paint::Plain));
                Some(reply)
            }
            Err(error) => {
                self.errors.push(format!("{name}.json: {error}"));
                None
            }
        }
    }

    fn config(&mut self, copies: &Copies) {
        let mut list = String::new();
        for (number, file) in (1..).zip(&copies.files) {
            let base = file.path.file_name().unwrap_or_default().to_string_lossy();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let base: String = base.chars().map(|c| if is_plain(c) { c } else { '_' }).take(60).collect();
            let name = format!("config/{number}-{base}");
            list += &format!("{name}  {}\n", file.path.display());
            match &file.text {
                Ok(text) => self.add(&name, text.clone()),
                Err(why) => self.errors.push(format!("{name}: {}: {why}", file.path.display())),
            }
        }
        self.add("config/files.txt", list);
        if let Some(text) = &copies.converted {
            self.add("config/converted.toml", text.clone());
        }
        self.add("config/problems.txt", copies.problems.iter().map(|line| format!("{line}\n")).collect());
    }

    fn history(&mut self, options: &ReportOptions) {
        let reply = match client::history(&options.runtime_dir, MAX_ENTRIES, None) {
            Ok(reply) => reply,
            Err(error) => {
                if !matches!(error, ClientError::NotRunning { .. }) {
                    self.errors.push(format!("history.json: {error}; this is from the file"));
                }
                let content = match file::read(&state_dir(options)) {
                    Ok(content) => content,
                    Err(error) => return self.errors.push(format!("history.json: {error}")),
                };
                let until = Cursor { n: content.entries.last().map_or(0, |entry: &Entry| entry.n), findings: 0 };
                HistoryReply::new(content.entries.iter(), MAX_ENTRIES, None, until)
            }
        };
        self.add("history.txt", reply.entries.iter().map(entry_text).collect());
        self.add_json("history.json", &reply);
    }

    /// Adds what the daemon keeps for the next one, decoded.
    fn state(&mut self, options: &ReportOptions) {
        match Past::read(&options.runtime_dir) {
            Ok(Some(past)) => {
                let routers: Vec<Value> = past
                    .routers()
                    .map(|(entry, slot)| json!({ "router": entry, "slot": slot.map(slot_values) }))
                    .collect();
                let now = read_clocks().mono.as_nanos() / 1_000_000;
                let value = json!({ "now_ms": now, "config": past.table.config, "boot_id": past.table.boot_id, "routers": routers });
                self.add_json("state.json", &value);
            }
            Ok(None) => self.errors.push("state.json: no state file of this run of the kernel".to_owned()),
            Err(error) => self.errors.push(format!("state.json: {error}")),
        }
        match Drains::read(&state_dir(options)) {
            Ok(drains) => self.add_json("drains.json", &drains),
            Err(error) => self.errors.push(format!("drains.json: {error}")),
        }
    }

    /// Listens to packets; a signal ends that early and the report is made all the same.
    fn capture(&mut self, length: Duration) -> Option<capture::Capture> {
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&is_over)) {
                self.errors.push(format!("packets.pcap: {error}"));
            }
        }
        match capture::capture(length, &is_over) {
            Ok(capture) => {
                if capture.is_full {
                    self.errors.push("packets.pcap: cut after 8 MiB".to_owned());
                }
                Some(capture)
            }
            Err(error) => {
                self.errors.push(format!("packets.pcap: {error}"));
                None
            }
        }
    }

    fn finish(mut self, utc: Duration, sieve: &Sieve, capture: Option<capture::Capture>) -> Report {
        let mut archive = Archive::new(utc.as_secs());
        let at = rfc3339::format(utc);
        self.errors.iter_mut().for_each(|error| *error = error.replace('\n', "; "));
        let errors: String = self.errors.iter().map(|error| format!("{error}\n")).collect();
        let readme = Readme { at: &at, capture: capture.as_ref() }.to_string();
        archive.add("report/README.txt", readme.as_bytes());
        archive.add("report/errors.txt", &sieve.text(errors.as_bytes()));
        for (name, content) in &self.members {
            let name = sieve.text(format!("report/{name}").as_bytes());
            archive.add(&String::from_utf8_lossy(&name), &sieve.text(content));
        }
        if let Some(capture) = capture {
            archive.add("report/packets.pcap", &sieve.bytes(&capture.file));
        }
        let errors = sieve.text(errors.as_bytes());
        let errors = String::from_utf8_lossy(&errors).lines().map(str::to_owned).collect();
        Report { members: archive.members().to_vec(), bytes: archive.finish(), errors, at }
    }
}

/// What stands at the beginning.
struct Readme<'a> {
    at: &'a str,
    capture: Option<&'a capture::Capture>,
}

impl fmt::Display for Readme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "vrrpd report of {}\n\n{WITHOUT}", self.at)?;
        match self.capture {
            None => writeln!(f, "\nPackets were not captured."),
            Some(capture::Capture { packets, blanked, .. }) => writeln!(
                f,
                "\npackets.pcap has {packets} packets. In {blanked} of them passwords or digests with short keys were made zeros,\n\
                 and the checksum of such a message was made to fit if it was right before, and 0 if it was wrong."
            ),
        }
    }
}

fn state_dir(options: &ReportOptions) -> StateDir {
    StateDir::at(state_dir::resolve(options.state_dir.as_deref(), &options.runtime_dir))
}

/// Returns a slot of the state file as values; times are milliseconds since boot.
fn slot_values(slot: &super::state::past::Slot) -> Value {
    let hold = match slot.hold {
        Hold::Nothing => "nothing",
        Hold::Master => "master",
        Hold::HandingOver => "handing over",
    };
    json!({
        "hold": hold,
        "since_ms": slot.since.as_nanos() / 1_000_000,
        "advert_at_ms": slot.advert_at.as_nanos() / 1_000_000,
        "effective_priority": slot.priority.map(crate::wire::field::Priority::get),
        "source": slot.source,
        "stamp": slot.stamp,
        "ah_sequence": slot.ah_sequence,
    })
}

/// What a report has not, for its reader and for who makes it.
pub const WITHOUT: &str = "\
No secrets are in it: passwords, keys, arguments of programs, what the macros of a keepalived.conf
stand for, comments and whatever a configuration has that vrrpd does not know are replaced by (hidden).
Key files are not read, nor is the environment of any process. Addresses and names of hosts are in it.";

/// The error of a file that cannot be written.
pub fn refused(path: &std::path::Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already; remove it or name another with -o", path.display())
        }
        _ => format!("{} cannot be written: {error}", path.display()),
    }
}
