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
        let done = progress.done();
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
            let event = serde_json::json!({ "event": "progress", "edition": self.edition, "progress": progress,
                "rate": progress.rate(), "seconds_left": progress.seconds_left() });
            output::event(self.common, &event);
            output::line(
                self.common,
                "sending",
                format!(
                    "{} of {}, {:.0}/s, {} put off, {} refused{}",
                    output::grouped(done),
                    output::grouped(progress.waiting),
                    progress.rate(),
                    output::grouped(tally.deferred),
                    output::grouped(tally.rejected),
                    left(progress.seconds_left())
                ),
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

/// `, 2 h 05 min left`.
fn left(seconds: Option<f64>) -> String {
    let Some(Ok(left)) = seconds.map(std::time::Duration::try_from_secs_f64) else { return String::new() };
    match left.as_secs() {
        seconds @ 0..60 => format!(", {seconds} s left"),
        seconds @ 60..3600 => format!(", {} min left", seconds / 60),
        seconds => format!(", {} h {:02} min left", seconds / 3600, seconds / 60 % 60),
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

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn the_time_left_is_told_in_two_units_at_most() {
        let told = |seconds| left(Some(seconds));
        assert_eq!(told(0.4), ", 0 s left");
        assert_eq!(told(125.0), ", 2 min left");
        assert_eq!(told(7500.0), ", 2 h 05 min left");
        assert_eq!((left(None), told(f64::INFINITY)), (String::new(), String::new()));
    }
}
