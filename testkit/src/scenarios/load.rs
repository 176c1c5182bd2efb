//! Many clients at the same instant, so over sockets only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::feature::Feature;
use crate::promise::{Promise, promise};
use crate::sockets::Sockets;
use crate::wire::Wire;
use crate::world::World;
use crate::{client, http2};

type Stream = <Sockets as World>::Stream;
type Client = client::Client<Stream>;

pub(super) fn promises() -> Vec<Promise<Sockets>> {
    vec![
        promise!(no_request_is_lost_under_load_on_connections_that_are_kept),
        promise!(no_request_is_lost_under_load_on_a_connection_for_each),
        promise!(no_request_is_lost_under_load_on_streams).needs(Feature::Http2),
    ]
}

/// What clients have seen that ask again and again until the server is gone.
#[derive(Debug, Default)]
struct Load {
    answered: AtomicUsize,
    lost: AtomicUsize,
}

impl Load {
    /// Asks. Returns whether to ask again on the same connection.
    fn ask(&self, client: &mut Client) -> bool {
        if client.is_ended() {
            return false;
        }
        let sent = client.offer("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").is_ok();
        let answer = if sent { client.answer().ok() } else { None };
        self.count(answer.is_some());
        answer.is_some_and(|it| !it.says_close())
    }

    /// Asks on a stream. Returns whether another may be opened.
    fn open(&self, client: &mut http2::Client<Stream>) -> bool {
        if client.goaways.len() > 1 {
            return false;
        }
        let Ok(stream) = client.offer_get("/hello") else { return false };
        let is_answered = client.answer(stream).is_ok();
        // It may have crossed the second GOAWAY, which says so.
        if is_answered || client.goaways.last().is_none_or(|it| stream <= it.last) {
            self.count(is_answered);
        }
        is_answered
    }

    fn count(&self, is_answered: bool) {
        if is_answered { &self.answered } else { &self.lost }.fetch_add(1, Ordering::SeqCst);
    }

    /// Runs clients until they are done, and starts the drain in the middle of it.
    fn run(&self, world: Sockets, client: impl Fn(&Sockets) + Sync) {
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| client(&world));
            }
            // Whatever becomes of them: the clients end when the server does.
            world.until("200 answers", || self.answered.load(Ordering::SeqCst) >= 200);
            world.start();
        });
        let Self { answered, lost } = self;
        assert_eq!(lost.load(Ordering::SeqCst), 0, "requests lost, with {answered:?} answered");
        world.drained();
    }
}

fn no_request_is_lost_under_load_on_connections_that_are_kept(world: Sockets) {
    let load = Load::default();
    load.run(world, |world| {
        // The others may have been so quick that the drain has begun.
        let Ok(stream) = world.connect() else { return };
        let mut client = Client::over(stream);
        while load.ask(&mut client) {}
    });
}

fn no_request_is_lost_under_load_on_a_connection_for_each(world: Sockets) {
    let load = Load::default();
    load.run(world, |world| {
        while let Ok(stream) = world.connect() {
            load.ask(&mut Client::over(stream));
        }
    });
}

fn no_request_is_lost_under_load_on_streams(world: Sockets) {
    let load = Load::default();
    load.run(world, |world| {
        let Ok(stream) = world.connect() else { return };
        let mut client = http2::Client::begin(Wire::over(stream), http2::PREFACE);
        while load.open(&mut client) {}
    });
}
