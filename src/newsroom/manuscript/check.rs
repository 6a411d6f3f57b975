//! What each field of a head must be.

use chrono::{DateTime, FixedOffset};
use url::Url;

use super::super::article::{Article, ArticleId, Author, Correction, Enclosure, Image};
use super::super::fingerprint::{fingerprint, of_body};
use super::super::front_matter::{Authors, Corrected, Head, Picture, Tags};
use super::super::plausible::{is_language, is_media_type, is_web, line_of, web_address};
use super::super::problem::{Place, Problem, suggest};
use super::super::yaml::Locate;
use super::super::{body, date, link, slug};
use super::{Context, Manuscript, Piece};

/// Titles are shown in one line of a list.
const MAX_TITLE_CHARS: usize = 500;

/// Checks what one head says, and collects what is wrong with it.
pub(super) struct Checker<'a> {
    pub(super) at: &'a dyn Locate,
    pub(super) context: &'a Context,
    pub(super) unusable: &'a [String],
    pub(super) problems: Vec<Problem>,
}

impl Checker<'_> {
    pub(super) fn manuscript(&mut self, head: Head, piece: &Piece<'_>) -> Manuscript {
        let draft = head.draft.unwrap_or(false);
        let title = self.title(head.title.as_deref());
        let published = if let Some(text) = &head.date {
            self.date("date", text)
        } else {
            if !draft {
                self.required("date", "when the article is (or was) published; 2026-02-24T07:30:00-06:00 for instance");
            }
            None
        };
        let updated = head.updated.as_ref().and_then(|text| self.date("updated", text));
        if let (Some(published), Some(updated)) = (published, updated)
            && updated < published
        {
            self.wrong("updated", "`updated` lies before `date`", "an article is changed after it is published");
        }
        let section = self.section(head.section.as_deref(), piece);
        let slug = self.slug(head.slug.as_deref(), piece, head.url.as_deref());
        let url = self.page(head.url.as_deref(), &section, &slug);
        let id = self.id(head.id.as_deref());
        let language = head.language;
        self.language(language.as_deref());
        let withdrawn = head.withdrawn.map(|retraction| {
            let when = retraction.date.as_ref().and_then(|text| self.date("withdrawn.date", text));
            if retraction.date.is_none() {
                self.required("withdrawn.date", "when it was withdrawn");
            }
            // By the day: a date alone is its first moment.
            if let (Some(published), Some(when)) = (published, when)
                && when.with_timezone(&published.timezone()).date_naive() < published.date_naive()
            {
                let help = "only what was published can be withdrawn; for what is not to be, write `draft: true`";
                self.wrong("withdrawn.date", "`withdrawn` lies before `date`", help);
            }
            (when.unwrap_or_default(), retraction.reason.as_deref().map(line_of).filter(|text| !text.is_empty()))
        });
        let picture = head.image.map(|picture| Picture {
            alt: picture.alt.or(head.alt),
            caption: picture.caption.or(head.caption),
            credit: picture.credit.or(head.credit),
            src: picture.src,
        });
        let enclosure = head.enclosure.and_then(|attachment| {
            let url = self.address_at("enclosure.url", attachment.url.as_deref());
            let (media_type, length) = (attachment.media_type, attachment.length);
            if media_type.is_none() {
                self.required("enclosure.type", "its media type, for instance audio/mpeg");
            }
            if length.is_none() {
                self.required("enclosure.length", "its size in bytes");
            }
            if media_type.as_deref().is_some_and(|t| !is_media_type(t)) {
                self.wrong(
                    "enclosure.type",
                    "this is not a media type",
                    "for instance audio/mpeg, video/mp4, application/pdf",
                );
            }
            Some(Enclosure {
                url: url?,
                length: length?,
                media_type: media_type?,
                duration: attachment.duration.map(|d| d.0),
            })
        });
        let corrections = self.corrections(head.corrections);
        let line =
            if piece.file == self.at.file() { self.at.line_of(if id.is_some() { "id" } else { "title" }) } else { 0 };
        let mut article = Article {
            id: ArticleId(id.clone().unwrap_or_default()),
            title,
            url,
            external_url: head.link.as_deref().and_then(|link| self.absolute("link", link)).map(Box::new),
            published: published.unwrap_or_default(),
            updated,
            authors: self.authors(head.authors),
            contributors: self.people("contributors", "a contributor", head.contributors),
            section,
            slug,
            summary: head.summary.as_deref().map(line_of).unwrap_or_default(),
            tags: tags_of(head.tags),
            image: picture.and_then(|picture| self.picture(picture)).map(Box::new),
            enclosure: enclosure.map(Box::new),
            language,
            corrections,
            fingerprint: 0,
            place: Place { file: piece.file.to_owned(), line, column: u32::from(line > 0) },
        };
        article.fingerprint = fingerprint([
            &piece.fingerprint.to_le_bytes(),
            article.url.as_str().as_bytes(),
            article.section.as_bytes(),
        ]);
        if article.summary.is_empty() && !piece.body.trim().is_empty() {
            article.summary = body::summary(&article, piece.format, piece.body);
        }
        let mut links: Vec<String> = piece
            .links_from
            .map(|path| link::to_files(piece.body, path).into_iter().map(|link| link.file).collect())
            .unwrap_or_default();
        links.sort_unstable();
        links.dedup();
        let body_fingerprint = if id.is_none() { of_body(piece.body) } else { None };
        Manuscript { article, has_id: id.is_some(), draft, withdrawn, body_fingerprint, links }
    }

    fn title(&mut self, written: Option<&str>) -> String {
        let title = written.map(line_of).unwrap_or_default();
        if written.is_none() {
            self.required("title", "the headline");
        } else if title.is_empty() {
            self.wrong("title", "the title is empty", "write a headline");
        } else if title.chars().count() > MAX_TITLE_CHARS {
            self.wrong(
                "title",
                &format!("the title has more than {MAX_TITLE_CHARS} characters"),
                "shorten it, and use `summary` for the rest",
            );
        }
        title
    }

    fn section(&mut self, written: Option<&str>, piece: &Piece<'_>) -> String {
        let known = |slug: &str| self.context.sections.iter().any(|s| s == slug);
        let sections: Vec<&str> = self.context.sections.iter().map(String::as_str).collect();
        match (written, piece.section) {
            (Some(slug), _) if !known(slug) => {
                let help = suggest(slug, sections.iter().copied());
                self.wrong("section", &format!("unknown section `{slug}`"), &help);
            }
            (None, Some(folder)) if !known(folder) => {
                let help = format!("name one with `section:`; {}", suggest(folder, sections.iter().copied()));
                self.wrong("", &format!("the folder `{folder}` is not the name of a section"), &help);
            }
            (None, None) if !self.unusable("section") => {
                let help = suggest("", sections.iter().copied());
                self.wrong("section", "the article has no section", &format!("add `section:`; {help}"));
            }
            _ => {}
        }
        written.or(piece.section).unwrap_or_default().to_owned()
    }

    fn slug(&mut self, written: Option<&str>, piece: &Piece<'_>, url: Option<&str>) -> String {
        if let Some(slug) = written {
            if !slug::is_valid(slug) {
                let made =
                    Some(slug::from(slug)).filter(|made| !made.is_empty()).unwrap_or_else(|| "my-article".into());
                let help = format!("letters, digits and hyphens, for instance `{made}`");
                self.wrong("slug", "a slug is one part of an address", &help);
            }
            return slug.to_owned();
        }
        if !piece.slug.is_empty() {
            return piece.slug.clone();
        }
        let from_url =
            url.and_then(|url| url.trim_end_matches('/').rsplit('/').next()).map(slug::from).unwrap_or_default();
        if from_url.is_empty() && !self.unusable("slug") {
            self.required("slug", "the last part of the article's address, for instance `al-hol-exodus`");
        }
        from_url
    }

    fn page(&mut self, written: Option<&str>, section: &str, slug: &str) -> Url {
        let site = &self.context.site;
        if let Some(text) = written {
            if let Some(url) = web_address(site, text) {
                url
            } else {
                self.wrong(
                    "url",
                    "this is not an address",
                    "a whole one like https://paper.example/a, or one below the newsroom's: /a",
                );
                site.clone()
            }
        } else {
            let mut url = site.clone();
            if let Ok(mut parts) = url.path_segments_mut() {
                parts.pop_if_empty().push(section).push(slug);
            }
            url
        }
    }

    fn id(&mut self, written: Option<&str>) -> Option<String> {
        let id = written?.trim();
        let uri = Url::parse(id).is_ok() && !id.contains(char::is_whitespace) && id.is_ascii();
        if !uri {
            self.wrong(
                "id",
                "an id is a URI",
                "for instance tag:paper.example,2026-02-24:my-article; or leave it out and one is made and kept",
            );
        }
        Some(id.to_owned())
    }

    fn language(&mut self, written: Option<&str>) {
        if let Some(tag) = written.filter(|tag| !is_language(tag)) {
            let what = format!("`{}` is not a language tag", line_of(tag));
            self.wrong("language", &what, "for instance en, fr, ar or de-AT (BCP 47)");
        }
    }

    fn authors(&mut self, written: Option<Authors>) -> Vec<Author> {
        let mut authors = self.people("authors", "an author", written);
        if authors.is_empty() {
            authors.push(Author { name: self.context.house.clone(), url: None });
        }
        authors
    }

    fn people(&mut self, key: &str, who: &str, written: Option<Authors>) -> Vec<Author> {
        let mut people = Vec::new();
        for (i, person) in written.map(|a| a.0).unwrap_or_default().into_iter().enumerate() {
            let name = person.name.as_deref().map(line_of).unwrap_or_default();
            if name.is_empty() {
                self.wrong(&format!("{key}.{i}"), &format!("{who} without a name"), "write the name as it is printed");
                continue;
            }
            let url = person.url.as_deref().and_then(|url| self.absolute(&format!("{key}.{i}.url"), url));
            people.push(Author { name, url: url.map(Box::new) });
        }
        people
    }

    fn picture(&mut self, written: Picture) -> Option<Image> {
        let text = |text: Option<String>| text.as_deref().map(line_of).filter(|text| !text.is_empty());
        let path = if written.src.is_some() { "image" } else { "image.src" };
        let url = self.address_at("image.src", written.src.as_deref());
        let alt = text(written.alt);
        if alt.is_none() {
            let problem = self.at.problem(path, "the picture has no description".into());
            self.problems
                .push(problem.help("add `alt:`, and say what is to be seen, for readers who cannot see it").warning());
        }
        Some(Image {
            url: url?,
            alt: alt.unwrap_or_default(),
            caption: text(written.caption),
            credit: text(written.credit),
        })
    }

    fn corrections(&mut self, written: Vec<Corrected>) -> Vec<Correction> {
        let mut corrections = Vec::new();
        for (i, correction) in written.into_iter().enumerate() {
            let path = format!("corrections.{i}");
            let date = correction.date.as_ref().and_then(|text| self.date(&format!("{path}.date"), text));
            if correction.date.is_none() {
                self.required(&format!("{path}.date"), "when it was corrected");
            }
            let text = correction.text.as_deref().map(line_of).unwrap_or_default();
            if text.is_empty() {
                self.required(&format!("{path}.text"), "what was wrong, and is right now");
            }
            if let Some(date) = date {
                corrections.push(Correction { date, text });
            }
        }
        corrections.sort_by_key(|correction| correction.date);
        corrections
    }

    fn date(&mut self, path: &str, text: &str) -> Option<DateTime<FixedOffset>> {
        let date = date::parse(text, self.context.time_zone);
        if date.is_none() {
            self.wrong(path, &format!("`{}` is not a date", line_of(text)), date::HELP);
        }
        date
    }

    /// A required address that may be relative to the newsroom's.
    fn address_at(&mut self, path: &str, written: Option<&str>) -> Option<Url> {
        let Some(text) = written else {
            self.required(path, "its address");
            return None;
        };
        let url = web_address(&self.context.site, text);
        if url.is_none() {
            self.wrong(
                path,
                "this is not an address",
                "a whole one like https://paper.example/a.png, or one below the newsroom's: /a.png",
            );
        }
        url
    }

    fn absolute(&mut self, path: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text.trim()).ok().filter(is_web);
        if url.is_none() {
            self.wrong(path, "this is not a whole address", "it begins with https:// or http://");
        }
        url
    }

    fn required(&mut self, path: &str, what_it_is: &str) {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.unusable(key) {
            self.wrong(parent, &format!("`{key}` is missing"), &format!("add `{key}:` ({what_it_is})"));
        }
    }

    fn wrong(&mut self, path: &str, what: &str, help: &str) {
        let problem = self.at.problem(path, what.to_owned());
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    fn unusable(&self, key: &str) -> bool {
        self.unusable.iter().any(|k| k == key)
    }
}

/// In the order given, without doubles.
fn tags_of(written: Option<Tags>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in written.map(|t| t.0).unwrap_or_default() {
        let tag = line_of(&tag);
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}
