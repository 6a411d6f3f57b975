//! Words in columns of a fixed width.

/// Columns on a terminal, near enough for a line under a heading.
pub(super) fn columns(line: &str) -> usize {
    line.chars()
        .map(|c| usize::from(!('\u{300}'..='\u{36F}').contains(&c)) + usize::from(c >= '\u{1100}' && is_wide(c)))
        .sum()
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FF60}' | '\u{1F300}'..='\u{1FAFF}')
}

pub(super) fn wrapped(text: &str, width: usize) -> String {
    let (mut out, mut column) = (String::with_capacity(text.len()), 0);
    for word in text.split_whitespace() {
        let wide = columns(word);
        if column > 0 {
            let fits = column + 1 + wide <= width;
            out.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        out.push_str(word);
        column += wide;
    }
    out
}
