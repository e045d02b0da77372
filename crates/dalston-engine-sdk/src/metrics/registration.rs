//! Makes the metrics and registers each under its name, with the ending of its unit.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::labels::Labels;

/// A histogram for each set of labels.
pub(super) type Histograms<L> = Family<L, Histogram, Buckets>;

/// Buckets in seconds: from a task that is refused at once to two hours of audio on a CPU.
const SECONDS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

/// Makes metrics and registers each under its name.
pub(super) struct Registration(pub(super) Registry);

impl Registration {
    /// Registers a counter; the text encoder appends `_total` to its name.
    pub(super) fn counter<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Counter> {
        self.family(name, help)
    }

    /// Registers a counter of seconds: `{name}_seconds_total`.
    pub(super) fn time<L: Labels>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<L, Counter<f64, AtomicU64>> {
        self.family(format!("{name}_seconds"), help)
    }

    /// Registers a gauge of bytes: `{name}_bytes`.
    pub(super) fn bytes<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Gauge> {
        self.family(format!("{name}_bytes"), help)
    }

    /// Registers a gauge of whole numbers under its name.
    pub(super) fn number<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Gauge> {
        self.family(name, help)
    }

    /// Registers a gauge of any number under its name.
    pub(super) fn decimal<L: Labels>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<L, Gauge<f64, AtomicU64>> {
        self.family(name, help)
    }

    /// Registers a histogram of seconds: `{name}_seconds`.
    pub(super) fn times<L: Labels>(&mut self, name: &str, help: &str) -> Histograms<L> {
        self.histogram(format!("{name}_seconds"), help, &SECONDS)
    }

    /// Registers a histogram of ratios: `{name}_ratio`.
    pub(super) fn ratio<L: Labels>(
        &mut self,
        name: &str,
        help: &str,
        buckets: &'static [f64],
    ) -> Histograms<L> {
        self.histogram(format!("{name}_ratio"), help, buckets)
    }

    fn family<L: Labels, M>(&mut self, name: impl Into<String>, help: &str) -> Family<L, M>
    where
        Family<L, M>: Metric + Default + Clone,
    {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        family
    }

    fn histogram<L: Labels>(
        &mut self,
        name: String,
        help: &str,
        buckets: &'static [f64],
    ) -> Histograms<L> {
        let family = Family::new_with_constructor(Buckets(buckets));
        self.0.register(name, help, family.clone());
        family
    }
}

/// Makes the histograms of a family, all with these upper bounds.
#[derive(Clone)]
pub(super) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}
