//! What systemd is told: `sd_notify(3)`. Without `NOTIFY_SOCKET` it is nothing.

use std::env;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState as State;

/// How long a stop may take from each sign of progress on.
const EXTENSION: Duration = Duration::from_secs(15);

/// The process can serve, or serves on.
pub(crate) fn ready(status: &str) {
    tell(&[State::Ready, State::Status(&line(status))]);
}

/// The process is about to be replaced.
pub(crate) fn reloading() {
    if let Ok(now) = State::monotonic_usec_now() {
        tell(&[State::Reloading, now, State::Status("starting a successor")]);
    }
}

/// The service goes on in another process.
pub(crate) fn superseded(by: u32) {
    tell(&[State::MainPid(by), State::Ready]);
}

/// The service ends.
pub(crate) fn stopping(status: &str) {
    tell(&[State::Stopping, State::Status(&line(status))]);
}

/// The service ends, and this remains.
pub(crate) fn remains(status: &str, is_less: bool) {
    let time = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
    let line = line(status);
    let state = [State::Status(&line), State::ExtendTimeoutUsec(time)];
    // Only if there is progress: what hangs is killed in time.
    tell(if is_less { &state } else { &state[..1] });
}

/// Stores a listener with the manager, if that has room for any (`FileDescriptorStoreMax=`). A next start gets it then.
pub(crate) fn store(name: &str, socket: &Arc<OwnedFd>) -> bool {
    let has_room = env::var("FDSTORE").is_ok_and(|it| it.parse().is_ok_and(|it: u64| it > 0));
    if has_room {
        drop(sd_notify::notify_with_fds(&[State::FdStore, State::FdName(name)], &[socket.as_fd()]));
    }
    has_room
}

/// A status is one line.
fn line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

fn tell(state: &[State<'_>]) {
    // A manager that is not there, or does not listen, is no reason to do anything else.
    drop(sd_notify::notify(state));
}
