//! `auth_hmac`: the keys, which of them signs, and how strictly the trailer is asked for.
//!
//! What Keepalived meets by running without authentication, or without a key, is refused here: the other nodes would
//! drop the adverts, and anybody could send them. One stop before: `instance`; one stop after: `finish`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::Secret;
use super::refusal::Refusal;
use super::remark::Remark;
use super::report::{At, Report, Spot};
use super::tree::Node;
use super::value::{no_secret_words, number, unfit};
use crate::config::auth::{default_window, mode_of, shown_number};
use crate::config::secret::{Form, Secrets, exposed_mode};
use crate::engine::params::{AuthMode, HmacParams, ReplayGuard};
use crate::wire::field::{AdverInterval, KeyId};

/// All `auth_hmac` blocks of an instance as they are written.
#[derive(Debug, Default)]
pub(super) struct Hmac {
    /// The first of them.
    spot: Spot,
    /// In written order, each number once.
    keys: Vec<At<(KeyId, Secret)>>,
    active: Option<At<KeyId>>,
    window: Option<At<Duration>>,
    is_monotonic: bool,
    mode: Option<At<AuthMode>>,
}

impl Hmac {
    /// Begins with a block.
    pub fn new(spot: Spot) -> Self {
        Self { spot, ..Self::default() }
    }

    /// Takes a block in; blocks add up.
    pub fn read(&mut self, block: &Node, report: &mut Report) {
        for node in &block.body {
            match node.keyword.as_str() {
                "key" => self.key(node, report),
                "active_key" => self.active_key(node, report),
                "time_window" => {
                    if let Some(At { value, spot }) = number(node, 1..=300, "the default holds", report) {
                        let value = Duration::from_secs(value.unsigned_abs());
                        self.window = Some(At { value, spot });
                    }
                }
                "anti_replay" => match word(node).value.as_str() {
                    "time" => self.is_monotonic = false,
                    "monotonic" => self.is_monotonic = true,
                    _ => {
                        let expected = "time or monotonic".to_owned();
                        unfit::<()>("anti_replay", &word(node), expected, "it is left as it was", report);
                    }
                },
                _ => match mode_of(&word(node).value) {
                    Some(value) => self.mode = Some(At { value, spot: word(node).spot }),
                    None => {
                        let expected = "enforce, permissive or receive-only".to_owned();
                        unfit::<()>("mode", &word(node), expected, "it is left as it was", report);
                    }
                },
            }
            no_secret_words(node, if node.keyword == "key" { 2 } else { 1 }, report);
        }
    }

    fn key(&mut self, node: &Node, report: &mut Report) {
        let number = word(node);
        let Some(id) = number.value.parse().ok().and_then(KeyId::new) else {
            return report.refuse(number.spot, Refusal::KeyNumber { found: shown_number(&number.value) });
        };
        let Some(value) = node.word(1) else {
            return report.refuse(node.spot, Refusal::MissingWord { keyword: "key" });
        };
        match self.keys.iter().find(|key| key.value.0 == id) {
            Some(first) => {
                let line = first.spot.line;
                report.remark(node.spot, Remark::Twice { what: format!("key {id}"), line });
            }
            None => self.keys.push(At { value: (id, Secret(value.value.clone())), spot: value.spot }),
        }
    }

    fn active_key(&mut self, node: &Node, report: &mut Report) {
        let number = word(node);
        match number.value.parse().ok().and_then(KeyId::new) {
            Some(value) => self.active = Some(At { value, spot: number.spot }),
            None => report.refuse(number.spot, Refusal::KeyNumber { found: shown_number(&number.value) }),
        }
    }

    /// Returns the parameters, and the keys as TOML has them; `None` when something is refused.
    pub fn finish(
        &self,
        interval: AdverInterval,
        is_strict: bool,
        secrets: &Secrets,
        report: &mut Report,
    ) -> Option<(HmacParams, Vec<(KeyId, Secret)>)> {
        let mut mode = self.mode.as_ref().map_or(AuthMode::default(), |mode| mode.value);
        if let (true, Some(at), AuthMode::ReceiveOnly | AuthMode::Permissive) = (is_strict, &self.mode, mode) {
            let text = "strict mode makes the mode of auth_hmac `enforce`, as in Keepalived; write that";
            report.remark(at.spot, Remark::Contradiction { text });
            mode = AuthMode::Enforce;
        }
        if let (true, Some(window)) = (self.is_monotonic, &self.window) {
            let text = "`time_window` has no effect beside `anti_replay monotonic`, as in Keepalived; take it out";
            report.remark(window.spot, Remark::Contradiction { text });
        }
        let window = self.window.as_ref().map(|window| window.value);
        let guard = match self.is_monotonic {
            true => ReplayGuard::Monotonic,
            false => ReplayGuard::Time { window: window.unwrap_or(default_window(interval.as_duration())) },
        };
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut written = Vec::with_capacity(self.keys.len());
        for At { value: (id, text), spot } in &self.keys {
            let file = PathBuf::from(report.file(*spot));
            let text = in_toml(&text.0, &file, secrets);
            if let (Form::Inline, Some(mode)) = (Form::of(&text), exposed_mode(&file)) {
                report.remark(*spot, Remark::ExposedKey { mode });
            }
            match secrets.key(&text) {
                Ok(key) => keys.push((*id, Arc::new(key))),
                Err(error) => report.refuse(*spot, Refusal::Key { id: *id, error }),
            }
            written.push((*id, Secret(text)));
        }
        keys.sort_by_key(|(id, _)| *id);
        written.sort_by_key(|(id, _)| *id);
        let active = self.active.as_ref().filter(|active| self.keys.iter().any(|key| key.value.0 == active.value));
        let Some(active) = active else {
            let (found, spot) = self.active.as_ref().map_or((None, self.spot), |at| (Some(at.value), at.spot));
            report.refuse(spot, Refusal::NoActiveKey { found });
            return None;
        };
        let is_complete = keys.len() == self.keys.len();
        is_complete.then_some((HmacParams { keys, active: active.value, mode, guard }, written))
    }
}

/// Returns the first word, or an empty one.
fn word(node: &Node) -> At<String> {
    node.word(0).cloned().unwrap_or(At { value: String::new(), spot: node.spot })
}

/// Returns a key as TOML has it: a path that does not depend on where the file is, and credentials by name.
fn in_toml(text: &str, file: &Path, secrets: &Secrets) -> String {
    let Form::File(path) = Form::of(text) else { return text.to_owned() };
    let unset = path.strip_prefix(UNSET_CREDENTIALS).and_then(|path| path.strip_prefix('/'));
    let set =
        secrets.credentials.as_deref().and_then(|directory| Path::new(path).strip_prefix(directory).ok()?.to_str());
    if let Some(name) = unset.or(set) {
        return format!("credential:{name}");
    }
    // Where standard input is, nobody knows.
    let directory = file.parent().unwrap_or(Path::new(""));
    match std::path::absolute(directory.join(path)) {
        Ok(absolute) if !path.is_empty() => format!("file:{}", absolute.display()),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

/// What stands for `${_ENV CREDENTIALS_DIRECTORY}` where systemd has set nothing. Without braces: they would begin a
/// block.
pub(super) const UNSET_CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";
