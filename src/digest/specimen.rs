//! A made-up digest and its pieces, to try templates on: everything that may be absent is there once and absent once.

use chrono::{DateTime, FixedOffset, TimeDelta};
use url::Url;

use super::{Approval, BodyLength, Digest, Sender};
use crate::newsroom::{Article, ArticleId, Author, Body, Correction, Enclosure, Image, Masthead, Place, Section};

/// A newsroom's own data.
pub fn masthead() -> Masthead {
    Masthead {
        title: "Specimen".into(),
        description: "A newsroom to try templates on.".into(),
        url: url(""),
        feeds_url: url("feeds/"),
        language: "en".into(),
        copyright: None,
        authority: "specimen.example".into(),
        icon: None,
        logo: Some(url("logo.png")),
    }
}

/// Its sections.
pub fn sections() -> Vec<Section> {
    let section = |slug: &str, title: &str| Section {
        slug: slug.into(),
        title: title.into(),
        description: String::new(),
        language: None,
    };
    vec![section("news", "News"), section("sports", "Sports")]
}

/// A digest of its section `news`.
pub fn digest() -> Digest {
    Digest {
        slug: "weekly".into(),
        title: "Specimen weekly".into(),
        description: "You asked for the specimen weekly.".into(),
        sections: vec!["news".into()],
        from: Sender { name: "Specimen".into(), address: address("desk@specimen.example") },
        reply_to: Some(Sender { name: String::new(), address: address("letters@specimen.example") }),
        subject: "{{digest.title}}".into(),
        preheader: "{{pieces.[0].title}}".into(),
        template: "digest".into(),
        schedule: None,
        time_zone: chrono_tz::UTC,
        pieces: 10,
        missed: super::Missed::Once,
        late: super::Missed::LATE,
        quiet: None,
        editors: Vec::new(),
        at_least: 1,
        body: BodyLength::Full,
        approval: Approval::Editor,
        language: "en".into(),
        list_id: "weekly.specimen.example".into(),
        postal_address: Some("1 Example Street, Springfield".into()),
    }
}

/// The article of this day; a later day is a newer article.
pub fn article(day: u32) -> Article {
    Article {
        id: ArticleId(format!("tag:specimen.example,2026:{day}")),
        title: format!("Piece {day}"),
        url: url(&format!("news/{day}")),
        external_url: None,
        published: moment(day),
        updated: None,
        authors: vec![Author { name: "A. Writer".into(), url: None }],
        section: "news".into(),
        slug: day.to_string(),
        summary: "What happened, in a sentence.".into(),
        tags: Vec::new(),
        image: None,
        enclosure: None,
        language: None,
        corrections: Vec::new(),
        contributors: Vec::new(),
        fingerprint: u64::from(day),
        place: Place::default(),
    }
}

/// Two pieces: one with everything that a piece may have, one with nothing of it.
pub fn pieces() -> Vec<(Article, Body)> {
    let full = Article {
        external_url: Some(Box::new(url("elsewhere"))),
        updated: Some(moment(3)),
        authors: vec![
            Author { name: "A. Writer".into(), url: Some(Box::new(url("people/a"))) },
            Author { name: "B. Writer".into(), url: None },
        ],
        tags: vec!["tag".into()],
        image: Some(Box::new(Image {
            url: url("image.png"),
            alt: "An image".into(),
            caption: Some("A caption".into()),
            credit: Some("A. Photographer".into()),
        })),
        enclosure: Some(Box::new(Enclosure {
            url: url("sound.mp3"),
            length: 1_000_000,
            media_type: "audio/mpeg".into(),
            duration: Some(754),
        })),
        language: Some("ar".into()),
        contributors: Vec::new(),
        corrections: vec![Correction { date: moment(3), text: "It was Tuesday.".into() }],
        ..article(2)
    };
    let body = |html: &str| Body { html: html.into(), late: false };
    vec![
        (full, body("<p>A <a href=\"https://specimen.example/a\">paragraph</a>.</p>")),
        (article(1), body("<p>Text.</p>")),
    ]
}

fn moment(day: u32) -> DateTime<FixedOffset> {
    DateTime::UNIX_EPOCH.fixed_offset() + TimeDelta::days(20_000 + i64::from(day))
}

#[allow(clippy::expect_used)] // constants of this file, read by its tests
fn url(path: &str) -> Url {
    format!("https://specimen.example/{path}").parse().expect("a sound URL")
}

#[allow(clippy::expect_used)] // constants of this file, read by its tests
fn address(text: &str) -> crate::subscriber::Address {
    text.parse().expect("a sound address")
}
