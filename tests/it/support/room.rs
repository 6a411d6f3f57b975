//! A newsroom in a folder that is thrown away, and the real program run in it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A newsroom in a folder of its own.
pub struct Room {
    folder: tempfile::TempDir,
}

/// `pressrun serve` at work; killed when dropped.
pub struct Serving {
    pub at: SocketAddr,
    pub child: Child,
}

impl Serving {
    /// Starts this command, which is `pressrun serve --json`.
    pub fn of(command: &mut Command) -> Serving {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).expect("it serves");
        Serving { at: event["address"].as_str().unwrap().parse().unwrap(), child }
    }

    /// Asks it to stop, as a service manager does; how it ended.
    pub fn stop(mut self) -> ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Room {
    /// The sample newsroom, as a fresh clone has it.
    pub fn sample() -> Self {
        let room = Room { folder: tempfile::tempdir().unwrap() };
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["config.yaml", "subscribers.csv"] {
            std::fs::copy(top.join(name), room.path(name)).unwrap();
        }
        copy_folder(&top.join("articles"), &room.path("articles"));
        room
    }

    /// One section, one digest with automatic approval, one article, and as many confirmed readers as asked for.
    pub fn small(readers: usize) -> Self {
        let room = Room { folder: tempfile::tempdir().unwrap() };
        room.write("config.yaml", SMALL);
        room.article(
            "first",
            "The first piece",
            "2026-03-01T08:00:00Z",
            "A short text with a [link](https://example.org/).",
        );
        room.readers(readers);
        room
    }

    /// Writes a list of as many confirmed readers as asked for: `reader00001@example.net`…
    pub fn readers(&self, count: usize) {
        let rows: Vec<String> = (1..=count).map(|n| format!("{},confirmed\n", address(n))).collect();
        self.write("subscribers.csv", &format!("email,state\n{}", rows.concat()));
    }

    /// Writes an article of the small newsroom.
    pub fn article(&self, name: &str, title: &str, date: &str, body: &str) {
        self.write(
            &format!("articles/news/{name}.md"),
            &format!("---\ntitle: {title}\ndate: {date}\nauthors: [A. Reporter]\n---\n\n{body}\n"),
        );
    }

    /// A path in the newsroom.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and its folder where it is missing.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a text that must be there.
    pub fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} does not contain {old:?}");
        self.write(name, &text.replace(old, new));
    }

    /// The program, ready to be started in this newsroom.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pressrun"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        for name in [
            "PRESSRUN_CONFIG",
            "PRESSRUN_TRANSPORT",
            "PRESSRUN_LOG",
            "PRESSRUN_SMTP_PASSWORD",
            "PRESSRUN_LEDGER_PASSWORD",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts `pressrun serve` on a port of its own.
    pub fn serve(&self, arguments: &[&str]) -> Serving {
        let all = [&["serve", "--json", "--bind", "127.0.0.1:0"], arguments].concat();
        Serving::of(&mut self.command(&all))
    }

    /// Changes the ledger behind the program's back; how many rows.
    pub fn sql(&self, statement: &str) -> usize {
        rusqlite::Connection::open(self.path("var/ledger.sqlite")).unwrap().execute(statement, []).unwrap()
    }

    /// How many deliveries are so.
    pub fn count(&self, condition: &str) -> usize {
        let ledger = rusqlite::Connection::open(self.path("var/ledger.sqlite")).unwrap();
        let count: i64 =
            ledger.query_row(&format!("SELECT count(*) FROM delivery WHERE {condition}"), [], |r| r.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }

    /// The mails in the outbox, by name.
    pub fn outbox(&self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.path("outbox")) else { return Vec::new() };
        let mut mails: Vec<_> = entries
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "eml"))
            .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&p).unwrap()))
            .collect();
        mails.sort();
        mails
    }

    /// Who has a mail in the outbox, sorted.
    pub fn mailed(&self) -> Vec<String> {
        let mut to: Vec<String> = self.outbox().iter().map(|(_, mail)| recipient(mail)).collect();
        to.sort();
        to
    }
}

impl Ran {
    /// The run went well.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The run failed with this exit code, and said these words on standard error.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "standard error lacks {word:?}: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }
}

/// The address of the n-th reader of a small newsroom.
pub fn address(n: usize) -> String {
    format!("reader{n:05}@example.net")
}

/// The address in a mail's To.
pub fn recipient(mail: &[u8]) -> String {
    let parsed = mail_parser::MessageParser::default().parse(mail).unwrap();
    parsed.to().unwrap().first().unwrap().address().unwrap().to_owned()
}

/// All files below a folder, by their names.
pub fn files(top: &std::path::Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(),
                    std::fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

const SMALL: &str = r#"newsroom:
  title: The Small Paper
  description: A paper for tests.
  url: https://small-paper.example/
  authority: small-paper.example
feeds:
  url: https://small-paper.example/feeds/
sections:
  - { slug: news, title: News, description: What is new. }
digests:
  - slug: news
    title: News by mail
    description: All news, once a week.
    sections: [news]
    from: The Small Paper <news@small-paper.example>
    subject: "{{digest.title}}: {{first.title}}"
    preheader: "{{first.summary}}"
    approval: automatic
    schedule: "0 7 * * FRI"
    time_zone: UTC
subscribers:
  file: subscribers.csv
  consent: made for a test
press:
  retry: { first: 50ms, factor: 1.5, longest: 1s, give_up_after: 1h }
public:
  url: https://news.small-paper.example/
  unsubscribe_mailbox: unsubscribe@small-paper.example
  return_path: bounces@small-paper.example
"#;
