//! The daemon's side of the HTTP endpoint for metrics and health: reads requests, asks the daemon, writes answers.
//!
//! Runs on the service thread. Costs a bounded amount whatever clients do: one request for each connection and a deadline for
//! all of it, so many connections at a time, of which the oldest makes room for the next, and a pace for taking them. Nobody who
//! only holds connections keeps another out. One stop before: [`Listener`]. One stop after: the `answer` function of the daemon.

mod listener;
mod request;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use listener::Stream;
pub use listener::{Listener, shown};
use request::{Unfit, question};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::metrics;

/// Most connections at a time.
pub const MAX_CLIENTS: usize = 64;
/// How long a connection may last, from its beginning to the last byte of its answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Shortest time between two connections that are taken; others wait in the kernel.
const PACE: Duration = Duration::from_millis(2);
/// Most bytes of a request; the least that the HTTP library takes.
const MAX_REQUEST: usize = 8192;
const MAX_HEADERS: usize = 64;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `/metrics`.
    Metrics,
    /// `/healthz`: does the daemon work?
    Health,
    /// `/master/INSTANCE`: is this node the master of it?
    Master(String),
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The metrics.
    Metrics(Bytes),
    /// Yes, in a line.
    Yes(String),
    /// No, or it cannot be said; in a line.
    No(String),
    /// There is no such instance; in a line.
    Unknown(String),
}

/// Serves clients until dropped.
///
/// Inside a `LocalSet` only. `answer` may be asked by many clients at a time. Connections end with this.
pub async fn serve<A, F>(listener: &Listener, answer: A) -> Infallible
where
    A: Fn(Question) -> F + Clone + 'static,
    F: Future<Output = Answer> + 'static,
{
    let mut clients = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next() => oldest_first.retain(|client| !client.is_finished()),
            accepted = listener.accept() => {
                match accepted {
                    Ok(stream) => {
                        if clients.len() >= MAX_CLIENTS && let Some(oldest) = oldest_first.pop_front() {
                            oldest.abort();
                            // Its place is free when it is gone.
                            let _ = clients.join_next().await;
                        }
                        oldest_first.push_back(clients.spawn_local(serve_stream(stream, answer.clone())));
                    }
                    // Out of descriptors, or the client is gone already: the listener itself is well.
                    Err(error) => tracing::debug!(%error, "metrics: cannot accept a client"),
                }
                sleep(PACE).await;
            }
        }
    }
}

async fn serve_stream<A, F>(stream: Stream, answer: A)
where
    A: Fn(Question) -> F,
    F: Future<Output = Answer>,
{
    match stream {
        Stream::Inet(stream) => serve_client(stream, answer).await,
        Stream::Unix(stream) => serve_client(stream, answer).await,
    }
}

/// Answers one request, and closes.
async fn serve_client<A, F>(stream: impl AsyncRead + AsyncWrite + Unpin, answer: A)
where
    A: Fn(Question) -> F,
    F: Future<Output = Answer>,
{
    let answer = &answer;
    let service =
        service_fn(
            move |request: Request<Incoming>| async move { Ok::<_, Infallible>(respond(&request, answer).await) },
        );
    let mut server = http1::Builder::new();
    server.keep_alive(false).max_buf_size(MAX_REQUEST).max_headers(MAX_HEADERS).header_read_timeout(None);
    // A client that goes away or is too slow has nobody to be told of it.
    let _ = timeout(PATIENCE, server.serve_connection(TokioIo::new(stream), service)).await;
}

async fn respond<A, F>(request: &Request<Incoming>, answer: &A) -> Response<Full<Bytes>>
where
    A: Fn(Question) -> F,
    F: Future<Output = Answer>,
{
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        let mut response = line(StatusCode::METHOD_NOT_ALLOWED, "expected GET or HEAD");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let asked = match question(request.uri().path()) {
        Ok(asked) => asked,
        Err(Unfit::Path) => {
            return line(StatusCode::NOT_FOUND, "no such page, expected /metrics, /healthz or /master/INSTANCE");
        }
        Err(Unfit::Name) => return line(StatusCode::BAD_REQUEST, "the name of the instance is not UTF-8 with %XX"),
    };
    match answer(asked).await {
        Answer::Metrics(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Answer::Yes(text) => line(StatusCode::OK, &text),
        Answer::No(text) => line(StatusCode::SERVICE_UNAVAILABLE, &text),
        Answer::Unknown(text) => line(StatusCode::NOT_FOUND, &text),
    }
}

fn line(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")))
}

fn response(status: StatusCode, content: &'static str, text: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "measures how long a real client waits")]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as Client;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream as UnixClient;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use tokio::sync::oneshot;
    use tokio::task::LocalSet;

    use super::*;
    use crate::engine::params::Endpoint;

    /// An endpoint on a thread of its own.
    struct Running {
        port: u16,
        stop: Option<oneshot::Sender<()>>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Running {
        /// Serves at `at`; the metrics have `len` bytes.
        fn at(at: Endpoint, len: usize) -> Self {
            let ((stop, stopped), (told, port)) = (oneshot::channel(), mpsc::channel());
            let thread = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                LocalSet::new().block_on(&runtime, async {
                    let listener = Listener::bind(&at, None).unwrap();
                    told.send(listener.port()).unwrap();
                    let page = Bytes::from("x".repeat(len));
                    let answer = move |question| {
                        let page = page.clone();
                        async move {
                            match question {
                                Question::Metrics => Answer::Metrics(page),
                                Question::Health => Answer::No("it hangs".to_owned()),
                                Question::Master(name) if name == "web" => Answer::Yes("MASTER".to_owned()),
                                Question::Master(name) => Answer::Unknown(format!("no instance {name:?}")),
                            }
                        }
                    };
                    tokio::select! {
                        _ = serve(&listener, answer) => {}
                        _ = stopped => {}
                    }
                });
            });
            Self { port: port.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
        }

        fn start(len: usize) -> Self {
            Self::at(Endpoint::Inet(([127, 0, 0, 1], 0).into()), len)
        }

        fn connect(&self) -> Client {
            let client = Client::connect(("127.0.0.1", self.port)).unwrap();
            client.set_read_timeout(Some(PATIENCE * 3)).unwrap();
            client
        }

        /// Sends bytes and returns everything until the other side closes.
        fn say(&self, bytes: &str) -> String {
            let mut client = self.connect();
            client.write_all(bytes.as_bytes()).unwrap();
            rest(&mut client)
        }

        fn get(&self, path: &str) -> String {
            self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            drop(self.stop.take());
            let ended = self.thread.take().map(thread::JoinHandle::join);
            assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
        }
    }

    fn rest(client: &mut impl Read) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    fn status(answer: &str) -> u16 {
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
    }

    fn body(answer: &str) -> &str {
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}")).1
    }

    #[test]
    fn each_answer_has_its_status_and_one_line() {
        let running = Running::start(5);
        for (path, code, text) in [
            ("/metrics", 200, "xxxxx"),
            ("/metrics?format=text", 200, "xxxxx"),
            ("/healthz", 503, "it hangs\n"),
            ("/master/web", 200, "MASTER\n"),
            ("/master/w%65b", 200, "MASTER\n"),
            ("/master/mail", 404, "no instance \"mail\"\n"),
            ("/master/%ff", 400, "the name of the instance is not UTF-8 with %XX\n"),
            ("/", 404, "no such page, expected /metrics, /healthz or /master/INSTANCE\n"),
        ] {
            let answer = running.get(path);
            assert_eq!((status(&answer), body(&answer)), (code, text), "{path}");
            assert!(
                answer.contains("connection: close\r\n") && answer.contains("cache-control: no-store\r\n"),
                "{answer}"
            );
        }
        let page = running.get("/metrics");
        assert!(page.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{page}");
    }

    #[test]
    fn head_is_the_head_of_get_and_nothing_else_may_be_asked() {
        let running = Running::start(5);
        let head = running.say("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((status(&head), body(&head)), (200, ""));
        assert!(head.contains("content-length: 5\r\n"), "{head}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "nonsense"] {
            let answer = running.say(&format!("{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(status(&answer), 405, "{method}");
            assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let running = Running::start(5);
        for (text, code) in [
            ("nonsense\r\n\r\n".to_owned(), 400),
            ("GET /metrics SMTP/1.1\r\n\r\n".to_owned(), 400),
            (format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1)), 431),
        ] {
            assert_eq!(status(&running.say(&text)), code, "{:?}", text.get(..20));
        }
        // The server closes with bytes unread: the client may be reset before or after it has read the refusal.
        let mut client = running.connect();
        let _ = client.write_all(format!("GET /{}", "x".repeat(4 * MAX_REQUEST)).as_bytes());
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.is_empty() || !answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(status(&running.get("/metrics")), 200);
    }

    #[test]
    fn one_connection_is_one_request() {
        let running = Running::start(5);
        let twice = running.say(&"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
        assert_eq!(twice.matches("HTTP/1.1 ").count(), 1, "{twice}");
    }

    #[test]
    fn whoever_is_silent_makes_room_for_the_next() {
        let running = Running::start(5);
        let mut silent: Vec<Client> = (0..MAX_CLIENTS).map(|_| running.connect()).collect();
        let began = Instant::now();
        assert_eq!(status(&running.get("/metrics")), 200);
        assert!(began.elapsed() < PATIENCE / 2, "answered after {:?}", began.elapsed());
        // The oldest was closed, not by its own end.
        assert_eq!(rest(&mut silent[0]), "");
        assert!(began.elapsed() < PATIENCE / 2, "closed after {:?}", began.elapsed());
        assert_eq!(rest(&mut silent[MAX_CLIENTS - 1]), "");
        assert!(
            began.elapsed() >= PATIENCE - Duration::from_secs(1),
            "the others keep their time: {:?}",
            began.elapsed()
        );
    }

    #[test]
    fn an_answer_nobody_reads_is_dropped_at_the_deadline() {
        let running = Running::start(64 << 20);
        let mut client = running.connect();
        let began = Instant::now();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        thread::sleep(PATIENCE + Duration::from_millis(500));
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.len() < 64 << 20, "all {} bytes came", answer.len());
        assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    }

    #[test]
    fn the_socket_has_its_mode_and_goes_with_the_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.sock");
        // What a dead daemon leaves.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let running = Running::at(Endpoint::Unix(path.clone()), 5);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
        let mut client = UnixClient::connect(&path).unwrap();
        client.write_all(b"GET /master/web HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(body(&rest(&mut client)), "MASTER\n");
        drop(running);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_is_in_use_and_another_file_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (used, file) = (dir.path().join("used"), dir.path().join("file"));
        let _other = std::os::unix::net::UnixListener::bind(&used).unwrap();
        std::fs::write(&file, "important").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (path, why) in [(&used, "in use"), (&file, "there is a file that is no socket")] {
                let error = Listener::bind(&Endpoint::Unix(path.clone()), None).unwrap_err();
                assert!(error.to_string().contains(why), "{error}");
            }
        });
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "important");
        assert!(UnixClient::connect(&used).is_ok());
    }
}
