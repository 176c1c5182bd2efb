//! A connection through TLS, or without.

use std::io::{self, Read, Write};

#[cfg(feature = "rustls")]
use crate::tls::Tls;
use crate::transport::Transport;

/// What a client of a suite has.
#[derive(Debug)]
pub(crate) enum Channel<S> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(Box<Tls<S>>),
}

/// How the clients of a suite connect.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "rustls")]
    Tls(crate::tls::Identity),
}

impl Security {
    pub(crate) fn over<S>(&self, stream: S) -> Channel<S> {
        match self {
            Self::Plain => Channel::Plain(stream),
            #[cfg(feature = "rustls")]
            Self::Tls(identity) => Channel::Tls(Box::new(Tls::over(stream, identity.client(&[])))),
        }
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn server(&self) -> Option<std::sync::Arc<rustls::ServerConfig>> {
        match self {
            Self::Plain => None,
            Self::Tls(identity) => Some(identity.server(&[])),
        }
    }
}

/// Does it on either.
macro_rules! on {
    ($channel:expr, $it:ident => $what:expr) => {
        match $channel {
            Channel::Plain($it) => $what,
            #[cfg(feature = "rustls")]
            Channel::Tls($it) => $what,
        }
    };
}

impl<S: Transport> Read for Channel<S> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        on!(self, it => it.read(space))
    }
}

impl<S: Transport> Write for Channel<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        on!(self, it => it.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        on!(self, it => it.flush())
    }
}

impl<S: Transport> Transport for Channel<S> {
    fn half_close(&mut self) -> io::Result<()> {
        on!(self, it => it.half_close())
    }

    fn fill(&mut self, bytes: &[u8]) -> io::Result<usize> {
        on!(self, it => it.fill(bytes))
    }

    fn is_ended(&mut self) -> bool {
        on!(self, it => it.is_ended())
    }

    fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize> {
        on!(self, it => it.read_now(space))
    }

    fn ready(&mut self) -> io::Result<()> {
        on!(self, it => it.ready())
    }

    fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        on!(self, it => it.queue(bytes))
    }

    fn begin(&mut self, most: usize) -> io::Result<()> {
        on!(self, it => it.begin(most))
    }
}
