//! Every pair keeps every promise that its engine can.

use ebbtide_pairs::{async_std_h1, smol_h1, smol_hyper, tokio_hyper, toy_hyper};

#[test]
fn tokio_and_hyper_keep_every_promise() {
    tokio_hyper::suite().run().expect_kept();
}

#[test]
fn smol_and_hyper_keep_every_promise() {
    smol_hyper::suite().run().expect_kept();
}

#[test]
fn smol_and_async_h1_keep_every_promise() {
    smol_h1::suite().run().expect_kept();
}

#[test]
fn async_std_and_async_h1_keep_every_promise() {
    async_std_h1::suite().run().expect_kept();
}

#[test]
fn a_runtime_of_ones_own_and_hyper_keep_every_promise() {
    toy_hyper::suite().run().expect_kept();
}

#[test]
fn tokio_and_hyper_keep_every_promise_over_tls() {
    tokio_hyper::suite().over_tls().run().expect_kept();
}

#[test]
fn smol_and_hyper_keep_every_promise_over_tls() {
    smol_hyper::suite().over_tls().run().expect_kept();
}

#[test]
fn smol_and_async_h1_keep_every_promise_over_tls() {
    smol_h1::suite().over_tls().run().expect_kept();
}

#[test]
fn async_std_and_async_h1_keep_every_promise_over_tls() {
    async_std_h1::suite().over_tls().run().expect_kept();
}

#[test]
fn a_runtime_of_ones_own_and_hyper_keep_every_promise_over_tls() {
    toy_hyper::suite().over_tls().run().expect_kept();
}
