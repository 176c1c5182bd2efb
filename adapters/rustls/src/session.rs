//! `Session`: what was negotiated in a handshake.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};

/// What was negotiated on a TLS connection, filled when the handshake is complete.
///
/// # Examples
///
/// ```
/// use ebbtide_rustls::Session;
///
/// fn speaks_http2(session: &Session) -> bool {
///     let protocol = session.negotiated().and_then(|it| it.alpn_protocol.as_deref());
///     protocol == Some(b"h2")
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Session(Arc<OnceLock<Negotiated>>);

/// The parameters of a TLS connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Negotiated {
    /// The application protocol (ALPN, RFC 7301); `None` if the client offered none.
    pub alpn_protocol: Option<Vec<u8>>,
    /// The client's certificate chain, its own first; `None` if it was asked for none, or has none.
    pub peer_certificates: Option<Vec<CertificateDer<'static>>>,
    /// The server name that the client has asked for (SNI, RFC 6066, section 3).
    pub server_name: Option<String>,
    /// The version of TLS.
    pub protocol_version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
}

impl Session {
    /// What was negotiated; `None` until the handshake is complete. While a request is being served, it is.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.0.get()
    }

    pub(crate) fn begin(&self, connection: &ServerConnection) {
        self.0.get_or_init(|| Negotiated {
            alpn_protocol: connection.alpn_protocol().map(Into::into),
            peer_certificates: connection.peer_certificates().map(Into::into),
            server_name: connection.server_name().map(Into::into),
            protocol_version: connection.protocol_version(),
            cipher_suite: connection.negotiated_cipher_suite().map(|it| it.suite()),
        });
    }
}
