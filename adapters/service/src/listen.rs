//! Listeners, and attempts to bind one.

use std::io;

use ebbtide_accept::Listener;

/// What a [`Service`](crate::Service) serves: a listener of the runtime `R`, or the result of binding one. An error is told
/// by the outcome then, with the name of the part.
///
/// `How` tells the two apart and is inferred.
pub trait Listen<R, How> {
    /// The listener.
    type Listener: Listener<R>;

    /// It, or why there is none.
    ///
    /// # Errors
    ///
    /// What binding it has failed with.
    fn listener(self) -> io::Result<Self::Listener>;
}

/// A listener.
#[derive(Debug)]
pub enum Bound {}

/// The result of binding one.
#[derive(Debug)]
pub enum Binding {}

impl<R, L: Listener<R>> Listen<R, Bound> for L {
    type Listener = L;

    fn listener(self) -> io::Result<L> {
        Ok(self)
    }
}

impl<R, L: Listener<R>> Listen<R, Binding> for io::Result<L> {
    type Listener = L;

    fn listener(self) -> Self {
        self
    }
}
