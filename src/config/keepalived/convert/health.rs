//! Checks, what tracks them, hooks and groups as TOML.
//!
//! One stop before and after: `convert`.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Key, key_text, length, list, quoted};
use crate::engine::params::{
    ArgumentMatch, CheckKind, CheckParams, Command, DaemonHook, Effect, Fallback, FifoParams, FileSense, GroupParams,
    HookEvent, Hooks, Initial, NodeHooks, ProcessParams, ProcessTarget, Track, UserParams,
};

/// Writes the keys of `[daemon]` that are about programs and pipes.
pub(super) fn node_hooks(hooks: &NodeHooks) -> Vec<String> {
    let mut keys = Vec::new();
    let scripts = &hooks.scripts;
    keys.extend(scripts.user.as_ref().map(|user| format!("script_user = {}", owner(user))));
    match scripts.fallback {
        Fallback::Unprivileged => {}
        Fallback::Keepalived => keys.push("script_fallback = \"keepalived\"".to_owned()),
    }
    if !scripts.refuses_unsafe {
        keys.push("script_security = false".to_owned());
    }
    for (key, hook) in [("startup_script", &hooks.startup), ("shutdown_script", &hooks.shutdown)] {
        let Some(DaemonHook { command, timeout }) = hook else { continue };
        keys.push(format!("{key} = {}", program(command)));
        keys.push(format!("{key}_timeout = {}", length(*timeout)));
    }
    if !hooks.fifos.is_empty() {
        keys.push(list("notify_fifo", hooks.fifos.iter().map(fifo).collect()));
    }
    if hooks.tells_priority {
        keys.push("notify_priority_changes = true".to_owned());
    }
    if hooks.tells_states_on_reload {
        keys.push("notify_states_on_reload = true".to_owned());
    }
    keys
}

/// Writes `[check.NAME]`.
pub(super) fn check(check: &CheckParams, text: &mut String) {
    let _ = writeln!(text, "[check.{}]", key_text(&check.name));
    let mut keys = kind(&check.kind);
    if let CheckKind::Exec(_) = check.kind {
        keys.push(format!("interval = {}", length(check.interval)));
        keys.push(format!("timeout = {}", length(check.timeout)));
        keys.push(format!("rise = {}", check.rise));
        keys.push(format!("fall = {}", check.fall));
    }
    match check.initial {
        Initial::Unknown => {}
        Initial::Passing => keys.push("initial = \"passing\"".to_owned()),
        Initial::Failing => keys.push("initial = \"failing\"".to_owned()),
    }
    for key in keys {
        let _ = writeln!(text, "{key}");
    }
}

/// Writes `[group.NAME]`.
pub(super) fn group(group: &GroupParams, text: &mut String) {
    let _ = writeln!(text, "[group.{}]", key_text(&group.name));
    let members = group.members.iter().map(|member| quoted(member)).collect();
    let _ = writeln!(text, "{}", list("instances", members));
    let mut keys = Vec::new();
    hooks(&group.hooks, &mut |_, text| keys.push(text));
    for key in keys {
        let _ = writeln!(text, "{key}");
    }
}

/// Writes what an instance tracks.
pub(super) fn tracks(tracks: &[Track]) -> Option<Key> {
    let keywords = &["track_script", "track_interface", "track_file", "track_process"];
    (!tracks.is_empty()).then(|| Key { keywords, text: list("checks", tracks.iter().map(track).collect()) })
}

/// Writes what is called.
pub(super) fn hooks(hooks: &Hooks, push: &mut impl FnMut(&'static [&'static str], String)) {
    for call in &hooks.calls {
        let keywords = keyword(call.event);
        push(keywords, format!("{} = {}", keywords.first().copied().unwrap_or_default(), program(&call.command)));
    }
    if hooks.timeout != Hooks::default().timeout {
        push(&[], format!("notify_timeout = {}", length(hooks.timeout)));
    }
    if let Some(refresh) = hooks.refresh {
        push(&[], format!("notify_refresh = {}", length(refresh)));
    }
}

fn keyword(event: HookEvent) -> &'static [&'static str] {
    match event {
        HookEvent::Any => &["notify"],
        HookEvent::Master => &["notify_master"],
        HookEvent::Backup => &["notify_backup"],
        HookEvent::Fault => &["notify_fault"],
        HookEvent::Stop => &["notify_stop"],
        HookEvent::Deleted => &["notify_deleted"],
        HookEvent::MasterHearsLower => &["notify_master_rx_lower_pri"],
    }
}

fn kind(kind: &CheckKind) -> Vec<String> {
    match kind {
        CheckKind::Exec(command) => {
            let user = command.user.as_ref().map(|user| format!("user = {}", owner(user)));
            std::iter::once(format!("exec = {}", words(&command.words))).chain(user).collect()
        }
        CheckKind::Process(process) => processes(process),
        CheckKind::File { path, sense } => {
            let sense = match sense {
                FileSense::Exists => "exists",
                FileSense::Absent => "absent",
                FileSense::Number => "number",
            };
            vec![format!("file = {}", quoted(&path.to_string_lossy())), format!("sense = \"{sense}\"")]
        }
        CheckKind::Interface(name) => vec![format!("interface = {}", quoted(name))],
        // No keepalived.conf has these.
        CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Unit(_) | CheckKind::Ping(_) => Vec::new(),
    }
}

fn processes(process: &ProcessParams) -> Vec<String> {
    let target = match &process.target {
        ProcessTarget::Name(name) => quoted(name),
        ProcessTarget::PidFile(path) => format!("{{ pid_file = {} }}", quoted(&path.to_string_lossy())),
        ProcessTarget::CommandLine { words: command, matching } => {
            let matching = match matching {
                ArgumentMatch::Exact => "exact",
                ArgumentMatch::Partial => "partial",
                ArgumentMatch::Initial => "initial",
            };
            format!("{{ command = {}, match = \"{matching}\" }}", words(command))
        }
    };
    let mut keys = vec![format!("process = {target}")];
    if process.quorum != 1 {
        keys.push(format!("min = {}", process.quorum));
    }
    keys.extend(process.quorum_max.map(|most| format!("max = {most}")));
    for (key, delay) in [("gain_delay", process.gain_delay), ("loss_delay", process.loss_delay)] {
        if delay != Duration::ZERO {
            keys.push(format!("{key} = {}", length(delay)));
        }
    }
    keys
}

fn track(track: &Track) -> String {
    let mut fields = Vec::new();
    let is_reversed = match track.effect {
        Effect::Fault { is_reversed } => is_reversed,
        Effect::Weight { weight, is_reversed } => {
            fields.push(format!("weight = {weight}"));
            is_reversed
        }
    };
    for (key, is_set) in [("reverse", is_reversed), ("urgent", track.is_urgent)] {
        if is_set {
            fields.push(format!("{key} = true"));
        }
    }
    let name = quoted(&track.check);
    if fields.is_empty() { name } else { format!("{{ name = {name}, {} }}", fields.join(", ")) }
}

fn fifo(fifo: &FifoParams) -> String {
    let path = quoted(&fifo.path.to_string_lossy());
    let user = fifo.user.as_ref().map(|user| format!("user = {}", owner(user)));
    let reader = fifo.reader.as_ref().map(|reader| format!("reader = {}", program(reader)));
    let fields: Vec<String> = user.into_iter().chain(reader).collect();
    if fields.is_empty() { path } else { format!("{{ path = {path}, {} }}", fields.join(", ")) }
}

fn program(command: &Command) -> String {
    let words = words(&command.words);
    match &command.user {
        None => words,
        Some(user) => format!("{{ exec = {words}, user = {} }}", owner(user)),
    }
}

fn words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

fn owner(user: &UserParams) -> String {
    quoted(&user.group.as_ref().map_or_else(|| user.name.clone(), |group| format!("{}:{group}", user.name)))
}
