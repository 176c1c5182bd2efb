//! From the listener to the end of a server of ebbtide's: what is the same on every pair.

use std::net::SocketAddr;

use ebbtide::{Drain, Guard};
use ebbtide_signal::{Signals, escalate};

use crate::Error;

/// A server that ends by a signal.
pub(crate) struct Life {
    drain: Drain,
}

impl Life {
    /// Says where it listens, and gives the guard of whoever accepts there.
    pub(crate) fn begin(addr: SocketAddr) -> Result<(Self, Guard), Error> {
        let (drain, signals) = (Drain::new(), Signals::new()?);
        escalate(drain.clone(), signals);
        let guard = drain.guard().ok_or("nothing has started it yet")?;
        listening(addr);
        Ok((Self { drain }, guard))
    }

    /// Waits for the signal, and for the end.
    pub(crate) async fn end(self) -> Result<(), Error> {
        self.drain.watcher().await;
        Ok(self.drain.start().await?)
    }
}

/// The line that every server here begins with.
pub(crate) fn listening(addr: SocketAddr) {
    println!("serving on http://{addr}");
}
