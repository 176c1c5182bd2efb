//! A connection in memory: two lanes, each of which holds so many bytes.

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tokio")]
mod tokio;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};

use crate::driver::Driver;
use crate::transport::Transport;
use crate::wire::End;

/// Both ends' common knowledge.
///
/// As in TCP, an end that is dropped with unread input resets the connection. So does an end that is written to after it was
/// dropped. It is as strict as TCP may be, which not every system is: a reset destroys what its receiver has not read yet.
#[derive(Debug)]
pub(crate) struct Pipe {
    name: String,
    lanes: Mutex<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    to_server: Lane,
    to_client: Lane,
    reset: bool,
}

#[derive(Debug)]
struct Lane {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// There will be no more.
    ended: bool,
    /// Nobody will read.
    abandoned: bool,
    /// Of whoever reads, or writes, on the server's side.
    waker: Option<Waker>,
}

/// The server's end of a connection in memory: a stream of futures-io; with the features, of hyper and of tokio.
///
/// When it is closed, it writes its end and can still be read, as a socket can. When it is dropped, it is closed.
#[derive(Debug)]
pub struct Io {
    pipe: Arc<Pipe>,
}

/// A client's end of a connection in memory, for code outside of the simulation, which drives it. A read without input, or a
/// write without room, runs the simulation until there is some.
///
/// # Panics
///
/// Reading and writing panic when what they wait for can never come, and say what everybody else waits for. So they do
/// within a task of the simulation: that cannot drive what it is driven by.
pub struct Stream {
    pipe: Arc<Pipe>,
    driver: Rc<Driver>,
}

impl Pipe {
    pub(crate) fn new(name: String, capacity: usize) -> Arc<Self> {
        let lane = || Lane { bytes: VecDeque::new(), capacity, ended: false, abandoned: false, waker: None };
        let lanes = Lanes { to_server: lane(), to_client: lane(), reset: false };
        Arc::new(Self { name, lanes: Mutex::new(lanes) })
    }

    pub(crate) fn io(self: &Arc<Self>) -> Io {
        Io { pipe: self.clone() }
    }

    pub(crate) fn stream(self: &Arc<Self>, driver: &Rc<Driver>) -> Stream {
        Stream { pipe: self.clone(), driver: driver.clone() }
    }

    /// What the server waits for, for who has to find out why nothing happens.
    pub(crate) fn describe(&self) -> String {
        let lanes = self.lanes();
        let name = &self.name;
        if lanes.to_server.abandoned {
            return format!("{name}: dropped by the server");
        }
        let reads = match (&lanes.to_server.waker, lanes.to_server.bytes.len()) {
            (Some(_), 0) => "waits for bytes".to_owned(),
            (_, 0) => "does not read".to_owned(),
            (_, unread) => format!("does not read the {unread} B there are"),
        };
        let writes = match (lanes.to_client.ended, &lanes.to_client.waker) {
            (true, _) => ", has written its end",
            (false, Some(_)) => ", waits for room to write",
            (false, None) => "",
        };
        let unread = lanes.to_client.bytes.len();
        format!("{name}: the server {reads}{writes}; the client has {unread} B to read")
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn reset(&mut self) {
        self.reset = true;
        self.to_server.bytes.clear();
        self.to_client.bytes.clear();
        self.wake();
    }

    /// Wakers of ours and of executors: none of them takes this lock.
    fn wake(&mut self) {
        for lane in [&mut self.to_server, &mut self.to_client] {
            if let Some(waker) = lane.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Lane {
    fn put(&mut self, bytes: &[u8]) -> usize {
        let room = self.capacity.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend(&bytes[..room]);
        room
    }

    fn take(&mut self, space: &mut [u8]) -> usize {
        let count = space.len().min(self.bytes.len());
        let (first, second) = self.bytes.as_slices();
        let split = count.min(first.len());
        space[..split].copy_from_slice(&first[..split]);
        space[split..count].copy_from_slice(&second[..count - split]);
        self.bytes.drain(..count);
        count
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn reset() -> io::Error {
    ErrorKind::ConnectionReset.into()
}

impl Io {
    pub(crate) fn read(&self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut lanes = self.pipe.lanes();
        if lanes.reset {
            return Poll::Ready(Err(reset()));
        }
        let lane = &mut lanes.to_server;
        if lane.bytes.is_empty() && !lane.ended && !space.is_empty() {
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.waker = None;
        Poll::Ready(Ok(lane.take(space)))
    }

    pub(crate) fn write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut lanes = self.pipe.lanes();
        if lanes.reset {
            return Poll::Ready(Err(reset()));
        }
        if lanes.to_client.ended {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if lanes.to_client.abandoned && !bytes.is_empty() {
            // It is on its way to nobody, whose system will say so.
            lanes.reset();
            return Poll::Ready(Ok(bytes.len()));
        }
        let lane = &mut lanes.to_client;
        let count = lane.put(bytes);
        if count == 0 && !bytes.is_empty() {
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.waker = None;
        Poll::Ready(Ok(count))
    }

    pub(crate) fn end(&self) {
        self.pipe.lanes().to_client.ended = true;
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let mut lanes = self.pipe.lanes();
        lanes.to_client.ended = true;
        lanes.to_server.abandoned = true;
        lanes.to_server.waker = None;
        lanes.to_client.waker = None;
        if !lanes.to_server.bytes.is_empty() {
            lanes.reset();
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read(cx, space)
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    /// Goes away by a reset.
    pub fn reset(self) {
        self.pipe.lanes().reset();
    }

    /// How the connection ended, if that can be read without running the simulation.
    pub(crate) fn ended(&self) -> Option<End> {
        let lanes = self.pipe.lanes();
        match &*lanes {
            it if it.reset => Some(End::Reset),
            it if it.to_client.ended && it.to_client.bytes.is_empty() => Some(End::Fin),
            _ => None,
        }
    }

    /// Whether the server still has its end.
    pub(crate) fn is_served(&self) -> bool {
        !self.pipe.lanes().to_server.abandoned
    }

    /// How much is there to be read.
    pub(crate) fn unread(&self) -> usize {
        self.pipe.lanes().to_client.bytes.len()
    }

    /// Reads no more than there is.
    pub(crate) fn take(&self, most: usize) -> Vec<u8> {
        let mut lanes = self.pipe.lanes();
        let lane = &mut lanes.to_client;
        let mut taken = vec![0; most.min(lane.bytes.len())];
        if lane.take(&mut taken) > 0 {
            lane.wake();
            self.driver.touch();
        }
        taken
    }

    /// Writes no more than there is room for. What is written to a server that is gone is lost, and so is the connection.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut lanes = self.pipe.lanes();
        if lanes.reset {
            return Err(reset());
        }
        let lane = &mut lanes.to_server;
        if lane.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if lane.abandoned && !bytes.is_empty() {
            lanes.reset();
            return Ok(bytes.len());
        }
        let count = lane.put(bytes);
        if count > 0 {
            lane.wake();
            self.driver.touch();
        }
        Ok(count)
    }
}

impl Read for Stream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let wanted = || format!("the client of {} waits for bytes", self.pipe.name);
        self.driver.wait(wanted, || self.unread() > 0 || self.ended().is_some());
        let mut lanes = self.pipe.lanes();
        if lanes.reset {
            return Err(reset());
        }
        let lane = &mut lanes.to_client;
        let count = lane.take(space);
        lane.wake();
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let count = self.put(bytes)?;
            if count > 0 || bytes.is_empty() {
                return Ok(count);
            }
            let wanted = || format!("the client of {} waits for room to write", self.pipe.name);
            self.driver.wait(wanted, || {
                let lanes = self.pipe.lanes();
                lanes.reset || lanes.to_server.abandoned || lanes.to_server.bytes.len() < lanes.to_server.capacity
            });
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Stream {
    fn half_close(&mut self) -> io::Result<()> {
        let mut lanes = self.pipe.lanes();
        lanes.to_server.ended = true;
        lanes.to_server.wake();
        Ok(())
    }

    fn fill(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    /// Lets what can run go on, but no time pass.
    fn is_ended(&mut self) -> bool {
        self.driver.settle();
        self.ended().is_some()
    }

    /// The same.
    fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.driver.settle();
        if self.unread() == 0 && self.ended().is_none() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.read(space)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut lanes = self.pipe.lanes();
        lanes.to_server.ended = true;
        lanes.to_client.abandoned = true;
        if lanes.to_client.bytes.is_empty() {
            lanes.wake();
        } else {
            lanes.reset();
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("pipe", &self.pipe).finish_non_exhaustive()
    }
}
