//! What the demo writes: 80 columns, coloured on a terminal only.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::now;
use super::lab::Node;

/// Where everything is written; clones write to the same place, whole lines at a time.
#[derive(Clone)]
pub struct Screen {
    is_coloured: bool,
    /// When the scene began.
    since: Arc<Mutex<Duration>>,
}

/// Looks of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// As it is.
    Plain,
    /// A heading.
    Bold,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
}

/// Columns of a terminal that nobody has made wider.
pub const WIDTH: usize = 80;

impl Screen {
    /// Makes a screen on the standard output.
    pub fn new() -> Self {
        let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { is_coloured, since: Arc::new(Mutex::new(now())) }
    }

    /// Begins a scene: event lines count from here.
    pub fn begin(&self, title: &str, explanation: &str) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = now();
        self.say(&format!("\n{}\n{}", self.paint(Look::Bold, title), wrap(explanation, WIDTH - 3, "   ")));
    }

    /// Writes what a daemon wrote: time into the scene, node, text.
    pub fn event(&self, node: Node, line: &str) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now().saturating_sub(since).as_secs_f64();
        let text = wrap(without_stamp(line), WIDTH - EVENT_INDENT.len(), EVENT_INDENT);
        let text = text.strip_prefix(EVENT_INDENT).unwrap_or(&text);
        self.say(&self.paint(Look::Dim, &format!("   {at:6.3} {node} | {text}")));
    }

    /// Writes what came of a scene.
    pub fn outcome(&self, look: Look, text: &str) {
        let text = wrap(text, WIDTH - 6, "      ");
        let text = text.strip_prefix("      ").unwrap_or(&text);
        self.say(&format!("   {} {}", self.paint(look, "=>"), self.paint(look, text)));
    }

    /// Writes a text as it is.
    pub fn say(&self, text: &str) {
        // Who closed the pipe wants no more of this; the exit status still counts.
        let _ = std::io::stdout().lock().write_all(format!("{text}\n").as_bytes());
    }

    /// Returns the text in the colour of a look, or as it is where there is no colour.
    pub fn paint(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Plain => return text.to_owned(),
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Good => "32",
            Look::Bad => "1;31",
        };
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// The width of `   12.345 a | `.
const EVENT_INDENT: &str = "              ";

/// Breaks a text at blanks into lines of at most `width` columns, each after `indent`. A longer word stays whole.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

/// Takes date and level off a log line: the scene has its own time, and `INFO` says nothing.
fn without_stamp(line: &str) -> &str {
    let line = line.trim_start();
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_stamp = first.starts_with(|c: char| c.is_ascii_digit()) && first.contains(':');
    let line = if is_stamp { rest.trim_start() } else { line };
    line.strip_prefix("INFO ").unwrap_or(line).trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_blanks_and_long_words_stay_whole() {
        assert_eq!(wrap("one two  three", 7, "  "), "  one two\n  three");
        assert_eq!(wrap("a incomprehensibilities b", 5, ""), "a\nincomprehensibilities\nb");
        assert_eq!(wrap("", 5, "  "), "");
    }

    #[test]
    fn a_log_line_loses_its_date_but_not_its_warning() {
        assert_eq!(without_stamp("2026-01-01T00:00:00.1Z  INFO went up"), "went up");
        assert_eq!(without_stamp("2026-01-01T00:00:00Z WARN went down"), "WARN went down");
        assert_eq!(without_stamp("10.77.0.1 went away"), "10.77.0.1 went away");
    }
}
