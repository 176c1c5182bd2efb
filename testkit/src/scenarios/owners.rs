//! A listening socket that others own too, so over sockets only.

use std::net::TcpStream;
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
        promise!(a_shared_listener_leaves_its_queue_to_its_other_owners)
            .needs(Feature::Shared)
            .max_connections(1)
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

fn a_shared_listener_leaves_its_queue_to_its_other_owners(world: Sockets) {
    let owner = world.owner();
    let client = world.waiting("/held");
    // Beyond the limit, so the server has not accepted it.
    let queued = TcpStream::connect(world.addr()).expect("it is open");
    world.start();
    // For a server that would accept it now: it does so by then.
    world.pass(SHORT);
    let accepted = owner.accept(AT_ONCE).expect("it is there");
    assert_eq!(accepted.peer_addr().expect("open"), queued.local_addr().expect("open"));
    world.release();
    client.expect_last("held");
    world.drained();
    owner.accepts_on(AT_ONCE);
}
