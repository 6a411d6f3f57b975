//! RSS 2.0 (with content, Dublin Core, Media RSS, Atom links and RFC 5005), through the crate `rss`.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use rss::extension::atom::{AtomExtension, Link};
use rss::extension::dublincore::DublinCoreExtension;
use rss::extension::{Extension, ExtensionMap};
use rss::{Category, Channel, Enclosure, Guid, Image, Item as RssItem};

use super::archive::Document;
use super::item::{Item, clean};
use super::splice::{MARK, Writing, splice};
use super::{Format, Frame, GENERATOR, Options};
use crate::markup::absolute;
use crate::newsroom::Newsroom;

const NAMESPACES: [(&str, &str); 5] = [
    ("atom", "http://www.w3.org/2005/Atom"),
    ("content", "http://purl.org/rss/1.0/modules/content/"),
    ("dc", "http://purl.org/dc/elements/1.1/"),
    ("fh", "http://purl.org/syndication/history/1.0"),
    ("media", "http://search.yahoo.com/mrss/"),
];

const TAIL: &str = "</channel></rss>";

/// An `item` element. The crate writes items only as part of a channel; so it is cut out of one.
pub fn fragment(item: &Item) -> Vec<u8> {
    let channel = Channel { items: vec![rss_item(item)], ..Channel::default() };
    let written = written(&channel);
    let start = written.find("<item>").unwrap_or_default();
    let end = written.rfind(TAIL).unwrap_or(written.len());
    splice(&written[start..end], item.html.as_deref().unwrap_or_default(), Writing::Cdata)
}

/// What stands around the items of a document.
pub fn frame(newsroom: &Newsroom, options: &Options, document: &Document) -> Frame {
    let masthead = &newsroom.masthead;
    let home = absolute::written(&masthead.url);
    let title = clean(&document.feed.title).into_owned();
    let link = |rel: &str, href: &str, mime_type: Option<&str>| Link {
        href: href.to_owned(),
        rel: rel.to_owned(),
        mime_type: mime_type.map(str::to_owned),
        ..Link::default()
    };
    let rss = Some(Format::Rss.media_type());
    let mut links = vec![link("self", &document.url(masthead, Format::Rss), rss)];
    links.extend(options.hubs.iter().map(|hub| link("hub", &absolute::written(hub), None)));
    links.extend(document.links(masthead, Format::Rss).into_iter().map(|(rel, url)| link(rel, &url, rss)));
    let picture = masthead.icon.as_ref().or(masthead.logo.as_ref());
    let mut extensions = ExtensionMap::new();
    if document.page.is_some() {
        add(&mut extensions, "fh", element("fh:archive", None, &[]));
    }
    let channel = Channel {
        title: title.clone(),
        link: home.clone(),
        description: clean(&document.feed.description).into_owned(),
        language: Some(document.feed.language.clone()),
        copyright: masthead.copyright.as_deref().map(|c| clean(c).into_owned()),
        pub_date: document.newest_published.as_ref().map(date),
        last_build_date: document.changed.as_ref().map(date),
        generator: Some(GENERATOR.to_owned()),
        docs: Some("https://www.rssboard.org/rss-specification".to_owned()),
        ttl: Some(options.ttl.to_string()),
        image: picture.map(|url| Image { url: absolute::written(url), title, link: home, ..Image::default() }),
        atom_ext: Some(AtomExtension { links }),
        namespaces: NAMESPACES.iter().map(|(prefix, uri)| ((*prefix).to_owned(), (*uri).to_owned())).collect(),
        extensions,
        ..Channel::default()
    };
    let mut head = written(&channel);
    head.truncate(head.rfind(TAIL).unwrap_or(head.len()));
    head.push('\n');
    Frame { head, between: "\n", tail: "\n</channel></rss>\n" }
}

fn rss_item(item: &Item) -> RssItem {
    let mut extensions = ExtensionMap::new();
    if let Some(image) = item.image {
        let url = absolute::written(&image.url);
        let mut content = element("media:content", None, &[("url", &url), ("medium", "image")]);
        // No `media:description`: feedparser takes it for the item's own.
        if let Some(credit) = image.credit.as_deref().map(clean).filter(|credit| !credit.is_empty()) {
            let credit = element("media:credit", Some(&credit), &[("role", "photographer")]);
            content.children.insert("credit".to_owned(), vec![credit]);
        }
        add(&mut extensions, "media", content);
        add(&mut extensions, "media", element("media:thumbnail", None, &[("url", &url)]));
    }
    // Not as `itunes:duration`: that would make the feed a podcast, of which much more is asked.
    if let Some((enclosure, seconds)) = item.enclosure.and_then(|e| e.duration.map(|seconds| (e, seconds))) {
        let (url, size) = (absolute::written(&enclosure.url), enclosure.length.to_string());
        let (media_type, seconds) = (clean(&enclosure.media_type), seconds.to_string());
        let attributes = [("url", &*url), ("fileSize", &size), ("type", &media_type), ("duration", &seconds)];
        add(&mut extensions, "media", element("media:content", None, &attributes));
    }
    let related = item.external_url.as_ref().map(|url| AtomExtension {
        links: vec![Link { href: url.clone(), rel: "related".to_owned(), ..Link::default() }],
    });
    RssItem {
        title: Some(item.title.clone().into_owned()),
        link: Some(item.url.clone()),
        description: Some(item.summary_html()),
        categories: item
            .categories
            .iter()
            .map(|c| Category { name: c.label.clone().into_owned(), domain: Some(c.scheme.clone()) })
            .collect(),
        enclosure: item.enclosure.map(|e| Enclosure {
            url: absolute::written(&e.url),
            length: e.length.to_string(),
            mime_type: clean(&e.media_type).into_owned(),
        }),
        guid: Some(Guid { value: item.id.clone().into_owned(), permalink: false }),
        pub_date: Some(date(&item.published)),
        content: item.html.is_some().then(|| MARK.to_owned()),
        extensions,
        atom_ext: related,
        dublin_core_ext: Some(DublinCoreExtension {
            creators: item.authors.iter().map(|a| a.name.clone().into_owned()).collect(),
            contributors: item.contributors.iter().map(|a| a.name.clone().into_owned()).collect(),
            languages: item.language.map(str::to_owned).into_iter().collect(),
            ..DublinCoreExtension::default()
        }),
        ..RssItem::default()
    }
}

/// RFC 822 with four digits of the year; unlike chrono's own it has no date that it panics on.
fn date(when: &DateTime<FixedOffset>) -> String {
    when.format("%a, %d %b %Y %H:%M:%S %z").to_string()
}

fn written(channel: &Channel) -> String {
    // Writing into memory does not fail, and the crate writes nothing but UTF-8.
    String::from_utf8(channel.write_to(Vec::new()).unwrap_or_default()).unwrap_or_default()
}

fn element(name: &str, value: Option<&str>, attributes: &[(&str, &str)]) -> Extension {
    Extension {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        attrs: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        children: BTreeMap::new(),
    }
}

fn add(extensions: &mut ExtensionMap, prefix: &str, element: Extension) {
    let name = element.name.split(':').nth(1).unwrap_or_default().to_owned();
    extensions.entry(prefix.to_owned()).or_default().entry(name).or_default().push(element);
}
