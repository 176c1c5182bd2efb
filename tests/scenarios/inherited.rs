//! A main listener that the server inherits, as from systemd, and that has other owners.

use std::net::{TcpListener, UdpSocket};

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, fail_inheriting};

#[test]
fn an_inherited_listener_is_served_and_then_left_to_its_other_owners() {
    let owned = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::start_inheriting(owned.try_clone().expect("a descriptor"));
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
fn an_inherited_listener_of_another_name_is_named() {
    let exit = fail_inheriting(TcpListener::bind("127.0.0.1:0").expect("a port"), "admin");
    assert_eq!(exit.code, Some(2), "{exit:#?}");
    assert!(exit.stderr.contains("LISTEN_FDNAMES: none of the inherited sockets is called main"), "{exit:#?}");
}

#[test]
fn an_inherited_socket_of_another_kind_is_named() {
    let exit = fail_inheriting(UdpSocket::bind("127.0.0.1:0").expect("a port"), "main");
    assert_eq!(exit.code, Some(2), "{exit:#?}");
    assert!(exit.stderr.contains("descriptor 3 is no TCP socket"), "{exit:#?}");
}
