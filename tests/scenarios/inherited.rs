//! A main listener that the server inherits, as from systemd, and that has other owners.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, fail_inheriting};

#[test]
fn an_inherited_listener_is_served_and_then_left_to_its_other_owners() {
    let owned = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::start_inheriting(owned.try_clone().expect("a descriptor"), &[("LISTEN_FDNAMES", "main")]);
    assert_eq!(server.main, owned.local_addr().expect("bound"));
    let mut client = server.upload();
    server.drain();
    // The server's flag is one of the socket, so ours too.
    owned.set_nonblocking(false).expect("a socket");
    let _during = Client::connect(server.main);
    owned.accept().expect("who comes during the drain is for the others");
    client.send("2");
    assert_eq!(client.response().text(), "2");
    let main = server.main;
    server.drained();
    let _after = Client::connect(main);
    owned.accept().expect("and who comes after it");
}

#[test]
fn a_listener_that_was_passed_to_another_process_is_not_taken() {
    let passed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::start_inheriting(passed.try_clone().expect("a descriptor"), &[("LISTEN_PID", "1")]);
    assert_ne!(server.main, passed.local_addr().expect("bound"));
    drop(Client::idle(server.main));
    server.drain();
    let exit = server.exit();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stderr.contains("sockets were passed to process 1, and not to this one"), "{exit:#?}");
}

/// It ends with 2 and one line, and listens nowhere.
fn refuses(descriptor: Option<OwnedFd>, variables: &[(&str, &str)], why: &str) {
    let exit = fail_inheriting(descriptor, variables);
    let name = format!("{variables:?}: {exit:#?}");
    assert_eq!((exit.code, exit.stdout.len(), exit.stderr.lines().count()), (Some(2), 0, 1), "{name}");
    assert!(exit.stderr.starts_with(&format!("server: {why}")), "{name}, and not {why}");
}

fn listener() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").expect("a port").into()
}

#[test]
fn an_environment_that_makes_no_sense_is_named() {
    for (variables, why) in [
        ([("LISTEN_FDS", "")], "LISTEN_FDS: \"\" is no number"),
        ([("LISTEN_FDS", "0")], "LISTEN_FDS: \"0\" is no number"),
        ([("LISTEN_FDS", "-1")], "LISTEN_FDS: \"-1\" is no number"),
        ([("LISTEN_FDS", "one")], "LISTEN_FDS: \"one\" is no number"),
        ([("LISTEN_FDS", "1\n")], "LISTEN_FDS: \"1\\n\" is no number"),
        ([("LISTEN_FDS", "2147483647")], "LISTEN_FDS: \"2147483647\" is no number"),
        ([("LISTEN_FDS", "99999999999")], "LISTEN_FDS: \"99999999999\" is no number"),
        ([("LISTEN_PID", "-1")], "LISTEN_PID: \"-1\" is no process"),
        ([("LISTEN_PID", "99999999999")], "LISTEN_PID: \"99999999999\" is no process"),
        ([("LISTEN_PID", "self")], "LISTEN_PID: \"self\" is no process"),
        ([("LISTEN_FDS_FIRST_FD", "-3")], "LISTEN_FDS_FIRST_FD: \"-3\" is no descriptor"),
        ([("LISTEN_FDS_FIRST_FD", "2147483647")], "LISTEN_FDS_FIRST_FD: \"2147483647\" is no descriptor"),
        ([("LISTEN_FDNAMES", "admin")], "LISTEN_FDNAMES: none of the inherited sockets is called main"),
        ([("LISTEN_FDNAMES", "admin:main")], "LISTEN_FDNAMES: 2 names for 1 inherited sockets"),
    ] {
        refuses(Some(listener()), &variables, why);
    }
}

#[test]
fn an_inherited_descriptor_of_another_kind_is_named() {
    let connected = TcpListener::bind("127.0.0.1:0").expect("a port");
    let connected = TcpStream::connect(connected.local_addr().expect("bound")).expect("it listens");
    let path = std::env::temp_dir().join(format!("ebbtide-inherited-{}", std::process::id()));
    let local = UnixListener::bind(&path).expect("a path");
    fs::remove_file(path).expect("it is there");
    for (descriptor, why) in [
        (Some(UdpSocket::bind("127.0.0.1:0").expect("a port").into()), "fd 3 is not a valid tcp socket"),
        (Some(local.into()), "fd 3 is not a valid tcp socket"),
        (Some(File::open("/dev/null").expect("a file").into()), "fd 3 is not a socket"),
        (None, "fd 3 is not a socket"),
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        (Some(connected.into()), "it does not listen"),
    ] {
        refuses(
            descriptor,
            &[],
            &format!("LISTEN_FDS: of the inherited descriptors, number 1 is no TCP listener: {why}"),
        );
    }
    // The second, which is not there.
    let names = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "admin:main"), ("LISTEN_FDS_FIRST_FD", "900")];
    refuses(Some(listener()), &names, "LISTEN_FDS: of the inherited descriptors, number 2 is no TCP listener: fd 901");
}
