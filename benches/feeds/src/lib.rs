//! The yardstick for Pressrun's feeds: [`article`] makes a corpus that is the same on every machine, [`head`] reads it
//! back with as little work as possible. The programs `corpus` and `floor` put them to use.

/// One article of the corpus, from nothing but its number.
pub mod article;
/// The metadata at the head of an article, scanned by hand.
pub mod head;
/// Sentences of a fixed stock of words.
pub mod prose;
/// Numbers that look random and are always the same.
pub mod random;

/// The slugs of the corpus's sections; `config.yaml` beside this package lists the same.
pub const SECTIONS: [&str; 12] = [
    "campus", "politics", "culture", "science", "sports", "opinion", "business", "health", "travel", "books",
    "weather", "letters",
];
/// An article as an item of the three formats.
pub mod item;
/// The documents of one feed, page by page.
pub mod pages;
