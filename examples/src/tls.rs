//! Who the servers are, to TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::Tls;

/// What a hyper server speaks over TLS, the better first.
pub const HTTP: &[&str] = &["h2", "http/1.1"];
/// What an async-h1 server speaks over TLS.
pub const HTTP1: &[&str] = &["http/1.1"];

/// These protocols over TLS, with the certificate of the flags.
///
/// # Errors
///
/// One line that says which file is wrong and why.
pub fn config(tls: &Tls, protocols: &[&str]) -> Result<Arc<ServerConfig>, String> {
    let unreadable = |file: &Path| {
        let file = file.display().to_string();
        move |error| format!("cannot read {file}: {error}")
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(unreadable(&tls.cert))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(unreadable(&tls.key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("{} with {}: {error}", tls.cert.display(), tls.key.display()))?;
    config.alpn_protocols = protocols.iter().map(|&it| it.into()).collect();
    Ok(Arc::new(config))
}
