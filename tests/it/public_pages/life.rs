//! The life of a subscription: asked, confirmed, paused, moved, left.

use chrono::Utc;
use pressrun::digest::Editions;
use pressrun::subscriber::request::Requests;
use pressrun::subscriber::token::{About, Purpose};
use pressrun::subscriber::{Subscribers, SubscriptionState, SuppressionReason};
use pressrun::web::Limits;
use std::time::Duration;

use super::site::{Site, entry, link, sign, subject, terms};
use SubscriptionState::{Confirmed, Ended, Pending};

const COLUMN: &str = "middle-east-outreach";
const WEEK: &str = "campus-week";

fn pairs(states: &[(&str, SubscriptionState)]) -> Vec<(String, SubscriptionState)> {
    states.iter().map(|(digest, state)| ((*digest).to_owned(), *state)).collect()
}

#[test]
fn a_reader_asks_confirms_and_gets_editions_and_only_then() {
    let site = Site::open();
    let answer = site.subscribe("nadia@example.org", &[COLUMN]);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("Look in your inbox"));
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Pending)]));
    let mail = site.mail(0);
    assert_eq!(mail.to, "nadia@example.org");
    assert_eq!(subject(&mail), "Please confirm: Middle-East Outreach");
    let link = link(&mail);
    for _ in 0..3 {
        let page = site.get(&link);
        assert_eq!(page.status, 200);
        assert!(page.text().contains("nadia@example.org"));
    }
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Pending)]));
    assert_eq!(site.post(&link, &[]).status, 200);
    let held = site.held("nadia@example.org").unwrap();
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Confirmed)]));
    let consent = &held.consents[0];
    assert_eq!((consent.digest.as_str(), consent.network.as_str()), (COLUMN, "192.0.2.0/24"));
    assert!(consent.wording.starts_with("I want to get the chosen newsletters from The Acero Advocate"));
    assert!(consent.consent.when.is_some());
    // Twice is harmless, and leaves one consent.
    assert_eq!(site.post(&link, &[]).status, 200);
    assert_eq!(site.held("nadia@example.org").unwrap().consents.len(), 1);
    site.no_mail_after(1);
}

#[test]
fn an_old_confirmation_does_not_bring_back_who_has_left() {
    let site = Site::open();
    site.subscribe("nadia@example.org", &[COLUMN]);
    let link = link(&site.mail(0));
    site.post(&link, &[]);
    let id = site.held("nadia@example.org").unwrap().subscriber.unwrap().id;
    site.post(&format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::Everything)), &[]);
    assert_eq!(site.post(&link, &[]).status, 404);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Ended)]));
}

#[test]
fn who_leaves_while_her_request_is_open_is_not_subscribed_by_it() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN]);
    site.subscribe("nadia@example.org", &[COLUMN, WEEK]);
    let link = link(&site.mail(0));
    site.post(&format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::Everything)), &[]);
    assert_eq!(site.post(&link, &[]).status, 404);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(WEEK, Ended), (COLUMN, Ended)]));
}

#[test]
fn who_has_left_may_come_back_herself_and_by_no_list() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN]);
    site.post(&format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN))), &[]);
    site.subscribe("nadia@example.org", &[COLUMN]);
    // Asked for, not confirmed: a list finds her gone.
    site.runtime.block_on(site.store.add(vec![entry("nadia@example.org", COLUMN)], Utc::now())).unwrap();
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Ended)]));
    site.post(&link(&site.mail(0)), &[]);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Confirmed)]));
}

#[test]
fn the_erased_may_come_back_herself_and_by_no_list() {
    let site = Site::open();
    site.reader("nadia@example.org", &[COLUMN]);
    let address = "nadia@example.org".parse().unwrap();
    site.runtime.block_on(site.store.forget(&address, Utc::now())).unwrap();
    site.subscribe("nadia@example.org", &[COLUMN]);
    let list =
        |digest| site.runtime.block_on(site.store.add(vec![entry("nadia@example.org", digest)], Utc::now())).unwrap();
    list(COLUMN);
    list(WEEK);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Pending)]));
    site.post(&link(&site.mail(0)), &[]);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(COLUMN, Confirmed)]));
    assert_eq!(site.held("nadia@example.org").unwrap().erased, None);
}

#[test]
fn one_click_leaves_at_once_without_cookie_or_redirect() {
    let site = Site::open();
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    for (address, kind, body) in [
        ("a@example.org", "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"),
        ("b@example.org", "multipart/form-data; boundary=b", multipart),
    ] {
        let id = site.reader(address, &[COLUMN, WEEK]);
        let path = format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN)));
        let page = site.get(&path);
        assert_eq!(page.status, 200);
        assert!(page.text().contains("Unsubscribe from Middle-East Outreach"));
        assert_eq!(site.states(address), pairs(&[(WEEK, Confirmed), (COLUMN, Confirmed)]));
        for _ in 0..2 {
            let answer = site.send(&path, &[("Content-Type", kind)], body);
            assert_eq!((answer.status, answer.header("set-cookie"), answer.header("location")), (200, "", ""));
        }
        assert_eq!(site.states(address), pairs(&[(WEEK, Confirmed), (COLUMN, Ended)]));
        let answer = site.post(&path, &[("page", "all")]);
        assert!(answer.text().contains("No more newsletters come to you from The Acero Advocate"));
        assert_eq!(site.states(address), pairs(&[(WEEK, Ended), (COLUMN, Ended)]));
    }
    assert!(site.get("/metrics").text().contains("pressrun_unsubscribed_total 4"));
}

#[test]
fn a_digest_that_is_no_longer_there_can_be_left_all_the_same() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &["gone-since", WEEK]);
    site.post(&format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest("gone-since"))), &[]);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(WEEK, Confirmed), ("gone-since", Ended)]));
}

#[test]
fn preferences_are_asked_for_by_mail_and_pause_move_and_leave() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN, WEEK]);
    let stamp = site.stamp();
    site.post("/preferences", &[("address", "nadia@example.org"), ("stamp", &stamp)]);
    let path = link(&site.mail(0));
    assert!(path.starts_with("/preferences/"));
    assert!(site.get(&path).text().contains("nadia@example.org"));

    let paused = site.post(&path, &[("do", "pause"), ("days", "30")]).text();
    assert!(paused.contains("Nothing comes to you until"), "{paused}");
    assert!(site.held("nadia@example.org").unwrap().paused_until.is_some());
    let approve = || {
        site.runtime.block_on(async {
            let sealed = crate::conformance::sealed("News");
            let edition = crate::conformance::draft(&*site.store, WEEK, vec![], sealed, Utc::now()).await;
            site.store.approve(crate::conformance::fixed(edition), Utc::now()).await.unwrap()
        })
    };
    assert_eq!(approve(), Ok(0));
    site.post(&path, &[("do", "resume")]);
    assert_eq!(approve(), Ok(1));

    site.post(&path, &[("do", "move"), ("address", "not an address")]);
    site.post(&path, &[("do", "move"), ("address", "nadia@new.example")]);
    let mail = site.mail(1);
    assert_eq!((mail.to.as_str(), subject(&mail).as_str()), ("nadia@new.example", "Please confirm your new address"));
    let confirm = link(&mail);
    site.get(&confirm);
    assert_eq!(site.states("nadia@example.org"), pairs(&[(WEEK, Confirmed), (COLUMN, Confirmed)]));
    assert!(site.held("nadia@new.example").unwrap().subscriber.is_none());
    assert!(site.post(&confirm, &[]).text().contains("nadia@new.example"));
    assert_eq!(site.states("nadia@example.org"), pairs(&[(WEEK, Ended), (COLUMN, Ended)]));
    assert_eq!(site.states("nadia@new.example"), pairs(&[(WEEK, Confirmed), (COLUMN, Confirmed)]));

    let new = site.held("nadia@new.example").unwrap().subscriber.unwrap().id;
    assert_ne!(new, id);
    // The one click of a mail that she got at the old address.
    let one_click = format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN)));
    site.post(&one_click, &[("List-Unsubscribe", "One-Click")]);
    assert_eq!(site.states("nadia@new.example"), pairs(&[(WEEK, Confirmed), (COLUMN, Ended)]));
    let path = format!("/preferences/{}", sign(Purpose::Preferences, new, About::Everything));
    site.post(&path, &[("do", "leave"), ("digest", WEEK)]);
    assert_eq!(site.states("nadia@new.example"), pairs(&[(WEEK, Ended), (COLUMN, Ended)]));
    site.post(&path, &[("do", "leave")]);
    assert!(site.get(&path).text().contains("You get no newsletter"));
    site.no_mail_after(2);
}

#[test]
fn a_digest_that_is_named_twice_is_asked_for_once() {
    let site = Site::open();
    site.subscribe("nadia@example.org", &[WEEK, COLUMN, WEEK]);
    site.mail(0);
    let held = site.held("nadia@example.org").unwrap();
    assert_eq!(held.requests[0].digests, [WEEK, COLUMN]);
}

#[test]
fn pages_under_a_folder_have_a_first_page_with_and_without_the_slash() {
    let public = "https://acero-advocate.example/news/";
    let site = Site::at(public, vec![], super::site::wide(), super::site::terms(), Limits::default());
    let pages = ["/news", "/news/", "/news/subscribe"].map(|path| site.get(path));
    assert_eq!(pages.each_ref().map(|page| page.status), [200; 3]);
    assert!(pages.iter().all(|page| page.text().contains("name=\"stamp\"")));
    assert_eq!(site.get("/news/nothing").status, 404);
}

#[test]
fn no_page_says_whether_an_address_is_known() {
    let site = Site::open();
    site.reader("known@example.org", &[COLUMN, WEEK]);
    site.reader("bad@example.org", &[COLUMN]);
    let bad = "bad@example.org".parse().unwrap();
    let suppress = site.store.suppress(&bad, SuppressionReason::Complained, "", Utc::now());
    site.runtime.block_on(suppress).unwrap();
    let all: Vec<String> = ["known@example.org", "new@example.org", "bad@example.org"]
        .iter()
        .flat_map(|address| {
            let stamp = site.stamp();
            let link = site.post("/preferences", &[("address", address), ("stamp", &stamp)]);
            [site.subscribe(address, &[COLUMN]), link]
        })
        .map(|answer| format!("{} {}", answer.status, answer.text()))
        .collect();
    assert!(all.iter().all(|page| *page == all[0]));
    std::thread::sleep(Duration::from_millis(300));
    assert!(site.server.kept().iter().all(|mail| mail.to != "bad@example.org"));
}

#[test]
fn a_request_that_nobody_confirms_is_forgotten_with_its_reader() {
    let site = Site::open();
    site.subscribe("nadia@example.org", &[COLUMN]);
    let link = link(&site.mail(0));
    let later = Utc::now() + chrono::TimeDelta::days(8);
    assert_eq!(site.runtime.block_on(site.store.expire(terms(), later)).unwrap(), 1);
    assert!(site.held("nadia@example.org").is_none());
    assert_eq!(site.get(&link).status, 404);
    assert_eq!(site.post(&link, &[]).status, 404);
}

#[test]
fn the_archive_shows_what_was_approved_and_no_reader() {
    let site = Site::open();
    site.reader("nadia@example.org", &[COLUMN]);
    let mut sealed = crate::conformance::sealed("The river");
    sealed.html =
        "<p>To ~~-address- ~~-name-, <a href=\"~~-unsubscribe-\">leave</a><script>alert(1)</script></p>".to_owned();
    let draft = site.runtime.block_on(async {
        let draft = crate::conformance::draft(&*site.store, COLUMN, vec![], sealed.clone(), Utc::now()).await;
        crate::conformance::draft(&*site.store, WEEK, vec![], sealed, Utc::now()).await;
        draft
    });
    let path = format!("/archive/{COLUMN}/1");
    assert_eq!(site.get(&path).status, 404);
    assert!(!site.get("/archive/").text().contains("The river"));
    site.runtime.block_on(site.store.approve(crate::conformance::fixed(draft), Utc::now())).unwrap().unwrap();
    assert!(site.get("/archive/").text().contains("The river"));
    assert!(site.get(&format!("/archive/{COLUMN}")).text().contains(&path));
    let page = site.get(&path);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("To Readers of Middle-East Outreach"));
    assert!(page.text().contains("href=\"https://news.acero-advocate.example/preferences\""));
    assert!(!page.text().contains("nadia") && !page.text().contains("~~"));
    // Whatever stands in an edition: no script runs.
    assert!(page.header("content-security-policy").contains("sandbox"));
    assert!(!page.header("content-security-policy").contains("allow-scripts"));
    assert_eq!(site.get("/archive/campus-week/1").status, 404);
    assert_eq!(site.get("/archive/nothing/1").status, 404);
    assert_eq!(site.get("/archive/campus-week/-1").status, 404);
}

#[test]
fn every_page_is_there_in_every_language_with_strict_headers() {
    let site = Site::open();
    let id = site.reader("nadia@example.org", &[COLUMN, WEEK]);
    site.subscribe("omar@example.org", &[COLUMN]);
    let confirm = link(&site.mail(0));
    let confirm = confirm.split('?').next().unwrap();
    let leave = format!("/unsubscribe/{}", sign(Purpose::Unsubscribe, id, About::digest(COLUMN)));
    let preferences = format!("/preferences/{}", sign(Purpose::Preferences, id, About::Everything));
    let pages = [
        "/",
        "/subscribe",
        "/preferences",
        "/archive/",
        "/embed",
        "/unsubscribe/",
        "/none",
        confirm,
        &leave,
        &preferences,
    ];
    for (language, dir) in [("en", "ltr"), ("es", "ltr"), ("fr", "ltr"), ("ar", "rtl")] {
        for path in pages {
            let page = site.served.get(path, &[("Accept-Language", &format!("{language}-XX, de;q=0.9"))]);
            assert_eq!(page.status, if path == "/none" { 404 } else { 200 }, "{path}");
            assert!(page.text().contains(&format!("<html lang=\"{language}\" dir=\"{dir}\">")), "{path} {language}");
            assert_eq!(page.header("content-language"), language);
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self';") && !policy.contains("unsafe"));
            assert_eq!(page.header("referrer-policy"), "no-referrer");
            assert_eq!(page.header("x-robots-tag").is_empty(), path == "/archive/", "{path}");
            assert!(!page.text().contains("<script") && !page.text().contains(" style="));
            let chosen = site.served.get(&format!("{path}?lang=fr"), &[("Accept-Language", language)]);
            assert!(chosen.text().contains("<html lang=\"fr\""), "{path}");
        }
    }
}

#[test]
fn a_letter_is_sent_once_and_its_bounces_go_to_the_right_mailbox() {
    let site = Site::open();
    site.subscribe("nadia@example.org", &[COLUMN]);
    assert!(site.mail(0).from.contains("bounces@acero-advocate.example"));
    site.no_mail_after(1);
    assert!(site.runtime.block_on(site.store.letters(10, Utc::now() + chrono::TimeDelta::days(1))).unwrap().is_empty());
}
