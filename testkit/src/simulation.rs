//! A server, its clients and its drain in memory and in virtual time.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use ebbtide::{Drain, Guard, Overdue};

use crate::client::Client;
use crate::driver::Driver;
use crate::pipe::{Io, Stream};
use crate::runtime::Runtime;

/// A single thread's world: tasks, a clock that goes on when no task can run, connections in memory, and a drain.
///
/// It is driven from outside, by code that does not await. A read from a [`Stream`] runs it until there is something to read.
/// Nothing runs in between, and it is the same each time.
///
/// # Examples
///
/// What has to be told of a server is how it serves one connection:
///
/// ```
/// use std::time::Duration;
/// use ebbtide_testkit::Simulation;
/// use ebbtide_testkit::wire::End;
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// let simulation = Simulation::new();
/// let mut client = simulation.connect(|mut io, guard| async move {
///     let mut byte = [0];
///     // Echoes, until the client or the drain ends it.
///     while let Some(Ok(1)) = guard.watcher().until_draining(io.read(&mut byte)).await {
///         io.write_all(&byte).await.expect("a client");
///     }
///     drop(guard);
/// });
/// client.send("a");
/// assert_eq!(client.take(1).expect("an echo"), b"a");
///
/// let _ = simulation.drain().start();
/// assert_eq!(client.end(), End::Fin);
/// simulation.ended(Duration::ZERO).expect("nothing was cut");
/// ```
#[derive(Debug)]
pub struct Simulation {
    driver: Rc<Driver>,
    capacity: usize,
    connections: Cell<usize>,
}

/// What serves a connection, of whatever type it is.
pub(crate) type Serve = Box<dyn Fn(Io, Guard) -> Pin<Box<dyn Future<Output = ()>>>>;

/// What a connection holds in each direction: about what a socket does.
const CAPACITY: usize = 64 * 1024;

impl Simulation {
    /// One with its own executor, its own clock and its own drain.
    #[must_use]
    pub fn new() -> Self {
        Self::with_drain(Drain::new())
    }

    /// The same, with this drain.
    #[must_use]
    pub fn with_drain(drain: Drain) -> Self {
        Self::driven_by(Driver::new(drain))
    }

    /// The same on tokio, for what is on tokio: a runtime of one thread, whose time is paused.
    ///
    /// tokio's clock counts milliseconds: what is shorter takes one.
    ///
    /// # Panics
    ///
    /// Within a runtime: make it in a `#[test]`, not in a `#[tokio::test]`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn tokio() -> Self {
        Self::driven_by(Driver::tokio(Drain::new()))
    }

    fn driven_by(driver: Driver) -> Self {
        Self { driver: Rc::new(driver), capacity: CAPACITY, connections: Cell::new(0) }
    }

    /// Sets the buffer of later connections, in bytes for each direction. A write of more waits until they are read.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// Sets the longest wait of the code that drives it, in virtual time. Default: an hour.
    ///
    /// It ends a wait for something that can never come while some timer ticks on. Without a timer, such a wait ends at once.
    pub fn patience(self, time: Duration) -> Self {
        self.driver.patience.set(time);
        self
    }

    /// The drain of all that is served here.
    pub fn drain(&self) -> &Drain {
        &self.driver.drain
    }

    /// What a service needs of all this.
    pub fn runtime(&self) -> Runtime {
        self.driver.runtime().clone()
    }

    /// Runs this as a task of its own.
    ///
    /// Its panic ends only itself, as on other executors.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.driver.runtime().spawn(future);
    }

    /// Runs this to its end.
    ///
    /// # Panics
    ///
    /// If it has none, or if it panics itself.
    pub fn block_on<F: Future + 'static>(&self, future: F) -> F::Output
    where
        F::Output: 'static,
    {
        let output = Rc::new(RefCell::new(None));
        let put = output.clone();
        self.driver.runtime().spawn_named("what is blocked on".into(), async move {
            let mut future = pin!(future);
            let end = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Err(panic).into(),
            });
            *put.borrow_mut() = Some(end.await);
        });
        self.driver.wait(|| "somebody blocks on a future".into(), || output.borrow().is_some());
        let output = output.borrow_mut().take().expect("it was waited for");
        output.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// How much time has passed.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.driver.runtime().now()
    }

    /// Lets everything go on that can, until only time would change anything. None passes.
    pub fn settle(&self) {
        self.driver.settle();
    }

    /// Lets so much time pass, and everything happen in it that does.
    pub fn pass(&self, time: Duration) {
        self.driver.wait_until(self.now() + time, || false);
    }

    /// Lets time pass until this is so.
    ///
    /// # Panics
    ///
    /// With `what`, if it never is.
    pub fn until(&self, what: &str, is: impl FnMut() -> bool) {
        self.driver.wait(|| what.into(), is);
    }

    /// Connects a client to a server that serves connections so.
    ///
    /// Its guard is labelled `connection 1`, and so on.
    ///
    /// # Panics
    ///
    /// Once the drain has begun: [`reach`](Self::reach) says so instead.
    pub fn connect<F: Future + 'static>(&self, connection: impl FnOnce(Io, Guard) -> F) -> Client<Stream> {
        Client::over(self.reach(connection).expect("the drain has not begun"))
    }

    /// Connects to what may have no guard for another connection.
    ///
    /// # Errors
    ///
    /// That, as the refusal it is.
    pub fn reach<F: Future + 'static>(&self, connection: impl FnOnce(Io, Guard) -> F) -> io::Result<Stream> {
        self.reach_through(self.capacity, connection)
    }

    pub(crate) fn reach_through<F: Future + 'static>(
        &self,
        capacity: usize,
        connection: impl FnOnce(Io, Guard) -> F,
    ) -> io::Result<Stream> {
        let name = format!("connection {}", self.connections.get() + 1);
        let guard = self.drain().watcher().labelled(name.clone()).ok_or(ErrorKind::ConnectionRefused)?;
        self.connections.set(self.connections.get() + 1);
        let pipe = self.driver.pipe(name.clone(), capacity);
        let future = self.driver.within(|| connection(pipe.io(), guard));
        self.driver.runtime().spawn_named(name, async {
            future.await;
        });
        Ok(pipe.stream(&self.driver))
    }

    /// Starts the drain, if nobody has, and waits for its end, which comes by force after this time.
    ///
    /// # Errors
    ///
    /// What was cut by force.
    pub fn ended(&self, deadline: Duration) -> Result<(), Overdue> {
        let timer = self.runtime().sleep(deadline);
        self.block_on(self.drain().start().deadline(timer))
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }
}

pub(crate) fn serve<F: Future + 'static>(connection: impl Fn(Io, Guard) -> F + 'static) -> Serve {
    Box::new(move |io, guard| {
        let serving = connection(io, guard);
        Box::pin(async {
            serving.await;
        })
    })
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // A task may have what keeps its executor.
        self.driver.clear();
    }
}
