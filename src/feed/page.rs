//! The pages for people: what a feed is, every address to copy, the latest headlines.

use std::sync::OnceLock;

use chrono::{DateTime, FixedOffset};
use handlebars::{Handlebars, Template};
use serde::Serialize;

use super::item::clean;
use super::plan::{Feed, Of, Plan};
use super::{Content, Format, GENERATOR, language, opml};
use crate::markup::absolute;
use crate::newsroom::fingerprint::fingerprint;
use crate::newsroom::{Article, Newsroom, Place, Problem};

/// The templates that ship, by the paths under which a newsroom can put its own.
pub const INDEX: (&str, &str) = ("feeds/index.html.hbs", include_str!("../../templates/feeds/index.html.hbs"));
/// The page of a section.
pub const SECTION: (&str, &str) = ("feeds/section.html.hbs", include_str!("../../templates/feeds/section.html.hbs"));
/// What both pages share; the other two call it `style`.
pub const STYLE: (&str, &str) = ("feeds/style.css.hbs", include_str!("../../templates/feeds/style.css.hbs"));

/// Headlines on a section's page.
pub const HEADLINES: usize = 12;

/// Headlines of each section on the index.
const HEADLINES_EACH: usize = 3;

/// Popular readers and the address at which each takes a feed's address, percent-encoded, at its end.
const READERS: [(&str, &str); 3] = [
    ("Feedly", "https://feedly.com/i/subscription/feed%2F"),
    ("Inoreader", "https://www.inoreader.com/?add_feed="),
    ("NewsBlur", "https://www.newsblur.com/?url="),
];

/// The names under which the templates know each other.
const NAMES: [&str; 3] = ["index", "section", "style"];

/// The two pages' templates. They are compiled when the first page is rendered: most builds render none.
pub struct Templates {
    /// The file's name, for problems, and its text; in the order of [`NAMES`].
    texts: [(String, String); 3],
    compiled: OnceLock<Result<Handlebars<'static>, Problem>>,
}

/// All that a page tells, before it is rendered.
pub struct Draft<'a> {
    /// In [`NAMES`].
    template: usize,
    page: Page<'a>,
}

impl Templates {
    /// Templates from their texts: for each of [`INDEX`], [`SECTION`] and [`STYLE`] the file's name, for problems, and
    /// the text.
    pub fn new(index: (&str, &str), section: (&str, &str), style: (&str, &str)) -> Self {
        let owned = |(file, text): (&str, &str)| (file.to_owned(), text.to_owned());
        Templates { texts: [index, section, style].map(owned), compiled: OnceLock::new() }
    }

    /// The templates that ship.
    pub fn embedded() -> Self {
        Templates::new(INDEX, SECTION, STYLE)
    }

    /// Looks whether these are templates at all.
    ///
    /// # Errors
    /// A [`Problem`] with the line, if one is no Handlebars template.
    pub fn check(&self) -> Result<(), Problem> {
        self.compiled().map(|_| ())
    }

    fn compiled(&self) -> Result<&Handlebars<'static>, Problem> {
        self.compiled.get_or_init(|| compile(&self.texts)).as_ref().map_err(Problem::clone)
    }

    /// A hash of all that a page is made from; never 0.
    pub fn key(&self, draft: &Draft<'_>) -> u64 {
        let [index, section, style] = self.texts.each_ref().map(|(_, text)| text.as_bytes());
        // There is nothing in it that cannot be written.
        let page = serde_json::to_vec(&draft.page).unwrap_or_default();
        fingerprint([NAMES[draft.template].as_bytes(), index, section, style, &page]).max(1)
    }

    /// The page's text.
    ///
    /// # Errors
    /// A [`Problem`] with the line, if a template is none, or asks for what is not there.
    pub fn render(&self, draft: &Draft<'_>) -> Result<String, Problem> {
        self.compiled()?.render(NAMES[draft.template], &draft.page).map_err(|error| {
            let (line, column) = (error.line_no.unwrap_or_default(), error.column_no.unwrap_or_default());
            problem(&self.texts[draft.template].0, "", line, column, &error.reason().to_string())
        })
    }
}

fn compile(texts: &[(String, String); 3]) -> Result<Handlebars<'static>, Problem> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    for (name, (file, text)) in NAMES.into_iter().zip(texts) {
        let template = Template::compile(text).map_err(|error| {
            let (line, column) = error.pos().unwrap_or_default();
            problem(file, text, line, column, &error.reason().to_string())
        })?;
        registry.register_template(name, template);
    }
    Ok(registry)
}

impl<'a> Draft<'a> {
    /// `index.html` of the folder of feeds.
    pub fn index(newsroom: &'a Newsroom, plan: &'a Plan) -> Self {
        let masthead = &newsroom.masthead;
        let whole = plan.feeds.iter().find(|feed| feed.of == Of::Whole && !feed.variant);
        let sections = plan.feeds.iter().filter(|feed| matches!(feed.of, Of::Section(_)) && !feed.variant);
        let more = [("Authors", 0), ("Tags", 1), ("Years", 2), ("Other versions", 3)].map(|(title, kind)| More {
            title,
            feeds: plan
                .feeds
                .iter()
                .filter(|feed| kind_of(feed) == Some(kind))
                .map(|f| Card::of(newsroom, f, 0))
                .collect(),
        });
        let page = Page {
            language: &masthead.language,
            direction: language::direction(&masthead.language),
            title: format!("Feeds · {}", clean(&masthead.title)),
            newsroom: clean(&masthead.title).into_owned(),
            description: clean(&masthead.description).into_owned(),
            home: absolute::written(&masthead.url),
            index: "index.html",
            opml: opml::FILE.to_owned(),
            icon: masthead.icon.as_ref().map(absolute::written),
            generator: GENERATOR,
            feed: whole.map(|feed| Card::of(newsroom, feed, 0)),
            sections: sections.map(|feed| Card::of(newsroom, feed, HEADLINES_EACH)).collect(),
            more: more.into_iter().filter(|more| !more.feeds.is_empty()).collect(),
        };
        Draft { template: 0, page }
    }

    /// The page of one section's feed, which stands in the section's folder.
    pub fn section(newsroom: &'a Newsroom, feed: &'a Feed) -> Self {
        let masthead = &newsroom.masthead;
        let card = Card::of(newsroom, feed, HEADLINES);
        let page = Page {
            language: &masthead.language,
            direction: language::direction(&masthead.language),
            title: format!("{} · Feeds · {}", card.name, clean(&masthead.title)),
            newsroom: clean(&masthead.title).into_owned(),
            description: card.description.clone(),
            home: absolute::written(&masthead.url),
            index: "../index.html",
            opml: format!("../{}", opml::FILE),
            icon: masthead.icon.as_ref().map(absolute::written),
            generator: GENERATOR,
            feed: Some(card),
            sections: Vec::new(),
            more: Vec::new(),
        };
        Draft { template: 1, page }
    }
}

fn problem(file: &str, text: &str, line: usize, column: usize, what: &str) -> Problem {
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let number = |n: usize| u32::try_from(n).unwrap_or_default();
    let place = Place { file: file.to_owned(), line: number(line), column: number(column) };
    Problem::at(place, 1, shown, format!("the template cannot be used: {}", what.lines().next().unwrap_or_default()))
        .help("compare it with the template that ships (`templates/feeds/`)")
}

/// Which group of further feeds a feed belongs to.
fn kind_of(feed: &Feed) -> Option<usize> {
    match feed.of {
        _ if feed.variant => Some(3),
        Of::Author(_) => Some(0),
        Of::Tag(_) => Some(1),
        Of::Year(_) => Some(2),
        Of::Whole | Of::Section(_) => None,
    }
}

#[derive(Serialize)]
struct Page<'a> {
    /// The newsroom's; the templates that ship speak English.
    language: &'a str,
    direction: &'a str,
    title: String,
    newsroom: String,
    description: String,
    home: String,
    index: &'a str,
    opml: String,
    icon: Option<String>,
    generator: &'a str,
    feed: Option<Card<'a>>,
    sections: Vec<Card<'a>>,
    more: Vec<More<'a>>,
}

#[derive(Serialize)]
struct More<'a> {
    title: &'a str,
    feeds: Vec<Card<'a>>,
}

#[derive(Serialize)]
struct Card<'a> {
    /// Without the newsroom's name.
    name: String,
    title: String,
    description: String,
    language: &'a str,
    direction: &'a str,
    full: bool,
    /// From the index.
    page: Option<String>,
    addresses: Vec<Address>,
    readers: Vec<Reader>,
    headlines: Vec<Headline<'a>>,
}

#[derive(Serialize)]
struct Address {
    format: &'static str,
    media_type: &'static str,
    url: String,
    first: bool,
}

#[derive(Serialize)]
struct Reader {
    name: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Headline<'a> {
    title: String,
    url: String,
    authors: String,
    date: String,
    machine_date: String,
    language: &'a str,
    direction: &'a str,
}

impl<'a> Card<'a> {
    fn of(newsroom: &'a Newsroom, feed: &'a Feed, headlines: usize) -> Self {
        let masthead = &newsroom.masthead;
        let name = match &feed.of {
            Of::Section(slug) if !feed.variant => newsroom.section(slug).map_or(slug.as_str(), |s| s.title.as_str()),
            Of::Author(name) | Of::Tag(name) if !feed.variant => name,
            _ => feed.title.strip_prefix(&format!("{}: ", masthead.title)).unwrap_or(&feed.title),
        };
        let addresses: Vec<Address> = Format::ALL
            .into_iter()
            .map(|format| Address {
                format: format.name(),
                media_type: format.media_type(),
                url: feed.url(masthead, None, format),
                first: format == Format::Rss,
            })
            .collect();
        let rss = &addresses[0].url;
        let encoded: String = url::form_urlencoded::byte_serialize(rss.as_bytes()).collect();
        let articles = feed.articles.iter().take(headlines).map(|at| &newsroom.articles[*at as usize]);
        Card {
            name: clean(name).into_owned(),
            title: clean(&feed.title).into_owned(),
            description: clean(&feed.description).into_owned(),
            language: &feed.language,
            direction: language::direction(&feed.language),
            full: feed.content == Content::Full,
            page: feed.page_path(),
            readers: READERS
                .into_iter()
                .map(|(name, address)| Reader { name, url: format!("{address}{encoded}") })
                .chain([Reader { name: "Your own reader", url: format!("feed:{rss}") }])
                .collect(),
            headlines: articles.map(|article| Headline::of(newsroom, article)).collect(),
            addresses,
        }
    }
}

impl<'a> Headline<'a> {
    fn of(newsroom: &'a Newsroom, article: &'a Article) -> Self {
        let section = newsroom.section(&article.section).and_then(|s| s.language.as_deref());
        let tag = article.language.as_deref().or(section).unwrap_or(&newsroom.masthead.language);
        let authors: Vec<_> = article.authors.iter().map(|author| clean(&author.name)).collect();
        Headline {
            title: clean(&article.title).into_owned(),
            url: absolute::written(&article.url),
            authors: authors.join(", "),
            date: printed(&article.published),
            machine_date: article.published.to_rfc3339(),
            language: tag,
            direction: language::direction(tag),
        }
    }
}

/// As it is printed: `24 February 2026`.
fn printed(when: &DateTime<FixedOffset>) -> String {
    when.format("%-d %B %Y").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_that_ship_can_be_used() {
        assert_eq!(Templates::embedded().check(), Ok(()));
    }

    #[test]
    fn a_broken_template_is_told_with_its_line() {
        let problem =
            Templates::new(("my/index.html.hbs", "<p>\n{{#if x}}\n</p>"), SECTION, STYLE).check().unwrap_err();
        assert_eq!(problem.place.file, "my/index.html.hbs");
        assert!(problem.place.line > 0, "{problem:?}");
    }
}
