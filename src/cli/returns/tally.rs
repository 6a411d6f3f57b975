//! What was read, counted: for people, for machines, for Prometheus.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::collections::BTreeMap;

use super::super::{Common, output};
use crate::press::returns::{Read, Report};

/// How many mails were what.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    read: u64,
    by_name: BTreeMap<&'static str, u64>,
    suppressed: u64,
}

/// In the order in which they are told, and how one and many of them are called.
const WORDS: [(&str, &str, &str); 12] = [
    ("hard", "hard bounce", "hard bounces"),
    ("soft", "soft bounce", "soft bounces"),
    ("bounced", "bounce that says too little", "bounces that say too little"),
    ("complained", "complaint", "complaints"),
    ("delayed", "delay", "delays"),
    ("arrived", "receipt", "receipts"),
    ("automatic", "automatic answer", "automatic answers"),
    ("challenge", "challenge", "challenges"),
    ("again", "read before", "read before"),
    ("forged", "forged", "forged"),
    ("stranger", "about no mail of ours", "about no mail of ours"),
    ("undecided", "kept aside for people", "kept aside for people"),
];

impl Tally {
    pub(super) fn add(&mut self, report: &Report) {
        for read in &report.read {
            self.read += 1;
            *self.by_name.entry(read.name()).or_default() += 1;
        }
        self.suppressed += report.suppressed;
    }

    pub(super) fn any(&self) -> bool {
        self.read > 0
    }

    fn of(&self, name: &str) -> u64 {
        self.by_name.get(name).copied().unwrap_or_default()
    }

    pub(super) fn tell(&self, common: &Common) {
        let left = self.of(Read::Left.name());
        let mut told = format!("{} read, {} unsubscribed", output::count(self.read, "mail"), output::grouped(left));
        for (name, one, many) in WORDS {
            match self.of(name) {
                0 => {}
                1 => told += &[", 1 ", one].concat(),
                n => told += &[", ", &output::grouped(n), " ", many].concat(),
            }
        }
        if self.suppressed > 0 {
            told += &["; ", &output::count(self.suppressed, "reader"), " suppressed from now on"].concat();
        }
        output::line(common, "returns", told);
        output::event(
            common,
            &serde_json::json!({ "event": "returns", "read": self.read, "unsubscribed": left, "suppressed": self.suppressed, "what": self.by_name }),
        );
    }
}

/// The same, since the process began.
pub(crate) struct Counters {
    recorder: PrometheusRecorder,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("pressrun_returned_total", "Mails that came back, by what they were.");
            metrics::describe_counter!("pressrun_suppressed_total", "Readers suppressed because of what came back.");
        });
        Counters { recorder }
    }

    pub(crate) fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }

    pub(super) fn add(&self, report: &Report) {
        metrics::with_local_recorder(&self.recorder, || {
            for read in &report.read {
                metrics::counter!("pressrun_returned_total", "what" => read.name()).increment(1);
            }
            metrics::counter!("pressrun_suppressed_total").increment(report.suppressed);
        });
    }
}
