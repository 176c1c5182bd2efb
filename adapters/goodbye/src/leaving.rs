//! A goodbye's steps and times, for one task or for two.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// How long messages that were under way when the drain began are still listened for.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// How far a goodbye has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The drain has not begun.
    Open,
    /// Messages still come, and are answered.
    Answering,
    /// To be written.
    Saying,
    /// Written, maybe not yet sent.
    Said,
    /// The peer has said its own, or is gone.
    Over,
    /// The bound was first.
    Late,
}

/// What the goodbye waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nothing: the socket is only written.
    None,
    /// A message, which may be under way.
    Message,
    /// The answer to one.
    Answer,
}

/// What a task does with the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Read,
    Write,
}

/// A goodbye, from the beginning of the drain on.
pub(crate) struct Leaving<F> {
    step: Step,
    tasks: Arc<Tasks>,
    /// Wakes all of `tasks`.
    waker: Waker,
    bound: Pin<Box<F>>,
    last_words: Pin<Box<F>>,
    answers: Pin<Box<F>>,
}

impl<F: Future> Leaving<F> {
    pub(crate) fn begin(timer: impl Fn(Duration) -> F, bound: Duration, answers: Duration) -> Self {
        let tasks = Arc::<Tasks>::default();
        let timer = |time: Duration| Box::pin(timer(time.min(bound)));
        Self {
            step: Step::Answering,
            waker: Waker::from(tasks.clone()),
            tasks,
            bound: timer(bound),
            last_words: timer(LAST_WORDS),
            answers: timer(answers),
        }
    }

    /// Takes the steps that are a matter of time, for the task of this side.
    pub(crate) fn poll(&mut self, side: Side, cx: &mut Context<'_>, pause: Pause) -> Step {
        self.tasks.register(side, cx.waker());
        if matches!(self.step, Step::Over | Step::Late) {
            return self.step;
        }
        let waker = self.waker.clone();
        let both = &mut Context::from_waker(&waker);
        if self.bound.as_mut().poll(both).is_ready() {
            self.go(Step::Late);
        }
        if self.step == Step::Answering {
            let is_over = match pause {
                Pause::None => true,
                Pause::Message => self.last_words.as_mut().poll(both).is_ready(),
                Pause::Answer => self.answers.as_mut().poll(both).is_ready(),
            };
            if is_over {
                self.go(Step::Saying);
            }
        }
        self.step
    }
}

impl<F> Leaving<F> {
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Wakes the tasks of both sides.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Goes on to this step. What one task has found out, the other is to hear.
    pub(crate) fn go(&mut self, step: Step) {
        if mem::replace(&mut self.step, step) != step {
            self.waker.wake_by_ref();
        }
    }
}

/// The tasks that were polled last, of either side. A split socket is read by one and written by another, and what they share
/// has room for one waker.
#[derive(Debug, Default)]
struct Tasks {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Tasks {
    fn register(&self, side: Side, waker: &Waker) {
        let task = match side {
            Side::Read => &self.reader,
            Side::Write => &self.writer,
        };
        // Cloned before, and the old one dropped behind the lock: a waker is foreign code.
        let waker = Some(waker.clone());
        let _old = mem::replace(&mut *task.lock().unwrap_or_else(PoisonError::into_inner), waker);
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for task in [&self.reader, &self.writer] {
            let waker = task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
