//! Every pair of a runtime and a protocol engine that the adapters make, as a server for the scenario suite: a file for
//! each, whose difference to its neighbour is all there is to move.

pub mod async_std_h1;
mod h1;
pub mod hostile;
pub mod server;
pub mod simulated;
pub mod smol_h1;
pub mod smol_hyper;
pub mod table;
pub mod tokio_hyper;
pub mod toy_hyper;

use ebbtide_testkit::Suite;

/// The suites of all pairs, and of all pairs over TLS.
#[must_use]
pub fn suites() -> Vec<Suite> {
    let plain =
        vec![tokio_hyper::suite(), smol_hyper::suite(), smol_h1::suite(), async_std_h1::suite(), toy_hyper::suite()];
    let over_tls = plain.clone().into_iter().map(Suite::over_tls);
    plain.into_iter().chain(over_tls).collect()
}
