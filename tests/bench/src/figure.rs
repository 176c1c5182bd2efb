//! The figures, and how each is taken.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use crate::cores;
use crate::peer::{Guards, Peer};

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Take and release a guard, each thread from a source of its own.
    Guard { threads: usize },
    /// The same, all threads from one source.
    SharedGuard { threads: usize },
    /// Poll a pending future again with the same waker.
    Repoll,
    /// Clone a watcher that all threads share, poll the clone once, drop it.
    Subscribe { threads: usize },
    /// Take and release a guard while so many others are held.
    GuardAmong { held: u32 },
    /// Poll a pending future again while so many others wait.
    RepollAmong { waiting: u32 },
    /// Clone a watcher, poll the clone once and drop it while so many others wait.
    SubscribeAmong { waiting: u32 },
    /// Start while so many wait, per waiting future.
    Wake { waiting: u32 },
    /// Heap bytes per waiting future, itself included.
    Heap { waiting: u32 },
    /// Drop so many guards after the start, per guard.
    Release { held: u32 },
}

/// For how many watchers or guards the figures per item are taken.
pub(crate) const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The one of them that has a bound.
pub(crate) const MANY: u32 = 100_000;
/// Some goes through [`MANY`]: a single one is short enough to be spoilt by one disturbance.
const HANDLED: u32 = 5 * MANY;

impl Figure {
    pub(crate) fn of_guards<G: Guards>(self) -> Option<f64> {
        match self {
            Self::Guard { threads } => {
                let all = G::new();
                let sources = Mutex::new((0..threads).map(|_| all.source()).collect::<Vec<_>>());
                Some(cores::together(threads, || {
                    let source = sources.lock().expect("not poisoned").pop().expect("one for each thread");
                    move || drop(black_box(G::guard(&source)))
                }))
            }
            Self::SharedGuard { threads } => {
                let all = G::new();
                let source = &all.source();
                Some(cores::together(threads, || move || drop(black_box(G::guard(source)))))
            }
            Self::GuardAmong { held } => {
                let all = G::new();
                let source = &all.source();
                // Taken on the thread that measures, so that they are where it will be.
                Some(cores::together(1, || {
                    let held: Vec<_> = (0..held).map(|_| G::guard(source)).collect();
                    move || {
                        let _there = &held;
                        drop(black_box(G::guard(source)));
                    }
                }))
            }
            _ => None,
        }
    }

    pub(crate) fn of_peer<P: Peer>(self) -> Option<f64> {
        match self {
            Self::Guard { .. } | Self::SharedGuard { .. } | Self::GuardAmong { .. } => self.of_guards::<P>(),
            Self::Repoll => Some(repoll::<P>(0)),
            Self::RepollAmong { waiting } => Some(repoll::<P>(waiting)),
            Self::Subscribe { threads } => Some(subscribe::<P>(threads, 0)),
            Self::SubscribeAmong { waiting } => Some(subscribe::<P>(1, waiting)),
            Self::Wake { waiting } => Some(cores::alone(|| often(waiting, || wake::<P>(waiting)))),
            Self::Heap { waiting } => Some(cores::alone(|| heap::<P>(waiting))),
            Self::Release { held } => Some(cores::alone(|| often(held, || release::<P>(held)))),
        }
    }
}

/// What a task's waker is in every runtime: a reference count. Who clones it twice pays twice.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

/// The cheapest waker there is: what is left is the cost of those who call it.
fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The median of as many goes as it takes to handle [`HANDLED`] items.
fn often(items: u32, go: impl Fn() -> f64) -> f64 {
    let mut median = 0.0;
    allocation_counter::opt_out(|| {
        median = cores::median((0..(HANDLED / items).max(1)).map(|_| go()).collect());
    });
    median
}

fn wait<P: Peer>(watcher: &P::Watcher) -> Pin<Box<impl Future + use<P>>> {
    let mut wait = Box::pin(P::wait(P::clone_of(watcher)));
    assert!(wait.as_mut().poll(&mut unheard()).is_pending());
    wait
}

fn repoll<P: Peer>(others: u32) -> f64 {
    let peer = P::new();
    let watcher = &peer.watcher();
    cores::together(1, || {
        let others: Vec<_> = (0..others).map(|_| wait::<P>(watcher)).collect();
        let mut wait = wait::<P>(watcher);
        move || {
            let _there = &others;
            assert!(black_box(wait.as_mut().poll(&mut unheard())).is_pending());
        }
    })
}

fn subscribe<P: Peer>(threads: usize, others: u32) -> f64 {
    let peer = P::new();
    let watcher = &peer.watcher();
    cores::together(threads, || {
        let others: Vec<_> = (0..others).map(|_| wait::<P>(watcher)).collect();
        let waker = Waker::from(Arc::new(Counted));
        move || {
            let _there = &others;
            let wait = pin!(P::wait(P::clone_of(watcher)));
            assert!(black_box(wait.poll(&mut Context::from_waker(&waker))).is_pending());
        }
    })
}

fn wake<P: Peer>(waiting: u32) -> f64 {
    let peer = P::new();
    let watcher = peer.watcher();
    let all: Vec<_> = (0..waiting).map(|_| wait::<P>(&watcher)).collect();
    let begin = Instant::now();
    let started = peer.start();
    let taken = begin.elapsed().as_secs_f64() * 1e9 / f64::from(waiting);
    assert!(all.into_iter().all(|mut wait| wait.as_mut().poll(&mut unheard()).is_ready()));
    drop(started);
    taken
}

fn heap<P: Peer>(waiting: u32) -> f64 {
    let peer = P::new();
    let watcher = peer.watcher();
    let mut all = Vec::with_capacity(waiting as usize);
    let counted = allocation_counter::measure(|| all.extend((0..waiting).map(|_| wait::<P>(&watcher))));
    u32::try_from(counted.bytes_current).map_or(f64::NAN, f64::from) / f64::from(waiting)
}

fn release<P: Peer>(held: u32) -> f64 {
    let peer = P::new();
    let source = peer.source();
    let guards: Vec<_> = (0..held).map(|_| P::guard(&source)).collect();
    let started = peer.start();
    let begin = Instant::now();
    drop(guards);
    let taken = begin.elapsed().as_secs_f64() * 1e9 / f64::from(held);
    drop(started);
    taken
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard { threads } => write!(f, "take + release a guard, threads: {threads}"),
            Self::SharedGuard { threads } => write!(f, "the same through one shared watcher, threads: {threads}"),
            Self::Repoll => f.write_str("poll a pending watcher again, same waker"),
            Self::Subscribe { threads } => write!(f, "clone + first poll + drop a watcher, threads: {threads}"),
            Self::GuardAmong { held } => write!(f, "take + release a guard, while {held} others are held"),
            Self::RepollAmong { waiting } => write!(f, "poll again, while {waiting} others wait"),
            Self::SubscribeAmong { waiting } => write!(f, "clone + first poll + drop, while {waiting} others wait"),
            Self::Wake { waiting } => write!(f, "wake {waiting} waiting watchers, per watcher"),
            Self::Heap { waiting } => write!(f, "heap bytes per waiting watcher, of {waiting}"),
            Self::Release { held } => write!(f, "drop {held} guards while draining, per guard"),
        }
    }
}
