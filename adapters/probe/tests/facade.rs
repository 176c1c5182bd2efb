//! The metrics through the facade `metrics`: the same as Prometheus reads.
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ebbtide::Drain;
use ebbtide_probe::Probe;
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps the values by their names and labels.
#[derive(Default)]
struct Values(Mutex<BTreeMap<String, (bool, Arc<AtomicU64>)>>);

impl Values {
    fn value(&self, key: &Key, is_counter: bool) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|it| format!("{}=\"{}\"", it.key(), it.value())).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let mut values = self.0.lock().unwrap();
        values.entry(format!("{}{labels}", key.name())).or_insert((is_counter, Arc::default())).1.clone()
    }

    fn lines(&self) -> Vec<String> {
        let values = self.0.lock().unwrap();
        let lines = values.iter().map(|(name, (is_counter, bits))| {
            let bits = bits.load(Ordering::SeqCst);
            if *is_counter { format!("{name} {bits}.0") } else { format!("{name} {:?}", f64::from_bits(bits)) }
        });
        lines.collect()
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key, true))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key, false))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        unreachable!("a probe has none")
    }
}

#[test]
fn the_facade_is_told_what_prometheus_reads() {
    let (drain, values) = (Drain::new(), Values::default());
    let probe = Probe::new(&drain);
    let upload = drain.watcher().labelled("upload");
    drop(drain.start_because("SIGTERM"));
    drain.close();
    metrics::with_local_recorder(&values, || {
        probe.record();
        probe.record();
    });
    let mut text = String::new();
    let mut body = probe.answer(&http::Request::get("/metrics").body(()).unwrap(), None).into_body();
    block_on(body.read_to_string(&mut text)).unwrap();
    let mut lines: Vec<_> = text.lines().filter(|it| !it.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    assert!(lines.contains(&"ebbtide_cut_total{label=\"upload\"} 1.0".to_owned()), "{lines:?}");
    let mut told = values.lines();
    told.sort();
    assert_eq!(told, lines);
    drop(upload);
}
