//! Every engine keeps every promise in virtual time, whatever executor it is on.

use ebbtide_pairs::simulated;
use ebbtide_testkit::{Report, VirtualSuite};

fn reports() -> Vec<Report> {
    simulated::suites().iter().map(VirtualSuite::run).collect()
}

#[test]
fn every_engine_keeps_every_promise_on_every_executor() {
    reports().iter().for_each(Report::expect_kept);
}

#[test]
fn one_run_is_like_the_other() {
    let said = || reports().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said(), said());
}
