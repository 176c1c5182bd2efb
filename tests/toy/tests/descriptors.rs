//! A process without descriptors; so alone in its file.
#![cfg(unix)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_accept::{AcceptErrorKind, Failure, Listener};
use ebbtide_toy::Toy;
use ebbtide_toy::toy::net::{TcpListener, TcpStream};
use ebbtide_toy::toy::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A listener that counts its errors.
struct Counted(TcpListener, Rc<Cell<u32>>);

impl Listener<Toy> for Counted {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        Listener::poll_accept(&mut self.0, cx).map_err(|error| {
            self.1.set(self.1.get() + 1);
            error
        })
    }

    fn into_socket(self) -> io::Result<std::net::TcpListener> {
        self.0.into_socket()
    }

    fn peer(stream: &TcpStream) -> ebbtide_toy::Peer {
        TcpListener::peer(stream)
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpListener::adopt(stream)
    }
}

#[test]
fn a_lack_of_descriptors_is_waited_out() {
    block_on(async {
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let (listener, errors) = (TcpListener::bind("127.0.0.1:0").unwrap(), Rc::new(Cell::new(0)));
        let address = listener.local_addr().unwrap();
        let mut clients: Vec<TcpStream> =
            (0..10).map(|_| std::net::TcpStream::connect(address).unwrap().try_into().unwrap()).collect();
        let (told, heard) = std::sync::mpsc::channel();
        let hello = |mut stream: TcpStream, guard| async move {
            stream.write_all(b"hello").await.unwrap();
            drop(guard);
        };
        let accepting = ebbtide_toy::serve(Counted(listener, errors.clone()), guard, hello).on_error(move |failure| {
            let Failure::Accept { kind, .. } = failure else { return };
            told.send(*kind).unwrap();
        });
        let server = toy::spawn(accepting);

        // The number that the next descriptor would have.
        let next = io::stdin().as_fd().try_clone_to_owned().unwrap().as_raw_fd();
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: u64::try_from(next).ok(), ..before }).unwrap();
        // Something is to be shown not to happen in it: connections, and errors without a pause between them.
        toy::sleep(Duration::from_millis(100)).await;
        assert_eq!(drain.guards(), 1, "accepted without a descriptor");
        assert!((2..=20).contains(&errors.get()), "{errors:?} errors in ten pauses");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [AcceptErrorKind::Exhaustion], "told once a second");

        setrlimit(Resource::Nofile, before).unwrap();
        for client in &mut clients {
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "hello");
        }
        drain.start().await.expect("nothing was cut");
        server.await.unwrap().unwrap();
    });
}
