//! `vrrpd status --watch`: the text of `vrrpd status` again each second, in place.
//!
//! The alternate screen is not used: the last picture stays where it was when this ends, and so does all that was above
//! it. One stop before: `control::client`, `control::render`. One stop after: the terminal.

use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};

use super::client;
use super::render::{self, Paint};

/// Shows the state of the daemon of `runtime_dir`, or of one `instance`, until the key q or a signal ends it.
///
/// A daemon that is not there is waited for. Returns the exit code: 0 ended by hand; 64 standard output is no terminal, or there
/// is no such instance; 70 the terminal cannot be used.
pub fn run(runtime_dir: &Path, instance: Option<&str>) -> u8 {
    if terminal_size().is_none() {
        eprintln!("vrrpd: --watch needs a terminal; for a file or a program ask again and again for `vrrpd status`");
        return EX_USAGE;
    }
    match watch(runtime_dir, instance) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vrrpd: cannot use the terminal: {error}");
            EX_SOFTWARE
        }
    }
}

fn watch(runtime_dir: &Path, instance: Option<&str>) -> io::Result<u8> {
    let signals = Signals::register()?;
    let mut keys = Keys::open();
    let mut canvas = Canvas::default();
    let mut failures = 0;
    while !signals.is_ended() {
        let text = match client::status(runtime_dir) {
            Ok(mut reply) => {
                failures = 0;
                if instance.is_some_and(|name| !render::narrow(&mut reply.status, name)) {
                    let expected = render::names(&reply.status);
                    drop(keys);
                    eprintln!("vrrpd: no instance {:?}, expected {expected}", instance.unwrap_or_default());
                    return Ok(EX_USAGE);
                }
                render::text(&reply.status, instance.is_some(), Paint::for_stdout())
            }
            Err(error) => {
                failures += 1;
                format!("vrrpd: {error}\nasking again each second, {failures} times so far\n")
            }
        };
        // A terminal that went away is told by a signal.
        let Some(size) = terminal_size() else { return Ok(0) };
        let picture = canvas.draw(&format!("{text}\n{HINT}\n"), size, signals.take_resized());
        io::stdout().lock().write_all(picture.as_bytes())?;
        if keys.wait() {
            break;
        }
        if signals.take_continued() {
            // The shell has set the terminal for itself in between.
            keys.set();
        }
    }
    Ok(0)
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// At least 1.
    pub columns: usize,
    /// At least 1.
    pub rows: usize,
}

/// Returns the size of the terminal that is standard output; `None`: it is none. One that does not know its size has 80
/// columns and 24 rows.
pub fn terminal_size() -> Option<Size> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let known = tcgetwinsize(&stdout).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    Some(known.map_or(Size { columns: 80, rows: 24 }, |size| Size {
        columns: usize::from(size.ws_col),
        rows: usize::from(size.ws_row),
    }))
}

/// Cuts lines and what is below the last row, so that nothing wraps or scrolls; colours take no room.
///
/// The last column stays empty, for a terminal that has written there may be on the next line or not. What does not fit in is
/// counted in the last row.
pub fn fit(text: &str, columns: usize, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let mut out = String::with_capacity(text.len());
    for line in lines.iter().take(shown) {
        cut(&mut out, line, columns.saturating_sub(1));
        out.push('\n');
    }
    if shown < lines.len() {
        let more = format!("... and {} lines more: `vrrpd status INSTANCE` shows one instance", lines.len() - shown);
        cut(&mut out, &more, columns.saturating_sub(1));
        out.push('\n');
    }
    out
}

/// Adds as much of a line as has room, and all of its colours.
fn cut(out: &mut String, line: &str, room: usize) {
    let mut used = 0;
    let mut is_colour = false;
    for c in line.chars() {
        match (is_colour, c) {
            (true, _) => {
                is_colour = c != 'm';
                out.push(c);
            }
            (false, '\x1b') => {
                is_colour = true;
                out.push(c);
            }
            (false, _) => {
                if used < room {
                    out.push(c);
                }
                used += 1;
            }
        }
    }
}

/// What was drawn last.
#[derive(Debug, Default)]
struct Canvas {
    rows: usize,
}

impl Canvas {
    /// Returns what to write so that `text` stands where the last one stood. `is_resized`: the terminal has another size than
    /// at the last time, and may have moved what was on it.
    fn draw(&mut self, text: &str, size: Size, is_resized: bool) -> String {
        // The cursor rests below the last line.
        let text = fit(text, size.columns, size.rows.saturating_sub(1).max(1));
        let mut out = match (self.rows, is_resized) {
            (_, true) => HOME_AND_CLEAR.to_owned(),
            (0, false) => String::new(),
            (rows, false) => format!("\r\x1b[{rows}A"),
        };
        for line in text.lines() {
            out.push_str(line);
            out.push_str(CLEAR_LINE);
            out.push('\n');
        }
        out.push_str(CLEAR_BELOW);
        self.rows = text.lines().count();
        out
    }
}

/// The keys of a terminal, one by one and not shown; set back when dropped.
struct Keys {
    before: Option<Termios>,
    is_over: bool,
}

impl Keys {
    /// Without a terminal as standard input there are no keys.
    fn open() -> Self {
        let stdin = io::stdin();
        let keys = Self { before: stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten(), is_over: false };
        keys.set();
        keys
    }

    fn set(&self) {
        let Some(before) = &self.before else { return };
        let mut wanted = before.clone();
        wanted.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        wanted.special_codes[SpecialCodeIndex::VMIN] = 0;
        wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Refused: q needs Return then.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &wanted);
    }

    /// Waits for a key or a signal, a second at most; says whether the key was q.
    fn wait(&mut self) -> bool {
        let stdin = io::stdin();
        if self.before.is_none() || self.is_over {
            // A signal ends the wait, whatever the result.
            let _ = poll(&mut [], PollTimeout::from(EVERY_MS));
            return false;
        }
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(EVERY_MS)) {
            Ok(count) if count > 0 => {
                let mut keys = [0; 64];
                // Not by the standard library, which would keep for itself what it read beyond.
                match nix::unistd::read(&stdin, &mut keys) {
                    Ok(0) | Err(_) => {
                        self.is_over = true;
                        false
                    }
                    Ok(len) => keys.iter().take(len).any(|key| matches!(key, b'q' | b'Q')),
                }
            }
            Ok(_) | Err(_) => false,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// What signals have said.
struct Signals {
    ended: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let signals = Self { ended: Arc::default(), resized: Arc::default(), continued: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&signals.ended))?;
        }
        signal_hook::flag::register(SIGWINCH, Arc::clone(&signals.resized))?;
        signal_hook::flag::register(SIGCONT, Arc::clone(&signals.continued))?;
        Ok(signals)
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }

    fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::Relaxed)
    }
}

/// Milliseconds between two pictures.
const EVERY_MS: u16 = 1000;
const HINT: &str = "again each second, q ends";

const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

const EX_USAGE: u8 = 64;
const EX_SOFTWARE: u8 = 70;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::sick;

    #[test]
    fn lines_are_cut_before_the_last_column_and_colours_take_no_room() {
        assert_eq!(fit("abcdef\nab\n", 5, 9), "abcd\nab\n");
        assert_eq!(fit("\x1b[1;31mabcdef\x1b[0mgh\n", 5, 9), "\x1b[1;31mabcd\x1b[0m\n", "and the colour ends");
        assert_eq!(fit("äöü\n", 3, 9), "äö\n");
    }

    #[test]
    fn what_does_not_fit_in_is_counted() {
        assert_eq!(fit("1\n2\n3\n", 80, 3), "1\n2\n3\n");
        let text = fit("1\n2\n3\n4\n", 80, 3);
        assert_eq!(text, "1\n2\n... and 2 lines more: `vrrpd status INSTANCE` shows one instance\n");
    }

    #[test]
    fn a_picture_replaces_the_one_before() {
        let size = Size { columns: 80, rows: 24 };
        let mut canvas = Canvas::default();
        assert_eq!(canvas.draw("a\nb\n", size, false), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(canvas.draw("c\n", size, false), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        assert_eq!(canvas.draw("d\n", size, false), "\r\x1b[1Ad\x1b[K\n\x1b[J");
        assert_eq!(canvas.draw("e\n", size, true), "\x1b[H\x1b[2Je\x1b[K\n\x1b[J");
    }

    #[test]
    fn a_small_terminal_gets_no_more_than_it_has() {
        let text = render::text(&sick(), false, Paint::Coloured);
        for (columns, rows) in [(80, 24), (40, 5), (1, 1), (200, 60)] {
            let mut canvas = Canvas::default();
            canvas.draw(&text, Size { columns, rows }, false);
            assert!(canvas.rows < rows.max(2), "{} rows of {rows}", canvas.rows);
        }
    }
}
