//! Lengths of time as people write them: a number and a unit.
//!
//! One stop before: a string of the file; one stop after: the range check in `resolve`.

use std::fmt;
use std::time::Duration;

/// Reads `10ms`, `1s`, `1.5s`, `2m` or `1h`, exact to the nanosecond.
///
/// **Errors:** the operator wrote something else; see [`DurationError`]. Never panics.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::NoNumber);
    }
    let unit_nanos: u64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        "" => return Err(DurationError::NoUnit),
        _ => return Err(DurationError::UnknownUnit),
    };
    let whole: u64 = whole.parse().map_err(|_| DurationError::TooLong)?;
    let fraction = fraction.trim_end_matches('0');
    let digits = u32::try_from(fraction.len()).map_err(|_| DurationError::TooFine)?;
    let divisor = 10u64.checked_pow(digits).ok_or(DurationError::TooFine)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| DurationError::TooFine)? };
    let fraction_nanos = u128::from(fraction) * u128::from(unit_nanos);
    if fraction_nanos % u128::from(divisor) != 0 {
        return Err(DurationError::TooFine);
    }
    let fraction_nanos = u64::try_from(fraction_nanos / u128::from(divisor)).map_err(|_| DurationError::TooFine)?;
    whole
        .checked_mul(unit_nanos)
        .and_then(|nanos| nanos.checked_add(fraction_nanos))
        .map(Duration::from_nanos)
        .ok_or(DurationError::TooLong)
}

/// Why a text is no length of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DurationError {
    /// It does not begin with a number.
    NoNumber,
    /// The number stands alone.
    NoUnit,
    /// What follows the number is none of `ms`, `s`, `m`, `h`.
    UnknownUnit,
    /// It has parts of a nanosecond.
    TooFine,
    /// Beyond 584 years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "expected a number and a unit, such as \"500ms\" or \"1.5s\"",
            Self::NoUnit => "the unit is missing; expected one of ms, s, m, h, as in \"1s\"",
            Self::UnknownUnit => "unknown unit; expected one of ms, s, m, h directly after the number, as in \"1s\"",
            Self::TooFine => "finer than a nanosecond",
            Self::TooLong => "too long",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_fraction_is_exact() {
        for (text, nanos) in [
            ("10ms", 10_000_000),
            ("0.5ms", 500_000),
            ("1s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            ("40.950s", 40_950_000_000),
            ("2m", 120_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("0s", 0),
            ("1.0000000000000000000000000000000s", 1_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        for (text, error) in [
            ("", DurationError::NoNumber),
            ("s", DurationError::NoNumber),
            (".5s", DurationError::NoNumber),
            ("5.s", DurationError::NoNumber),
            ("1.2.3s", DurationError::NoNumber),
            ("-1s", DurationError::NoNumber),
            ("1", DurationError::NoUnit),
            ("1 s", DurationError::UnknownUnit),
            ("1S", DurationError::UnknownUnit),
            ("1us", DurationError::UnknownUnit),
            ("1s ", DurationError::UnknownUnit),
            ("0.0000001ms", DurationError::TooFine),
            ("0.00000000000000000000000000001h", DurationError::TooFine),
            ("99999999999999999999s", DurationError::TooLong),
            ("9999999999999999h", DurationError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
