//! `Environment`: sockets that the manager passes, by the convention of `sd_listen_fds(3)`.

use std::env;
use std::io;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;

use crate::protocol::Kind;

/// Sockets that systemd or another manager has opened.
pub(crate) struct Environment {
    passed: ListenFd,
    /// The name of each that was not taken; an empty one fits any.
    names: Vec<Option<String>>,
}

/// More than anybody passes. listenfd makes a list of as many as the variable says.
const MOST: usize = 4096;

impl Environment {
    /// Takes them out of the environment.
    ///
    /// # Errors
    ///
    /// The variables are wrong.
    pub(crate) fn take() -> io::Result<Self> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if let Some(said) = env::var_os("LISTEN_FDS") {
            let count = said.to_str().and_then(|it| it.parse::<usize>().ok());
            if count.is_none_or(|it| it > MOST) {
                return Err(wrong(format!("LISTEN_FDS: {said:?} is no number of descriptors")));
            }
        }
        let passed = ListenFd::from_env();
        let said = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<_> = match said.as_str() {
            "" => vec![Some(String::new()); passed.len()],
            _ => said.split(':').map(|it| Some(it.to_owned())).collect(),
        };
        if passed.len() > 0 && names.len() != passed.len() {
            return Err(wrong(format!("LISTEN_FDNAMES: {} names for {} sockets", names.len(), passed.len())));
        }
        Ok(Self { passed, names })
    }

    /// The socket of this name. Without names, the first of this kind.
    ///
    /// # Errors
    ///
    /// It has the name, and is of another kind.
    pub(crate) fn socket(&mut self, name: &str, kind: Kind) -> io::Result<Option<OwnedFd>> {
        for at in 0..self.names.len().min(self.passed.len()) {
            let Some(passed) = &self.names[at] else { continue };
            if !passed.is_empty() && passed != name {
                continue;
            }
            let socket = match kind {
                Kind::Tcp => self.passed.take_tcp_listener(at).map(|it| it.map(Into::into)),
                Kind::Unix => self.passed.take_unix_listener(at).map(|it| it.map(Into::into)),
                Kind::Udp => self.passed.take_udp_socket(at).map(|it| it.map(Into::into)),
                Kind::UnixDatagram => self.passed.take_unix_datagram(at).map(|it| it.map(Into::into)),
            };
            match socket {
                Err(error) if !passed.is_empty() => return Err(error),
                Err(_) => {}
                Ok(socket) => {
                    self.names[at] = None;
                    return Ok(socket);
                }
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("names", &self.names).finish_non_exhaustive()
    }
}
