//! The metrics through the facade `metrics`.

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};

use crate::Probe;
use crate::metric::Metric;

impl Probe {
    /// Tells the metrics of this moment to the recorder of the crate `metrics`, under the same names as `/metrics` has.
    ///
    /// Call it before each scrape or once in a while, and in a closing action, so that the end of the drain is told.
    ///
    /// # Examples
    ///
    /// ```
    /// let probe = ebbtide_probe::Probe::new(&ebbtide::Drain::new());
    /// probe.record();
    /// ```
    pub fn record(&self) {
        for metric in Metric::all(&self.observer().look()) {
            let name = if metric.is_counter { format!("{}_total", metric.name) } else { metric.name.to_owned() };
            if metric.is_counter {
                describe_counter!(name.clone(), metric.help);
            } else {
                describe_gauge!(name.clone(), metric.help);
            }
            for (label, value) in metric.values {
                let labels: Vec<_> = label.into_iter().map(|(name, value)| Label::new(name, value)).collect();
                if metric.is_counter {
                    // It counts whole things.
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    counter!(name.clone(), labels).absolute(value as u64);
                } else {
                    gauge!(name.clone(), labels).set(value);
                }
            }
        }
    }
}
