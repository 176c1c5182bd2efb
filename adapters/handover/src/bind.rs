//! Binding what nobody has given.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{self as unix_net, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

pub(crate) fn tcp(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    TcpListener::bind(addresses).map_err(|error| at(&list(addresses), &error))
}

pub(crate) fn udp(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    UdpSocket::bind(addresses).map_err(|error| at(&list(addresses), &error))
}

/// `replaces`: whether a file that nobody listens at is replaced. Without the lock, two processes could replace each other's.
pub(crate) fn unix(path: &Path, replaces: bool) -> io::Result<UnixListener> {
    let is_dead = || UnixStream::connect(path).is_err_and(|it| it.kind() == io::ErrorKind::ConnectionRefused);
    replacing(path, replaces, is_dead, || UnixListener::bind(path))
}

pub(crate) fn unix_datagram(path: &Path, replaces: bool) -> io::Result<UnixDatagram> {
    let connect = || UnixDatagram::unbound()?.connect(path);
    let is_dead = || connect().is_err_and(|it| it.kind() == io::ErrorKind::ConnectionRefused);
    replacing(path, replaces, is_dead, || UnixDatagram::bind(path))
}

fn replacing<S>(
    path: &Path,
    replaces: bool,
    is_dead: impl FnOnce() -> bool,
    bind: impl Fn() -> io::Result<S>,
) -> io::Result<S> {
    let bound = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && replaces => {
            let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
            if is_socket && is_dead() {
                fs::remove_file(path)?;
                bind()
            } else {
                Err(error)
            }
        }
        bound => bound,
    };
    bound.map_err(|error| at(&path.display().to_string(), &error))
}

/// Whether a socket that listens here is what one of these addresses asks for.
pub(crate) fn fits(bound: &io::Result<SocketAddr>, addresses: &[SocketAddr]) -> bool {
    let Ok(bound) = bound else { return false };
    addresses.iter().any(|it| it.ip() == bound.ip() && (it.port() == bound.port() || it.port() == 0))
}

/// Whether a socket is the one that clients find at this path. Somebody may have removed the file.
pub(crate) fn is_at(bound: io::Result<unix_net::SocketAddr>, path: &Path) -> bool {
    bound.is_ok_and(|it| it.as_pathname() == Some(path)) && fs::symlink_metadata(path).is_ok()
}

fn at(address: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
