//! Copies of a keepalived.conf and the files it includes in which no secret is left.
//!
//! A line shows the words of keywords that are known to hold none; what is defined (`$NAME=`), what is unknown, what does not
//! concern VRRP, arguments of programs and comments are hidden. One stop before and after: `config::redact`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::expand::{Expander, Host, is_name};
use super::grammar;
use super::include;
use super::lexer::{self, Piece};
use super::report::Report;
use super::sequence;
use crate::config::redact::{HIDDEN, Redacted};

/// Returns each file in the order of reading, with its text or why there is none.
pub fn redacted(path: &Path) -> Vec<(PathBuf, Result<Redacted, String>)> {
    let mut files = vec![path.to_owned()];
    let own = include::read_any(path).map(|bytes| {
        files = with_included(path, &bytes);
        redact(&bytes)
    });
    let others: Vec<_> = files.split_off(1);
    let others = others.into_iter().map(|path| {
        let copied = include::read_any(&path).map(|bytes| redact(&bytes));
        (path, copied)
    });
    std::iter::once((path.to_owned(), own)).chain(others).collect()
}

/// Returns the file and all that it includes.
fn with_included(path: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut report = Report::new(&path.display().to_string());
    let host = Host::of_process();
    let mut expander = Expander::new(&mut report, &host, directory);
    expander.open.push(path.to_owned());
    expander.read(0, bytes);
    let mut files: Vec<PathBuf> = Vec::new();
    for name in report.names() {
        if !files.iter().any(|file| file == Path::new(name)) {
            files.push(PathBuf::from(name));
        }
    }
    files
}

/// Hides what is a secret or may be one.
fn redact(bytes: &[u8]) -> Redacted {
    let mut reader = Reader::default();
    let mut text = String::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        match lexer::strip(line) {
            Ok(stripped) if reader.goes_on(&stripped.text) => text.push_str(HIDDEN),
            Ok(stripped) => {
                let indent = usize::try_from(stripped.column).unwrap_or(1).saturating_sub(1).min(INDENT_MAX);
                let shown = reader.line(&stripped.text);
                if !shown.is_empty() {
                    text.push_str(&" ".repeat(indent));
                    text.push_str(&shown);
                }
            }
            Err(_) => text.push_str(HIDDEN),
        }
        text.push('\n');
    }
    Redacted { text, secrets: reader.secrets }
}

/// What is known in the middle of a file.
#[derive(Default)]
struct Reader {
    /// The keywords of the blocks around, outermost first.
    around: Vec<String>,
    /// The last keyword: a `{` opens its block.
    keyword: String,
    /// A definition goes on with the next line.
    is_defining: bool,
    secrets: Vec<Zeroizing<String>>,
}

impl Reader {
    /// Says whether a line belongs to a definition that began before it.
    fn goes_on(&mut self, text: &str) -> bool {
        let was_defining = self.is_defining;
        self.is_defining &= text.ends_with('\\');
        was_defining
    }

    /// Returns what is shown of a line.
    fn line(&mut self, text: &str) -> String {
        if let Some((name, value)) = text.strip_prefix('$').and_then(|text| text.split_once('='))
            && is_name(name)
        {
            self.is_defining = value.ends_with('\\');
            return format!("${name}={HIDDEN}");
        }
        if let Some(rest) = text.strip_prefix('@') {
            let (id, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            return format!("@{id} {}", self.line(rest.trim()));
        }
        if text.starts_with('~') {
            let rest = sequence::cut(text).map(|(_, rest)| self.line(rest)).unwrap_or_default();
            return format!("~{HIDDEN} {rest}");
        }
        if include::directive(text).is_some() {
            return text.to_owned();
        }
        let mut shown = Vec::new();
        for piece in lexer::pieces(text) {
            match piece {
                Piece::Text { text, .. } => shown.push(self.statement(text)),
                Piece::Open(_) => {
                    self.around.push(std::mem::take(&mut self.keyword));
                    shown.push("{".to_owned());
                }
                Piece::Close(_) => {
                    self.around.pop();
                    shown.push("}".to_owned());
                }
            }
        }
        shown.join(" ")
    }

    /// Returns what is shown of the words between braces.
    fn statement(&mut self, text: &str) -> String {
        let words: Vec<String> = lexer::words(text).into_iter().map(|word| word.text).collect();
        let Some((keyword, rest)) = words.split_first() else { return String::new() };
        self.keyword.clone_from(keyword);
        if let Some(at) = words.iter().position(|word| SECRET.contains(&word.as_str())) {
            // The number of a key is no secret, whatever else stands there is.
            let is_key = keyword == "key" && rest.len() > 1;
            let first = at + 1 + usize::from(is_key && rest.first().is_some_and(|number| number.parse::<u8>().is_ok()));
            self.keep(words.get(first..).unwrap_or_default());
            return format!("{} {HIDDEN}", words.get(..first).unwrap_or_default().join(" "));
        }
        let inner = self.around.last().map_or("", String::as_str);
        if AUTH.contains(&inner) && !grammar::is_known(keyword) {
            self.keep(&words);
            return HIDDEN.to_owned();
        }
        if PROGRAMS.contains(&keyword.as_str()) {
            let command = lexer::script_words(text).into_iter().nth(1).unwrap_or_default();
            let program = lexer::command_words(&command).into_iter().next().unwrap_or_default();
            return format!("{keyword} {program} {HIDDEN}");
        }
        let is_entry = grammar::is_list(inner) && !HIDDEN_LISTS.contains(&inner);
        let is_shown = grammar::is_known(keyword) && !HIDDEN_WORDS.contains(&keyword.as_str());
        match (is_entry || is_shown, grammar::is_known(keyword)) {
            (true, _) => text.to_owned(),
            (false, true) => format!("{keyword} {HIDDEN}"),
            (false, false) => HIDDEN.to_owned(),
        }
    }

    fn keep(&mut self, words: &[String]) {
        let words = words.iter().filter(|word| !word.is_empty() && !word.contains('$'));
        self.secrets.extend(words.map(|word| Zeroizing::new(word.clone())));
    }
}

/// Keywords behind which a secret stands.
const SECRET: &[&str] = &["auth_pass", "key"];

/// Blocks in which a line that nobody knows is a secret.
const AUTH: &[&str] = &["authentication", "auth_hmac"];

/// Keywords behind which a program stands.
const PROGRAMS: &[&str] = &[
    "script",
    "process",
    "startup_script",
    "shutdown_script",
    "notify_fifo_script",
    "vrrp_notify_fifo_script",
    "lvs_notify_fifo_script",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify",
    "notify_master_rx_lower_pri",
];

/// Lists whose entries concern nobody else.
const HIDDEN_LISTS: &[&str] = &["notification_email"];

/// Keywords whose words concern nobody else.
const HIDDEN_WORDS: &[&str] = &["notification_email_from", "smtp_server", "smtp_helo_name", "snmp_socket"];

const INDENT_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_redacted(text: &str, shown: &str, secrets: &[&str]) {
        let redacted = redact(text.as_bytes());
        let mut found: Vec<&str> = redacted.secrets.iter().map(|secret| secret.as_str()).collect();
        // A table of TOML has an order of its own.
        found.sort_unstable();
        assert_eq!((redacted.text.trim_end(), found.as_slice()), (shown, secrets), "{text}");
    }

    #[test]
    fn an_ordinary_instance_is_shown() {
        let text = "vrrp_instance VI_1 {\n  state BACKUP\n  interface eth0\n  virtual_ipaddress {\n    10.0.0.1/24 dev eth1\n  }\n}";
        assert_redacted(text, text, &[]);
        let text = "vrrp_script chk {\n  script \"/bin/c -p x\"\n  interval 2\n}";
        assert_redacted(text, "vrrp_script chk {\n  script /bin/c (hidden)\n  interval 2\n}", &[]);
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        let shown = "authentication { auth_type PASS auth_pass (hidden) }";
        assert_redacted("authentication { auth_type PASS auth_pass \"a b\" c }", shown, &["a b", "c"]);
        assert_redacted("@lb1 auth_pass one # two", "@lb1 auth_pass (hidden)", &["one"]);
        assert_redacted(
            "auth_hmac {\n key 1 hex:00 11\n key two\n three\n}",
            "auth_hmac {\n key 1 (hidden)\n key (hidden)\n (hidden)\n}",
            &["11", "hex:00", "three", "two"],
        );
        assert_redacted("$P=one\nauth_pass $P\n", "$P=(hidden)\nauth_pass (hidden)", &[]);
        assert_redacted(
            "$P= \\\n  auth_pass one \\\n  two\ninterface e",
            "$P=(hidden)\n(hidden)\n(hidden)\ninterface e",
            &[],
        );
        assert_redacted("~LST(p, one, two) auth_pass $p", "~(hidden) auth_pass (hidden)", &[]);
        assert_redacted("auth_passs one", "(hidden)", &[]);
        assert_redacted(
            "virtual_server 1 2 {\n url {\n digest one\n }\n}",
            "virtual_server 1 2 {\n (hidden) {\n (hidden)\n }\n}",
            &[],
        );
        assert_redacted("a\0b\nnotification_email {\n one\n}", "(hidden)\nnotification_email {\n (hidden)\n}", &[]);
    }
}
