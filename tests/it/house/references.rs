//! Which paths and string literals a Rust source names, and on which lines. Comments and `#[cfg(test)]` items do not count.
//!
//! It knows just enough of the language: comments, strings, lifetimes, `use` trees, inline modules.

/// What one file names.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Paths with their lines. Those into this crate begin with `crate`, whether they were written with `crate`, `self` or `super`.
    pub(super) paths: Vec<(usize, Vec<String>)>,
    /// String literals with their lines.
    pub(super) literals: Vec<(usize, String)>,
    /// Modules that exist in tests only and have files of their own, as paths below the crate.
    pub(super) test_modules: Vec<Vec<String>>,
}

/// Reads the source of the module at `module`: `["feed", "rss"]` for `src/feed/rss.rs`, empty for `src/lib.rs`.
pub(super) fn read(module: &[String], source: &str) -> References {
    let mut found = References::default();
    let tokens = without_tests(&tokens(source), module, &mut found.test_modules);
    let mut here: Vec<String> = module.to_vec();
    let mut depth = 0_usize;
    let mut inline: Vec<usize> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let line = tokens[i].line;
        match &tokens[i].kind {
            Kind::Text(text) => found.literals.push((line, text.clone())),
            Kind::Mark('{') => depth += 1,
            Kind::Mark('}') => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            Kind::Word(word) if word == "mod" => {
                if let (Some(name), Some(Kind::Mark('{'))) = (word_at(&tokens, i + 1), kind_at(&tokens, i + 2)) {
                    here.push(name.to_owned());
                    inline.push(depth);
                    depth += 1;
                    i += 2;
                }
            }
            Kind::Word(word) if word == "use" => {
                let mut leaves = Vec::new();
                i = use_tree(&tokens, i + 1, &Vec::new(), &mut leaves);
                for (line, path) in leaves {
                    let mut path = absolute(path, &here);
                    if path == ["crate"] {
                        path.push("self".to_owned());
                    }
                    found.paths.push((line, path));
                }
                continue;
            }
            Kind::Word(word) => {
                let mut path = vec![word.clone()];
                while let (Some(Kind::Separator), Some(next)) = (kind_at(&tokens, i + 1), word_at(&tokens, i + 2)) {
                    path.push(next.to_owned());
                    i += 2;
                }
                found.paths.push((line, absolute(path, &here)));
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// `self` and `super` resolved; a path into another crate is left as it is.
fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    if !path.first().is_some_and(|first| first == "self" || first == "super") {
        return path;
    }
    let mut base = here.to_vec();
    let mut rest = path.into_iter().peekable();
    while let Some(step) = rest.next_if(|step| step == "self" || step == "super") {
        if step == "super" {
            base.pop();
        }
    }
    std::iter::once("crate".to_owned()).chain(base).chain(rest).collect()
}

/// Reads one `use` tree from `i`; answers where it ends. Its leaves are whole paths.
fn use_tree(tokens: &[Token], mut i: usize, prefix: &[String], leaves: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(i).map_or(0, |t| t.line);
    loop {
        match kind_at(tokens, i) {
            Some(Kind::Separator) => i += 1,
            Some(Kind::Word(word)) if word == "as" => i += 2,
            Some(Kind::Word(word)) => {
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                i += 1;
            }
            Some(Kind::Mark('*')) => {
                path.push("*".to_owned());
                i += 1;
            }
            Some(Kind::Mark('{')) => {
                i += 1;
                while !matches!(kind_at(tokens, i), None | Some(Kind::Mark('}'))) {
                    i = use_tree(tokens, i, &path, leaves);
                    if matches!(kind_at(tokens, i), Some(Kind::Mark(','))) {
                        i += 1;
                    }
                }
                return i + 1;
            }
            // `,` `}` `;`, the `<` of `use<'a>` in a bound, or the end.
            _ => {
                leaves.push((line, path));
                return i;
            }
        }
    }
}

/// Takes out every item under `#[cfg(test)]`.
fn without_tests(tokens: &[Token], module: &[String], test_modules: &mut Vec<Vec<String>>) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        let Some(end) = attribute_end(tokens, i) else {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        };
        let says = |name: &str| tokens[i..end].iter().any(|t| matches!(&t.kind, Kind::Word(w) if w == name));
        if !(says("cfg") && says("test")) || says("not") {
            kept.extend_from_slice(&tokens[i..end]);
            i = end;
            continue;
        }
        i = end;
        while let Some(end) = attribute_end(tokens, i) {
            i = end;
        }
        let start = i;
        i = item_end(tokens, start);
        if let [
            ..,
            Token { kind: Kind::Word(m), .. },
            Token { kind: Kind::Word(name), .. },
            Token { kind: Kind::Mark(';'), .. },
        ] = &tokens[start..i]
            && m == "mod"
        {
            test_modules.push(module.iter().chain([name]).cloned().collect());
        }
    }
    kept
}

/// The end of the outer attribute that begins at `i`, if one does.
fn attribute_end(tokens: &[Token], i: usize) -> Option<usize> {
    if !matches!((kind_at(tokens, i), kind_at(tokens, i + 1)), (Some(Kind::Mark('#')), Some(Kind::Mark('[')))) {
        return None;
    }
    let mut depth = 0_usize;
    for (j, token) in tokens.iter().enumerate().skip(i + 1) {
        match token.kind {
            Kind::Mark('[') => depth += 1,
            Kind::Mark(']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(j + 1);
        }
    }
    None
}

/// The end of the item that begins at `i`: after its `;` or its block.
fn item_end(tokens: &[Token], i: usize) -> usize {
    let mut depth = 0_usize;
    for (j, token) in tokens.iter().enumerate().skip(i) {
        match token.kind {
            Kind::Mark('{' | '(' | '[') => depth += 1,
            Kind::Mark('}' | ')' | ']') if depth == 0 => return j,
            Kind::Mark('}') if depth == 1 => return j + 1,
            Kind::Mark('}' | ')' | ']') => depth -= 1,
            Kind::Mark(';') if depth == 0 => return j + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[derive(Debug, Clone)]
struct Token {
    line: usize,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// An identifier or a keyword, or a number.
    Word(String),
    /// `::`
    Separator,
    /// Any other sign.
    Mark(char),
    /// A string literal's content, escapes as written.
    Text(String),
}

fn kind_at(tokens: &[Token], i: usize) -> Option<&Kind> {
    tokens.get(i).map(|t| &t.kind)
}

fn word_at(tokens: &[Token], i: usize) -> Option<&str> {
    match kind_at(tokens, i) {
        Some(Kind::Word(word)) => Some(word),
        _ => None,
    }
}

fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    let mut out = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let kind = match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
                None
            }
            '/' if at(i + 1) == '*' => {
                i = comment_end(&chars, i);
                None
            }
            '"' => Some(string(&chars, &mut i)),
            // A lifetime is one sign and a word; a character literal is skipped.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
                None
            }
            '\'' if at(i + 2) == '\'' => {
                i += 3;
                None
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                Some(Kind::Separator)
            }
            c if is_word(c) => {
                while is_word(at(i)) {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    Some(raw_string(&chars, &mut i, hashes))
                } else if word == "r" && hashes == 1 && is_word(at(i + 1)) {
                    i += 1;
                    None
                } else if matches!(word.as_str(), "b" | "c") && at(i) == '"' {
                    Some(string(&chars, &mut i))
                } else {
                    Some(Kind::Word(word))
                }
            }
            c => {
                i += 1;
                (!c.is_whitespace()).then_some(Kind::Mark(c))
            }
        };
        if let Some(kind) = kind {
            out.push(Token { line, kind });
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// After the block comment that begins at `i`; they nest.
fn comment_end(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 1;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 1;
            }
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

/// The literal whose opening quote is at `i`; moves `i` behind it.
fn string(chars: &[char], i: &mut usize) -> Kind {
    let mut text = String::new();
    *i += 1;
    while let Some(&c) = chars.get(*i) {
        *i += 1;
        match c {
            '"' => break,
            '\\' => {
                text.push(c);
                text.extend(chars.get(*i));
                *i += 1;
            }
            c => text.push(c),
        }
    }
    Kind::Text(text)
}

/// The raw literal whose hashes begin at `i`; moves `i` behind it.
fn raw_string(chars: &[char], i: &mut usize, hashes: usize) -> Kind {
    *i += hashes + 1;
    let start = *i;
    while *i < chars.len() && !(chars[*i] == '"' && chars[*i + 1..].iter().take_while(|c| **c == '#').count() >= hashes)
    {
        *i += 1;
    }
    let text = chars[start..*i].iter().collect();
    *i = (*i + 1 + hashes).min(chars.len());
    Kind::Text(text)
}
