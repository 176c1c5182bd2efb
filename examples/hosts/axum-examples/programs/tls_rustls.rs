// TLS by rustls, as in axum's example `tls-rustls`, which has it from axum-server.

use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use tokio::time::sleep;

#[tokio::main]
pub async fn main() {
    let mut arguments = std::env::args().rev();
    let [address, key, certificate] = std::array::from_fn(|_| arguments.next().unwrap());
    let config = RustlsConfig::from_pem_file(certificate, key).await.unwrap();
    let app = Router::new().route("/slow", get(|| async { sleep(Duration::from_secs(1)).await }));

    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    axum_server::from_tcp_rustls(listener, config).unwrap().serve(app.into_make_service()).await.unwrap();
}
