//! Delivery status notifications (RFC 3464).

use super::fields::{self, Line};
use super::said::Said;
use super::{Action, Outcome, Parts};

/// Recipients of a report that are read, at most: a mail of ours has one, and goes on to a few.
const MOST: usize = 100;

/// What a report says of one recipient.
#[derive(Default)]
struct Recipient {
    original: Option<String>,
    last: Option<String>,
    action: Option<Action>,
    status: String,
    diagnostic: String,
}

impl Recipient {
    fn has(&self, field: &str) -> bool {
        match field {
            "original-recipient" => self.original.is_some(),
            "final-recipient" => self.last.is_some(),
            "action" => self.action.is_some(),
            "status" => !self.status.is_empty(),
            _ => false,
        }
    }

    fn is_whole(&self) -> bool {
        (self.original.is_some() || self.last.is_some()) && (self.action.is_some() || !self.status.is_empty())
    }
}

fn names(field: &str) -> bool {
    matches!(field, "original-recipient" | "final-recipient")
}

/// The outcomes of a report; `None` where the mail has none, or it names nothing.
pub(super) fn read(parts: &Parts) -> Option<Vec<Outcome>> {
    let report = parts.report.as_deref().filter(|_| !parts.feedback)?;
    let mut recipients: Vec<Recipient> = Vec::new();
    let mut new_group = true;
    for line in fields::read(report) {
        let Line::Field(name, value) = line else {
            new_group = true;
            continue;
        };
        // Some servers leave out the blank lines between recipients, some put them between all fields, and Exim begins with
        // the action.
        let begins =
            recipients.last().is_none_or(|last| last.has(&name) || new_group && names(&name) && last.is_whole());
        if begins && (names(&name) || matches!(name.as_str(), "action" | "status")) {
            recipients.push(Recipient::default());
        }
        new_group = false;
        let Some(one) = recipients.last_mut() else { continue };
        match name.as_str() {
            "original-recipient" => one.original = address(&value),
            "final-recipient" => one.last = address(&value).or(Some(String::new())),
            "action" => one.action = action(&value),
            "status" => one.status = value,
            "diagnostic-code" => one.diagnostic = value,
            _ => {}
        }
    }
    let outcomes: Vec<Outcome> = recipients.into_iter().take(MOST).filter_map(|one| outcome(one, parts)).collect();
    (!outcomes.is_empty()).then_some(outcomes)
}

fn outcome(one: Recipient, parts: &Parts) -> Option<Outcome> {
    let mut said = Said::of_fields(&one.diagnostic, &one.status);
    let class = said.status.as_deref().and_then(|status| status.chars().next());
    let action = one.action.or(match class {
        Some('2') => Some(Action::Delivered),
        Some('4') => Some(Action::Delayed),
        Some('5') => Some(Action::Failed),
        _ => None,
    })?;
    // Some servers tell only people why.
    if action == Action::Failed && said.text.is_empty() && said.status.as_deref().is_none_or(|s| s.ends_with(".0.0")) {
        let told = Said::in_text(&parts.text).unwrap_or_else(|| Said::in_words(&parts.text));
        said = Said { status: told.status.or(said.status), ..told };
    }
    Some(Outcome { recipient: one.original.or(one.last).filter(|text| !text.is_empty()), action, said })
}

/// `rfc822; ana@example.net` (RFC 3464 section 2.1.2), or the address alone. `None` where it is of another world.
fn address(value: &str) -> Option<String> {
    let text = value.split_once(';').map_or(value, |(_, text)| text);
    let text = text.trim().trim_start_matches('<').trim_end_matches('>').trim_matches('"');
    let text = text.split([' ', '(']).next().unwrap_or_default();
    (text.contains('@') && !text.starts_with('@')).then(|| text.to_owned())
}

fn action(value: &str) -> Option<Action> {
    let word: String = value.chars().take_while(char::is_ascii_alphabetic).collect();
    Some(match word.to_ascii_lowercase().as_str() {
        "failed" | "failure" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" => Action::Delivered,
        "relayed" => Action::Relayed,
        "expanded" => Action::Expanded,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outcomes(report: &str) -> Vec<(String, Action, String)> {
        let parts = Parts { report: Some(report.to_owned()), feedback: false, receipt: false, text: String::new() };
        let told = |o: Outcome| (o.recipient.unwrap_or_default(), o.action, o.said.status.unwrap_or_default());
        read(&parts).unwrap_or_default().into_iter().map(told).collect()
    }

    #[test]
    fn every_recipient_is_read_however_the_blank_lines_stand() {
        let wanted = [
            ("a@b.example".to_owned(), Action::Failed, "5.1.1".to_owned()),
            ("c@d.example".to_owned(), Action::Delayed, "4.4.1".to_owned()),
        ];
        let one = "Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.1.1";
        let two = "Original-Recipient: rfc822;c@d.example\nFinal-Recipient: rfc822;x@d.example\nAction: delayed\nStatus: 4.4.1";
        assert_eq!(outcomes(&format!("Reporting-MTA: dns;m\n\n{one}\n\n{two}\n")), wanted);
        assert_eq!(outcomes(&format!("{one}\n\n{two}").replace('\n', "\n\n")), wanted);
        let no_original = two.replace("Original-Recipient: rfc822;c@d.example\n", "").replace("x@", "c@");
        assert_eq!(outcomes(&format!("Reporting-MTA: dns;m\n{one}\n{no_original}\n")), wanted);
        let exim = |group: &str| {
            let mut lines: Vec<&str> = group.lines().collect();
            lines.swap(0, 1);
            lines.join("\n")
        };
        assert_eq!(outcomes(&format!("Reporting-MTA: dns;m\n\n{}\n\n{}\n", exim(one), exim(&no_original))), wanted);
    }

    #[test]
    fn a_report_without_an_action_is_read_by_its_status_and_one_without_both_is_none() {
        assert_eq!(outcomes("Final-Recipient: a@b.example\nStatus: 4.2.2\n")[0].1, Action::Delayed);
        assert_eq!(outcomes("Final-Recipient: x400; /S=a/\nAction: failed (no)\nStatus: 5.1.1\n")[0].0, "");
        assert_eq!(outcomes("Final-Recipient: rfc822; a@b.example\n"), []);
        assert_eq!(outcomes(""), []);
    }
}
