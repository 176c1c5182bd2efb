//! The time before the drain, in which a server is not ready any more and all else goes on. How late it is in that time is
//! the scenario's to say, so nothing here depends on how fast a machine is.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ebbtide::{Drain, LameDuck};

use crate::feature::Feature;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::scenarios::upgrades::upgraded;
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(in_a_lame_duck_time_connections_old_and_new_are_served_as_before)
            .needs(Feature::LameDuck)
            .bounds(PATIENT.idle(SHORT)),
        promise!(in_a_lame_duck_time_streams_old_and_new_are_served_as_before).needs(Feature::Http2),
        promise!(in_a_lame_duck_time_connections_are_told_by_their_responses_one_after_the_other)
            .needs(Feature::LameDuck),
        promise!(who_comes_in_a_lame_duck_time_is_not_told_by_the_first_response).needs(Feature::LameDuck),
        promise!(upgraded_connections_are_told_one_after_the_other_in_a_lame_duck_time).needs(Feature::Upgrade),
    ]
}

const WINDOW: Duration = Duration::from_secs(5);
/// Connections, of which some are told in the first half of the time and some in the second.
const MANY: usize = 8;

/// A lame duck time that is as late as it is told.
struct Passing {
    now: Rc<Cell<Duration>>,
    passing: Pin<Box<dyn Future<Output = ()>>>,
}

impl Passing {
    /// Before the connections that are to have a turn in it.
    fn before(drain: &Drain) -> Self {
        let lame_duck = LameDuck::new(drain, WINDOW);
        let now = Rc::new(Cell::new(Duration::ZERO));
        let clock = now.clone();
        let sleep = move |time| {
            let (clock, until) = (clock.clone(), clock.get() + time);
            poll_fn(move |_| if clock.get() >= until { Poll::Ready(()) } else { Poll::Pending })
        };
        Self { now, passing: Box::pin(lame_duck.pass(sleep)) }
    }

    /// Begins if it has not, and lets it be that late.
    fn until(&mut self, time: Duration) {
        let before = self.now.get();
        for now in [before, time] {
            self.now.set(now);
            let over = self.passing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            assert_eq!(over, now >= WINDOW);
        }
    }
}

fn in_a_lame_duck_time_connections_old_and_new_are_served_as_before<W: World>(world: W) {
    let mut time = Passing::before(world.drain());
    let (idle, silent) = (world.idle(), world.silent());
    time.until(Duration::ZERO);
    // For a server that takes them away: it would do so by now.
    world.pass(SHORT);
    let mut clients = [idle, silent, world.client()];
    for client in &mut clients {
        client.get("/hello");
        assert!(!client.expect("hello").says_close(), "no turn has come yet");
    }
    world.start();
    for mut client in clients {
        client.expect_fin();
    }
    world.drained();
}

fn in_a_lame_duck_time_streams_old_and_new_are_served_as_before<W: World>(world: W) {
    let mut time = Passing::before(world.drain());
    let mut old = world.http2();
    let first = old.get("/hello");
    assert_eq!(old.response(first), "hello");
    // Whatever its turn is, it has come.
    time.until(WINDOW);
    world.pass(SHORT);
    for mut client in [old, world.http2()] {
        let id = client.get("/hello");
        assert_eq!(client.response(id), "hello");
        assert_eq!(client.goaways.len(), 0, "before the drain");
        world.pass(SHORT);
        let id = client.get("/hello");
        assert_eq!(client.response(id), "hello");
    }
    world.start();
    world.drained();
}

fn in_a_lame_duck_time_connections_are_told_by_their_responses_one_after_the_other<W: World>(world: W) {
    let mut time = Passing::before(world.drain());
    let clients: Vec<_> = (0..MANY).map(|_| world.idle()).collect();
    time.until(WINDOW / 2);
    let mut later = Vec::new();
    for mut client in clients {
        client.get("/hello");
        if client.expect("hello").says_close() {
            client.expect_fin();
        } else {
            later.push(client);
        }
    }
    assert!((2..=MANY - 2).contains(&later.len()), "{} of {MANY} not told by half of the time", later.len());
    time.until(WINDOW);
    for mut client in later {
        client.get("/hello");
        client.expect_last("hello");
    }
    world.start();
    world.drained();
}

fn who_comes_in_a_lame_duck_time_is_not_told_by_the_first_response<W: World>(world: W) {
    let mut time = Passing::before(world.drain());
    time.until(Duration::ZERO);
    let mut clients: Vec<_> = (0..MANY).map(|_| world.silent()).collect();
    time.until(WINDOW);
    for client in &mut clients {
        client.get("/hello");
        assert!(!client.expect("hello").says_close(), "of no use to its client");
    }
    for mut client in clients {
        client.get("/hello");
        client.expect_last("hello");
    }
    world.start();
    world.drained();
}

fn upgraded_connections_are_told_one_after_the_other_in_a_lame_duck_time<W: World>(world: W) {
    let mut time = Passing::before(world.drain());
    let mut clients: Vec<_> = (0..MANY).map(|_| Some(upgraded(&world))).collect();
    time.until(WINDOW / 2);
    let mut told = 0;
    world.until("goodbyes to some of them", || {
        for place in &mut clients {
            let Some(client) = place else { continue };
            client.send("again\n");
            let line = client.take_until("\n").unwrap_or_else(|end| panic!("{end} on an upgraded connection"));
            if line == b"goodbye\n" {
                client.send("bye\n");
                client.expect_fin();
                (*place, told) = (None, told + 1);
            }
        }
        told > 1
    });
    world.pass(SHORT);
    assert!(told < MANY - 1, "{told} of {MANY} told by half of the time");
    time.until(WINDOW);
    for client in clients.iter_mut().flatten() {
        // What was sent while it was not told yet has been echoed.
        client.take_until("goodbye\n").unwrap_or_else(|end| panic!("{end} instead of a goodbye"));
        client.send("bye\n");
        client.expect_fin();
    }
    drop(clients);
    world.start();
    world.drained();
}
