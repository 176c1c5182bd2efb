//! What the accept loop has of async-std.

use async_std::io::{Read, ReadExt, Write, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use ebbtide::{Drain, Guard};

async fn hello(mut stream: impl Write + Unpin, guard: Guard) {
    let _ = stream.write_all(b"hello").await;
    drop(guard);
}

async fn heard(stream: &mut (impl Read + Unpin)) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("it was reset");
    said
}

#[test]
fn the_queue_of_a_listener_is_served() {
    async_std::task::block_on(async {
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut queued = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let drained = drain.start();
        ebbtide_async_std::serve(listener, guard, hello).await.expect("it ends well");
        assert_eq!(heard(&mut queued).await, "hello");
        drained.await.expect("nothing was cut");
    });
}

#[cfg(unix)]
#[test]
fn connections_of_the_file_system_are_served_before_and_at_the_drain() {
    use async_std::os::unix::net::{UnixListener, UnixStream};

    async_std::task::block_on(async {
        let path = std::env::temp_dir().join(format!("ebbtide-async-std-{}", std::process::id()));
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let server =
            async_std::task::spawn(ebbtide_async_std::serve(UnixListener::bind(&path).await.unwrap(), guard, hello));
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
