//! What not every server has.

/// What a server may leave out, with the promises that are about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// HTTP/2 with prior knowledge, on the same port as HTTP/1.
    Http2,
    /// Connections that are handed to their handler: [`Exchange::echo`](crate::Exchange::echo).
    Upgrade,
    /// Work under a guard of its own that goes on after its response: [`Exchange::work`](crate::Exchange::work).
    Work,
    /// A listener of its own, which closes when the drain begins.
    Listener,
    /// Connections that take a [turn](ebbtide::Guard::turn) in a lame duck time, as those of ebbtide's HTTP adapters do.
    LameDuck,
    /// [`Start::max_connections`](crate::Start::max_connections).
    MaxConnections,
    /// [`Start::shared`](crate::Start::shared), together with [`Start::max_connections`](crate::Start::max_connections).
    Shared,
    /// Bounds while nothing drains: on the wait for a request, [`Bounds::request`](ebbtide_connection::Bounds::request), on
    /// that for a body, [`progress`](ebbtide_connection::Bounds::progress), and on a connection's
    /// [`age`](ebbtide_connection::Bounds::age).
    RequestBound,
    /// A `503` for a request of HTTP/1 that is cut by force before its response has begun.
    LastWords,
    /// A response to a client of HTTP/1 that has closed its direction after its request. (With TLS that is a disconnect.)
    HalfClosed,
    /// Clients that come through TLS: [`Suite::over_tls`](crate::Suite::over_tls). The promises are about handshakes; the
    /// others are about every connection, through TLS or not.
    Tls,
    /// Connections whose guards have a label, so that it can be said who was cut.
    Labels,
}
