//! What these servers need beside the application of `ebbtide-examples`: its routes for axum, and its endpoints for async-h1.

pub mod h1;
pub mod routes;
