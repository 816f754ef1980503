//! One log line as values, and its three written forms: text, JSON, journald.
//!
//! Field names and message ids are an interface (`docs/logging.md`). One stop before: `daemon::journal` and the
//! diagnostics of `tracing`. One stop after: `daemon::logging`.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::control::rfc3339;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// What kind of event it is; none for diagnostics.
    pub kind: Option<Kind>,
    /// The phrase.
    pub message: String,
    /// The rest, in the order it is written.
    pub fields: Vec<(Key, Value)>,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The task cannot be done.
    Error,
    /// Someone may have to act.
    Warn,
    /// A state changed.
    Info,
    /// Details.
    Debug,
    /// Each packet.
    Trace,
}

impl Level {
    /// Returns the word in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// Returns the priority of syslog, 3 to 7.
    const fn syslog(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug | Self::Trace => 7,
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// A kind of event with a fixed id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A router changed its state.
    Transition,
    /// Packets were refused.
    Discarded,
    /// A peer is configured otherwise.
    Mismatch,
    /// Another Master was heard while Master.
    Rival,
    /// A peer uses a checksum form.
    Checksum,
    /// A Backup waits before it takes over.
    PreemptDelay,
    /// The node did not run for a while.
    Paused,
    /// The effective priority changed.
    Priority,
    /// Addresses were handed over.
    HandedOver,
    /// The verdict of a check changed.
    Check,
    /// A group changed its state.
    Group,
    /// A hook failed, was skipped or cannot be run.
    Hook,
    /// A signal came.
    Signal,
    /// The clock of this node or of a peer is wrong.
    Clock,
    /// An address, route or rule was taken away or cannot be held.
    Holding,
    /// Another host has an address too.
    Duplicate,
    /// Lines are left out.
    Suppressed,
    /// Instances were drained or resumed.
    Drain,
    /// An instance is drained, and nobody is Master.
    Vacant,
    /// The host of a Master that fell silent was asked whether it is there.
    Finding,
    /// The daemon began, ended or became another program.
    Daemon,
    /// The configuration was read again.
    Reload,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::Transition,
        Self::Discarded,
        Self::Mismatch,
        Self::Rival,
        Self::Checksum,
        Self::PreemptDelay,
        Self::Paused,
        Self::Priority,
        Self::HandedOver,
        Self::Check,
        Self::Group,
        Self::Hook,
        Self::Signal,
        Self::Clock,
        Self::Holding,
        Self::Duplicate,
        Self::Suppressed,
        Self::Drain,
        Self::Vacant,
        Self::Finding,
        Self::Daemon,
        Self::Reload,
    ];

    /// Returns the `MESSAGE_ID` of journald, 32 hexadecimal digits; never changes.
    pub const fn message_id(self) -> &'static str {
        match self {
            Self::Transition => "5f4b3091d8784b78a9a444ddde22c002",
            Self::Discarded => "9ee74475efc4494b808822c10c48b7a8",
            Self::Mismatch => "9145fcad4b89471aa5548566237566e8",
            Self::Rival => "e8ecdc00bb1b4c9890e0ccd5f8e88d7a",
            Self::Checksum => "2da43112fe0747f1bf421beb2b11edee",
            Self::PreemptDelay => "9b46dea06be746c892b1747414a77091",
            Self::Paused => "7e3ef94e75004464a95d111e6dc0685e",
            Self::Priority => "c67f8e16a3754a098b821850a00d0765",
            Self::HandedOver => "ec07c69dafb14e6889d98a395f8c2e11",
            Self::Check => "5435a61b860843b988047084735a365a",
            Self::Group => "c8f5e70c72a744d087ebb957323971d3",
            Self::Hook => "4224b5862cbe498ab6f53478928adb6b",
            Self::Signal => "a2656510f4734777916bd27d11513483",
            Self::Clock => "8816f2badada4cd6b04b94c76c393337",
            Self::Holding => "4a9db9a8470243a4b65da814b8414570",
            Self::Duplicate => "d092af969e33428793318577d7921be8",
            Self::Suppressed => "8452664df6484015a67a0b38b0c8ca2d",
            Self::Drain => "ac753cdecd0b468785769d37a360326c",
            Self::Vacant => "3c60851845424f2b9815617e9409b7a1",
            Self::Finding => "d88d0af09cbf401d9733b4ce5ef0bbe4",
            Self::Daemon => "b7467e75b72241748604a3a0d760c543",
            Self::Reload => "19da1ad09bcf475c97204d27e0912745",
        }
    }
}

/// The name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Name of the instance.
    Instance,
    /// Its identifier on the wire.
    Vrid,
    /// State left.
    From,
    /// State entered.
    To,
    /// Why.
    Reason,
    /// Effective priority.
    Priority,
    /// The other node.
    Peer,
    /// The interface that it has to do with.
    Interface,
    /// How many adverts should have come and did not.
    Missed,
    /// How long nothing was heard, in milliseconds.
    Silence,
    /// How many.
    Count,
    /// Name of the check.
    Check,
    /// What it says.
    Verdict,
    /// Name of the group.
    Group,
    /// A field of a diagnostic.
    Plain(&'static str),
}

impl Key {
    /// Returns the name in text and JSON, the name in journald, and whether text leaves it out because the phrase has it.
    const fn names(self) -> (&'static str, Option<&'static str>, bool) {
        match self {
            Self::Instance => ("instance", Some("VRRP_INSTANCE"), true),
            Self::Vrid => ("vrid", Some("VRRP_ROUTER_ID"), true),
            Self::From => ("from", Some("VRRP_PREVIOUS_STATE"), false),
            Self::To => ("to", Some("VRRP_STATE"), true),
            Self::Reason => ("reason", Some("VRRP_REASON"), false),
            Self::Priority => ("priority", Some("VRRP_PRIORITY"), false),
            Self::Peer => ("peer", Some("VRRP_PEER"), false),
            Self::Interface => ("interface", Some("VRRP_INTERFACE"), false),
            Self::Missed => ("missed", Some("VRRP_MISSED"), true),
            Self::Silence => ("silence_ms", Some("VRRP_SILENCE_MS"), true),
            Self::Count => ("count", Some("VRRP_COUNT"), false),
            Self::Check => ("check", Some("VRRP_CHECK"), true),
            Self::Verdict => ("verdict", Some("VRRP_VERDICT"), true),
            Self::Group => ("group", Some("VRRP_GROUP"), true),
            Self::Plain(name) => (name, None, false),
        }
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// A number.
    Number(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Record {
    /// Makes a line without fields.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, kind: None, message: message.into(), fields: Vec::new() }
    }

    /// Returns the phrase and `name=value` for each field, without a newline inside: a value with blanks is quoted,
    /// control characters are escaped.
    pub fn text(&self) -> String {
        let mut text = String::new();
        escape(&mut text, &self.message);
        for (key, value) in &self.fields {
            let (name, _, is_in_phrase) = key.names();
            if !is_in_phrase {
                let _ = write!(text, " {name}=");
                quote(&mut text, value);
            }
        }
        text
    }

    /// Returns the text with its level, and with the time when `utc` is given; newline included.
    pub fn to_text_line(&self, utc: Option<Duration>) -> String {
        let level = self.level.name();
        match utc {
            Some(utc) => format!("{} {level:<5} {}\n", rfc3339::format(utc), self.text()),
            None => format!("{level:<5} {}\n", self.text()),
        }
    }

    /// Returns one JSON object with all fields; newline included.
    pub fn to_json_line(&self, utc: Duration) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), rfc3339::format(utc).into());
        object.insert("level".to_owned(), self.level.name().into());
        object.insert("message".to_owned(), self.message.as_str().into());
        if let Some(kind) = self.kind {
            object.insert("message_id".to_owned(), kind.message_id().into());
        }
        for (key, value) in &self.fields {
            let value = match value {
                Value::Text(text) => text.as_str().into(),
                Value::Number(number) => (*number).into(),
            };
            // A diagnostic whose field is named like one of ours does not replace it.
            object.entry(key.names().0).or_insert(value);
        }
        Json::Object(object).to_string() + "\n"
    }

    /// Returns one datagram of journald's native protocol: the text as `MESSAGE`, our fields under their own names.
    pub fn to_journald(&self) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(512);
        field(&mut datagram, "MESSAGE", &self.text());
        field(&mut datagram, "PRIORITY", &self.level.syslog().to_string());
        field(&mut datagram, "SYSLOG_IDENTIFIER", "vrrpd");
        if let Some(kind) = self.kind {
            field(&mut datagram, "MESSAGE_ID", kind.message_id());
        }
        for (key, value) in &self.fields {
            if let (_, Some(name), _) = key.names() {
                field(&mut datagram, name, &value.to_string());
            }
        }
        datagram
    }
}

/// Writes one field: `NAME=value`, or with its length where the value has a newline.
fn field(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

fn quote(text: &mut String, value: &Value) {
    match value {
        Value::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Value::Text(words) if !words.is_empty() && !words.contains([' ', '"', '=', '\\']) => escape(text, words),
        Value::Text(words) => {
            text.push('"');
            for part in words.split_inclusive(['"', '\\']) {
                match part.char_indices().next_back() {
                    Some((at, last @ ('"' | '\\'))) => {
                        escape(text, part.get(..at).unwrap_or_default());
                        text.push('\\');
                        text.push(last);
                    }
                    Some(_) | None => escape(text, part),
                }
            }
            text.push('"');
        }
    }
}

/// Writes text so that it stays on its line and cannot command a terminal.
fn escape(text: &mut String, from: &str) {
    for c in from.chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition() -> Record {
        Record {
            level: Level::Info,
            kind: Some(Kind::Transition),
            message: "VRRP_Instance(web) Entering MASTER STATE".to_owned(),
            fields: vec![
                (Key::Instance, Value::Text("web".to_owned())),
                (Key::From, Value::Text("BACKUP".to_owned())),
                (Key::To, Value::Text("MASTER".to_owned())),
                (Key::Reason, Value::Text("no advertisement for 3.605 s".to_owned())),
                (Key::Priority, Value::Number(101)),
                (Key::Peer, Value::Text("10.0.0.21".to_owned())),
            ],
        }
    }

    const TEXT: &str = "VRRP_Instance(web) Entering MASTER STATE from=BACKUP reason=\"no advertisement for 3.605 s\" \
        priority=101 peer=10.0.0.21";

    #[test]
    fn text_has_the_phrase_then_the_fields_it_lacks() {
        assert_eq!(transition().text(), TEXT);
        assert_eq!(transition().to_text_line(None), format!("INFO  {TEXT}\n"));
        assert_eq!(
            transition().to_text_line(Some(Duration::from_millis(1))),
            format!("1970-01-01T00:00:00.001Z INFO  {TEXT}\n")
        );
    }

    #[test]
    fn json_has_every_field() {
        let json: Json = serde_json::from_str(&transition().to_json_line(Duration::ZERO)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "time": "1970-01-01T00:00:00.000Z", "level": "INFO",
                "message": "VRRP_Instance(web) Entering MASTER STATE", "message_id": Kind::Transition.message_id(),
                "instance": "web", "from": "BACKUP", "to": "MASTER", "reason": "no advertisement for 3.605 s",
                "priority": 101, "peer": "10.0.0.21",
            })
        );
    }

    #[test]
    fn journald_gets_the_text_and_the_fields_under_their_own_names() {
        let datagram = String::from_utf8(transition().to_journald()).unwrap();
        let id = Kind::Transition.message_id();
        assert_eq!(
            datagram,
            format!(
                "MESSAGE={TEXT}\nPRIORITY=6\nSYSLOG_IDENTIFIER=vrrpd\nMESSAGE_ID={id}\nVRRP_INSTANCE=web\n\
                 VRRP_PREVIOUS_STATE=BACKUP\nVRRP_STATE=MASTER\nVRRP_REASON=no advertisement for 3.605 s\n\
                 VRRP_PRIORITY=101\nVRRP_PEER=10.0.0.21\n"
            )
        );
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_a_field() {
        let mut record = Record::new(Level::Warn, "a\nb");
        record.fields = vec![
            (Key::Plain("path"), Value::Text("x y=\"z\" \\ \u{1b}[2J\n".to_owned())),
            (Key::Plain("empty"), Value::Text(String::new())),
            (Key::Instance, Value::Text("n\nMESSAGE=forged".to_owned())),
        ];
        assert_eq!(record.text(), r#"a\nb path="x y=\"z\" \\ \u{1b}[2J\n" empty="""#);
        let datagram = record.to_journald();
        let expected = b"VRRP_INSTANCE\n\x10\0\0\0\0\0\0\0n\nMESSAGE=forged\n";
        assert!(datagram.ends_with(expected), "{}", String::from_utf8_lossy(&datagram));
    }

    #[test]
    fn message_ids_are_ids_and_differ() {
        let mut ids: Vec<&str> = Kind::ALL.iter().map(|kind| kind.message_id()).collect();
        assert!(
            ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        );
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Kind::ALL.len());
    }
}
