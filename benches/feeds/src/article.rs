//! One article of the corpus, from nothing but its number.

use crate::SECTIONS;
use crate::prose;
use crate::random::Random;
use std::fmt::Write as _;

/// The fewest words in a body.
pub const WORDS_LEAST: usize = 600;
/// The most words in a body.
pub const WORDS_MOST: usize = 900;

/// A block is begun only while at least so many words are missing; none is longer.
const BLOCK_MOST: usize = 110;
/// No sentence is longer.
const SENTENCE_MOST: usize = 20;
/// The first article's day, in days since 1 January 1970: 1 January 1996.
const FIRST_DAY: u64 = 9_496;
/// Minutes from one article to the next; a million of them end before 2025.
const MINUTES_APART: u64 = 15;

/// One article of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Its section's slug.
    pub section: &'static str,
    /// The last part of its address, and its file's name without `.md`.
    pub slug: String,
    /// Front matter and Markdown: the whole file.
    pub text: String,
}

/// Article number `number`, counted from 1. The same number gives the same bytes on every machine and in a corpus of
/// any size; later numbers have later dates.
pub fn article(number: u64) -> Article {
    let mut random = Random::new(number);
    let section = random.pick(&SECTIONS);
    let slug = format!("article-{number:06}");
    let date = date(number);
    let title = format!("{}, and {}", prose::capitalised(&prose::phrase(&mut random)), prose::phrase(&mut random));
    let summary = prose::sentence(&mut random);
    let (author, second) = (prose::name(&mut random), prose::name(&mut random));
    let (tag, other) = (prose::topic(&mut random), prose::topic(&mut random));

    let mut text = format!(
        "---\nid: \"tag:acero-advocate.example,1996:{slug}\"\ntitle: \"{title}\"\ndate: {date}\nauthors:\n  - {author}\n"
    );
    if second != author && number.is_multiple_of(5) {
        let _ = writeln!(text, "  - {second}");
    }
    let _ = writeln!(text, "section: {section}\nslug: {slug}\nsummary: \"{summary}\"");
    let tags = if other == tag { tag.to_owned() } else { format!("{tag}, {other}") };
    let _ = writeln!(text, "tags: [{tags}]\n---\n");
    body(number, &mut random, &mut text);
    Article { section, slug, text }
}

/// `2001-02-03T04:05:00+00:00`. The civil calendar after Howard Hinnant's `civil_from_days`.
fn date(number: u64) -> String {
    let minutes = number * MINUTES_APART;
    let (days, minute) = (FIRST_DAY + minutes / 1440 + 719_468, minutes % 1440);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // months from March
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:00+00:00", minute / 60, minute % 60)
}

/// Words as a reader counts them: what white space separates, unless it is a mark of Markdown.
fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

fn body(number: u64, random: &mut Random, text: &mut String) {
    let wanted = random.between(WORDS_LEAST, WORDS_MOST - SENTENCE_MOST);
    let mut count = 0;
    let mut add = |count: &mut usize, block: &str| {
        *count += words(block);
        text.push_str(block);
        text.push_str("\n\n");
    };
    // Every article has one of each, the rest is paragraphs with now and then another.
    add(&mut count, &paragraph(random, number));
    for block in [list, quotation, table, heading] {
        add(&mut count, &block(random));
        add(&mut count, &paragraph(random, number));
    }
    while count + BLOCK_MOST < wanted {
        let block = match random.below(9) {
            0 => list(random),
            1 => quotation(random),
            2 => heading(random),
            3 => figure(random),
            _ => paragraph(random, number),
        };
        add(&mut count, &block);
    }
    let mut last = String::new();
    while count + words(&last) < wanted {
        last.push_str(&prose::sentence(random));
        last.push(' ');
    }
    add(&mut count, last.trim_end());
    text.pop();
}

fn paragraph(random: &mut Random, number: u64) -> String {
    let mut text = String::new();
    for _ in 0..random.between(3, 4) {
        text.push_str(&prose::sentence(random));
        text.push(' ');
    }
    match random.below(5) {
        0 => {
            let _ = write!(text, "See [{}](https://example.org/?a=1&b={}).", prose::phrase(random), random.below(900));
        }
        1 => {
            // To another article, relative to the site: such links have to be made absolute.
            let to = random.between(1, usize::try_from(number).unwrap_or(1));
            let _ = write!(
                text,
                "It began with [{}](/{}/article-{to:06}/).",
                prose::phrase(random),
                random.pick(&SECTIONS)
            );
        }
        2 => {
            let _ = write!(
                text,
                "That is *{}*, **{}**, `x < {}`.",
                prose::phrase(random),
                prose::phrase(random),
                random.below(99)
            );
        }
        3 => text.push_str(prose::foreign(random)),
        _ => text.push_str(&prose::sentence(random)),
    }
    text
}

fn heading(random: &mut Random) -> String {
    format!("## {}", prose::capitalised(&prose::phrase(random)))
}

fn quotation(random: &mut Random) -> String {
    format!("> “{}”\n>\n> — {}", prose::sentence(random), prose::name(random))
}

fn list(random: &mut Random) -> String {
    let ordered = random.below(2) == 0;
    let items: Vec<String> = (1..=random.between(3, 5))
        .map(|n| {
            if ordered { format!("{n}. {}", prose::sentence(random)) } else { format!("- {}", prose::sentence(random)) }
        })
        .collect();
    items.join("\n")
}

fn table(random: &mut Random) -> String {
    let mut text = String::from("| What | Who | How much |\n|---|---|---:|");
    for _ in 0..random.between(3, 6) {
        let _ = write!(text, "\n| {} | {} | {} € |", prose::phrase(random), prose::name(random), random.below(10_000));
    }
    text
}

fn figure(random: &mut Random) -> String {
    format!("![{}](/images/{}.jpg)", prose::capitalised(&prose::phrase(random)), random.below(500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_body_has_600_to_900_words() {
        for number in 1..=2000 {
            let text = article(number).text;
            let body = text.splitn(3, "---\n").nth(2).unwrap_or_default();
            let count = words(body);
            assert!((WORDS_LEAST..=WORDS_MOST).contains(&count), "article {number} has {count} words");
        }
    }

    #[test]
    fn the_corpus_has_not_changed_since_the_published_figures() {
        // FNV-1a over the first thousand: whoever changes the text has to measure everything again.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for number in 1..=1000 {
            for byte in article(number).text.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(format!("{hash:016x}"), "5b938f86d6b0d084");
    }

    #[test]
    fn a_hundred_articles_reach_all_sections() {
        let sections: BTreeSet<&str> = (1..=100).map(|number| article(number).section).collect();
        assert_eq!(sections, SECTIONS.into_iter().collect());
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0), "1996-01-01T00:00:00+00:00");
        assert_eq!(date(1), "1996-01-01T00:15:00+00:00");
        assert_eq!(date(96 * 59), "1996-02-29T00:00:00+00:00");
        assert_eq!(date(96 * 366), "1997-01-01T00:00:00+00:00");
        assert_eq!(date(1_000_000), "2024-07-08T16:00:00+00:00");
    }

    #[test]
    fn the_configuration_lists_the_same_sections() {
        let listed: Vec<&str> =
            include_str!("../config.yaml").lines().filter_map(|line| line.trim().strip_prefix("- slug: ")).collect();
        assert_eq!(listed, SECTIONS);
    }
}
