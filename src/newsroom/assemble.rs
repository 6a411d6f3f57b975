//! From manuscripts to a newsroom.

use chrono::{DateTime, FixedOffset, Utc};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::article::Article;
use super::fingerprint::fingerprint;
use super::identity::{self, Candidate, Others, Register};
use super::manuscript::Manuscript;
use super::problem::{Place, Problem};
use super::section::Section;
use super::{Masthead, Newsroom, Withdrawn};

/// A manuscript and the key it is registered by: see [`identity::Entry::path`].
pub type Keyed = (String, Box<Manuscript>);

/// Everything published, and what comes with it.
#[derive(Debug)]
pub struct Assembled {
    /// What is published now.
    pub newsroom: Newsroom,
    /// Articles that are in each other's way.
    pub problems: Vec<Problem>,
    /// The register of ids as it is now.
    pub register: Register,
    /// The next moment at which a new assembly would differ: an article's date, or a withdrawal's, in the future.
    pub next: Option<DateTime<Utc>>,
    /// The addresses of articles that other articles link to by file, by path.
    pub addresses: HashMap<String, url::Url>,
}

/// Puts manuscripts in their places: gives ids, finds doubles, leaves out what is not published at `now`.
///
/// `manuscripts` come sorted by key. `held` are the keys of files that are there and could not be read.
pub fn assemble(
    masthead: Masthead,
    sections: Vec<Section>,
    mut manuscripts: Vec<Keyed>,
    register: &Register,
    held: &[String],
    now: DateTime<Utc>,
) -> Assembled {
    let known = register;
    let mut register = give_ids(&masthead, &mut manuscripts, known, held);
    let linked: HashSet<String> = manuscripts.iter().flat_map(|(_, m)| m.links.iter().cloned()).collect();
    let addresses: HashMap<String, url::Url> = manuscripts
        .iter()
        .filter(|(key, m)| linked.contains(key) && !m.draft)
        .map(|(key, m)| (key.clone(), m.article.url.clone()))
        .collect();

    let (left_out, mut problems) = doubles(&manuscripts, known);
    // Its id is made when it is published: registered now, it would be the one that the register knew next time.
    let left = |i: &usize| Some(manuscripts[*i].1.article.id.0.as_str()).filter(|id| !known.knows(id));
    let unpublished: HashSet<&str> = left_out.iter().filter(|i| !manuscripts[**i].1.has_id).filter_map(left).collect();
    if !unpublished.is_empty() {
        register.forget(&unpublished);
    }
    let mut next: Option<DateTime<FixedOffset>> = None;
    let mut articles: Vec<Arc<Article>> = Vec::with_capacity(manuscripts.len());
    let mut withdrawn = Vec::new();
    for (i, (_, manuscript)) in manuscripts.into_iter().enumerate() {
        if manuscript.draft || left_out.contains(&i) {
            continue;
        }
        let Manuscript { mut article, withdrawn: retraction, links, .. } = *manuscript;
        for moment in [Some(article.published), retraction.as_ref().map(|(when, _)| *when)].into_iter().flatten() {
            if moment > now && next.is_none_or(|next| moment < next) {
                next = Some(moment);
            }
        }
        if article.published > now {
            continue;
        }
        match retraction {
            Some((when, reason)) if when <= now => {
                let Article { id, section, authors, tags, published, .. } = article;
                let authors = authors.into_iter().map(|author| author.name).collect();
                withdrawn.push(Withdrawn { id, section, authors, tags, published, when, reason });
            }
            _ => {
                for (key, moment) in article.put_off(now) {
                    problems.push(ahead(&article, key, moment));
                    next = Some(next.map_or(moment, |next| next.min(moment)));
                }
                // What a link leads to is part of the body.
                article.fingerprint = with_links(article.fingerprint, &links, |link| addresses.get(link));
                articles.push(Arc::new(article));
            }
        }
    }
    articles.sort_by(|a, b| b.published.cmp(&a.published).then_with(|| a.id.cmp(&b.id)));
    withdrawn.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.id.cmp(&b.id)));
    Assembled {
        newsroom: Newsroom { masthead, sections, articles, withdrawn },
        problems,
        register,
        next: next.map(|moment| moment.to_utc()),
        addresses,
    }
}

/// An article's fingerprint together with the addresses that its links to files lead to.
pub fn with_links<'a>(own: u64, links: &'a [String], address: impl Fn(&'a String) -> Option<&'a url::Url>) -> u64 {
    let known = links.iter().filter_map(address);
    known.fold(own, |print, address| fingerprint([&print.to_le_bytes(), address.as_str().as_bytes()]))
}

fn give_ids(masthead: &Masthead, manuscripts: &mut [Keyed], register: &Register, held: &[String]) -> Register {
    let mut others = Others { held: held.iter().map(String::as_str).collect(), ..Others::default() };
    let mut wanting = Vec::new();
    let mut candidates = Vec::new();
    for (i, (key, manuscript)) in manuscripts.iter().enumerate() {
        let article = &manuscript.article;
        if manuscript.has_id {
            others.given.insert(article.id.0.as_str());
            others.own.insert(key.as_str());
        } else if manuscript.draft {
            others.held.insert(key.as_str());
        } else {
            wanting.push(i);
            candidates.push(Candidate {
                path: key,
                section: &article.section,
                slug: &article.slug,
                published: article.published,
                body: manuscript.body_fingerprint,
                title: &article.title,
            });
        }
    }
    let (ids, register) = identity::assign(register, &candidates, &others, &masthead.authority);
    for (i, id) in wanting.into_iter().zip(ids) {
        manuscripts[i].1.article.id = id;
    }
    register
}

type Feature = fn(&Article) -> &str;

/// Articles that share an id or an address: of each such group all but the first, with a problem each. First is the one
/// that was `known` already, then one that brings its id, then the order of paths: what readers have stays theirs.
fn doubles(manuscripts: &[Keyed], known: &Register) -> (HashSet<usize>, Vec<Problem>) {
    let rank = |i: usize| {
        let Manuscript { article, has_id, .. } = &*manuscripts[i].1;
        if *has_id { 1 } else { 2 * u8::from(!known.knows(&article.id.0)) }
    };
    let mut left_out = HashSet::new();
    let mut problems = Vec::new();
    let features: [(&str, &str, Feature); 2] = [("id", "`id`", |a| &a.id.0), ("address", "`slug`", |a| a.url.as_str())];
    for (name, key, feature) in features {
        let of = |i: usize| feature(&manuscripts[i].1.article);
        let mut order: Vec<usize> = (0..manuscripts.len()).filter(|i| !manuscripts[*i].1.draft).collect();
        order.retain(|i| !left_out.contains(i));
        order.sort_by(|a, b| of(*a).cmp(of(*b)).then(a.cmp(b)));
        for group in order.chunk_by_mut(|a, b| of(*a) == of(*b)).filter(|group| group.len() > 1) {
            group.sort_by_key(|i| (rank(*i), *i));
            let first = &manuscripts[group[0]].1.article.place;
            for &double in &group[1..] {
                let place = manuscripts[double].1.article.place.clone();
                let what = format!("another article has the {name} {}", of(double));
                let help = format!("the other is {}; give one of the two another {key}", place_of(first));
                problems.push(Problem::at(place, 1, "", what).help(help));
                left_out.insert(double);
            }
        }
    }
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    (left_out, problems)
}

fn ahead(article: &Article, key: &str, moment: DateTime<FixedOffset>) -> Problem {
    let what = format!("`{key}` names a time to come: {}", moment.format("%Y-%m-%d %H:%M %:z"));
    let help = "feeds tell of it when that time has come; if it is not meant so, write when it was";
    Problem::at(article.place.clone(), 1, "", what).help(help).warning()
}

fn place_of(place: &Place) -> String {
    match place.line {
        0 => place.file.clone(),
        line => format!("{}:{line}", place.file),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::newsroom::manuscript::{Context, File, from_files};

    fn masthead() -> Masthead {
        Masthead {
            title: "Paper".into(),
            description: String::new(),
            url: "https://paper.example/".parse().unwrap(),
            feeds_url: "https://paper.example/feeds/".parse().unwrap(),
            language: "en".into(),
            copyright: None,
            authority: "paper.example".into(),
            icon: None,
            logo: None,
        }
    }

    fn newsroom(files: &[(&str, &str)], now: &str) -> Assembled {
        again(files, now, &Register::default())
    }

    fn again(files: &[(&str, &str)], now: &str, register: &Register) -> Assembled {
        let context = Context {
            site: masthead().url,
            house: "Paper".into(),
            time_zone: chrono_tz::UTC,
            sections: vec!["news".into(), "arts".into()],
        };
        let manuscripts = files
            .iter()
            .map(|(path, text)| {
                let name = format!("articles/{path}");
                let read = from_files(Some(File { name: &name, path, bytes: text.as_bytes() }), None, &context);
                assert_eq!(read.problems, [], "{path}");
                ((*path).to_owned(), read.manuscript.unwrap())
            })
            .collect();
        let now = now.parse().unwrap();
        assemble(masthead(), Vec::new(), manuscripts, register, &[], now)
    }

    fn titles(assembled: &Assembled) -> Vec<&str> {
        assembled.newsroom.articles.iter().map(|a| a.title.as_str()).collect()
    }

    const A: &str = "---\ntitle: A\ndate: 2026-01-01T00:00:00Z\n---\nText [b](b.md)";
    const B: &str = "---\ntitle: B\ndate: 2026-01-02T00:00:00Z\n---\nText";

    #[test]
    fn published_articles_stand_newest_first_and_the_rest_waits() {
        let files = [
            ("news/a.md", A),
            ("news/b.md", B),
            ("news/d.md", "---\ntitle: D\ndraft: true\n---\nx"),
            ("news/f.md", "---\ntitle: F\ndate: 2027-01-01T00:00:00Z\n---\nx"),
            ("news/w.md", "---\ntitle: W\ndate: 2025-01-01T00:00:00Z\nwithdrawn: {date: 2026-02-01}\n---\nx"),
        ];
        let before = newsroom(&files, "2026-01-15T00:00:00Z");
        assert_eq!(titles(&before), ["B", "A", "W"]);
        assert_eq!(before.next, Some("2026-02-01T00:00:00Z".parse().unwrap()));
        let after = newsroom(&files, "2026-02-01T00:00:00Z");
        assert_eq!(titles(&after), ["B", "A"]);
        assert_eq!(after.newsroom.withdrawn.len(), 1);
        assert_eq!(after.next, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(titles(&newsroom(&files, "2027-01-01T00:00:00Z")), ["F", "B", "A"]);
    }

    #[test]
    fn one_id_or_one_address_twice_is_a_problem_that_names_both_places() {
        let id = "---\nid: tag:paper.example,2026:x\ntitle: T\ndate: 2026-01-01T00:00:00Z\n---\nx";
        let result = newsroom(
            &[
                ("news/a.md", id),
                ("news/b.md", id),
                ("news/c.md", B),
                ("arts/c.md", &format!("---\nsection: news\n{}", &B[4..])),
            ],
            "2026-03-01T00:00:00Z",
        );
        let told: Vec<String> = result
            .problems
            .iter()
            .map(|p| format!("{}:{} {}", p.place.file, p.place.line, p.help.as_deref().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                "articles/arts/c.md:3 the other is articles/news/c.md:2; give one of the two another `slug`",
                "articles/news/b.md:2 the other is articles/news/a.md:2; give one of the two another `id`",
            ]
        );
        assert_eq!(result.newsroom.articles.len(), 2);
    }

    const NOW: &str = "2026-03-01T00:00:00Z";

    #[test]
    fn an_article_keeps_the_id_that_another_brings_and_both_are_told() {
        let first = newsroom(&[("news/b.md", B)], NOW);
        let id = first.newsroom.articles[0].id.0.clone();
        let thief = format!("---\nid: {id}\ntitle: T\ndate: 2026-01-03T00:00:00Z\n---\nAnother");
        let both = again(&[("news/a.md", &thief), ("news/b.md", B)], NOW, &first.register);
        assert_eq!(titles(&both), ["B"]);
        assert_eq!(both.newsroom.articles[0].id.0, id);
        assert_eq!(both.register, first.register);
        let Problem { place, what, help, .. } = &both.problems[0];
        assert_eq!((place.file.as_str(), place.line), ("articles/news/a.md", 2));
        assert!(what.contains(&id) && help.as_deref().unwrap().contains("articles/news/b.md:2"), "{what} {help:?}");
    }

    #[test]
    fn of_two_at_one_address_the_one_that_readers_have_stays() {
        let own = "---\nid: tag:paper.example,2026:x\nslug: b\ntitle: Own\ndate: 2026-01-03T00:00:00Z\n---\nx";
        let new = "---\nslug: b\ntitle: New\ndate: 2026-01-04T00:00:00Z\n---\nx";
        let known = B.replacen("title", "slug: b\ntitle", 1);
        for (old, stays) in [(known.as_str(), "B"), (own, "Own")] {
            let mut register = newsroom(&[("news/z.md", old)], NOW).register;
            // However often it is built.
            for _ in 0..3 {
                let both = again(&[("news/a.md", new), ("news/z.md", old)], NOW, &register);
                assert_eq!((titles(&both), both.problems.len()), (vec![stays], 1));
                register = both.register;
            }
        }
    }

    #[test]
    fn a_change_is_not_told_before_its_time() {
        let text = "---\ntitle: A\ndate: 2026-01-01T00:00:00Z\nupdated: 2026-04-01T00:00:00Z\ncorrections:\n\
                    - {date: 2026-02-01T00:00:00Z, text: One.}\n- {date: 2026-05-01T00:00:00Z, text: Two.}\n---\nx";
        let at = |now: &str| newsroom(&[("news/a.md", text)], now);
        let mut prints = std::collections::BTreeSet::new();
        for (now, changed, corrections, ahead, next) in [
            ("2026-01-15T00:00:00Z", "2026-01-01T00:00:00Z", 0, 3, Some("2026-02-01T00:00:00Z")),
            ("2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z", 1, 2, Some("2026-04-01T00:00:00Z")),
            ("2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z", 1, 1, Some("2026-05-01T00:00:00Z")),
            ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z", 2, 0, None),
        ] {
            let Assembled { newsroom, problems, next: due, .. } = at(now);
            let article = &newsroom.articles[0];
            assert_eq!(article.changed(), changed.parse::<DateTime<Utc>>().unwrap(), "{now}");
            assert_eq!((article.corrections.len(), problems.len()), (corrections, ahead), "{now}");
            assert_eq!(due, next.map(|next| next.parse().unwrap()), "{now}");
            assert!(problems.iter().all(|p| p.severity == crate::newsroom::Severity::Warning), "{problems:?}");
            prints.insert(article.fingerprint);
        }
        assert_eq!(prints.len(), 4, "each is another text");
    }

    #[test]
    fn an_article_changes_when_the_address_changes_that_it_links_to() {
        let print = |b: &str| {
            newsroom(&[("news/a.md", A), ("news/b.md", b)], "2026-03-01T00:00:00Z").newsroom.articles[1].fingerprint
        };
        let moved = format!("---\nslug: moved\n{}", &B[4..]);
        assert_ne!(print(B), print(&moved));
        assert_eq!(print(B), print(&format!("{B} more")));
    }
}
