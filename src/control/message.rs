//! Requests and replies of the control socket: one JSON object a line, versioned.
//!
//! One stop before: the socket. One stop after: `control::server` in the daemon, `control::client` in the command line.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::changes::Changes;
use super::drain::{DrainReply, DrainRequest, ResumeReply, ResumeRequest};
use super::history::{Cursor, HistoryReply, MAX_ENTRIES};
use super::status::Status;
use super::upgrade::UpgradeReply;

/// The version of the messages. A change that an old reader would misunderstand gets another number.
pub const SCHEMA: u32 = 1;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The whole state; changes nothing.
    Status,
    /// What happened; changes nothing.
    History {
        /// How many entries, the last ones.
        last: usize,
        /// Of which instance; none: of all, and of the daemon.
        instance: Option<String>,
        /// Go on with entries as they come.
        follow: bool,
    },
    /// What came since, as soon as there is something. Not on the wire: what the server asks for a client that follows.
    HistoryAfter {
        /// Since when.
        after: Cursor,
        /// As above.
        instance: Option<String>,
    },
    /// Read the configuration again and go on with it.
    Reload {
        /// Only say what that would change.
        dry_run: bool,
        /// Put the program on disk in the place of this one, too.
        exec: bool,
    },
    /// Give addresses away and stay away.
    Drain(DrainRequest),
    /// Take part again.
    Resume(ResumeRequest),
}

impl Command {
    /// Reads one request line, without its newline.
    ///
    /// **Errors:** all the client's fault. A key that is not known is refused: a command with an option that this
    /// version does not know must not be carried out without it.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let request: Request =
            serde_json::from_slice(line).map_err(|error| RequestError::Malformed(error.to_string()))?;
        if request.schema != SCHEMA {
            return Err(RequestError::Schema(request.schema));
        }
        let mut rest = request.rest;
        let command = match request.command.as_str() {
            "status" => Self::Status,
            "history" => Self::parse_history(&mut rest)?,
            "reload" => Self::Reload { dry_run: take(&mut rest, "dry_run")?, exec: take(&mut rest, "exec")? },
            "drain" => Self::Drain(take_all(&mut rest)?),
            "resume" => Self::Resume(take_all(&mut rest)?),
            _ => return Err(RequestError::UnknownCommand(request.command)),
        };
        match rest.keys().next() {
            Some(key) => Err(RequestError::UnknownKey(key.clone())),
            None => Ok(command),
        }
    }

    fn parse_history(rest: &mut Map<String, Value>) -> Result<Self, RequestError> {
        let last = match rest.remove("last") {
            None => MAX_ENTRIES,
            Some(value) => {
                let number = value.as_u64().ok_or(RequestError::NotNumber("last"))?;
                usize::try_from(number).unwrap_or(MAX_ENTRIES)
            }
        };
        let instance = match rest.remove("instance") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(RequestError::NotText("instance")),
        };
        Ok(Self::History { last, instance, follow: take(rest, "follow")? })
    }

    /// Returns the request line, newline included.
    pub fn to_line(&self) -> String {
        match self {
            Self::History { last, instance, follow } => {
                let instance = Value::from(instance.as_deref());
                let head = format!("{{\"schema\":{SCHEMA},\"command\":\"history\",\"last\":{last}");
                format!("{head},\"instance\":{instance},\"follow\":{follow}}}\n")
            }
            Self::HistoryAfter { .. } => String::new(),
            Self::Status => format!("{{\"schema\":{SCHEMA},\"command\":\"status\"}}\n"),
            Self::Reload { dry_run, exec } => {
                format!("{{\"schema\":{SCHEMA},\"command\":\"reload\",\"dry_run\":{dry_run},\"exec\":{exec}}}\n")
            }
            Self::Drain(request) => line("drain", request),
            Self::Resume(request) => line("resume", request),
        }
    }

    /// Says whether only root may ask for it.
    pub const fn is_change(&self) -> bool {
        match self {
            Self::Status | Self::History { .. } | Self::HistoryAfter { .. } => false,
            Self::Reload { .. } | Self::Drain(_) | Self::Resume(_) => true,
        }
    }
}

/// Takes a key that may be there out of a request; without it: false.
fn take(rest: &mut Map<String, Value>, key: &'static str) -> Result<bool, RequestError> {
    match rest.remove(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err(RequestError::NotBool(key)),
    }
}

/// Takes all keys that are left out of a request.
fn take_all<T: DeserializeOwned>(rest: &mut Map<String, Value>) -> Result<T, RequestError> {
    serde_json::from_value(Value::Object(std::mem::take(rest)))
        .map_err(|error| RequestError::Malformed(error.to_string()))
}

/// Returns a request line with the keys of `rest`.
fn line(command: &str, rest: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T> {
        schema: u32,
        command: &'a str,
        #[serde(flatten)]
        rest: &'a T,
    }
    // Plain values with names for keys: nothing that cannot be written. A daemon would refuse the empty line.
    serde_json::to_string(&Line { schema: SCHEMA, command, rest }).unwrap_or_default() + "\n"
}

/// A request as it is written.
#[derive(Deserialize)]
struct Request {
    schema: u32,
    command: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Why a request line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Not an object with `schema` and `command`.
    Malformed(String),
    /// Another version.
    Schema(u32),
    /// A command that this version does not have.
    UnknownCommand(String),
    /// A key that this version does not have.
    UnknownKey(String),
    /// The value of this key is neither true nor false.
    NotBool(&'static str),
    /// The value of this key is no number from 0 on.
    NotNumber(&'static str),
    /// The value of this key is no text.
    NotText(&'static str),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "request is not understood: {why}"),
            Self::Schema(number) => write!(f, "request has schema {number}, expected {SCHEMA}"),
            Self::UnknownCommand(command) => {
                write!(f, "unknown command {command:?}, expected one of {COMMANDS}")
            }
            Self::UnknownKey(key) => write!(f, "unknown key {key:?} in request, expected \"schema\" and \"command\""),
            Self::NotNumber(key) => write!(f, "{key:?} in request is no number, expected 0 or more"),
            Self::NotText(key) => write!(f, "{key:?} in request is no text, expected text or null"),
            Self::NotBool(key) => write!(f, "{key:?} in request is no boolean, expected true or false"),
        }
    }
}

impl std::error::Error for RequestError {}

/// The commands that there are.
const COMMANDS: &str = "status, history, reload, drain, resume";

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// The whole state.
    Status(Box<Status>),
    /// A program is about to take over.
    Upgrade(UpgradeReply),
    /// What happened.
    History(HistoryReply),
    /// What a reload changed.
    Reload(Reload),
    /// What a drain did.
    Drain(DrainReply),
    /// What a resume did.
    Resume(ResumeReply),
    /// Nothing but the reason.
    Refusal(Refusal),
}

impl Reply {
    /// Makes a refusal.
    pub fn refusal(why: impl Into<String>) -> Self {
        Self::refusal_with(why, Vec::new())
    }

    /// Makes a refusal because of a configuration that has problems.
    pub fn refusal_with(why: impl Into<String>, problems: Vec<String>) -> Self {
        Self::Refusal(Refusal { schema: SCHEMA, error: why.into(), problems })
    }

    /// Makes the reply to a reload.
    pub fn reload(changes: Changes) -> Self {
        Self::Reload(Reload { schema: SCHEMA, reload: changes })
    }

    /// Returns the reply line, newline included.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_else(|error| {
            // All keys are strings and nothing here can fail to be written; a reader still gets a line if that changes.
            format!("{{\"schema\":{SCHEMA},\"error\":{:?}}}", error.to_string()).into_bytes()
        });
        line.push(b'\n');
        line
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`SCHEMA`].
    pub schema: u32,
    /// For a person.
    pub error: String,
    /// What is wrong with the configuration, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The reply to a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What changes.
    pub reload: Changes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;

    #[test]
    fn a_request_survives_the_way_to_the_daemon() {
        let line = Command::Status.to_line();
        assert_eq!(line, "{\"schema\":1,\"command\":\"status\"}\n");
        assert_eq!(Command::parse(line.trim_end().as_bytes()), Ok(Command::Status));
    }

    #[test]
    fn drain_and_resume_survive_the_way_to_the_daemon() {
        let request = DrainRequest {
            instances: vec!["web".into()],
            for_ms: Some(1_800_000),
            reason: Some("new \"disks\"\n".into()),
            force: true,
        };
        let resume = Command::Resume(ResumeRequest { instances: vec!["web".into()] });
        for command in [Command::Drain(request), Command::Drain(DrainRequest::default()), resume] {
            let line = command.to_line();
            assert_eq!(line.find('\n'), Some(line.len() - 1), "one request is one line: {line}");
            assert_eq!(Command::parse(line.trim_end().as_bytes()), Ok(command.clone()));
            assert!(command.is_change());
        }
        let shortest = Command::parse(br#"{"schema":1,"command":"drain"}"#);
        assert_eq!(shortest, Ok(Command::Drain(DrainRequest::default())));
        let mistaken = Command::parse(br#"{"schema":1,"command":"drain","instance":"web"}"#).unwrap_err();
        assert!(mistaken.to_string().contains("unknown field `instance`"), "{mistaken}");
    }

    #[test]
    fn a_request_for_the_history_survives_the_way() {
        for (instance, text) in [(None, "null"), (Some("a \"b\"".to_owned()), r#""a \"b\"""#)] {
            let command = Command::History { last: 7, instance, follow: true };
            let line = command.to_line();
            let head = "{\"schema\":1,\"command\":\"history\",\"last\":7,\"instance\":";
            assert_eq!(line, format!("{head}{text},\"follow\":true}}\n"));
            assert_eq!(Command::parse(line.trim_end().as_bytes()), Ok(command));
        }
        let all = Command::History { last: MAX_ENTRIES, instance: None, follow: false };
        assert_eq!(Command::parse(br#"{"schema":1,"command":"history"}"#), Ok(all));
        for (rest, why) in [
            (r#""last":-1"#, r#""last" in request is no number, expected 0 or more"#),
            (r#""instance":7"#, r#""instance" in request is no text, expected text or null"#),
            (r#""follow":1"#, r#""follow" in request is no boolean, expected true or false"#),
        ] {
            let line = format!(r#"{{"schema":1,"command":"history",{rest}}}"#);
            assert_eq!(Command::parse(line.as_bytes()).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn refused_requests_say_what_was_expected() {
        for (line, why) in [
            (r#"{"schema":2,"command":"status"}"#, "request has schema 2, expected 1"),
            (
                r#"{"schema":1,"command":"explode"}"#,
                r#"unknown command "explode", expected one of status, history, reload, drain, resume"#,
            ),
            (
                r#"{"schema":1,"command":"status","force":true}"#,
                r#"unknown key "force" in request, expected "schema" and "command""#,
            ),
        ] {
            assert_eq!(Command::parse(line.as_bytes()).unwrap_err().to_string(), why);
        }
        for line in ["", "status", "[]", "{}", r#"{"schema":1}"#, "{\"schema\":1,\"command\":\"status\"} x", "\u{0}"] {
            assert!(matches!(Command::parse(line.as_bytes()), Err(RequestError::Malformed(_))), "{line:?}");
        }
    }

    #[test]
    fn the_status_reply_is_the_golden_one() {
        let golden = [
            (samples::pair(), include_str!("../../tests/cli/status.json")),
            (samples::sick(), include_str!("../../tests/cli/status-sick.json")),
        ];
        for (status, expected) in golden {
            let reply = Reply::Status(Box::new(status.clone()));
            let text = serde_json::to_string_pretty(&reply).unwrap() + "\n";
            assert_eq!(text, expected);
            let line = reply.to_line();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1, "one reply is one line");
            assert_eq!(serde_json::from_slice::<Status>(&line).unwrap(), status);
        }
    }
}
