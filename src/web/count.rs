//! What is counted, and its text for Prometheus.

use hyper::StatusCode;
use metrics::{Counter, Gauge, counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The statuses that feeds are answered with; what pages answer beside them is counted as `other`.
const STATUSES: [u16; 13] = [200, 204, 226, 304, 303, 308, 400, 404, 405, 406, 414, 500, 503];

/// Renders the counters in Prometheus's text form.
pub(crate) type Text = PrometheusHandle;

/// The counters of one server.
pub(crate) struct Counts {
    requests: Vec<(u16, Counter)>,
    others: Counter,
    /// Bytes of bodies, as sent.
    pub(crate) bytes: Counter,
    pub(crate) connections: Counter,
    pub(crate) refused: Counter,
    pub(crate) overdue: Counter,
    pub(crate) open: Gauge,
    pub(crate) held: Gauge,
    text: Text,
}

impl Counts {
    pub(crate) fn new() -> Counts {
        // Its own recorder and not the process's: two servers in one process (as in tests) count each for itself.
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            use metrics::{describe_counter as counted, describe_gauge as gauged};
            counted!("pressrun_http_requests_total", "Requests answered, by status.");
            counted!("pressrun_http_body_bytes_total", "Bytes of bodies sent.");
            counted!("pressrun_http_connections_total", "Connections accepted.");
            counted!("pressrun_http_refused_total", "Idle connections closed because there were too many.");
            counted!("pressrun_http_overdue_total", "Connections closed because they took longer than they may.");
            gauged!("pressrun_http_connections", "Connections open now.");
            gauged!("pressrun_http_held_bytes", "Bytes of feeds kept in memory.");
            let of = |status: String| counter!("pressrun_http_requests_total", "status" => status);
            Counts {
                requests: STATUSES.iter().map(|&status| (status, of(status.to_string()))).collect(),
                others: of("other".to_owned()),
                bytes: counter!("pressrun_http_body_bytes_total"),
                connections: counter!("pressrun_http_connections_total"),
                refused: counter!("pressrun_http_refused_total"),
                overdue: counter!("pressrun_http_overdue_total"),
                open: gauge!("pressrun_http_connections"),
                held: gauge!("pressrun_http_held_bytes"),
                text,
            }
        })
    }

    pub(crate) fn answered(&self, status: StatusCode, bytes: u64) {
        let known = self.requests.iter().find(|(known, _)| *known == status.as_u16());
        known.map_or(&self.others, |(_, counter)| counter).increment(1);
        self.bytes.increment(bytes);
    }

    /// What renders them.
    pub(crate) fn handle(&self) -> Text {
        self.text.clone()
    }
}
