//! What a server says to its operator, without waiting for whoever reads it.
//!
//! A pipe whose reader hangs is full after 64 KiB, and every write to it blocks from then on. So does a terminal after Ctrl-S. A
//! reader that is gone makes `println!` panic. Neither may delay a drain, its deadline or the exit. So one thread for each of
//! stdout and stderr writes, and only [`finish`] waits for it, not for long.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

static STDOUT: LazyLock<Output> = LazyLock::new(|| Output::new(io::stdout()));
static STDERR: LazyLock<Output> = LazyLock::new(|| Output::new(io::stderr()));

/// How much text waits for a reader. What is more pushes out the oldest.
const MOST: usize = 256;
/// How long a write may take before its reader counts as stuck. A healthy one takes some microseconds; the rest is for a
/// machine that is busy.
const PATIENCE: Duration = Duration::from_millis(250);

/// Says a line on stdout. Returns at once.
pub fn say(line: impl Into<String>) {
    print(line.into() + "\n");
}

/// Puts text on stdout as it is. Returns at once.
pub fn print(text: impl Into<String>) {
    STDOUT.put(text.into());
}

/// Says a line on stderr. Returns at once.
pub fn complain(line: impl Into<String>) {
    STDERR.put(line.into() + "\n");
}

/// Waits until all of it is written, at most 250 ms for each stream. It does not wait for one that has been stuck for longer.
/// Call it at the end of the process, which ends its threads.
pub fn finish() {
    STDOUT.finish(PATIENCE);
    STDERR.finish(PATIENCE);
}

/// A stream with a thread that writes to it.
#[derive(Debug)]
struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    writing_since: Option<Instant>,
}

impl Output {
    fn new(stream: impl Write + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let written = shared.clone();
        let started = thread::Builder::new().name("output".into()).spawn(move || written.write_to(stream));
        // Without a thread nothing is said; the drain matters more.
        drop(started);
        Self(shared)
    }

    fn put(&self, text: String) {
        let mut state = self.0.lock();
        if state.waiting.len() == MOST {
            state.waiting.pop_front();
        }
        state.waiting.push_back(text);
        self.0.changed.notify_all();
    }

    fn finish(&self, patience: Duration) {
        let called = Instant::now();
        let mut state = self.0.lock();
        while !state.waiting.is_empty() || state.writing_since.is_some() {
            let since = state.writing_since.map_or(called, |it| it.min(called));
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut stream: impl Write) {
        let mut state = self.lock();
        loop {
            let Some(text) = state.waiting.pop_front() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.writing_since = Some(Instant::now());
            drop(state);
            // A reader that is gone is no reason to do anything.
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
            state = self.lock();
            state.writing_since = None;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Longer than any of this takes.
    const LONG: Duration = Duration::from_secs(30);

    /// A reader that takes as many writes as the channel has room.
    struct Pipe(SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(room: usize) -> (Output, Receiver<String>) {
        let (sender, receiver) = sync_channel(room);
        (Output::new(Pipe(sender)), receiver)
    }

    #[test]
    fn what_is_said_is_written_in_order_before_the_end() {
        let (output, read) = output(100);
        for at in 0..100 {
            output.put(at.to_string());
        }
        output.finish(LONG);
        assert!(read.try_iter().eq((0..100).map(|it| it.to_string())));
    }

    #[test]
    fn a_reader_that_is_stuck_holds_up_neither_what_is_said_nor_the_end() {
        let (output, read) = output(0);
        let begun = Instant::now();
        for at in 0..1000 {
            output.put(at.to_string());
        }
        output.finish(Duration::from_millis(1));
        assert!(begun.elapsed() < LONG);
        assert!(output.0.lock().waiting.len() <= MOST, "nor does it take more and more memory");
        // It goes on where it is read again, and the last is not what was pushed out.
        assert!(read.iter().any(|it| it == "999"));
    }

    #[test]
    fn a_reader_that_has_been_stuck_for_long_is_not_waited_for() {
        let (output, _read) = output(0);
        output.put("stuck".into());
        while output.0.lock().writing_since.is_none() {
            thread::yield_now();
        }
        output.0.lock().writing_since = Instant::now().checked_sub(LONG);
        let begun = Instant::now();
        output.finish(LONG);
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        let (output, read) = output(1);
        drop(read);
        output.put("a".into());
        output.put("b".into());
        output.finish(LONG);
    }
}
