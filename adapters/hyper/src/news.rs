//! What a request may know of the drain.

use std::fmt;
use std::sync::Arc;

use ebbtide::{Guard, Watcher};
use ebbtide_connection::Tracker;
use hyper::http::Extensions;

/// What a request may know of the drain, and have of it: in the extensions of every request, if the
/// [`Http`](crate::Http::news_in_every_request) was told so.
///
/// It keeps its connection's guard, as a guard would.
#[derive(Clone)]
pub struct News(Arc<Tracker>);

/// A request's extensions with [`News`] in them and room for some more, to be cloned.
///
/// A router puts three into each request of its own. A fourth makes the table grow, which takes longer than all else that is
/// done for the drain in a request; a clone has the room from the beginning.
#[derive(Debug)]
pub(crate) struct Roomy(Extensions);

impl Roomy {
    pub(crate) fn new(tracker: Arc<Tracker>) -> Self {
        #[derive(Clone)]
        struct Room<const N: usize>;

        let mut extensions = Extensions::new();
        extensions.insert(News(tracker));
        extensions.insert(Room::<0>);
        extensions.insert(Room::<1>);
        extensions.insert(Room::<2>);
        // What they took stays.
        extensions.remove::<Room<0>>();
        extensions.remove::<Room<1>>();
        extensions.remove::<Room<2>>();
        Self(extensions)
    }

    #[inline]
    pub(crate) fn put(&self, extensions: &mut Extensions) {
        if extensions.is_empty() {
            *extensions = self.0.clone();
        } else {
            extensions.extend(self.0.clone());
        }
    }
}

impl News {
    /// A watcher that is ready once the drain begins, or before it in the connection's turn in a
    /// [lame duck time](ebbtide::LameDuck).
    pub fn watcher(&self) -> Watcher {
        self.0.request_watcher()
    }

    /// A guard, to hold the drain up for work that goes on after the response.
    pub fn guard(&self) -> Guard {
        self.0.guard().clone()
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("state", &self.0.guard().state()).finish_non_exhaustive()
    }
}
