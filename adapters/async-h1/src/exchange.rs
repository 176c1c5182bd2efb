//! One request after the other, read and written by async-h1.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_h1::server::{Encoder, decode};
use ebbtide::State;
use ebbtide_connection::Record;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::AsyncWriteExt;
use futures_lite::io::copy;
use http_types::headers::{CONNECTION, HeaderValues, UPGRADE};
use http_types::upgrade;
use http_types::{Method, Request, Response, StatusCode, Version};

use crate::head::{self, Head};
use crate::http::Clock;
use crate::io::{Connection, Io};

/// For a request's head to be complete, with the wait for its first byte: async-h1's own limit, by another clock.
const HEAD: Duration = Duration::from_secs(60);

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
    clock: &Clock,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request) -> Fut,
    Fut: Future<Output = http_types::Result<Response>>,
{
    while let Some(head) = next_head(connection, clock).await? {
        match exchange(connection, record, &endpoint, &head).await? {
            Next::Request if connection.is_finishing() => break,
            Next::Request => {}
            Next::End => break,
            Next::Upgraded => return Ok(()),
        }
    }
    poll_fn(|cx| connection.poll_end(cx)).await
}

async fn next_head<I: AsyncRead + AsyncWrite + Unpin>(
    connection: &Connection<I>,
    clock: &Clock,
) -> io::Result<Option<Vec<u8>>> {
    let mut late = None;
    poll_fn(|cx| {
        if let Poll::Ready(head) = connection.poll_head(cx) {
            return Poll::Ready(head);
        }
        late.get_or_insert_with(|| clock(HEAD)).as_mut().poll(cx).map(|()| Ok(None))
    })
    .await
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
    let Some(id) = record.begin(&head.method, &head.path, has_body) else { return Ok(Next::End) };
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
    request.ext_mut().insert(record.watcher().clone());
    request.ext_mut().insert(record.guard().clone());
    let method = request.method();
    let upgradeable = request.header(UPGRADE).is_some() && request.header(CONNECTION).is_some_and(says_upgrade);

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
    let close = record.policy(|it| {
        // The connection hears of the drain when its task runs; this response may be earlier.
        if record.watcher().state() != State::Running {
            it.drain();
        }
        it.response(last)
    });
    if close || last {
        response.insert_header(CONNECTION, "close");
    }
    if head.old && response.len().is_none() && method != Method::Head {
        // The connection's end is the body's.
        io.write_all(&unframed(&response)).await?;
        unless_gone(connection, copy(response, &mut io)).await??;
    } else {
        unless_gone(connection, copy(Encoder::new(response, method), &mut io)).await??;
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
    let _ = record.policy(|it| it.response(true));
    let mut response = Response::new(status);
    response.insert_header(CONNECTION, "close");
    copy(Encoder::new(response, Method::Get), io).await?;
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
