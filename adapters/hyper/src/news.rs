//! `News`: access to the drain from a request's extensions.

use std::fmt;
use std::sync::Arc;

use ebbtide::{Guard, Watcher};
use ebbtide_connection::Tracker;
use hyper::http::Extensions;

/// Access to the drain from a request: a value in its extensions, which gives a watcher and a guard.
///
/// [`Http::news_in_every_request`](crate::Http::news_in_every_request) puts it there. While it exists, the drain waits for the
/// connection.
#[derive(Clone)]
pub struct News(Arc<Tracker>);

/// Extensions with [`News`] in them and with spare capacity, to be cloned for each request.
///
/// A router adds three of its own to each request. A fourth entry makes the hash table grow, which takes longer than
/// everything else that is done for the drain. A clone has the capacity from the beginning.
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
        // The capacity stays.
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
    /// A watcher that is ready once the drain begins, or earlier in the connection's turn of a
    /// [lame duck time](ebbtide::LameDuck). Ask for it when the request begins: behind that turn it is ready at the drain.
    pub fn watcher(&self) -> Watcher {
        self.0.request_watcher()
    }

    /// A guard, for work that goes on after the response: the drain waits for it.
    pub fn guard(&self) -> Guard {
        self.0.guard().clone()
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("state", &self.0.guard().state()).finish_non_exhaustive()
    }
}
