//! From the listener to the end of a server of ebbtide's: what is the same on every pair.

use std::future::Future;
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
        Self::of(drain, addr)
    }

    /// The same, where signals are heard of in another way.
    pub(crate) fn without_signals(addr: SocketAddr) -> Result<(Self, Guard), Error> {
        Self::of(Drain::new(), addr)
    }

    fn of(drain: Drain, addr: SocketAddr) -> Result<(Self, Guard), Error> {
        let guard = drain.watcher().guard().ok_or("nothing has started it yet")?;
        listening(addr);
        Ok((Self { drain }, guard))
    }

    /// Waits for the signal, and for the end.
    pub(crate) async fn end(self) -> Result<(), Error> {
        let signal = self.drain.watcher();
        self.end_by(signal).await
    }

    /// The same, by a signal that is heard of in another way.
    pub(crate) async fn end_by(self, signal: impl Future) -> Result<(), Error> {
        signal.await;
        Ok(self.drain.start().await?)
    }
}

/// The line that every server here begins with.
pub(crate) fn listening(addr: SocketAddr) {
    println!("serving on http://{addr}");
}
