//! From the first connection to the outcome.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ebbtide::{Cause, Drain, Guard, Label, LameDuck, Overdue, Watcher};
use futures_util::future::{join, select};

use crate::error::Error;
use crate::runtime::Runtime;
use crate::signals;

/// What begins the drain.
pub(crate) enum Begin {
    /// The process's signals.
    Signals,
    /// This.
    When(Begins),
    /// Another drain.
    With(Whole),
    /// Nothing: the server has no drain of its own, but a guard of another one.
    Under(Guard),
}

type Begins = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A drain that a server is a part of, and holds up; without a guard if it had begun already.
pub(crate) type Whole = (Watcher, Option<Guard>);

/// A server's life.
pub(crate) struct Life {
    pub(crate) begin: Begin,
    /// Of this server alone: with an outcome of its own and, behind a lame duck time, a beginning of its own.
    pub(crate) drain: Drain,
    /// What the server is to the drain that it is a part of.
    pub(crate) label: Label,
    pub(crate) lame_duck: Duration,
    pub(crate) deadline: Option<Duration>,
}

/// For how long a server that was closed by force waits for the tasks that it has cut, which may have a `503` to write.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl Life {
    /// Lives it. `serve` makes the accept loop.
    pub(crate) async fn live<R: Runtime, A>(self, serve: impl FnOnce(Guard) -> A) -> Result<(), Error>
    where
        A: Future<Output = io::Result<()>>,
    {
        let (begins, whole) = match self.begin {
            Begin::When(begins) => (begins, None),
            Begin::Signals => as_part(signals::part(self.label).map_err(Error::Signals)?),
            Begin::With(whole) => as_part(whole),
            // What is accepted is that drain's affair: its outcome, its deadline.
            Begin::Under(guard) => {
                return serve(guard).await.map_err(|error| Error::Listener { error, overdue: None });
            }
        };

        let drain = self.drain;
        // Before anything can begin the drain, so that who is queued is served in any case.
        let Some(guard) = drain.watcher().labelled("listener") else { return Ok(()) };
        let watcher = whole.as_ref().map(|(watcher, _)| watcher);
        let is_late = matches!(whole, Some((_, None)));
        let lame_duck = (!self.lame_duck.is_zero() && !is_late).then(|| LameDuck::new(&drain, self.lame_duck));
        let why = || watcher.map_or_else(|| Some(Cause::Said("with_graceful_shutdown".into())), Watcher::cause);
        // A drain that had begun without the server may have closed, well and without it.
        let links = watcher.filter(|_| !is_late).map(|whole| {
            let why = whole.clone();
            let begins = || Link::new(whole.clone(), &drain, move |it| begin(it, why.cause()));
            let begins = lame_duck.is_none().then(begins);
            (begins, Link::new(whole.closed(), &drain, Drain::close))
        });
        let accepting = async {
            let served = serve(guard).await;
            if let Err(error) = &served {
                drop(drain.start_because(format!("the listener failed: {error}")));
            }
            served
        };
        let ending = async {
            drain.watcher().until_draining(begins).await;
            if let Some(lame_duck) = lame_duck {
                lame_duck.pass(R::sleep).await;
            }
            begin(&drain, why());
            end::<R>(&drain, self.deadline).await
        };
        // Whether to end is asked first.
        let ended = join(ending, accepting).await;
        drop(links);
        if let (Some((_, Some(guard))), (Err(_), _)) = (whole, &ended) {
            // So that the outcome of the whole is that of its parts.
            guard.give_up();
        }
        match ended {
            (ended, Ok(())) => ended.map_err(Error::Overdue),
            (ended, Err(error)) => Err(Error::Listener { error, overdue: ended.err() }),
        }
    }
}

/// A server whose whole has begun to drain already serves those who wait in its queue, and ends.
fn as_part(whole: Whole) -> (Begins, Option<Whole>) {
    (Box::pin(whole.0.clone()), Some(whole))
}

/// Starts the drain, if nothing has yet, and says why.
fn begin(drain: &Drain, why: Option<Cause>) {
    drop(match why {
        Some(why) => drain.start_by(why),
        None => drain.start(),
    });
}

/// Starts the drain, and waits for its end.
async fn end<R: Runtime>(drain: &Drain, deadline: Option<Duration>) -> Result<(), Overdue> {
    let clock = async {
        match deadline {
            Some(time) => drop(R::sleep(time).await),
            None => pending().await,
        }
    };
    let ended = pin!(drain.start().deadline(clock)).await;
    if ended.is_err() {
        select(drain.released(), pin!(R::sleep(LAST_WORDS))).await;
    }
    ended
}

/// An action on a server's drain when the drain of the whole changes its state. It runs at once, on the thread of that change,
/// and not when the server is polled next.
struct Link<E> {
    _event: E,
}

impl<E: Future<Output = ()> + Unpin> Link<E> {
    fn new(mut event: E, drain: &Drain, act: impl Fn(&Drain) + Send + Sync + 'static) -> Self {
        let act = Arc::new(Act { drain: drain.clone(), act });
        if Pin::new(&mut event).poll(&mut Context::from_waker(&Waker::from(act.clone()))).is_ready() {
            act.wake();
        }
        Self { _event: event }
    }
}

/// A waker that wakes nobody but does something.
struct Act<A> {
    drain: Drain,
    act: A,
}

impl<A: Fn(&Drain) + Send + Sync + 'static> Wake for Act<A> {
    fn wake(self: Arc<Self>) {
        (self.act)(&self.drain);
    }
}
