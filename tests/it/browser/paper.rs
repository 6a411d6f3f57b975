//! A paper at work, as the world sees it.

use mail_parser::MessageParser;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

use crate::support::front::Front;
use crate::support::room::{Room, Serving};
use crate::support::smtp_server::{Kept, Script, Server};

/// Where its pages are, as the sample's configuration says.
pub const PAGES: &str = "https://news.acero-advocate.example/";
const HOST: &str = "news.acero-advocate.example";
/// Until then nobody has filled in a form by hand, says the sample's configuration.
pub const FILL_TIME: Duration = Duration::from_millis(2_100);

/// The sample newsroom at work: `pressrun serve` behind TLS, and the server that takes its mails.
pub struct Paper {
    pub room: Room,
    pub serving: Serving,
    front: Front,
    server: Server,
    runtime: Runtime,
    written: u32,
}

impl Paper {
    pub fn open() -> Paper {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(Script::default()));
        let room = Room::sample();
        room.replace("config.yaml", "approval: editor", "approval: automatic");
        // All readers of a test sit in one network.
        room.replace("config.yaml", "per_network: 20", "per_network: 2000");
        let serving = room.serve(&["--no-press", "--transport", &format!("smtp://{}", server.address)]);
        let front = Front::before(serving.at);
        Paper { room, serving, front, server, runtime, written: 0 }
    }

    /// Where a browser finds the paper.
    pub fn hosts(&self) -> [(&'static str, SocketAddr); 2] {
        [(HOST, self.front.at), ("acero-advocate.example", self.front.at)]
    }

    /// Sends an edition with everything that is new, with a process of its own.
    pub fn send(&mut self) {
        let relay = format!("smtp://{}", self.server.address);
        self.room.run(&["--transport", &relay, "send", "middle-east-outreach"]).fine();
    }

    /// The same with a new piece in it.
    pub fn send_news(&mut self) {
        self.written += 1;
        let n = self.written;
        self.room.write(
            &format!("articles/middle-east-outreach/new-{n}.md"),
            &format!(
                "---\ntitle: News {n}\ndate: 2026-11-2{n}T08:00:00Z\nauthors: [Nadia Cavner]\n---\n\nMore of it.\n"
            ),
        );
        self.send();
    }

    /// All mails to somebody.
    pub fn mails(&self, to: &str) -> Vec<Kept> {
        self.server.kept().into_iter().filter(|mail| mail.to == to).collect()
    }

    /// The `n`-th mail to somebody, as soon as it is there.
    #[track_caller]
    pub fn mail(&self, to: &str, n: usize) -> Kept {
        let begun = Instant::now();
        loop {
            if let Some(mail) = self.mails(to).get(n) {
                return mail.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "no mail {n} to {to}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The first link to our pages in the `n`-th mail to somebody.
    pub fn first_link(&self, to: &str, n: usize) -> String {
        let mail = self.mail(to, n);
        let read = MessageParser::default().parse(&mail.message).unwrap();
        let text = read.body_text(0).unwrap().into_owned();
        text.split_whitespace().find(|word| word.starts_with(PAGES)).unwrap().to_owned()
    }

    /// How the subscriptions of an address stand, as `pressrun subscribers show` tells it.
    pub fn states(&self, address: &str) -> Vec<(String, String)> {
        let told = self.room.run(&["subscribers", "show", address]).fine().out;
        let held: serde_json::Value = serde_json::from_str(&told).unwrap();
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        held["subscriptions"].as_array().unwrap().iter().map(|s| (word(&s["digest"]), word(&s["state"]))).collect()
    }

    /// What a mailbox provider does when a reader presses its own button (RFC 8058, section 3.2).
    pub fn one_click(&self, mail: &Kept) -> (u16, String) {
        let header = |name: &str| {
            let read = MessageParser::default().parse(&mail.message).unwrap();
            read.header_raw(name).unwrap().split_whitespace().collect::<String>()
        };
        assert_eq!(header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
        let address =
            header("List-Unsubscribe").split(['<', '>']).find(|part| part.starts_with(PAGES)).unwrap().to_owned();
        self.runtime.block_on(async {
            let client = reqwest::Client::builder()
                .danger_accept_invalid_certs(true)
                .redirect(reqwest::redirect::Policy::none())
                .resolve(HOST, self.front.at)
                .build()
                .unwrap();
            let mut address: reqwest::Url = address.parse().unwrap();
            address.set_port(Some(self.front.at.port())).unwrap();
            let answer = client.post(address).form(&[("List-Unsubscribe", "One-Click")]).send().await.unwrap();
            let told = format!("{:?}", answer.headers());
            (answer.status().as_u16(), told)
        })
    }
}

/// The link that stands after these words in the text part.
#[track_caller]
pub fn link(mail: &Kept, after: &str) -> String {
    let read = MessageParser::default().parse(&mail.message).unwrap();
    let text = read.body_text(0).unwrap().into_owned();
    let (_, rest) = text.split_once(after).unwrap_or_else(|| panic!("{after:?} is not in {text}"));
    rest.split_whitespace().next().unwrap().to_owned()
}
