//! What the press counts, for Prometheus.

use metrics::{Counter, Gauge, counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::{Mutex, PoisonError};

use super::deliver::{Progress, Tally};
use crate::delivery::ledger::Counts;

/// The counters of one process's press.
pub struct Meter {
    mails: [Counter; 5],
    lines: Gauge,
    rate: Gauge,
    editions: Gauge,
    paused: Gauge,
    waiting: Gauge,
    uncertain: Gauge,
    told: Mutex<Tally>,
    text: PrometheusHandle,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Default for Meter {
    fn default() -> Self {
        // Its own recorder and not the process's, as all counters here.
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            use metrics::{describe_counter as counted, describe_gauge as gauged};
            counted!("pressrun_press_mails_total", "Attempts to deliver a mail, by how they ended.");
            gauged!("pressrun_press_connections", "Connections to the mail server that are open now.");
            gauged!("pressrun_press_mails_per_second", "Mails accepted in a second, in the sending under way.");
            gauged!("pressrun_ledger_editions", "Editions that are approved and not yet sent.");
            gauged!("pressrun_ledger_editions_paused", "Editions that are paused.");
            gauged!("pressrun_ledger_waiting", "Deliveries of these editions that wait.");
            gauged!(
                "pressrun_ledger_uncertain",
                "Deliveries of these editions that may have gone out and may have not."
            );
            let of = |outcome: &'static str| counter!("pressrun_press_mails_total", "outcome" => outcome);
            Meter {
                mails: ["accepted", "deferred", "rejected", "expired", "uncertain"].map(of),
                lines: gauge!("pressrun_press_connections"),
                rate: gauge!("pressrun_press_mails_per_second"),
                editions: gauge!("pressrun_ledger_editions"),
                paused: gauge!("pressrun_ledger_editions_paused"),
                waiting: gauge!("pressrun_ledger_waiting"),
                uncertain: gauge!("pressrun_ledger_uncertain"),
                told: Mutex::default(),
                text,
            }
        })
    }
}

impl Meter {
    /// A sending begins.
    pub fn begin(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
    }

    /// A sign of life of the sending.
    #[allow(clippy::cast_precision_loss)]
    pub fn progress(&self, progress: &Progress) {
        let each = |t: &Tally| [t.accepted, t.deferred, t.rejected, t.expired, t.uncertain];
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for ((counter, now), before) in self.mails.iter().zip(each(&progress.tally)).zip(each(&told)) {
            counter.increment(now.saturating_sub(before));
        }
        *told = progress.tally;
        self.lines.set(progress.lines as f64);
        self.rate.set(progress.rate());
    }

    /// The sending has ended.
    pub fn end(&self) {
        self.lines.set(0.0);
        self.rate.set(0.0);
    }

    /// How the unfinished editions stand, each with its being paused.
    #[allow(clippy::cast_precision_loss)]
    pub fn stand(&self, editions: &[(Counts, bool)]) {
        let sum = |of: fn(&Counts) -> u64| editions.iter().map(|(counts, _)| of(counts)).sum::<u64>() as f64;
        self.editions.set(editions.len() as f64);
        self.paused.set(editions.iter().filter(|(_, paused)| *paused).count() as f64);
        self.waiting.set(sum(|counts| counts.waiting));
        self.uncertain.set(sum(|counts| counts.uncertain));
    }

    /// What renders them.
    pub fn handle(&self) -> PrometheusHandle {
        self.text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_once_however_often_progress_is_told() {
        let meter = Meter::default();
        let progress = |accepted, uncertain| Progress {
            tally: Tally { accepted, uncertain, ..Tally::default() },
            waiting: 10,
            lines: 3,
            seconds: 2.0,
        };
        for run in [[(2, 0), (4, 1), (4, 1)], [(1, 0), (1, 0), (3, 0)]] {
            meter.begin();
            for (accepted, uncertain) in run {
                meter.progress(&progress(accepted, uncertain));
            }
        }
        let text = meter.handle().render();
        assert!(text.contains("pressrun_press_mails_total{outcome=\"accepted\"} 7"), "{text}");
        assert!(text.contains("pressrun_press_mails_total{outcome=\"uncertain\"} 1"), "{text}");
        assert!(text.contains("pressrun_press_connections 3"), "{text}");
        meter.end();
        let counts = |waiting, uncertain| Counts { waiting, uncertain, ..Counts::default() };
        meter.stand(&[(counts(5, 2), false), (counts(1, 1), true)]);
        let text = meter.handle().render();
        for line in [
            "pressrun_press_connections 0",
            "pressrun_ledger_editions 2",
            "pressrun_ledger_editions_paused 1",
            "pressrun_ledger_waiting 6",
            "pressrun_ledger_uncertain 3",
        ] {
            assert!(text.contains(line), "{line} is missing: {text}");
        }
    }
}
