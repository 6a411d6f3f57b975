//! OPML 2.0 (<http://opml.org/spec2.opml>): the list of all feeds, for import into feed readers.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::Format;
use super::item::clean;
use super::plan::{Feed, Of, Plan};
use crate::markup::absolute;
use crate::newsroom::{Masthead, Newsroom};

/// The file below the folder of feeds.
pub const FILE: &str = "feeds.opml";

/// What stands in every list that this program makes, and in no other.
pub const MARK: &str = "<!--Made by Pressrun-->";

/// Every feed once, in RSS (a reader that imported all three formats would show every article three times), grouped by
/// section; authors, tags and years in groups of their own. No dates, so that it changes only when the feeds do.
pub fn write(newsroom: &Newsroom, plan: &Plan) -> String {
    let masthead = &newsroom.masthead;
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing into memory does not fail.
    let _ = document(&mut writer, newsroom, plan, masthead);
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

fn document(
    writer: &mut Writer<Vec<u8>>,
    newsroom: &Newsroom,
    plan: &Plan,
    masthead: &Masthead,
) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    writer.write_event(Event::Comment(BytesText::from_escaped("Made by Pressrun")))?;
    writer.write_event(Event::Start(BytesStart::new("opml").with_attributes([("version", "2.0")])))?;
    writer.write_event(Event::Start(BytesStart::new("head")))?;
    for (name, text) in [
        ("title", clean(&masthead.title).into_owned()),
        ("ownerName", clean(&masthead.title).into_owned()),
        ("ownerId", absolute::written(&masthead.url)),
    ] {
        writer.create_element(name).write_text_content(BytesText::new(&text))?;
    }
    writer.write_event(Event::End(BytesEnd::new("head")))?;
    writer.write_event(Event::Start(BytesStart::new("body")))?;
    for (title, feeds) in groups(newsroom, plan) {
        writer.write_event(Event::Start(BytesStart::new("outline").with_attributes([("text", &*clean(&title))])))?;
        for feed in feeds {
            let title = clean(&feed.title);
            writer.write_event(Event::Empty(BytesStart::new("outline").with_attributes([
                ("type", "rss"),
                ("version", "RSS2"),
                ("text", &*title),
                ("title", &*title),
                ("description", &*clean(&feed.description)),
                ("language", feed.language.as_str()),
                ("xmlUrl", feed.url(masthead, None, Format::Rss).as_str()),
                ("htmlUrl", absolute::written(&masthead.url).as_str()),
            ])))?;
        }
        writer.write_event(Event::End(BytesEnd::new("outline")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("body")))?;
    writer.write_event(Event::End(BytesEnd::new("opml")))?;
    Ok(())
}

fn groups<'a>(newsroom: &Newsroom, plan: &'a Plan) -> Vec<(String, Vec<&'a Feed>)> {
    let mut groups: Vec<(String, Vec<&Feed>)> = Vec::new();
    for feed in &plan.feeds {
        let group = match &feed.of {
            Of::Whole => newsroom.masthead.title.clone(),
            Of::Section(slug) => newsroom.section(slug).map_or_else(|| slug.clone(), |s| s.title.clone()),
            Of::Author(_) => "Authors".to_owned(),
            Of::Tag(_) => "Tags".to_owned(),
            Of::Year(_) => "Years".to_owned(),
        };
        match groups.iter_mut().find(|(title, _)| *title == group) {
            Some((_, feeds)) => feeds.push(feed),
            None => groups.push((group, vec![feed])),
        }
    }
    groups
}
