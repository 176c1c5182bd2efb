//! One hostile client: what it does, for as long as it is let.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::http2::{PING, PING_ACK, PREFACE, SETTINGS_ACK, get_hello};

/// What a hostile client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Connects and says nothing.
    Silence,
    /// A head, a byte at a time.
    SlowHead,
    /// A body, a byte at a time.
    SlowBody,
    /// Half of a connection, before and after a request.
    HalfClosed,
    HalfClosedSilent,
    /// A reset at every stage.
    ResetAtOnce,
    ResetInHead,
    ResetInBody,
    ResetInResponse,
    /// What is no HTTP.
    Garbage,
    /// HTTP/2: half a preface.
    HalfPreface,
    /// HTTP/2: one stream after the other, whatever the server says.
    DeafToGoaway,
    /// HTTP/2: the same, but it answers the PING between the two GOAWAYs.
    DeafToTheSecond,
    /// HTTP/2: nothing but PINGs.
    PingFlood,
    /// HTTP/1: asks for much and reads nothing.
    ReadsNothing,
    /// HTTP/2: the same.
    ReadsNoFrames,
}

/// Between two bytes of a slow client.
const DRIP: Duration = Duration::from_millis(200);
/// Between two bursts of a flood.
const BURST: Duration = Duration::from_millis(20);

const HEAD: &[u8] = b"GET /hello HTTP/1.1\r\nHost: load\r\nX-Slow: ";
const BODY: &[u8] = b"POST /upload HTTP/1.1\r\nHost: load\r\nContent-Length: 1000000\r\n\r\nbegun";
const BIG: &[u8] = b"GET /big?bytes=4000000 HTTP/1.1\r\nHost: load\r\n\r\n";

impl Attack {
    /// All of them.
    pub(crate) const ALL: [Self; 16] = [
        Self::Silence,
        Self::SlowHead,
        Self::SlowBody,
        Self::HalfClosed,
        Self::HalfClosedSilent,
        Self::ResetAtOnce,
        Self::ResetInHead,
        Self::ResetInBody,
        Self::ResetInResponse,
        Self::Garbage,
        Self::HalfPreface,
        Self::DeafToGoaway,
        Self::DeafToTheSecond,
        Self::PingFlood,
        Self::ReadsNothing,
        Self::ReadsNoFrames,
    ];

    /// Goes on until the server ends it or `life` is over; then it vanishes with a reset. The server may end it in any
    /// way it likes, so nothing is an error here.
    pub(crate) async fn run(self, addr: SocketAddr, life: Duration) {
        let Ok(mut stream) = connect(addr).await else { return };
        let _ = tokio::time::timeout(life, self.talk(&mut stream)).await;
        // So that ten thousand of them leave nothing behind in the kernel.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }

    async fn talk(self, stream: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Silence => to_the_end(stream).await,
            Self::SlowHead => drip(stream, HEAD).await,
            Self::SlowBody => drip(stream, BODY).await,
            Self::HalfClosed => {
                stream.write_all(b"GET /hello HTTP/1.1\r\nHost: load\r\n\r\n").await?;
                stream.shutdown().await?;
                to_the_end(stream).await
            }
            Self::HalfClosedSilent => {
                stream.shutdown().await?;
                to_the_end(stream).await
            }
            Self::ResetAtOnce => Ok(()),
            Self::ResetInHead => stream.write_all(HEAD).await,
            Self::ResetInBody => stream.write_all(BODY).await,
            Self::ResetInResponse => {
                stream.write_all(BIG).await?;
                stream.read_u8().await.map(drop)
            }
            Self::Garbage => {
                stream.write_all(&garbage()).await?;
                to_the_end(stream).await
            }
            Self::HalfPreface => {
                stream.write_all(&PREFACE[..12]).await?;
                to_the_end(stream).await
            }
            Self::DeafToGoaway => deaf(stream, &[]).await,
            Self::DeafToTheSecond => deaf(stream, PING_ACK).await,
            Self::PingFlood => flood(stream).await,
            Self::ReadsNothing => {
                stream.write_all(BIG).await?;
                std::future::pending().await
            }
            Self::ReadsNoFrames => {
                stream.write_all(PREFACE).await?;
                for stream_id in (1..200).step_by(2) {
                    stream.write_all(&get_hello(stream_id)).await?;
                }
                std::future::pending().await
            }
        }
    }
}

/// With a small window, so that what is not read stays in the server and not in the kernel.
async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(addr).await
}

async fn to_the_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut space = [0; 1024];
    while stream.read(&mut space).await? > 0 {}
    Ok(())
}

async fn drip(stream: &mut TcpStream, begin: &[u8]) -> io::Result<()> {
    stream.write_all(begin).await?;
    loop {
        sleep(DRIP).await;
        stream.write_all(b"x").await?;
    }
}

async fn deaf(stream: &mut TcpStream, with_each: &[u8]) -> io::Result<()> {
    stream.write_all(PREFACE).await?;
    stream.write_all(SETTINGS_ACK).await?;
    let (mut read, mut write) = stream.split();
    let mut space = [0; 1024];
    for id in (1..).step_by(2) {
        write.write_all(&get_hello(id)).await?;
        write.write_all(with_each).await?;
        // Deaf, but it takes what it is sent.
        let _ = tokio::time::timeout(DRIP, read.read(&mut space)).await;
        sleep(DRIP).await;
    }
    Ok(())
}

async fn flood(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PREFACE).await?;
    stream.write_all(SETTINGS_ACK).await?;
    let (mut read, mut write) = stream.split();
    let mut space = [0; 1024];
    let pings = PING.repeat(20);
    let flood = async {
        loop {
            write.write_all(&pings).await?;
            sleep(BURST).await;
        }
    };
    let drink = async {
        while read.read(&mut space).await? > 0 {}
        Ok(())
    };
    tokio::select! { end = flood => end, end = drink => end }
}

/// The same bytes every time (xorshift), none of them a line.
fn garbage() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(byte).filter(|byte| *byte != b'\n').take(2048).collect()
}
