//! Connects and closes at once: somebody accepts connections there.
//!
//! Also where `http` gets its connection. One stop after: [`Outcome`].

use std::io;

use nix::errno::Errno;
use tokio::net::{TcpStream, UnixStream};

use super::Outcome;
use crate::engine::params::Endpoint;

/// A connection of a probe.
pub(super) enum Stream {
    /// Over TCP.
    Inet(TcpStream),
    /// To a unix socket.
    Unix(UnixStream),
}

/// Looks once. Dropped before it is done, it leaves nothing behind; the words are the same for the same finding.
pub(super) async fn probe(endpoint: &Endpoint) -> Outcome {
    match connect(endpoint).await {
        Ok(_) => Outcome::passed("connected"),
        Err(error) => Outcome::failed(refusal(&error)),
    }
}

/// Connects.
///
/// **Errors:** what the kernel said; a port where nobody listens never counts as connected.
pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Inet(address) => Ok(Stream::Inet(other_end(TcpStream::connect(address).await?)?)),
        Endpoint::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

/// Refuses a connection to itself: the kernel may give the very port that is asked for as the local one, and nobody
/// listens there.
fn other_end(stream: TcpStream) -> io::Result<TcpStream> {
    let is_to_itself = stream.local_addr()? == stream.peer_addr()?;
    if is_to_itself { Err(Errno::ECONNREFUSED.into()) } else { Ok(stream) }
}

/// Returns what an operator reads of a connection that failed; at most 200 bytes.
pub(super) fn refusal(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        // Only a unix socket says so, where TCP would wait.
        Some(Errno::EAGAIN) => "its queue of connections is full".to_owned(),
        Some(errno) => errno.desc().to_lowercase(),
        None => error.to_string().chars().take(50).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{SocketAddr, TcpListener};
    use std::path::PathBuf;

    use super::*;
    use crate::engine::input::CheckResult;

    #[tokio::test]
    async fn listener_passes_and_the_connection_is_closed_at_once() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let endpoint = Endpoint::Inet(listener.local_addr().unwrap());
            assert_eq!(seen(&endpoint).await, (CheckResult::Passed, "connected".to_owned()));
            let (mut accepted, _) = listener.accept().unwrap();
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "end of the connection");
        }
    }

    #[tokio::test]
    async fn unix_listener_passes_and_the_connection_is_closed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(seen(&Endpoint::Unix(path)).await, (CheckResult::Passed, "connected".to_owned()));
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "end of the connection");
    }

    #[tokio::test]
    async fn port_without_a_listener_is_refused() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fails(&Endpoint::Inet(address), "connection refused").await;
    }

    /// Happens by itself in one of some 28,000 connections to a port of the ephemeral range where nobody listens.
    #[tokio::test]
    async fn connection_to_itself_is_nobody() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        assert_eq!(refusal(&other_end(stream).unwrap_err()), "connection refused");
    }

    #[tokio::test]
    async fn unix_socket_that_is_missing_or_dead_or_no_socket_or_full_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        fails(&Endpoint::Unix(path.clone()), "no such file or directory").await;
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        fails(&Endpoint::Unix(path), "connection refused").await;
        fails(&Endpoint::Unix(folder.path().to_owned()), "connection refused").await;
        fails(&Endpoint::Unix(PathBuf::from("/x".repeat(60))), "path must be shorter than SUN_LEN").await;

        let path = folder.path().join("full");
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let endpoint = Endpoint::Unix(path);
        let _first = connect(&endpoint).await.unwrap();
        fails(&endpoint, "its queue of connections is full").await;
    }

    #[test]
    fn words_are_of_the_error_alone() {
        for (errno, words) in [
            (Errno::EHOSTUNREACH, "no route to host"),
            (Errno::ENETUNREACH, "network is unreachable"),
            (Errno::EACCES, "permission denied"),
            (Errno::EMFILE, "too many open files"),
        ] {
            assert_eq!(refusal(&errno.into()), words);
        }
    }

    async fn fails(endpoint: &Endpoint, words: &str) {
        assert_eq!(seen(endpoint).await, (CheckResult::Failed, words.to_owned()));
    }

    async fn seen(endpoint: &Endpoint) -> (CheckResult, String) {
        let outcome = probe(endpoint).await;
        (outcome.result, outcome.words)
    }
}
