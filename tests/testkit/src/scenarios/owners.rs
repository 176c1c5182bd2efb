//! A listening socket that others own too, so over sockets only.

use std::time::Duration;

use crate::feature::Feature;
use crate::promise::{Owners, Promise, SHORT, promise};
use crate::sockets::Sockets;
use crate::world::World;

pub(super) fn promises() -> Vec<Promise<Sockets>> {
    vec![
        promise!(the_other_owners_of_a_listener_accept_on_when_the_drain_is_over)
            .needs(Feature::Listener)
            .owners(Owners::More),
        promise!(a_shared_listener_leaves_newcomers_to_its_other_owners)
            .needs(Feature::Shared)
            .owners(Owners::MoreAsSaid),
    ]
}

/// Less than the second after which a client repeats a SYN that was dropped.
const AT_ONCE: Duration = Duration::from_millis(900);

fn the_other_owners_of_a_listener_accept_on_when_the_drain_is_over(world: Sockets) {
    let owner = world.owner();
    let client = world.waiting("/held");
    world.start();
    world.release();
    client.expect_last("held");
    world.drained();
    owner.accepts_on(AT_ONCE);
}

fn a_shared_listener_leaves_newcomers_to_its_other_owners(world: Sockets) {
    let owner = world.owner();
    let client = world.waiting("/held");
    world.start();
    // The server hears of the drain a moment later: who comes before that may be its own.
    world.until("a newcomer for the other owner", || {
        let _newcomer = world.connect().expect("it is open");
        owner.accept(SHORT).is_ok()
    });
    for _ in 0..10 {
        owner.accepts_on(AT_ONCE);
    }
    world.release();
    client.expect_last("held");
    world.drained();
}
