//! What the accept loop has of smol.

use ebbtide::{Drain, Guard};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

async fn hello(mut stream: impl AsyncWrite + Unpin, guard: Guard) {
    let _ = stream.write_all(b"hello").await;
    drop(guard);
}

async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("it was reset");
    said
}

#[test]
fn the_queue_of_a_listener_that_is_shared_is_served() {
    smol::block_on(async {
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut queued = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (shared, drained) = (listener.clone(), drain.start());
        ebbtide_smol::serve(listener, guard, hello).await.expect("it ends well");
        assert_eq!(heard(&mut queued).await, "hello");
        drained.await.expect("nothing was cut");
        drop(shared);
    });
}

#[cfg(unix)]
#[test]
fn connections_of_the_file_system_are_served_before_and_at_the_drain() {
    use smol::net::unix::{UnixListener, UnixStream};

    smol::block_on(async {
        let path = std::env::temp_dir().join(format!("ebbtide-smol-{}", std::process::id()));
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let server = smol::spawn(ebbtide_smol::serve(UnixListener::bind(&path).unwrap(), guard, hello));
        assert_eq!(heard(&mut UnixStream::connect(&path).await.unwrap()).await, "hello");
        let mut queued = UnixStream::connect(&path).await.unwrap();
        let drained = drain.start();
        assert_eq!(heard(&mut queued).await, "hello");
        server.await.expect("it ends well");
        drained.await.expect("nothing was cut");
        assert!(UnixStream::connect(&path).await.is_err(), "it listens on");
        std::fs::remove_file(path).unwrap();
    });
}
