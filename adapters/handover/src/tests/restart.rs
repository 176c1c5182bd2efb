//! Restarts that nobody notices.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use futures_lite::StreamExt;
use futures_lite::future::block_on;

use super::process::{Load, Place, Process, ask, until_answered_by};
use crate::{Connection, Handover, Named, Origin};

#[test]
fn twenty_generations_lose_no_client_and_leak_no_descriptor() {
    let place = Place::new("generations");
    let (mut current, port) = place.first();
    let load = Load::on(port);
    let port_said = port.to_string();
    let mut counts = Vec::new();
    for _ in 0..20 {
        load.goes_on();
        let next = place.start(&[("EBBTIDE_PORT", &port_said)]);
        assert_eq!(next.says("port "), format!("{port} TakenOver"));
        counts.push(next.says("ready").parse::<usize>().expect("a number"));
        current.says("drained");
        current.ends();
        next.says("the predecessor has ended: drained");
        current = next;
    }
    load.goes_on();
    let (answered, failures) = load.end();
    println!("{answered} answered, {counts:?} descriptors");
    assert_eq!(failures, Vec::<String>::new(), "of {answered}");
    until_answered_by(port, &current);
    // Up to one for each client is a connection that was just open. A leak would be one for each generation.
    let (early, late) = (counts[..5].iter().min(), counts[15..].iter().min());
    assert!(late <= early.map(|it| it + Load::CLIENTS).as_ref(), "{counts:?}");
}

#[test]
fn three_hundred_listeners_go_in_several_messages() {
    let place = Place::new("many");
    let many = ("EBBTIDE_LISTENERS", "300");
    let first = place.start(&[many]);
    let port = first.port();
    first.says("ready");
    let next = place.start(&[many]);
    next.says("took over 300 listeners");
    next.says("ready");
    first.says("drained");
    assert_eq!(ask(port).expect("it listens"), next.id());
}

#[test]
fn of_three_that_come_at_once_one_takes_over_and_the_others_are_told_why_not() {
    let place = Place::new("three");
    let (first, port) = place.first();
    let mut three = [(); 3].map(|()| place.start(&[("EBBTIDE_WAITS", "1")]));
    let refused = [first.says("cannot take over: "), first.says("cannot take over: ")];
    assert!(refused.iter().all(|it| it.contains("one at a time")), "{refused:?}");
    assert_eq!(ask(port).expect("it listens"), first.id());
    // Whichever it is.
    three.iter_mut().for_each(Process::goes_on);
    first.says("drained");
    let next = three.iter().find(|it| ask(port).is_ok_and(|pid| pid == it.id())).expect("one of them");
    for it in three.iter().filter(|it| it.id() != next.id()) {
        assert!(it.says("error: ").contains("one at a time"));
    }
}

#[test]
fn a_unix_socket_keeps_its_file_and_that_of_a_dead_process_is_replaced() {
    let place = Place::new("unix");
    let path = place.file("service");
    drop(UnixListener::bind(&path).expect("a path"));
    let said = path.to_str().expect("text");
    let answer = || {
        let mut answer = String::new();
        UnixStream::connect(&path).expect("it listens").read_to_string(&mut answer).expect("text");
        answer.parse::<u32>().expect("a number")
    };
    let mut current = place.start(&[("EBBTIDE_UNIX", said)]);
    current.says("unix Bound");
    current.says("ready");
    assert_eq!(answer(), current.id());
    for _ in 0..3 {
        let next = place.start(&[("EBBTIDE_UNIX", said)]);
        next.says("unix TakenOver");
        next.says("ready");
        current.says("drained");
        current.ends();
        assert_eq!(answer(), next.id());
        current = next;
    }
}

#[test]
fn an_address_that_has_changed_is_bound() {
    let place = Place::new("address");
    let (first, port) = place.first();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let next = place.start(&[("EBBTIDE_PORT", &free.to_string())]);
    assert_eq!(next.says("port "), format!("{free} Bound"));
    next.says("ready");
    first.says("drained");
    first.ends();
    assert_eq!(ask(free).expect("it listens"), next.id());
    assert!(ask(port).is_err(), "the old one is closed");
}

#[test]
fn datagrams_and_their_socket_go_to_the_successor() {
    let place = Place::new("datagrams");
    let take = || Handover::at(place.socket()).start().expect("a path");
    let first = take();
    let socket = first.udp("dns", "127.0.0.1:0").expect("a port");
    let local = first.unix_datagram("log", place.file("log")).expect("a path");
    let address = socket.get_ref().local_addr().expect("bound");
    first.ready().expect("alone");
    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.send_to(b"queued", address).expect("sent");
    // One process can be two generations.
    let second = take();
    let taken = second.udp("dns", address).expect("it came");
    let taken_local = second.unix_datagram("log", place.file("log")).expect("it came");
    assert_eq!([taken.origin(), taken_local.origin()], [Origin::TakenOver; 2]);
    second.ready().expect("the first answers");
    block_on(first.superseded());
    drop((first, socket, local));
    let mut bytes = [0; 16];
    let length = taken.get_ref().recv(&mut bytes).expect("it is queued");
    assert_eq!(&bytes[..length], b"queued");
}

/// Two processes, in this one: the second is about to be ready.
struct Two {
    first: Handover,
    second: Handover,
    of_first: Named<TcpListener>,
    of_second: Named<TcpListener>,
    port: u16,
}

fn two(place: &Place) -> Two {
    let take = || Handover::at(place.socket()).start().expect("a path");
    let first = take();
    let of_first = first.tcp("api", "127.0.0.1:0").expect("a port");
    let address = of_first.get_ref().local_addr().expect("bound");
    first.ready().expect("alone");
    let second = take();
    let of_second = second.tcp("api", address).expect("it came");
    Two { first, second, of_first, of_second, port: address.port() }
}

#[test]
fn connections_go_to_the_successor_one_by_one() {
    let place = Place::new("connections");
    let Two { first, second, of_first: _kept, of_second: taken, port } = two(&place);
    let mut adopted = second.adopted("api");
    second.ready().expect("the first answers");
    block_on(first.superseded());
    let giver = first.giver();
    // More than may be on their way at a time.
    let (on_their_way, clients): (Vec<_>, Vec<_>) = (0..300)
        .map(|at| {
            let client = TcpStream::connect(("127.0.0.1", port)).expect("there is room");
            let (socket, _) = taken.get_ref().accept().expect("it is there");
            let connection = Connection { socket: socket.into(), peer: at.to_string(), state: vec![7; at] };
            (giver.give("api", connection), client)
        })
        .unzip();
    for (at, (answer, mut client)) in on_their_way.into_iter().zip(clients).enumerate() {
        block_on(answer).expect("it is taken");
        let connection = block_on(adopted.next()).expect("it comes");
        assert_eq!((&*connection.peer, connection.state.len()), (&*at.to_string(), at));
        TcpStream::from(connection.socket).write_all(b"hello").expect("it is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("text");
        assert_eq!(answer, "hello", "the first has no descriptor of it any more");
    }
    // Nobody has asked for those of this name, and nobody is there in the end: both stay.
    let pair = || UnixStream::pair().expect("two sockets").0;
    let stays = |name: &str| {
        block_on(giver.give(name, Connection { socket: pair().into(), peer: String::new(), state: Vec::new() }))
    };
    stays("other").expect_err("it stays");
    drop(adopted);
    stays("api").expect_err("it stays");
    drop(second);
    stays("api").expect_err("it stays");
}

#[test]
fn an_accept_loop_takes_connections_of_the_predecessor_like_others() {
    let place = Place::new("adopts");
    let Two { first, second, of_first: _kept, of_second: taken, port } = two(&place);
    let client = TcpStream::connect(("127.0.0.1", port)).expect("there is room");
    let (socket, _) = taken.get_ref().accept().expect("it is there");
    let mut taken = taken.map(smol::net::TcpListener::try_from).expect("a listener");
    second.ready().expect("the first answers");
    block_on(first.superseded());
    let given = first.giver().give("api", Connection { socket: socket.into(), peer: String::new(), state: Vec::new() });
    let accepted = block_on(std::future::poll_fn(|cx| {
        ebbtide_accept::Listener::<ebbtide_smol::Smol>::poll_accept(&mut taken, cx)
    }));
    let accepted = accepted.expect("it comes");
    assert_eq!(accepted.peer_addr().expect("open"), client.local_addr().expect("open"));
    block_on(given).expect("it is taken");
}

#[test]
fn nothing_is_accepted_before_the_process_is_ready() {
    let place = Place::new("closed");
    let Two { first, second, of_first: _kept, of_second: taken, port } = two(&place);
    let mut taken = taken.map(smol::net::TcpListener::try_from).expect("a listener");
    let client = TcpStream::connect(("127.0.0.1", port)).expect("there is room");
    let mut accept = || {
        block_on(futures_lite::future::poll_once(std::future::poll_fn(|cx| {
            ebbtide_accept::Listener::<ebbtide_smol::Smol>::poll_accept(&mut taken, cx)
        })))
    };
    assert!(accept().is_none());
    second.ready().expect("the first answers");
    while accept().is_none() {}
    drop((first, client));
}

#[test]
fn the_queue_is_left_to_the_successor() {
    use ebbtide_accept::{Listener, Socket};
    let place = Place::new("queue");
    let Two { first, second, of_first, of_second, port } = two(&place);
    let mut of_first = of_first.map(smol::net::TcpListener::try_from).expect("a listener");
    second.ready().expect("the first answers");
    block_on(first.superseded());
    let client = TcpStream::connect(("127.0.0.1", port)).expect("there is room");
    let polled = std::future::poll_fn(|cx| Listener::<ebbtide_smol::Smol>::poll_accept(&mut of_first, cx));
    assert!(block_on(futures_lite::future::poll_once(polled)).is_none());
    let departing = Listener::<ebbtide_smol::Smol>::into_socket(of_first).expect("a socket");
    assert_eq!(departing.accept().expect_err("it is another's").kind(), std::io::ErrorKind::WouldBlock);
    assert!(!departing.refuse());
    drop(departing);
    let (_, address) = of_second.get_ref().accept().expect("it is queued");
    assert_eq!(address, client.local_addr().expect("open"));
}

#[test]
fn a_process_may_say_twice_that_it_is_ready_and_needs_no_path() {
    let handover = Handover::from_environment().start().expect("nothing is asked for");
    let _listener = handover.tcp("api", "127.0.0.1:0").expect("a port");
    let since = std::time::Instant::now();
    for _ in 0..2 {
        handover.ready().expect("alone");
    }
    assert!(since.elapsed() < std::time::Duration::from_secs(9), "it waited for an answer");
    handover.tcp("late", "127.0.0.1:0").expect_err("a successor would not get it");
}

#[test]
fn a_handover_may_be_shared_by_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Handover>();
    is_shared::<crate::Giver>();
    is_shared::<crate::Replacer>();
}
