//! x
mod control;
mod protocol;
mod wire;
