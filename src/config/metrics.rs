//! `[daemon] metrics`: where metrics and health are asked for.
//!
//! One stop before: `schema`; one stop after: `placement`, from where the daemon takes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::address;
use super::checks::SOCKET_MAX;
use super::endpoint::{is_name, split};
use super::error::{AddressError, Doubt, TargetError, ValueError, excerpt};
use super::hooks::path;
use super::problem::Report;
use super::resolve::Draft;
use super::source::Written;
use super::table::Key;
use crate::engine::params::Endpoint;

/// Reads the key; absent means nowhere.
///
/// `runtime_dir`: `None` when that is wrong itself.
pub(super) fn endpoint(
    written: &Key<&str>,
    runtime_dir: Option<&Path>,
    report: &mut Report<'_>,
) -> Option<Option<Endpoint>> {
    let endpoint = written.and_then(|text| {
        let wrong = |error| ValueError::Listen { key: KEY, found: excerpt(text.value), error };
        let Some(socket) = text.value.strip_prefix("unix:") else {
            return match inet(text.value) {
                Ok(address) => Some(Endpoint::Inet(address)),
                Err(error) => {
                    report.error(text.place, wrong(error));
                    None
                }
            };
        };
        let socket = path(KEY, &Written { value: socket, place: text.place }, SOCKET_MAX, report)?;
        if runtime_dir.is_some() && socket.parent() == runtime_dir && OWN.iter().any(|own| socket.ends_with(own)) {
            report.error(text.place, wrong(ListenError::Own));
            return None;
        }
        Some(Endpoint::Unix(socket))
    });
    endpoint.optional()
}

/// Warns of an address that is here only sometimes.
pub(super) fn check(written: &Key<&str>, drafts: &[Draft], report: &mut Report<'_>) {
    let Some(text) = written.here() else { return };
    let Ok(listening) = inet(text.value) else { return };
    let moving = |draft: &&Draft| draft.vips.list.iter().any(|vip| vip.value.address == listening.ip());
    if let Some(draft) = drafts.iter().find(moving) {
        let (address, instance) = (listening.ip(), excerpt(&draft.written.value));
        report.warn(text.place, Doubt::MetricsOnVip { address, instance });
    }
}

/// Reads an address to listen on; all zeros: every address of this host.
fn inet(text: &str) -> Result<SocketAddr, ListenError> {
    let (host, port) = split(text).map_err(|error| match error {
        TargetError::NoHost => ListenError::NoHost,
        TargetError::Brackets => ListenError::Brackets,
        TargetError::Port
        | TargetError::Scheme
        | TargetError::Tls
        | TargetError::Secret
        | TargetError::Fragment
        | TargetError::Unprintable
        | TargetError::Name
        | TargetError::NoPort
        | TargetError::Address(_) => ListenError::Port,
    })?;
    let address = match (address::target(host), host.parse::<IpAddr>()) {
        (Err(AddressError::Unspecified), Ok(all)) => all,
        (Err(AddressError::NotAnAddress), _) if is_name(host) => return Err(ListenError::Name),
        (Err(AddressError::NeedsInterface), _) => return Err(ListenError::LinkLocal),
        (address, _) => address.map_err(ListenError::Address)?,
    };
    Ok(SocketAddr::new(address, port.ok_or(ListenError::Port)?))
}

/// Why a text is nowhere to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// Nothing where the address belongs.
    NoHost,
    /// A name where an address belongs.
    Name,
    /// No port, or one that is none.
    Port,
    /// An IPv6 address without its brackets.
    Brackets,
    /// An address that is another one on each interface.
    LinkLocal,
    /// An address that no host can have.
    Address(AddressError),
    /// A file that the daemon has for something else.
    Own,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str(
                "the address is missing; expected one such as \"127.0.0.1:9165\", or \"0.0.0.0:9165\" for all of this host",
            ),
            Self::Name => {
                f.write_str("expected an address, not a name: \"127.0.0.1:9165\", or \"unix:/run/vrrpd/metrics.sock\"")
            }
            Self::Port => f.write_str("expected a port from 1 to 65535 after the address, as in \"127.0.0.1:9165\""),
            Self::Brackets => f.write_str("an IPv6 address stands in brackets before a port, as in \"[::1]:9165\""),
            Self::LinkLocal => f.write_str(
                "a link-local address needs an interface, which cannot be named here; expected another address of this host",
            ),
            Self::Address(error) => error.fmt(f),
            Self::Own => f.write_str("the daemon has that file itself; expected another, such as metrics.sock beside it"),
        }
    }
}

const KEY: &str = "metrics";
/// What the daemon has in its runtime directory.
const OWN: [&str; 4] = ["vrrpd.sock", "vrrpd.sock.new", "vrrpd.lock", "state"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_may_be_all_of_the_host() {
        for text in ["127.0.0.1:9165", "[::1]:9165", "0.0.0.0:9165", "[::]:9165", "192.0.2.1:1", "[2001:db8::1]:65535"]
        {
            assert_eq!(inet(text), Ok(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn every_other_address_says_what_is_wrong() {
        for (text, error) in [
            ("127.0.0.1", ListenError::Port),
            ("127.0.0.1:0", ListenError::Port),
            ("127.0.0.1:65536", ListenError::Port),
            (":9165", ListenError::NoHost),
            ("", ListenError::NoHost),
            ("localhost:9165", ListenError::Name),
            ("::1:9165", ListenError::Brackets),
            ("[fe80::1]:9165", ListenError::LinkLocal),
            ("[fe80::1%eth0]:9165", ListenError::LinkLocal),
            ("224.0.0.1:9165", ListenError::Address(AddressError::Multicast)),
            ("10.0.0.300:9165", ListenError::Address(AddressError::NotAnAddress)),
        ] {
            assert_eq!(inet(text), Err(error), "{text}");
        }
    }
}
