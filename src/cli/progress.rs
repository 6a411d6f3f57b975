//! How a send or an import goes: a bar on a terminal, plain lines elsewhere, events with `--json`.

use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal, Read};
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
        Shown { common, edition: edition.id.0, bar: has_bar(common).then(bar), told: Cell::new(Instant::now()) }
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

/// Shows how a list is read.
pub(super) struct Reading<'a> {
    common: &'a Common,
    bar: ProgressBar,
}

impl<'a> Reading<'a> {
    /// `length` is the list's in bytes, where it is known.
    pub(super) fn new(common: &'a Common, length: Option<u64>) -> Self {
        let bar = if has_bar(common) { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let template = match length {
            Some(length) => {
                bar.set_length(length);
                "importing  {bar:30} {percent}%, {msg}, {eta} left"
            }
            None => "importing  {spinner} {bytes}, {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message("0 rows");
        Reading { common, bar }
    }

    /// Counts what is read through it.
    pub(super) fn watch<R: Read>(&self, input: R) -> ProgressBarIter<R> {
        self.bar.wrap_read(input)
    }

    /// Prints something without tearing the bar.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Shows that so many rows are in.
    pub(super) fn show(&self, rows: u64) {
        let told = output::count(rows, "row");
        output::event(self.common, &serde_json::json!({ "event": "importing", "rows": rows }));
        if self.bar.is_hidden() {
            output::line(self.common, "importing", told);
        } else {
            self.bar.set_message(told);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar is for people, on a terminal.
fn has_bar(common: &Common) -> bool {
    std::io::stderr().is_terminal() && !common.json && !common.quiet
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("sending    {bar:30} {human_pos} of {human_len}, {msg}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}
