//! Where a scenario happens.

use std::time::Duration;

use ebbtide::{Drain, Overdue};

use crate::application::Application;
use crate::transport::Transport;
use crate::{client, http2, wire::Wire};

/// A server and the way to it: over sockets and in real time, or in memory and in virtual time. A scenario is written
/// once for both.
pub(crate) trait World: Sized {
    /// What a client has.
    type Stream: Transport;

    /// What is served.
    fn application(&self) -> &Application;

    /// The server's drain.
    fn drain(&self) -> &Drain;

    /// A new connection, or why there is none.
    fn connect(&self) -> std::io::Result<Self::Stream>;

    /// Whether another server could listen where this one does, or did.
    fn is_free(&self) -> bool;

    /// Lets the server go on until this is so. Panics with `what` where it does not become so.
    fn until(&self, what: &str, is: impl FnMut() -> bool);

    /// Lets time pass.
    fn pass(&self, time: Duration);

    /// Waits for the end of the drain, and of the server.
    fn ended(self) -> Result<(), Overdue>;

    /// A new connection, for bytes of its own.
    fn wire(&self) -> Wire<Self::Stream> {
        Wire::over(self.connect().expect("it accepts connections"))
    }

    /// A new connection.
    fn client(&self) -> client::Client<Self::Stream> {
        client::Client::on(self.wire())
    }

    /// A new connection of HTTP/2.
    fn http2(&self) -> http2::Client<Self::Stream> {
        http2::Client::begin(self.wire(), http2::PREFACE)
    }

    /// An idle connection: one request is answered, the next may come.
    fn idle(&self) -> client::Client<Self::Stream> {
        let before = self.application().in_flight();
        let mut client = self.client();
        client.get("/hello");
        client.expect("hello");
        // A response is there before its server is done with it.
        self.until_in_flight(before);
        client
    }

    /// A connection that the server has accepted and that has said nothing.
    fn silent(&self) -> client::Client<Self::Stream> {
        let before = self.drain().guards();
        let mut client = self.client();
        self.until("a guard for a connection", || self.drain().guards() > before);
        client.ready();
        client
    }

    /// A connection that waits for the response to a GET of this path.
    fn waiting(&self, path: &str) -> client::Client<Self::Stream> {
        let before = self.application().in_flight();
        let mut client = self.client();
        client.get(path);
        self.until_in_flight(before + 1);
        client
    }

    /// Waits until so many requests are in flight.
    fn until_in_flight(&self, count: usize) {
        let what = format!("{count} in flight");
        self.until(&what, || self.application().in_flight() == count);
    }

    /// Waits until new connections are refused.
    fn until_refused(&self) {
        self.until("a new connection refused", || self.connect().is_err());
    }

    /// Starts the drain.
    fn start(&self) {
        drop(self.drain().start());
    }

    /// Lets all be answered that are held.
    fn release(&self) {
        self.application().release();
    }

    /// Waits for the end, which is to be a drain that cuts nothing.
    fn drained(self) {
        let application = self.application().clone();
        if let Err(overdue) = self.ended() {
            panic!("{overdue}");
        }
        assert_eq!(application.in_flight(), 0, "requests in flight though the drain is over");
    }

    /// Closes by force, and waits for the end, of which nothing is to be left.
    fn cut(self) -> Overdue {
        self.drain().close();
        self.until("the end of all that is in flight", || self.application().in_flight() == 0);
        self.ended().expect_err("a forced close of what was held")
    }
}
