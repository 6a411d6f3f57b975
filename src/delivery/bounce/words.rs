//! How words are looked for in what a server says.
//!
//! Words are whole words: *locked* is not in *blocked*. One that ends in `*` may go on: *throttl\** is in *throttling*. Names say
//! nothing: a reader may live at `physicsinstitute.example`, and her server may be called `mx.frozen.example`.

/// What a server says, without the names in it, in small letters.
pub(super) struct Words(String);

/// What stands around names and words.
const AROUND: &[char] = &['<', '>', '(', ')', '[', ']', '{', '}', '"', '\'', ',', ';', ':', '=', '|'];
/// Lists of bad senders: where one is named, it is about us.
const LISTS: &[&str] = &["spamhaus", "spamcop", "barracudacentral", "sorbs", "senderbase", "uceprotect"];

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            let (word, link) = word.split_at(link(word));
            for piece in word.split_inclusive(AROUND) {
                let name = piece.trim_end_matches(AROUND);
                words.push_str(if is_name(name) { list(name) } else { name });
                words.push_str(&piece[name.len()..]);
            }
            words.push_str(list(link));
            words.push(' ');
        }
        // Where a name stood, the words around it are one text.
        let words = ["<>", "()", "[]"].iter().fold(words, |words, empty| words.replace(empty, " "));
        Words(words.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
    }

    /// Whether any of these is in it.
    pub(super) fn say(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.holds(words))
    }

    fn holds(&self, words: &str) -> bool {
        let (words, whole) = words.strip_suffix('*').map_or((words, true), |stem| (stem, false));
        self.0.match_indices(words).any(|(at, _)| {
            let before = self.0[..at].chars().next_back();
            let after = self.0[at + words.len()..].chars().next();
            parted(before, words.chars().next()) && (!whole || parted(words.chars().next_back(), after))
        })
    }
}

/// Whether a word ends between these two. Chinese and Japanese put nothing between words.
fn parted(one: Option<char>, next: Option<char>) -> bool {
    let joins = |c: char| c.is_alphanumeric() && !matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}');
    !(one.is_some_and(joins) && next.is_some_and(joins))
}

/// Where a link begins; the end, where there is none.
fn link(word: &str) -> usize {
    let Some(at) = word.find("://") else { return word.len() };
    word[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |before| before + 1)
}

/// Whether it is an address, or a host and perhaps what is on it. `unknown.Please` is two sentences, and
/// `RESOLVER.ADR.RecipNotFound` an error of Exchange: a capital with small letters behind it stands in no name of a host.
fn is_name(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default().trim_end_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    let sound = |label: &&str| {
        let mut letters = label.bytes();
        let first = letters.next();
        let sentence =
            first.is_some_and(|b| b.is_ascii_uppercase()) && letters.next().is_some_and(|b| b.is_ascii_lowercase());
        first.is_some() && !sentence && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = labels.last().copied().unwrap_or_default();
    let number = host.parse::<core::net::IpAddr>().is_ok();
    let is_host = labels.len() > 1
        && labels.iter().all(sound)
        && last.len() > 1
        && last.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    number || is_host || text.rsplit_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
}

/// The list of bad senders that a host or a link belongs to; nothing of anything else.
fn list(name: &str) -> &'static str {
    let mut labels = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let known = |label: &str| LISTS.iter().find(|list| label.eq_ignore_ascii_case(list)).copied();
    if name.contains('@') { "" } else { labels.find_map(known).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_nothing_and_what_stands_around_them_is_one_text() {
        for (text, wanted) in [
            ("<jo@physicsinstitute.example>: User unknown", ": user unknown"),
            ("host mx.frozen.example[192.0.2.7] said: no", "host said: no"),
            ("Local mailbox lev@mail.example is unavailable", "local mailbox is unavailable"),
            ("see https://junk.example/spam?x=1. Bye", "see bye"),
            ("for name=spam.example type=MX", "for name= type=mx"),
            ("gone.spam.example/blocked", ""),
            ("User unknown.Please write", "user unknown.please write"),
            ("5.1.1 RESOLVER.ADR.RecipNotFound; no", "5.1.1 resolver.adr.recipnotfound; no"),
            ("listed at zen.spamhaus.org", "listed at spamhaus"),
            ("(see https://www.spamcop.net/x)", "(see spamcop"),
            ("<jo@spamhaus.example>", ""),
            ("i.e. none", "i.e. none"),
        ] {
            assert_eq!(Words::of(text).0, wanted, "{text}");
        }
    }

    #[test]
    fn words_are_whole_words() {
        let says = |text: &str, words: &str| Words::of(text).say(&[words]);
        assert!(says("it is locked", "locked") && says("LOCKED.", "locked") && says("_is_locked.", "locked"));
        assert!(!says("it is blocked", "locked") && !says("lockedness", "locked"));
        assert!(says("throttling", "throttl*") && !says("unthrottled", "throttl*"));
        assert!(says("该邮箱已停用了", "邮箱已停用"));
    }
}
