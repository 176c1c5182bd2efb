//! Restarts that nobody notices.

use std::os::unix::net::{UnixListener, UnixStream};
use std::io::Read;

use super::process::{Load, Place, Process, ask, until_answered_by};

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
    // Connections of clients come and go.
    let (early, late) = (counts[..5].iter().min(), counts[15..].iter().min());
    assert!(late <= early, "{counts:?}");
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
