//! Asks one question over HTTP/1.1 and looks at the status and, if wanted, for a text in the body.
//!
//! One request for each connection, no redirects, no TLS. Whatever the other end sends, it costs a bounded amount: 16 KiB
//! of head, 64 KiB of body, looked at piece by piece. One stop after: [`Outcome`].

use std::error::Error as _;
use std::io;
use std::pin::pin;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Outcome;
use super::tcp::{Stream, connect, refusal};
use crate::engine::params::HttpParams;

/// Most bytes of status line and headers.
const MAX_HEAD: usize = 16 << 10;

/// So much of a body is looked at.
const MAX_BODY: usize = 64 << 10;

/// Looks once. Dropped before it is done, it closes its connection; the words are the same for the same finding.
pub(super) async fn probe(params: &HttpParams) -> Outcome {
    let answer = match connect(&params.endpoint).await {
        Ok(Stream::Inet(stream)) => exchange(stream, params).await,
        Ok(Stream::Unix(stream)) => exchange(stream, params).await,
        Err(error) => Err(refusal(&error)),
    };
    match answer {
        Ok(words) => Outcome::passed(words),
        Err(words) => Outcome::failed(words),
    }
}

/// Asks and judges the answer. The connection makes progress only in here, and is closed when this is dropped.
///
/// **Errors:** what the operator reads of a failure.
async fn exchange<S>(stream: S, params: &HttpParams) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = request(params)?;
    let mut client = http1::Builder::new();
    client.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(|e| complaint(&e))?;
    let answer = pin!(async move {
        let response = sender.send_request(request).await.map_err(|e| complaint(&e))?;
        judge(response, params).await
    });
    // Its error reaches the answer as well; inside a block it is dropped when it has ended, so nobody waits for it.
    let connection = pin!(async move { connection.await.is_ok() });
    match select(answer, connection).await {
        Either::Left((verdict, _)) => verdict,
        Either::Right((_, answer)) => answer.await,
    }
}

fn request(params: &HttpParams) -> Result<Request<Empty<Bytes>>, String> {
    Request::get(params.path.as_str())
        .header(HOST, params.host.as_str())
        .header(USER_AGENT, concat!("vrrpd/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("cannot ask: {error}"))
}

async fn judge(response: Response<Incoming>, params: &HttpParams) -> Result<String, String> {
    let status = response.status().as_u16();
    if !params.status.iter().any(|range| range.contains(&status)) {
        return Err(format!("HTTP {status}"));
    }
    if let Some(text) = &params.body
        && !contains(response.into_body(), text.as_bytes()).await?
    {
        return Err(format!("body lacks {}", quoted(text)));
    }
    Ok(format!("HTTP {status}"))
}

/// Says whether the beginning of a body contains a text; reads no further than needed.
async fn contains(mut body: Incoming, text: &[u8]) -> Result<bool, String> {
    let mut left = MAX_BODY;
    // The end of what was read and the piece after it; a text may lie across.
    let mut window = Vec::new();
    while !text.is_empty() {
        let Some(frame) = body.frame().await else { return Ok(false) };
        let Ok(piece) = frame.map_err(|e| complaint(&e))?.into_data() else { continue };
        window.extend_from_slice(piece.get(..left).unwrap_or(&piece));
        left = left.saturating_sub(piece.len());
        if window.windows(text.len()).any(|found| found == text) {
            break;
        }
        if left == 0 {
            return Ok(false);
        }
        window.drain(..window.len().saturating_sub(text.len() - 1));
    }
    Ok(true)
}

/// Returns what an operator reads of an answer that is none; at most 200 bytes, and nothing the other end chose.
fn complaint(error: &hyper::Error) -> String {
    if error.is_parse() {
        return format!("not HTTP: {}", error.to_string().trim_end_matches(" parsed"));
    }
    let closed = || "closed before its answer was complete".to_owned();
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => closed(),
        Some(source) if source.raw_os_error().is_some() => refusal(source),
        Some(source) => format!("not HTTP: {}", source.to_string().to_lowercase()),
        None if error.is_incomplete_message() => closed(),
        None => error.to_string(),
    }
}

/// Returns a text as it can be shown: in quotation marks, printable, cut.
fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for char in text.chars() {
        if shown.len() > 120 {
            shown.push_str("...");
            break;
        }
        shown.extend(char.escape_debug());
    }
    shown + "\""
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixListener};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::engine::input::CheckResult;
    use crate::engine::params::Endpoint;

    #[tokio::test]
    async fn status_decides() {
        for (answer, passes, words) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, "HTTP 200"),
            ("HTTP/1.0 204 \r\n\r\n", true, "HTTP 204"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", true, "HTTP 200"),
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false, "HTTP 503"),
            ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", false, "HTTP 302"),
        ] {
            let (endpoint, server) = answering(answer, "").await;
            expect(&probe(&params(endpoint, None)).await, passes, words);
            server.await.unwrap();
        }
        let (endpoint, _server) = answering("HTTP/1.1 302 Found\r\n\r\n", "").await;
        let ranges = vec![200..=204, 301..=302];
        expect(&probe(&HttpParams { status: ranges, ..params(endpoint, None) }).await, true, "HTTP 302");
    }

    #[tokio::test]
    async fn request_is_as_configured_and_the_connection_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Inet(listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed, though the server would go on");
            request
        });
        expect(&probe(&params(endpoint, None)).await, true, "HTTP 200");
        let version = env!("CARGO_PKG_VERSION");
        let lines = ["host: example.org", &format!("user-agent: vrrpd/{version}"), "accept: */*", "connection: close"];
        assert_eq!(server.await.unwrap(), format!("GET /health?full HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n")));
    }

    #[tokio::test]
    async fn text_is_found_wherever_it_begins_in_the_first_64_kib() {
        let body = |before: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}all is well", "a".repeat(before));
        for before in [0, 1, 4095, 16_380, 50_000, MAX_BODY - 11] {
            let (endpoint, _server) = answering(&body(before), "").await;
            expect(&probe(&params(endpoint, Some("all is well"))).await, true, "HTTP 200");
        }
        let (endpoint, _server) = answering(&body(MAX_BODY - 10), "").await;
        expect(&probe(&params(endpoint, Some("all is well"))).await, false, r#"body lacks "all is well""#);
        // Split by the chunks of the sender.
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nal\r\n3\r\nl i\r\n6\r\ns well\r\n";
        let (endpoint, server) = answering(chunked, " ").await;
        expect(&probe(&params(endpoint, Some("all is well"))).await, true, "HTTP 200");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn body_without_the_text_fails_and_an_endless_one_is_not_read_on() {
        let (endpoint, _server) = answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "").await;
        expect(&probe(&params(endpoint, Some("ok\n"))).await, false, r#"body lacks "ok\n""#);
        let (endpoint, server) = answering("HTTP/1.1 200 OK\r\n\r\n", &"o".repeat(4096)).await;
        expect(&probe(&params(endpoint, Some("ok"))).await, false, r#"body lacks "ok""#);
        let written = server.await.unwrap();
        assert!(written < 16 << 20, "{written} bytes were taken");
        let (endpoint, _server) = answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", "").await;
        let outcome = probe(&params(endpoint, Some("ok"))).await;
        expect(&outcome, false, "closed before its answer was complete");
        let (endpoint, _server) = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n?\r\n", "").await;
        let outcome = probe(&params(endpoint, Some("ok"))).await;
        expect(&outcome, false, "not HTTP: invalid chunk size line: missing size digit");
    }

    #[tokio::test]
    async fn endless_headers_are_cut_off() {
        for line in ["X-Flood: 1\r\n".to_owned(), "x".repeat(4096)] {
            let (endpoint, server) = answering("HTTP/1.1 200 OK\r\n", &line).await;
            expect(&probe(&params(endpoint, None)).await, false, "not HTTP: message head is too large");
            let written = server.await.unwrap();
            assert!(written < 16 << 20, "{written} bytes were taken");
        }
    }

    #[tokio::test]
    async fn something_else_than_http_fails() {
        for (answer, words) in [
            ("220 mail.example.org ESMTP\r\n", "not HTTP: invalid HTTP version"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP: invalid HTTP version"),
            ("\u{15}\u{3}\u{3}\0\u{2}\u{2}P", "not HTTP: invalid HTTP version"),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP: invalid HTTP status-code"),
            ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", "not HTTP: invalid HTTP header"),
            ("HTTP/1.1 200 OK\r\nContent-", "closed before its answer was complete"),
            ("", "closed before its answer was complete"),
        ] {
            let (endpoint, _server) = answering(answer, "").await;
            expect(&probe(&params(endpoint, None)).await, false, words);
        }
    }

    #[tokio::test]
    async fn nobody_there_is_refused() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        expect(&probe(&params(Endpoint::Inet(address), None)).await, false, "connection refused");
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(folder.path().join("http.sock"));
        expect(&probe(&params(endpoint.clone(), None)).await, false, "no such file or directory");
        drop(UnixListener::bind(folder.path().join("http.sock")).unwrap());
        expect(&probe(&params(endpoint, None)).await, false, "connection refused");
    }

    #[tokio::test]
    async fn unix_socket_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await.unwrap();
        });
        expect(&probe(&params(Endpoint::Unix(path), Some("ok"))).await, true, "HTTP 200");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn silent_server_is_left_when_the_probe_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Inet(listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream
        });
        let params = params(endpoint, None);
        let mut asking = Box::pin(probe(&params));
        let mut stream = tokio::select! {
            outcome = &mut asking => panic!("{outcome:?}"),
            stream = server => stream.unwrap(),
        };
        drop(asking);
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0])).await;
        assert_eq!(read.expect("the connection is still open").unwrap(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_fails() {
        let (endpoint, _server) = answering("", "").await;
        let outcome = probe(&HttpParams { path: "/a b".to_owned(), ..params(endpoint, None) }).await;
        expect(&outcome, false, "cannot ask: invalid uri character");
    }

    #[test]
    fn words_are_short_and_printable() {
        assert_eq!(quoted("a\u{1b}[31m\""), r#""a\u{1b}[31m\"""#);
        let long = quoted(&"\u{1f600}".repeat(1000));
        assert!(long.len() < 150 && long.ends_with("...\""), "{long}");
    }

    fn params(endpoint: Endpoint, body: Option<&str>) -> HttpParams {
        let status: Vec<RangeInclusive<u16>> = vec![200..=299];
        let (host, path) = ("example.org".to_owned(), "/health?full".to_owned());
        HttpParams { endpoint, host, path, status, body: body.map(str::to_owned) }
    }

    #[track_caller]
    fn expect(outcome: &Outcome, passes: bool, words: &str) {
        let result = if passes { CheckResult::Passed } else { CheckResult::Failed };
        assert_eq!((outcome.result, outcome.words.as_str()), (result, words));
    }

    /// Serves one connection: reads a request, answers, and goes on with `again` until the other end has had enough; with an
    /// empty `again` it closes. Returns how many bytes went out after the answer.
    async fn answering(answer: &str, again: &str) -> (Endpoint, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Inet(listener.local_addr().unwrap());
        let (answer, again) = (answer.to_owned(), again.to_owned());
        let server = tokio::spawn(async move {
            let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            let mut written = 0;
            // A probe that has seen enough does not wait for the rest.
            let mut is_open = stream.write_all(answer.as_bytes()).await.is_ok();
            while is_open && !again.is_empty() {
                is_open = stream.write_all(again.as_bytes()).await.is_ok();
                written += again.len();
            }
            written
        });
        (endpoint, server)
    }

    async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }
}
