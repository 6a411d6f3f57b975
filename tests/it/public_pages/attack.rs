//! Clients that mean harm.

use pressrun::subscriber::request::Terms;
use pressrun::subscriber::token::{About, Grant, Keys, Purpose};
use pressrun::web::public::{Brakes, LARGEST_FORM};
use scraper::{Html, Selector};
use std::collections::BTreeSet;
use std::time::Duration;

use super::site::{Site, link, sign, terms, wide};

const COLUMN: &str = "middle-east-outreach";

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
    let mut said = BTreeSet::new();
    let mut try_all = |page: &str, token: &str| {
        let path = format!("/{page}/{token}");
        for answer in [site.get(&path), site.post(&path, &[("do", "leave")])] {
            said.insert((answer.status, answer.text()));
        }
    };
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
    // A confirmation that is signed, but of a request that is nobody's or another's.
    try_all("confirm", &sign(Purpose::Confirm, id, About::Request(1)));
    try_all("confirm", &sign(Purpose::Confirm, id, About::Request(99)));
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
        site.served.ask("HEAD", &path, &[]);
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
    for evil in [
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
    ] {
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
    site.no_mail_after(0);
    // An address may be odd and good: it comes back as text.
    let odd = "a&amp'{{paper}}@example.org";
    let answer = site.post("/subscribe", &[("address", odd), ("stamp", &stamp)]);
    assert!(answer.text().contains("value=\"a&amp;amp&#x27;{{paper}}@example.org\""), "{}", answer.text());
}

#[test]
fn too_large_a_form_is_refused_and_a_slow_one_is_cut_off() {
    let site = Site::open();
    let body = format!("address={}", "a".repeat(LARGEST_FORM + 1));
    let answer = site.send("/subscribe", &[("Content-Type", "application/x-www-form-urlencoded")], &body);
    assert_eq!(answer.status, 413);
    let many = "digest=d&".repeat(1000);
    let answer = site.send("/subscribe", &[("Content-Type", "application/x-www-form-urlencoded")], &many);
    assert_eq!(answer.status, 422);
}
