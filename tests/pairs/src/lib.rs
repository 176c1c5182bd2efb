//! Every pair of a runtime and a protocol engine that the adapters make, as a server for the scenario suite: a file for
//! each, whose difference to its neighbour is all there is to move.

pub mod async_std_h1;
mod h1;
pub mod hostile;
pub mod simulated;
pub mod smol_h1;
pub mod smol_hyper;
pub mod table;
pub mod tokio_hyper;
pub mod toy_hyper;

use ebbtide_testkit::Suite;

/// The suites of all pairs.
#[must_use]
pub fn suites() -> Vec<Suite> {
    vec![tokio_hyper::suite(), smol_hyper::suite(), smol_h1::suite(), async_std_h1::suite(), toy_hyper::suite()]
}
