//! From a body as written to the HTML that feeds and digests carry.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

use super::article::{Article, Body, Correction, Image};
use crate::markup::{self, absolute};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `CommonMark` with tables and footnotes.
    #[default]
    Markdown,
    /// HTML, sanitised.
    Html,
    /// Paragraphs with empty lines between them.
    Text,
}

impl Format {
    /// By a file's ending, without its dot.
    pub fn of_ending(ending: &str) -> Option<Format> {
        match ending {
            "md" | "markdown" => Some(Format::Markdown),
            "html" | "htm" => Some(Format::Html),
            "txt" => Some(Format::Text),
            _ => None,
        }
    }
}

/// Summaries made from a body have at most so many characters.
const SUMMARY_CHARS: usize = 200;
/// A summary is made from so much of the body.
const SUMMARY_SOURCE: usize = 4096;

/// Converts and sanitises a body, puts the leading picture before it and the corrections after it. `language` is that of
/// the article, its section, or the newsroom.
pub fn render(article: &Article, language: &str, format: Format, text: &str) -> Body {
    let mut html = convert(article, format, text);
    if let Some(image) = &article.image {
        // Many writers repeat the leading picture in the text; readers should see it once.
        let address = markup::escape::attribute(&absolute::written(&image.url));
        if !html.contains(&format!("src=\"{address}\"")) {
            html.insert_str(0, &figure(image, &address));
        }
    }
    if !article.corrections.is_empty() {
        if !html.is_empty() && !html.ends_with('\n') {
            html.push('\n');
        }
        html.push_str(&corrections(&article.corrections, language));
    }
    Body { html, late: false }
}

/// One or two sentences from the beginning of a body.
pub fn summary(article: &Article, format: Format, text: &str) -> String {
    let mut end = text.len().min(SUMMARY_SOURCE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let beginning = match text[..end].rfind("\n\n") {
        Some(paragraph) if end < text.len() => &text[..paragraph],
        _ => &text[..end],
    };
    markup::plain::summary(&convert(article, format, beginning), SUMMARY_CHARS)
}

fn convert(article: &Article, format: Format, text: &str) -> String {
    match format {
        _ if text.trim().is_empty() => String::new(),
        Format::Markdown => markup::markdown::to_html(text, &article.url),
        Format::Html => markup::sanitize::html(text, &article.url),
        Format::Text => markup::markdown::plain_text_to_html(text),
    }
}

fn figure(image: &Image, address: &str) -> String {
    let escape = |text: &str| markup::escape::html(&markup::escape::xml_chars(text));
    let mut html = format!(
        "<figure><img src=\"{address}\" alt=\"{}\">",
        markup::escape::attribute(&markup::escape::xml_chars(&image.alt)),
    );
    let caption = [
        image.caption.as_deref().map(escape),
        image.credit.as_deref().map(|credit| format!("<small>{}</small>", escape(credit))),
    ];
    let caption: Vec<String> = caption.into_iter().flatten().collect();
    if !caption.is_empty() {
        let _ = write!(html, "<figcaption>{}</figcaption>", caption.join(" "));
    }
    html.push_str("</figure>\n");
    html
}

fn corrections(corrections: &[Correction], language: &str) -> String {
    let primary = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let word = match primary.as_str() {
        "ar" => "تصحيح",
        "de" => "Berichtigung",
        "es" => "Corrección",
        "fr" => "Rectificatif",
        "it" => "Rettifica",
        "pt" => "Correção",
        _ => "Correction",
    };
    let mut html = String::from("<hr>\n");
    for correction in corrections {
        let text = markup::escape::html(&markup::escape::xml_chars(&correction.text));
        let _ = writeln!(html, "<p><strong>{word}, {}:</strong> {text}</p>", correction.date.format("%Y-%m-%d"));
    }
    html
}
