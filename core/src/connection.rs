//! What to do with a connection while the service drains.
