//! What people and machines read. One place for every form of output.

use serde::Serialize;
use std::fmt::Arguments;
use std::io::{IsTerminal, Write};

use super::Common;
use crate::delivery::ledger::Counts;
use crate::error::{Failure, Kind};
use crate::newsroom::Problem;

/// Tells a person (or, with `--json`, a machine) why a command failed.
pub(crate) fn failure(common: &Common, failure: &Failure) {
    if common.json {
        let Failure { kind, what, because, hint } = failure;
        let kind = format!("{kind:?}").to_lowercase();
        json(&serde_json::json!({ "event": "failure", "kind": kind, "what": what, "because": because, "hint": hint }));
    } else {
        told_wrong(format_args!("{}{failure}", style("error: ", anstyle_red())));
    }
}

/// Lists problems on standard error, each with its place.
pub(crate) fn problems(common: &Common, problems: &[Problem]) {
    for problem in problems {
        if common.json {
            json(&serde_json::json!({ "event": "problem", "problem": problem }));
        } else {
            told_wrong(format_args!("{}", problem.render(std::io::stderr().is_terminal())));
        }
    }
}

/// One line of the report: a word for the stage, and what became of it.
pub(crate) fn line(common: &Common, stage: &str, told: impl std::fmt::Display) {
    if !common.json && !common.quiet {
        told_line(format_args!("{stage:<10} {told}"));
    }
}

/// A line of plain text, as asked for: lists, tables.
pub(crate) fn text(told: impl std::fmt::Display) {
    told_line(format_args!("{told}"));
}

/// One event for machines; printed only with `--json`.
pub(crate) fn event(common: &Common, event: &impl Serialize) {
    if common.json {
        json(event);
    }
}

fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(line) => told_line(format_args!("{line}")),
        Err(error) => told_wrong(format_args!("error: {error}")),
    }
}

/// Whoever listened may have left (`pressrun … | head`): the work goes on, for nobody's mail may hang on that.
fn told_line(line: Arguments<'_>) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

fn told_wrong(line: Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// A failure that says how many problems there were; they have been listed.
pub(crate) fn found(problems: usize, kind: Kind) -> Failure {
    let s = if problems == 1 { "" } else { "s" };
    Failure::new(kind, format!("{problems} problem{s} found"))
}

/// `1 article`, `2 articles`.
pub(crate) fn count(n: impl Into<u64>, one: &str) -> String {
    let n = n.into();
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(n)) }
}

/// `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// How many of an edition's deliveries stand how: those that are none are left out.
pub(crate) fn results(counts: &Counts) -> Vec<(u64, &'static str)> {
    [
        (counts.accepted, "accepted"),
        (counts.bounced, "came back"),
        (counts.complained, "complained of"),
        (counts.rejected, "refused"),
        (counts.expired, "given up"),
        (counts.uncertain, "uncertain"),
        (counts.withdrawn, "withdrawn"),
        (counts.waiting, "waiting"),
        (counts.under_way, "under way"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .collect()
}

/// How an edition's deliveries stand, in words.
pub(crate) fn counts(counts: &Counts) -> String {
    let told: Vec<String> = results(counts).into_iter().map(|(n, word)| format!("{} {word}", grouped(n))).collect();
    if told.is_empty() { "nobody to send it to".to_owned() } else { told.join(", ") }
}

fn anstyle_red() -> &'static str {
    "\u{1b}[1;31m"
}

fn style(text: &str, code: &str) -> String {
    format!("{code}{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::{count, grouped};

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn a_count_has_its_plural() {
        assert_eq!(("1 piece", "2 pieces"), (count(1u64, "piece").as_str(), count(2u64, "piece").as_str()));
    }
}
