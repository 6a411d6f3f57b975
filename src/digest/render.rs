//! Subject, text and HTML from templates.
//!
//! Deterministic: the same contents and templates give the same bytes.
//!
//! A mail stays below the size that mail programs show whole. Where whole texts would not, they become summaries
//! (`Sealed::shortened`, and the mail says so); then titles; then fewer titles, and the mail says how many are missing.

// An article's body as mail programs can show it.
mod body;
// What templates can show.
mod context;
// Templates: the embedded ones, and a newsroom's own.
pub mod templates;
// What is wrong with a template, and where.
mod trouble;

pub use templates::{Overrides, PlainTemplate, TemplateFile, Templates};

use chrono::{DateTime, Utc};
use std::fmt::Write;
use std::sync::Arc;
use url::Url;

use super::edition::{Edits, Sealed};
use super::seal::hex;
use super::{BodyLength, Digest, Sender, specimen};
use crate::markup::quoted_printable;
use crate::newsroom::{Article, Body, Masthead, Problem, Section};
use context::Context;
use templates::Which;

/// The largest HTML part, encoded as it travels. Gmail cuts off at 102 KB; it is not known what it counts.
pub const LARGEST_HTML: usize = 85_000;
/// The largest mail, all parts as they travel.
pub const LARGEST_MAIL: usize = 100_000;
/// Kept free for headers.
const HEADERS: usize = 4_000;
/// Kept free for each place that is filled in for a reader.
const SLOT: usize = 500;
/// The longest preheader: what mail programs show of it, in characters.
pub const LONGEST_PREHEADER: usize = 140;

/// What goes into an edition.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The newsletter.
    pub digest: &'a Digest,
    /// The newsroom's own data.
    pub masthead: &'a Masthead,
    /// The newsroom's sections.
    pub sections: &'a [Section],
    /// The edition's number within the digest.
    pub number: u32,
    /// The edition's moment: its date in the mail and in the Date header.
    pub date: DateTime<Utc>,
    /// In order; not empty.
    pub pieces: &'a [(Arc<Article>, Body)],
    /// What the editor changed.
    pub edits: &'a Edits,
    /// The edition's page on the web.
    pub view_url: &'a Url,
}

/// How much of each piece a mail carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Whole,
    Summaries,
    /// Of at most so many pieces.
    Titles(usize),
}

impl Length {
    fn of(digest: &Digest) -> Self {
        match digest.body {
            BodyLength::Full => Length::Whole,
            BodyLength::Summary => Length::Summaries,
        }
    }

    /// What to try where this was too large.
    fn shorter(self, pieces: usize) -> Option<Self> {
        match self {
            Length::Whole => Some(Length::Summaries),
            Length::Summaries => Some(Length::Titles(pieces)),
            Length::Titles(0 | 1) => None,
            Length::Titles(room) => Some(Length::Titles(room / 2)),
        }
    }
}

/// Renders an edition.
///
/// # Errors
/// What is wrong with a template, or an edition that cannot be made small enough.
pub fn render(contents: &Contents, templates: &Templates) -> Result<Sealed, Vec<Problem>> {
    let mut length = Length::of(contents.digest);
    loop {
        let sealed = render_at(contents, templates, length)?;
        if fits(&sealed) {
            return Ok(sealed);
        }
        length = length.shorter(contents.pieces.len()).ok_or_else(|| {
            let help = "shorten the introduction, or the template itself";
            vec![templates.source(Which::Html).whole("the mail is too large even with one title in it", help)]
        })?;
    }
}

fn render_at(contents: &Contents, templates: &Templates, length: Length) -> Result<Sealed, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values = Context::new(contents, length);
    let mut line = |edit: &Option<String>, which| match edit {
        Some(text) => text.clone(),
        None => templates.fill(which, &values).unwrap_or_else(|problem| {
            problems.push(problem);
            which.name().to_owned()
        }),
    };
    let subject = context::cut(&line(&contents.edits.subject, Which::Subject), usize::MAX);
    let preheader = context::cut(&line(&contents.edits.preheader, Which::Preheader), LONGEST_PREHEADER);
    if subject.is_empty() {
        let help = "write one, for instance `{{digest.title}}: {{first.title}}`";
        problems.push(templates.source(Which::Subject).whole("the subject is empty", help));
    }
    values.subject.clone_from(&subject);
    values.preheader.clone_from(&preheader);
    let mark = mark(&values, templates);
    values.unsubscribe = format!("{mark}-unsubscribe-");
    values.preferences = format!("{mark}-preferences-");
    values.address = format!("{mark}-address-");
    values.name = format!("{mark}-name-");
    let html = templates.fill(Which::Html, &values).and_then(|html| inlined(&html, templates));
    let text = templates.fill(Which::Text, &values);
    match (html, text) {
        (Ok(html), Ok(text)) if problems.is_empty() => Ok(Sealed {
            subject,
            preheader,
            html,
            text: tidy(&text),
            mark,
            shortened: length != Length::of(contents.digest),
            headers: headers(contents.digest, contents.number),
            date: contents.date,
        }),
        (html, text) => {
            problems.extend([html.err(), text.err()].into_iter().flatten());
            Err(problems)
        }
    }
}

/// The rules of the `<style>` as `style` attributes; what cannot be one (`@media`, `:hover`) stays where it is.
fn inlined(html: &str, templates: &Templates) -> Result<String, Problem> {
    let inliner = css_inline::CSSInliner::options()
        .keep_style_tags(true)
        .remove_inlined_selectors(true)
        .load_remote_stylesheets(false)
        .build();
    inliner.inline(html).map_err(|error| {
        let what = format!("the styles cannot be read: {error}");
        templates.source(Which::Html).whole(what, "look into the `<style>`")
    })
}

/// A text part: no blanks at line ends, at most two empty lines together, one line end at the end.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 2;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty <= 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// What the marks begin with: made from the contents, and found nowhere in them.
fn mark(values: &Context, templates: &Templates) -> String {
    let contents = serde_json::to_string(values).unwrap_or_default();
    let holds = |mark: &str| {
        contents.contains(mark) || [Which::Html, Which::Text].iter().any(|w| templates.source(*w).text.contains(mark))
    };
    let mut counter = 0u32;
    loop {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        hash.update(&counter.to_be_bytes());
        hash.update(contents.as_bytes());
        let mark = format!("slot{}", hex(&hash.finish().as_ref()[..8]));
        if !holds(&mark) {
            return mark;
        }
        counter += 1;
    }
}

fn fits(sealed: &Sealed) -> bool {
    let size = |text: &str| quoted_printable::encoded_len(text) + SLOT * text.matches(sealed.mark.as_str()).count();
    let html = size(&sealed.html);
    html <= LARGEST_HTML && HEADERS + html + size(&sealed.text) <= LARGEST_MAIL
}

/// The headers that are the same for every reader, as text; encoding them is the work of [`crate::mail`]'s gate.
fn headers(digest: &Digest, number: u32) -> Vec<(String, String)> {
    let mailbox = |sender: &Sender| match sender.name.trim() {
        "" => sender.address.to_string(),
        name => format!("{name} <{}>", sender.address),
    };
    let mut headers = vec![("From", mailbox(&digest.from))];
    if let Some(reply_to) = &digest.reply_to {
        headers.push(("Reply-To", mailbox(reply_to)));
    }
    headers.extend([
        ("List-Id", format!("{} <{}>", digest.title, digest.list_id)),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()), // RFC 8058, section 3.1
        ("Feedback-ID", feedback_id(digest, number)),
        ("Auto-Submitted", "auto-generated".to_owned()), // RFC 3834, section 5
        ("Precedence", "bulk".to_owned()),
    ]);
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `edition:digest:kind:sender`, by which Gmail groups complaints; the sender has 5 to 15 characters
/// (10 here, for the line's length). Nothing of a reader.
fn feedback_id(digest: &Digest, number: u32) -> String {
    let domain = digest.from.address.as_str().rsplit('@').next().unwrap_or_default();
    let sender: String = domain.chars().filter(char::is_ascii_alphanumeric).take(10).collect();
    format!("{slug}-{number}:{slug}:digest:{sender:x<5}", slug = digest.slug)
}

/// Tries a digest's templates on a specimen, in every length; each problem once.
fn trial(digest: &Digest, templates: &Templates) -> Vec<Problem> {
    let masthead = specimen::masthead();
    let sections = specimen::sections();
    let pieces: Vec<_> = specimen::pieces().into_iter().map(|(a, body)| (Arc::new(a), body)).collect();
    let edits = Edits { introduction: Some("An *introduction*.".into()), ..Edits::default() };
    let contents = Contents {
        digest,
        masthead: &masthead,
        sections: &sections,
        number: 1,
        date: DateTime::UNIX_EPOCH,
        pieces: &pieces,
        edits: &edits,
        view_url: &masthead.url,
    };
    let mut problems: Vec<Problem> = Vec::new();
    for length in [Length::Whole, Length::Summaries, Length::Titles(1)] {
        let found = match render_at(&contents, templates, length) {
            Err(found) => found,
            Ok(sealed) => no_way_out(&sealed, templates),
        };
        problems.extend(found.into_iter().filter(|p| !problems.contains(p)).collect::<Vec<_>>());
    }
    if problems.is_empty() {
        problems = asked_of_readers(&Context::new(&contents, Length::Whole), templates);
    }
    problems
}

/// What differs from reader to reader is not known while a template is filled: it can be written, and nothing can depend on it.
fn asked_of_readers(values: &Context, templates: &Templates) -> Vec<Problem> {
    type Place = fn(&mut Context) -> &mut String;
    let places: [(&str, Place); 4] = [
        ("unsubscribe", |values| &mut values.unsubscribe),
        ("preferences", |values| &mut values.preferences),
        ("address", |values| &mut values.address),
        ("name", |values| &mut values.name),
    ];
    let mark = mark(values, templates);
    let mut problems = Vec::new();
    for which in [Which::Html, Which::Text] {
        for (name, place) in places {
            let filled = |with: &str| {
                let mut values = values.clone();
                with.clone_into(place(&mut values));
                templates.fill(which, &values)
            };
            let (Ok(with), Ok(without)) = (filled(&mark), filled("")) else { continue };
            if with.replace(&mark, "") != without {
                let what = format!("`{name}` is not known yet when this is asked");
                let help = format!(
                    "it is filled in for each reader after the approval: write `{{{{{name}}}}}`, and let no `if` and no other \
                     helper depend on it"
                );
                problems.push(templates.source(which).whole(&what, &help));
            }
        }
    }
    problems
}

/// A mail that does not let its reader leave.
fn no_way_out(sealed: &Sealed, templates: &Templates) -> Vec<Problem> {
    let mut way = String::new();
    let _ = write!(way, "{}-unsubscribe-", sealed.mark);
    let mut problems = Vec::new();
    if !sealed.html.contains(&format!("href=\"{way}\"")) {
        let help = "every mail must let its reader leave: `<a href=\"{{unsubscribe}}\">Unsubscribe</a>`";
        problems.push(templates.source(Which::Html).whole("no link leads to `{{unsubscribe}}`", help));
    }
    if !sealed.text.contains(&way) {
        let help = "every mail must let its reader leave: `Unsubscribe: {{unsubscribe}}`";
        problems.push(templates.source(Which::Text).whole("`{{unsubscribe}}` is nowhere", help));
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn made(digest: &Digest, pieces: &[(Arc<Article>, Body)], edits: &Edits) -> Result<Sealed, Vec<Problem>> {
        let templates = Templates::new(digest, Overrides::default())?;
        let masthead = specimen::masthead();
        let contents = Contents {
            digest,
            masthead: &masthead,
            sections: &specimen::sections(),
            number: 12,
            date: "2026-11-22T10:00:00Z".parse().unwrap(),
            pieces,
            edits,
            view_url: &"https://specimen.example/archive/weekly/12".parse().unwrap(),
        };
        render(&contents, &templates)
    }

    fn pieces() -> Vec<(Arc<Article>, Body)> {
        specimen::pieces().into_iter().map(|(article, body)| (Arc::new(article), body)).collect()
    }

    /// As many pieces, each of so many words.
    fn long(pieces: u32, words: usize) -> Vec<(Arc<Article>, Body)> {
        let body = Body { html: format!("<p>{}</p>", "seven letters again ".repeat(words / 3)), late: false };
        (1..=pieces).map(|day| (Arc::new(specimen::article(day)), body.clone())).collect()
    }

    fn size(sealed: &Sealed) -> usize {
        quoted_printable::encoded_len(&sealed.html) + quoted_printable::encoded_len(&sealed.text)
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        let once = made(&specimen::digest(), &pieces(), &Edits::default()).unwrap();
        assert_eq!(once, made(&specimen::digest(), &pieces(), &Edits::default()).unwrap());
    }

    #[test]
    fn patterns_and_edits_make_subject_and_preheader() {
        let digest = Digest {
            subject: "{{digest.title}} no. {{number}}: {{first.title}}".into(),
            preheader: "And {{others}} more, {{date}}, of {{count}}.".into(),
            ..specimen::digest()
        };
        let sealed = made(&digest, &pieces(), &Edits::default()).unwrap();
        assert_eq!(sealed.subject, "Specimen weekly no. 12: Piece 2");
        assert_eq!(sealed.preheader, "And 1 more, 22 November 2026, of 2.");
        let edits = Edits {
            subject: Some("  A {{b}}\n c ".into()),
            introduction: Some("Hello *you*.".into()),
            preheader: None,
        };
        let sealed = made(&digest, &pieces(), &edits).unwrap();
        assert_eq!(sealed.subject, "A {{b}} c");
        assert!(sealed.html.contains("Hello <em>you</em>.") && sealed.text.contains("Hello"));
    }

    #[test]
    fn titles_are_text_and_not_markup() {
        let mut pieces = pieces();
        pieces[0].0 = Arc::new(Article { title: "Less < more & \"so\" {{on}}".into(), ..(*pieces[0].0).clone() });
        let sealed = made(&specimen::digest(), &pieces, &Edits::default()).unwrap();
        assert!(sealed.html.contains("Less &lt; more &amp; \"so\" {{on}}"));
        assert!(sealed.text.contains("Less < more & \"so\" {{on}}"));
    }

    #[test]
    fn the_readers_places_are_where_the_marks_are() {
        let sealed = made(&specimen::digest(), &pieces(), &Edits::default()).unwrap();
        let place = |name| format!("{}-{name}-", sealed.mark);
        assert!(
            sealed.html.contains(&format!("href=\"{}\"", place("unsubscribe"))),
            "css-inline leaves the mark alone"
        );
        assert!(sealed.text.contains(&format!("Unsubscribe: {}\n", place("unsubscribe"))));
        assert!(sealed.html.contains(&place("address")) && sealed.text.contains(&place("address")));
    }

    #[test]
    fn a_text_that_holds_the_mark_gets_another_mark() {
        let mut holder = pieces();
        let mark = made(&specimen::digest(), &holder, &Edits::default()).unwrap().mark;
        holder[0].1 = Body { html: format!("<p>{mark}-unsubscribe-</p>"), late: false };
        let sealed = made(&specimen::digest(), &holder, &Edits::default()).unwrap();
        assert_ne!(sealed.mark, mark);
        assert!(sealed.html.contains(&mark));
    }

    #[test]
    fn whole_texts_become_summaries_where_the_mail_would_grow_too_large() {
        let short = made(&specimen::digest(), &long(3, 300), &Edits::default()).unwrap();
        assert!(!short.shortened && short.text.contains("seven letters"));
        let sealed = made(&specimen::digest(), &long(8, 3_000), &Edits::default()).unwrap();
        assert!(sealed.shortened && size(&sealed) <= LARGEST_MAIL);
        assert!(sealed.html.contains("would be longer than mail programs show"));
        assert!(!sealed.html.contains("seven letters") && sealed.html.contains("What happened, in a sentence."));
        let chosen = Digest { body: BodyLength::Summary, ..specimen::digest() };
        assert!(!made(&chosen, &long(8, 3_000), &Edits::default()).unwrap().shortened);
    }

    #[test]
    fn no_number_of_pieces_makes_a_mail_too_large() {
        for count in [120, 500] {
            let sealed = made(&specimen::digest(), &long(count, 3), &Edits::default()).unwrap();
            assert!(fits(&sealed) && sealed.shortened, "{count} pieces");
            assert!(sealed.text.contains("Piece 1\n"));
        }
        assert!(made(&specimen::digest(), &long(500, 3), &Edits::default()).unwrap().text.contains(" more: https://"));
    }

    #[test]
    fn an_introduction_that_fills_the_mail_is_a_problem() {
        let edits = Edits { introduction: Some("word ".repeat(30_000)), ..Edits::default() };
        let problems = made(&specimen::digest(), &pieces(), &edits).unwrap_err();
        assert_eq!(problems[0].what, "the mail is too large even with one title in it");
    }

    #[test]
    fn headers_are_the_same_for_every_reader_and_say_nothing_of_one() {
        let sealed = made(&specimen::digest(), &pieces(), &Edits::default()).unwrap();
        let header = |name: &str| sealed.headers.iter().find(|(n, _)| n == name).unwrap().1.as_str();
        assert_eq!(header("From"), "Specimen <desk@specimen.example>");
        assert_eq!(header("Reply-To"), "letters@specimen.example");
        assert_eq!(header("List-Id"), "Specimen weekly <weekly.specimen.example>");
        assert_eq!(header("Feedback-ID"), "weekly-12:weekly:digest:specimenex");
        assert_eq!(header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    }

    #[test]
    fn a_short_domain_still_makes_a_feedback_id() {
        let mut digest = specimen::digest();
        digest.from.address = "a@b.io".parse().unwrap();
        assert_eq!(feedback_id(&digest, 1), "weekly-1:weekly:digest:bioxx");
    }

    #[test]
    fn every_link_is_in_the_text_part_too() {
        let sealed = made(&specimen::digest(), &pieces(), &Edits::default()).unwrap();
        let page = scraper::Html::parse_document(&sealed.html);
        let links = scraper::Selector::parse("a[href]").unwrap();
        let mut count = 0;
        for link in page.select(&links) {
            let href = link.attr("href").unwrap();
            assert!(sealed.text.contains(href), "{href} is only in the HTML part");
            count += 1;
        }
        assert!(count > 8);
    }

    #[test]
    fn no_line_of_the_text_part_is_longer_than_it_should_be() {
        let sealed = made(&specimen::digest(), &long(2, 600), &Edits::default()).unwrap();
        for line in sealed.text.lines().filter(|l| !l.contains("://") && !l.contains(&sealed.mark)) {
            assert!(line.chars().count() <= context::TEXT_WIDTH, "{line}");
        }
    }

    #[test]
    fn names_that_are_a_mistake_are_told_with_their_place() {
        let digest = Digest {
            subject: "{{digest.titel}}".into(),
            preheader: "{{#if frist}}x{{/if}}".into(),
            ..specimen::digest()
        };
        let problems = Templates::new(&digest, Overrides::default()).unwrap_err();
        assert_eq!(problems[0].what, "unknown name `digest.titel`");
        assert_eq!(problems[0].help.as_deref(), Some("did you mean `digest.title`?"));
        assert_eq!((problems[0].place.line, problems[0].place.column, problems[0].span), (1, 3, 12));
    }
}
