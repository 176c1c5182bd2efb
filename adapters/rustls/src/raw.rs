//! `Raw`: the connection below TLS.

use ebbtide_connection::Handshake;

/// The connection below TLS. It passes bytes through, and reports when the client begins its handshake.
#[derive(Debug)]
pub struct Raw<I> {
    pub(crate) inner: I,
    handshake: Handshake,
}

impl<I> Raw<I> {
    pub(crate) fn new(inner: I, handshake: Handshake) -> Self {
        Self { inner, handshake }
    }

    /// Reports that this many bytes were read.
    #[inline]
    pub(crate) fn came(&self, bytes: usize) {
        if bytes > 0 {
            self.handshake.heard();
        }
    }
}
