//! One request after the other, read and written by async-h1.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_h1::server::{Encoder, decode};
use ebbtide_connection::Record;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_types::headers::{CONNECTION, CONTENT_LENGTH, HeaderValues, UPGRADE};
use http_types::upgrade;
use http_types::{Method, Request, Response, StatusCode, Version};

use crate::head::{self, Head};
use crate::io::{Connection, Io};
use crate::send::send;

enum Next {
    Request,
    End,
    /// The connection is somebody else's.
    Upgraded,
}

/// Serves requests until the connection is to end, and ends it.
pub(crate) async fn exchanges<I, F, Fut>(
    connection: &Connection<I>,
    record: &Arc<Record>,
    endpoint: F,
    extends: bool,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request) -> Fut,
    Fut: Future<Output = http_types::Result<Response>>,
{
    while let Some(head) = connection.head().await? {
        match exchange(connection, record, &endpoint, &head, extends).await? {
            Next::Request if connection.is_finishing() => break,
            Next::Request => {}
            Next::End => break,
            Next::Upgraded => return Ok(()),
        }
    }
    poll_fn(|cx| connection.poll_end(cx)).await
}

/// A request, until its response is written or will never be.
struct InFlight<'a> {
    record: &'a Record,
    id: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.record.end(self.id);
    }
}

async fn exchange<I, F, Fut>(
    connection: &Connection<I>,
    record: &Arc<Record>,
    endpoint: &F,
    bytes: &[u8],
    extends: bool,
) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request) -> Fut,
    Fut: Future<Output = http_types::Result<Response>>,
{
    let parsed = match Head::parse(bytes) {
        Err(_) if bytes.len() >= head::LONGEST => Err(StatusCode::RequestHeaderFieldsTooLarge),
        parsed => parsed,
    };
    let (mut head, refused) = match parsed {
        Ok(head) => (head, None),
        Err(status) => (Head::none(), Some(status)),
    };
    // What is refused may have anything behind it.
    let has_body = refused.is_some() || !head.framing.is_over();
    let Some(id) = record.begin(has_body, || (head.method.clone(), head.path.clone())) else { return Ok(Next::End) };
    let _in_flight = InFlight { record, id };
    let mut io = connection.request(&mut head);
    if let Some(status) = refused {
        return refuse(&mut io, record, status).await;
    }
    let Ok(Some((mut request, _body))) = decode(io.clone()).await else {
        return refuse(&mut io, record, StatusCode::BadRequest).await;
    };
    if head.old {
        request.set_version(Some(Version::Http1_0));
    }
    let method = request.method();
    let upgradeable = request.header(UPGRADE).is_some() && request.header(CONNECTION).is_some_and(says_upgrade);
    if upgradeable || extends {
        request.ext_mut().insert(record.watcher().clone());
        request.ext_mut().insert(record.guard().clone());
    }

    let answer = unless_gone(connection, endpoint(request)).await?;
    let mut response = answer.unwrap_or_else(|error| Response::new(error.status()));

    if upgradeable && response.status() == StatusCode::SwitchingProtocols && response.has_upgrade() {
        record.upgraded();
        let sender = response.send_upgrade();
        io.write_all(&unframed(&response)).await?;
        io.flush().await?;
        connection.upgrade();
        sender.send(upgrade::Connection::new(io)).await;
        return Ok(Next::Upgraded);
    }

    let last = head.last || says_close(&response) || !connection.has_come();
    let close = record.response(last);
    if close || last {
        response.insert_header(CONNECTION, "close");
    }
    if head.old && response.len().is_none() && method != Method::Head {
        // The connection's end is the body's.
        let head = unframed(&response);
        unless_gone(connection, send(head.as_slice().chain(response), &mut io)).await??;
    } else {
        if response.len().is_none() {
            // It will have chunks, beside which no length may stand (RFC 9112, section 6.2).
            response.remove_header(CONTENT_LENGTH);
        }
        unless_gone(connection, send(Encoder::new(response, method), &mut io)).await??;
    }
    // Not before: a response may be made of its request's body.
    connection.drop_body();
    Ok(if close || last { Next::End } else { Next::Request })
}

/// What comes of `future`, unless the client goes away meanwhile.
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

/// Answers what is no request: async-h1 would only hang up.
async fn refuse<I>(io: &mut Io<I>, record: &Record, status: StatusCode) -> io::Result<Next>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    // The last one, whatever the drain says.
    let _ = record.response(true);
    let mut response = Response::new(status);
    response.insert_header(CONNECTION, "close");
    send(Encoder::new(response, Method::Get), io).await?;
    Ok(Next::End)
}

/// A response's head that says nothing of its body. async-h1's has a length or chunks in it always, also where there may
/// be none (RFC 9110, section 8.6).
fn unframed(response: &Response) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status, status.canonical_reason());
    for (name, values) in response {
        for value in values {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
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
