//! `include PATTERN` and its variants: finds the files and reads them in place.
//!
//! Refuses what is no plain file, what is executable, and a file that includes itself. One stop before and after:
//! `expand`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::expand::Expander;
use super::refusal::Refusal;
use super::remark::{Remark, excerpt};
use super::report::Spot;
use crate::config::source::SIZE_LIMIT;

/// What must be true of the files that a pattern names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Check {
    /// Every file found can be read.
    pub readable: bool,
    /// Something is found.
    pub found: bool,
    /// Each pattern with a wildcard finds something.
    pub wildcard: bool,
    /// Each alternative in braces finds something.
    pub brace: bool,
}

impl Check {
    /// Nothing must be true.
    pub const NONE: Self = Self { readable: false, found: false, wildcard: false, brace: false };
    /// All must be true.
    pub const ALL: Self = Self { readable: true, found: true, wildcard: true, brace: true };

    /// Returns what an `include_check` line leaves of it; without words all is asked for.
    pub fn changed(mut self, words: &str) -> Self {
        if words.trim().is_empty() {
            return Self::ALL;
        }
        for word in words.split_whitespace() {
            let (name, truth) = match word.strip_prefix('-') {
                Some(name) => (name, false),
                None => (word.strip_prefix('+').unwrap_or(word), true),
            };
            match name {
                "read" | "readable" => self.readable = truth,
                "match" => self.found = truth,
                "wildcard_match" => self.wildcard = truth,
                "brace_match" => self.brace = truth,
                _ => {}
            }
        }
        self
    }

    /// Returns what either asks for.
    fn or(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            found: self.found || other.found,
            wildcard: self.wildcard || other.wildcard,
            brace: self.brace || other.brace,
        }
    }
}

/// Reads the keyword of an include line; returns what it insists on, and the pattern.
pub(super) fn directive(line: &str) -> Option<(Check, &str)> {
    let (keyword, pattern) = line.split_once(char::is_whitespace)?;
    let check = match keyword {
        "include" => Check::NONE,
        "includer" => Check { readable: true, ..Check::NONE },
        "includem" => Check { found: true, ..Check::NONE },
        "includew" => Check { wildcard: true, ..Check::NONE },
        "includeb" => Check { brace: true, ..Check::NONE },
        "includea" => Check::ALL,
        _ => return None,
    };
    Some((check, pattern.trim().trim_matches('"')))
}

impl Expander<'_> {
    /// Reads every file that the pattern names, in order.
    pub(super) fn include(&mut self, check: Check, pattern: &str, spot: Spot) {
        let check = check.or(self.include_check);
        let alternatives = braces(pattern);
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut missing = None;
        for alternative in &alternatives {
            let found = glob(&self.directory, alternative);
            let is_wild = alternative.contains(['*', '?', '[']);
            if found.is_empty() && ((check.wildcard && is_wild) || (check.brace && alternatives.len() > 1)) {
                missing = Some(alternative.clone());
            }
            paths.extend(found);
        }
        if paths.is_empty() && check.found {
            missing = Some(pattern.to_owned());
        }
        match missing {
            Some(pattern) => self.report.refuse(spot, Refusal::NothingIncluded { pattern: excerpt(&pattern) }),
            None if paths.is_empty() => {
                self.report.remark(spot, Remark::NothingIncluded { pattern: excerpt(pattern) });
            }
            None => {}
        }
        for path in paths {
            self.include_file(&path, check, spot);
        }
    }

    fn include_file(&mut self, path: &Path, check: Check, spot: Spot) {
        if self.open.len() >= DEPTH_MAX || self.report.files() >= FILES_MAX || self.open.iter().any(|open| open == path)
        {
            return self.report.refuse(spot, Refusal::IncludeLoop { path: path.display().to_string() });
        }
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                let path = path.display().to_string();
                return match check.readable {
                    true => self.report.refuse(spot, Refusal::Unreadable { path, why }),
                    false => self.report.remark(spot, Remark::NotIncluded { path, why }),
                };
            }
        };
        let file = self.report.add_file(path.display().to_string());
        let inner = path.parent().map(Path::to_owned).unwrap_or_default();
        let outer = std::mem::replace(&mut self.directory, inner);
        self.open.push(path.to_owned());
        if self.spend(1, bytes.len(), spot) {
            self.read(file, &bytes);
        }
        self.open.pop();
        self.directory = outer;
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        return Err("executable, so it is no configuration; take the x bits off".to_owned());
    }
    read_any(path)
}

/// Reads a plain file, executable or not.
pub(super) fn read_any(path: &Path) -> Result<Vec<u8>, String> {
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a plain file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SIZE_LIMIT { Err("larger than 16 MiB".to_owned()) } else { Ok(bytes) }
}

/// Returns the alternatives of csh braces, `{a,b}`; nested ones too.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        if done.len() + open.len() > ALTERNATIVES_MAX {
            break;
        }
        match innermost(&pattern) {
            Some((before, inner, after)) => {
                open.extend(inner.rsplit(',').map(|choice| format!("{before}{choice}{after}")));
            }
            None if done.contains(&pattern) => {}
            None => done.push(pattern),
        }
    }
    done
}

/// Cuts at the first pair of braces without braces inside.
fn innermost(pattern: &str) -> Option<(&str, &str, &str)> {
    let close = pattern.find('}')?;
    let open = pattern.get(..close)?.rfind('{')?;
    Some((pattern.get(..open)?, pattern.get(open + 1..close)?, pattern.get(close + 1..)?))
}

/// Returns the paths that a pattern names, sorted; a name without wildcard is there or not.
fn glob(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { directory.to_owned() };
    let mut paths = BTreeSet::from([start]);
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = BTreeSet::new();
        for path in &paths {
            if !part.contains(['*', '?', '[']) {
                next.insert(path.join(part));
                continue;
            }
            let Ok(entries) = fs::read_dir(path) else { continue };
            for name in entries.take(ENTRIES_MAX).flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
                if matches(part.as_bytes(), name.as_bytes()) && next.len() < FILES_MAX {
                    next.insert(path.join(name));
                }
            }
        }
        paths = next;
    }
    paths.into_iter().filter(|path| path.exists()).collect()
}

/// Says whether a name fits a pattern of `*`, `?` and `[...]`; a leading dot must be written.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not fit: one byte later.
    let mut retry = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                retry = Some((p + 1, n + 1));
                p += 1;
                continue;
            }
            (Some(_), Some(byte)) => {
                if let Some(length) = one(pattern.get(p..).unwrap_or_default(), *byte) {
                    (p, n) = (p + length, n + 1);
                    continue;
                }
            }
            (_, _) => {}
        }
        match retry {
            Some((after_star, at)) if at <= name.len() => {
                (p, n) = (after_star, at);
                retry = Some((after_star, at + 1));
            }
            _ => return false,
        }
    }
}

/// Fits one byte to the head of a pattern; returns the length of that head.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let is_negated = matches!(pattern.get(1), Some(b'!' | b'^'));
            let start = if is_negated { 2 } else { 1 };
            let Some(close) = pattern.iter().skip(start + 1).position(|byte| *byte == b']').map(|at| at + start + 1)
            else {
                return (byte == b'[').then_some(1);
            };
            let set = pattern.get(start..close).unwrap_or_default();
            let mut is_in = false;
            let mut at = 0;
            while let Some(first) = set.get(at) {
                match (set.get(at + 1), set.get(at + 2)) {
                    (Some(b'-'), Some(last)) => {
                        is_in |= (*first..=*last).contains(&byte);
                        at += 3;
                    }
                    _ => {
                        is_in |= *first == byte;
                        at += 1;
                    }
                }
            }
            (is_in != is_negated).then_some(close + 1)
        }
        other => (*other == byte).then_some(1),
    }
}

const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 1024;
const ALTERNATIVES_MAX: usize = 256;
const ENTRIES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]*", "beta", true),
            ("[!a-c]*", "beta", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("[", "[", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        let stars = "*a".repeat(200);
        assert!(!matches(stars.as_bytes(), "a".repeat(199).as_bytes()));
    }

    #[test]
    fn braces_give_alternatives() {
        assert_eq!(braces("a{b,c}d"), ["abd", "acd"]);
        assert_eq!(braces("{a,b{1,2}}"), ["a", "b1", "b2"]);
        assert_eq!(braces("a{b"), ["a{b"]);
        assert!(braces(&"{a,b}".repeat(100)).len() <= ALTERNATIVES_MAX + 2);
    }

    #[test]
    fn only_include_lines_are_directives() {
        assert_eq!(directive("include /etc/a"), Some((Check::NONE, "/etc/a")));
        assert_eq!(directive("includea \"b c\""), Some((Check::ALL, "b c")));
        assert_eq!(directive("include_check"), None);
        assert_eq!(directive("included x"), None);
    }
}
