//! A client that sends without a pause.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ebbtide::Drain;
use ebbtide_hyper::Http;
use futures_lite::{AsyncRead, AsyncWrite};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use smol_hyper::rt::FuturesIo;

/// It has sent the one and goes on with the other for ever, and reads everything.
struct Client {
    sends: Vec<u8>,
    /// Once and again.
    goes_on: Vec<u8>,
    /// How much of what it goes on with it has sent.
    at: usize,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let sent = self.sends.len().min(buf.len());
        if sent > 0 {
            buf[..sent].copy_from_slice(&self.sends[..sent]);
            self.sends.drain(..sent);
            return Poll::Ready(Ok(sent));
        }
        let mut filled = 0;
        while filled < buf.len() {
            let from = &self.goes_on[self.at..];
            let length = from.len().min(buf.len() - filled);
            buf[filled..filled + length].copy_from_slice(&from[..length]);
            filled += length;
            self.at = (self.at + length) % self.goes_on.len();
        }
        Poll::Ready(Ok(filled))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves a client that has sent this and goes on with that. It takes many polls, each of which ends and asks for the
/// next one.
#[track_caller]
fn expect_turns(sends: &[u8], goes_on: &[u8]) {
    let reads = Arc::new(AtomicUsize::new(0));
    let client = Client { sends: sends.into(), goes_on: goes_on.repeat(1000), at: 0, reads: reads.clone() };
    let drain = Drain::new();
    let guard = drain.watcher().guard().expect("it runs");
    let service = service_fn(|request: Request<Incoming>| async move {
        let mut body = request.into_body();
        while body.frame().await.is_some() {}
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let mut serving = pin!(http.serve(FuturesIo::new(client), service, guard));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let goes_on = goes_on.escape_ascii();
    for polls in 1..6 {
        let before = reads.load(Ordering::Relaxed);
        let polled = serving.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending(), "{goes_on}: {polled:?}");
        assert!(reads.load(Ordering::Relaxed) - before <= 64, "{goes_on}");
        assert!(woken.0.load(Ordering::Relaxed) >= polls, "{goes_on}: it asks for another turn");
    }
}

#[tokio::test]
async fn a_client_that_sends_without_a_pause_leaves_the_thread_to_others() {
    let upload = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    for (sends, goes_on) in [
        (upload, "0"),
        (upload, "1\r\nx\r\n"),
        ("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000000000\r\n\r\n", "x"),
        ("GET / HTTP/1.1\r\nhost: test\r\n\r\n", "GET / HTTP/1.1\r\nhost: test\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", "x"),
        ("nonsense\r\n\r\n", "x"),
        // Empty lines, and extensions of a chunk, are too much some time, and then read on.
        ("", "\r\n"),
        (&format!("{upload}1;"), "x"),
    ] {
        expect_turns(sends.as_bytes(), goes_on.as_bytes());
    }
}

#[tokio::test]
async fn a_client_of_http2_that_sends_small_frames_without_a_pause_leaves_the_thread_to_others() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // POST, without an end.
    let upload = [&preface[..], b"\0\0\x0b\x01\x04\0\0\0\x01\x83\x86\x04\x01/\x01\x04test"].concat();
    for goes_on in [
        // PING, SETTINGS, WINDOW_UPDATE, PRIORITY, and one that nobody knows.
        &b"\0\0\x08\x06\0\0\0\0\0ebbtide!"[..],
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
        b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10",
        b"\0\0\0\x20\0\0\0\0\0",
    ] {
        expect_turns(preface, goes_on);
    }
    // DATA without any.
    expect_turns(&upload, b"\0\0\0\0\0\0\0\0\x01");
}
