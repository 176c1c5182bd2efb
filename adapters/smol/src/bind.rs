//! Listeners with errors that name their address.

use std::{fmt, io};

use async_net::{AsyncToSocketAddrs as ToSocketAddrs, TcpListener};

/// Binds a TCP listener. The error names the address, which the runtime's own does not.
///
/// # Errors
///
/// Those of the system, such as that the address is in use.
///
/// # Examples
///
/// ```
/// # smol::block_on(async {
/// let first = ebbtide_smol::bind("127.0.0.1:0").await?;
/// let taken = first.local_addr()?.to_string();
/// let error = ebbtide_smol::bind(&*taken).await.unwrap_err();
/// assert!(error.to_string().starts_with(&format!("{taken}: Address already in use")));
/// # Ok::<_, std::io::Error>(())
/// # }).unwrap();
/// ```
pub async fn bind(address: impl ToSocketAddrs + fmt::Display) -> io::Result<TcpListener> {
    let name = address.to_string();
    TcpListener::bind(address).await.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}
