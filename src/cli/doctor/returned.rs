//! Where mail comes back to.

use super::{Finding, crossed, note};
use crate::cli::context::Context;
use crate::cli::output;
use crate::cli::returns::{self, aside};

/// Whether each inbox can be read; what it does not do is read it.
pub(super) async fn look(context: &Context) -> Vec<Finding> {
    let settings = &context.settings.returns;
    let mut findings = vec![match &settings.path {
        Some(path) => Finding::fine("address", format!("each mail has a return path of its own: {path}")),
        None => {
            note("address", "all mails have one return path", "name one with a place for a token: `returns: address:`")
        }
    }];
    if settings.inboxes.is_empty() {
        let to_do = "name an inbox with `returns: inbox:`; if the mail server hands them to `pressrun returns -`, this is nothing";
        findings.push(note("inbox", "none is configured", to_do));
    }
    for (name, inbox) in &settings.inboxes {
        findings.push(match returns::waiting(name, inbox.as_ref()).await {
            Ok(waiting) => {
                let mails = waiting.map(|n| format!(": {} to be read", output::count(n as u64, "mail")));
                Finding::fine("inbox", format!("{name} can be read{}", mails.unwrap_or_default()))
            }
            Err(failure) => crossed("inbox", &failure),
        });
    }
    for name in aside::FOLDERS {
        let folder = settings.folder.join(name);
        let mails = aside::count(&folder);
        if mails > 0 {
            let what = format!("{} in {}", output::count(mails as u64, "mail"), context.shown(&folder));
            findings.push(note("aside", what, "read what nobody but a person understands, and throw it away"));
        }
    }
    findings
}
