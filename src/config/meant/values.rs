//! Checks of single values, each with its words for people.

use chrono_tz::{TZ_VARIANTS, Tz};
use std::collections::HashMap;
use std::time::Duration;
use url::Url;

use super::super::duration;
use super::Check;
use crate::newsroom::plausible::{is_language, is_web, line_of};
use crate::newsroom::problem::closest;
use crate::newsroom::yaml::Locate;

/// Stands in for an address that is wrong; a problem was told, so nobody sees it.
const NOWHERE: &str = "https://invalid.invalid/";

impl Check<'_, '_> {
    pub(super) fn slug(&mut self, path: &str, written: Option<String>, what_it_is: &str) -> String {
        let Some(slug) = written else {
            self.required(&format!("{path}.slug"), what_it_is);
            return String::new();
        };
        if !is_slug(&slug) {
            let made = crate::newsroom::slug::from(&slug);
            self.wrong(
                &format!("{path}.slug"),
                &format!("`{}` is not a slug", line_of(&slug)),
                &format!("small letters a–z, digits and hyphens, for instance `{made}`"),
            );
        }
        slug
    }

    pub(super) fn once(&mut self, seen: &mut HashMap<String, u32>, path: &str, index: usize, slug: &str, kind: &str) {
        if slug.is_empty() {
            return;
        }
        let problem =
            self.source.problem(&format!("{path}.slug"), format!("the slug `{slug}` stands here a second time"));
        if let Some(line) = seen.get(slug) {
            let help = format!("the other {kind} is in line {line}; each needs a slug of its own");
            self.problems.push(problem.help(help));
        } else {
            seen.insert(slug.to_owned(), problem.place.line.max(u32::from(index == 0)));
        }
    }

    pub(super) fn whole_url(&mut self, path: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text.trim()).ok().filter(is_web);
        if url.is_none() {
            self.wrong(path, "this is not a whole address", "it begins with https:// or http://");
        }
        url
    }

    /// A whole address that ends in a slash.
    pub(super) fn folder_url(&mut self, path: &str, text: &str) -> Url {
        let mut url = self.whole_url(path, text).unwrap_or_else(nowhere);
        if url.query().is_some() || url.fragment().is_some() {
            self.wrong(path, "the address of a folder has no ? and no #", "it ends in a slash");
        }
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("");
        }
        url
    }

    pub(super) fn required_folder_url(&mut self, path: &str, written: Option<&str>, what_it_is: &str) -> Url {
        if let Some(text) = written {
            self.folder_url(path, text)
        } else {
            self.required(path, what_it_is);
            nowhere()
        }
    }

    pub(super) fn required_text(&mut self, path: &str, written: Option<&str>, what_it_is: &str) -> String {
        let text = written.map(line_of).unwrap_or_default();
        if written.is_none() {
            self.required(path, what_it_is);
        } else if text.is_empty() {
            self.wrong(path, "the text is empty", what_it_is);
        }
        text
    }

    pub(super) fn between(&mut self, path: &str, number: usize, least: usize, most: usize) -> usize {
        if number < least || number > most {
            self.wrong(path, &format!("{number} is not from {least} to {most}"), "leave it out for the usual number");
        }
        number
    }

    pub(super) fn positive(&mut self, path: &str, written: Option<&str>, default: Duration) -> Duration {
        let duration = self.duration(path, written, default);
        if written.is_some_and(|text| duration::parse(text) == Some(Duration::ZERO)) {
            self.wrong(path, "a time greater than zero is needed here", "for instance 30s, 5m, 4h, 3d");
        }
        duration
    }

    pub(super) fn duration(&mut self, path: &str, written: Option<&str>, default: Duration) -> Duration {
        let Some(text) = written else { return default };
        duration::parse(text).unwrap_or_else(|| {
            let what = format!("`{}` is not a length of time", line_of(text));
            self.wrong(path, &what, "a number and its unit: 250ms, 30s, 5m, 4h, 3d");
            default
        })
    }

    pub(super) fn required(&mut self, path: &str, what_it_is: &str) {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.is_unusable(key) && !self.is_unusable(parent) {
            self.wrong(parent, &format!("`{key}` is missing"), &format!("add `{key}:` ({what_it_is})"));
        }
    }

    pub(super) fn wrong(&mut self, path: &str, what: &str, help: &str) {
        self.problems.push(self.source.problem(path, what.to_owned()).help(help));
    }

    pub(super) fn is_unusable(&self, key: &str) -> bool {
        self.unusable.iter().any(|unusable| unusable == key)
    }

    pub(super) fn zone(&mut self, path: &str, written: Option<&str>) -> Option<Tz> {
        let text = written?;
        let zone = text.parse::<Tz>();
        if zone.is_err() {
            let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
            let city = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
            let wanted = text.rsplit('/').next().unwrap_or(text).replace(' ', "_");
            let by_city = names().find(|name| city(name).eq_ignore_ascii_case(&wanted));
            let help = match closest(text, names()).or(by_city) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "a name of the IANA list, for instance America/Chicago, Europe/Paris or UTC".to_owned(),
            };
            self.wrong(path, &format!("unknown time zone `{}`", line_of(text)), &help);
        }
        zone.ok()
    }

    pub(super) fn language(&mut self, path: &str, written: Option<String>) -> Option<String> {
        let tag = written?;
        if !is_language(&tag) {
            let what = format!("`{}` is not a language tag", line_of(&tag));
            self.wrong(path, &what, "for instance en, fr, ar or de-AT (BCP 47)");
        }
        Some(tag)
    }
}

pub(super) fn is_slug(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// A domain's labels in ASCII, at least one.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[allow(clippy::expect_used, reason = "a constant")]
pub(super) fn nowhere() -> Url {
    Url::parse(NOWHERE).expect("a sound constant")
}
