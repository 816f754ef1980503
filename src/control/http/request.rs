//! From the path of a request to what is asked.

use super::Question;

/// Why a path asks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// There is no such page.
    Path,
    /// A name that is badly encoded.
    Name,
}

/// Reads a path without its query.
pub(super) fn question(path: &str) -> Result<Question, Unfit> {
    match path {
        "/metrics" => Ok(Question::Metrics),
        "/healthz" => Ok(Question::Health),
        _ => match path.strip_prefix("/master/") {
            None | Some("") => Err(Unfit::Path),
            // No instance has a slash in its name.
            Some(name) if name.contains('/') => Err(Unfit::Path),
            Some(name) => decoded(name).map(Question::Master).ok_or(Unfit::Name),
        },
    }
}

/// Undoes `%XX`. RFC 3986 section 2.1.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = digits else { return None };
        bytes.push(digit(high)? * 16 + digit(low)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_of_three_pages_or_nothing() {
        let master = |name: &str| Ok(Question::Master(name.to_owned()));
        for (path, asked) in [
            ("/metrics", Ok(Question::Metrics)),
            ("/healthz", Ok(Question::Health)),
            ("/master/web", master("web")),
            ("/master/w%65b", master("web")),
            ("/master/%C3%A4%2F", master("ä/")),
            ("/master/%C3", Err(Unfit::Name)),
            ("/master/%4", Err(Unfit::Name)),
            ("/master/%zz", Err(Unfit::Name)),
            ("/master/%+1", Err(Unfit::Name)),
            ("/master/", Err(Unfit::Path)),
            ("/master", Err(Unfit::Path)),
            ("/master/web/x", Err(Unfit::Path)),
            ("/metrics/", Err(Unfit::Path)),
            ("/", Err(Unfit::Path)),
        ] {
            assert_eq!(question(path), asked, "{path}");
        }
    }
}
