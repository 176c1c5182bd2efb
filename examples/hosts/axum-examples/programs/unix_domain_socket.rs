// A server on a Unix socket that knows its clients, as in axum's example `unix-domain-socket`.

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::routing::get;
use axum::serve;
use tokio::net::UnixListener;
use tokio::net::unix::UCred;

#[tokio::main]
pub async fn main() {
    let path = std::env::args().next_back().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    println!("listening on {path}");
    let app = Router::new().route("/", get(hello)).into_make_service_with_connect_info::<Client>();
    serve(listener, app).await.unwrap();
}

async fn hello(ConnectInfo(client): ConnectInfo<Client>) -> String {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    format!("hello, process {}", client.0.pid().unwrap_or_default())
}

#[derive(Clone, Debug)]
struct Client(UCred);

impl Connected<serve::IncomingStream<'_, UnixListener>> for Client {
    fn connect_info(stream: serve::IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().unwrap())
    }
}
