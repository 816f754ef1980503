//! Reads the text of a configuration file and knows its lines.
//!
//! Refuses what is no text and what has no end. One stop before: a path from the command line; one stop after: `schema`.

use std::fmt;
use std::io::{self, Read};

/// The largest file that is read, 16 MiB: 4080 instances need two of them, and `/dev/zero` has an end.
pub const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// A byte offset in the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place(pub usize);

/// A value with the place it is written at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub place: Place,
}

/// The text of one file.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Offset of each line's first byte; never empty, ascending.
    line_starts: Vec<usize>,
}

impl Source {
    /// Makes a source from text; `name` is what stands before the line number in a problem.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), text, line_starts }
    }

    /// Reads an open file to its end.
    ///
    /// **Errors:** all of [`ReadError`]; the operator named the wrong file.
    pub fn read_from(name: impl Into<String>, reader: impl Read) -> Result<Self, ReadError> {
        match String::from_utf8(read_bytes(reader)?) {
            Ok(text) => Ok(Self::from_text(name, text)),
            Err(error) => Err(ReadError::NotText { offset: error.utf8_error().valid_up_to() }),
        }
    }

    /// Returns the name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns line and column of a place, both from 1; the column counts characters.
    ///
    /// A place behind the end is the end. Never panics.
    pub fn position(&self, place: Place) -> (usize, usize) {
        let mut offset = place.0.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        (line, column)
    }
}

/// Reads an open file to its end, whatever it holds.
///
/// **Errors:** [`ReadError::Unreadable`] and [`ReadError::TooLarge`].
pub(super) fn read_bytes(reader: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(ReadError::Unreadable)?;
    if bytes.len() as u64 > SIZE_LIMIT { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

/// Why a file is no text that could be a configuration.
#[derive(Debug)]
pub enum ReadError {
    /// The system refused.
    Unreadable(io::Error),
    /// Longer than 16 MiB.
    TooLarge,
    /// Not UTF-8 from this byte on.
    NotText {
        /// Bytes before it.
        offset: usize,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::TooLarge => {
                write!(f, "larger than {} MiB, which no configuration is; check the path", SIZE_LIMIT / 1024 / 1024)
            }
            Self::NotText { offset } => write!(f, "byte {} is not UTF-8; a configuration is UTF-8 text", offset + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::from_text("f", "a\nüb = 1\n");
        for (offset, position) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (3, (2, 1)), (4, (2, 2)), (10, (3, 1)), (99, (3, 1))]
        {
            assert_eq!(source.position(Place(offset)), position, "offset {offset}");
        }
        assert_eq!(Source::from_text("f", "").position(Place(7)), (1, 1));
    }

    #[test]
    fn a_file_without_end_is_refused() {
        assert!(matches!(Source::read_from("zero", io::repeat(0)), Err(ReadError::TooLarge)));
        let exactly = io::repeat(b' ').take(SIZE_LIMIT);
        assert!(Source::read_from("blank", exactly).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let bytes: &[u8] = b"ab\xff";
        assert!(matches!(Source::read_from("bin", bytes), Err(ReadError::NotText { offset: 2 })));
    }
}
