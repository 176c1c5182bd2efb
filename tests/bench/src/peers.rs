//! Everybody who is in the table, ourselves included.

mod async_shutdown;
mod drain;
mod ebbtide;
mod hyper_util;
mod limit;
mod swansong;
mod tokio_graceful;
mod tokio_util;

pub(crate) use async_shutdown::AsyncShutdown;
pub(crate) use drain::Drain;
pub(crate) use ebbtide::Ebbtide;
pub(crate) use hyper_util::HyperUtil;
pub(crate) use limit::Limit;
pub(crate) use swansong::Swansong;
pub(crate) use tokio_graceful::TokioGraceful;
pub(crate) use tokio_util::TokioUtil;
