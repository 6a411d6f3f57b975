//! How fast could it be at all? The least that any program has to do, on two threads.
//!
//! `floor build ARTICLES OUT`: walks, reads, parses, sanitises, and writes three formats for the whole and each section,
//! every article in full, in pages. No configuration, no checks, no cache, no safe replacing of files.
//! `floor lean ARTICLES OUT`: the same, but safe by construction instead of by parsing the HTML once more. Less cannot be
//! done, and not by a program that takes HTML from others.
//! `floor stat ARTICLES`: only walks and stats, as any program must that looks for one changed article.

use feeds_bench::SECTIONS;
use feeds_bench::head;
use feeds_bench::item::{Gate, Item, item};
use feeds_bench::pages::Feed;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, thread};

const THREADS: usize = 2;
/// Articles that are rendered before their pages are written; bounds the memory.
const BATCH: usize = 1024;
/// Bytes in which every head ends.
const HEAD: usize = 2048;

/// Where an article is, and where it belongs. Sorts by time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    date: String,
    section: usize,
    file: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["build", articles, out] => Gate::sanitiser()
            .map_err(io::Error::other)
            .and_then(|gate| build(Path::new(articles), Path::new(out), &gate)),
        ["lean", articles, out] => build(Path::new(articles), Path::new(out), &Gate::Construction),
        ["stat", articles] => stat(Path::new(articles)),
        _ => {
            eprintln!("usage: floor build ARTICLES OUT\n       floor lean ARTICLES OUT\n       floor stat ARTICLES");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does `work` for each of [`THREADS`] shares at once, and gives the results in the order of the shares.
fn share<T: Send>(work: impl Fn(usize) -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            .collect()
    })
}

/// Calls `each` with every file of the sections that are share `n`.
fn walk(articles: &Path, n: usize, mut each: impl FnMut(usize, &fs::DirEntry) -> io::Result<()>) -> io::Result<()> {
    for (section, slug) in SECTIONS.iter().enumerate().skip(n).step_by(THREADS) {
        for file in fs::read_dir(articles.join(slug))? {
            each(section, &file?)?;
        }
    }
    Ok(())
}

fn stat(articles: &Path) -> io::Result<String> {
    let shares = share(|n| {
        let (mut files, mut newest) = (0_usize, None);
        walk(articles, n, |_, file| {
            let data = file.metadata()?;
            files += 1;
            newest = newest.max(Some((data.modified()?, data.len())));
            Ok(())
        })?;
        Ok((files, newest))
    })?;
    let files: usize = shares.iter().map(|share| share.0).sum();
    Ok(format!("{files} files, the newest of {:?}", shares.iter().filter_map(|share| share.1).max()))
}

fn build(articles: &Path, out: &Path, gate: &Gate) -> io::Result<String> {
    let mut entries: Vec<Entry> = share(|n| {
        let mut found = Vec::new();
        let mut buffer = [0; HEAD];
        walk(articles, n, |section, file| {
            let file = file.path();
            let length = File::open(&file)?.read_at(&mut buffer, 0)?;
            found.push(Entry { date: date(&buffer[..length]).ok_or_else(|| unreadable(&file))?, section, file });
            Ok(())
        })?;
        Ok(found)
    })?
    .into_iter()
    .flatten()
    .collect();
    entries.sort_unstable();

    let mut whole = Feed::create(out, "", "The Acero Advocate")?;
    let mut sections = SECTIONS
        .iter()
        .map(|slug| Feed::create(&out.join(slug), &format!("{slug}/"), slug))
        .collect::<io::Result<Vec<_>>>()?;
    for batch in entries.chunks(BATCH) {
        let half = batch.len().div_ceil(THREADS);
        let items: Vec<Item> =
            share(|n| render(batch.chunks(half).nth(n).unwrap_or_default(), gate))?.into_iter().flatten().collect();
        // Half of all bytes are the whole's, the other half the sections'.
        thread::scope(|scope| {
            let whole = scope.spawn(|| items.iter().try_for_each(|item| whole.push(item)));
            let rest = items.iter().zip(batch).try_for_each(|(item, entry)| sections[entry.section].push(item));
            whole.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))).and(rest)
        })?;
    }
    whole.finish()?;
    for section in sections {
        section.finish()?;
    }
    Ok(format!("{} articles", entries.len()))
}

fn render(entries: &[Entry], gate: &Gate) -> io::Result<Vec<Item>> {
    let mut text = String::new();
    entries
        .iter()
        .map(|entry| {
            text.clear();
            File::open(&entry.file)?.read_to_string(&mut text)?;
            let (head, body) = head::split(&text).ok_or_else(|| unreadable(&entry.file))?;
            Ok(item(&head, body, gate))
        })
        .collect()
}

/// The date in the first bytes of a file, which may end within a character of the body.
fn date(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
    };
    head::split(text).map(|(head, _)| head.date.to_owned())
}

fn unreadable(file: &Path) -> io::Error {
    io::Error::other(format!("{}: no front matter of the corpus", file.display()))
}
