//! Complaints: ARF (RFC 5965), and what came before it.

use mail_parser::Message;

use super::fields;
use super::original::Original;
use super::{Feedback, Parts, head};

/// Whether a mail is a complaint, and which.
pub(super) fn read(mail: &Message, parts: &Parts, original: &Original) -> Option<Feedback> {
    if parts.feedback {
        let report = parts.report.as_deref().unwrap_or_default();
        let kind = fields::texts(report, &["feedback-type"]).into_iter().next().unwrap_or_default();
        return Some(match kind.trim().to_ascii_lowercase().as_str() {
            "not-spam" => Feedback::NotSpam,
            "opt-out" | "opt-out-list" | "unsubscribe" => Feedback::OptOut,
            "auth-failure" | "dmarc" => Feedback::Authentication,
            // Also of kinds that are not known: somebody has taken the trouble to report it.
            _ => Feedback::Abuse,
        });
    }
    // Microsoft's Junk Mail Reporting Program: the mail itself, with a field of theirs, and nothing for machines.
    let from = head(mail, "From").unwrap_or_default().to_ascii_lowercase();
    let subject = mail.subject().unwrap_or_default().to_ascii_lowercase();
    let jmrp = original.junk_report
        || ["staff@hotmail.com", "jmrp@", "staff@outlook.com"].iter().any(|sender| from.contains(sender))
            && subject.starts_with("complaint about message");
    jmrp.then_some(Feedback::Abuse)
}
