//! Signals as the start of a graceful shutdown, on any runtime: the first starts the drain, the second closes it by force, the
//! third kills.
//!
//! ```no_run
//! use ebbtide::Drain;
//! use ebbtide_signal::{Signals, escalate};
//!
//! # async fn serve(_: ebbtide::Guard) {}
//! # async fn service() -> Result<(), Box<dyn std::error::Error>> {
//! let drain = Drain::new();
//! let guard = drain.guard().expect("no signal can have started it yet");
//! escalate(drain.clone(), Signals::new()?);
//!
//! serve(guard).await; // its guard tells it of the drain, and it ends by itself
//! drain.start().await?; // waits for the rest
//! # Ok(())
//! # }
//! ```
//!
//! Signals arrive on a thread of this crate, and not in a runtime's reactor. So a service whose executor is stuck can still be
//! closed by force and killed. The thread adds some 0.05 ms to the end of a process.
//!
//! | | Unix | Windows |
//! |---|---|---|
//! | by default | `SIGINT`, `SIGTERM`; `SIGHUP` unless [it was ignored](Signals::new) | Ctrl-C, Ctrl-Break, close, log-off, shutdown |
//! | by choice | also `SIGQUIT`, `SIGUSR1`, `SIGUSR2` | any of these |
//! | the third kills | by the signal itself, so that the parent sees death by signal; as process 1, which the kernel protects, with exit code 128 + its number | exit code 0xC000013A, as by default |
//!
//! Signal handlers belong to the whole process, so a second installation is [an error](InstallError::Twice).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod escalate;
mod escalation;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod signal;
mod signals;

pub use escalate::escalate;
pub use signal::Signal;
pub use signals::{InstallError, Recv, Signals};
