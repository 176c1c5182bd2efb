//! What holds ebbtide to account.
