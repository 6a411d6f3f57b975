//! Tables in plain text.

use std::fmt::Write as _;

use super::layout::{columns, wrapped};
use super::words::strip;
use crate::markup::escape;
use crate::markup::nesting::Tags;

/// Between two columns.
const GAP: usize = 2;

/// The narrowest column into which a long cell is wrapped.
const NARROWEST: usize = 12;

#[derive(Default)]
struct Cell {
    words: String,
    head: bool,
    right: bool,
}

/// The inside of a `table` element as preformatted HTML: in columns where they fit into `width`, otherwise one record
/// after the other with the heads as names. Links of the cells follow below.
pub(super) fn drawn(inside: &str, width: usize) -> String {
    let (caption, mut rows, links) = read(inside);
    rows.retain(|row| row.iter().any(|cell| !cell.words.is_empty()));
    let mut out = String::new();
    if !caption.is_empty() {
        let _ = write!(out, "<p>{}</p>", escape::html(&caption));
    }
    if !rows.is_empty() {
        let lines = match fitted(&rows, width) {
            Some(widths) => in_columns(&rows, &widths),
            None => as_records(&rows, width),
        };
        let _ = write!(out, "<pre>{}\n</pre>", escape::html(&lines.join("\n")));
    }
    if !links.is_empty() {
        let _ = write!(out, "<p>{}</p>", links.join("; "));
    }
    out
}

fn read(inside: &str) -> (String, Vec<Vec<Cell>>, Vec<String>) {
    let (mut caption, mut rows, mut links): (_, Vec<Vec<Cell>>, _) = (String::new(), Vec::new(), Vec::new());
    let mut cell: Option<(Cell, usize)> = None;
    let (mut caption_at, mut link_at, mut nested) = (None, None, 0_usize);
    for tag in Tags(inside, 0) {
        let (name, whole) = (tag.name.to_ascii_lowercase(), &inside[tag.start..tag.end]);
        if name == "a" {
            if !tag.closes {
                link_at = Some(tag.start);
            } else if let Some(from) = link_at.take() {
                links.push(inside[from..tag.end].to_owned());
            }
        }
        if name == "table" {
            nested = if tag.closes { nested.saturating_sub(1) } else { nested + 1 };
        }
        // A table in a cell is nothing but its words.
        if nested > 0 {
            continue;
        }
        let ends_cell = matches!((name.as_str(), tag.closes), ("td" | "th" | "tr" | "tbody" | "tfoot" | "thead", _));
        if ends_cell && let Some((mut done, from)) = cell.take() {
            done.words = strip(&inside[from..tag.start]);
            if rows.is_empty() {
                rows.push(Vec::new());
            }
            if let Some(row) = rows.last_mut() {
                row.push(done);
            }
        }
        match (name.as_str(), tag.closes) {
            ("tr", false) => rows.push(Vec::new()),
            ("td" | "th", false) => {
                let right = whole.contains("align=\"right\"");
                cell = Some((Cell { head: name == "th", right, ..Cell::default() }, tag.end));
            }
            ("caption", false) => caption_at = Some(tag.end),
            ("caption", true) => {
                caption = caption_at.take().map_or_else(String::new, |from| strip(&inside[from..tag.start]));
            }
            _ => {}
        }
    }
    if let (Some((mut done, from)), Some(row)) = (cell, rows.last_mut()) {
        done.words = strip(&inside[from..]);
        row.push(done);
    }
    (caption, rows, links)
}

/// How wide each column is, if they fit.
fn fitted(rows: &[Vec<Cell>], width: usize) -> Option<Vec<usize>> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let of_column = |n: usize| rows.iter().filter_map(move |row| row.get(n));
    let mut widths: Vec<usize> =
        (0..count).map(|n| of_column(n).map(|c| columns(&c.words)).max().unwrap_or(0)).collect();
    let least: Vec<usize> = (0..count)
        .map(|n| {
            let longest = of_column(n).flat_map(|c| c.words.split(' ')).map(columns).max().unwrap_or(0);
            longest.max(NARROWEST.min(widths[n]))
        })
        .collect();
    let gaps = GAP * count.saturating_sub(1);
    loop {
        let total = widths.iter().sum::<usize>() + gaps;
        if total <= width {
            return Some(widths);
        }
        let widest = (0..count).filter(|n| widths[*n] > least[*n]).max_by_key(|n| widths[*n])?;
        widths[widest] = widths[widest].saturating_sub(total - width).max(least[widest]);
    }
}

fn in_columns(rows: &[Vec<Cell>], widths: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    let whole = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let several = rows.iter().any(|row| row.iter().zip(widths).any(|(cell, width)| columns(&cell.words) > *width));
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<Vec<String>> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| wrapped(&cell.words, *width).lines().map(str::to_owned).collect())
            .collect();
        for n in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for ((cell, pieces), width) in row.iter().zip(&cells).zip(widths) {
                let piece = pieces.get(n).map_or("", String::as_str);
                let room = " ".repeat(width.saturating_sub(columns(piece)));
                let (before, after) = if cell.right { (room.as_str(), "") } else { ("", room.as_str()) };
                let _ = write!(line, "{before}{piece}{after}{}", " ".repeat(GAP));
            }
            lines.push(line.trim_end().to_owned());
        }
        let head = row.iter().all(|cell| cell.head);
        if head && rows.get(at + 1).is_some_and(|next| !next.iter().all(|cell| cell.head)) {
            lines.push("-".repeat(whole));
        } else if several && at + 1 < rows.len() {
            lines.push(String::new());
        }
    }
    lines
}

fn as_records(rows: &[Vec<Cell>], width: usize) -> Vec<String> {
    let (heads, rows) = match rows {
        [first, rest @ ..] if first.iter().all(|cell| cell.head) && !rest.is_empty() => (first.as_slice(), rest),
        _ => (&[][..], rows),
    };
    let mut lines = Vec::new();
    for row in rows {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        for (n, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.words.is_empty()) {
            let named = match heads.get(n).map(|h| h.words.as_str()).filter(|h| !h.is_empty()) {
                Some(head) => format!("{head}: {}", cell.words),
                None => cell.words.clone(),
            };
            lines.extend(wrapped(&named, width).lines().map(str::to_owned));
        }
    }
    lines
}
