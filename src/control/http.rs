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
mod tests;
