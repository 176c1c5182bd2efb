//! How long a connection is waited for, state by state.

use core::time::Duration;

/// How long a connection is waited for: for a [`request`](Self::request) at any time, and state by state once it drains.
/// Zero is allowed: it means "not at all".
///
/// # All bounds, and what adds up
///
/// | bound | default | while it runs | while it drains |
/// |---|---|---|---|
/// | [`request`](Self::request) | 30 s | the first head, what precedes HTTP included; then the connection drains by itself, so half a head has [`head`](Self::head) besides: 35 s | |
/// | [`keep_alive`](Self::keep_alive) | 75 s, up to twice | the next head, from the end of the response before; HTTP/2 without a stream; then it drains by itself | |
/// | [`progress`](Self::progress) | 60 s, up to twice | a body that does not come, a response that is not taken | a body that does not come |
/// | [`age`](Self::age) | off | the connection; then it drains by itself | |
/// | [`silent`](Self::silent) | 150 ms | | no byte yet |
/// | [`idle`](Self::idle) | 100 ms | | kept alive, from when its client has the last response |
/// | [`head`](Self::head) | 5 s | | half a head, or half of what precedes HTTP; behind that a connection is silent: 5.15 s |
/// | [`preface`](Self::preface) | 5 s | | half of an HTTP/2 preface |
/// | [`goaway`](Self::goaway) | 5 s; 1 s if no stream was open | | the answer to our PING; if streams are open then, as long again behind the last of them: 10 s |
/// | [`stall`](Self::stall) | 5 s; 30 s if the system does not tell what was acknowledged | | a response that is not taken |
/// | [`linger`](Self::linger) | 3 s | a client that ended its direction and is written nothing | the same; and what it still sends behind our end |
///
/// A bound that ends something which was in flight, or not all with its client, is told: see
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
    /// Before the drain: for the head of the first request, counted from the connection's beginning. 30 s: a client that has
    /// just connected has something to say. Then the connection drains by itself, as if the drain had begun for it alone:
    /// so a request that comes at the last moment is answered, and a head that has begun by then has
    /// [`head`](Self::head) besides, which makes 35 s. [`Duration::MAX`]: for ever.
    ///
    /// It is for half of an HTTP/2 preface too. A connection of HTTP/2 has [`keep_alive`](Self::keep_alive) from its preface on.
    pub request: Duration,
    /// Before the drain: for the head of the next request, counted from the request before. 75 s, and up to twice as long,
    /// since a timer is set for a connection and not for each of its requests. Then the same happens. Longer than what
    /// load balancers keep theirs for, which is 60 s in most: who ends it first is not surprised by the other's end, and
    /// one that is surprised in mid-request answers its own client with 502. (nginx has 75 s too.) A connection of HTTP/2 on
    /// which no stream is open for so long is told by GOAWAY; one whose client never sends its SETTINGS is one of those.
    pub keep_alive: Duration,
    /// For a client to take some of a response, or to send some of a body that its handler waits for. 60 s,
    /// and up to twice as long; then the connection is closed, and counts as cut. Of a body at least 256 bytes in half of that
    /// time, for one that comes byte by byte would never end. ([`Duration::MAX`]: for ever.) nginx has 60 s for each
    /// (`send_timeout`, `client_body_timeout`). A body on HTTP/2 has no such bound: streams that are silent for long are
    /// usual there.
    ///
    /// While it drains, a body has the same bound, and a response has [`stall`](Self::stall).
    pub progress: Duration,
    /// Before the drain: for the connection as a whole. After it, it drains by itself: its responses say
    /// `Connection: close`, or it is told by GOAWAY, and what is in flight completes. So clients come back through the load
    /// balancer, and a fleet that has grown gets its share of them. Off ([`Duration::MAX`]) unless it is set. Adapters vary it
    /// by up to a tenth for each connection, so that those that came together do not go together.
    pub age: Duration,
    /// Grace for the first byte of a connection. 150 ms. (Go holds the drain 5 s: golang/go#59037.)
    pub silent: Duration,
    /// Grace for a request already on the wire to an idle connection. 100 ms. (hyperium/hyper#3792.)
    pub idle: Duration,
    /// For the rest of a request head, counted from the drain or from the head's first byte; and for the rest of what
    /// precedes HTTP, such as a TLS handshake. 5 s.
    pub head: Duration,
    /// For the rest of an HTTP/2 preface. 5 s. (hyperium/hyper#4170.)
    pub preface: Duration,
    /// For the answer to the PING between the two GOAWAYs (RFC 9113, section 6.8), once what was written before it is with
    /// the client, if the system [tells](crate::policy::Policy::needs_unacknowledged). 5 s. Without the answer no stream is served that is opened later,
    /// and the connection closes once none is open and so much time has passed again.
    ///
    /// At most 1 s for a connection that had no stream in the drain: then nobody waits for anything.
    pub goaway: Duration,
    /// For a client to take some of what is written to it. 5 s. A client has taken something if it was acknowledged: a
    /// download on a slow link is not cut, though its socket takes no more for longer than that. Where the system does not
    /// tell, it counts what the socket takes, and adapters wait for six times as long (30 s).
    pub stall: Duration,
    /// For reading and dropping what a client still sends after our end was written (RFC 9112, section 9.6). 3 s, and
    /// longer as long as the client takes what was written before, if the system tells: bytes that meet a closed socket
    /// are answered by a reset, which would destroy that.
    ///
    /// So long, too, before the drain and in it, a client is taken to be there that has ended its direction behind its
    /// request, while nothing of the response that it has begun to get is to be written: then nothing tells whether it is.
    pub linger: Duration,
}

impl Bounds {
    /// A draining connection is waited for while something is in flight, and for nothing else; one that does not drain,
    /// for ever.
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
