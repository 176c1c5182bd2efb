//! `Signal`: a signal of Unix, or a console event of Windows.

use std::fmt;

/// A signal of Unix, or a console event of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGINT`; Ctrl-C.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
    /// `SIGHUP`: the terminal was closed. For many daemons it means "reload": see [`Signals::of`](crate::Signals::of).
    Hangup,
    /// `SIGQUIT`.
    Quit,
    /// `SIGUSR1`.
    User1,
    /// `SIGUSR2`.
    User2,
    /// Ctrl-Break.
    Break,
    /// The console window was closed. Windows ends the process about 5 s later.
    Close,
    /// The user logs off.
    Logoff,
    /// The machine shuts down.
    Shutdown,
}

impl Signal {
    /// The platform's name of the signal, such as `SIGTERM`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt if cfg!(windows) => "CTRL_C_EVENT",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
            Self::Quit => "SIGQUIT",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
            Self::Break => "CTRL_BREAK_EVENT",
            Self::Close => "CTRL_CLOSE_EVENT",
            Self::Logoff => "CTRL_LOGOFF_EVENT",
            Self::Shutdown => "CTRL_SHUTDOWN_EVENT",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
