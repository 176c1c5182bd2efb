//! `Giver`: the way of connections to the successor.

use std::sync::Arc;

use crate::connection::{Connection, Given, MOST_STATE};
use crate::driver::Command;
use crate::shared::Shared;

/// Gives connections to the successor.
///
/// # Examples
///
/// ```no_run
/// use ebbtide_handover::{Connection, Giver};
///
/// # async fn serve_on(_: Connection) {}
/// async fn leave(giver: Giver, idle: std::net::TcpStream) {
///     let peer = idle.peer_addr().map_or_else(|_| String::new(), |it| it.to_string());
///     let connection = Connection { socket: idle.into(), peer, state: Vec::new() };
///     if let Err(connection) = giver.give("api", connection).await {
///         serve_on(connection).await; // it stays, and drains
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Giver {
    pub(crate) shared: Arc<Shared>,
}

impl Giver {
    /// Whether there is a successor in charge. Before that, everything that is given stays.
    pub fn has_successor(&self) -> bool {
        self.shared.has_left()
    }

    /// Gives a connection of the listener of this name to the successor.
    ///
    /// At most 64 are on their way at a time; others wait for these. See [`Given`] for the answer.
    pub fn give(&self, listener: &str, connection: Connection) -> Given {
        let (given, slot) = Given::new();
        if connection.state.len() > MOST_STATE {
            slot.answer(Err(connection));
            return given;
        }
        let command = Command::Give { listener: listener.to_owned(), connection, slot };
        if let Err(Command::Give { connection, slot, .. }) = self.shared.command(command) {
            slot.answer(Err(connection));
        }
        given
    }
}
