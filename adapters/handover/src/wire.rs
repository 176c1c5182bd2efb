//! `Wire`: a Unix socket that carries messages with descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::protocol::{HEADER, Header, Message};

/// A Unix socket that carries messages with descriptors. It never blocks.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    unwritten: VecDeque<Outgoing>,
    /// The beginning of a message.
    input: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    is_truncated: bool,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    descriptors: Vec<Arc<OwnedFd>>,
}

/// A message that has come.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) message: Message,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Some of its descriptors are lost, since this process has no room for them.
    pub(crate) is_truncated: bool,
}

/// Why there is no next message.
#[derive(Debug)]
pub(crate) enum Lack {
    NotYet,
    /// The other side has closed.
    Ended,
    /// What comes is no message.
    Malformed(String),
}

/// Space for one message's descriptors.
const SPACE: usize = rustix::cmsg_space!(ScmRights(253));

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&stream, true)?;
        Ok(Self { stream, unwritten: VecDeque::new(), input: Vec::new(), descriptors: Vec::new(), is_truncated: false })
    }

    pub(crate) fn send(&mut self, message: &Message, descriptors: Vec<Arc<OwnedFd>>) {
        self.unwritten.push_back(Outgoing { bytes: message.bytes(), written: 0, descriptors });
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Drops what was to be written. Returns `false` if a part of a message is written: then nothing can follow it.
    pub(crate) fn forget_unwritten(&mut self) -> bool {
        let is_between = self.unwritten.front().is_none_or(|it| it.written == 0);
        self.unwritten.clear();
        is_between
    }

    /// Writes what can be written.
    ///
    /// # Errors
    ///
    /// The other side has closed, or the system refuses.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some(first) = self.unwritten.front_mut() {
            let fds: Vec<BorrowedFd<'_>> = first.descriptors.iter().map(|it| it.as_fd()).collect();
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
                return Err(io::Error::other("too many descriptors for a message"));
            }
            let bytes = IoSlice::new(&first.bytes[first.written..]);
            match sendmsg(&self.stream, &[bytes], &mut control, SEND) {
                Ok(written) => {
                    first.written += written;
                    // They went along with the first of these bytes.
                    first.descriptors.clear();
                    if first.written == first.bytes.len() {
                        self.unwritten.pop_front();
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Result<Incoming, Lack> {
        loop {
            let (length, header) = match self.input.first_chunk::<HEADER>() {
                Some(first) => {
                    let header = Header::read(*first).map_err(|it| Lack::Malformed(it.to_string()))?;
                    (HEADER + header.length, Some(header))
                }
                None => (HEADER, None),
            };
            if let (Some(header), 0) = (header, length - self.input.len()) {
                return self.complete(header);
            }
            self.fill(length)?;
        }
    }

    /// Reads once, up to this length. A byte more could be the beginning of the next message, with its descriptors.
    fn fill(&mut self, length: usize) -> Result<(), Lack> {
        let begun = self.input.len();
        self.input.resize(length, 0);
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut self.input[begun..])];
        let received = recvmsg(&self.stream, &mut into, &mut control, RECEIVE);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        drop(control);
        let bytes = received.as_ref().map_or(0, |it| it.bytes);
        self.input.truncate(begun + bytes);
        match received {
            Ok(it) if it.bytes == 0 => Err(Lack::Ended),
            Ok(it) => {
                // The kernel had no room in the table of this process, and has closed what did not fit.
                self.is_truncated |= it.flags.contains(ReturnFlags::CTRUNC);
                close_on_exec(&self.descriptors);
                Ok(())
            }
            Err(rustix::io::Errno::AGAIN) => Err(Lack::NotYet),
            Err(rustix::io::Errno::INTR) => Ok(()),
            // What the other side had sent is read before this.
            Err(_) => Err(Lack::Ended),
        }
    }

    fn complete(&mut self, header: Header) -> Result<Incoming, Lack> {
        let input = std::mem::take(&mut self.input);
        let descriptors = std::mem::take(&mut self.descriptors);
        let is_truncated = std::mem::take(&mut self.is_truncated);
        let message = Message::read(header, &input[HEADER..]).map_err(|it| Lack::Malformed(it.to_string()))?;
        if descriptors.len() != header.descriptors && !is_truncated {
            let (said, came) = (header.descriptors, descriptors.len());
            return Err(Lack::Malformed(format!("it announced {said} descriptors, and sent {came}")));
        }
        Ok(Incoming { message, descriptors, is_truncated })
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
// There it is an option of the socket.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();
#[cfg(not(target_vendor = "apple"))]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// Without a flag for it, descriptors are inherited by child processes for a moment.
fn close_on_exec(descriptors: &[OwnedFd]) {
    if cfg!(target_vendor = "apple") {
        for it in descriptors {
            let _is_no_error = rustix::io::fcntl_setfd(it, rustix::io::FdFlags::CLOEXEC);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::protocol::{Entry, Kind};

    fn pair() -> (Wire, Wire) {
        let (a, b) = UnixStream::pair().expect("two sockets");
        (Wire::new(a).expect("a socket"), Wire::new(b).expect("a socket"))
    }

    fn listeners(count: usize) -> (Message, Vec<Arc<OwnedFd>>) {
        let listener = Arc::new(OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a port")));
        let entry = |at| Entry { name: format!("{at}"), kind: Kind::Tcp };
        (Message::Listeners((0..count).map(entry).collect()), vec![listener; count])
    }

    #[test]
    fn messages_arrive_in_order_each_with_its_descriptors() {
        let (mut a, mut b) = pair();
        let (many, descriptors) = listeners(253);
        a.send(&Message::Ready, Vec::new());
        a.send(&many, descriptors);
        a.send(&Message::Draining, Vec::new());
        a.flush().expect("it is open");
        assert_eq!(b.receive().expect("sent").message, Message::Ready);
        let incoming = b.receive().expect("sent");
        assert_eq!((incoming.message, incoming.descriptors.len()), (many, 253));
        assert_eq!(b.receive().expect("sent").message, Message::Draining);
        assert!(matches!(b.receive(), Err(Lack::NotYet)));
        drop(a);
        assert!(matches!(b.receive(), Err(Lack::Ended)));
    }

    #[test]
    fn a_message_may_come_byte_by_byte_and_may_be_cut() {
        let (mut a, mut b) = pair();
        let bytes = Message::Hello { pid: 7 }.bytes();
        for byte in &bytes {
            assert!(matches!(b.receive(), Err(Lack::NotYet)));
            a.stream.write_all(&[*byte]).expect("it is open");
        }
        assert_eq!(b.receive().expect("sent").message, Message::Hello { pid: 7 });
        a.stream.write_all(&bytes[..bytes.len() - 1]).expect("it is open");
        drop(a);
        assert!(matches!(b.receive(), Err(Lack::Ended)));
    }

    #[test]
    fn a_forged_message_is_malformed_and_keeps_no_descriptor() {
        let (mut a, mut b) = pair();
        let (_, descriptors) = listeners(3);
        let listener = descriptors[0].clone();
        a.send(&Message::Ready, descriptors);
        a.flush().expect("it is open");
        assert!(matches!(b.receive(), Err(Lack::Malformed(_))));
        drop(a);
        drop(b);
        assert_eq!(Arc::strong_count(&listener), 1);

        let (mut a, mut b) = pair();
        let (one, _) = listeners(1);
        a.send(&one, Vec::new());
        a.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is open");
        a.flush().expect("it is open");
        assert!(matches!(b.receive(), Err(Lack::Malformed(_))));
    }
}
