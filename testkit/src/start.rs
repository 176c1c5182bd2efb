//! What a server is given to start with.

use std::net::TcpListener;

use ebbtide::Guard;
use ebbtide_connection::Bounds;

use crate::application::Application;

/// Everything that a server under test needs: it serves `application` on `listener` until the drain of `guard` is over.
///
/// The suite keeps the drain itself: it starts it, closes it by force, and asks who is held.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// Where it is to listen: bound, on loopback, in blocking mode.
    pub listener: TcpListener,
    /// For its accept loop; every connection has a clone of it, or its label.
    pub guard: Guard,
    /// What it is to serve.
    pub application: Application,
    /// Its connections' bounds.
    pub bounds: Bounds,
    /// The limit of open connections, if there is one.
    pub max_connections: Option<usize>,
    /// The TLS configuration, if its clients come through TLS: [`Suite::over_tls`](crate::Suite::over_tls).
    #[cfg(feature = "rustls")]
    pub tls: Option<std::sync::Arc<rustls::ServerConfig>>,
    /// Whether somebody else has the listening socket too, so that what is queued is to be left to them.
    pub shared: bool,
}
