//! Points in time as RFC 3339 text in UTC.
//!
//! One stop before: the wall clock as a length of time since 1970. One stop after: status, log lines.

use std::time::Duration;

/// Returns a point in time as RFC 3339 text in UTC with milliseconds, such as `2026-11-22T08:28:03.417Z`.
///
/// `utc`: since 1970-01-01; fractions of a millisecond are cut. Never panics; years have four digits up to 9999 and
/// as many as they need after.
pub fn format(utc: Duration) -> String {
    let seconds = utc.as_secs();
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let second = seconds % SECONDS_PER_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        utc.subsec_millis()
    )
}

/// Reads what [`format()`] writes, with or without a fraction of a second; `None`: it is something else, or before 1970.
pub fn parse(text: &str) -> Option<Duration> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(day, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_fraction = (1..=3).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if year > 9999 || hour > 23 || minute > 59 || second > 59 || !is_fraction {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}").parse().ok()?;
    let days = days(year, month, day)?;
    Some(Duration::from_millis((days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second) * 1000 + millis))
}

/// Reads three numbers of digits alone.
fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let numbers: Option<Vec<u64>> = text.split(separator).map(number).collect();
    numbers?.try_into().ok()
}

/// Returns the day counted from 1970-01-01; `None` where there is no such day, or it is earlier. The reverse of [`date`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year_from_march = if month <= 2 { year.checked_sub(1)? } else { year };
    let month_from_march = if month <= 2 { month + 9 } else { month.checked_sub(3)? };
    let year_of_era = year_from_march % 400;
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (year_from_march / 400 * DAYS_PER_ERA + day_of_era).checked_sub(DAYS_TO_1970)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// Returns year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts years from March, so that the leap day is the last of its year, and in eras of 400 years, which are all of
/// the same length.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
/// Days in 400 Gregorian years.
const DAYS_PER_ERA: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_in_time_are_written_as_date_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_078_012_800, "2004-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (4_107_456_000, "2100-02-28T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for millis in [0, 951_782_400_000, 1_709_164_800_999, 1_795_336_083_417, 253_402_300_799_999] {
            let utc = Duration::from_millis(millis);
            assert_eq!(parse(&format(utc)), Some(utc));
        }
        assert_eq!(parse("1970-01-02T00:00:00Z"), Some(Duration::from_secs(SECONDS_PER_DAY)));
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(Duration::from_millis(500)));
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1969-12-31T23:59:59Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-+1-01T00:00:00Z",
            "99999-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn milliseconds_are_cut_not_rounded() {
        assert_eq!(format(Duration::new(59, 999_999_999)), "1970-01-01T00:00:59.999Z");
        assert_eq!(format(Duration::new(3661, 7_000_000)), "1970-01-01T01:01:01.007Z");
    }

    #[test]
    fn the_end_of_the_clock_does_not_panic() {
        assert!(format(Duration::MAX).ends_with('Z'));
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        for day in 0..DAYS_PER_ERA {
            assert_eq!(date(day), expected, "day {day}");
            let (year, month, of_month) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = if of_month < length {
                (year, month, of_month + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }
}
