//! What holds the drain up, and what does not any more.

use crate::feature::Feature;
use crate::promise::{Promise, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(a_guard_goes_with_its_connection),
        promise!(the_drain_is_not_over_before_the_last_exchange_is),
        promise!(work_that_goes_on_after_its_response_is_waited_for).needs(Feature::Work),
        promise!(work_that_goes_on_is_dropped_at_a_forced_close).needs(Feature::Work),
    ]
}

fn a_guard_goes_with_its_connection<W: World>(world: W) {
    let first = world.idle();
    let before = world.drain().guards();
    let clients: Vec<_> = (0..10).map(|_| world.idle()).collect();
    // And one for the first, and the listener's.
    assert!(world.drain().guards() >= clients.len() + 2, "there is to be a guard for each connection");
    drop(clients);
    world.until("guards as before the connections", || world.drain().guards() <= before);
    drop(first);
    world.until("fewer guards without the first connection", || world.drain().guards() < before);
    world.start();
    world.drained();
}

fn the_drain_is_not_over_before_the_last_exchange_is<W: World>(world: W) {
    let clients = [world.waiting("/held"), world.waiting("/held")];
    let drained = world.drain().start();
    let application = world.application().clone();
    world.release();
    for client in clients {
        client.expect_last("held");
    }
    drop(drained);
    world.drained();
    assert_eq!(application.in_flight(), 0);
}

const WORK: &str = "POST /work HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn work_that_goes_on_after_its_response_is_waited_for<W: World>(world: W) {
    let mut client = world.client();
    client.send(WORK);
    client.expect_last("work");
    world.until_in_flight(1);
    world.start();
    world.until_refused();
    assert_eq!(world.drain().state(), ebbtide::State::Draining, "there is work to be waited for");
    world.release();
    world.drained();
}

fn work_that_goes_on_is_dropped_at_a_forced_close<W: World>(world: W) {
    let mut client = world.client();
    client.send(WORK);
    client.expect_last("work");
    world.until_in_flight(1);
    world.start();
    let _ = world.cut();
}
