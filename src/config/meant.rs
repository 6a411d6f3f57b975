//! From as written to as meant: defaults, references, and everything that only the meaning shows to be wrong.

use chrono::{DateTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use url::Url;

use super::file::{self, ConfigFile, Uncertain};
use super::{LedgerAddress, Overrides, Public, Settings, SubscriberFile, TransportSettings, duration, relay, secret};
use crate::delivery::ledger::UncertainPolicy;
use crate::delivery::retry;
use crate::digest::{Approval, BodyLength, Digest, Schedule, Sender};
use crate::newsroom::manuscript::{is_language, is_web, line_of, web_address};
use crate::newsroom::problem::{closest, suggest};
use crate::newsroom::yaml::{Locate, Source};
use crate::newsroom::{Masthead, Problem, Section};
use crate::subscriber::Address;
use crate::{feed, press, transport};

/// A feed with more articles is refused by readers and slows down everybody.
const MAX_ITEMS: usize = 10_000;
/// A mail with more pieces is nobody's.
const MAX_PIECES: usize = 100;
/// Relays refuse more, and it would not be faster.
const MAX_CONNECTIONS: u16 = 256;
/// Folders below `feeds/` that are no sections.
const RESERVED_SLUGS: [&str; 6] = ["author", "tag", "year", "summary", "archive", "feeds"];
/// Stands in for an address that is wrong; a problem was told, so nobody sees it.
const NOWHERE: &str = "https://invalid.invalid/";

pub(super) fn settings(
    written: ConfigFile,
    unusable: &[String],
    source: Source<'_>,
    root: &Path,
    overrides: &Overrides,
    problems: &mut Vec<Problem>,
) -> Settings {
    let mut check = Check { source, unusable, problems };
    let newsroom = written.newsroom.unwrap_or_default();
    let time_zone = check.zone("newsroom.time_zone", newsroom.time_zone.as_deref()).unwrap_or(Tz::UTC);
    let feeds = written.feeds.unwrap_or_default();
    let masthead = check.masthead(newsroom, &feeds);
    let sections = check.sections(written.sections);
    let digests = check.digests(written.digests.unwrap_or_default(), &sections, &masthead, time_zone);
    let public = check.public(written.public.unwrap_or_default(), &masthead);
    let subscribers = written.subscribers.and_then(|list| check.subscribers(list, root));
    let articles_name = written.articles.unwrap_or_else(|| "articles".into());
    let transport = check.transport(written.transport, written.smtp.unwrap_or_default(), root, overrides);
    Settings {
        root: root.to_owned(),
        time_zone,
        sections,
        articles: root.join(&articles_name),
        articles_name: articles_name.trim_end_matches('/').to_owned(),
        feeds: root.join(feeds.folder.as_deref().unwrap_or("feeds")),
        feed: check.feed(feeds),
        digests,
        subscribers,
        templates: root.join(written.templates.as_deref().unwrap_or("templates")),
        ledger: LedgerAddress::Sqlite(root.join(written.ledger.as_deref().unwrap_or("var/ledger.sqlite"))),
        transport,
        press: check.press(written.press.unwrap_or_default()),
        public,
        masthead,
    }
}

struct Check<'a, 'p> {
    source: Source<'a>,
    unusable: &'a [String],
    problems: &'p mut Vec<Problem>,
}

impl Check<'_, '_> {
    fn masthead(&mut self, written: file::Newsroom, feeds: &file::Feeds) -> Masthead {
        let title = self.required_text("newsroom.title", written.title.as_deref(), "what the paper calls itself");
        let url = self.required_folder_url("newsroom.url", written.url.as_deref(), "the home page, https://…/");
        let relative = |check: &mut Self, path: &str, text: Option<String>| {
            let text = text?;
            let url = web_address(&url, &text);
            if url.is_none() {
                check.wrong(
                    path,
                    "this is not an address",
                    "a whole one, or one below the newsroom's: /images/icon.png",
                );
            }
            url
        };
        let icon = relative(self, "newsroom.icon", written.icon);
        let logo = relative(self, "newsroom.logo", written.logo);
        let folder = feeds.folder.as_deref().unwrap_or("feeds").trim_matches('/');
        let feeds_url = match feeds.url.as_deref() {
            Some(text) => self.folder_url("feeds.url", text),
            None => url.join(&format!("{folder}/")).unwrap_or_else(|_| url.clone()),
        };
        let authority = match written.authority {
            Some(authority) => {
                if !is_domain(&authority) {
                    self.wrong("newsroom.authority", "this is not a domain", "for instance acero-advocate.example");
                }
                authority
            }
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        Masthead {
            title,
            description: written.description.as_deref().map(line_of).unwrap_or_default(),
            feeds_url,
            language: self.language("newsroom.language", written.language).unwrap_or_else(|| "en".into()),
            copyright: written.copyright.as_deref().map(line_of),
            authority,
            icon,
            logo,
            url,
        }
    }

    fn sections(&mut self, written: Option<Vec<file::Section>>) -> Vec<Section> {
        let written = written.unwrap_or_default();
        if written.is_empty() && !self.is_unusable("sections") {
            self.wrong(
                "sections",
                "there is no section",
                "add `sections:` with at least one `slug`, `title` and `description`",
            );
        }
        let mut seen = HashMap::new();
        let mut sections = Vec::new();
        for (i, section) in written.into_iter().enumerate() {
            let path = format!("sections.{i}");
            let slug = self.slug(&path, section.slug, "the section's name in addresses and of its folder");
            if RESERVED_SLUGS.contains(&slug.as_str()) {
                let what = format!("`{slug}` cannot be a section: the feeds' folder of that name is for other feeds");
                self.wrong(&format!("{path}.slug"), &what, "choose another slug");
            }
            self.once(&mut seen, &path, i, &slug, "section");
            sections.push(Section {
                title: self.required_text(&format!("{path}.title"), section.title.as_deref(), "its name for people"),
                description: section.description.as_deref().map(line_of).unwrap_or_default(),
                language: self.language(&format!("{path}.language"), section.language),
                slug,
            });
        }
        sections
    }

    fn digests(
        &mut self,
        written: Vec<file::Digest>,
        sections: &[Section],
        masthead: &Masthead,
        zone: Tz,
    ) -> Vec<Digest> {
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
            let schedule = digest.schedule.and_then(|cron| self.schedule(&at("schedule"), cron, zone));
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

    fn feed(&mut self, written: file::Feeds) -> feed::Options {
        let defaults = feed::Options::default();
        let hubs = written.hubs.iter().enumerate();
        let hubs = hubs.filter_map(|(i, hub)| self.whole_url(&format!("feeds.hubs.{i}"), hub)).collect();
        let mut extra = Vec::new();
        for (i, also) in written.also.into_iter().enumerate() {
            match also.by {
                Some(by) => extra.push(feed::Extra { by, content: also.content.unwrap_or(feed::Content::Full) }),
                None => self.required(&format!("feeds.also.{i}.by"), "author, tag, year or section"),
            }
        }
        feed::Options {
            items: self.between("feeds.items", written.items.unwrap_or(defaults.items), 1, MAX_ITEMS),
            content: written.content.unwrap_or(defaults.content),
            ttl: written.ttl.unwrap_or(defaults.ttl),
            hubs,
            extra,
        }
    }

    fn subscribers(&mut self, written: file::Subscribers, root: &Path) -> Option<SubscriberFile> {
        if written.file.is_none() {
            self.required("subscribers.file", "a CSV file");
        }
        let consent = self.required_text(
            "subscribers.consent",
            written.consent.as_deref(),
            "where the readers' consent comes from, in your words",
        );
        Some(SubscriberFile { path: root.join(written.file?), consent })
    }

    fn transport(
        &mut self,
        written: Option<file::OneOrMany>,
        smtp: file::Smtp,
        root: &Path,
        overrides: &Overrides,
    ) -> TransportSettings {
        let timeout = self.positive("smtp.timeout", smtp.timeout.as_deref(), Duration::from_secs(30));
        let mails = smtp.mails_per_connection.unwrap_or(100);
        if mails == 0 {
            self.wrong("smtp.mails_per_connection", "at least 1", "leave it out for 100");
        }
        let hello = smtp.hello.filter(|name| {
            let sound = is_domain(name);
            if !sound {
                self.wrong(
                    "smtp.hello",
                    "this is not a host's name",
                    "for instance news.paper.example; or leave it out",
                );
            }
            sound
        });
        let overridden = overrides.transport.is_some();
        let many = written.as_ref().is_some_and(|list| list.0.len() != 1);
        let texts = match (&overrides.transport, written) {
            (Some(text), _) => vec![text.clone()],
            (None, Some(list)) => list.0,
            (None, None) => vec!["directory:outbox".to_owned()],
        };
        let mut relays = Vec::new();
        let mut users: Vec<Option<String>> = Vec::new();
        let mut directory = None;
        for (i, text) in texts.iter().enumerate() {
            let path = if many { format!("transport.{i}") } else { "transport".to_owned() };
            match relay::parse(text) {
                Ok(relay::Named::Directory(folder)) => directory = Some(root.join(folder)),
                Ok(relay::Named::Relay(relay, user)) => {
                    relays.push(relay);
                    users.push(user);
                }
                Err(wrong) if overridden => {
                    self.problems.push(Problem::new("--transport", wrong.what).help(wrong.help));
                }
                Err(wrong) => {
                    let mut problem = self.source.problem(&path, wrong.what.to_owned()).help(wrong.help);
                    if wrong.what.contains("password") {
                        problem.line = String::new(); // a secret must not be shown, even where it should not stand
                    }
                    self.problems.push(problem);
                }
            }
        }
        if texts.is_empty() {
            self.wrong("transport", "the list is empty", "leave it out for directory:outbox");
        }
        if directory.is_some() && texts.len() > 1 {
            self.wrong("transport", "a folder cannot stand in a list", "a list names several mail servers");
        }
        if let Some(folder) = directory {
            return TransportSettings::Directory(folder);
        }
        if users.windows(2).any(|pair| pair[0] != pair[1]) {
            self.wrong(
                "transport",
                "the mail servers have different users",
                "there is one password; give all the same user",
            );
        }
        let login = match users.into_iter().next().flatten() {
            None => None,
            Some(user) => {
                let file = smtp.password_file.as_ref().map(|file| root.join(file));
                match secret::smtp_password(overrides.smtp_password.as_ref(), file.as_deref()) {
                    Ok(password) => Some(transport::smtp::Login { user, password }),
                    Err(failure) => return TransportSettings::Unusable(failure),
                }
            }
        };
        TransportSettings::Smtp(transport::smtp::Options {
            relays,
            login,
            trust: smtp.trust.map(|file| root.join(file)),
            hello,
            timeout,
            mails_per_connection: mails,
        })
    }

    fn press(&mut self, written: file::Press) -> press::Options {
        let retry = written.retry.unwrap_or_default();
        let factor = retry.factor.unwrap_or(2.0);
        if !(1.0..=100.0).contains(&factor) {
            self.wrong("press.retry.factor", "from 1 to 100", "each wait is this many times as long as the one before");
        }
        let connections = written.connections.unwrap_or(4);
        self.between("press.connections", usize::from(connections), 1, usize::from(MAX_CONNECTIONS));
        let first = self.positive("press.retry.first", retry.first.as_deref(), minutes(5));
        let longest = self.positive("press.retry.longest", retry.longest.as_deref(), minutes(4 * 60));
        if longest < first {
            self.wrong("press.retry", "`longest` is shorter than `first`", "no wait is longer than `longest`");
        }
        press::Options {
            connections,
            uncertain: match written.uncertain {
                Some(Uncertain::Hold) => UncertainPolicy::Hold,
                Some(Uncertain::Resend) | None => UncertainPolicy::Resend,
            },
            lease: self.positive("press.lease", written.lease.as_deref(), minutes(5)),
            linger: self.duration("press.linger", written.linger.as_deref(), Duration::ZERO),
            retry: retry::Policy {
                first,
                factor,
                longest,
                give_up_after: self.positive(
                    "press.retry.give_up_after",
                    retry.give_up_after.as_deref(),
                    minutes(3 * 24 * 60),
                ),
            },
        }
    }

    fn public(&mut self, written: file::Public, masthead: &Masthead) -> Public {
        let url = match &written.url {
            Some(text) => {
                let url = self.folder_url("public.url", text);
                let local = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
                if url.scheme() != "https" && !local {
                    self.wrong(
                        "public.url",
                        "links to unsubscribe need https",
                        "mail programs refuse one-click unsubscribing over http (RFC 8058)",
                    );
                }
                url
            }
            None => masthead.url.clone(),
        };
        let mut mailbox = |path: &str, text: Option<String>, default: &str| {
            let written = text.is_some();
            let text = text.unwrap_or_else(|| format!("{default}@{}", masthead.authority));
            text.trim().parse::<Address>().unwrap_or_else(|error| {
                if written {
                    self.wrong(
                        path,
                        &format!("this is no mail address: {error}"),
                        "for instance bounces@paper.example",
                    );
                } else if !masthead.authority.is_empty() && is_domain(&masthead.authority) {
                    self.required(path, "a mail address");
                }
                nobody().address
            })
        };
        let unsubscribe_mailbox = mailbox("public.unsubscribe_mailbox", written.unsubscribe_mailbox, "unsubscribe");
        let return_path = mailbox("public.return_path", written.return_path, "bounces");
        Public { url, unsubscribe_mailbox, return_path }
    }

    /// `Name <address>`, or an address alone.
    fn sender(&mut self, path: &str, text: &str) -> Option<Sender> {
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

    fn pattern(&mut self, path: &str, written: Option<String>, default: &str) -> String {
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

    fn schedule(&mut self, path: &str, cron: String, time_zone: Tz) -> Option<Schedule> {
        const HELP: &str = "five fields: minute, hour, day, month, weekday; \"0 7 * * FRI\" is Fridays at 7";
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = match parser.parse(&cron) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.wrong(path, &format!("`{}` is not a schedule: {error}", line_of(&cron)), HELP);
                return None;
            }
        };
        // Impossible dates are found only by looking for one; from any moment, so that this needs no clock.
        let from = DateTime::<Utc>::UNIX_EPOCH.with_timezone(&time_zone);
        if parsed.find_next_occurrence(&from, false).is_err() {
            self.wrong(path, &format!("`{}` never comes", line_of(&cron)), "there is no such day in any year");
            return None;
        }
        Some(Schedule { cron, time_zone })
    }

    fn zone(&mut self, path: &str, written: Option<&str>) -> Option<Tz> {
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

    fn language(&mut self, path: &str, written: Option<String>) -> Option<String> {
        let tag = written?;
        if !is_language(&tag) {
            let what = format!("`{}` is not a language tag", line_of(&tag));
            self.wrong(path, &what, "for instance en, fr, ar or de-AT (BCP 47)");
        }
        Some(tag)
    }

    fn slug(&mut self, path: &str, written: Option<String>, what_it_is: &str) -> String {
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

    fn once(&mut self, seen: &mut HashMap<String, u32>, path: &str, index: usize, slug: &str, kind: &str) {
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

    fn whole_url(&mut self, path: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text.trim()).ok().filter(is_web);
        if url.is_none() {
            self.wrong(path, "this is not a whole address", "it begins with https:// or http://");
        }
        url
    }

    /// A whole address that ends in a slash.
    fn folder_url(&mut self, path: &str, text: &str) -> Url {
        let mut url = self.whole_url(path, text).unwrap_or_else(nowhere);
        if url.query().is_some() || url.fragment().is_some() {
            self.wrong(path, "the address of a folder has no ? and no #", "it ends in a slash");
        }
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("");
        }
        url
    }

    fn required_folder_url(&mut self, path: &str, written: Option<&str>, what_it_is: &str) -> Url {
        if let Some(text) = written {
            self.folder_url(path, text)
        } else {
            self.required(path, what_it_is);
            nowhere()
        }
    }

    fn required_text(&mut self, path: &str, written: Option<&str>, what_it_is: &str) -> String {
        let text = written.map(line_of).unwrap_or_default();
        if written.is_none() {
            self.required(path, what_it_is);
        } else if text.is_empty() {
            self.wrong(path, "the text is empty", what_it_is);
        }
        text
    }

    fn between(&mut self, path: &str, number: usize, least: usize, most: usize) -> usize {
        if number < least || number > most {
            self.wrong(path, &format!("{number} is not from {least} to {most}"), "leave it out for the usual number");
        }
        number
    }

    fn positive(&mut self, path: &str, written: Option<&str>, default: Duration) -> Duration {
        let duration = self.duration(path, written, default);
        if written.is_some_and(|text| duration::parse(text) == Some(Duration::ZERO)) {
            self.wrong(path, "a time greater than zero is needed here", "for instance 30s, 5m, 4h, 3d");
        }
        duration
    }

    fn duration(&mut self, path: &str, written: Option<&str>, default: Duration) -> Duration {
        let Some(text) = written else { return default };
        duration::parse(text).unwrap_or_else(|| {
            let what = format!("`{}` is not a length of time", line_of(text));
            self.wrong(path, &what, "a number and its unit: 250ms, 30s, 5m, 4h, 3d");
            default
        })
    }

    fn required(&mut self, path: &str, what_it_is: &str) {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.is_unusable(key) && !self.is_unusable(parent) {
            self.wrong(parent, &format!("`{key}` is missing"), &format!("add `{key}:` ({what_it_is})"));
        }
    }

    fn wrong(&mut self, path: &str, what: &str, help: &str) {
        self.problems.push(self.source.problem(path, what.to_owned()).help(help));
    }

    fn is_unusable(&self, key: &str) -> bool {
        self.unusable.iter().any(|unusable| unusable == key)
    }
}

fn is_slug(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// A domain's labels in ASCII, at least one.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[allow(clippy::expect_used, reason = "a constant")]
fn nowhere() -> Url {
    Url::parse(NOWHERE).expect("a sound constant")
}

#[allow(clippy::expect_used, reason = "a constant")]
fn nobody() -> Sender {
    Sender { name: String::new(), address: "nobody@invalid.example".parse().expect("a sound constant") }
}
