//! The metrics of a probe: their names and their values.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::snapshot::{Phase, Seconds, Snapshot};

/// A metric with its values at one moment.
#[derive(Debug)]
pub(crate) struct Metric {
    /// Without `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) is_counter: bool,
    /// Each with its label, if it has one.
    pub(crate) values: Vec<(Option<(&'static str, String)>, f64)>,
}

/// What is counted up to 2⁵² is exact.
#[allow(clippy::cast_precision_loss)]
fn number(count: usize) -> f64 {
    count as f64
}

impl Metric {
    fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, is_counter: false, values: vec![(None, value)] }
    }

    fn by(name: &'static str, help: &'static str, label: &'static str, values: Vec<(String, f64)>) -> Self {
        let values = values.into_iter().map(|(it, value)| (Some((label, it)), value)).collect();
        Self { name, help, is_counter: false, values }
    }

    fn counted(self) -> Self {
        Self { is_counter: true, ..self }
    }

    /// All metrics of a probe.
    pub(crate) fn all(it: &Snapshot) -> Vec<Self> {
        let seconds = |it: Option<Seconds>| it.map_or(0.0, |it| it.0.as_secs_f64());
        let numbers = |it: &[(String, usize)]| it.iter().map(|(label, n)| (label.clone(), number(*n))).collect();
        let state = match it.phase {
            Phase::Starting | Phase::Ready | Phase::SwitchedOff => 0.0,
            Phase::LameDuck | Phase::Draining => 1.0,
            Phase::Drained => 2.0,
        };
        let started = it.reason.iter().map(|it| (it.clone(), 1.0)).collect();
        let has_ended = |is_cut: bool| f64::from(u8::from(it.phase == Phase::Drained && it.cut.is_empty() != is_cut));
        let ended = vec![("clean".to_owned(), has_ended(false)), ("cut".to_owned(), has_ended(true))];
        let oldest = it.held.iter().map(|it| it.seconds).max();
        let mut all = vec![
            Self::gauge("ebbtide_state", "State of the drain: 0 running, 1 draining, 2 closed", state),
            Self::gauge("ebbtide_ready", "Whether the service is ready: 1 or 0", f64::from(u8::from(it.ready))),
            Self::by("ebbtide_drains_started", "Drains that have begun, by reason", "reason", started).counted(),
            Self::by("ebbtide_drains_ended", "Drains that have ended, by outcome", "outcome", ended).counted(),
            Self::by("ebbtide_guards", "Guards that are held, by label", "label", numbers(&it.labels)),
            Self::by("ebbtide_cut", "Guards that were cut, by label", "label", numbers(&it.cut_labels)).counted(),
            Self::gauge("ebbtide_drain_seconds", "How long the drain has gone on", seconds(it.elapsed_seconds)),
            Self::gauge("ebbtide_deadline_seconds", "How long the drain may take, or 0", seconds(it.deadline_seconds)),
            Self::gauge("ebbtide_oldest_seconds", "Age of the oldest of what is held", seconds(oldest)),
            Self::gauge(
                "ebbtide_killed_drains",
                "Drains of former processes that were killed",
                number(it.killed.len()),
            )
            .counted(),
        ];
        if let Some(counts) = it.connections {
            let by_state = counts.by_state().into_iter().map(|(state, n)| (state.to_owned(), number(n))).collect();
            let cut = number(usize::try_from(counts.cut_by_bounds).unwrap_or(usize::MAX));
            all.push(Self::by("ebbtide_connections", "Open connections, by state", "state", by_state));
            all.push(
                Self::gauge("ebbtide_connections_cut", "Connections cut by a time limit of theirs", cut).counted(),
            );
            let requests = number(counts.requests);
            all.push(Self::gauge("http_server_active_requests", "Requests in flight", requests));
        }
        all
    }
}

/// All metrics in the text format of Prometheus, version 0.0.4.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(All(Metric::all(snapshot))));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).expect("a string takes all");
    text
}

pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

#[derive(Debug)]
struct All(Vec<Metric>);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &self.0 {
            let kind = if metric.is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut values = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (label, value) in &metric.values {
                let labels: Vec<_> = label.iter().map(|(name, value)| (*name, &value[..])).collect();
                let one = values.encode_family(&labels)?;
                if metric.is_counter {
                    ConstCounter::new(*value).encode(one)?;
                } else {
                    ConstGauge::new(*value).encode(one)?;
                }
            }
        }
        Ok(())
    }
}
