//! What was negotiated, over sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use ebbtide::Drain;
use ebbtide_hyper::Http;
use ebbtide_testkit::client;
use ebbtide_testkit::http2::{self, PREFACE};
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::{End, Wire};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

/// Serves one connection, whose requests are answered by what was negotiated.
fn server(runtime: &Runtime, config: Arc<ServerConfig>, drain: &Drain, lazy: bool) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let (addr, guard) = (listener.local_addr().expect("bound"), drain.guard().expect("running"));
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let (stream, guard) = ebbtide_rustls::tokio::handshake(stream, guard, |io| async move {
            if !lazy {
                return TlsAcceptor::from(config).accept(io).await;
            }
            let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io).await?;
            assert_eq!(start.client_hello().server_name(), Some("localhost"));
            start.into_stream(config).await
        });
        let session = stream.session();
        assert!(session.negotiated().is_none(), "nothing has come yet");
        let service = service_fn(|_: Request<Incoming>| {
            let negotiated = session.negotiated().expect("there is a request").clone();
            async move {
                let protocol = negotiated.alpn_protocol.unwrap_or_else(|| b"none".into());
                let certificates = negotiated.peer_certificates.map_or(0, |it| it.len());
                assert_eq!(negotiated.server_name.as_deref(), Some("localhost"));
                assert!(negotiated.protocol_version.is_some() && negotiated.cipher_suite.is_some());
                let said = format!("{}, {certificates} certificates", String::from_utf8_lossy(&protocol));
                Ok::<_, Infallible>(Response::new(said))
            }
        });
        let http = Http::new(TokioExecutor::new(), TokioTimer::new());
        let _ = http.serve(TokioIo::new(stream), service, guard).await;
    });
    addr
}

fn connect(addr: SocketAddr, config: Arc<ClientConfig>) -> Wire<Tls<std::net::TcpStream>> {
    Wire::over(Tls::over(Wire::connect(addr).expect("it listens").into_stream(), config))
}

#[test]
fn the_protocol_is_the_better_one_that_both_speak() {
    let (runtime, identity) = (Runtime::new().expect("a runtime"), Identity::new());
    for lazy in [false, true] {
        let (drain, config) = (Drain::new(), identity.server(&["h2", "http/1.1"]));
        let addr = server(&runtime, config.clone(), &drain, lazy);
        let mut client = http2::Client::begin(connect(addr, identity.client(&["http/1.1", "h2"])), PREFACE);
        let stream = client.get("/");
        assert_eq!(client.response(stream), "h2, 0 certificates");
        drop(drain.start());
        assert_eq!(client.end(), End::Fin);

        let drain = Drain::new();
        let addr = server(&runtime, config.clone(), &drain, lazy);
        let mut client = client::Client::on(connect(addr, identity.client(&["http/1.1"])));
        client.get("/");
        client.expect("http/1.1, 0 certificates");
        drop(drain.start());
        client.expect_fin();

        let drain = Drain::new();
        let addr = server(&runtime, config, &drain, lazy);
        let mut client = client::Client::on(connect(addr, identity.client(&[])));
        client.get("/");
        client.expect("none, 0 certificates");
    }
}

#[test]
fn a_client_that_speaks_none_of_the_protocols_is_told_so_and_holds_nothing() {
    let (runtime, identity, drain) = (Runtime::new().expect("a runtime"), Identity::new(), Drain::new());
    let addr = server(&runtime, identity.server(&["http/1.1"]), &drain, false);
    let mut client = connect(addr, identity.client(&["gopher"]));
    assert!(client.offer("GET / HTTP/1.1\r\n").is_err(), "there is no session");
    runtime.block_on(drain.start()).expect("nothing is held");
}

#[test]
fn the_certificates_of_a_client_are_there_for_its_requests() {
    let (runtime, identity, drain) = (Runtime::new().expect("a runtime"), Identity::new(), Drain::new());
    let made = rcgen::generate_simple_self_signed(["a client".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let verifier = WebPkiClientVerifier::builder(roots.into()).build().expect("a root");
    let certificate = CertificateDer::from_pem_slice(identity.pem().as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(identity.pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_client_cert_verifier(verifier);
    let config = config.with_single_cert(vec![certificate.clone()], key).expect("they belong together");
    let addr = server(&runtime, Arc::new(config), &drain, false);

    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = config.with_client_auth_cert(vec![made.cert.der().clone()], key).expect("they belong together");
    let mut client = client::Client::on(connect(addr, Arc::new(config)));
    client.get("/");
    client.expect("none, 1 certificates");
}
