//! A server on a thread of its own, and sockets to it, in real time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use ebbtide::{Drain, Drained, Overdue};

use crate::application::Application;
use crate::channel::{Channel, Security};
use crate::promise::{Owners, Settings};
use crate::start::Start;
use crate::world::World;

pub(crate) type Serve = Arc<dyn Fn(Start) -> io::Result<()> + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Sockets {
    addr: SocketAddr,
    security: Security,
    application: Application,
    drain: Drain,
    /// The listener, if it has another owner, too.
    owner: Option<TcpListener>,
    /// None once its end was waited for.
    server: Option<JoinHandle<io::Result<()>>>,
    patience: Duration,
}

/// Between two looks at what has no event to wait for: leaves the server its core.
const PAUSE: Duration = Duration::from_millis(1);

impl Sockets {
    pub(crate) fn start(serve: &Serve, security: Security, settings: Settings, patience: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let owner = (settings.owners != Owners::Server).then(|| listener.try_clone().expect("a descriptor"));
        let (drain, application) = (Drain::new(), Application::new());
        let start = Start {
            listener,
            guard: drain.guard().expect("running"),
            application: application.clone(),
            bounds: settings.bounds,
            max_connections: settings.max_connections,
            #[cfg(feature = "rustls")]
            tls: security.server(),
            shared: settings.owners == Owners::MoreAsSaid,
        };
        let serve = serve.clone();
        let name = thread::current().name().unwrap_or("a scenario").to_owned();
        let thread = thread::Builder::new().name(format!("server of {name}"));
        let server = Some(thread.spawn(move || serve(start)).expect("a thread"));
        Self { addr, security, application, drain, owner, server, patience }
    }

    /// Where the server listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Somebody else who has the listener.
    pub(crate) fn owner(&self) -> Owner {
        let owner = self.owner.as_ref().expect("a promise about other owners").try_clone().expect("a descriptor");
        // For the server as well, whose accept loop needs it so.
        owner.set_nonblocking(true).expect("a socket");
        Owner(owner)
    }

    fn outcome(&self, mut drained: Drained) -> Option<Result<(), Overdue>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut cx, begun) = (Context::from_waker(&waker), Instant::now());
        loop {
            if let Poll::Ready(outcome) = Future::poll(std::pin::Pin::new(&mut drained), &mut cx) {
                return Some(outcome);
            }
            thread::park_timeout(self.patience.checked_sub(begun.elapsed())?);
        }
    }
}

/// Who has the listener beside the server.
#[derive(Debug)]
pub(crate) struct Owner(TcpListener);

impl Owner {
    /// Accepts a connection within this time.
    pub(crate) fn accept(&self, within: Duration) -> io::Result<TcpStream> {
        let begun = Instant::now();
        loop {
            match self.0.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed() < within => {
                    thread::sleep(PAUSE);
                }
                accepted => return accepted.map(|(stream, _)| stream),
            }
        }
    }

    /// Connects to it, and accepts that.
    pub(crate) fn accepts_on(&self, within: Duration) {
        let addr = self.0.local_addr().expect("bound");
        let newcomer = TcpStream::connect_timeout(&addr, within).expect("the listener is open");
        let accepted = self.accept(within).expect("it is there");
        assert_eq!(accepted.peer_addr().expect("open"), newcomer.local_addr().expect("open"));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl World for Sockets {
    type Stream = Channel<TcpStream>;

    fn application(&self) -> &Application {
        &self.application
    }

    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn connect(&self) -> io::Result<Channel<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.addr, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        stream.set_nodelay(true)?;
        Ok(self.security.over(stream))
    }

    fn is_free(&self) -> bool {
        TcpListener::bind(self.addr).is_ok()
    }

    fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < self.patience, "waited in vain for {what}");
            thread::sleep(PAUSE);
        }
    }

    fn pass(&self, time: Duration) {
        // Something is to be shown not to happen in it.
        thread::sleep(time);
    }

    fn ended(mut self) -> Result<(), Overdue> {
        let Some(outcome) = self.outcome(self.drain.start()) else {
            let held: Vec<_> = self.drain.held().iter().map(ToString::to_string).collect();
            panic!("the drain does not end: {} guards are held ({})", self.drain.guards(), held.join(", "));
        };
        let server = self.server.take().expect("only this takes it");
        self.until("the end of the server, whose drain is over", || server.is_finished());
        let Ok(end) = server.join() else { panic!("the server panicked") };
        if let Err(error) = end {
            panic!("the server failed: {error}");
        }
        outcome
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Where the scenario has not come to its end, the server is to do so.
        self.application.release();
        self.drain.close();
    }
}
