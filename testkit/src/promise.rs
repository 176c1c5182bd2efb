//! One promise, with the scenario that shows whether it is kept.

use std::time::Duration;

use ebbtide_connection::Bounds;

use crate::feature::Feature;

/// Of a server in the world `W`.
pub(crate) struct Promise<W> {
    /// A sentence.
    pub(crate) name: &'static str,
    /// The feature that it needs, if not every server has it.
    pub(crate) needs: Option<Feature>,
    /// How the server is to be.
    pub(crate) settings: Settings,
    /// Panics if it is broken.
    pub(crate) scenario: fn(W),
}

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    pub(crate) max_connections: Option<usize>,
    pub(crate) owners: Owners,
}

/// Who has the listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// The server alone.
    Server,
    /// Somebody else too, which it is not told.
    More,
    /// Somebody else too, which it is told.
    MoreAsSaid,
}

/// A bound that a scenario waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(100);
/// A bound that nobody waits for: where it did, the scenario would not end.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// Bounds that nobody waits for.
pub(crate) const PATIENT: Bounds =
    Bounds::NONE.silent(LONG).idle(LONG).head(LONG).preface(LONG).goaway(LONG).stall(LONG).linger(LONG);

impl<W> Promise<W> {
    /// With no bound that expires.
    pub(crate) fn new(name: &'static str, scenario: fn(W)) -> Self {
        let settings = Settings { bounds: PATIENT, max_connections: None, owners: Owners::Server };
        Self { name, needs: None, settings, scenario }
    }

    pub(crate) fn needs(mut self, feature: Feature) -> Self {
        self.needs = Some(feature);
        self
    }

    pub(crate) fn bounds(mut self, bounds: Bounds) -> Self {
        self.settings.bounds = bounds;
        self
    }

    pub(crate) fn max_connections(mut self, most: usize) -> Self {
        self.settings.max_connections = Some(most);
        self
    }

    pub(crate) fn owners(mut self, owners: Owners) -> Self {
        self.settings.owners = owners;
        self
    }
}

/// A promise, named as its scenario is.
macro_rules! promise {
    ($scenario:ident) => {
        $crate::promise::Promise::new(stringify!($scenario), $scenario)
    };
}
pub(crate) use promise;
