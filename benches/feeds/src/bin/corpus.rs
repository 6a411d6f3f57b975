//! `corpus N FOLDER`: writes N articles, a configuration for Pressrun, and a site for Hugo over the same articles.

use feeds_bench::SECTIONS;
use feeds_bench::article::article;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io, thread};

/// What stands beside the articles: name in the corpus, text.
const FILES: [(&str, &str); 5] = [
    ("config.yaml", include_str!("../../config.yaml")),
    ("hugo/hugo.yaml", include_str!("../../hugo/hugo.yaml")),
    ("hugo/layouts/list.rss.xml", include_str!("../../hugo/layouts/list.rss.xml")),
    ("hugo/layouts/list.atom.xml", include_str!("../../hugo/layouts/list.atom.xml")),
    ("hugo/layouts/list.jsonfeed.json", include_str!("../../hugo/layouts/list.jsonfeed.json")),
];

const THREADS: u64 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [count, folder] = arguments.as_slice() else {
        eprintln!("usage: corpus N FOLDER");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse::<u64>() else {
        eprintln!("corpus: '{count}' is not a number of articles");
        return ExitCode::from(2);
    };
    match write(count, Path::new(folder)) {
        Ok(bytes) => {
            println!("{count} articles, {bytes} bytes in {folder}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("corpus: {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the bytes of all articles. Into a new or empty folder only: what an older corpus left would be measured too.
fn write(count: u64, folder: &Path) -> io::Result<usize> {
    let articles = folder.join("articles");
    if articles.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "has articles already; remove it first"));
    }
    for section in SECTIONS {
        fs::create_dir_all(articles.join(section))?;
    }
    fs::create_dir_all(folder.join("hugo/layouts"))?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    let articles = articles.as_path();
    thread::scope(|scope| {
        let shares: Vec<_> =
            (0..THREADS).map(|first| scope.spawn(move || write_share(first, count, articles))).collect();
        let mut bytes = 0;
        for share in shares {
            bytes += share.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        }
        Ok(bytes)
    })
}

fn write_share(first: u64, count: u64, articles: &Path) -> io::Result<usize> {
    let step = usize::try_from(THREADS).unwrap_or(1);
    let mut bytes = 0;
    for number in (first + 1..=count).step_by(step) {
        let made = article(number);
        fs::write(articles.join(made.section).join(format!("{}.md", made.slug)), &made.text)?;
        bytes += made.text.len();
    }
    Ok(bytes)
}
