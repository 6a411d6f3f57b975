//! How a send goes: a bar on a terminal, plain lines elsewhere, events with `--json`.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Instant;

use super::{Common, output};
use crate::digest::Edition;
use crate::press::deliver::Progress;

/// Between two plain lines.
const LINES: std::time::Duration = std::time::Duration::from_secs(10);

/// Shows how one edition's send goes.
pub(crate) struct Shown<'a> {
    common: &'a Common,
    edition: i64,
    bar: Option<ProgressBar>,
    told: Cell<Instant>,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(common: &'a Common, edition: &Edition) -> Self {
        let terminal = std::io::stderr().is_terminal() && !common.json && !common.quiet;
        Shown { common, edition: edition.id.0, bar: terminal.then(bar), told: Cell::new(Instant::now()) }
    }

    /// Shows a sign of life.
    pub(crate) fn show(&self, progress: &Progress) {
        let tally = &progress.tally;
        let done = tally.accepted + tally.rejected + tally.expired;
        if let Some(bar) = &self.bar {
            bar.set_length(progress.waiting.max(done));
            bar.set_position(done);
            bar.set_message(format!(
                "{:.0}/s, {} put off, {} refused",
                progress.rate(),
                output::grouped(tally.deferred),
                output::grouped(tally.rejected)
            ));
        } else if self.told.get().elapsed() >= LINES || self.common.json {
            self.told.set(Instant::now());
            let event = serde_json::json!({ "event": "progress", "edition": self.edition, "progress": progress, "rate": progress.rate() });
            output::event(self.common, &event);
            output::line(
                self.common,
                "sending",
                format!("{} of {}, {:.0}/s", output::grouped(done), output::grouped(progress.waiting), progress.rate()),
            );
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("sending    {bar:30} {human_pos} of {human_len}, {msg}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}
