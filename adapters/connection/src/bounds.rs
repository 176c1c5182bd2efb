//! Time limits of a connection.

use core::time::Duration;

/// Time limits of a connection: some while the service runs, the others once it drains.
///
/// [`Duration::ZERO`] means "do not wait". The first four limits can be switched off by [`Duration::MAX`].
///
/// # All limits, and what adds up
///
/// | limit | default | while the service runs | while it drains |
/// |---|---|---|---|
/// | [`request`](Self::request) | 30 s | the first head, with a TLS handshake before it; then the connection drains by itself, so half a head has [`head`](Self::head) besides: 35 s | |
/// | [`keep_alive`](Self::keep_alive) | 75 s, up to twice | the next head, from the end of the last response; HTTP/2 without a stream; then the connection drains by itself | |
/// | [`progress`](Self::progress) | 60 s, up to twice | a request body that does not arrive, a response that is not read | a request body that does not arrive |
/// | [`age`](Self::age) | off | the whole connection; then it drains by itself | |
/// | [`silent`](Self::silent) | 150 ms | | no byte yet |
/// | [`idle`](Self::idle) | 100 ms | | kept alive, counted from when the client has the last response |
/// | [`head`](Self::head) | 5 s | | half a head, or half a TLS handshake; behind a handshake the connection is silent: 5.15 s |
/// | [`preface`](Self::preface) | 5 s | | half an HTTP/2 preface |
/// | [`goaway`](Self::goaway) | 5 s; 1 s if no stream was open | | the answer to our PING; if streams are open then, as long again after the last of them: 10 s |
/// | [`stall`](Self::stall) | 5 s; 30 s if the system does not tell what was acknowledged | | a response that is not read |
/// | [`linger`](Self::linger) | 3 s | a client that has closed its direction, while there is nothing to write to it | the same; and what the client still sends after we have closed ours |
///
/// A limit that cuts a request or a response is reported: see
/// [`Connections::cut_by_bounds`](crate::Connections::cut_by_bounds).
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use ebbtide_connection::Bounds;
///
/// let bounds = Bounds::default().idle(Duration::ZERO);
/// assert_eq!(bounds.silent, Duration::from_millis(150));
/// # assert_eq!(bounds.idle, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// While the service runs: the longest wait for the head of the first request, counted from the accept. 30 s: a client
    /// that has just connected has something to say.
    ///
    /// Then the connection drains by itself, as if the drain had begun for it alone. So a request that arrives at the last
    /// moment is answered, and a head that has begun by then gets [`head`](Self::head) more: 35 s in all.
    ///
    /// Half an HTTP/2 preface has this limit too. After its preface, HTTP/2 has [`keep_alive`](Self::keep_alive).
    pub request: Duration,
    /// While the service runs: the longest wait for the next request, counted from the end of the last response. 75 s, and
    /// up to twice as long, since there is one timer for a connection and not one for each request. Then the connection
    /// drains by itself.
    ///
    /// It is longer than most load balancers keep their connections, which is 60 s. If the server closed first, a balancer
    /// could be sending a request at that moment, and would answer its client 502. (nginx has 75 s too.)
    ///
    /// On HTTP/2 it limits the time without a stream, and ends by GOAWAY. That covers a client that never sends its
    /// SETTINGS.
    pub keep_alive: Duration,
    /// While the service runs: the longest time in which a client reads nothing of a response, or sends nothing of a request
    /// body that the handler waits for. 60 s, and up to twice as long. Then the connection is closed and counts as cut.
    ///
    /// A body must bring 256 bytes in half of that time, so that one which comes byte by byte ends too. nginx has 60 s for
    /// each (`send_timeout`, `client_body_timeout`). Request bodies on HTTP/2 have no such limit: there, streams may be
    /// silent for long.
    ///
    /// While the service drains, bodies keep this limit, and responses have [`stall`](Self::stall).
    pub progress: Duration,
    /// While the service runs: the longest life of a connection. Then it drains by itself: its next response says
    /// `Connection: close`, or GOAWAY is sent, and what is in flight completes. So clients reconnect through the load
    /// balancer, and servers that were added get their share.
    ///
    /// Off ([`Duration::MAX`]) by default. The adapters vary it by up to a tenth for each connection, so that clients which
    /// came together do not leave together.
    pub age: Duration,
    /// While the service drains: the longest wait for the first byte of a connection. 150 ms. (Go waits 5 s: golang/go#59037.)
    pub silent: Duration,
    /// While the service drains: the longest wait for a request that is already on its way to an idle connection. 100 ms.
    /// (hyperium/hyper#3792.)
    pub idle: Duration,
    /// While the service drains: the longest wait for the rest of a request head, counted from the start of the drain or
    /// from the head's first byte; and for the rest of what precedes HTTP, such as a TLS handshake. 5 s.
    pub head: Duration,
    /// While the service drains: the longest wait for the rest of an HTTP/2 preface. 5 s. (hyperium/hyper#4170.)
    pub preface: Duration,
    /// While the service drains: the longest wait for the answer to the PING between the two GOAWAYs (RFC 9113,
    /// section 6.8). 5 s, counted from when the client has what was written before the PING, if the system
    /// [tells](crate::policy::Policy::needs_unacknowledged).
    ///
    /// Without an answer, streams that the client opens later are not served. The connection closes so long after the last
    /// open stream. A connection without a stream in the drain has at most 1 s: nobody waits for anything there.
    pub goaway: Duration,
    /// While the service drains: the longest time in which a client reads nothing of what is written to it. 5 s.
    ///
    /// What counts is what the client has acknowledged, so a download over a slow link is not cut, though its socket may
    /// accept no bytes for longer than that. If the system does not tell, it is what the socket accepts that counts, and the
    /// adapters wait six times as long (30 s).
    pub stall: Duration,
    /// After we have closed our direction: how long to read and drop what the client still sends (RFC 9112, section 9.6).
    /// 3 s, and longer while the client still acknowledges what was written, if the system tells. Bytes that arrive at a
    /// closed socket are answered by a reset, which would destroy the end of the response.
    ///
    /// It also limits the opposite case, while the service runs and while it drains: a client has closed its direction
    /// after its request and has the beginning of the response, and for so long there was nothing more to write. Then
    /// nothing shows whether the client is still there, so it is taken to be gone.
    pub linger: Duration,
}

impl Bounds {
    /// No time limits while the service runs, and no waiting once it drains, except for what is in flight.
    pub const NONE: Self = Self {
        request: Duration::MAX,
        keep_alive: Duration::MAX,
        progress: Duration::MAX,
        age: Duration::MAX,
        silent: Duration::ZERO,
        idle: Duration::ZERO,
        head: Duration::ZERO,
        preface: Duration::ZERO,
        goaway: Duration::ZERO,
        stall: Duration::ZERO,
        linger: Duration::ZERO,
    };
}

macro_rules! setters {
    ($($bound:ident)*) => {
        /// Each gives the same bounds, with another time for one of them.
        impl Bounds {
            $(
                #[doc = concat!("Sets [`", stringify!($bound), "`](Self#structfield.", stringify!($bound), ").")]
                #[must_use]
                pub const fn $bound(mut self, time: Duration) -> Self {
                    self.$bound = time;
                    self
                }
            )*
        }
    };
}

setters! { request keep_alive progress age silent idle head preface goaway stall linger }

impl Default for Bounds {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            progress: Duration::from_secs(60),
            age: Duration::MAX,
            silent: Duration::from_millis(150),
            idle: Duration::from_millis(100),
            head: Duration::from_secs(5),
            preface: Duration::from_secs(5),
            goaway: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            linger: Duration::from_secs(3),
        }
    }
}
