//! Every pair keeps every promise that its engine can.

use ebbtide_pairs::{async_std_h1, smol_h1, smol_hyper, tokio_hyper};

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
