//! What became of the requests of one load.

use std::ops::AddAssign;

/// Every request and every connection is counted once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Answered to the last byte, with a status of 2xx.
    pub(crate) answered: u64,
    /// Written before the connection's end was here, and not answered.
    pub(crate) lost: u64,
    /// Connected, and reset before anything could be written.
    pub(crate) reset: u64,
    /// Answered with another status.
    pub(crate) other: u64,
    /// HTTP/2: said by the server to be untouched, so that the client may send it again.
    pub(crate) retryable: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.lost += more.lost;
        self.reset += more.reset;
        self.other += more.other;
        self.retryable += more.retryable;
    }
}
