//! The metrics as Prometheus reads them, for programs that have no exporter of their own.
//!
//! posada counts through the facade `metrics`, which forgets everything until a recorder is installed. [`Prometheus`]
//! is a listener without threads, upkeep or growth: counters and gauges are one atomic each, a histogram is one per
//! bucket.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, GaugeFn as _, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};

use super::{HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_TOTAL};

/// What HTTP calls its methods. A caller may write anything else, and each would be a series.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
];

/// The upper bounds of every histogram, in seconds; those of Python's `prometheus_client`.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

static INSTALLED: OnceLock<Prometheus> = OnceLock::new();

/// Collects what posada counts in this process, and shows it in the text format 0.0.4 of Prometheus.
///
/// ```
/// let prometheus = posada::metrics::Prometheus::install().expect("the only recorder");
/// // … make a Posada, serve requests, and answer `GET /metrics` with:
/// let page = prometheus.render();
/// ```
#[derive(Clone, Default)]
pub struct Prometheus(Arc<Registry>);

#[derive(Default)]
struct Registry {
    counters: Metrics<AtomicU64>,
    gauges: Metrics<AtomicU64>,
    histograms: Metrics<Buckets>,
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("counters", &self.0.counters.len())
            .field("gauges", &self.0.gauges.len())
            .field("histograms", &self.0.histograms.len())
            .finish()
    }
}

type Metrics<T> = papaya::HashMap<Key, Arc<T>, foldhash::quality::RandomState>;

impl Prometheus {
    /// Listens to all metrics of the process from now on. Call it before the first `Posada` is made, some of whose
    /// counters are found once. Calling it again answers the same; `None` when the program has another recorder.
    pub fn install() -> Option<&'static Self> {
        if INSTALLED.get().is_none() {
            let made = Self::default();
            if metrics::set_global_recorder(made.clone()).is_ok() {
                return Some(INSTALLED.get_or_init(|| made));
            }
        }
        INSTALLED.get()
    }

    /// What listens, if [`install`](Self::install) was called.
    pub fn installed() -> Option<&'static Self> {
        INSTALLED.get()
    }

    /// Counts a request that the program's own HTTP server has answered, under the names of the app's dashboards:
    /// `http_requests_total` by `method`, `endpoint` and `status_code`, and `http_request_duration_seconds` by the
    /// first two.
    ///
    /// `endpoint` is the route, such as `/guests/{id}`, and not the path that was asked for: callers write what they
    /// like there, and every text is a series for ever. A method that HTTP does not have is `OTHER` for the same
    /// reason.
    pub fn count_request(&self, method: &str, endpoint: &str, status_code: u16, took: Duration) {
        let method = METHODS
            .iter()
            .find(|known| **known == method)
            .map_or("OTHER", |known| *known);
        let endpoint = SharedString::from(endpoint.to_owned());
        metrics::with_local_recorder(self, || {
            metrics::counter!(
                HTTP_REQUESTS_TOTAL,
                "method" => method, "endpoint" => endpoint.clone(), "status_code" => status_code.to_string()
            )
            .increment(1);
            metrics::histogram!(HTTP_REQUEST_DURATION_SECONDS, "method" => method, "endpoint" => endpoint)
                .record(took);
        });
    }

    /// Everything that was counted so far, sorted by name. Serve it as `text/plain; version=0.0.4`.
    pub fn render(&self) -> String {
        let mut page = String::new();
        for (name, series) in sorted(&self.0.counters) {
            let _ = writeln!(page, "# TYPE {name} counter");
            for (labels, counter) in series {
                let _ = writeln!(
                    page,
                    "{name}{} {}",
                    braced(&labels),
                    counter.load(Ordering::Relaxed)
                );
            }
        }
        for (name, series) in sorted(&self.0.gauges) {
            let _ = writeln!(page, "# TYPE {name} gauge");
            for (labels, gauge) in series {
                let value = f64::from_bits(gauge.load(Ordering::Relaxed));
                let _ = writeln!(page, "{name}{} {value}", braced(&labels));
            }
        }
        for (name, series) in sorted(&self.0.histograms) {
            let _ = writeln!(page, "# TYPE {name} histogram");
            for (labels, buckets) in series {
                buckets.render(&mut page, &name, &labels);
            }
        }
        page
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(of(&self.0.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(of(&self.0.gauges, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(of(&self.0.histograms, key))
    }
}

fn of<T: Default>(metrics: &Metrics<T>, key: &Key) -> Arc<T> {
    let metrics = metrics.pin();
    if let Some(known) = metrics.get(key) {
        return Arc::clone(known);
    }
    Arc::clone(metrics.get_or_insert_with(key.clone(), Arc::default))
}

/// The series of each name, by their labels as text, so that a page reads the same every time.
fn sorted<T>(metrics: &Metrics<T>) -> BTreeMap<String, BTreeMap<String, Arc<T>>> {
    let mut all: BTreeMap<String, BTreeMap<String, Arc<T>>> = BTreeMap::new();
    for (key, metric) in &metrics.pin() {
        let series = all.entry(word(key.name())).or_default();
        series.insert(labels(key), Arc::clone(metric));
    }
    all
}

fn labels(key: &Key) -> String {
    let each = key
        .labels()
        .map(|label| format!("{}=\"{}\"", word(label.key()), escaped(label.value())));
    each.collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    }
}

/// Other libraries of the program may name their metrics with dots.
fn word(name: &str) -> String {
    name.replace(
        |letter: char| !letter.is_ascii_alphanumeric() && letter != '_',
        "_",
    )
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}

/// How many values fell into each bucket (the last one has no bound), and their sum as the bits of an `f64`.
#[derive(Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.increment(value);
        }
    }
}

impl Buckets {
    fn render(&self, page: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            let _ = writeln!(page, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}");
        }
        let (labels, sum) = (braced(labels), f64::from_bits(self.sum.load(Ordering::Relaxed)));
        let _ = writeln!(page, "{name}_sum{labels} {sum}");
        let _ = writeln!(page, "{name}_count{labels} {total}");
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;

    use super::*;

    const LOCKS: &str = "locks_total";
    const READY: &str = "ready";
    const TOOK: &str = "took_seconds";
    const DOTTED: &str = "a.b";

    fn page_after(counting: impl FnOnce()) -> String {
        let prometheus = Prometheus::default();
        with_local_recorder(&prometheus, counting);
        prometheus.render()
    }

    #[test]
    fn counters_and_gauges_have_a_line_per_series() {
        let page = page_after(|| {
            metrics::counter!(LOCKS, "result" => "ok").increment(2);
            metrics::counter!(LOCKS, "result" => "error").increment(1);
            metrics::counter!(LOCKS, "result" => "ok").increment(1);
            metrics::gauge!(READY).set(1.0);
        });
        assert_eq!(
            page,
            "# TYPE locks_total counter\nlocks_total{result=\"error\"} 1\nlocks_total{result=\"ok\"} 3\n\
             # TYPE ready gauge\nready 1\n"
        );
    }

    #[test]
    fn a_value_on_the_bound_counts_below_it_and_buckets_add_up() {
        let page = page_after(|| {
            for value in [0.25, 0.2, 11.0] {
                metrics::histogram!(TOOK, "operation" => "read").record(value);
            }
        });
        for line in [
            r#"took_seconds_bucket{operation="read",le="0.1"} 0"#,
            r#"took_seconds_bucket{operation="read",le="0.25"} 2"#,
            r#"took_seconds_bucket{operation="read",le="10"} 2"#,
            r#"took_seconds_bucket{operation="read",le="+Inf"} 3"#,
            r#"took_seconds_sum{operation="read"} 11.45"#,
            r#"took_seconds_count{operation="read"} 3"#,
        ] {
            assert!(
                page.lines().any(|each| each == line),
                "{line} is missing in\n{page}"
            );
        }
    }

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        let page = page_after(|| metrics::counter!(DOTTED, "flag" => "x\"} 9\nfake 1\\").increment(1));
        assert_eq!(
            page,
            "# TYPE a_b counter\na_b{flag=\"x\\\"} 9\\nfake 1\\\\\"} 1\n"
        );
    }
    #[test]
    fn a_request_is_counted_by_its_route_and_an_odd_method_is_no_series_of_its_own() {
        let prometheus = Prometheus::default();
        for (method, status) in [
            ("GET", 200),
            ("GET", 200),
            ("GET", 404),
            ("BREW", 405),
            ("get", 405),
        ] {
            prometheus.count_request(method, "/guests/{id}", status, Duration::from_millis(20));
        }
        let page = prometheus.render();
        for line in [
            r#"http_requests_total{method="GET",endpoint="/guests/{id}",status_code="200"} 2"#,
            r#"http_requests_total{method="GET",endpoint="/guests/{id}",status_code="404"} 1"#,
            r#"http_requests_total{method="OTHER",endpoint="/guests/{id}",status_code="405"} 2"#,
            r#"http_request_duration_seconds_bucket{method="GET",endpoint="/guests/{id}",le="0.01"} 0"#,
            r#"http_request_duration_seconds_bucket{method="GET",endpoint="/guests/{id}",le="0.025"} 3"#,
            r#"http_request_duration_seconds_count{method="OTHER",endpoint="/guests/{id}"} 2"#,
        ] {
            assert!(
                page.lines().any(|each| each == line),
                "{line} is missing in\n{page}"
            );
        }
    }
}
