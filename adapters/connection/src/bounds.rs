//! `Bounds`: the time limits of a connection.

use core::time::Duration;

/// Time limits of a connection: some while the service runs, the others once it drains.
///
/// [`Duration::ZERO`] means "do not wait". The first four limits can be switched off by [`Duration::MAX`].
///
/// # All limits, and what adds up
///
/// | limit | default | while the service runs | while it drains |
/// |---|---|---|---|
/// | [`request`](Self::request) | 30 s | the first head, and a TLS handshake before it; then the connection drains by itself, so half a head gets [`head`](Self::head) in addition: 35 s | |
/// | [`keep_alive`](Self::keep_alive) | 75 s, up to twice | the next head, from the end of the last response; HTTP/2 without a stream; then the connection drains by itself | |
/// | [`progress`](Self::progress) | 60 s, up to twice | a request body that does not arrive, a response that is not read | a request body that does not arrive |
/// | [`age`](Self::age) | off | the whole connection; then it drains by itself | |
/// | [`silent`](Self::silent) | 150 ms | | no byte yet |
/// | [`idle`](Self::idle) | 100 ms | | kept alive, counted from when the client has the last response |
/// | [`head`](Self::head) | 5 s | | half a head, or half a TLS handshake; behind a handshake the connection is silent: 5.15 s |
/// | [`preface`](Self::preface) | 5 s | | half an HTTP/2 preface |
/// | [`goaway`](Self::goaway) | 5 s; 1 s if no stream was open | | the answer to our PING; if streams are open then, the same again after the last of them: 10 s |
/// | [`stall`](Self::stall) | 5 s; 30 s if the system does not tell what was acknowledged | | a response that is not read |
/// | [`linger`](Self::linger) | 3 s | a client that has closed its direction, while there is nothing to write to it | the same; also, what the client still sends after we have closed ours |
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
    /// While the service runs: the longest wait for the head of the first request, counted from the accept. 30 s.
    ///
    /// Then the connection drains by itself, as if the drain had begun for it alone. So a request that arrives at the last
    /// moment is answered. A head that has begun by then gets [`head`](Self::head) in addition: 35 s in all.
    ///
    /// Half an HTTP/2 preface has this limit too. After its preface, HTTP/2 has [`keep_alive`](Self::keep_alive).
    pub request: Duration,
    /// While the service runs: the longest wait for the next request, counted from the end of the last response.
    ///
    /// 75 s, and up to twice as long, since there is one timer per connection and not one per request. Then the connection
    /// drains by itself.
    ///
    /// It is longer than the 60 s for which most load balancers keep their connections. If the server closed first, a balancer
    /// could just be sending a request, and would answer its client 502. (nginx has 75 s too.)
    ///
    /// On HTTP/2 it limits the time without a stream, and ends by GOAWAY. That covers a client that never sends its
    /// SETTINGS.
    pub keep_alive: Duration,
    /// While the service runs: the longest time in which a client makes no progress.
    ///
    /// It reads nothing of a response, or sends nothing of a request body that the handler waits for. 60 s, and up to twice
    /// as long. Then the connection is closed and counts as cut.
    ///
    /// A body must bring 256 bytes in half of that time, so that one which comes byte by byte ends too. Request bodies on
    /// HTTP/2 have no such limit: there, streams may be silent for long. (nginx has 60 s for each: `send_timeout`,
    /// `client_body_timeout`.)
    ///
    /// While the service drains, bodies keep this limit, and responses have [`stall`](Self::stall).
    pub progress: Duration,
    /// While the service runs: the maximum age of a connection. Off ([`Duration::MAX`]) by default.
    ///
    /// Then the connection drains by itself: its next response says `Connection: close`, or GOAWAY is sent, and requests in
    /// flight complete. So clients reconnect through the load balancer, and servers that were added get their share.
    ///
    /// It varies by up to a tenth per connection, so that clients which came together do not leave together.
    pub age: Duration,
    /// While the service drains: the longest wait for the first byte of a connection. 150 ms. (Go waits 5 s: golang/go#59037.)
    pub silent: Duration,
    /// While the service drains: the longest wait for a request that is already on its way to an idle connection. 100 ms.
    /// (hyperium/hyper#3792.)
    pub idle: Duration,
    /// While the service drains: the longest wait for the rest of a request head. 5 s.
    ///
    /// It is counted from the start of the drain, or from the head's first byte if that is later. It also limits the rest of
    /// what precedes HTTP, such as a TLS handshake.
    pub head: Duration,
    /// While the service drains: the longest wait for the rest of an HTTP/2 preface. 5 s. (hyperium/hyper#4170.)
    pub preface: Duration,
    /// While the service drains: the longest wait for the answer to the PING between the two GOAWAYs (RFC 9113,
    /// section 6.8). 5 s.
    ///
    /// It is counted from when the client has received what was written before the PING, if the system
    /// [tells](crate::policy::Policy::needs_unacknowledged). Without an answer, streams that the client opens later are not
    /// served, and the connection closes this long after the last open stream. A connection that had no stream in the drain
    /// waits for at most 1 s.
    pub goaway: Duration,
    /// While the service drains: the longest time in which a client reads nothing of what is written to it. 5 s.
    ///
    /// The client makes progress if it acknowledges bytes. So a download over a slow link is not cut, though its socket may
    /// accept no bytes for longer than 5 s. If the system does not tell what was acknowledged, progress is what the socket
    /// accepts, and the wait is six times as long (30 s).
    pub stall: Duration,
    /// After we have closed our direction: how long to read and drop what the client still sends (RFC 9112, section 9.6).
    /// 3 s, and longer while the client still acknowledges what was written, if the system tells.
    ///
    /// Bytes that arrive at a closed socket are answered by a reset, which would destroy the end of the response.
    ///
    /// It also limits the opposite case, while the service runs and while it drains. If a client has closed its direction after
    /// its request, only a write shows whether it is still there. If its response has begun and nothing more could be written
    /// for this long, the client is taken to be gone.
    pub linger: Duration,
}

impl Bounds {
    /// No time limits while the service runs. Once it drains, only requests in flight are waited for.
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

/// [`Bounds`] in half of the memory, since each connection has them: nanoseconds, of which the most, 584 years, stands for
/// every longer time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    nanos: [u64; BOUNDS],
}

fn pack(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn unpack(nanos: u64) -> Duration {
    if nanos == u64::MAX { Duration::MAX } else { Duration::from_nanos(nanos) }
}

macro_rules! setters {
    ($($bound:ident)*) => {
        /// Setters: each returns the bounds with one limit changed.
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

        const BOUNDS: usize = [$(stringify!($bound)),*].len();

        impl From<Bounds> for Packed {
            fn from(Bounds { $($bound),* }: Bounds) -> Self {
                Self { nanos: [$(pack($bound)),*] }
            }
        }

        impl Packed {
            // Inlined, so that only what is used is converted.
            #[inline]
            pub(crate) fn bounds(self) -> Bounds {
                let [$($bound),*] = self.nanos;
                Bounds { $($bound: unpack($bound)),* }
            }
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
