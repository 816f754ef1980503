//! What a check connects to, as people write it: URLs, and addresses with a port.
//!
//! Knows no names: who asks DNS waits for it. One stop before: a string of the file; one stop after: `checks`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::address;
use super::error::AddressError;

/// The parts of a URL that a request is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url<'t> {
    /// Host and port as written, for the `Host` header.
    pub authority: &'t str,
    /// The host without brackets; a name or an address.
    pub host: &'t str,
    /// The port; 80 unless one is written.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
}

/// Reads a URL of HTTP.
///
/// **Errors:** the operator wrote something else; see [`TargetError`]. Never panics.
pub(super) fn url(text: &str) -> Result<Url<'_>, TargetError> {
    let (scheme, rest) = text.split_once("://").ok_or(TargetError::Scheme)?;
    if scheme.eq_ignore_ascii_case("https") {
        return Err(TargetError::Tls);
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(TargetError::Scheme);
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if target.contains('#') {
        return Err(TargetError::Fragment);
    }
    if authority.contains('@') {
        return Err(TargetError::Secret);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TargetError::Unprintable);
    }
    let (host, port) = split(authority)?;
    let path = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok(Url { authority, host, port: port.unwrap_or(80), path })
}

impl Url<'_> {
    /// Returns where it leads without asking anybody.
    ///
    /// **Errors:** it names a host, or an address that nobody can be asked at.
    pub fn address(&self) -> Result<SocketAddr, TargetError> {
        Ok(SocketAddr::new(host(self.host)?, self.port))
    }
}

/// Reads an address with a port, such as `127.0.0.1:80` or `[::1]:80`.
pub(super) fn address_and_port(text: &str) -> Result<SocketAddr, TargetError> {
    let (name, port) = split(text)?;
    let address = host(name)?;
    Ok(SocketAddr::new(address, port.ok_or(TargetError::NoPort)?))
}

/// Splits host and port; IPv6 addresses stand in brackets.
pub(super) fn split(text: &str) -> Result<(&str, Option<u16>), TargetError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']').ok_or(TargetError::Brackets)?;
            let port = match rest {
                "" => None,
                _ => Some(rest.strip_prefix(':').ok_or(TargetError::Port)?),
            };
            (host, port)
        }
        None if text.matches(':').count() > 1 => return Err(TargetError::Brackets),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(TargetError::NoHost);
    }
    Ok((host, port.map(self::port).transpose()?))
}

fn port(digits: &str) -> Result<u16, TargetError> {
    // "+80" is a number for `parse`, and a typing error here.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0).ok_or(TargetError::Port)
}

fn host(text: &str) -> Result<IpAddr, TargetError> {
    match address::target(text) {
        Ok(address) => Ok(address),
        Err(AddressError::NotAnAddress) if is_name(text) => Err(TargetError::Name),
        Err(error) => Err(TargetError::Address(error)),
    }
}

/// Says whether a text could be the name of a host, and is no address that went wrong.
pub(super) fn is_name(text: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty()
        && text.len() <= 253
        && text.chars().all(is_fit)
        && text.contains(|c: char| c.is_ascii_alphabetic())
}

/// Why a text is nothing that can be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Another scheme than `http`, or none.
    Scheme,
    /// `https`.
    Tls,
    /// A user or password.
    Secret,
    /// A fragment.
    Fragment,
    /// A blank or a character beyond ASCII.
    Unprintable,
    /// Nothing where the host belongs.
    NoHost,
    /// A name where an address belongs.
    Name,
    /// No port where one belongs.
    NoPort,
    /// A port that is none.
    Port,
    /// An IPv6 address without its brackets.
    Brackets,
    /// An address that nobody can be asked at.
    Address(AddressError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("expected a URL such as \"http://127.0.0.1:8080/health\""),
            Self::Tls => f.write_str(
                "https is not spoken here, since a certificate that expires would move the addresses; ask the port with \
                 `tcp`, or the service with exec = [\"/usr/bin/curl\", \"-fsS\", \"-o\", \"/dev/null\", \"https://...\"]",
            ),
            Self::Secret => f.write_str("expected a URL without user and password; run a program by `exec` for those"),
            Self::Fragment => f.write_str("expected a URL without `#`, which is never sent"),
            Self::Unprintable => f.write_str("expected a URL in ASCII without blanks; write others as %20 and the like"),
            Self::NoHost => f.write_str("the address is missing; expected one such as 127.0.0.1"),
            Self::Name => f.write_str(
                "a check that asks DNS fails when DNS does; expected an address such as 127.0.0.1 or [::1] \
                 (with `http`, the name goes to `host`)",
            ),
            Self::NoPort => f.write_str("the port is missing; expected an address and a port, as in \"127.0.0.1:80\""),
            Self::Port => f.write_str("expected a port from 1 to 65535 after the colon"),
            Self::Brackets => f.write_str("an IPv6 address stands in brackets before a port, as in \"[::1]:80\""),
            Self::Address(error) => error.fmt(f),
        }
    }
}

impl From<AddressError> for TargetError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_what_a_request_is_made_of() {
        for (text, authority, host, port, path) in [
            ("http://127.0.0.1", "127.0.0.1", "127.0.0.1", 80, "/"),
            ("HTTP://127.0.0.1:8080/a?b=c", "127.0.0.1:8080", "127.0.0.1", 8080, "/a?b=c"),
            ("http://[::1]:81?x", "[::1]:81", "::1", 81, "/?x"),
            ("http://[2001:db8::1]/", "[2001:db8::1]", "2001:db8::1", 80, "/"),
            ("http://www.example.org/", "www.example.org", "www.example.org", 80, "/"),
        ] {
            assert_eq!(url(text), Ok(Url { authority, host, port, path: path.to_owned() }), "{text}");
        }
        assert_eq!(url("http://[::1]:81/").unwrap().address(), Ok("[::1]:81".parse().unwrap()));
    }

    #[test]
    fn every_other_url_says_what_is_wrong() {
        for (text, error) in [
            ("127.0.0.1:80", TargetError::Scheme),
            ("ftp://127.0.0.1", TargetError::Scheme),
            ("https://127.0.0.1", TargetError::Tls),
            ("http://u:p@127.0.0.1", TargetError::Secret),
            ("http://127.0.0.1/#x", TargetError::Fragment),
            ("http://127.0.0.1/a b", TargetError::Unprintable),
            ("http://127.0.0.1/\r\nX: y", TargetError::Unprintable),
            ("http:///x", TargetError::NoHost),
            ("http://:80/x", TargetError::NoHost),
            ("http://localhost:80", TargetError::Name),
            ("http://127.0.0.1:0", TargetError::Port),
            ("http://127.0.0.1:65536", TargetError::Port),
            ("http://127.0.0.1:+80", TargetError::Port),
            ("http://127.0.0.1:", TargetError::Port),
            ("http://[::1]80", TargetError::Port),
            ("http://::1/", TargetError::Brackets),
            ("http://[::1/", TargetError::Brackets),
            ("http://127.0.0.300", TargetError::Address(AddressError::NotAnAddress)),
            ("http://0.0.0.0", TargetError::Address(AddressError::Unspecified)),
            ("http://[fe80::1%eth0]", TargetError::Address(AddressError::NeedsInterface)),
        ] {
            assert_eq!(url(text).and_then(|url| url.address()), Err(error), "{text}");
        }
    }

    #[test]
    fn a_port_is_never_guessed() {
        assert_eq!(address_and_port("[::1]:80"), Ok("[::1]:80".parse().unwrap()));
        assert_eq!(address_and_port("127.0.0.1:80"), Ok("127.0.0.1:80".parse().unwrap()));
        for (text, error) in [
            ("127.0.0.1", TargetError::NoPort),
            ("::1", TargetError::Brackets),
            ("localhost:80", TargetError::Name),
            (":80", TargetError::NoHost),
            ("[fe80::1]:80", TargetError::Address(AddressError::NeedsInterface)),
            ("224.0.0.1:80", TargetError::Address(AddressError::Multicast)),
        ] {
            assert_eq!(address_and_port(text), Err(error), "{text}");
        }
    }
}
