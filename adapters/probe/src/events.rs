//! The page's stream of events.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ebbtide::Watcher;

use crate::observer::{Observer, Place};
use crate::page::Sections;

/// A stream of server-sent events: each has the sections of the page that have changed. It never holds up the server that
/// serves it, and ends with what is to be seen then.
pub(crate) struct Events {
    observer: Arc<Observer>,
    tick: Watcher,
    /// Ready when the stream has to end.
    ending: Watcher,
    sent: Option<(Arc<Sections>, Instant)>,
    is_over: bool,
    _place: Place,
}

/// After which time without news a line is sent all the same, by which a client that has gone is noticed.
const SILENCE: Duration = Duration::from_secs(15);
/// After which time, in ms, a browser comes back.
const RETRY: u32 = 1000;

impl Events {
    /// A stream that ends with the drain of the server that serves it. If that is not known, it ends when the drain that is
    /// looked at begins. Then the browser comes back again and again, and has an event each time.
    pub(crate) fn new(observer: &Arc<Observer>, place: Place, server: Option<Watcher>) -> Self {
        let ending = server.unwrap_or_else(|| observer.drain.watcher());
        let observer = observer.clone();
        Self { tick: observer.next_tick(), observer, ending, sent: None, is_over: false, _place: place }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            let ends = Pin::new(&mut self.ending).poll(cx).is_ready();
            let is_due = self.sent.is_none() || Pin::new(&mut self.tick).poll(cx).is_ready();
            if !ends && !is_due {
                return Poll::Pending;
            }
            // Before the look, so that none is missed.
            self.tick = self.observer.next_tick();
            self.is_over = ends;
            let snapshot = if ends { self.observer.look_anew() } else { self.observer.look() };
            let (now, sections) = (Instant::now(), snapshot.sections());
            let last = self.sent.as_ref();
            let is_silent = last.is_some_and(|(_, at)| now - *at >= SILENCE);
            let news = sections.news(last.map(|it| &*it.0));
            if news.is_empty() && !ends {
                if is_silent {
                    self.sent = Some((sections, now));
                    return Poll::Ready(Some(Bytes::from_static(b":\n\n")));
                }
                continue;
            }
            let event = self.event(news, last.is_none());
            self.sent = Some((sections, now));
            return Poll::Ready(Some(event));
        }
    }

    fn event(&self, news: Vec<(&'static str, &str)>, is_first: bool) -> Bytes {
        let mut data: BTreeMap<_, _> = news.into_iter().collect();
        data.insert("boot", &self.observer.boot);
        // JSON has no line ends of its own, so it is one line of an event.
        let data = serde_json::to_string(&data).expect("texts");
        let retry = if is_first { format!("retry: {RETRY}\n") } else { String::new() };
        format!("{retry}data: {data}\n\n").into()
    }
}
