//! The text of `vrrpd status`: what a person must know first, then the rest.
//!
//! One stop before: `control::client`. One stop after: the terminal.

mod drain;
mod health;
mod trust;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::status::{AddressStatus, InstanceStatus, PeerStatus, RivalStatus, State, Status};
use super::{client, watch};

/// Carries out `vrrpd status`: prints the state of the daemon of `runtime_dir`, or of one `instance`, as text or JSON.
///
/// Exit code: 0 running and no instance in FAULT; 1 some in FAULT or with a rival; 3 not running; 64 no such instance; 69 no sensible
/// reply; 77 permission.
pub fn run_status(runtime_dir: &Path, json: bool, instance: Option<&str>) -> ExitCode {
    let mut reply = match client::status(runtime_dir) {
        Ok(reply) => reply,
        Err(error) => {
            eprintln!("vrrpd: {error}");
            return ExitCode::from(error.exit_code());
        }
    };
    if let Some(name) = instance {
        if !narrow(&mut reply.status, name) {
            eprintln!("vrrpd: no instance {name:?}, expected {}", names(&reply.status));
            return ExitCode::from(64);
        }
        reply.json = serde_json::to_string(&reply.status).unwrap_or(reply.json);
    }
    let text = if json { reply.json + "\n" } else { page(&reply.status, instance.is_some()) };
    // A reader that went away, such as `head`, has what it wanted.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(exit_code(&reply.status))
}

/// Leaves one instance and what belongs to it; says whether there is one of that name.
pub(super) fn narrow(status: &mut Status, name: &str) -> bool {
    if !status.instances.iter().any(|instance| instance.name == name) {
        return false;
    }
    status.instances.retain(|instance| instance.name == name);
    status.groups.retain(|group| group.instances.iter().any(|member| member == name));
    status.transitions.retain(|transition| transition.instance == name);
    true
}

/// Returns the text for standard output: on a terminal the rows of a long table end with its width, for a row that wraps is
/// no row.
fn page(status: &Status, all_addresses: bool) -> String {
    let text = text(status, all_addresses, Paint::for_stdout());
    match watch::terminal_size() {
        Some(size) if status.instances.len() > MAX_BLOCKS => watch::fit(&text, size.columns, usize::MAX),
        Some(_) | None => text,
    }
}

/// Returns 1 when some instance is in FAULT or has a rival, else 0.
pub fn exit_code(status: &Status) -> u8 {
    u8::from(status.instances.iter().any(|instance| instance.state == State::Fault || instance.has_rival()))
}

/// Whether states are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Terminal colours.
    Coloured,
    /// None.
    Plain,
}

impl Paint {
    /// Coloured on a terminal, unless `NO_COLOR` is set or the terminal is a dumb one.
    pub fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if io::stdout().is_terminal() && !unwanted { Self::Coloured } else { Self::Plain }
    }

    /// Returns the state, padded to `width` before it is coloured.
    fn state(self, state: State, width: usize) -> String {
        let colour = match state {
            State::Master => "32",
            State::Backup => "36",
            State::Fault => "1;31",
            State::Init => "33",
        };
        self.wrap(colour, &format!("{state:<width$}"))
    }

    fn problem(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, colour: &str, text: &str) -> String {
        match self {
            Self::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Returns the state of a daemon for a person: a summary, what is wrong, then a block for each instance or, when there
/// are many, a row.
///
/// `all_addresses`: list every address of every instance; else those of an instance with many are counted.
pub fn text(status: &Status, all_addresses: bool, paint: Paint) -> String {
    let mut out = format!("{}: {}, up {}\n", clean(&status.node), summary(status, paint), length(status.uptime_ms));
    let of_groups = status.groups.iter().filter_map(health::problems_of_group);
    let problems: Vec<String> = status.instances.iter().flat_map(problems).chain(of_groups).collect();
    for problem in problems.iter().take(MAX_PROBLEMS) {
        let _ = writeln!(out, "{}", paint.problem(&format!("! {problem}")));
    }
    if problems.len() > MAX_PROBLEMS {
        let _ = writeln!(out, "! and {} more", problems.len() - MAX_PROBLEMS);
    }
    if status.instances.len() > MAX_BLOCKS {
        out.push('\n');
        table(&mut out, &status.instances, paint);
    } else {
        for instance in &status.instances {
            out.push('\n');
            block(&mut out, instance, all_addresses, paint);
        }
    }
    health::groups(&mut out, &status.groups, paint);
    if let Some(line) = trust::strays(status) {
        let _ = writeln!(out, "\n{line}");
    }
    out
}

/// Returns how many instances are in which state, the worst first: `1 FAULT, 2 MASTER`.
fn summary(status: &Status, paint: Paint) -> String {
    let counted = [State::Fault, State::Init, State::Master, State::Backup].into_iter().filter_map(|state| {
        let count = status.instances.iter().filter(|instance| instance.state == state).count();
        (count > 0).then(|| format!("{count} {}", paint.state(state, 0)))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { "no instances".to_owned() } else { counted.join(", ") }
}

/// Returns what somebody may have to act on.
fn problems(instance: &InstanceStatus) -> impl Iterator<Item = String> {
    let name = clean(&instance.name);
    let mut found = Vec::new();
    if instance.state == State::Fault {
        found.push(format!("{name}: FAULT, {}", clean(&instance.reason)));
    }
    found.extend(drain::problem(instance));
    if let Some(rival) = &instance.rival {
        let RivalStatus { address, priority, since } = rival;
        found.push(format!("{name}: MASTER, but so is {address}, priority {priority}, since {}", clean(since)));
    }
    let wrong: Vec<&AddressStatus> = instance.addresses.iter().filter(|address| is_wrong(instance, address)).collect();
    if let Some(first) = wrong.first() {
        let more = if wrong.len() > 1 { format!(" and {} more", wrong.len() - 1) } else { String::new() };
        let what = if first.present { "present" } else { "missing" };
        found.push(format!("{name}: {}, but {}{more} {what}", instance.state, first.address));
    }
    found.extend(instance.troubles.iter().map(|trouble| format!("{name}: {}", clean(trouble))));
    found.extend(health::problems(instance));
    found.extend(trust::problems(instance).into_iter().map(|clock| format!("{name}: {clock}")));
    found.extend(differences(instance).into_iter().map(|differs| format!("{name}: {}", clean(&differs))));
    found.into_iter()
}

/// Says whether the kernel and the state contradict each other.
fn is_wrong(instance: &InstanceStatus, address: &AddressStatus) -> bool {
    (instance.state == State::Master) != address.present
}

fn table(out: &mut String, instances: &[InstanceStatus], paint: Paint) {
    let rows: Vec<[String; 5]> = instances.iter().map(row).collect();
    let head = ["INSTANCE", "FOR", "VIPS", "MASTER", "WHY"];
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name, age, addresses, master, _] = widths;
    let [h_name, h_age, h_addresses, h_master, h_why] = head;
    let _ = writeln!(
        out,
        "{h_name:<name$}  {:<6}  {h_age:<age$}  {h_addresses:<addresses$}  {h_master:<master$}  {h_why}",
        "STATE"
    );
    for (instance, [c_name, c_age, c_addresses, c_master, c_why]) in instances.iter().zip(rows) {
        let state = paint.state(instance.state, 6);
        let _ = writeln!(
            out,
            "{c_name:<name$}  {state}  {c_age:<age$}  {c_addresses:<addresses$}  {c_master:<master$}  {c_why}"
        );
    }
}

fn row(instance: &InstanceStatus) -> [String; 5] {
    let present = instance.addresses.iter().filter(|address| address.present).count();
    let master = match (&instance.master, instance.state) {
        (_, State::Master) => "this node".to_owned(),
        (Some(master), _) => master.address.to_string(),
        (None, _) => "-".to_owned(),
    };
    [
        cut(&clean(&instance.name), MAX_NAME),
        length(instance.in_state_ms),
        format!("{present}/{}", instance.addresses.len()),
        master,
        clean(&instance.reason),
    ]
}

fn block(out: &mut String, instance: &InstanceStatus, all_addresses: bool, paint: Paint) {
    let _ = writeln!(
        out,
        "{}  {} for {}, since {}",
        clean(&instance.name),
        paint.state(instance.state, 0),
        length(instance.in_state_ms),
        instance.since
    );
    let _ = writeln!(out, "  why        {}", clean(&instance.reason));
    if let Some(line) = drain::line(instance) {
        let _ = writeln!(out, "  drained    {line}");
    }
    let _ = writeln!(out, "  priority   {}", health::priority(instance));
    let _ = writeln!(out, "  master     {}", master(instance));
    if let Some(line) = trust::auth(instance) {
        let _ = writeln!(out, "  auth       {line}");
    }
    for (place, line) in health::checks(instance, paint).iter().enumerate() {
        let _ = writeln!(out, "  {:<9}  {line}", if place == 0 { "checks" } else { "" });
    }
    if let Some(line) = health::hooks(instance.hooks.as_ref(), paint) {
        let _ = writeln!(out, "  hooks      {line}");
    }
    for (place, line) in addresses(instance, all_addresses, paint).iter().enumerate() {
        let _ = writeln!(out, "  {:<9}  {line}", if place == 0 { "addresses" } else { "" });
    }
    for (place, peer) in instance.peers.iter().enumerate() {
        let _ = writeln!(out, "  {:<9}  {}", if place == 0 { "peers" } else { "" }, heard(peer));
    }
    for (place, line) in trust::refused(instance).iter().enumerate() {
        let _ = writeln!(out, "  {:<9}  {line}", if place == 0 { "refused" } else { "" });
    }
}

fn master(instance: &InstanceStatus) -> String {
    match (&instance.master, instance.state) {
        (_, State::Master) => "this node".to_owned(),
        (Some(master), _) => format!("{}, priority {}", master.address, master.priority),
        (None, _) => "not known".to_owned(),
    }
}

/// Returns a line for each address, or for the first few and those that contradict the state.
fn addresses(instance: &InstanceStatus, all: bool, paint: Paint) -> Vec<String> {
    let shown = |(place, address): &(usize, &AddressStatus)| {
        all || instance.addresses.len() <= MAX_ADDRESSES || *place < MAX_ADDRESSES || is_wrong(instance, address)
    };
    let listed: Vec<&AddressStatus> =
        instance.addresses.iter().enumerate().filter(shown).map(|(_, address)| address).take(MAX_LISTED).collect();
    let listed = if all { instance.addresses.iter().collect() } else { listed };
    let mut lines: Vec<String> = listed
        .iter()
        .map(|address| {
            let presence = match (address.present, is_wrong(instance, address)) {
                (true, false) => "present".to_owned(),
                (false, false) => "not here".to_owned(),
                (true, true) => paint.problem("PRESENT"),
                (false, true) => paint.problem("MISSING"),
            };
            let elsewhere = if address.duplicate { paint.problem(", ALSO ELSEWHERE") } else { String::new() };
            format!("{} on {}: {presence}{elsewhere}", address.address, clean(&address.interface))
        })
        .collect();
    if listed.len() < instance.addresses.len() {
        let present = instance.addresses.iter().filter(|address| address.present).count();
        lines.push(format!("{present} of {} present", instance.addresses.len()));
    }
    lines
}

fn heard(peer: &PeerStatus) -> String {
    let heard = match peer.last_heard_ms {
        Some(age) => format!("heard {} ago", length(age)),
        None => "never heard".to_owned(),
    };
    let heard = heard + &trust::clock(peer).map_or_else(String::new, |clock| format!(", clock {clock}"));
    match peer.priority {
        Some(0) => format!("{}, resigned, {heard}", peer.address),
        Some(priority) => format!("{}, priority {priority}, {heard}", peer.address),
        None => format!("{}, {heard}", peer.address),
    }
}

/// Returns what somebody may have to set right about the peers.
fn differences(instance: &InstanceStatus) -> Vec<String> {
    let of_peer = |peer: &PeerStatus| {
        let differs = format!("peer {} {}", peer.address, peer.differences.join(", "));
        (!peer.differences.is_empty()).then_some(differs)
    };
    instance.peers.iter().filter_map(of_peer).collect()
}

pub(super) fn names(status: &Status) -> String {
    let mut names: Vec<String> = status.instances.iter().take(MAX_LISTED).map(|i| format!("{:?}", i.name)).collect();
    if status.instances.len() > MAX_LISTED {
        names.push(format!("or one of {} more", status.instances.len() - MAX_LISTED));
    }
    if names.is_empty() { "none, for there are no instances".to_owned() } else { names.join(", ") }
}

/// Returns a length of time in its two largest units: `3d 4h`, `2h 13m`, `5m 3s`, `48s`, `0.4s`.
pub(super) fn length(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{}s", ms % 1000 / 100)
    }
}

/// Keeps the beginning and the end of a long name, where names of a series differ.
fn cut(name: &str, max: usize) -> String {
    let count = name.chars().count();
    if count <= max {
        return name.to_owned();
    }
    let tail = max / 2;
    let head: String = name.chars().take(max - tail - 1).collect();
    let tail: String = name.chars().skip(count - tail).collect();
    format!("{head}~{tail}")
}

/// Replaces what would move a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Up to this many instances get a block each, more a row each.
const MAX_BLOCKS: usize = 8;
/// Problems listed above the rest.
const MAX_PROBLEMS: usize = 10;
/// Addresses of one instance that are always listed.
const MAX_ADDRESSES: usize = 8;
/// Entries of any list that are ever shown unasked.
const MAX_LISTED: usize = 24;
/// What is left of 80 columns after the indentation.
const MAX_LINE: usize = 67;
/// Longest name in a row.
const MAX_NAME: usize = 20;

#[cfg(test)]
mod tests;
