//! TCP facts that the kernel knows: how many bytes a client has not acknowledged yet, and how many handshakes of a listener are
//! under way.
//!
//! The accept loop of ebbtide's runtime adapters labels each connection's guard with its [`Peer`]. Code that has the guard can
//! ask for the client's address, and for what the client has not acknowledged yet:
//!
//! ```
//! use ebbtide::Guard;
//! use ebbtide_socket::Peer;
//!
//! fn tell(guard: &Guard) {
//!     if let Some(peer) = Peer::of(guard) {
//!         println!("{peer}: {:?} bytes on their way", peer.unacknowledged());
//!     }
//! }
//! ```
//!
//! The kernel is asked by the addresses of the connection, so nothing here holds a descriptor. It is asked on Linux, through
//! `sock_diag(7)`; elsewhere, and if the kernel does not answer, each answer is `None`.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod peer;
#[cfg(target_os = "linux")]
mod sock_diag;

pub use peer::Peer;

/// The number of handshakes that are under way on this listener's port: SYNs that the client has not acknowledged the answer of.
///
/// `None` if the kernel does not tell, as in some containers, and on systems other than Linux. It is one dump of the kernel's
/// `sock_diag(7)`: no packet is sent, and it does not block.
///
/// # Examples
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let under_way = ebbtide_socket::half_open(listener.local_addr()?);
/// assert!(matches!(under_way, Some(0) | None));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn half_open(listener: std::net::SocketAddr) -> Option<usize> {
    #[cfg(target_os = "linux")]
    return sock_diag::half_open(listener);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = listener;
        None
    }
}
