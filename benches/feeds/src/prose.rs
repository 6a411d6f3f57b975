//! Sentences of a fixed stock of words.

use crate::random::Random;

const NAMES: &[&str] = &[
    "Amara Nwosu",
    "Zoë Lindqvist",
    "Katarzyna Zając",
    "José Peña",
    "Siân Ó Briain",
    "Đặng Thị Hà",
    "Nadia Cavner",
    "Łukasz Wróbel",
    "Ayşe Yıldız",
    "Mélanie D’Œuvre",
    "Jörg Größler",
    "Ren Itō",
];
const TOPICS: &[&str] = &[
    "geology",
    "housing",
    "theatre",
    "water",
    "budget",
    "elections",
    "music",
    "football",
    "climate",
    "café",
    "film",
    "transport",
    "poetry",
    "astronomy",
    "food",
    "history",
];
const ADJECTIVES: &[&str] = &[
    "old",
    "quiet",
    "narrow",
    "unfinished",
    "green",
    "stubborn",
    "so-called",
    "naïve",
    "yearly",
    "public",
    "wooden",
    "late",
    "northern",
    "borrowed",
    "careful",
    "cold",
    "well-worn",
    "modest",
];
const NOUNS: &[&str] = &[
    "bridge",
    "committee",
    "library",
    "orchard",
    "café",
    "creek",
    "timetable",
    "façade",
    "choir",
    "laboratory",
    "ticket office",
    "garden",
    "ledger",
    "boiler",
    "rehearsal",
    "senate",
    "lawn",
    "archive",
    "kitchen",
    "printing shop",
    "résumé",
    "harbour",
    "bicycle",
    "workshop",
    "map",
    "tower",
];
const VERBS: &[&str] = &[
    "waits for",
    "replaces",
    "remembers",
    "pays for",
    "looks after",
    "borrows",
    "outlives",
    "explains",
    "interrupts",
    "measures",
    "feeds",
    "surprises",
    "leans on",
    "is named after",
    "makes room for",
];
const OPENINGS: &[&str] = &[
    "",
    "",
    "",
    "Since Tuesday ",
    "On paper, ",
    "For years ",
    "In the evening ",
    "Nobody disputes that ",
    "As one neighbour put it, ",
    "Before the war ",
    "At 21 °C ",
];
const ENDINGS: &[&str] = &[
    "",
    "",
    "",
    "",
    " — or so it seems",
    " again this spring",
    ", which cost € 1,250",
    " “for the time being”",
    ", two thirds of it by hand",
    " at a quarter past nine",
    " and asks for nothing",
];
/// Whole pieces in other scripts: right to left, wide characters, beyond the basic plane, combining marks.
const FOREIGN: &[&str] = &[
    "Στην αρχή ήταν ο λόγος.",
    "الماء حياة المدينة.",
    "図書館は今日も開いています。",
    "Ночь, улица, фонарь.",
    "सब ठीक है।",
    "Cafe\u{301} 🚲 crème brûlée 👩‍🔬",
    "שלום לכולם.",
];

/// The name of a person.
pub fn name(random: &mut Random) -> &'static str {
    random.pick(NAMES)
}

/// A tag.
pub fn topic(random: &mut Random) -> &'static str {
    random.pick(TOPICS)
}

/// A few words without a stop, for titles, headings, and cells.
pub fn phrase(random: &mut Random) -> String {
    format!("the {} {}", random.pick(ADJECTIVES), random.pick(NOUNS))
}

/// Text in another script.
pub fn foreign(random: &mut Random) -> &'static str {
    random.pick(FOREIGN)
}

/// A sentence of 6 to 19 words.
pub fn sentence(random: &mut Random) -> String {
    let text = format!(
        "{}{} {} {}{}.",
        random.pick(OPENINGS),
        phrase(random),
        random.pick(VERBS),
        phrase(random),
        random.pick(ENDINGS)
    );
    capitalised(&text)
}

/// The first letter made a capital.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
