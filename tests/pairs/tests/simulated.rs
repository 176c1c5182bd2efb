//! Every engine keeps every promise in virtual time, whatever executor it is on.

use ebbtide_pairs::simulated;

#[test]
fn every_engine_keeps_every_promise_on_every_executor() {
    for suite in simulated::suites() {
        suite.run().expect_kept();
    }
}

#[test]
fn every_engine_keeps_every_promise_over_tls() {
    for suite in simulated::suites_over_tls() {
        suite.run().expect_kept();
    }
}

#[test]
fn one_run_is_like_the_other() {
    let said = || simulated::suites().into_iter().map(|it| it.only("half").run().to_string()).collect::<Vec<_>>();
    assert_eq!(said(), said());
}
