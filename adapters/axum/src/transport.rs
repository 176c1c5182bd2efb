//! What lies between a connection and HTTP.

#[cfg(feature = "rustls")]
use std::sync::Arc;

use ebbtide::Guard;
use ebbtide_hyper::Accepted;
use hyper::http::Extensions;
use hyper::rt::{Read, Write};
#[cfg(feature = "rustls")]
use rustls::ServerConfig;

/// What lies between the connections `I` of a runtime `R` and HTTP: nothing, or TLS.
pub trait Transport<R, I>: Clone + Send + 'static {
    /// The connection, to hyper.
    type Io: Read + Write + Unpin + Send + 'static;
    /// What its requests may know of it.
    type Session: Clone + Send + 'static;

    /// Begins a connection. What precedes HTTP on it is told by what stands in the place of its guard then.
    fn begin(&self, io: I, guard: Guard) -> (Self::Io, Accepted, Self::Session);

    /// Tells a request.
    fn tell(session: &Self::Session, extensions: &mut Extensions);
}

/// HTTP on the connection itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// HTTP through TLS. What was negotiated is in the extensions of every request: a [`Session`](crate::Session).
#[cfg(feature = "rustls")]
#[derive(Clone, Debug)]
pub struct Rustls(Arc<ServerConfig>);

#[cfg(feature = "rustls")]
impl Rustls {
    /// With the protocols that are served, unless it says which.
    pub(crate) fn new(mut config: Arc<ServerConfig>) -> Self {
        if config.alpn_protocols.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = vec!["h2".into(), "http/1.1".into()];
        }
        Self(config)
    }

    /// Who the server is, and what it speaks.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }
}
