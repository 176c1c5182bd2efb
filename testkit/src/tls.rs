//! TLS, as a client has it, and who the two ends are to each other.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig};

use crate::transport::Transport;

/// Who a server is: a key, and a certificate that says it is `localhost`, which only its own clients believe.
#[derive(Clone)]
pub struct Identity {
    pem: String,
    certificate: CertificateDer<'static>,
}

impl Identity {
    /// A new one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        Self { pem: made.cert.pem() + &made.signing_key.serialize_pem(), certificate: made.cert.into() }
    }

    /// The certificate and the key, as a server reads them from a file.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// For the server. It speaks these protocols, the better first (ALPN); none: it does not ask.
    #[must_use]
    pub fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(self.pem.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("known versions").with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.certificate.clone()], key).expect("they belong together");
        config.alpn_protocols = protocols.iter().map(|&it| it.into()).collect();
        Arc::new(config)
    }

    /// For its clients. They speak these protocols.
    #[must_use]
    pub fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("known versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|&it| it.into()).collect();
        Arc::new(config)
    }
}

const NAME: &str = "localhost";

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// A client's connection through TLS. What is first read or written does the handshake.
///
/// It ends well by a `close_notify` alone: an end without one is an [`UnexpectedEof`](ErrorKind::UnexpectedEof), which
/// [`Wire`](crate::wire::Wire) takes for a reset. In the middle of the handshake any end will do.
#[derive(Debug)]
pub struct Tls<S> {
    connection: ClientConnection,
    stream: S,
    /// On its way to the server.
    unsent: Vec<u8>,
    /// Sends nothing before it is to write.
    stopped: bool,
}

/// How many bytes of a response are encrypted at a time if it is not known whether there is room for more.
const PIECE: usize = 16 * 1024;

impl<S> Tls<S> {
    /// TLS on a connection that is there already, on which nothing was said yet.
    pub fn over(stream: S, config: Arc<ClientConfig>) -> Self {
        let name = NAME.try_into().expect("a name");
        let connection = ClientConnection::new(config, name).expect("a session");
        Self { connection, stream, unsent: Vec::new(), stopped: false }
    }

    /// The session, for what was negotiated.
    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    fn encrypted(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.unsent)?;
        }
        Ok(())
    }

    fn decrypted(&mut self) -> io::Result<()> {
        self.connection.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(())
    }
}

impl<S: Read + Write> Tls<S> {
    fn send(&mut self) -> io::Result<()> {
        self.encrypted()?;
        self.stream.write_all(&self.unsent)?;
        self.unsent.clear();
        self.stream.flush()
    }

    /// Reads some more. Returns whether it was not the end.
    fn more(&mut self) -> io::Result<bool> {
        let more = self.connection.read_tls(&mut self.stream)? > 0;
        self.decrypted()?;
        Ok(more)
    }

    fn handshake(&mut self) -> io::Result<()> {
        self.stopped = false;
        while self.connection.is_handshaking() {
            self.send()?;
            if self.connection.is_handshaking() && !self.more()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.send()
    }
}

impl<S: Read + Write> Read for Tls<S> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let ends_anyhow = self.stopped || self.connection.is_handshaking();
        loop {
            if !self.stopped {
                self.send()?;
            }
            match self.connection.reader().read(space) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if !self.more()? && ends_anyhow {
                return Ok(0);
            }
        }
    }
}

impl<S: Read + Write> Write for Tls<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Before the handshake: so it goes with the last of that, and not behind it.
        let written = self.connection.writer().write(bytes)?;
        self.handshake()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Transport> Transport for Tls<S> {
    fn half_close(&mut self) -> io::Result<()> {
        if !self.stopped {
            self.connection.send_close_notify();
            self.send()?;
        }
        self.stream.half_close()
    }

    /// What is left of the last record is sent with what is written next.
    fn fill(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.handshake()?;
        let mut filled = 0;
        while filled < bytes.len() && self.unsent.is_empty() {
            let piece = &bytes[filled..bytes.len().min(filled + PIECE)];
            filled += self.connection.writer().write(piece)?;
            self.encrypted()?;
            let sent = self.stream.fill(&self.unsent)?;
            self.unsent.drain(..sent);
        }
        self.stopped = !self.unsent.is_empty();
        Ok(filled)
    }

    fn is_ended(&mut self) -> bool {
        loop {
            match self.connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return false,
                Ok(state) if !state.peer_has_closed() => {}
                _ => return true,
            }
            match self.connection.read_tls(&mut Now(&mut self.stream)) {
                Ok(bytes) if bytes > 0 => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                _ => return true,
            }
        }
    }

    fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            self.decrypted()?;
            match self.connection.reader().read(space) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.connection.read_tls(&mut Now(&mut self.stream))?;
        }
    }

    /// The client's part of a handshake is over before the server's. With TLS 1.3 a session ticket comes when the server has
    /// done its own (RFC 8446, section 4.6.1). Without one a connection that is closed at once may be reset.
    fn ready(&mut self) -> io::Result<()> {
        self.handshake()?;
        let has_tickets = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        while has_tickets && self.connection.tls13_tickets_received() == 0 {
            if !self.more()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.stopped = false;
        self.send()
    }

    fn begin(&mut self, most: usize) -> io::Result<()> {
        self.encrypted()?;
        let length = self.unsent.len().min(most);
        self.stream.write_all(&self.unsent[..length])?;
        self.unsent.drain(..length);
        self.stopped = true;
        self.stream.flush()
    }
}

/// Reads what is there.
struct Now<'a, S>(&'a mut S);

impl<S: Transport> Read for Now<'_, S> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(space)
    }
}
