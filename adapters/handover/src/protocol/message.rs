//! `Message`: what two processes say to each other, and its bytes.
//!
//! A message is a header of eight bytes and a body. Header and [`Refused`](Message::Refused) are the same in every version, so
//! that two versions can tell each other that they do not fit.
//!
//! | byte | |
//! |---|---|
//! | 0, 1 | `eb` |
//! | 2 | version |
//! | 3 | kind of message |
//! | 4 | number of descriptors that come with it, at most 253 |
//! | 5 | 0 |
//! | 6, 7 | length of the body, most significant byte first |

use std::fmt;

/// The version of the protocol.
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER: usize = 8;
/// The most descriptors of one message: Linux's `SCM_MAX_FD`.
pub(crate) const MOST_DESCRIPTORS: usize = 253;
/// The longest name of a listener, in bytes.
pub(crate) const LONGEST_NAME: usize = 255;
/// The longest text of a message, in bytes.
const LONGEST_TEXT: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// No, or not any more. Nothing follows it.
    Refused { why: String },
    /// The successor: I am there.
    Hello { pid: u32 },
    /// The predecessor's answer. Its two descriptors: the control socket and the lock.
    Welcome { pid: u32, generation: u64, listeners: u16 },
    /// Listeners, with a descriptor each.
    Listeners(Vec<Entry>),
    /// The successor has received the message before.
    Received,
    /// The successor: I can serve.
    Ready,
    /// The predecessor: then you are in charge.
    Draining,
    /// A connection, with its descriptor.
    Connection(Offer),
    /// The successor serves this connection.
    Adopted { id: u32 },
    /// The successor does not serve it.
    Declined { id: u32 },
    /// How the predecessor's drain goes.
    Report { text: String },
    /// The predecessor's last words: what has become of its drain.
    Bye { text: String },
}

/// A listening or datagram socket with a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Tcp,
    Unix,
    Udp,
    UnixDatagram,
}

/// A connection that the predecessor would give away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    pub(crate) id: u32,
    pub(crate) listener: String,
    pub(crate) peer: String,
    pub(crate) state: Vec<u8>,
}

/// The first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    version: u8,
    kind: u8,
    pub(crate) descriptors: usize,
    pub(crate) length: usize,
}

/// Bytes that are no message of this protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It does not begin as a message does.
    Header,
    /// It is one of another version.
    Version(u8),
    /// Its body does not fit its kind.
    Body(u8),
}

impl Header {
    pub(crate) fn read(bytes: [u8; HEADER]) -> Result<Self, Malformed> {
        let [b'e', b'b', version, kind, descriptors, 0, high, low] = bytes else { return Err(Malformed::Header) };
        let descriptors = usize::from(descriptors);
        if descriptors > MOST_DESCRIPTORS {
            return Err(Malformed::Header);
        }
        let header = Self { version, kind, descriptors, length: u16::from_be_bytes([high, low]).into() };
        if version != VERSION && kind != 0 {
            return Err(Malformed::Version(version));
        }
        Ok(header)
    }
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Refused { .. } => 0,
            Self::Hello { .. } => 1,
            Self::Welcome { .. } => 2,
            Self::Listeners(_) => 3,
            Self::Received => 4,
            Self::Ready => 5,
            Self::Draining => 6,
            Self::Connection(_) => 7,
            Self::Adopted { .. } => 8,
            Self::Declined { .. } => 9,
            Self::Report { .. } => 10,
            Self::Bye { .. } => 11,
        }
    }

    /// The number of descriptors that come with it.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::Welcome { .. } => 2,
            Self::Listeners(entries) => entries.len(),
            Self::Connection(_) => 1,
            _ => 0,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Refused { why: text } | Self::Report { text } | Self::Bye { text } => {
                body.extend(shortened(text, LONGEST_TEXT).as_bytes());
            }
            Self::Hello { pid } => body.extend(pid.to_be_bytes()),
            Self::Welcome { pid, generation, listeners } => {
                body.extend(pid.to_be_bytes());
                body.extend(generation.to_be_bytes());
                body.extend(listeners.to_be_bytes());
            }
            Self::Listeners(entries) => {
                for entry in entries {
                    body.push(entry.kind.number());
                    push(&mut body, &entry.name);
                }
            }
            Self::Received | Self::Ready | Self::Draining => {}
            Self::Connection(offer) => {
                body.extend(offer.id.to_be_bytes());
                push(&mut body, &offer.listener);
                push(&mut body, &offer.peer);
                body.extend(&offer.state);
            }
            Self::Adopted { id } | Self::Declined { id } => body.extend(id.to_be_bytes()),
        }
        let length = u16::try_from(body.len()).unwrap_or_else(|_| unreachable!("every part of a body is bounded"));
        let descriptors = u8::try_from(self.descriptors()).unwrap_or(u8::MAX);
        let [high, low] = length.to_be_bytes();
        let mut bytes = vec![b'e', b'b', VERSION, self.kind(), descriptors, 0, high, low];
        bytes.append(&mut body);
        bytes
    }

    pub(crate) fn read(header: Header, body: &[u8]) -> Result<Self, Malformed> {
        let malformed = Malformed::Body(header.kind);
        let mut rest = body;
        let message = Self::parse(header.kind, &mut rest).ok_or(malformed.clone())?;
        if !rest.is_empty() || message.descriptors() != header.descriptors {
            return Err(malformed);
        }
        Ok(message)
    }

    fn parse(kind: u8, rest: &mut &[u8]) -> Option<Self> {
        Some(match kind {
            0 => Self::Refused { why: text(rest) },
            1 => Self::Hello { pid: u32::from_be_bytes(take(rest)?) },
            2 => Self::Welcome {
                pid: u32::from_be_bytes(take(rest)?),
                generation: u64::from_be_bytes(take(rest)?),
                listeners: u16::from_be_bytes(take(rest)?),
            },
            3 => {
                let mut entries = Vec::new();
                while !rest.is_empty() {
                    let [kind] = take(rest)?;
                    entries.push(Entry { kind: Kind::of(kind)?, name: name(rest)? });
                }
                Self::Listeners(entries)
            }
            4 => Self::Received,
            5 => Self::Ready,
            6 => Self::Draining,
            7 => Self::Connection(Offer {
                id: u32::from_be_bytes(take(rest)?),
                listener: name(rest)?,
                peer: name(rest)?,
                state: std::mem::take(rest).to_vec(),
            }),
            8 => Self::Adopted { id: u32::from_be_bytes(take(rest)?) },
            9 => Self::Declined { id: u32::from_be_bytes(take(rest)?) },
            10 => Self::Report { text: text(rest) },
            11 => Self::Bye { text: text(rest) },
            _ => return None,
        })
    }
}

impl Kind {
    const ALL: [Self; 4] = [Self::Tcp, Self::Unix, Self::Udp, Self::UnixDatagram];

    fn number(self) -> u8 {
        match self {
            Self::Tcp => 0,
            Self::Unix => 1,
            Self::Udp => 2,
            Self::UnixDatagram => 3,
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix",
            Self::Udp => "UDP",
            Self::UnixDatagram => "Unix datagram",
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("it speaks another protocol"),
            Self::Version(version) => {
                write!(f, "it speaks version {version} of the protocol, and this process speaks version {VERSION}")
            }
            Self::Body(kind) => write!(f, "its message of kind {kind} is malformed"),
        }
    }
}

/// The beginning of a text, for a message. It is cut between two characters.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn push(body: &mut Vec<u8>, name: &str) {
    let name = shortened(name, LONGEST_NAME);
    body.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    body.extend(name.as_bytes());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn name(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    let (name, behind) = rest.split_at_checked(length.into())?;
    *rest = behind;
    // It is printed for people, and may be a name for systemd.
    let name = std::str::from_utf8(name).ok()?;
    (!name.contains(char::is_control)).then(|| name.to_owned())
}

/// For people, so nothing of it is a reason to refuse the message.
fn text(rest: &mut &[u8]) -> String {
    let text = String::from_utf8_lossy(std::mem::take(rest)).into_owned();
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_message() -> Vec<Message> {
        let entry = |at| Entry { name: format!("listener {at}"), kind: Kind::ALL[at % 4] };
        let offer = Offer { id: 7, listener: "api".into(), peer: "127.0.0.1:9".into(), state: vec![0, 255, 7] };
        vec![
            Message::Refused { why: "no".into() },
            Message::Hello { pid: 7 },
            Message::Welcome { pid: u32::MAX, generation: u64::MAX, listeners: 300 },
            Message::Listeners((0..MOST_DESCRIPTORS).map(entry).collect()),
            Message::Received,
            Message::Ready,
            Message::Draining,
            Message::Connection(offer),
            Message::Adopted { id: 1 },
            Message::Declined { id: u32::MAX },
            Message::Report { text: "3 held".into() },
            Message::Bye { text: String::new() },
        ]
    }

    fn read(bytes: &[u8]) -> Result<Message, Malformed> {
        let (header, body) = bytes.split_first_chunk().expect("a header");
        Message::read(Header::read(*header)?, body)
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        for message in every_message() {
            let bytes = message.bytes();
            let header = Header::read(*bytes.first_chunk().expect("a header")).expect("ours");
            assert_eq!((header.length, header.descriptors), (bytes.len() - HEADER, message.descriptors()));
            assert_eq!(read(&bytes), Ok(message));
        }
    }

    #[test]
    fn a_message_that_is_cut_or_too_long_is_malformed() {
        for message in every_message() {
            let bytes = message.bytes();
            let is_text = matches!(message, Message::Refused { .. } | Message::Report { .. } | Message::Bye { .. });
            let is_open = is_text || matches!(message, Message::Connection(_));
            if bytes.len() > HEADER && !is_open {
                assert!(read(&bytes[..bytes.len() - 1]).is_err(), "{message:?}");
            }
            if !is_open {
                assert!(read(&[&bytes[..], &[0]].concat()).is_err(), "{message:?}");
            }
            let mut forged = bytes.clone();
            forged[4] = forged[4].wrapping_add(1);
            assert!(read(&forged).is_err(), "a descriptor more than {message:?} has");
        }
    }

    #[test]
    fn another_version_can_be_told_and_can_refuse() {
        let mut hello = Message::Hello { pid: 7 }.bytes();
        hello[2] = 9;
        assert_eq!(read(&hello), Err(Malformed::Version(9)));
        let mut refused = Message::Refused { why: "version".into() }.bytes();
        refused[2] = 9;
        assert_eq!(read(&refused), Ok(Message::Refused { why: "version".into() }));
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n"), Err(Malformed::Header));
    }

    #[test]
    fn no_text_is_too_long_or_has_lines() {
        let long = "ä".repeat(100_000);
        for message in [
            Message::Refused { why: long.clone() },
            Message::Connection(Offer { id: 0, listener: long.clone(), peer: long.clone(), state: Vec::new() }),
            Message::Listeners(vec![Entry { name: long, kind: Kind::Tcp }]),
        ] {
            assert!(read(&message.bytes()).is_ok());
        }
        let lines = Message::Bye { text: "a\nb\x1b[2J".into() };
        assert_eq!(read(&lines.bytes()), Ok(Message::Bye { text: "a b [2J".into() }));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bytes = every_message()[usize::try_from(random >> 33).expect("small") % 12].bytes();
            bytes.truncate(64.max(HEADER).min(bytes.len()));
            for at in [random >> 7, random >> 21] {
                let at = usize::try_from(at & 0xffff).expect("small") % bytes.len();
                bytes[at] = random.to_le_bytes()[7];
            }
            drop(read(&bytes));
        }
    }
}
