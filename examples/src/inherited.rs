//! A main listener that whoever started this process has opened: systemd, or another parent.

use std::env;
use std::net::TcpListener;

use listenfd::ListenFd;

/// The listener that the environment names, as `sd_listen_fds(3)` says: `LISTEN_FDS` counts descriptors from 3 on, for the
/// process of `LISTEN_PID`; `LISTEN_FDNAMES` gives them names, of which ours is `main`. Without names it is the first.
///
/// Takes the variables out of the environment, so it is for the beginning of a process, before there are threads.
///
/// # Errors
///
/// One line that says that descriptors were passed and none of them is the main listener.
pub fn main_listener() -> Result<Option<TcpListener>, String> {
    let names = env::var("LISTEN_FDNAMES").ok();
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    let at = match names.filter(|it| !it.is_empty()) {
        Some(names) => names.split(':').position(|name| name == "main"),
        None => Some(0),
    };
    let at = at.ok_or("LISTEN_FDNAMES: none of the inherited sockets is called main")?;
    match passed.take_tcp_listener(at) {
        Ok(Some(listener)) => Ok(Some(listener)),
        Ok(None) => Err(format!("LISTEN_FDS: descriptor {} has a name, but was not passed", 3 + at)),
        Err(error) => Err(format!("LISTEN_FDS: descriptor {} is no TCP socket: {error}", 3 + at)),
    }
}
