//! How the peers' service is told to take its time.

use std::time::Duration;

/// What `ms=30` asks for.
pub(crate) fn pause(query: Option<&str>) -> Option<Duration> {
    query?.strip_prefix("ms=")?.parse().ok().map(Duration::from_millis)
}
