//! How many clients are about to be connected to a listener: what Linux knows of their handshakes.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// How many handshakes are under way on this listener's port: the kernel has seen a SYN, and waits for the ACK of its
/// answer. `None` if the kernel does not tell, as in some containers.
///
/// It is one dump of the kernel's `sock_diag(7)`: no packet, and no wait.
pub(crate) fn half_open(listener: SocketAddr) -> Option<usize> {
    let families: &[i32] = match listener.ip() {
        IpAddr::V4(_) => &[libc::AF_INET],
        // It has those of both, unless it was told not to.
        IpAddr::V6(ip) if ip.is_unspecified() => &[libc::AF_INET, libc::AF_INET6],
        IpAddr::V6(_) => &[libc::AF_INET6],
    };
    families.iter().map(|family| ask(u8::try_from(*family).ok()?, listener.port()).ok()).sum()
}

/// A dump that no kernel answers for so many messages would be an error of ours.
const MOST: usize = 1 << 16;

fn ask(family: u8, port: u16) -> io::Result<usize> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::DGRAM.cloexec(),
        Some(Protocol::from(libc::NETLINK_SOCK_DIAG)),
    )?;
    socket.send(&request(family, port))?;
    let (mut buffer, mut count) = (vec![0; 1 << 15], 0);
    for _ in 0..MOST {
        let read = (&socket).read(&mut buffer)?;
        let mut rest = &buffer[..read];
        while let Some((length, kind)) = header(rest) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(count),
                libc::NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
                _ => count += 1,
            }
            // Each begins at a multiple of four.
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The length and the type of the message that comes first.
fn header(messages: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(messages.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(messages.get(4..6)?.try_into().ok()?);
    // Less than a header would never end.
    Some((usize::try_from(length).ok()?.max(16), kind))
}

/// A `nlmsghdr` and an `inet_diag_req_v2` (`linux/netlink.h`, `linux/inet_diag.h`).
fn request(family: u8, port: u16) -> Vec<u8> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const SYN_RECV: u32 = 1 << 3;
    const REQUEST_AND_DUMP: u16 = 0x301;
    let mut request = Vec::with_capacity(72);
    request.extend(72_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST_AND_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, 6, 0, 0]);
    request.extend(SYN_RECV.to_ne_bytes());
    request.extend(port.to_be_bytes());
    request.resize(72, 0);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nobody_is_about_to_be_connected_to_an_idle_listener_or_one_with_a_queue() {
        for addr in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(addr).expect("a port");
            let addr = listener.local_addr().expect("bound");
            assert_eq!(half_open(addr), Some(0));
            let _client = std::net::TcpStream::connect((if addr.is_ipv4() { "127.0.0.1" } else { "::1" }, addr.port()));
            assert_eq!(half_open(addr), Some(0));
        }
    }
}
