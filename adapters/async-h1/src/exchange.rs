//! Serves the requests of a connection, one after the other. async-h1 writes the responses.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_h1::server::Encoder;
use ebbtide_connection::Tracker;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::io::BufReader;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_types::headers::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValues, TRANSFER_ENCODING, UPGRADE};
use http_types::other::Date;
use http_types::upgrade;
use http_types::{Body, Method, Request, Response, StatusCode};

use crate::framing::Framing;
use crate::head::Head;
use crate::io::Connection;
use crate::send::{Whole, send};

enum Next {
    Request,
    End,
    /// The connection belongs to the handler of the upgrade.
    Upgraded,
}

/// Serves requests until the connection must end, and ends it.
pub(crate) async fn exchanges<I, F, Fut>(
    connection: &Connection<I>,
    tracker: &Arc<Tracker>,
    endpoint: F,
    extends: bool,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request) -> Fut,
    Fut: Future<Output = http_types::Result<Response>>,
{
    while let Some(head) = connection.head().await? {
        match exchange(connection, tracker, &endpoint, head, extends).await? {
            Next::Request if connection.is_finishing() => break,
            Next::Request => {}
            Next::End => break,
            Next::Upgraded => return Ok(()),
        }
    }
    poll_fn(|cx| connection.poll_end(cx)).await
}

/// A request in flight, until its response is written or cut.
struct InFlight<'a> {
    tracker: &'a Tracker,
    id: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.tracker.end(self.id);
    }
}

async fn exchange<I, F, Fut>(
    connection: &Connection<I>,
    tracker: &Arc<Tracker>,
    endpoint: &F,
    head: Result<Head, StatusCode>,
    extends: bool,
) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request) -> Fut,
    Fut: Future<Output = http_types::Result<Response>>,
{
    let head = match head {
        Ok(head) => head,
        Err(status) => return refuse(connection, tracker, status).await,
    };
    let Head { mut request, path, framing, expects, last, old } = head;
    let has_body = !framing.is_over();
    let Some(id) = tracker.begin(has_body, || (request.method().to_string(), path)) else { return Ok(Next::End) };
    let _in_flight = InFlight { tracker, id };
    if old {
        tracker.http10();
    }
    let (length, trailers) = match framing {
        Framing::Length(length) => (usize::try_from(length).ok(), None),
        Framing::Chunked { .. } => (None, Some(request.send_trailers())),
    };
    let mut io = connection.request(framing, expects, trailers);
    if has_body {
        request.set_body(Body::from_reader(BufReader::new(io.clone()), length));
    }
    let method = request.method();
    // HTTP/1.0 knows no upgrade (RFC 9110, section 7.8).
    let upgradeable = !old && request.header(UPGRADE).is_some() && request.header(CONNECTION).is_some_and(says_upgrade);
    if upgradeable || extends {
        request.ext_mut().insert(tracker.request_watcher());
        request.ext_mut().insert(tracker.guard().clone());
    }

    let answer = unless_gone(connection, endpoint(request)).await?;
    let mut response = answer.unwrap_or_else(|error| {
        // Whatever the endpoint returns, a malformed body is the client's fault.
        Response::new(if connection.is_malformed() { StatusCode::BadRequest } else { error.status() })
    });
    // Bytes after the request belong to the new protocol, so the request must be complete.
    let upgrades = upgradeable
        && response.status() == StatusCode::SwitchingProtocols
        && response.has_upgrade()
        && connection.has_come();
    if !has_fit_head(&response) || (response.status().is_informational() && !upgrades) {
        response = Response::new(StatusCode::InternalServerError);
    }

    if upgrades && response.status() == StatusCode::SwitchingProtocols {
        connection.drop_body();
        tracker.upgraded();
        let sender = response.send_upgrade();
        io.write_all(&unframed(&mut response)).await?;
        io.flush().await?;
        connection.upgrade();
        sender.send(upgrade::Connection::new(io)).await;
        return Ok(Next::Upgraded);
    }

    let last = last || says_close(&response) || !connection.has_come();
    let close = tracker.response(last);
    if close || last {
        response.insert_header(CONNECTION, "close");
    }
    // async-h1 sets the framing of the body. A length or coding of the endpoint may not stand beside it (RFC 9112, section 6).
    response.remove_header(TRANSFER_ENCODING);
    let status = response.status();
    if status == StatusCode::ResetContent {
        response.set_body(Body::empty());
    }
    let tunnels = method == Method::Connect && status.is_success();
    if tunnels || matches!(status, StatusCode::NoContent | StatusCode::NotModified) {
        // Such a response has no body, and so no length (RFC 9110, section 8.6).
        response.remove_header(CONTENT_LENGTH);
        unless_gone(connection, send(&*unframed(&mut response), &mut io)).await??;
    } else if old && response.len().is_none() && method != Method::Head {
        // The end of the connection is the end of the body.
        response.remove_header(CONTENT_LENGTH);
        let head = unframed(&mut response);
        unless_gone(connection, send(head.as_slice().chain(response), &mut io)).await??;
    } else {
        if response.len().is_none() {
            // It will be chunked, and then may have no length (RFC 9112, section 6.2).
            response.remove_header(CONTENT_LENGTH);
        }
        let response = Whole::of(response);
        unless_gone(connection, send(Encoder::new(response, method), &mut io)).await??;
    }
    // After the response, which may be made of its request's body.
    connection.drop_body();
    Ok(if close || last { Next::End } else { Next::Request })
}

/// The output of `future`, or an error if the client disconnects before.
async fn unless_gone<I, F>(connection: &Connection<I>, future: F) -> io::Result<F::Output>
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => connection.poll_gone(cx).map(Err),
    })
    .await
}

/// Answers a malformed request.
async fn refuse<I>(connection: &Connection<I>, tracker: &Tracker, status: StatusCode) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    // As if it had a body: anything may follow it.
    let Some(id) = tracker.begin(true, Default::default) else { return Ok(Next::End) };
    let _in_flight = InFlight { tracker, id };
    let mut io = connection.request(Framing::Length(0), false, None);
    // The last response of the connection, in any case.
    let _ = tracker.response(true);
    let mut response = Response::new(status);
    response.insert_header(CONNECTION, "close");
    send(Encoder::new(response, Method::Get), &mut io).await?;
    Ok(Next::End)
}

/// The head of a response, without framing. That of async-h1 always has a length or chunks, even if the response may have none
/// (RFC 9110, section 8.6).
fn unframed(response: &mut Response) -> Vec<u8> {
    if response.header(DATE).is_none() {
        response.insert_header(DATE, Date::now().value());
    }
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status, status.canonical_reason());
    for (name, values) in &*response {
        for value in values {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Whether all fields are valid: http-types accepts any ASCII in names and values, line ends too.
fn has_fit_head(response: &Response) -> bool {
    response.iter().all(|(name, values)| {
        let is_name = name.as_str().bytes().all(|it| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it));
        is_name && values.iter().all(|it| it.as_str().bytes().all(|it| it == b'\t' || !it.is_ascii_control()))
    })
}

fn says_close(response: &Response) -> bool {
    response.header(CONNECTION).is_some_and(|it| says(it, "close"))
}

fn says_upgrade(connection: &HeaderValues) -> bool {
    says(connection, "upgrade")
}

fn says(connection: &HeaderValues, option: &str) -> bool {
    connection.iter().flat_map(|it| it.as_str().split(',')).any(|it| it.trim().eq_ignore_ascii_case(option))
}
