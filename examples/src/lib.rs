//! What the example servers share: their flags, their application, and how they tell of a drain.

pub mod application;
pub mod inherited;
pub mod life;
pub mod options;
pub mod output;
pub mod report;
pub mod tls;
pub mod work;
