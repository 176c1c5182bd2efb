//! What a thread waits for: I/O, time, and being interrupted.

use std::collections::HashMap;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::RawFd as Raw;
#[cfg(windows)]
use std::os::windows::io::RawSocket as Raw;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use polling::{Event, Poller, Source};

use super::timer::Timers;

/// Of one thread, which alone waits; any may register, and interrupt.
pub(crate) struct Reactor {
    poller: Poller,
    /// Whether its thread waits, or has begun to look whether it must.
    waits: AtomicBool,
    sockets: Mutex<Sockets>,
    timers: Mutex<Timers>,
}

#[derive(Default)]
struct Sockets {
    by_key: HashMap<usize, Interest>,
    last: usize,
}

/// Who waits for a socket. What is waited for is armed in the poller, or its event is on its way to
/// [`turn`](Reactor::turn): so nothing is lost between a socket that would block and the wait for it.
struct Interest {
    raw: Raw,
    wakers: [Option<Waker>; 2],
}

/// What a socket is waited for to be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

thread_local! {
    static REACTOR: Arc<Reactor> = Arc::new(Reactor::new().expect("descriptors for a poller"));
}

impl Reactor {
    pub(crate) fn of_this_thread() -> Arc<Self> {
        REACTOR.with(Clone::clone)
    }

    fn new() -> io::Result<Self> {
        let (sockets, timers) = (Mutex::default(), Mutex::default());
        Ok(Self { poller: Poller::new()?, waits: AtomicBool::new(false), sockets, timers })
    }

    /// Wakes whose I/O is ready and whose time has come. Waits for the first of them if there is nothing else to do, as
    /// `idle` says.
    pub(crate) fn turn(&self, idle: impl FnOnce() -> bool) {
        // Before both looks, which lock: what is not seen by them is put there by who sees this, and interrupts.
        self.waits.store(true, Ordering::SeqCst);
        let timeout = if idle() { self.until_next_timer() } else { Some(Duration::ZERO) };
        let mut events = Vec::new();
        let waited = self.poller.wait(&mut events, timeout);
        self.waits.store(false, Ordering::SeqCst);
        match waited {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => panic!("the poller is broken: {error}"),
            Ok(_) | Err(_) => {}
        }
        for event in events {
            self.happened(event).into_iter().flatten().for_each(Waker::wake);
        }
        let now = Instant::now();
        while let Some(waker) = self.with_timers(|timers| timers.due(now)) {
            waker.wake();
        }
    }

    /// Has its thread look again, if it waits.
    pub(crate) fn interrupt(&self) {
        if self.waits.load(Ordering::SeqCst) {
            self.poller.notify().expect("the poller is broken");
        }
    }

    pub(crate) fn with_timers<T>(&self, act: impl FnOnce(&mut Timers) -> T) -> T {
        act(&mut self.timers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let next = self.with_timers(Timers::next)?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those to wake.
    fn happened(&self, event: Event) -> [Option<Waker>; 2] {
        let mut sockets = self.sockets();
        // Gone since: a key is never used again.
        let Some(interest) = sockets.by_key.get_mut(&event.key) else { return [None, None] };
        let [reader, writer] = &mut interest.wakers;
        let woken = [reader.take_if(|_| event.readable), writer.take_if(|_| event.writable)];
        // An event disarms both directions.
        if interest.arm(&self.poller, event.key).is_ok() {
            return woken;
        }
        // Whoever waits on asks again, and hears why.
        let [reader, writer] = woken;
        [reader.or_else(|| interest.wakers[0].take()), writer.or_else(|| interest.wakers[1].take())]
    }
}

impl Interest {
    fn arm(&self, poller: &Poller, key: usize) -> io::Result<()> {
        let [readable, writable] = self.wakers.each_ref().map(Option::is_some);
        if readable || writable { poller.modify(self.raw, Event { key, readable, writable }) } else { Ok(()) }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// A non-blocking socket that can be waited for.
#[derive(Debug)]
pub(crate) struct Registered<S> {
    // Dropped first: nothing is registered that is closed.
    registration: Registration,
    socket: S,
}

#[derive(Debug)]
struct Registration {
    reactor: Arc<Reactor>,
    key: usize,
}

impl<S> Registered<S>
where
    for<'a> &'a S: Source,
{
    /// With the reactor of this thread.
    pub(crate) fn new(socket: S) -> io::Result<Self> {
        let (reactor, raw) = (Reactor::of_this_thread(), (&socket).raw());
        let key = {
            let mut sockets = reactor.sockets();
            let key = sockets.last + 1;
            reactor.poller.add(raw, Event::none(key))?;
            sockets.last = key;
            sockets.by_key.insert(key, Interest { raw, wakers: [None, None] });
            key
        };
        Ok(Self { registration: Registration { reactor, key }, socket })
    }
}

impl<S> Registered<S> {
    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket alone, still non-blocking.
    pub(crate) fn into_socket(self) -> S {
        self.socket
    }

    /// Does something, now or when the socket is ready for it. One task may wait for each direction.
    pub(crate) fn poll<T>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut act: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match act(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                done => return Poll::Ready(done),
            }
        }
        match self.registration.wait(direction, cx.waker().clone()) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Registration {
    fn wait(&self, direction: Direction, waker: Waker) -> io::Result<()> {
        let mut sockets = self.reactor.sockets();
        let interest = sockets.by_key.get_mut(&self.key).expect("removed when this is dropped");
        let before = interest.wakers[direction as usize].replace(waker);
        let armed = if before.is_some() { Ok(()) } else { interest.arm(&self.reactor.poller, self.key) };
        drop(sockets);
        // Outside the lock, whatever it does.
        drop(before);
        armed
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let interest = {
            let mut sockets = self.reactor.sockets();
            let interest = sockets.by_key.remove(&self.key);
            if let Some(Interest { raw, .. }) = &interest {
                // It fails where the poller knows the socket no more, and that is what it is for.
                drop(self.reactor.poller.delete(*raw));
            }
            interest
        };
        drop(interest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::thread;

    /// How often it was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// A connection's two ends, one of them in blocking mode.
    fn pair() -> (Registered<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (Registered::new(stream).unwrap(), client)
    }

    const PIECE: usize = 16 * 1024;

    fn read(stream: &Registered<TcpStream>, woken: &Arc<Woken>) -> Poll<io::Result<usize>> {
        let waker = woken.clone().into();
        stream.poll(Direction::Read, &mut Context::from_waker(&waker), |mut it| it.read(&mut [0; 8]))
    }

    fn write(stream: &Registered<TcpStream>, woken: &Arc<Woken>) -> Poll<io::Result<usize>> {
        let waker = woken.clone().into();
        stream.poll(Direction::Write, &mut Context::from_waker(&waker), |mut it| it.write(&[0; PIECE]))
    }

    fn turn() {
        Reactor::of_this_thread().turn(|| true);
    }

    #[test]
    fn a_reader_and_a_writer_of_one_socket_are_woken_each_for_its_own() {
        let (stream, mut client) = pair();
        let (reader, writer) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        while write(&stream, &writer).is_ready() {}
        assert!(read(&stream, &reader).is_pending());
        client.write_all(b"x").unwrap();
        while reader.times() == 0 {
            turn();
        }
        assert_eq!((reader.times(), writer.times()), (1, 0));
        assert!(matches!(read(&stream, &reader), Poll::Ready(Ok(1))));
        while writer.times() == 0 {
            assert!(client.read(&mut [0; PIECE]).unwrap() > 0);
            Reactor::of_this_thread().turn(|| false);
        }
        assert!(write(&stream, &writer).is_ready());
        assert_eq!(reader.times(), 1);
    }

    #[test]
    fn what_was_ready_before_it_is_waited_for_is_told() {
        let (stream, mut client) = pair();
        let woken = Arc::new(Woken::default());
        client.write_all(b"x").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let waker = woken.clone().into();
        let too_early = |_: &TcpStream| Err::<(), _>(io::ErrorKind::WouldBlock.into());
        assert!(stream.poll(Direction::Read, &mut Context::from_waker(&waker), too_early).is_pending());
        turn();
        assert_eq!(woken.times(), 1);
    }

    #[test]
    fn the_last_one_to_wait_is_woken() {
        let (stream, client) = pair();
        let woken: [Arc<Woken>; 2] = Default::default();
        assert!(read(&stream, &woken[0]).is_pending());
        assert!(read(&stream, &woken[1]).is_pending());
        drop(client);
        turn();
        assert_eq!(woken.each_ref().map(|it| it.times()), [0, 1]);
        assert!(matches!(read(&stream, &woken[0]), Poll::Ready(Ok(0))));
    }

    #[test]
    fn what_is_dropped_or_taken_out_is_registered_no_more() {
        let reactor = Reactor::of_this_thread();
        let ((dropped, _first), (taken_out, _second)) = (pair(), pair());
        let woken = Arc::new(Woken::default());
        assert!(read(&dropped, &woken).is_pending() && read(&taken_out, &woken).is_pending());
        let keys = [dropped.registration.key, taken_out.registration.key];
        drop(dropped);
        let socket = taken_out.into_socket();
        assert!(reactor.sockets().by_key.is_empty());
        assert_eq!(Arc::strong_count(&woken), 1, "a waker is kept");
        // It can be registered anew, and a late event of its first life is nobody's.
        let again = Registered::new(socket).unwrap();
        assert!(read(&again, &woken).is_pending());
        for key in keys {
            assert!(matches!(reactor.happened(Event::all(key)), [None, None]));
        }
    }

    #[test]
    fn a_timer_ends_the_wait() {
        let woken = Arc::new(Woken::default());
        let deadline = Instant::now() + Duration::from_millis(5);
        let reactor = Reactor::of_this_thread();
        reactor.with_timers(|timers| timers.insert(deadline, woken.clone().into()));
        while woken.times() == 0 {
            turn();
        }
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn another_thread_interrupts_the_wait() {
        let reactor = Reactor::of_this_thread();
        let theirs = reactor.clone();
        let other = thread::spawn(move || {
            while !theirs.waits.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            theirs.interrupt();
        });
        turn();
        other.join().unwrap();
    }

    #[test]
    fn a_socket_is_waited_for_on_any_thread_and_woken_by_its_own() {
        let (stream, mut client) = pair();
        let woken = Arc::new(Woken::default());
        let theirs = woken.clone();
        let stream = thread::spawn(move || {
            assert!(read(&stream, &theirs).is_pending());
            stream
        });
        let stream = stream.join().unwrap();
        client.write_all(b"x").unwrap();
        turn();
        assert_eq!(woken.times(), 1);
        drop(stream);
    }
}
