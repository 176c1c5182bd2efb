//! A real server, real connections, real signals: what clients and the parent process see of a drain.
//!
//! A request is known to be in flight when the diagnostics count it or its first byte has come, and the drain is known to
//! have begun when they are not ready. What has to reach the server together is sent while all of it is stopped. The few
//! tests that have to wait for a bound to pass say so; no test says how long anything took.
#![cfg(unix)]

mod accepting;
mod deadline;
mod diagnostics;
mod hostile;
mod http2;
mod inherited;
mod long_lived;
mod requests;
mod starting;
mod tls;
#[cfg(target_os = "linux")]
mod unread;
mod waiting;
