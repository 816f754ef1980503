//! The number a file begins with, written as in C.

/// Returns the number a text begins with: blanks, a sign, then `0x` and hexadecimal digits, `0` and octal ones, or decimal ones.
///
/// What follows is left alone; no digits mean 0. `None`: it does not fit in 32 bits.
pub(super) fn parse(text: &[u8]) -> Option<i32> {
    // 0x0b is a blank for C.
    let start = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
    let text = text.get(start..).unwrap_or_default();
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        text => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (16, rest),
        [b'0', ..] => (8, text),
        text => (10, text),
    };
    let digits = digits.iter().map_while(|byte| char::from(*byte).to_digit(radix));
    let value = digits.fold(0_i64, |value, digit| value.saturating_mul(radix.into()).saturating_add(digit.into()));
    i32::try_from(if is_negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        let cases: &[(&str, Option<i32>)] = &[
            ("5\n", Some(5)),
            ("-20", Some(-20)),
            (" \t\n+7 seconds", Some(7)),
            ("0x10", Some(16)),
            ("-0X1fz", Some(-31)),
            ("010", Some(8)),
            ("08", Some(0)),
            ("0x", Some(0)),
            ("0xg", Some(0)),
            ("", Some(0)),
            ("no", Some(0)),
            ("- 5", Some(0)),
            ("12abc", Some(12)),
            ("1.9", Some(1)),
            ("2147483647", Some(i32::MAX)),
            ("-2147483648", Some(i32::MIN)),
            ("2147483648", None),
            ("-2147483649", None),
            ("99999999999999999999999999", None),
            ("0xffffffff", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text.as_bytes()), *value, "{text:?}");
        }
    }
}
