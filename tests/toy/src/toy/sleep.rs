//! A wait for a time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::reactor::Reactor;
use super::timer::Id;

/// Sleeps for so long, by the clock of this thread.
pub fn sleep(time: Duration) -> Sleep {
    Sleep::until(Instant::now().checked_add(time))
}

/// The future of [`sleep`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    /// `None` is later than there are instants.
    deadline: Option<Instant>,
    reactor: Arc<Reactor>,
    timer: Option<Id>,
}

impl Sleep {
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        Self { deadline, reactor: Reactor::of_this_thread(), timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        let mut waker = cx.waker().clone();
        match self.timer {
            None => {
                self.timer = Some(self.reactor.with_timers(|timers| timers.insert(deadline, waker)));
                // It may be the first, and its thread may wait for another one.
                self.reactor.interrupt();
            }
            Some(id) if self.reactor.with_timers(|timers| timers.swap(id, &mut waker)) => {}
            // Due since we looked at the clock, and another waker has had the news.
            Some(_) => waker.wake(),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.timer {
            drop(self.reactor.with_timers(|timers| timers.remove(id)));
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::block_on;
    use futures_lite::future::{or, poll_once};

    #[test]
    fn it_is_over_no_earlier_and_stays_over() {
        let (time, begun) = (Duration::from_millis(5), Instant::now());
        let mut slept = sleep(time);
        block_on(&mut slept);
        assert!(begun.elapsed() >= time);
        assert!(block_on(poll_once(slept)).is_some());
    }

    #[test]
    fn the_earlier_is_first_though_it_was_asked_for_last() {
        let first = or(
            async {
                sleep(Duration::MAX).await;
                "never"
            },
            or(
                async {
                    sleep(Duration::from_secs(60)).await;
                    "late"
                },
                async {
                    sleep(Duration::from_millis(1)).await;
                    "early"
                },
            ),
        );
        assert_eq!(block_on(first), "early");
    }

    #[test]
    fn another_thread_has_it_end_a_wait_that_was_to_be_longer() {
        let (sender, receiver) = std::sync::mpsc::channel::<(Sleep, std::task::Waker)>();
        // The waker of the task that waits is given to a sleep polled elsewhere: it is the earlier one.
        let other = std::thread::spawn(move || {
            let (mut early, waker) = receiver.recv().unwrap();
            assert!(Pin::new(&mut early).poll(&mut Context::from_waker(&waker)).is_pending());
            early
        });
        let (mut early, late) = (Some(sleep(Duration::from_millis(50))), sleep(Duration::from_secs(60)));
        let begun = Instant::now();
        let woken = std::future::poll_fn(|cx| match early.take() {
            Some(early) => {
                sender.send((early, cx.waker().clone())).unwrap();
                Poll::Pending
            }
            None => Poll::Ready(()),
        });
        block_on(async {
            drop(crate::toy::spawn(late));
            woken.await;
        });
        assert!(begun.elapsed() < Duration::from_secs(60));
        drop(other.join().unwrap());
    }
}
