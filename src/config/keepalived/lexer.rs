//! Bytes to lines without comments, and lines to words.
//!
//! Knows quotes, comments and braces, and no keyword. There are two ways to split a line: that of ordinary keywords and
//! the shell-like one of commands. One stop before: a file; one stop after: `expand`.

use std::borrow::Cow;

/// The longest line that is read, in bytes; Keepalived ignores longer ones, and so does this.
pub(super) const LINE_MAX: usize = 1023;

/// One line of a file, outer blanks and comment cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    /// What is left; may be empty.
    pub text: String,
    /// Column of its first character, from 1.
    pub column: u32,
    /// What stood behind `#` or `!`, without outer blanks.
    pub comment: Option<String>,
    /// There were bytes that are no UTF-8 outside the comment.
    pub is_garbled: bool,
    /// A quote is open at the end.
    pub has_open_quote: bool,
}

/// Why a line is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFault {
    /// Longer than [`LINE_MAX`].
    Long,
    /// With a NUL byte.
    Nul,
}

/// Cuts comment and outer blanks off a line.
///
/// A comment begins anywhere but in double quotes or behind a backslash. **Errors:** see [`LineFault`]. Never panics.
pub(super) fn strip(line: &[u8]) -> Result<Stripped, LineFault> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > LINE_MAX {
        return Err(LineFault::Long);
    }
    if line.contains(&0) {
        return Err(LineFault::Nul);
    }
    let line = String::from_utf8_lossy(line);
    let is_lossy = matches!(line, Cow::Owned(_));
    let mut text = String::with_capacity(line.len());
    let mut comment = None;
    let mut is_quoted = false;
    let mut rest = line.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if !is_quoted => {
                if let Some((_, mark @ ('#' | '!'))) = rest.peek() {
                    text.push(*mark);
                    rest.next();
                    continue;
                }
            }
            '#' | '!' if !is_quoted => {
                comment = line.get(at + 1..).map(|comment| comment.trim().to_owned());
                break;
            }
            _ => {}
        }
        text.push(c);
    }
    let column = 1 + text.chars().take_while(|c| c.is_whitespace()).count();
    let text = text.trim().to_owned();
    let is_garbled = is_lossy && text.contains(char::REPLACEMENT_CHARACTER);
    let column = u32::try_from(column).unwrap_or(u32::MAX);
    Ok(Stripped { text, column, comment, is_garbled, has_open_quote: is_quoted })
}

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Without its quotes.
    pub text: String,
    /// Characters of the line before it.
    pub offset: u32,
}

/// Splits at blanks; a double quote begins a word that ends at the next one, wherever it stands.
pub(super) fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut is_quoted = false;
    for (offset, c) in line.chars().enumerate() {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        if c == '"' {
            words.extend(word.take());
            if !is_quoted {
                word = Some(Word { text: String::new(), offset });
            }
            is_quoted = !is_quoted;
        } else if !is_quoted && c.is_whitespace() {
            words.extend(word.take());
        } else {
            word.get_or_insert_with(|| Word { text: String::new(), offset }).text.push(c);
        }
    }
    words.extend(word);
    words
}

/// Splits like a shell: quotes of either kind stand anywhere in a word and are joined to it; no escapes.
pub(super) fn script_words(line: &str) -> Vec<String> {
    split_like_shell(line, false)
}

/// Splits the command itself like a shell, escapes such as `\n`, `\101`, `\x41` and `\cA` included.
pub(super) fn command_words(command: &str) -> Vec<String> {
    split_like_shell(command, true)
}

fn split_like_shell(line: &str, has_escapes: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', _) if has_escapes => rest = escape(rest, word.get_or_insert_default()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect()
}

/// Writes what the escape behind a backslash stands for; returns what follows it.
fn escape<'t>(rest: &'t str, word: &mut Vec<u8>) -> &'t str {
    let Some(c) = rest.chars().next() else { return rest };
    let after = rest.get(c.len_utf8()..).unwrap_or_default();
    let digits = |text: &'t str, radix: u32, most: usize| {
        let count = text.bytes().take(most).take_while(|digit| char::from(*digit).is_digit(radix)).count();
        let (digits, after) = text.split_at(count);
        // At most three octal digits; only the low byte counts, as in C.
        (u32::from_str_radix(digits, radix).ok().map(|number| number.to_le_bytes()[0]), after)
    };
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '0'..='7' => {
            let (byte, after) = digits(rest, 8, 3);
            word.extend(byte);
            return after;
        }
        'x' => {
            let (byte, after) = digits(after, 16, 2);
            word.push(byte.unwrap_or(b'x'));
            return after;
        }
        'c' => {
            let Some(letter) = after.chars().next() else { return after };
            word.push(letter.to_ascii_uppercase().encode_utf8(&mut [0; 4]).as_bytes()[0] & 0x1f);
            return after.get(letter.len_utf8()..).unwrap_or_default();
        }
        other => {
            word.extend(other.encode_utf8(&mut [0; 4]).as_bytes());
            return after;
        }
    };
    word.push(simple);
    after
}

/// A part of a line between braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Words; never blank.
    Text {
        /// Without outer blanks.
        text: &'t str,
        /// Characters of the line before it.
        offset: u32,
    },
    /// `{`
    Open(u32),
    /// `}`
    Close(u32),
}

/// Cuts a line at the braces that stand outside double quotes.
pub(super) fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut is_quoted = false;
    let mut start = (0, 0);
    let text = |from: (usize, u32), to: usize| {
        let text = line.get(from.0..to).unwrap_or_default();
        let blanks = text.chars().take_while(|c| c.is_whitespace()).count();
        let offset = from.1.saturating_add(u32::try_from(blanks).unwrap_or(u32::MAX));
        let text = text.trim();
        (!text.is_empty()).then_some(Piece::Text { text, offset })
    };
    for (offset, (at, c)) in line.char_indices().enumerate() {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        match c {
            '"' => is_quoted = !is_quoted,
            '{' | '}' if !is_quoted => {
                pieces.extend(text(start, at));
                pieces.push(if c == '{' { Piece::Open(offset) } else { Piece::Close(offset) });
                start = (at + 1, offset.saturating_add(1));
            }
            _ => {}
        }
    }
    pieces.extend(text(start, line.len()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> Vec<String> {
        words(line).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_end_lines_but_not_in_quotes_or_behind_a_backslash() {
        for (line, text, comment) in [
            ("  priority 100 # high", "priority 100", Some("high")),
            ("! all", "", Some("all")),
            ("auth_pass \"a#b!\" !c", "auth_pass \"a#b!\"", Some("c")),
            ("auth_pass a\\#b\\!c", "auth_pass a#b!c", None),
            ("script 'a # b'", "script 'a", Some("b'")),
            ("a\\b", "a\\b", None),
            ("x\r", "x", None),
        ] {
            let stripped = strip(line.as_bytes()).unwrap();
            assert_eq!((stripped.text.as_str(), stripped.comment.as_deref()), (text, comment), "{line}");
        }
        assert_eq!(strip(b"\t  x").unwrap().column, 4);
        assert!(strip(b"x \"y").unwrap().has_open_quote);
    }

    #[test]
    fn lines_that_keepalived_ignores_are_faults() {
        assert_eq!(strip(&[b'x'; LINE_MAX + 1]), Err(LineFault::Long));
        assert!(strip(&[b'x'; LINE_MAX]).is_ok());
        assert_eq!(strip(b"a\0b"), Err(LineFault::Nul));
        assert!(!strip(b"x # \xe9").unwrap().is_garbled);
        assert!(strip(b"x\xe9").unwrap().is_garbled);
    }

    #[test]
    fn ordinary_words_know_double_quotes_alone() {
        assert_eq!(plain("a \"b c\" d"), ["a", "b c", "d"]);
        assert_eq!(plain("a'b c'"), ["a'b", "c'"]);
        assert_eq!(plain("ab\"c d\"e"), ["ab", "c d", "e"]);
        assert_eq!(plain("a \"\""), ["a", ""]);
        assert_eq!(plain(" \t"), [""; 0]);
        assert_eq!(words("ä  bc")[1], Word { text: "bc".into(), offset: 3 });
    }

    #[test]
    fn commands_are_split_like_a_shell_twice() {
        assert_eq!(script_words("\"/bin/a 'b c'\" root"), ["/bin/a 'b c'", "root"]);
        assert_eq!(script_words("ab\"c d\"e 'f'"), ["abc de", "f"]);
        assert_eq!(script_words("\"a\\n\""), ["a\\n"]);
        assert_eq!(command_words("/bin/a 'b c' d\\ e"), ["/bin/a", "b c", "d e"]);
        assert_eq!(command_words("\\x41\\101\\cA\\t\\q\\x"), ["AA\u{1}\tqx"]);
        assert_eq!(command_words("a \\"), ["a", ""]);
        assert_eq!(command_words("''"), [""]);
    }

    #[test]
    fn braces_cut_lines_outside_quotes() {
        let text = |text, offset| Piece::Text { text, offset };
        assert_eq!(pieces("a b{ c }d"), [text("a b", 0), Piece::Open(3), text("c", 5), Piece::Close(7), text("d", 8)]);
        assert_eq!(pieces("x \"{}\""), [text("x \"{}\"", 0)]);
        assert_eq!(pieces("{}"), [Piece::Open(0), Piece::Close(1)]);
        assert!(pieces("   ").is_empty());
    }
}
