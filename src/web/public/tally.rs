//! What the pages count.

use metrics::{Counter, Gauge, counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::subscriber::SubscriptionState;

/// The counters of the pages.
pub(super) struct Tally {
    pub(super) asked: Counter,
    pub(super) busy: Counter,
    pub(super) robots: Counter,
    pub(super) confirmed: Counter,
    pub(super) left: Counter,
    pub(super) sent: Counter,
    pub(super) unsent: Counter,
    pending: Gauge,
    subscribed: Gauge,
    ended: Gauge,
    text: PrometheusHandle,
}

impl Tally {
    pub(super) fn new() -> Tally {
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            use metrics::describe_counter as described;
            described!("pressrun_requests_total", "Requests of readers that were written down.");
            described!("pressrun_requests_refused_total", "Requests that were refused, by why.");
            described!("pressrun_confirmations_total", "Requests that were confirmed.");
            described!("pressrun_unsubscribed_total", "Readers who left, on the page or by one click.");
            described!("pressrun_letters_total", "Letters about requests, by what became of them.");
            metrics::describe_gauge!("pressrun_subscriptions", "Subscriptions in the ledger, by how they stand.");
            Tally {
                asked: counter!("pressrun_requests_total"),
                busy: counter!("pressrun_requests_refused_total", "why" => "limit"),
                robots: counter!("pressrun_requests_refused_total", "why" => "robot"),
                confirmed: counter!("pressrun_confirmations_total"),
                left: counter!("pressrun_unsubscribed_total"),
                sent: counter!("pressrun_letters_total", "outcome" => "sent"),
                unsent: counter!("pressrun_letters_total", "outcome" => "failed"),
                pending: gauge!("pressrun_subscriptions", "state" => "pending"),
                subscribed: gauge!("pressrun_subscriptions", "state" => "confirmed"),
                ended: gauge!("pressrun_subscriptions", "state" => "ended"),
                text,
            }
        })
    }

    /// How many subscriptions stand how.
    pub(super) fn stand(&self, standing: &[(SubscriptionState, u64)]) {
        use SubscriptionState::{Confirmed, Ended, Pending};
        for (state, gauge) in [(Pending, &self.pending), (Confirmed, &self.subscribed), (Ended, &self.ended)] {
            let count = standing.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
            gauge.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }

    pub(super) fn handle(&self) -> PrometheusHandle {
        self.text.clone()
    }
}
