//! `digests:` as meant.

use chrono_tz::Tz;
use std::collections::HashMap;

use super::super::file;
use super::Check;
use super::values::{is_domain, is_slug};
use crate::digest::{Approval, BodyLength, Digest, Missed, Quiet, Schedule, Sender};
use crate::newsroom::plausible::line_of;
use crate::newsroom::problem::suggest;
use crate::newsroom::{Masthead, Section};
use crate::subscriber::Address;

/// A mail with more pieces is nobody's.
const MAX_PIECES: usize = 100;

/// What the newsroom says that digests go by.
pub(super) struct Around<'a> {
    pub(super) sections: &'a [Section],
    pub(super) masthead: &'a Masthead,
    pub(super) zone: Tz,
    pub(super) editors: &'a [Address],
}

impl Check<'_, '_> {
    pub(super) fn digests(&mut self, written: Vec<file::Digest>, around: &Around<'_>) -> Vec<Digest> {
        let &Around { sections, masthead, zone, editors } = around;
        let mut seen = HashMap::new();
        let mut digests = Vec::new();
        for (i, digest) in written.into_iter().enumerate() {
            let path = format!("digests.{i}");
            let at = |key: &str| format!("{path}.{key}");
            let slug = self.slug(&path, digest.slug, "the digest's name in commands and addresses");
            self.once(&mut seen, &path, i, &slug, "digest");
            let own = sections.iter().find(|section| section.slug == slug);
            let title = match (digest.title.as_deref(), own) {
                (None, Some(section)) => section.title.clone(),
                (title, _) => self.required_text(&at("title"), title, "its name for readers"),
            };
            let carried = match digest.sections {
                Some(slugs) => {
                    for (n, wanted) in slugs.iter().enumerate() {
                        if !sections.iter().any(|section| section.slug == *wanted) {
                            let help = suggest(wanted, sections.iter().map(|section| section.slug.as_str()));
                            self.wrong(&at(&format!("sections.{n}")), &format!("unknown section `{wanted}`"), &help);
                        }
                    }
                    if slugs.is_empty() {
                        self.wrong(&at("sections"), "the digest has no section", "name at least one");
                    }
                    slugs
                }
                None if own.is_some() => vec![slug.clone()],
                None => {
                    self.required(&at("sections"), "the slugs of the sections it takes its articles from");
                    Vec::new()
                }
            };
            let from = if let Some(text) = &digest.from {
                self.sender(&at("from"), text)
            } else {
                self.required(&at("from"), "who it is from, for instance \"Nadia Cavner <outreach@paper.example>\"");
                None
            };
            let reply_to = digest.reply_to.as_deref().and_then(|text| self.sender(&at("reply_to"), text));
            let subject = self.pattern(&at("subject"), digest.subject, "{{digest.title}}: {{first.title}}");
            let preheader = self.pattern(&at("preheader"), digest.preheader, "{{first.summary}}");
            let zone = self.zone(&at("time_zone"), digest.time_zone.as_deref()).unwrap_or(zone);
            let schedule = digest.schedule.and_then(|cron| self.schedule(&at("schedule"), &cron, zone));
            let late = self.positive(&at("late"), digest.late.as_deref(), Missed::LATE);
            let quiet = digest.quiet.and_then(|hours| self.quiet(&at("quiet"), &hours, zone));
            let editors = match &digest.editors {
                Some(own) => self.addresses(&at("editors"), own),
                None => editors.to_vec(),
            };
            let pieces = self.between(&at("pieces"), digest.pieces.unwrap_or(8), 1, MAX_PIECES);
            let at_least = self.between(&at("at_least"), digest.at_least.unwrap_or(1), 1, MAX_PIECES);
            if at_least > pieces && digest.at_least.is_some() {
                let help = "an edition holds at most `pieces`, so it would never be made";
                self.wrong(&at("at_least"), "`at_least` is greater than `pieces`", help);
            }
            let template = digest.template.unwrap_or_else(|| "digest".into());
            if !is_slug(&template) {
                self.wrong(
                    &at("template"),
                    "this is not the name of a template",
                    "the name of a folder below `templates`: digest",
                );
            }
            let list_id = match digest.list_id {
                Some(id) => {
                    if !is_domain(&id) {
                        self.wrong(
                            &at("list_id"),
                            "this is not a list's id",
                            "for instance outreach.acero-advocate.example",
                        );
                    }
                    id
                }
                None => format!("{slug}.{}", masthead.authority),
            };
            digests.push(Digest {
                description: match digest.description.as_deref().map(line_of) {
                    Some(text) if !text.is_empty() => text,
                    _ => own.map(|section| section.description.clone()).unwrap_or_default(),
                },
                slug,
                title,
                sections: carried,
                from: from.unwrap_or_else(nobody),
                reply_to,
                subject,
                preheader,
                template,
                schedule,
                time_zone: zone,
                missed: digest.missed.unwrap_or(Missed::Once),
                late,
                quiet,
                editors,
                pieces,
                at_least,
                body: digest.body.unwrap_or(BodyLength::Full),
                approval: digest.approval.unwrap_or(Approval::Editor),
                language: self.language(&at("language"), digest.language).unwrap_or_else(|| masthead.language.clone()),
                list_id,
                postal_address: digest
                    .postal_address
                    .map(|text| text.trim().to_owned())
                    .filter(|text| !text.is_empty()),
            });
        }
        digests
    }

    /// `Name <address>`, or an address alone.
    pub(super) fn sender(&mut self, path: &str, text: &str) -> Option<Sender> {
        const HELP: &str = "write \"Name <address@paper.example>\"";
        if text.contains(char::is_control) {
            self.wrong(path, "a line break or control character cannot stand in a header", HELP);
            return None;
        }
        let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
            None if text.contains('@') && !text.trim().contains(' ') => ("", text.trim()),
            None => {
                self.wrong(path, "the address is missing", HELP);
                return None;
            }
        };
        match address.trim().parse() {
            Ok(address) => Some(Sender { name: name.to_owned(), address }),
            Err(error) => {
                self.wrong(path, &format!("this is no mail address: {error}"), HELP);
                None
            }
        }
    }

    pub(super) fn pattern(&mut self, path: &str, written: Option<String>, default: &str) -> String {
        let text = written.unwrap_or_else(|| default.to_owned());
        if text.trim().is_empty() {
            self.wrong(path, "the text is empty", &format!("leave it out for \"{default}\""));
        } else if text.contains(char::is_control) {
            self.wrong(path, "a line break or control character cannot stand in a header", "write it in one line");
        } else if let Err(error) = handlebars::Template::compile(&text) {
            let reason = error.reason().to_string();
            let reason = reason.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
            self.wrong(
                path,
                &format!("the pattern cannot be read: {reason}"),
                "words in double braces are filled in: {{first.title}}",
            );
        }
        text
    }

    /// Each an address alone.
    pub(super) fn addresses(&mut self, path: &str, texts: &[String]) -> Vec<Address> {
        let mut addresses: Vec<Address> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            match text.trim().parse() {
                Ok(address) if addresses.contains(&address) => {}
                Ok(address) => addresses.push(address),
                Err(error) => self.wrong(
                    &format!("{path}.{i}"),
                    &format!("this is no mail address: {error}"),
                    "an address alone, for instance editor@paper.example",
                ),
            }
        }
        addresses
    }

    fn quiet(&mut self, path: &str, hours: &str, time_zone: Tz) -> Option<Quiet> {
        match Quiet::new(hours, time_zone) {
            Ok(quiet) => Some(quiet),
            Err(error) => {
                let what = format!("`{}` does not say when it is quiet: {error}", line_of(hours));
                self.wrong(path, &what, "for instance \"22:00-07:00\"");
                None
            }
        }
    }

    pub(super) fn schedule(&mut self, path: &str, cron: &str, time_zone: Tz) -> Option<Schedule> {
        const HELP: &str = "five fields: minute, hour, day, month, weekday; \"0 7 * * FRI\" is Fridays at 7";
        match Schedule::new(cron, time_zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                self.wrong(path, &format!("`{}` is not a schedule: {error}", line_of(cron)), HELP);
                None
            }
        }
    }
}

#[allow(clippy::expect_used, reason = "a constant")]
pub(super) fn nobody() -> Sender {
    Sender { name: String::new(), address: "nobody@invalid.example".parse().expect("a sound constant") }
}
