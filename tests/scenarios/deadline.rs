//! When waiting is over: the deadline, and the second and the third signal.

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, Signal};

/// A request that no drain waits for to the end.
fn endless(server: &Server) -> Client {
    let mut client = Client::connect(server.main);
    client.get("/slow?ms=600000");
    server.until_status("Running, 1 in flight");
    client
}

#[test]
fn the_deadline_cuts_what_is_left_and_names_it() {
    let server = Server::start(&["--drain-timeout-ms", "300"]);
    let mut client = endless(&server);
    server.signal(Signal::TERM);
    client.expect_cut();
    let report = server.cut();
    assert!(report.contains("GET /slow"), "{report}");
}

#[test]
fn what_is_cut_before_its_response_is_answered_503() {
    for signals in [&[Signal::TERM][..], &[Signal::TERM, Signal::INT]] {
        let timeout = if signals.len() > 1 { "0" } else { "300" };
        let server = Server::start(&["--drain-timeout-ms", timeout]);
        // As many as take a server some time to tell.
        let mut slow: Vec<_> = (0..20).map(|_| Client::idle(server.main)).collect();
        for client in &mut slow {
            client.get("/slow?ms=600000");
        }
        let mut upload = Client::connect(server.main);
        upload.begin_upload(1 << 20);
        upload.send(vec![b'x'; 1 << 19]);
        let mut stream = Client::connect(server.main);
        stream.get("/stream?chunks=1000&ms=100");
        stream.see("chunk 0\n");
        server.until_status("Running, 22 in flight");
        for signal in signals {
            server.signal(*signal);
        }
        for client in slow.iter_mut().chain([&mut upload]) {
            let response = client.response();
            assert!(response.is_unavailable(), "{:?}", response.head);
            client.expect_fin();
        }
        assert!(stream.answer().is_err(), "in the midst of a response there is nothing to be said");
        let _ = server.cut();
    }
}

#[test]
fn what_ends_before_the_deadline_is_not_cut() {
    let server = Server::start(&["--drain-timeout-ms", "1500"]);
    let (mut short, mut long) = (Client::connect(server.main), Client::connect(server.main));
    short.begin_upload(1);
    long.get("/slow?ms=600000");
    server.until_status("Running, 2 in flight");
    server.drain();
    short.send("1");
    assert_eq!(short.response().text(), "1");
    long.expect_cut();
    let report = server.cut();
    assert!(!report.contains("upload"), "{report}");
}

#[test]
fn a_timeout_of_zero_is_no_deadline() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut client = Client::connect(server.main);
    client.get("/slow?ms=1500");
    server.until_status("Running, 1 in flight");
    server.drain();
    assert_eq!(client.response().text(), "slow 1500");
    server.drained();
}

#[test]
fn an_interrupt_drains_too() {
    let server = Server::start(&[]);
    let mut client = server.upload();
    server.signal(Signal::INT);
    server.until_status("Draining, 1 in flight");
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

#[test]
fn a_second_signal_of_the_same_kind_or_another_cuts_what_is_left() {
    for second in [Signal::TERM, Signal::INT] {
        let server = Server::start(&["--drain-timeout-ms", "0"]);
        let mut client = endless(&server);
        server.drain();
        server.signal_later(second);
        client.expect_cut();
        let report = server.cut();
        assert!(report.contains("GET /slow"), "{report}");
    }
}

/// A Ctrl-C in a terminal, handed on by the parent.
#[test]
fn an_interrupt_that_arrives_twice_drains() {
    // On a busy machine more than the 100 ms of a repeat may pass between the two; but not again and again.
    let drains = (0..5).any(|_| {
        let server = Server::start(&[]);
        let mut client = server.upload();
        server.signal(Signal::INT);
        server.until_said("draining: SIGINT, 1 in flight, 10.0 s left");
        server.signal(Signal::INT);
        client.send("2");
        client.answer().is_ok_and(|it| it.text() == "2") && server.exit().code == Some(0)
    });
    assert!(drains, "the second one forces");
}

#[test]
fn a_terminal_that_closes_drains() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // It is inherited: nohup, for one, has whatever it starts ignore it, these tests included.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    if ignored.is_some_and(|it| u64::from_str_radix(it.trim(), 16).is_ok_and(|it| it & 1 != 0)) {
        println!("SKIPPED: SIGHUP is ignored by whoever started the tests");
        return;
    }
    let server = Server::start(&[]);
    let mut client = server.upload();
    server.signal(Signal::HUP);
    server.until_status("Draining, 1 in flight");
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

/// Of the second signal, since on one core such a handler may hold the thread that a timer needs.
#[test]
fn a_handler_that_blocks_its_thread_does_not_hold_up_the_end_by_force() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut client = Client::connect(server.main);
    client.get("/block?ms=600000");
    server.until_said("blocking a thread for 600000 ms");
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    let report = server.cut();
    assert!(report.contains("GET /block"), "{report}");
}

#[test]
fn a_second_signal_ends_the_ready_delay() {
    let server = Server::start(&["--ready-delay-ms", "600000"]);
    // Something to cut: an idle server may have let go of its listeners before it is closed.
    let _client = endless(&server);
    server.drain();
    server.signal(Signal::INT);
    let report = server.cut();
    assert!(report.contains("GET /slow"), "{report}");
}

/// Sends three signals, the last two of them at once. Returns whether one has killed; if not, the second has forced.
fn third_signal_kills() -> bool {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let _client = endless(&server);
    server.drain();
    server.while_stopped(|| {
        server.signal(Signal::INT);
        server.signal(Signal::TERM);
    });
    let exit = server.exit();
    assert!(exit.signal.is_some() || exit.code == Some(1), "{exit:#?}");
    exit.signal.is_some()
}

#[test]
fn a_third_signal_kills() {
    // After the second the process ends by itself, so the third may find nobody; but not again and again.
    assert!((0..20).any(|_| third_signal_kills()), "a third signal does nothing");
}
