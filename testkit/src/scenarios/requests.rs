//! Requests in flight when the drain begins.

use ebbtide_connection::Bounds;

use crate::application::Application;
use crate::client::Client;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::wire::End;
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    // A response may end before its connection hears of the drain, which is idle for a moment then.
    const SHORT_IDLE: Bounds = PATIENT.idle(SHORT);
    vec![
        promise!(a_request_in_flight_completes_and_says_close_and_fin_follows),
        promise!(fifty_requests_in_flight_all_complete_and_say_close),
        promise!(a_request_at_work_has_no_bound_of_its_own).bounds(Bounds::NONE),
        promise!(a_response_begun_before_the_drain_runs_to_its_end_and_fin_follows).bounds(SHORT_IDLE),
        promise!(a_request_pipelined_behind_a_response_that_did_not_say_close_is_answered),
        promise!(a_request_sent_behind_a_response_that_did_not_say_close_is_answered),
        promise!(an_upload_in_flight_is_read_to_its_end),
        promise!(an_upload_that_pauses_is_waited_for).bounds(Bounds::NONE),
        promise!(a_chunked_upload_in_flight_is_read_to_its_end),
        promise!(a_client_that_was_told_to_continue_may_do_so_while_draining),
        promise!(a_client_that_asks_whether_to_continue_is_told_while_draining),
        promise!(a_response_to_head_is_its_head),
        promise!(a_request_of_http_1_0_completes),
        promise!(a_request_of_http_1_0_that_is_kept_alive_completes_and_is_told_the_end),
        promise!(a_response_of_unknown_length_to_http_1_0_runs_to_its_end),
        promise!(a_request_pipelined_behind_the_last_one_is_not_answered),
        promise!(a_large_response_reaches_a_client_that_reads_late).bounds(SHORT_IDLE),
        promise!(a_flood_behind_a_large_response_does_not_destroy_it),
    ]
}

/// A client with an upload of so many bytes in flight.
fn uploading<W: World>(world: &W, length: usize) -> Client<W::Stream> {
    let mut client = world.client();
    client.begin_upload(length);
    world.until_in_flight(1);
    client
}

/// A client to which a large response is being written, of which it has taken no more than the head.
fn loading<W: World>(world: &W) -> Client<W::Stream> {
    let mut client = world.client();
    client.get("/big");
    client.see("\r\n\r\n");
    client
}

fn a_request_in_flight_completes_and_says_close_and_fin_follows<W: World>(world: W) {
    let mut client = world.idle();
    client.get("/held");
    world.until_in_flight(1);
    world.start();
    world.release();
    client.expect_last("held");
    world.drained();
}

fn fifty_requests_in_flight_all_complete_and_say_close<W: World>(world: W) {
    let clients: Vec<_> = (0..50).map(|_| world.waiting("/held")).collect();
    world.start();
    world.release();
    for client in clients {
        client.expect_last("held");
    }
    world.drained();
}

fn a_request_at_work_has_no_bound_of_its_own<W: World>(world: W) {
    let client = world.waiting("/held");
    world.start();
    world.pass(SHORT);
    world.release();
    client.expect_last("held");
    world.drained();
}

fn a_response_begun_before_the_drain_runs_to_its_end_and_fin_follows<W: World>(world: W) {
    let mut client = world.client();
    client.get("/stream");
    client.see("first ");
    world.start();
    world.release();
    let response = client.expect("first last");
    assert!(!response.says_close(), "its head was written before the drain: {:?}", response.head);
    client.expect_fin();
    world.drained();
}

fn a_request_pipelined_behind_a_response_that_did_not_say_close_is_answered<W: World>(world: W) {
    let mut client = world.client();
    client.get("/stream");
    client.see("first ");
    client.get("/hello");
    world.start();
    world.release();
    assert!(!client.expect("first last").says_close(), "its head was written before the drain");
    client.expect_last("hello");
    world.drained();
}

fn a_request_sent_behind_a_response_that_did_not_say_close_is_answered<W: World>(world: W) {
    let mut client = world.client();
    client.get("/stream");
    client.see("first ");
    world.start();
    world.release();
    assert!(!client.expect("first last").says_close(), "its head was written before the drain");
    client.get("/hello");
    client.expect_last("hello");
    world.drained();
}

fn an_upload_in_flight_is_read_to_its_end<W: World>(world: W) {
    const HALF: usize = 1 << 20;
    let mut client = uploading(&world, 2 * HALF);
    client.send(vec![b'u'; HALF]);
    world.start();
    client.send(vec![b'u'; HALF]);
    client.expect_last("2097152");
    world.drained();
}

fn an_upload_that_pauses_is_waited_for<W: World>(world: W) {
    let mut client = uploading(&world, 2);
    client.send("1");
    world.start();
    world.pass(SHORT);
    client.send("2");
    client.expect_last("2");
    world.drained();
}

fn a_chunked_upload_in_flight_is_read_to_its_end<W: World>(world: W) {
    let mut client = world.client();
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    world.until_in_flight(1);
    world.start();
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    client.expect_last("11");
    world.drained();
}

fn a_client_that_was_told_to_continue_may_do_so_while_draining<W: World>(world: W) {
    let mut client = world.client();
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().expect("an interim response").status, 100);
    world.start();
    client.send("four");
    client.expect_last("4");
    world.drained();
}

fn a_client_that_asks_whether_to_continue_is_told_while_draining<W: World>(world: W) {
    let mut client = world.client();
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\n");
    world.start();
    client.send("Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().expect("an interim response").status, 100);
    client.send("four");
    client.expect_last("4");
    world.drained();
}

fn a_response_to_head_is_its_head<W: World>(world: W) {
    let mut client = world.client();
    client.send("HEAD /held HTTP/1.1\r\nHost: test\r\n\r\n");
    world.until_in_flight(1);
    world.start();
    world.release();
    let head = client.head().expect("a response");
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    assert!(head.says_close(), "{:?}", head.head);
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_request_of_http_1_0_completes<W: World>(world: W) {
    let mut client = world.client();
    client.send("GET /held HTTP/1.0\r\n\r\n");
    world.until_in_flight(1);
    world.start();
    world.release();
    client.expect("held");
    client.expect_fin();
    drop(client);
    world.drained();
}

/// What says `keep-alive` beside `close` has a client wait for more.
fn a_request_of_http_1_0_that_is_kept_alive_completes_and_is_told_the_end<W: World>(world: W) {
    let mut client = world.client();
    client.send("GET /held HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    world.until_in_flight(1);
    world.start();
    world.release();
    let response = client.expect("held");
    assert!(!response.head.to_lowercase().contains("keep-alive"), "{:?}", response.head);
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_response_of_unknown_length_to_http_1_0_runs_to_its_end<W: World>(world: W) {
    let mut client = world.client();
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    client.see("first ");
    world.start();
    world.release();
    let response = client.expect("first last");
    assert_eq!(response.header("transfer-encoding"), None, "HTTP/1.0 knows none");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_request_pipelined_behind_the_last_one_is_not_answered<W: World>(world: W) {
    let mut client = uploading(&world, 1);
    world.start();
    client.send("1GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    client.expect_last("1");
    world.drained();
}

fn a_large_response_reaches_a_client_that_reads_late<W: World>(world: W) {
    let mut client = loading(&world);
    world.start();
    world.until_refused();
    assert_eq!(client.response().body.len() as u64, Application::BIG);
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_flood_behind_a_large_response_does_not_destroy_it<W: World>(world: W) {
    let mut client = loading(&world);
    world.start();
    // More than a server reads ahead.
    client.fill(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1_000_000));
    assert_eq!(client.response().body.len() as u64, Application::BIG);
    // It may end before its connection hears of the drain: then the next one is the last.
    let end = std::iter::repeat_with(|| client.answer()).find_map(Result::err).expect("one comes");
    assert!(end == End::Fin, "{end} where it was to end in order");
    drop(client);
    world.drained();
}
