//! Clients that ask for nothing while nothing drains.

use std::time::Duration;

use ebbtide_connection::Bounds;

use crate::feature::Feature;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

/// Long enough for a request of a client that is in no hurry.
const BOUND: Duration = SHORT.saturating_mul(4);

// A head that begins in the instant its connection ends has the time of one who takes nothing.
const LATE: Bounds = PATIENT.request(BOUND).keep_alive(BOUND).silent(SHORT).idle(SHORT).head(SHORT).stall(SHORT);

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        late(promise!(a_connection_that_asks_for_nothing_ends_by_fin_though_nothing_drains)),
        late(promise!(an_idle_connection_that_asks_for_no_more_ends_by_fin_though_nothing_drains)),
        late(promise!(half_a_head_that_never_ends_is_not_waited_for_for_ever_though_nothing_drains)),
        promise!(a_connection_of_http2_without_a_stream_is_told_by_goaway_though_nothing_drains)
            .needs(Feature::Http2)
            .bounds(LATE.goaway(SHORT)),
        promise!(a_body_that_does_not_come_ends_its_connection_though_nothing_drains)
            .needs(Feature::RequestBound)
            .bounds(LATE.progress(BOUND)),
        promise!(a_body_that_pauses_is_waited_for_though_nothing_drains)
            .needs(Feature::RequestBound)
            .bounds(LATE.progress(BOUND.saturating_mul(2))),
        promise!(a_connection_of_an_age_is_told_by_its_next_response)
            .needs(Feature::RequestBound)
            .bounds(PATIENT.age(SHORT)),
        promise!(a_request_in_flight_is_not_late).bounds(LATE),
    ]
}

fn late<W>(promise: Promise<W>) -> Promise<W> {
    promise.needs(Feature::RequestBound).bounds(LATE)
}

fn a_connection_that_asks_for_nothing_ends_by_fin_though_nothing_drains<W: World>(world: W) {
    world.silent().expect_fin();
    serves(world);
}

fn an_idle_connection_that_asks_for_no_more_ends_by_fin_though_nothing_drains<W: World>(world: W) {
    world.idle().expect_fin();
    serves(world);
}

fn half_a_head_that_never_ends_is_not_waited_for_for_ever_though_nothing_drains<W: World>(world: W) {
    for mut client in [world.silent(), world.idle()] {
        client.send("GET /hello HTTP/1.1\r\nHo");
        let _ = client.end();
    }
    serves(world);
}

fn a_connection_of_http2_without_a_stream_is_told_by_goaway_though_nothing_drains<W: World>(world: W) {
    let mut client = world.http2();
    let id = client.get("/hello");
    assert_eq!(client.response(id), "hello");
    client.until_goaways(2);
    client.expect_fin();
    serves(world);
}

fn a_body_that_does_not_come_ends_its_connection_though_nothing_drains<W: World>(world: W) {
    let mut client = world.client();
    client.begin_upload(2);
    client.send("1");
    let _ = client.end();
    serves(world);
}

fn a_body_that_pauses_is_waited_for_though_nothing_drains<W: World>(world: W) {
    let mut client = world.client();
    client.begin_upload(2);
    world.until_in_flight(1);
    world.pass(BOUND);
    client.send("12");
    client.expect("2");
    serves(world);
}

/// And not before: the first one was answered without.
fn a_connection_of_an_age_is_told_by_its_next_response<W: World>(world: W) {
    let mut client = world.idle();
    world.pass(2 * SHORT);
    client.get("/hello");
    client.expect_last("hello");
    world.start();
    world.drained();
}

fn a_request_in_flight_is_not_late<W: World>(world: W) {
    let mut client = world.waiting("/held");
    world.pass(3 * BOUND);
    world.release();
    assert!(!client.expect("held").says_close(), "it says close though nothing drains");
    client.get("/hello");
    client.expect("hello");
    world.start();
    world.drained();
}

/// The others go on.
fn serves<W: World>(world: W) {
    let mut client = world.client();
    client.get("/hello");
    assert!(!client.expect("hello").says_close(), "it says close though nothing drains");
    world.start();
    world.drained();
}
