//! Atom 1.0 (RFC 4287) with archives (RFC 5005) and tombstones (RFC 6721), through the crate `atom_syndication`.

use std::collections::BTreeMap;

use atom_syndication::extension::{Extension, ExtensionMap};
use atom_syndication::{Category, Content, Entry, Feed, Generator, Link, Person, Text, WriteConfig};
use chrono::DateTime;

use super::archive::Document;
use super::item::{self, Item, clean};
use super::splice::{MARK, Writing, splice};
use super::{Format, Frame, GENERATOR, Options};
use crate::markup::{absolute, escape};
use crate::newsroom::{Newsroom, Withdrawn};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const ENTRY: &str = "<entry xmlns=\"http://www.w3.org/2005/Atom\"";
const TAIL: &str = "</feed>";

const COMPACT: WriteConfig = WriteConfig { write_document_declaration: false, indent_size: None };

/// An `entry` element. The crate knows no `xml:lang` on entries, so it is put into the finished tag.
pub fn fragment(item: &Item) -> Vec<u8> {
    let html = item.html.as_ref().map(|_| Content {
        value: Some(MARK.to_owned()),
        content_type: Some("html".to_owned()),
        ..Content::default()
    });
    let mut links = vec![link("alternate", &item.url, Some("text/html"))];
    links.extend(item.external_url.as_deref().map(|url| link("related", url, None)));
    links.extend(item.enclosure.map(|e| Link {
        length: Some(e.length.to_string()),
        ..link("enclosure", &absolute::written(&e.url), Some(&clean(&e.media_type)))
    }));
    let entry = Entry {
        title: Text::plain(item.title.clone()),
        id: item.id.clone().into_owned(),
        updated: item.updated,
        authors: item.authors.iter().map(person).collect(),
        contributors: item.contributors.iter().map(person).collect(),
        categories: item
            .categories
            .iter()
            .map(|c| Category {
                term: c.term.clone(),
                scheme: Some(c.scheme.clone()),
                label: Some(c.label.clone().into_owned()),
            })
            .collect(),
        links,
        published: Some(item.published),
        // As HTML: readers that overlook the type take it for that anyway.
        summary: Some(Text::html(item.summary_html())),
        content: html,
        ..Entry::default()
    };
    let written = text(entry.write_with_config(Vec::new(), COMPACT));
    let rest = written.strip_prefix(ENTRY).unwrap_or(&written);
    let around = match item.language {
        Some(tag) => format!("<entry xml:lang=\"{}\"{rest}", escape::attribute(tag)),
        None => format!("<entry{rest}"),
    };
    splice(&around, item.html.as_deref().unwrap_or_default(), Writing::Xml)
}

/// What stands around the entries of a document.
pub fn frame(newsroom: &Newsroom, options: &Options, document: &Document) -> Frame {
    let masthead = &newsroom.masthead;
    let home = absolute::written(&masthead.url);
    let atom = Some(Format::Atom.media_type());
    let mut links =
        vec![link("alternate", &home, Some("text/html")), link("self", &document.url(masthead, Format::Atom), atom)];
    links.extend(options.hubs.iter().map(|hub| link("hub", &absolute::written(hub), None)));
    links.extend(document.links(masthead, Format::Atom).into_iter().map(|(rel, url)| link(rel, &url, atom)));
    let mut namespaces = BTreeMap::new();
    let mut extensions = ExtensionMap::new();
    if document.page.is_some() {
        namespaces.insert("fh".to_owned(), "http://purl.org/syndication/history/1.0".to_owned());
        add(&mut extensions, "fh", "archive", element("fh:archive", None, &[]));
    }
    let withdrawn = document.withdrawn(newsroom);
    if !withdrawn.is_empty() {
        namespaces.insert("at".to_owned(), "http://purl.org/atompub/tombstones/1.0".to_owned());
        for gone in &withdrawn {
            add(&mut extensions, "at", "deleted-entry", tombstone(gone));
        }
    }
    // An empty feed has not changed since the newsroom began.
    let beginning = || newsroom.articles.last().map_or(DateTime::UNIX_EPOCH.into(), |a| a.published);
    let changed = document.changed.into_iter().chain(withdrawn.iter().map(|w| w.when)).max().unwrap_or_else(beginning);
    let feed = Feed {
        title: Text::plain(clean(&document.feed.title)),
        id: document.feed.id(masthead),
        updated: changed,
        authors: vec![Person { name: clean(&masthead.title).into_owned(), uri: Some(home), ..Person::default() }],
        generator: Some(Generator { value: GENERATOR.to_owned(), uri: None, version: None }),
        icon: masthead.icon.as_ref().map(absolute::written),
        logo: masthead.logo.as_ref().map(absolute::written),
        links,
        rights: masthead.copyright.as_deref().map(|c| Text::plain(clean(c))),
        subtitle: Some(Text::plain(clean(&document.feed.description))),
        lang: Some(document.feed.language.clone()),
        extensions,
        namespaces,
        ..Feed::default()
    };
    let mut head = DECLARATION.to_owned() + &text(feed.write_with_config(Vec::new(), COMPACT));
    head.truncate(head.rfind(TAIL).unwrap_or(head.len()));
    head.push('\n');
    Frame { head, between: "\n", tail: "\n</feed>\n" }
}

/// RFC 6721, section 3.
fn tombstone(gone: &Withdrawn) -> Extension {
    let mut entry =
        element("at:deleted-entry", None, &[("ref", &clean(&gone.id.0)), ("when", &gone.when.to_rfc3339())]);
    if let Some(reason) = &gone.reason {
        entry.children.insert("comment".to_owned(), vec![element("at:comment", Some(&clean(reason)), &[])]);
    }
    entry
}

fn person(person: &item::Person) -> Person {
    Person { name: person.name.clone().into_owned(), uri: person.url.clone(), ..Person::default() }
}

fn link(rel: &str, href: &str, mime_type: Option<&str>) -> Link {
    Link { href: href.to_owned(), rel: rel.to_owned(), mime_type: mime_type.map(str::to_owned), ..Link::default() }
}

fn element(name: &str, value: Option<&str>, attributes: &[(&str, &str)]) -> Extension {
    Extension {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        attrs: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        children: BTreeMap::new(),
    }
}

fn add(extensions: &mut ExtensionMap, prefix: &str, name: &str, element: Extension) {
    extensions.entry(prefix.to_owned()).or_default().entry(name.to_owned()).or_default().push(element);
}

fn text(written: Result<Vec<u8>, atom_syndication::Error>) -> String {
    // Writing into memory does not fail, and the crate writes nothing but UTF-8.
    String::from_utf8(written.unwrap_or_default()).unwrap_or_default()
}
