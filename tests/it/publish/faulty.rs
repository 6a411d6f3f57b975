//! `publish` to a real S3 server that stands behind a line on which everything goes wrong.

use super::stores::Moto;
use super::{QUICK, to_bucket};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// It goes through, and so does its answer.
    None,
    /// The line breaks before the body has come.
    CutRequest,
    /// The line breaks when all has come; the store hears nothing of it.
    Drop,
    /// 500, from a proxy in between.
    Error,
    /// 503 with the words of S3.
    SlowDown,
    /// The store does it, and the line breaks before its answer.
    CutAnswer,
    /// The store does it, and half of its answer comes.
    HalfAnswer,
    /// The store does it, and the answer comes when nobody waits any more.
    Late,
    /// Nothing happens for as long as the client waits.
    Hold,
}

impl Fault {
    /// Whether the store has it then.
    fn arrives(self) -> bool {
        matches!(self, Fault::None | Fault::CutAnswer | Fault::HalfAnswer | Fault::Late)
    }
}

/// A proxy that does to each request what the test says.
pub(super) struct Line {
    pub(super) endpoint: Url,
    seen: Arc<Mutex<Vec<(String, Fault)>>>,
    rule: Rule,
}

type Rule = Arc<Mutex<Box<dyn Fn(&str, usize) -> Fault + Send>>>;

impl Line {
    /// Before this store. `rule` gets the request (`PUT /advocate/…`) and the how-manieth time it comes.
    pub(super) fn before(store: &Url, rule: impl Fn(&str, usize) -> Fault + Send + 'static) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (seen, store) = (Arc::<Mutex<Vec<(String, Fault)>>>::default(), store.socket_addrs(|| None).unwrap()[0]);
        let rule: Rule = Arc::new(Mutex::new(Box::new(rule)));
        let line = Line { endpoint, seen: seen.clone(), rule: rule.clone() };
        let times: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, times, rule) = (seen.clone(), times.clone(), rule.clone());
                std::thread::spawn(move || {
                    let decide = |name: &str| {
                        let mut times = times.lock().unwrap();
                        let time = times.entry(name.to_owned()).or_default();
                        *time += 1;
                        let fault = rule.lock().unwrap()(name, *time);
                        seen.lock().unwrap().push((name.to_owned(), fault));
                        fault
                    };
                    // A client that is gone is part of the matter.
                    let _ = one_request(client, store, decide);
                });
            }
        });
        line
    }

    /// From now on this happens.
    pub(super) fn rule(&self, rule: impl Fn(&str, usize) -> Fault + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// The requests that came, in order, and what became of them.
    pub(super) fn seen(&self) -> Vec<(String, Fault)> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

fn one_request(
    mut client: TcpStream,
    store: std::net::SocketAddr,
    decide: impl FnOnce(&str) -> Fault,
) -> std::io::Result<()> {
    let (mut request, mut piece) = (Vec::new(), [0; 16_384]);
    let end = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match client.read(&mut piece)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let fault = decide(&format!("{method} {}", target.split('?').next().unwrap()));
    if fault == Fault::CutRequest {
        return Ok(());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    while request.len() < end + length.unwrap_or(0) {
        match client.read(&mut piece)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let mut answer = Vec::new();
    if fault.arrives() {
        let mut there = TcpStream::connect(store)?;
        let (line, rest) = head.split_once("\r\n").unwrap();
        write!(there, "{line}\r\nConnection: close\r\n{rest}")?;
        there.write_all(&request[end..])?;
        there.read_to_end(&mut answer)?;
    }
    match fault {
        Fault::None => client.write_all(&answer),
        Fault::Error => client.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        Fault::SlowDown => {
            let body = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            let length = body.len();
            write!(
                client,
                "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        }
        Fault::HalfAnswer => client.write_all(&answer[..answer.len() / 4]),
        Fault::Late | Fault::Hold => {
            std::thread::sleep(QUICK.request + Duration::from_millis(500));
            client.write_all(&answer)
        }
        Fault::CutRequest | Fault::Drop | Fault::CutAnswer => Ok(()),
    }
}

/// The stage of a publication that a request belongs to.
fn stage(request: &str) -> u8 {
    match request {
        path if path.contains("/archive/") => 0,
        path if path.ends_with("index.html") || path.ends_with("opml") => 2,
        _ => 1,
    }
}

const ALL: [Fault; 8] = [
    Fault::CutRequest,
    Fault::Drop,
    Fault::Error,
    Fault::SlowDown,
    Fault::CutAnswer,
    Fault::HalfAnswer,
    Fault::Late,
    Fault::Hold,
];

#[test]
fn behind_a_line_that_fails_in_every_way_all_arrives_in_order_and_is_sent_until_it_is_acknowledged() {
    let Some(moto) = Moto::start() else { return };
    // Each object meets three faults in a row, each another three, and then none.
    let line = Line::before(&moto.endpoint, |request, time| {
        let first = request.bytes().map(usize::from).sum::<usize>();
        if request.starts_with("PUT") && time <= 3 { ALL[(first + time) % ALL.len()] } else { Fault::None }
    });
    let desk = to_bucket(&line.endpoint);
    assert_eq!(desk.publish().unwrap().sent.len(), 11);
    let puts: Vec<(String, Fault)> = line.seen().into_iter().filter(|(name, _)| name.starts_with("PUT")).collect();
    for fault in ALL {
        assert!(puts.iter().any(|(_, seen)| *seen == fault), "{fault:?} was never tried: {puts:?}");
    }
    assert_eq!(puts.len(), 11 * 4, "each three times in vain, and once more: {puts:?}");
    assert_eq!(puts.iter().filter(|(_, fault)| *fault == Fault::None).count(), 11);
    let stages: Vec<u8> = puts.iter().map(|(request, _)| stage(request)).collect();
    assert!(stages.is_sorted(), "a feed was sent before an archive was acknowledged: {puts:?}");
    let arrived = puts.iter().filter(|(_, fault)| fault.arrives()).count();
    assert_eq!(moto.requests("PUT").len(), arrived, "and the store has had what the line let through");
    for (path, bytes) in super::tree(&desk.feeds()) {
        let path = path.to_str().unwrap();
        let there = moto.get(&format!("/advocate/feeds/{path}"));
        assert_eq!((there.status, &there.body), (200, &bytes), "{path}");
        let wanted = pressrun::feed::media::of(path);
        assert_eq!(there.header("content-type"), wanted.content_type, "{path}");
        assert_eq!(there.header("cache-control"), wanted.cache_control(), "{path}");
    }
    line.forget();
    assert_eq!(desk.publish().unwrap().sent.len(), 0);
    assert_eq!(line.seen(), [], "nothing is left to do");
}

#[test]
fn when_the_line_stays_broken_no_feed_is_sent_and_afterwards_only_the_rest() {
    let Some(moto) = Moto::start() else { return };
    for fault in [Fault::Drop, Fault::Error, Fault::SlowDown] {
        let line =
            Line::before(
                &moto.endpoint,
                move |request, _| {
                    if request.ends_with("archive/atom-0002.xml") { fault } else { Fault::None }
                },
            );
        let desk = to_bucket(&line.endpoint);
        let title = format!("after {fault:?}");
        for name in ["archive/atom-0001.xml", "archive/atom-0002.xml", "rss.xml"] {
            let file = desk.feeds().join(name);
            fs::write(&file, fs::read_to_string(&file).unwrap().replace("Article", &title)).unwrap();
        }
        let error = desk.publish().unwrap_err();
        assert!(error.to_string().contains("archive/atom-0002.xml"), "{error}");
        let tried = line.seen().iter().filter(|(_, seen)| *seen == fault).count();
        assert_eq!(tried, 1 + QUICK.tries, "{fault:?}");
        assert!(line.seen().iter().all(|(request, _)| !request.starts_with("PUT") || stage(request) == 0), "{fault:?}");
        let arrived = line.seen().iter().filter(|(r, seen)| r.starts_with("PUT") && *seen == Fault::None).count();
        line.rule(|_, _| Fault::None);
        line.forget();
        let report = desk.publish().unwrap();
        let sent = line.seen().iter().filter(|(request, _)| request.starts_with("PUT")).count();
        assert_eq!(report.sent.len(), sent, "each once");
        assert!(report.sent.iter().any(|path| path == "archive/atom-0002.xml") && arrived + sent >= 3, "{fault:?}");
        assert!(moto.get("/advocate/feeds/archive/atom-0002.xml").text().contains(&title));
        assert!(moto.get("/advocate/feeds/rss.xml").text().contains(&title));
    }
}

#[test]
fn a_listing_that_breaks_off_is_asked_for_again() {
    let Some(moto) = Moto::start() else { return };
    let line = Line::before(&moto.endpoint, |_, _| Fault::None);
    let desk = to_bucket(&line.endpoint);
    desk.publish().unwrap();
    for fault in ALL {
        fs::remove_file(desk.record()).unwrap();
        line.forget();
        line.rule(move |request, time| if request.starts_with("GET") && time <= 1 { fault } else { Fault::None });
        let report = desk.publish().unwrap();
        assert_eq!((report.sent.len(), report.unchanged), (0, 11), "{fault:?}");
        assert!(line.seen().iter().all(|(request, _)| request.starts_with("GET")), "{fault:?}: {:?}", line.seen());
    }
}
