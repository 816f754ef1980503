//! The effective priority as a sum in words: `100 - 20 (apache failing: HTTP 503)`.
//!
//! One stop before: `engine::snapshot`. One stop after: `control::render` and the journal.

use std::fmt::Write as _;

/// What one check adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summand<'a> {
    /// Its name.
    pub check: &'a str,
    /// What it adds, before the sum is limited.
    pub contribution: i32,
    /// What it says: `failing`.
    pub verdict: String,
    /// The words of its last run; may be empty.
    pub words: &'a str,
}

/// Writes the sum that makes an effective priority; checks that add nothing are left out.
///
/// The words of a check stand there if it is the only one, and are cut so that the sum fits a line.
pub fn sum<'a>(configured: u8, effective: u8, summands: impl Iterator<Item = Summand<'a>>) -> String {
    let summands: Vec<Summand<'a>> = summands.filter(|summand| summand.contribution != 0).collect();
    let mut sum = configured.to_string();
    let mut total = i64::from(configured);
    for summand in &summands {
        total += i64::from(summand.contribution);
        let sign = if summand.contribution < 0 { '-' } else { '+' };
        let _ = write!(sum, " {sign} {} ({} {}", summand.contribution.unsigned_abs(), summand.check, summand.verdict);
        if summands.len() == 1 && !summand.words.is_empty() {
            let _ = write!(sum, ": {}", cut(summand.words));
        }
        sum.push(')');
    }
    match effective {
        1 if total < 1 => sum + ", at least 1",
        254 if total > 254 => sum + ", at most 254",
        _ => sum,
    }
}

/// Cuts words to a length that leaves room for the rest of the line.
fn cut(words: &str) -> String {
    if words.chars().count() <= MAX_WORDS {
        return words.to_owned();
    }
    let head: String = words.chars().take(MAX_WORDS - 3).collect();
    head.trim_end().to_owned() + "..."
}

/// Characters of a check's words in a sum.
const MAX_WORDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn summand(check: &'static str, contribution: i32, words: &'static str) -> Summand<'static> {
        Summand {
            check,
            contribution,
            verdict: (if contribution < 0 { "failing" } else { "passing" }).to_owned(),
            words,
        }
    }

    #[test]
    fn a_sum_names_what_adds_to_it() {
        for (configured, effective, summands, expected) in [
            (100, 100, vec![], "100"),
            (100, 100, vec![summand("apache", 0, "HTTP 200")], "100"),
            (100, 80, vec![summand("apache", -20, "HTTP 503")], "100 - 20 (apache failing: HTTP 503)"),
            (
                100,
                85,
                vec![summand("apache", -20, "HTTP 503"), summand("uplink", 5, "up")],
                "100 - 20 (apache failing) + 5 (uplink passing)",
            ),
            (10, 1, vec![summand("apache", -20, "")], "10 - 20 (apache failing), at least 1"),
            (250, 254, vec![summand("apache", 20, "")], "250 + 20 (apache passing), at most 254"),
            (
                100,
                80,
                vec![summand("apache", -20, "a very long story about a server that went away")],
                "100 - 20 (apache failing: a very long story about a ser...)",
            ),
        ] {
            assert_eq!(sum(configured, effective, summands.into_iter()), expected);
        }
    }
}
