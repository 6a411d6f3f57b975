//! The shape of the house (see `docs/ARCHITECTURE.md`): the order of modules, and what each floor may not touch.
//!
//! The rules read the source as text, so a bad snippet is enough to see that each of them can fail.

mod references;

use references::References;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Values in, values out: no disk, no network, no environment, no clock.
const PURE: [&str; 8] = ["error", "markup", "newsroom", "subscriber", "feed", "digest", "mail", "delivery"];

/// Each talks to one part of the world, and none of them to another.
const EDGES: [&str; 5] = ["source", "publish", "transport", "probe", "store"];

/// They meet in the ledger.
const ENGINES: [&str; 2] = ["press", "web"];

/// What only `cli` may name, beside themselves.
const WIRED_BY_CLI: [&str; 2] = ["config", "store"];

/// What reaches outside the process, or asks for the time. Tokio's runtime too: the core has nothing to wait for.
const WORLD: [&[&str]; 5] = [&["std", "fs"], &["std", "net"], &["std", "env"], &["std", "process"], &["tokio"]];

/// Addresses of machines are values and not connections.
const NET_VALUES: [&str; 3] = ["IpAddr", "Ipv4Addr", "Ipv6Addr"];

/// Types whose `now` asks for the time.
const CLOCKS: [&str; 4] = ["Utc", "Local", "SystemTime", "Instant"];

/// Crates that speak SQL.
const DATABASES: [&str; 3] = ["rusqlite", "tokio_postgres", "deadpool_postgres"];

/// The program's sources: the path below `src/`, and the text.
type Sources = BTreeMap<PathBuf, String>;

#[test]
fn every_module_keeps_to_its_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Sources::new();
    collect(&src, &src, &mut sources);
    let complaints = complaints(&sources);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn sql_files_lie_with_their_store() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "templates"] {
        walk(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} files were found: is this the right folder?", files.len());
    let strays: Vec<_> = files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "sql") && !file.starts_with(root.join("src/store")))
        .collect();
    assert!(strays.is_empty(), "SQL outside src/store: {strays:?}");
}

/// Everything that breaks a rule, as `file:line: what`.
fn complaints(sources: &Sources) -> Vec<String> {
    let Some(order) = sources.get(Path::new("lib.rs")).map(|lib| module_order(lib)) else {
        return vec!["src/lib.rs is missing".to_owned()];
    };
    let read: Vec<(&PathBuf, Vec<String>, References)> = sources
        .iter()
        .filter(|(file, _)| *file != Path::new("lib.rs") && *file != Path::new("main.rs"))
        .map(|(file, text)| {
            let module = module_path(file);
            let references = references::read(&module, text);
            (file, module, references)
        })
        .collect();
    let test_modules: Vec<&Vec<String>> = read.iter().flat_map(|(_, _, found)| &found.test_modules).collect();
    let mut complaints = Vec::new();
    for (file, module, found) in &read {
        if test_modules.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let mut say = |line: usize, what: String| complaints.push(format!("src/{}:{line}: {what}", file.display()));
        let floor = module[0].as_str();
        let Some(height) = order.iter().position(|name| name == floor) else {
            say(1, format!("`{floor}` is not a module of lib.rs"));
            continue;
        };
        for (line, path) in &found.paths {
            if let [krate, other, ..] = path.as_slice()
                && krate == "crate"
            {
                if let Some(what) = against_the_order(&order, floor, height, other) {
                    say(*line, what);
                }
            } else if let Some(what) = out_of_place(floor, path) {
                say(*line, what);
            }
        }
        for (line, text) in &found.literals {
            if floor != "store" && is_sql(text) {
                say(*line, "SQL; it belongs to `store`".to_owned());
            }
        }
    }
    complaints.dedup();
    complaints
}

/// What is wrong with `floor` naming `other`, if anything is.
fn against_the_order(order: &[String], floor: &str, height: usize, other: &str) -> Option<String> {
    if other == floor {
        return None;
    }
    let Some(other_height) = order.iter().position(|name| name == other) else {
        return Some(format!("`crate::{other}` is not a module of lib.rs"));
    };
    if EDGES.contains(&floor) && EDGES.contains(&other) {
        return Some(format!("the edge `{floor}` names the edge `{other}`"));
    }
    if ENGINES.contains(&floor) && ENGINES.contains(&other) {
        return Some(format!("the engine `{floor}` names the engine `{other}`"));
    }
    if WIRED_BY_CLI.contains(&other) && floor != "cli" {
        return Some(format!("`{floor}` names `{other}`, which only `cli` may"));
    }
    (other_height > height).then(|| format!("`{floor}` names `{other}`, which stands below it in lib.rs"))
}

/// What is wrong with `floor` naming this path of another crate, if anything is.
fn out_of_place(floor: &str, path: &[String]) -> Option<String> {
    let written = path.join("::");
    if floor != "store" && DATABASES.contains(&path[0].as_str()) {
        return Some(format!("`{written}`: only `store` knows databases"));
    }
    if !PURE.contains(&floor) {
        return None;
    }
    let asks_time = path.windows(2).any(|two| CLOCKS.contains(&two[0].as_str()) && two[1] == "now");
    let value = path.get(2).is_some_and(|name| NET_VALUES.contains(&name.as_str()));
    let touches_world =
        WORLD.iter().any(|world| path.iter().map(String::as_str).take(world.len()).eq(world.iter().copied()));
    if asks_time {
        return Some(format!("`{written}`: `{floor}` is pure, `now` is an argument"));
    }
    (touches_world && !value).then(|| format!("`{written}`: `{floor}` is pure"))
}

/// Whether a string literal is a statement for a database. Prose may say "select"; it does not say it like this.
fn is_sql(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let first_two = words.iter().take(2).map(|w| w.to_ascii_lowercase()).collect::<Vec<_>>().join(" ");
    matches!(
        first_two.as_str(),
        "insert into"
            | "delete from"
            | "create table"
            | "create index"
            | "create unique"
            | "alter table"
            | "begin immediate"
    ) || words.first().is_some_and(|w| w.eq_ignore_ascii_case("pragma")) && words.len() > 1
        || words.first() == Some(&"SELECT")
        || words.first() == Some(&"UPDATE") && words.contains(&"SET")
        || words.first() == Some(&"WITH") && words.contains(&"SELECT")
}

/// The modules of lib.rs in their order.
fn module_order(lib: &str) -> Vec<String> {
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect()
}

/// `feed/rss.rs` is `["feed", "rss"]`.
fn module_path(file: &Path) -> Vec<String> {
    file.with_extension("").components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

fn collect(src: &Path, folder: &Path, sources: &mut Sources) {
    let mut files = Vec::new();
    walk(folder, &mut files);
    for file in files {
        if file.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&file).unwrap();
            sources.insert(file.strip_prefix(src).unwrap().to_owned(), text);
        }
    }
    let order = module_order(&sources[Path::new("lib.rs")]);
    for name in PURE.iter().chain(&EDGES).chain(&ENGINES).chain(&WIRED_BY_CLI) {
        assert!(order.iter().any(|o| o == name), "the rules speak of `{name}`, and lib.rs has no such module");
    }
    for name in &order {
        assert!(sources.contains_key(&Path::new(name).with_extension("rs")), "src/{name}.rs is missing");
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

mod the_rules_can_fail {
    use super::*;

    const LIB: &str = "pub mod newsroom;\npub mod feed;\npub mod publish;\npub mod store;\npub mod press;\npub mod web;\npub mod config;\npub mod cli;\n";

    /// The complaints about one file in a house of eight modules.
    fn check(file: &str, text: &str) -> Vec<String> {
        let sources = [("lib.rs", LIB), (file, text)];
        complaints(&sources.into_iter().map(|(file, text)| (PathBuf::from(file), text.to_owned())).collect())
    }

    #[track_caller]
    fn refused(file: &str, text: &str, line: usize, says: &str) {
        let complaints = check(file, text);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with(&format!("src/{file}:{line}: ")), "{complaints:?}");
        assert!(complaints[0].contains(says), "{complaints:?}");
    }

    #[track_caller]
    fn allowed(file: &str, text: &str) {
        assert_eq!(check(file, text), Vec::<String>::new());
    }

    #[test]
    fn a_module_names_only_modules_above_it() {
        allowed("feed.rs", "use crate::newsroom::Article;");
        refused("newsroom.rs", "\nuse crate::feed::Options;", 2, "`newsroom` names `feed`");
    }

    #[test]
    fn every_way_to_write_a_path_is_seen() {
        let says = "names `feed`";
        refused("newsroom/article.rs", "use super::super::feed::rss;", 1, says);
        refused("newsroom.rs", "use super::feed;", 1, says);
        refused("newsroom.rs", "use crate::{\n    newsroom::Article,\n    feed::{self, rss},\n};", 3, says);
        refused("newsroom.rs", "fn f() -> crate::feed::Options { todo!() }", 1, says);
        refused("newsroom.rs", "mod inner {\n    fn f() { super::super::feed::build() }\n}", 2, says);
        refused("newsroom.rs", "mod inner { }\nfn f() { self::super::feed::build() }", 2, says);
        refused("newsroom.rs", "pub(crate) use crate::feed as publication;", 1, says);
        refused("newsroom.rs", "fn f<'a>(_: &'a str) -> char { '\"' }\nuse crate::feed;", 2, says);
    }

    #[test]
    fn the_root_itself_cannot_be_a_way_around() {
        refused("newsroom.rs", "use crate::*;", 1, "`crate::*`");
        refused("newsroom.rs", "use super::*;", 1, "`crate::*`");
        refused("newsroom.rs", "use crate as root;", 1, "`crate::self`");
        refused("newsroom.rs", "use crate::printing::Press;", 1, "not a module");
        refused("printing.rs", "", 1, "`printing` is not a module");
    }

    #[test]
    fn comments_strings_and_visibilities_name_nothing() {
        allowed("newsroom.rs", "//! See [`crate::feed`].\n/* crate::feed /* nested */ crate::feed */");
        allowed(
            "newsroom.rs",
            r##"const A: &str = "crate::feed"; const B: &str = r#"" crate::feed"#; const C: &str = "\" crate::feed";"##,
        );
        allowed("newsroom.rs", "pub(crate) struct A; pub(super) struct B; impl A { fn f(self) { self.g() } }");
    }

    #[test]
    fn tests_may_name_what_they_like() {
        let body = "{ use crate::feed; fn f() { std::fs::read(\"x\"); } }";
        allowed("newsroom.rs", &format!("#[cfg(test)]\n#[allow(dead_code)]\nmod tests {body}"));
        allowed("newsroom.rs", "#[cfg(test)]\nuse crate::feed::{Options, rss};");
        refused("newsroom.rs", &format!("#[cfg(not(test))]\nmod real {{ {} }}", "use crate::feed;"), 2, "names `feed`");
        refused("newsroom.rs", "#[cfg(test)]\nmod tests { }\nuse crate::feed;", 3, "names `feed`");
    }

    #[test]
    fn a_file_of_tests_is_known_by_its_declaration() {
        let lib = ("lib.rs", LIB);
        let body = ("newsroom/tests.rs", "use crate::feed;");
        let house = |declaration| {
            let sources = [lib, body, ("newsroom.rs", declaration)];
            complaints(&sources.into_iter().map(|(f, t)| (PathBuf::from(f), t.to_owned())).collect())
        };
        assert_eq!(house("#[cfg(test)]\nmod tests;"), Vec::<String>::new());
        assert_eq!(house("mod tests;").len(), 1);
    }

    #[test]
    fn edges_do_not_know_each_other() {
        refused("store.rs", "use crate::publish::directory;", 1, "the edge `store` names the edge `publish`");
    }

    #[test]
    fn engines_do_not_know_each_other() {
        refused("web.rs", "use crate::press::Options;", 1, "the engine `web` names the engine `press`");
    }

    #[test]
    fn only_the_command_line_wires_configuration_and_stores() {
        allowed("cli/run.rs", "use crate::{config::Settings, store::sqlite};");
        refused("press.rs", "use crate::store::sqlite;", 1, "which only `cli` may");
        refused("config.rs", "use crate::store::sqlite;", 1, "which only `cli` may");
    }

    #[test]
    fn the_core_touches_no_disk_network_environment_or_clock() {
        for world in ["std::fs::read", "std::net::TcpStream", "std::env::var", "std::process::exit", "tokio::spawn"] {
            refused("feed/rss.rs", &format!("fn f() {{ {world}(x) }}"), 1, "`feed` is pure");
            allowed("publish/directory.rs", &format!("fn f() {{ {world}(x) }}"));
        }
        for clock in ["Utc::now", "chrono::Local::now", "std::time::SystemTime::now", "Instant::now"] {
            refused("feed.rs", &format!("fn f() {{ {clock}() }}"), 1, "`now` is an argument");
        }
        refused("feed.rs", "use std::{fmt, fs};", 1, "`std::fs`");
        refused("feed.rs", "use std::{net::{IpAddr, TcpStream}};", 1, "`std::net::TcpStream`");
        allowed("feed.rs", "use std::{fmt, net::IpAddr};\nfn f(now: DateTime<Utc>) { env!(\"X\"); }");
    }

    #[test]
    fn sql_stays_with_the_stores() {
        for sql in ["SELECT 1", "insert into a values (1)", "UPDATE a\\n SET b = 1", "PRAGMA user_version"] {
            refused("press.rs", &format!("const A: &str = \"{sql}\";"), 1, "SQL");
            allowed("store/sqlite.rs", &format!("const A: &str = \"{sql}\";"));
        }
        refused("press.rs", "use rusqlite::Connection;", 1, "only `store` knows databases");
        allowed("cli.rs", "const A: &str = \"select a digest from the list, or update the file\";");
    }
}
