//! Copies of configuration files in which no secret is left, for people who help from afar.
//!
//! What is shown is named here; everything else is hidden, so that a key that is misspelt or unknown hides its value too.
//! Comments are left out: they may hold anything. Key files are never opened. One stop before: `daemon::report`; one stop
//! after: `keepalived::redact` for the other language.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::source::{Source, read_bytes};
use super::table::Value;
use super::{Format, Keys, keepalived, load_with};

/// What stands where something is hidden.
pub const HIDDEN: &str = "(hidden)";

/// The configuration without its secrets.
#[derive(Default)]
pub struct Copies {
    /// Each file that was read, in the order of reading.
    pub files: Vec<Copied>,
    /// A keepalived.conf as TOML, everything replaced and included; `None`: it is TOML, or cannot be used.
    pub converted: Option<String>,
    /// What is wrong with it, a line each, as `vrrpd check` prints it.
    pub problems: Vec<String>,
    /// What was hidden in places where a secret stands: it must be nowhere else either. No order, not empty strings.
    pub secrets: Vec<Zeroizing<String>>,
}

/// One file.
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// Its text without secrets, or why there is none.
    pub text: Result<String, String>,
}

/// A text with holes.
pub(super) struct Redacted {
    /// The text.
    pub text: String,
    /// What was in them.
    pub secrets: Vec<Zeroizing<String>>,
}

/// Reads the configuration of this host without its secrets; `format`: `None` goes by the name.
///
/// Never fails: what cannot be read or understood is said in the place of its text.
pub fn copies(path: &Path, format: Option<Format>) -> Copies {
    let mut copies = Copies::default();
    let format = format.unwrap_or_else(|| Format::of(path));
    match format {
        Format::Toml => {
            let copied = toml_file(path).map(|redacted| copies.take(redacted));
            copies.files.push(Copied { path: path.to_owned(), text: copied });
        }
        Format::Keepalived => {
            for (path, redacted) in keepalived::redacted(path) {
                let text = redacted.map(|redacted| copies.take(redacted));
                copies.files.push(Copied { path, text });
            }
        }
    }
    let problems = match load_with(path, Some(format), Keys::LeftAlone) {
        Ok(loaded) => {
            if let Some(document) = &loaded.document {
                let text = Zeroizing::new(keepalived::convert(&loaded.config, document));
                copies.converted = toml(&text).map(|redacted| copies.take(redacted));
            }
            loaded.warnings
        }
        Err(problems) => problems.0,
    };
    copies.problems = problems.iter().map(ToString::to_string).collect();
    copies
}

impl Copies {
    fn take(&mut self, redacted: Redacted) -> String {
        self.secrets.extend(redacted.secrets);
        redacted.text
    }
}

fn toml_file(path: &Path) -> Result<Redacted, String> {
    let bytes = File::open(path).map_err(|error| error.to_string())?;
    let bytes = Zeroizing::new(read_bytes(bytes).map_err(|error| error.to_string())?);
    let text = str::from_utf8(&bytes).map_err(|_| "not UTF-8".to_owned())?;
    toml(text).ok_or_else(|| "no TOML, so that nobody can tell what in it is a secret; see problems.txt".to_owned())
}

/// Hides the secrets of a text; `None`: it is not TOML.
pub(super) fn toml(text: &str) -> Option<Redacted> {
    let source = Source::from_text("", text);
    let (document, errors) = DeTable::parse_recoverable(source.text());
    if !errors.is_empty() {
        return None;
    }
    let mut holes = Holes::default();
    holes.table(document.get_ref(), false);
    let text = holes.cut(text)?;
    Some(Redacted { text, secrets: holes.secrets })
}

/// What is done with a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It is shown.
    Shown,
    /// A program: its path is shown and its arguments are not.
    Program,
    /// A URL: shown up to the question mark, if it names no user.
    Url,
    /// It is hidden: nobody knows what it is.
    Hidden,
    /// It is hidden, and must be nowhere else either.
    Secret,
}

impl Rule {
    /// Returns that of a key; `is_auth`: the key stands in a table of authentication.
    fn of(key: &str, is_auth: bool) -> Self {
        if is_auth {
            return if AUTH.contains(&key) { Self::Shown } else { Self::Secret };
        }
        match key {
            "http" => Self::Url,
            _ if PROGRAMS.contains(&key) => Self::Program,
            _ if SHOWN.contains(&key) => Self::Shown,
            _ if is_telling(key) => Self::Secret,
            _ => Self::Hidden,
        }
    }
}

/// What is cut out of a text.
#[derive(Default)]
struct Holes {
    /// Ranges with what stands there instead.
    edits: Vec<(Range<usize>, Cow<'static, str>)>,
    /// Ranges in which a `#` begins no comment.
    solid: Vec<Range<usize>>,
    secrets: Vec<Zeroizing<String>>,
}

impl Holes {
    fn table(&mut self, table: &DeTable<'_>, is_auth: bool) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            self.solid.push(key.span());
            // A secret in front of the equals sign: somebody mixed up number and key.
            let is_named = AUTH.contains(&name) || AUTH_TABLES.contains(&name) || name.parse::<u8>().is_ok();
            if is_auth && !is_named {
                self.hide(key.span(), "HIDDEN", name);
            }
            self.value(value, Rule::of(name, is_auth), is_auth || name == "auth");
        }
    }

    fn value(&mut self, value: &Value<'_>, rule: Rule, is_auth: bool) {
        let span = value.span();
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, is_auth),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let is_argument = rule == Rule::Program && at > 0;
                    match item.get_ref() {
                        DeValue::String(_) if is_argument => {
                            self.solid.push(item.span());
                            self.edits.push((item.span(), Cow::Borrowed("\"(hidden)\"")));
                        }
                        _ => self.value(item, rule, is_auth),
                    }
                }
            }
            DeValue::String(text) => {
                self.solid.push(span.clone());
                match rule {
                    Rule::Shown => {}
                    Rule::Program => self.head(span, text, text.find(char::is_whitespace)),
                    Rule::Url if text.contains('@') => self.hide(span, "\"(hidden)\"", text),
                    Rule::Url => self.head(span, text, text.find('?')),
                    Rule::Secret if is_reference(text) => {}
                    Rule::Hidden => self.hide(span, "\"(hidden)\"", ""),
                    Rule::Secret => self.hide(span, "\"(hidden)\"", text),
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                if matches!(rule, Rule::Secret | Rule::Hidden) {
                    self.hide(span, "\"(hidden)\"", "");
                }
            }
        }
    }

    /// Shows what stands before `end`.
    fn head(&mut self, span: Range<usize>, text: &str, end: Option<usize>) {
        if let Some(head) = end.and_then(|end| text.get(..end)) {
            self.edits.push((span, Cow::Owned(format!("{:?}", format!("{head} {HIDDEN}")))));
        }
    }

    fn hide(&mut self, span: Range<usize>, instead: &'static str, secret: &str) {
        self.edits.push((span, Cow::Borrowed(instead)));
        if !secret.is_empty() {
            self.secrets.push(Zeroizing::new(secret.to_owned()));
        }
    }

    /// Returns the text with its holes and without its comments; `None`: a place is none of the text.
    fn cut(&mut self, text: &str) -> Option<String> {
        self.solid.sort_by_key(|range| range.start);
        let mut at = 0;
        while let Some(mark) = text.get(at..)?.find('#').map(|found| at + found) {
            let before = self.solid.partition_point(|range| range.start <= mark);
            let around = before.checked_sub(1).and_then(|last| self.solid.get(last)).filter(|range| range.end > mark);
            at = match around {
                Some(range) => range.end,
                None => {
                    let end = text.get(mark..)?.find('\n').map_or(text.len(), |found| mark + found);
                    self.edits.push((mark..end, Cow::Borrowed("")));
                    end
                }
            };
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        let (mut out, mut done) = (String::with_capacity(text.len()), 0);
        for (range, instead) in &self.edits {
            out.push_str(text.get(done..range.start)?);
            out.push_str(instead);
            done = range.end;
        }
        out.push_str(text.get(done..)?);
        Some(out)
    }
}

/// Says whether the name of an unknown key, such as one of keepalived.conf, tells that its value is a secret.
fn is_telling(key: &str) -> bool {
    ["pass", "secret", "token", "key", "hmac", "auth"].iter().any(|word| key.to_ascii_lowercase().contains(word))
}

/// Says whether a value names where a key is instead of being one.
fn is_reference(text: &str) -> bool {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let (path, name) = (text.strip_prefix("file:"), text.strip_prefix("credential:"));
    path.is_some_and(|path| path.contains('/') && is_plain(path)) || name.is_some_and(is_plain)
}

/// Keys of `[instance.NAME.auth]` and its tables whose values are shown.
const AUTH: &[&str] = &["mode", "active", "replay", "window"];

/// Keys there whose values are hidden, and whose names are no secret.
const AUTH_TABLES: &[&str] = &["password", "ah", "hmac", "keys"];

/// Keys whose values are programs.
const PROGRAMS: &[&str] = &[
    "exec",
    "command",
    "reader",
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_master_rx_lower_pri",
    "startup_script",
    "shutdown_script",
];

/// Keys outside of `auth` whose values are shown.
#[rustfmt::skip]
const SHOWN: &[&str] = &[
    "address", "addresses", "advert_interval", "advertise", "also_multicast", "announce_refresh", "announce_repeats",
    "autojoin", "body", "broadcast", "checks", "checksum", "control_group", "dad", "fall", "file", "gain_delay", "home", "host",
    "ignore_link", "initial", "instances", "interface", "interval", "label", "loss_delay", "master_down_adverts", "match",
    "max", "max_ttl", "metrics", "min", "min_ttl", "mngtmpaddr", "multicast", "name", "no_track", "node", "noprefixroute",
    "notify_fifo", "notify_priority_changes", "notify_refresh", "notify_states_on_reload", "notify_timeout", "on_conflict", "path", "peer", "peers", "pid_file",
    "ping", "preempt", "preferred_lifetime", "priority", "process", "reverse", "rise", "routes", "rules", "runtime_dir", "scope",
    "script_fallback", "script_security", "script_user", "sense", "shutdown_script_timeout", "socket", "source",
    "startup_script_timeout", "status", "strict", "tcp", "timeout", "unit", "urgent", "user", "version", "vip_lease",
    "virtual_router_id", "virtual_routes", "virtual_rules", "weight",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_redacted(text: &str, shown: &str, secrets: &[&str]) {
        let redacted = toml(text).unwrap();
        let mut found: Vec<&str> = redacted.secrets.iter().map(|secret| secret.as_str()).collect();
        // A table of TOML has an order of its own.
        found.sort_unstable();
        assert_eq!((redacted.text.as_str(), found.as_slice()), (shown, secrets), "{text}");
    }

    #[test]
    fn what_is_not_named_is_hidden() {
        assert_redacted("a = 1 # b\nversion = 3", "a = \"(hidden)\" \nversion = 3", &[]);
        assert_redacted("[instance.web]\ninterfaec = \"eth0\"", "[instance.web]\ninterfaec = \"(hidden)\"", &[]);
        assert_redacted(
            "[instance.web]\nauth_pass = 'x#y'#z\n",
            "[instance.web]\nauth_pass = \"(hidden)\"\n",
            &["x#y"],
        );
        assert_redacted("node = \"a#b\" # c#d\n#e", "node = \"a#b\" \n", &[]);
        assert!(toml("a = ").is_none());
    }

    #[test]
    fn authentication_shows_its_words_alone() {
        let text = "[instance.web.auth]\npassword = \"one\"\nmode = \"enforce\"\nah = \"\"\"two\"\"\"\n";
        let shown = "[instance.web.auth]\npassword = \"(hidden)\"\nmode = \"enforce\"\nah = \"(hidden)\"\n";
        assert_redacted(text, shown, &["one", "two"]);
        let text = "auth.hmac = { keys = { 1 = \"hex:00\", 2 = \"file:/etc/k\", 3 = \"credential:k\", 4 = \"file:x y\", oops = \"v\" }, active = 1 }";
        let shown = "auth.hmac = { keys = { 1 = \"(hidden)\", 2 = \"file:/etc/k\", 3 = \"credential:k\", 4 = \"(hidden)\", HIDDEN = \"(hidden)\" }, active = 1 }";
        assert_redacted(text, shown, &["file:x y", "hex:00", "oops", "v"]);
    }

    #[test]
    fn arguments_and_queries_are_hidden() {
        let text = "exec = [\"/bin/c\", \"-p\", \"x\"]\nnotify = { exec = [\"/bin/n\", \"y\"], user = \"root\" }\nnotify_stop = \"/bin/s z\"";
        let shown = "exec = [\"/bin/c\", \"(hidden)\", \"(hidden)\"]\nnotify = { exec = [\"/bin/n\", \"(hidden)\"], user = \"root\" }\nnotify_stop = \"/bin/s (hidden)\"";
        assert_redacted(text, shown, &[]);
        assert_redacted("http = \"http://10.0.0.1/a?b=c\"", "http = \"http://10.0.0.1/a (hidden)\"", &[]);
        assert_redacted("http = \"http://u:p@10.0.0.1/\"", "http = \"(hidden)\"", &["http://u:p@10.0.0.1/"]);
    }

    /// Each key that the configuration knows has its rule: an example shows all that is no secret.
    #[test]
    fn examples_hide_nothing_but_secrets_and_arguments() {
        for entry in std::fs::read_dir("conf").unwrap() {
            let path = entry.unwrap().path();
            // Beside them lie programs in a folder of their own.
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let redacted = toml(&text).unwrap();
            assert!(redacted.secrets.is_empty(), "{}: {:?}", path.display(), redacted.secrets);
            let hidden = redacted.text.lines().filter(|line| line.contains(HIDDEN));
            let other: Vec<&str> = hidden.filter(|line| !PROGRAMS.iter().any(|key| line.contains(key))).collect();
            assert!(other.is_empty(), "{}: {other:?}", path.display());
            assert!(toml(&redacted.text).is_some());
        }
    }
}
