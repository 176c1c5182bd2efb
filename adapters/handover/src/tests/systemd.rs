//! What systemd is told and what it passes, played by the test.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::process::{Place, ask};

struct Manager(UnixDatagram);

impl Manager {
    fn at(place: &Place) -> (Self, String) {
        let path = place.file("notify");
        let socket = UnixDatagram::bind(&path).expect("a path");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        (Self(socket), path.to_str().expect("text").to_owned())
    }

    /// The next message, which comes with a descriptor.
    fn stores(&self) -> (String, OwnedFd) {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let text = String::from_utf8_lossy(&bytes[..received.expect("it is told something").bytes]).into_owned();
        let descriptor = control.drain().find_map(|it| match it {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        (text, descriptor.expect("it comes with one"))
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("it is told something");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

#[test]
fn the_manager_hears_of_a_restart_and_of_a_stop() {
    let place = Place::new("manager");
    let (manager, notify) = Manager::at(&place);
    let mut process = place.start(&[("EBBTIDE_OBEYS", "1"), ("EBBTIDE_HOLDS", "1"), ("NOTIFY_SOCKET", &notify)]);
    assert!(manager.hears().starts_with("READY=1\nSTATUS=serving"));
    process.says("ready");
    process.hears("replace");
    let reloading = manager.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let pid: u32 = process.says("replaced by ").parse().expect("a number");
    // They come from two processes.
    let mut both = [manager.hears(), manager.hears()];
    both.sort();
    assert!(both[0].starts_with(&format!("MAINPID={pid}\nREADY=1")), "{both:?}");
    assert!(both[1].starts_with("READY=1\nSTATUS=serving"), "{both:?}");

    // The successor stops. The first process still drains, and says nothing any more.
    process.hears("stop");
    let stopping = manager.hears();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS=draining: "), "{stopping}");
    let remains = manager.hears();
    assert!(remains.starts_with("STATUS=draining: 1 held\nEXTEND_TIMEOUT_USEC="), "{remains}");
    assert!(!manager.hears().contains("EXTEND_TIMEOUT_USEC"), "nothing has gone on");
    process.hears("let go");
}

#[test]
fn listeners_come_from_the_manager_and_are_stored_there() {
    let place = Place::new("passed");
    let (manager, notify) = Manager::at(&place);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    fcntl_setfd(&listener, FdFlags::empty()).expect("a descriptor");
    let number = listener.as_raw_fd().to_string();
    let passed = [("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "l0"), ("LISTEN_FDS_FIRST_FD", &number), ("FDSTORE", "8")];
    let mut process = place.start(&[&passed[..], &[("NOTIFY_SOCKET", &notify), ("EBBTIDE_OBEYS", "1")]].concat());
    fcntl_setfd(&listener, FdFlags::CLOEXEC).expect("a descriptor");
    assert_eq!(process.says("port "), format!("{port} Inherited"));
    process.says("ready");
    assert!(manager.hears().starts_with("FDSTORE=1\nFDNAME=l0"));
    assert_eq!(ask(port).expect("it listens"), process.id());
    process.hears("stop");
    process.says("drained");
    // Nobody is refused: the manager has it, and a next process.
    listener.set_nonblocking(false).expect("a socket");
    let client = std::thread::spawn(move || ask(port));
    drop(listener.accept().expect("the client"));
    drop(client.join().expect("no panic"));
}

#[test]
fn a_stored_listener_takes_clients_between_a_stop_and_the_next_start() {
    let place = Place::new("stored");
    let (manager, notify) = Manager::at(&place);
    let path = place.file("service");
    let said = path.to_str().expect("text");
    let variables = [("EBBTIDE_UNIX", said), ("EBBTIDE_OBEYS", "1"), ("FDSTORE", "8"), ("NOTIFY_SOCKET", &notify)];
    let mut process = place.start(&variables);
    process.says("ready");
    let mut stored = [manager.stores(), manager.stores()];
    stored.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(stored[1].0.starts_with("FDSTORE=1\nFDNAME=unix"), "{stored:?}");
    process.hears("stop");
    process.says("drained");
    process.ends();
    UnixStream::connect(&path).expect("it waits in the queue");
}
