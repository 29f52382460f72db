//! Numbers of several runs, told by their median and their range: one machine's noise makes means worthless.

use std::time::Duration;

/// Measurements of one thing, in one unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Takes one more.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Takes one more, in microseconds.
    pub(crate) fn push_us(&mut self, span: Duration) {
        self.push(span.as_secs_f64() * 1e6);
    }

    /// The value that this share of all is below or equal to; NaN if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted
            .get((share * last as f64).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The middle.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Smallest.
    pub(crate) fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Largest.
    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Hides from the compiler that a value is not needed.
pub(crate) fn keep<T>(value: T) -> T {
    std::hint::black_box(value)
}
