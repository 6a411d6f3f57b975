//! From as written to as meant: defaults, references, and everything that only the meaning shows to be wrong.

// `digests:` as meant.
mod digests;
// `dkim:` as meant.
mod dkim;
mod doctor;
// The limits of `press:` as meant.
mod pace;
// `transport:` and `smtp:` as meant.
mod relays;
// `publish:` as meant.
mod publish;
// `returns:` as meant.
mod returns;
// `serve:` as meant.
mod serve;
// Checks of single values.
mod values;

pub(crate) use returns::mbox;

use chrono_tz::Tz;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database;
use super::file::{self, ConfigFile, Uncertain};
use super::{LedgerAddress, Overrides, Public, Settings, SubscriberFile};
use crate::delivery::ledger::UncertainPolicy;
use crate::delivery::retry;
use crate::newsroom::plausible::{line_of, web_address};
use crate::newsroom::yaml::{Locate, Source};
use crate::newsroom::{Masthead, Problem, Section};
use crate::subscriber::Address;
use crate::{feed, press};
use digests::nobody;
use values::is_domain;

/// A feed with more articles is refused by readers and slows down everybody.
const MAX_ITEMS: usize = 10_000;
/// Relays refuse more, and it would not be faster.
const MAX_CONNECTIONS: u16 = 256;

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
    let editors = check.addresses("newsroom.editors", &newsroom.editors);
    let masthead = check.masthead(newsroom, &feeds);
    let sections = check.sections(written.sections);
    let digests = check.digests(
        written.digests.unwrap_or_default(),
        &digests::Around { sections: &sections, masthead: &masthead, zone: time_zone, editors: &editors },
    );
    let dkim = written.dkim.map(|dkim| check.dkim(dkim, &digests, &masthead, root)).unwrap_or_default();
    let public = check.public(written.public.unwrap_or_default(), &masthead);
    let subscribers = written.subscribers.and_then(|list| check.subscribers(list, root));
    let articles_name = written.articles.unwrap_or_else(|| "articles".into());
    let transport = check.transport(written.transport, written.smtp.unwrap_or_default(), root, overrides);
    let ledger = check.ledger(written.ledger.as_deref().unwrap_or("var/ledger.sqlite"), root);
    let feeds_folder = check.feeds_folder(feeds.folder.as_deref(), &root.join(&articles_name), root);
    Settings {
        root: root.to_owned(),
        time_zone,
        sections,
        articles: root.join(&articles_name),
        articles_name: articles_name.trim_end_matches('/').to_owned(),
        feed: check.feed(feeds),
        digests,
        subscribers,
        templates: root.join(written.templates.as_deref().unwrap_or("templates")),
        returns: check.returns(&written.returns.unwrap_or_default(), root, beside(&ledger, root, "returns"), overrides),
        cache: beside(&ledger, root, "build.cache"),
        ledger,
        ledger_password: overrides.ledger_password.clone(),
        transport,
        dkim,
        press: check.press(&written.press.unwrap_or_default()),
        public,
        publish: check.publish(written.publish.unwrap_or_default(), &feeds_folder, root),
        feeds: feeds_folder,
        serve: check.serve(&written.serve.unwrap_or_default()),
        doctor: check.doctor(&written.doctor.unwrap_or_default()),
        masthead,
    }
}

/// What stands beside a ledger that is a file, and otherwise in `var`.
fn beside(ledger: &LedgerAddress, root: &Path, name: &str) -> PathBuf {
    match ledger {
        LedgerAddress::Sqlite(file) => file.with_file_name(name),
        LedgerAddress::Postgres(_) => root.join("var").join(name),
    }
}

struct Check<'a, 'p> {
    source: Source<'a>,
    unusable: &'a [String],
    problems: &'p mut Vec<Problem>,
}

impl Check<'_, '_> {
    fn feeds_folder(&mut self, written: Option<&str>, articles: &Path, root: &Path) -> PathBuf {
        let folder = root.join(written.unwrap_or("feeds"));
        if folder.components().eq(articles.components()) {
            let problem = self.source.problem("feeds.folder", "the feeds would stand among the articles".to_owned());
            self.problems.push(problem.help("name another folder: what stands there is read as articles"));
        }
        folder
    }

    fn ledger(&mut self, written: &str, root: &Path) -> LedgerAddress {
        database::parse(written, root).unwrap_or_else(|wrong| {
            let mut problem = self.source.problem("ledger", wrong.what.to_owned()).help(wrong.help);
            // A secret must not be shown, even where it should not stand.
            problem.line = String::new();
            self.problems.push(problem);
            LedgerAddress::Sqlite(root.join("var/ledger.sqlite"))
        })
    }

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
            if feed::plan::RESERVED.contains(&slug.as_str()) {
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

    fn press(&mut self, written: &file::Press) -> press::Options {
        let retry = written.retry.as_ref();
        let factor = retry.and_then(|retry| retry.factor).unwrap_or(2.0);
        if !(1.0..=100.0).contains(&factor) {
            self.wrong("press.retry.factor", "from 1 to 100", "each wait is this many times as long as the one before");
        }
        let connections = written.connections.unwrap_or(4);
        self.between("press.connections", usize::from(connections), 1, usize::from(MAX_CONNECTIONS));
        let first = self.positive("press.retry.first", retry.and_then(|retry| retry.first.as_deref()), minutes(5));
        let longest =
            self.positive("press.retry.longest", retry.and_then(|retry| retry.longest.as_deref()), minutes(4 * 60));
        if longest < first {
            self.wrong("press.retry", "`longest` is shorter than `first`", "no wait is longer than `longest`");
        }
        press::Options {
            limits: self.limits(written),
            warm_up: self.warm_up(written.warm_up.as_ref()),
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
                    retry.and_then(|retry| retry.give_up_after.as_deref()),
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
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
