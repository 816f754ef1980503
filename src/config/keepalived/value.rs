//! Single values as Keepalived writes them: numbers, lengths of time, switches, addresses.
//!
//! A value that Keepalived would not take is reported with what holds instead. One stop before: a node of the tree; one
//! stop after: the readers of the blocks.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::remark::{Remark, excerpt};
use super::report::{At, Report, Spot};
use super::tree::Node;

/// Reads a whole number in a range; `instead` says what holds when it is none.
///
/// What follows the digits is ignored with a warning, as Keepalived does when it runs.
pub(super) fn number(
    node: &Node,
    range: RangeInclusive<i64>,
    instead: &'static str,
    report: &mut Report,
) -> Option<At<i64>> {
    let word = node.word(0)?;
    let expected = || format!("a number from {} to {}", range.start(), range.end());
    let read = |text: &str| text.parse::<i64>().ok().filter(|number| range.contains(number));
    let head = leading(&word.value, |c| c.is_ascii_digit());
    match read(&word.value).or_else(|| read(head)) {
        Some(value) => {
            tell_tail(node, head.len(), expected, report);
            Some(At { value, spot: word.spot })
        }
        None => unfit(&node.keyword, word, expected(), instead, report),
    }
}

/// Reads seconds with up to six decimals; otherwise as [`number`].
pub(super) fn seconds(
    node: &Node,
    range: RangeInclusive<Duration>,
    instead: &'static str,
    report: &mut Report,
) -> Option<At<Duration>> {
    let word = node.word(0)?;
    let expected = || format!("seconds from {} to {}", range.start().as_secs_f64(), range.end().as_secs_f64());
    let head = leading(&word.value, |c| c.is_ascii_digit() || c == '.');
    match decimal(head).filter(|length| range.contains(length)) {
        Some(value) => {
            tell_tail(node, head.len(), expected, report);
            Some(At { value, spot: word.spot })
        }
        None => unfit(&node.keyword, word, expected(), instead, report),
    }
}

/// Returns the sign and the characters that a number has.
fn leading(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let sign = usize::from(text.starts_with('-'));
    let end = text.char_indices().skip(sign).find(|(_, c)| !is_part(*c)).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

/// Reports what follows the number that begins a word.
fn tell_tail(node: &Node, len: usize, expected: impl Fn() -> String, report: &mut Report) {
    if let Some(word) = node.word(0).filter(|word| word.value.len() > len) {
        unfit::<()>(
            &node.keyword,
            word,
            expected(),
            "the digits in front are taken, as by Keepalived when it runs",
            report,
        );
    }
}

/// Reads `1` or `0.25`, exact to the microsecond; further digits are cut.
pub(super) fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.len() > 10 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'));
    Some(Duration::from_micros(whole * 1_000_000 + micros))
}

/// Reads a switch; alone it is on.
pub(super) fn switch(node: &Node, report: &mut Report) -> bool {
    match node.word(0) {
        None => true,
        Some(word) => match truth(&word.value) {
            Some(truth) => truth,
            None => {
                let expected = "on, off, true, false, yes or no, in small letters".to_owned();
                unfit::<()>(&node.keyword, word, expected, "taken for on", report);
                true
            }
        },
    }
}

/// Reads the words that mean yes or no.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// Reads the address of a host.
pub(super) fn host(word: At<&str>, keyword: &str, instead: &'static str, report: &mut Report) -> Option<IpAddr> {
    let address = address(word.value).filter(|address| is_host(*address));
    if address.is_none() {
        let word = At { value: word.value.to_owned(), spot: word.spot };
        return unfit(keyword, &word, "the address of a host".to_owned(), instead, report);
    }
    address
}

/// Reads any address.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let is_mapped = matches!(address, IpAddr::V6(v6) if Ipv6Addr::to_ipv4_mapped(&v6).is_some());
    (!is_mapped).then_some(address)
}

/// Says whether an address can belong to one host that others reach.
pub(super) fn is_host(address: IpAddr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || matches!(address, IpAddr::V4(v4) if v4.is_broadcast()))
}

/// Says whether a text can be the name of an interface.
pub(super) fn is_interface(name: &str) -> bool {
    crate::config::resolve::is_plain(name, 15) && !name.contains(['/', ':']) && name != "." && name != ".."
}

/// Makes a name that an instance, a check or a group can have: 1 to 64 bytes without blanks and slashes, not taken.
pub(super) fn unique_name(written: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    let mut name: String = written.chars().map(|c| if is_odd(c) { '_' } else { c }).collect();
    while name.len() > NAME_MAX {
        name.pop();
    }
    let mut numbers = 2..;
    let mut found = name.clone();
    while found.is_empty() || is_taken(&found) {
        let ending = format!("_{}", numbers.next().unwrap_or(0_u64));
        while name.len() + ending.len() > NAME_MAX {
            name.pop();
        }
        found = format!("{name}{ending}");
    }
    found
}

const NAME_MAX: usize = 64;

/// Reports a value that is not taken; returns `None` for the caller to return.
pub(super) fn unfit<T>(
    keyword: &str,
    word: &At<String>,
    expected: String,
    instead: &'static str,
    report: &mut Report,
) -> Option<T> {
    let remark = Remark::Value {
        keyword: keyword.to_owned(),
        found: excerpt(&word.value),
        expected,
        instead: instead.to_owned(),
    };
    report.remark(word.spot, remark);
    None
}

/// Reports the words behind the ones that a keyword takes.
pub(super) fn no_more_words(node: &Node, taken: usize, report: &mut Report) {
    if let Some(word) = node.word(taken) {
        let words: Vec<_> = node.words.iter().skip(taken).map(|word| word.value.as_str()).collect();
        let remark = Remark::ExtraWords { keyword: node.keyword.clone(), words: excerpt(&words.join(" ")) };
        report.remark(word.spot, remark);
    }
}

/// Reports the words behind the ones that a keyword takes, and does not show them: they may be a password or key.
pub(super) fn no_secret_words(node: &Node, taken: usize, report: &mut Report) {
    if let Some(word) = node.word(taken) {
        let words = "(not shown)".to_owned();
        report.remark(word.spot, Remark::ExtraWords { keyword: node.keyword.clone(), words });
    }
}

/// A weight as a tracker has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weight {
    /// What is added or taken away; 0: failing makes the instance ineligible.
    pub value: i16,
    /// Up and down change places.
    pub is_reversed: bool,
}

/// Reads `NUMBER [reverse|noreverse]` from the words `at` and on.
pub(super) fn weight(
    keyword: &str,
    words: &[At<String>],
    range: RangeInclusive<i64>,
    report: &mut Report,
) -> Option<Weight> {
    let word = words.first()?;
    let Some(value) = word.value.parse::<i64>().ok().and_then(|value| i16::try_from(value).ok()) else {
        return unfit(
            keyword,
            word,
            format!("a number from {} to {}", range.start(), range.end()),
            "0 is taken",
            report,
        );
    };
    let (least, most) = (*range.start() as i16, *range.end() as i16);
    let clamped = value.clamp(least, most);
    if clamped != value {
        unfit::<()>(keyword, word, format!("a number from {least} to {most}"), "the nearest is taken", report);
    }
    let is_reversed = words.get(1).is_some_and(|word| word.value == "reverse");
    if let Some(word) = words.get(1).filter(|word| !matches!(word.value.as_str(), "reverse" | "noreverse")) {
        unfit::<()>(keyword, word, "`reverse` or nothing".to_owned(), "ignored", report);
    }
    Some(Weight { value: clamped, is_reversed })
}

/// Returns the place of a node's first value, or of the keyword.
pub(super) fn value_spot(node: &Node) -> Spot {
    node.word(0).map_or(node.spot, |word| word.spot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        for (text, micros) in [("1", Some(1_000_000)), ("0.25", Some(250_000)), ("3.", Some(3_000_000))] {
            assert_eq!(decimal(text), micros.map(Duration::from_micros), "{text}");
        }
        assert_eq!(decimal("0.0000019"), Some(Duration::from_micros(1)));
        for text in ["", ".", ".5", "x", "1s", "-1", "1.2.3", "+1", "1e3", "99999999999"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
