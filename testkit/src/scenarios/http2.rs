//! HTTP/2: GOAWAY in two steps, streams that complete, and what never comes.

use ebbtide_connection::Bounds;

use crate::feature::Feature;
use crate::http2::{Client, EVERY_STREAM, Goaway, PREFACE};
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    const SHORT_PING: Bounds = PATIENT.goaway(SHORT);
    let promises = vec![
        promise!(a_stream_in_flight_completes_and_the_connection_ends_behind_it),
        promise!(many_streams_in_flight_all_complete),
        promise!(a_stream_at_work_has_no_bound_of_its_own).bounds(Bounds::NONE),
        promise!(a_stream_begun_before_the_drain_runs_to_its_end),
        promise!(an_idle_connection_of_http2_is_told_and_ends_by_fin),
        promise!(a_connection_that_has_only_said_its_preface_is_told_and_ends_by_fin),
        promise!(a_stream_that_crosses_the_drain_is_answered),
        promise!(a_stream_opened_before_the_second_goaway_is_served),
        promise!(a_stream_opened_after_the_second_goaway_is_not_served),
        promise!(half_a_preface_is_waited_for).bounds(PATIENT.silent(SHORT).head(SHORT)),
        promise!(half_a_preface_that_never_ends_does_not_hold_the_drain_for_ever).bounds(PATIENT.preface(SHORT)),
        promise!(a_ping_that_nobody_answers_does_not_hold_the_drain_for_ever).bounds(SHORT_PING),
        promise!(a_client_that_answers_no_ping_is_refused_the_streams_that_it_opens_after_its_time).bounds(SHORT_PING),
        promise!(a_client_that_answers_no_ping_and_opens_streams_does_not_hold_the_drain_for_ever).bounds(SHORT_PING),
        promise!(a_stream_whose_window_stays_shut_does_not_hold_the_drain_for_ever).bounds(PATIENT.stall(SHORT)),
        promise!(a_stream_that_its_client_gives_up_does_not_hold_the_drain),
        promise!(a_client_of_http2_that_goes_does_not_hold_the_drain),
        promise!(a_stream_whose_handler_panics_is_not_waited_for),
        promise!(a_forced_close_ends_every_stream),
    ];
    promises.into_iter().map(|it| it.needs(Feature::Http2)).collect()
}

/// RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;

fn goodbye(last: u32) -> Goaway {
    Goaway { last, code: 0 }
}

/// A client with a stream in flight.
fn waiting<W: World>(world: &W) -> (Client<W::Stream>, u32) {
    let mut client = world.http2();
    let stream = client.get("/held");
    world.until_in_flight(1);
    (client, stream)
}

fn answered<W: World>(client: &mut Client<W::Stream>, stream: u32, body: &str) {
    assert_eq!(client.response(stream), body);
}

fn a_stream_in_flight_completes_and_the_connection_ends_behind_it<W: World>(world: W) {
    let mut client = world.http2();
    let stream = client.begin_upload();
    world.until_in_flight(1);
    world.start();
    client.until_goaways(2);
    assert_eq!(client.goaways, [goodbye(EVERY_STREAM), goodbye(stream)]);
    client.end_upload(stream, b"four");
    answered::<W>(&mut client, stream, "4");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn many_streams_in_flight_all_complete<W: World>(world: W) {
    let mut client = world.http2();
    let streams: Vec<_> = (0..20).map(|_| client.get("/held")).collect();
    world.until_in_flight(20);
    world.start();
    client.until_goaways(2);
    world.release();
    for stream in streams {
        answered::<W>(&mut client, stream, "held");
    }
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_stream_at_work_has_no_bound_of_its_own<W: World>(world: W) {
    let (mut client, stream) = waiting(&world);
    world.start();
    // Which come once our answer to the PING is there: later it would meet a closed socket.
    client.until_goaways(2);
    world.pass(SHORT);
    world.release();
    answered::<W>(&mut client, stream, "held");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_stream_begun_before_the_drain_runs_to_its_end<W: World>(world: W) {
    let mut client = world.http2();
    let stream = client.get("/stream");
    world.until_in_flight(1);
    world.start();
    client.until_goaways(2);
    world.release();
    answered::<W>(&mut client, stream, "first last");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn an_idle_connection_of_http2_is_told_and_ends_by_fin<W: World>(world: W) {
    let mut client = world.http2();
    let stream = client.get("/hello");
    answered::<W>(&mut client, stream, "hello");
    world.start();
    client.expect_fin();
    assert_eq!(client.goaways, [goodbye(EVERY_STREAM), goodbye(stream)]);
    drop(client);
    world.drained();
}

fn a_connection_that_has_only_said_its_preface_is_told_and_ends_by_fin<W: World>(world: W) {
    let mut client = world.http2();
    client.until_settled();
    world.start();
    client.expect_fin();
    assert_eq!(client.goaways.first(), Some(&goodbye(EVERY_STREAM)));
    drop(client);
    world.drained();
}

fn a_stream_that_crosses_the_drain_is_answered<W: World>(world: W) {
    let mut client = world.http2();
    client.until_settled();
    world.start();
    // The answer to the PING goes behind it.
    let stream = client.get("/hello");
    answered::<W>(&mut client, stream, "hello");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_stream_opened_before_the_second_goaway_is_served<W: World>(world: W) {
    let (mut client, first) = waiting(&world);
    client.ignore_pings();
    world.start();
    client.until_goaways(1);
    let second = client.get("/hello");
    answered::<W>(&mut client, second, "hello");
    client.answer_pings();
    client.until_goaways(2);
    assert_eq!(client.goaways, [goodbye(EVERY_STREAM), goodbye(second)]);
    world.release();
    answered::<W>(&mut client, first, "held");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_stream_opened_after_the_second_goaway_is_not_served<W: World>(world: W) {
    let (mut client, first) = waiting(&world);
    world.start();
    client.until_goaways(2);
    let late = client.get("/hello");
    world.release();
    answered::<W>(&mut client, first, "held");
    client.expect_fin();
    assert!(!client.knows(late), "stream {late} is heard of after a GOAWAY that says {first} is the last");
    drop(client);
    world.drained();
}

/// Longer than one byte of HTTP/1, or none.
fn half_a_preface_is_waited_for<W: World>(world: W) {
    let mut wire = world.wire();
    let (half, rest) = PREFACE.split_at(10);
    wire.send(half);
    world.start();
    world.pass(3 * SHORT);
    let mut client = Client::begin(wire, rest);
    let stream = client.get("/hello");
    answered::<W>(&mut client, stream, "hello");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn half_a_preface_that_never_ends_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut wire = world.wire();
    wire.send(&PREFACE[..10]);
    world.start();
    world.drained();
    drop(wire);
}

fn a_ping_that_nobody_answers_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.http2();
    client.ignore_pings();
    client.until_settled();
    world.start();
    client.until_goaways(1);
    world.drained();
    drop(client);
}

fn a_client_that_answers_no_ping_is_refused_the_streams_that_it_opens_after_its_time<W: World>(world: W) {
    let (mut client, first) = waiting(&world);
    client.ignore_pings();
    world.start();
    client.until_goaways(1);
    world.pass(3 * SHORT);
    let late = client.get("/hello");
    world.release();
    answered::<W>(&mut client, first, "held");
    client.end();
    // It cannot know that it is too late: so it is to hear that it may ask again elsewhere.
    assert_eq!(client.reset_code(late), Some(REFUSED_STREAM), "the goodbyes were {:?}", client.goaways);
    drop(client);
    world.drained();
}

fn a_client_that_answers_no_ping_and_opens_streams_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.http2();
    client.ignore_pings();
    client.until_settled();
    world.start();
    client.until_goaways(1);
    // Each well before the last one's time is over.
    let opens = (0..40).take_while(|_| {
        world.pass(SHORT / 4);
        client.offer_get("/hello").is_ok()
    });
    assert!(opens.count() < 40, "it could open streams for ten times as long as a PING may take");
    drop(client);
    world.drained();
}

fn a_stream_whose_window_stays_shut_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.http2();
    // More than the window that every stream begins with: RFC 9113, section 6.9.2.
    let _ = client.get("/big");
    world.until_in_flight(1);
    world.start();
    client.until_goaways(2);
    world.drained();
    drop(client);
}

fn a_stream_that_its_client_gives_up_does_not_hold_the_drain<W: World>(world: W) {
    let (mut client, stream) = waiting(&world);
    world.start();
    client.until_goaways(2);
    client.reset(stream);
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_client_of_http2_that_goes_does_not_hold_the_drain<W: World>(world: W) {
    let (client, _) = waiting(&world);
    world.start();
    drop(client);
    world.drained();
}

fn a_stream_whose_handler_panics_is_not_waited_for<W: World>(world: W) {
    let mut client = world.http2();
    let _ = client.get("/panic");
    world.until_in_flight(1);
    world.start();
    world.release();
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_forced_close_ends_every_stream<W: World>(world: W) {
    let (mut client, stream) = waiting(&world);
    world.start();
    let _ = world.cut();
    client.end();
    assert!(!client.knows(stream), "stream {stream} is heard of though it was cut");
}
