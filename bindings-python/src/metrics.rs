//! The metrics of this process, for a page that Prometheus reads.

use posada::metrics::Prometheus;
use pyo3::prelude::*;

use crate::arguments::Span;

/// Counts from now on, in this process and the children that it forks.
#[pyfunction]
pub(crate) fn record_metrics() {
    // Nothing else in this module could have become the recorder.
    let _ = Prometheus::install();
}

/// What was counted, in the text format of Prometheus; empty when counting was not asked for.
#[pyfunction]
pub(crate) fn render_metrics() -> String {
    Prometheus::installed().map_or_else(String::new, Prometheus::render)
}

/// Counts a request of the app, if anybody asked to count.
#[pyfunction]
pub(crate) fn count_request(method: &str, endpoint: &str, status_code: u16, took: Span) {
    if let Some(prometheus) = Prometheus::installed() {
        prometheus.count_request(method, endpoint, status_code, took.0);
    }
}
