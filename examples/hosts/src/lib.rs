//! A watcher is the future that other servers and workers ask for: one program for each of them.

pub mod actix_web;
pub mod apalis;
pub mod axum;
pub mod axum_server;
pub mod graphile_worker;
pub mod hyper_util;
pub mod jsonrpsee;
pub mod picoserve;
pub mod poem;
pub mod rmcp;
pub mod rocket;
pub mod salvo;
pub mod tonic;
pub mod warp;
