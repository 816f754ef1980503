//! "Did you mean": the closest known word.
//!
//! One stop before: a word nobody knows (`table`, `resolve`); one stop after: the text of the problem.

/// Returns the candidate that a mistyped word most likely stands for; `None` when none is close.
///
/// Close means at most one edit for each three letters, and at least one; ties go to the first candidate. Upper and
/// lower case, `-` and `_` count as equal.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.chars().map(fold).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.chars().map(fold).collect::<Vec<_>>()), candidate))
        .filter(|(edits, candidate)| *edits <= allowed && *edits < candidate.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Counts insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0; width * (a.len() + 1)];
    let at = |i: usize, j: usize| i * width + j;
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            // Indices stay inside: i <= a.len() and j <= b.len(), and each `- 1` follows a test for 0.
            rows[at(i, j)] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[at(i - 1, j - 1)] + usize::from(a[i - 1] != b[j - 1]);
                let edited = rows[at(i - 1, j)].min(rows[at(i, j - 1)]) + 1;
                let swapped = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    rows[at(i - 2, j - 2)] + 1
                } else {
                    usize::MAX
                };
                replaced.min(edited).min(swapped)
            };
        }
    }
    rows[at(a.len(), b.len())]
}

/// Makes letters equal that people mix up.
fn fold(letter: char) -> char {
    if letter == '-' { '_' } else { letter.to_ascii_lowercase() }
}

/// Longer words are no typing errors; bounds the work too.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_found_and_distant_ones_are_not() {
        let keys = ["interface", "priority", "preempt", "peers", "node"];
        for (word, meant) in [
            ("interfaec", Some("interface")),
            ("Priority", Some("priority")),
            ("prempt", Some("preempt")),
            ("nodes", Some("node")),
            ("peer", Some("peers")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(word, keys), meant, "{word}");
        }
        assert_eq!(closest(&"p".repeat(10_000), keys), None);
    }

    #[test]
    fn distance_counts_a_swap_as_one_edit() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, edits) in [("", "", 0), ("abc", "", 3), ("abcd", "abdc", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(&chars(a), &chars(b)), edits, "{a} {b}");
        }
    }
}
