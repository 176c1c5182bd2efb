//! Questions to Linux: `sock_diag(7)` over netlink, in the layout of `linux/netlink.h` and `linux/inet_diag.h`.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

pub(crate) fn half_open(listener: SocketAddr) -> Option<usize> {
    const SYN_RECV: u32 = 1 << 3;
    let families: &[i32] = match listener.ip() {
        IpAddr::V4(_) => &[libc::AF_INET],
        // Such a listener takes both families, unless `IPV6_V6ONLY` is set.
        IpAddr::V6(ip) if ip.is_unspecified() => &[libc::AF_INET, libc::AF_INET6],
        IpAddr::V6(_) => &[libc::AF_INET6],
    };
    let port = listener.port().to_be_bytes();
    let count = |family: &i32| {
        let mut count = 0;
        ask(&request(REQUEST | DUMP, *family, SYN_RECV, &port), |_| count += 1).ok()?;
        Some(count)
    };
    families.iter().map(count).sum()
}

pub(crate) fn unacknowledged(local: SocketAddr, remote: SocketAddr) -> Option<usize> {
    const EVERY_STATE: u32 = u32::MAX;
    /// The length of the send queue, in an `inet_diag_msg`.
    const WQUEUE: std::ops::Range<usize> = 60..64;
    let mut id = Vec::with_capacity(48);
    id.extend(local.port().to_be_bytes());
    id.extend(remote.port().to_be_bytes());
    for addr in [local, remote] {
        match addr.ip() {
            IpAddr::V4(ip) => id.extend(ip.octets().into_iter().chain([0; 12])),
            IpAddr::V6(ip) => id.extend(ip.octets()),
        }
    }
    // Which interface a link-local address belongs to.
    id.extend(if let SocketAddr::V6(addr) = remote { addr.scope_id() } else { 0 }.to_ne_bytes());
    // `INET_DIAG_NOCOOKIE`.
    id.extend([0xff; 8]);
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut queue = None;
    let tell = |message: &[u8]| queue = message.get(WQUEUE).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes);
    ask(&request(REQUEST, family, EVERY_STATE, &id), tell).ok()?;
    usize::try_from(queue?).ok()
}

const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const HEADER: usize = 16;
/// With the socket's addresses, which are 48 bytes.
const WHOLE: u8 = 16 + 8 + 48;
const TCP: u8 = 6;

/// A `nlmsghdr` and an `inet_diag_req_v2`: of sockets in these states, with what is given of the socket's addresses.
fn request(flags: u16, family: i32, states: u32, socket: &[u8]) -> Vec<u8> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let mut request = Vec::with_capacity(WHOLE.into());
    request.extend(u32::from(WHOLE).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([u8::try_from(family).unwrap_or_default(), TCP, 0, 0]);
    request.extend(states.to_ne_bytes());
    request.extend(socket);
    request.resize(WHOLE.into(), 0);
    request
}

/// More messages than any kernel answers: a bound against an error of ours.
const MOST: usize = 1 << 16;

/// Sends the request, and calls `tell` with each answer, without its header.
fn ask(request: &[u8], mut tell: impl FnMut(&[u8])) -> io::Result<()> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::DGRAM.cloexec(),
        Some(Protocol::from(libc::NETLINK_SOCK_DIAG)),
    )?;
    // The kernel answers within the call, so a read need not wait.
    socket.set_nonblocking(true)?;
    socket.send(request)?;
    let is_dump = request[6..8] == (REQUEST | DUMP).to_ne_bytes();
    let mut buffer = vec![0; 1 << 15];
    for _ in 0..MOST {
        let read = (&socket).read(&mut buffer)?;
        let mut rest = &buffer[..read];
        while let Some((length, kind)) = header(rest) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
                _ => tell(rest.get(HEADER..length).unwrap_or_default()),
            }
            if !is_dump {
                return Ok(());
            }
            // Messages are aligned to four bytes.
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The length and the type of the message that comes first.
fn header(messages: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(messages.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(messages.get(4..6)?.try_into().ok()?);
    // A length below that of a header would make an endless loop.
    Some((usize::try_from(length).ok()?.max(HEADER), kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn no_handshake_is_under_way_on_an_idle_listener_or_one_with_a_queue() {
        for addr in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(addr).expect("a port");
            let addr = listener.local_addr().expect("bound");
            assert_eq!(half_open(addr), Some(0));
            let _client = std::net::TcpStream::connect((if addr.is_ipv4() { "127.0.0.1" } else { "::1" }, addr.port()));
            assert_eq!(half_open(addr), Some(0));
        }
    }
}
