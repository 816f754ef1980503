//! What a program writes: read, thrown away, and the last line kept.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::unix::pipe::Receiver;

/// The reading end of a program's standard output and error.
pub(super) struct Output {
    /// `None`: everybody has closed it.
    pipe: Option<Receiver>,
    tail: Tail,
}

impl Output {
    /// Takes over the reading end of a pipe.
    pub fn new(pipe: Receiver) -> Self {
        Self { pipe: Some(pipe), tail: Tail::default() }
    }

    /// Reads whatever comes; does not return. Losing the future loses nothing.
    pub async fn swallow(&mut self) {
        self.read_to_end().await;
        std::future::pending().await
    }

    /// Reads what waits, a pipe's worth at most.
    pub fn take_rest(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        if !read_some(pipe, &mut self.tail) {
            self.pipe = None;
        }
    }

    /// Returns the last line that is not blank, printable, at most [`LINE_MAX`] bytes.
    pub fn last_line(&self) -> String {
        self.tail.last_line()
    }

    /// Reads on in the background for whoever still holds the other end, so that writing does not kill them.
    ///
    /// Beyond [`LINGERING_MAX`] of these the pipe is closed.
    pub fn linger(mut self) {
        if self.pipe.is_none() || LINGERING.fetch_add(1, Ordering::Relaxed) >= LINGERING_MAX {
            if self.pipe.is_some() {
                LINGERING.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        let counted = Counted;
        tokio::spawn(async move {
            let _counted = counted;
            self.read_to_end().await;
        });
    }

    async fn read_to_end(&mut self) {
        while let Some(pipe) = &self.pipe {
            if pipe.readable().await.is_err() || !read_some(pipe, &mut self.tail) {
                self.pipe = None;
            }
        }
    }
}

/// Reads what waits, a pipe's worth at most; says whether more may come.
fn read_some(pipe: &Receiver, tail: &mut Tail) -> bool {
    let mut buffer = [0; 8192];
    for _ in 0..8 {
        match pipe.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => tail.feed(buffer.get(..length).unwrap_or_default()),
            Err(error) => return matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
    true
}

/// The last line of a stream of which nothing else is kept.
#[derive(Default)]
struct Tail {
    /// The line that has no end yet, cut.
    open: Vec<u8>,
    /// The last one with an end that is not blank, cut.
    closed: Vec<u8>,
}

impl Tail {
    fn feed(&mut self, bytes: &[u8]) {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.extend(bytes);
            return;
        };
        let (lines, open) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
        let (first, later) = match lines.iter().position(|byte| *byte == b'\n') {
            Some(first_end) => (lines.get(..first_end).unwrap_or_default(), lines.get(first_end + 1..)),
            None => (lines, None),
        };
        self.extend(first);
        let later = later.unwrap_or_default().rsplit(|byte| *byte == b'\n').find(|line| !is_blank(line));
        if let Some(line) = later {
            self.closed = line.get(..KEPT.min(line.len())).unwrap_or_default().to_vec();
        } else if !is_blank(&self.open) {
            self.closed = std::mem::take(&mut self.open);
        }
        self.open.clear();
        self.extend(open);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.open.len());
        self.open.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn last_line(&self) -> String {
        let line = if is_blank(&self.open) { &self.closed } else { &self.open };
        printable(&String::from_utf8_lossy(line))
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Returns text without surrounding blanks, control characters shown as `?`, cut to [`LINE_MAX`] bytes.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        let c = match c {
            '\t' => ' ',
            c if c.is_control() => '?',
            c => c,
        };
        if line.len() + c.len_utf8() > LINE_MAX {
            break;
        }
        line.push(c);
    }
    line
}

/// One of [`LINGERING`].
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pipes that are read for what programs left behind.
static LINGERING: AtomicUsize = AtomicUsize::new(0);
/// How many of these there may be.
const LINGERING_MAX: usize = 32;

/// Bytes of the last line that a caller sees.
const LINE_MAX: usize = 160;
/// Bytes of a line that are kept, leading blanks included.
const KEPT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(chunks: &[&[u8]]) -> String {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.feed(chunk));
        tail.last_line()
    }

    #[test]
    fn the_last_line_that_is_not_blank_is_kept_wherever_chunks_end() {
        let text = b"first\nsecond line\n third \n\n  \n";
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                assert_eq!(tail(&[&text[..cut], &text[cut..second], &text[second..]]), "third", "{cut} {second}");
            }
        }
    }

    #[test]
    fn a_line_without_end_counts() {
        assert_eq!(tail(&[b"one\ntw", b"o"]), "two");
        assert_eq!(tail(&[b"one\ntwo\nth", b"ree"]), "three");
        assert_eq!(tail(&[b"one", b"\n", b"   "]), "one");
        assert_eq!(tail(&[]), "");
    }

    #[test]
    fn a_line_is_cut_at_a_character_and_made_printable() {
        let long = "\u{e4}".repeat(300);
        let line = tail(&[long.as_bytes()]);
        assert_eq!((line.len(), line.chars().count()), (160, 80));
        assert_eq!(tail(&[b"a\x1b[31mb\tc\xff\r\n"]), "a?[31mb c\u{fffd}");
    }

    #[test]
    fn a_stream_without_line_ends_is_not_kept() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.feed(&[b'x'; 8192]);
        }
        assert!(tail.open.capacity() <= 4 * KEPT, "{}", tail.open.capacity());
        assert_eq!(tail.last_line().len(), 160);
    }
}
