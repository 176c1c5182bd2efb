//! Where a scenario happens.

use std::time::Duration;

use ebbtide::{Drain, Overdue};

use crate::application::Application;
use crate::transport::Transport;

/// A server and the way to it: over sockets and in real time, or in memory and in virtual time. A scenario is written
/// once for both.
pub(crate) trait World {
    /// What a client has.
    type Stream: Transport;

    /// What is served.
    fn application(&self) -> &Application;

    /// The server's drain.
    fn drain(&self) -> &Drain;

    /// A new connection, or why there is none.
    fn connect(&self) -> std::io::Result<Self::Stream>;

    /// Lets the server go on until this is so. Panics with `what` where it does not become so.
    fn until(&self, what: &str, is: impl FnMut() -> bool);

    /// Lets time pass.
    fn pass(&self, time: Duration);

    /// Waits for the end of the drain, and of the server.
    fn ended(self) -> Result<(), Overdue>;
}
