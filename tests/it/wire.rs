//! What the tests of serving and publishing share: a small folder of feeds, the server on a port of its own, and a
//! client that sends exactly the bytes it is told to.

use pressrun::web;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};
use tokio::sync::oneshot;
use url::Url;

/// What the served newsroom calls its folder of feeds.
pub(crate) const PUBLIC: &str = "https://acero-advocate.example/feeds/";

/// Writes the feeds of a newsroom with articles 1 to `articles`, of which the current documents carry the newest three
/// and each archive page three more. Every file is replaced whole, as the builder does it.
pub(crate) fn build(folder: &Path, articles: usize) {
    let newest_first: Vec<String> = (1..=articles).rev().map(|n| format!("Article {n}")).collect();
    build_titled(folder, &newest_first);
}

/// The same with articles of these titles, newest first; an article's id is its place from the end.
pub(crate) fn build_titled(folder: &Path, titles: &[String]) {
    let articles: Vec<(usize, &String)> = titles.iter().enumerate().map(|(i, t)| (titles.len() - i, t)).collect();
    let pages = articles.len().saturating_sub(1) / 3;
    for page in 1..=pages {
        let from = articles.len() - page * 3;
        let slice = &articles[from..from + 3];
        let prev = (page > 1).then(|| page - 1);
        write(folder, &format!("archive/rss-{page:04}.xml"), &rss(slice, prev));
        write(folder, &format!("archive/atom-{page:04}.xml"), &atom(slice, prev));
        write(folder, &format!("archive/feed-{page:04}.json"), "{}");
    }
    let current = &articles[..articles.len().min(3)];
    let prev = (pages > 0).then_some(pages);
    write(folder, "rss.xml", &rss(current, prev));
    write(folder, "atom.xml", &atom(current, prev));
    write(
        folder,
        "feed.json",
        &format!("{{\"version\":\"https://jsonfeed.org/version/1.1\",\"title\":\"{}\"}}", titles[0]),
    );
    write(folder, "feeds.opml", "<opml version=\"2.0\"><body/></opml>");
    write(folder, "index.html", "<!doctype html><title>Feeds</title>");
}

/// Replaces a file whole.
pub(crate) fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

fn rss(articles: &[(usize, &String)], prev: Option<usize>) -> String {
    let mut items = String::new();
    for (n, title) in articles {
        let text = format!("The text of article {n}, <em>as it stands</em>. ").repeat(20);
        writeln!(
            items,
            "<item><title>{title}</title><link>https://acero-advocate.example/{n}</link><guid isPermaLink=\"false\">\
             tag:acero-advocate.example,2026:{n}</guid><pubDate>Sun, {n:02} Nov 2026 09:00:00 +0000</pubDate>\
             <description><![CDATA[{text}]]></description></item>"
        )
        .unwrap();
    }
    let prev = prev.map_or(String::new(), |p| {
        format!("<atom:link rel=\"prev-archive\" href=\"{PUBLIC}archive/rss-{p:04}.xml\"/>\n")
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel>\
         <title>The Acero Advocate</title><link>https://acero-advocate.example/</link><description>News</description>\n\
         {prev}{items}</channel></rss>\n"
    )
}

fn atom(articles: &[(usize, &String)], prev: Option<usize>) -> String {
    let mut entries = String::new();
    for (n, title) in articles {
        let text = format!("The text of article {n}. ").repeat(40);
        writeln!(
            entries,
            "<entry><id>tag:acero-advocate.example,2026:{n}</id><title>{title}</title><updated>2026-11-{n:02}T09:00:00Z\
             </updated><link href=\"https://acero-advocate.example/{n}\"/><content type=\"html\">{text}</content></entry>"
        )
        .unwrap();
    }
    let prev = prev
        .map_or(String::new(), |p| format!("<link rel=\"prev-archive\" href=\"{PUBLIC}archive/atom-{p:04}.xml\"/>\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"><id>{PUBLIC}atom.xml</id>\
         <title>The Acero Advocate</title><updated>2026-11-22T09:00:00Z</updated>\n{prev}{entries}</feed>\n"
    )
}

/// A running server; stops when dropped.
pub(crate) struct Served {
    pub(crate) at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    /// Serves this folder.
    pub(crate) fn folder(folder: &Path) -> Served {
        Served::with(web::Options::new(folder.to_owned(), Url::parse(PUBLIC).unwrap()))
    }

    /// Serves as these options say.
    pub(crate) fn with(options: web::Options) -> Served {
        Served::at(|_| options, axum::Router::new())
    }

    /// The same with pages beside the feeds.
    pub(crate) fn beside(options: web::Options, pages: axum::Router) -> Served {
        Served::at(|_| options, pages)
    }

    /// The same with options that depend on the address.
    pub(crate) fn at(options: impl FnOnce(SocketAddr) -> web::Options + Send + 'static, pages: axum::Router) -> Served {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = web::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
                let at = listener.local_addr().unwrap();
                tell.send(at).unwrap();
                web::serve(listener, options(at), pages, async {
                    let _ = stopped.await;
                })
                .await;
            });
        });
        Served { at: told.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// GET of this path.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// A request of its own connection.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: acero-advocate.example\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        request.push_str("\r\n");
        Answer::read(&self.send(request.as_bytes()))
    }

    /// Sends these bytes, and reads until the server closes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = self.connect();
        // The server may have said its word and closed before it has everything.
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.take();
    }
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
            panic!("no head in {:?}", String::from_utf8_lossy(bytes));
        });
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The header's value; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}
