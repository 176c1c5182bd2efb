//! The connection below TLS.

use ebbtide_connection::Handshake;

/// The connection below TLS: as it was, but it tells when the client begins its handshake.
#[derive(Debug)]
pub struct Raw<I> {
    pub(crate) inner: I,
    handshake: Handshake,
}

impl<I> Raw<I> {
    pub(crate) fn new(inner: I, handshake: Handshake) -> Self {
        Self { inner, handshake }
    }

    /// So many bytes were read.
    #[inline]
    pub(crate) fn came(&self, bytes: usize) {
        if bytes > 0 {
            self.handshake.heard();
        }
    }
}
