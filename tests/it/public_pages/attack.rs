//! Clients that mean harm.

use pressrun::subscriber::request::{Requests, Terms};
use pressrun::subscriber::token::{About, Grant, Keys, Purpose};
use pressrun::web;
use pressrun::web::public::{Brakes, LARGEST_FORM};
use scraper::{Html, Selector};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::site::{Site, link, sign, terms, wide};
use crate::wire::Answer;

const COLUMN: &str = "middle-east-outreach";

/// Who writes this means no address.
const EVIL: [&str; 13] = [
    "'; DROP TABLE subscriber; --",
    "\"><script>alert(1)</script>",
    "{{#each this}}{{@root}}{{/each}}",
    "{paper} {{paper}}",
    "a@b.example\r\nBcc: c@d.example",
    "a@b.example\nX: y",
    "a@b.example,c@d.example",
    "a@b.example c@d.example",
    "<a@b.example>",
    "a@b.example\0",
    "a@[127.0.0.1]",
    "${7*7}#{7*7}<%= 7*7 %>",
    "../../../etc/passwd",
];

#[test]
fn ten_thousand_sign_ups_from_few_networks_send_no_more_than_the_limits_allow() {
    let brakes = Brakes {
        per_network: 20.try_into().unwrap(),
        per_domain: 30.try_into().unwrap(),
        in_all: 60.try_into().unwrap(),
        fill_time: Duration::ZERO,
    };
    let site = Site::with(brakes, terms());
    let stamp = site.stamp();
    let mut statuses = BTreeSet::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (site, stamp) = (&site, stamp.as_str());
                scope.spawn(move || {
                    let mut statuses = BTreeSet::new();
                    for n in (thread..10_000).step_by(4) {
                        let client = format!("198.51.{}.{}", n % 5, n % 250);
                        let address = format!("victim{n}@domain{}.example", n % 3);
                        let answer = site.post_from(
                            &client,
                            "/subscribe",
                            &[("address", &address), ("digest", COLUMN), ("stamp", stamp)],
                        );
                        statuses.insert(answer.status);
                    }
                    statuses
                })
            })
            .collect();
        for thread in threads {
            statuses.extend(thread.join().unwrap());
        }
    });
    assert_eq!(statuses, BTreeSet::from([200, 429]));
    std::thread::sleep(Duration::from_secs(1));
    let sent = site.server.kept().len();
    // A cell or two come back while the attack runs.
    assert!((50..=65).contains(&sent), "{sent}");
    assert!(site.get("/metrics").text().contains("pressrun_requests_refused_total{why=\"limit\"} 99"));
}

#[test]
fn one_inbox_gets_one_letter_however_its_address_is_written() {
    let every = Duration::from_hours(1);
    let site = Site::with(wide(), Terms { every, within: every * 24 });
    site.reader("Nadia@gmail.com", &["campus-week"]);
    for address in ["nadia@gmail.com", "n.adia@gmail.com", "nadia+1@gmail.com", "NADIA@googlemail.com"] {
        assert_eq!(site.subscribe(address, &[COLUMN]).status, 200);
        let stamp = site.stamp();
        site.post("/preferences", &[("address", address), ("stamp", &stamp)]);
    }
    site.mail(0);
    site.no_mail_after(1);
}

#[test]
fn robots_that_fill_in_everything_or_at_once_get_no_mail_sent() {
    let site = Site::with(Brakes { fill_time: Duration::from_millis(400), ..wide() }, terms());
    let stamp = site.stamp();
    let fields = [("address", "victim@example.org"), ("digest", COLUMN), ("stamp", stamp.as_str())];
    let trap = [fields[0], fields[1], fields[2], ("topic", "buy")];
    assert!(site.post("/subscribe", &fields).text().contains("press the button again"));
    assert!(site.post("/subscribe", &fields[..2]).text().contains("press the button again"));
    std::thread::sleep(Duration::from_millis(450));
    assert!(site.post("/subscribe", &trap).text().contains("Look in your inbox"));
    site.no_mail_after(0);
    assert!(site.held("victim@example.org").is_none());
    assert!(site.post("/subscribe", &fields).text().contains("Look in your inbox"));
    site.mail(0);
}

#[test]
fn forged_cut_and_borrowed_tokens_all_fail_alike() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN]);
    site.subscribe("omar@example.org", &[COLUMN]);
    let good = sign(Purpose::Unsubscribe, id, About::digest(COLUMN));
    let confirm = link(&site.mail(0)).split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut flipped = good.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let other_key = Keys::fresh([8; 32]).sign(Purpose::Unsubscribe, Grant { subscriber: id, about: About::Everything });
    let bad = [
        String::from_utf8(flipped).unwrap(),
        good[..45].to_owned(),
        format!("{good}A"),
        other_key,
        sign(Purpose::View, id, About::Everything),
        "1".to_owned(),
        "%00".to_owned(),
        "..%2f..".to_owned(),
        "'%20OR%201=1--".to_owned(),
    ];
    // Neither the status nor the page nor any header tells one failure from another.
    let said = std::cell::RefCell::new(BTreeSet::new());
    let note = |answer: Answer| {
        let names =
            ["content-type", "content-length", "cache-control", "content-security-policy", "set-cookie", "location"];
        let headers: Vec<String> = names.iter().map(|name| answer.header(name).to_owned()).collect();
        said.borrow_mut().insert((answer.status, answer.text(), headers));
    };
    let try_all = |page: &str, token: &str| {
        let path = format!("/{page}/{token}");
        note(site.get(&path));
        note(site.post(&path, &[("do", "leave")]));
    };
    // A page that was opened in time may have its button pressed too late.
    let try_replayed = |path: &str| note(site.post(path, &[]));
    for token in &bad {
        for page in ["unsubscribe", "preferences", "confirm"] {
            try_all(page, token);
        }
    }
    for page in ["preferences", "confirm"] {
        try_all(page, &good);
    }
    for page in ["preferences", "unsubscribe"] {
        try_all(page, &confirm);
    }
    // Replayed: the confirmation of one who has left since; and one whose time is over.
    let used = format!("/confirm/{confirm}");
    assert_eq!(site.post(&used, &[]).status, 200);
    let omar = site.held("omar@example.org").unwrap().subscriber.unwrap().id;
    site.post(&format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, omar, About::Everything)), &[]);
    try_replayed(&used);
    site.subscribe("late@example.org", &[COLUMN]);
    let late = link(&site.mail(1)).split('?').next().unwrap().to_owned();
    site.runtime.block_on(site.store.expire(terms(), chrono::Utc::now() + chrono::TimeDelta::days(8))).unwrap();
    try_replayed(&late);
    // A confirmation that is signed, but of a request that is nobody's or another's.
    try_all("confirm", &sign(Purpose::Confirm, id, About::Request(1)));
    try_all("confirm", &sign(Purpose::Confirm, id, About::Request(99)));
    let said = said.into_inner();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said.first().unwrap().0, 404);
    assert_eq!(site.states("nadia@example.org")[0].1, pressrun::subscriber::SubscriptionState::Confirmed);
}

#[test]
fn a_scanner_that_gets_every_link_changes_nothing() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN]);
    site.subscribe("omar@example.org", &[COLUMN]);
    let mut todo = vec![
        link(&site.mail(0)),
        "/".to_owned(),
        format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN))),
        format!("/preferences/{}", sign(Purpose::Preferences, id, About::Everything)),
    ];
    let before = (site.held("nadia@example.org"), site.held("omar@example.org"));
    let mut seen = BTreeSet::new();
    while let Some(path) = todo.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = site.get(&path);
        for method in ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"] {
            site.served.ask(method, &path, &[]);
        }
        let html = Html::parse_document(&page.text());
        let base = url::Url::parse("https://x.example/").unwrap().join(&path).unwrap();
        for (tag, attribute) in [("a", "href"), ("link", "href"), ("form", "action")] {
            for element in html.select(&Selector::parse(tag).unwrap()) {
                let target = base.join(element.value().attr(attribute).unwrap()).unwrap();
                if target.host_str() == Some("x.example") {
                    todo.push(target[url::Position::BeforePath..].to_owned());
                }
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
    assert_eq!(before, (site.held("nadia@example.org"), site.held("omar@example.org")));
    site.no_mail_after(1);
}

#[test]
fn injection_in_any_field_does_nothing() {
    let site = Site::open();
    let stamp = site.stamp();
    for evil in EVIL {
        let fields = [("address", evil), ("digest", COLUMN), ("stamp", stamp.as_str())];
        for path in ["/subscribe", "/preferences"] {
            let answer = site.post(path, &fields);
            assert_eq!(answer.status, 422, "{evil:?}");
            assert!(!answer.text().contains("<script>"));
        }
        for (digest, stamp) in [(evil, stamp.as_str()), (COLUMN, evil)] {
            let answer = site.post("/subscribe", &[("address", "e@example.org"), ("digest", digest), ("stamp", stamp)]);
            assert!(!answer.text().contains("Look in your inbox") && !answer.text().contains("<script>"), "{evil:?}");
        }
        let query = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>();
        let page = site.served.get(&format!("/subscribe?digest={query}&lang={query}"), &[("Accept-Language", "en")]);
        assert!(page.status == 200 && !page.text().contains("<script>"));
    }
    // What a reader's own link lets her send, and what every client says of itself.
    let id = site.reader("nadia@example.org", &[COLUMN, "campus-week"]);
    let before = site.held("nadia@example.org");
    let preferences = format!("/preferences/{}", sign(Purpose::Preferences, id, About::Everything));
    let leave = format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest("nothing")));
    for evil in EVIL {
        for fields in [
            vec![("do", evil)],
            vec![("do", "leave"), ("digest", evil)],
            vec![("do", "move"), ("address", evil)],
            vec![(evil, evil)],
        ] {
            let answer = site.post(&preferences, &fields);
            assert!(matches!(answer.status, 200 | 422) && !answer.text().contains("<script>"), "{evil:?} {fields:?}");
        }
        assert_eq!(site.post(&leave, &[("page", evil), ("List-Unsubscribe", evil)]).status, 200);
        let value: String = evil.chars().filter(|c| !c.is_control()).collect();
        for name in [
            "Host",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "Forwarded",
            "User-Agent",
            "Referer",
            "Accept-Language",
            "Cookie",
            "Origin",
        ] {
            let page = site.served.ask("GET", "/subscribe", &[(name, &value)]);
            // Two hosts are refused.
            assert!(matches!(page.status, 200 | 400), "{name}: {evil:?}");
            assert!(!String::from_utf8_lossy(&page.body).contains("<script>"), "{name}: {evil:?}");
        }
    }
    assert_eq!(site.held("nadia@example.org"), before);
    site.no_mail_after(0);
    // An address may be odd and good: it comes back as text.
    let odd = "a&amp'{{paper}}@example.org";
    let answer = site.post("/subscribe", &[("address", odd), ("stamp", &stamp)]);
    assert!(answer.text().contains("value=\"a&amp;amp&#x27;{{paper}}@example.org\""), "{}", answer.text());
}

#[test]
fn what_a_client_says_of_where_it_is_counts_only_from_a_proxy_that_is_trusted() {
    let brakes = Brakes { per_network: 3.try_into().unwrap(), ..wide() };
    let passed = |site: &Site, from: &dyn Fn(usize) -> String| {
        let stamp = site.stamp();
        let fields = |n| {
            [("address", format!("victim{n}@a{n}.example")), ("digest", COLUMN.to_owned()), ("stamp", stamp.clone())]
        };
        let answers = (0..12).map(|n| {
            let fields = fields(n);
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            site.post_from(&from(n), "/subscribe", &fields).status
        });
        answers.filter(|status| *status == 200).count()
    };
    // Behind a proxy that adds the address it sees, as nginx does: what the client wrote stands before it.
    let site = Site::with(brakes, terms());
    assert_eq!(passed(&site, &|n| format!("203.0.{n}.1, 198.51.100.7")), 3);
    // Networks that nobody shares.
    assert_eq!(passed(&site, &|n| format!("203.0.{n}.1")), 12);
    // IPv6 as it is given to one house.
    assert_eq!(passed(&site, &|n| format!("2001:db8:7:{n}::1")), 3);
    // No proxy: the word of anybody.
    let site = Site::behind(vec![], brakes, terms(), web::Limits::default());
    assert_eq!(passed(&site, &|n| format!("203.0.{n}.1")), 3);
}

#[test]
fn too_large_a_form_is_refused_however_it_comes() {
    let site = Site::open();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let body = format!("address={}", "a".repeat(LARGEST_FORM + 1));
    assert_eq!(site.send("/subscribe", &[kind], &body).status, 413);
    assert_eq!(site.send("/preferences", &[kind], &body).status, 413);
    // Without a word about its length.
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let head = "POST /subscribe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = Answer::read(&site.served.send(format!("{head}{}0\r\n\r\n", chunk.repeat(40)).as_bytes()));
    assert_eq!(answer.status, 413);
    // Fields beyond those that are read count for nothing.
    let many = format!("{}digest={COLUMN}", "x=y&".repeat(100));
    assert_eq!(site.send("/subscribe", &[kind], &many).status, 422);
    // A one-click POST need not have anything in it, and what is in it need not end well.
    let id = site.reader("nadia@example.org", &[COLUMN]);
    let path = format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN)));
    assert_eq!(site.send(&path, &[kind], &body).status, 200);
    assert_eq!(site.states("nadia@example.org")[0].1, pressrun::subscriber::SubscriptionState::Ended);
}

#[test]
fn heads_that_are_too_large_are_refused_and_nobody_else_notices() {
    let site = Site::open();
    let large = "a".repeat(20_000);
    assert_eq!(site.served.get("/subscribe", &[("Cookie", &large)]).status, 431);
    assert_eq!(site.get(&format!("/subscribe?digest={large}")).status, 431);
    assert_eq!(site.get(&format!("/confirm/{}", &large[..3_000])).status, 414);
    let many: Vec<(String, String)> = (0..200).map(|n| (format!("X-{n}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(site.served.get("/subscribe", &many).status, 431);
    assert_eq!(site.get("/subscribe").status, 200);
}

#[test]
fn a_form_that_drips_in_is_cut_off_and_changes_nothing() {
    let limits = web::Limits { answer: Duration::from_millis(800), ..web::Limits::default() };
    let site = Site::behind(vec![], wide(), terms(), limits);
    let id = site.reader("nadia@example.org", &[COLUMN]);
    let token = sign(Purpose::Preferences, id, About::Everything);
    let head = format!(
        "POST /preferences/{token} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\ndo=leave&x="
    );
    let mut sockets: Vec<_> = (0..50).map(|_| site.served.connect()).collect();
    for socket in &mut sockets {
        socket.write_all(head.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
    }
    let begun = Instant::now();
    while !sockets.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} are still there", sockets.len());
        sockets.retain_mut(|socket| {
            let _ = socket.write_all(b"y");
            matches!(socket.read(&mut [0; 64]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        });
        // The others are served meanwhile.
        assert_eq!(site.get("/subscribe").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!(site.states("nadia@example.org")[0].1, pressrun::subscriber::SubscriptionState::Confirmed);
}
