//! From the form to the last word, as readers go: on a desk by keyboard alone, and on a phone without scripts.

use pressrun::web;
use thirtyfour::Key;

use super::paper::{FILL_TIME, PAGES, Paper, link};
use crate::support::browser::{Browser, DESK, PHONE, Screen};
use crate::support::room::Room;
use crate::wire::Served;

fn subscribed(digest: &str, state: &str) -> (String, String) {
    (digest.to_owned(), state.to_owned())
}

#[test]
fn a_reader_with_only_a_keyboard_goes_from_the_form_to_her_last_word() {
    let mut paper = Paper::open();
    let Some(browser) = Browser::open(&paper.hosts()) else { return };
    browser.screen(Screen { width: DESK, dark: false });
    let (old, new) = ("nadia@example.org", "nadia.home@example.net");

    // She asks.
    browser.goto(&format!("{PAGES}subscribe"));
    browser.is_at("The Acero Advocate by mail");
    std::thread::sleep(FILL_TIME);
    browser.tab_to("address");
    browser.keys(old);
    browser.tab_to("middle-east-outreach");
    browser.keys(" ");
    browser.tab_to("Subscribe");
    browser.keys(Key::Enter);
    browser.is_at("Look in your inbox");
    assert_eq!(paper.states(old), [subscribed("middle-east-outreach", "pending")]);

    // She confirms. That the link was opened confirms nothing.
    browser.goto(&link(&paper.mail(old, 0), "Confirm the subscription:"));
    browser.is_at("One more step");
    assert_eq!(paper.states(old), [subscribed("middle-east-outreach", "pending")]);
    browser.tab_to("Yes, confirm");
    browser.keys(Key::Enter);
    browser.is_at("Done");
    assert_eq!(paper.states(old), [subscribed("middle-east-outreach", "confirmed")]);
    browser.tab_to("Change what you get");
    browser.keys(Key::Enter);
    browser.is_at("Your newsletters");
    let preferences = browser.address();

    // An edition comes, and she reads it in the browser.
    paper.send();
    let edition = paper.mail(old, 1);
    browser.goto(&link(&edition, "View in the browser: "));
    browser.is_at("Middle-East Outreach");
    browser.says("Readers of Middle-East Outreach");
    assert!(browser.address().starts_with(&format!("{PAGES}archive/middle-east-outreach/1")));
    assert!(!browser.text().contains(old));

    // She takes a break of a month: the next edition passes her by.
    browser.goto(&preferences);
    browser.tab_to("days");
    browser.keys(Key::Down);
    browser.tab_to("Pause");
    browser.keys(Key::Enter);
    browser.says("Nothing comes to you until");
    paper.send_news();
    assert_eq!(paper.mails(old).len(), 2);
    browser.tab_to("End the break");
    browser.keys(Key::Enter);
    browser.says("For how long?");

    // She moves. Until the new inbox has confirmed it, everything stays as it was.
    browser.tab_to("address");
    browser.keys(new);
    browser.tab_to("Change address");
    browser.keys(Key::Enter);
    browser.is_at("Look in your inbox");
    assert_eq!(paper.states(old), [subscribed("middle-east-outreach", "confirmed")]);
    browser.goto(&link(&paper.mail(new, 0), "Confirm the new address:"));
    browser.is_at("One more step");
    browser.tab_to("Yes, confirm");
    browser.keys(Key::Enter);
    browser.is_at("Done");
    paper.send_news();
    let edition = paper.mail(new, 1);
    assert_eq!(paper.mails(old).len(), 2);

    // She leaves, by the link that stands in the mail.
    browser.goto(&link(&edition, "Unsubscribe: "));
    browser.is_at("Unsubscribe");
    assert_eq!(paper.states(new), [subscribed("middle-east-outreach", "confirmed")]);
    browser.tab_to("Unsubscribe from Middle-East Outreach");
    browser.keys(Key::Enter);
    browser.is_at("You are unsubscribed");
    assert_eq!(paper.states(new), [subscribed("middle-east-outreach", "ended")]);
    paper.send_news();
    assert_eq!((paper.mails(old).len(), paper.mails(new).len()), (2, 2));
    assert!(paper.serving.stop().success());
}

#[test]
fn a_reader_on_a_phone_without_scripts_subscribes_reads_and_leaves_with_one_click() {
    let mut paper = Paper::open();
    let Some(browser) = Browser::without_scripts(&paper.hosts()) else { return };
    browser.goto("data:text/html,<body><script>document.body.textContent = 'scripts run'</script></body>");
    assert_eq!(browser.text(), "");
    browser.screen(Screen { width: PHONE, dark: true });
    let omar = "omar@example.org";

    browser.goto(&format!("{PAGES}?lang=es"));
    browser.is_at("The Acero Advocate por correo");
    browser.fill("#address", omar);
    browser.click("input[value=middle-east-outreach]");
    browser.click("input[value=campus-week]");
    // Too fast for a person: he is asked once more, and has to write nothing again.
    browser.click("form button");
    browser.is_at("The Acero Advocate por correo");
    std::thread::sleep(FILL_TIME);
    browser.click("form button");
    browser.is_at("Mire su bandeja de entrada");
    browser.goto(&link(&paper.mail(omar, 0), "Confirmar la suscripción:"));
    browser.click("form button");
    browser.is_at("Hecho");
    browser.click("main a");
    browser.is_at("Sus boletines");
    let preferences = browser.address();

    paper.send();
    let edition = paper.mail(omar, 1);
    browser.goto(&link(&edition, "View in the browser: "));
    browser.is_at("Middle-East Outreach");

    let (status, headers) = paper.one_click(&edition);
    assert_eq!(status, 200);
    assert!(!headers.contains("location") && !headers.contains("set-cookie"), "{headers}");
    let after = [subscribed("campus-week", "confirmed"), subscribed("middle-east-outreach", "ended")];
    assert_eq!(paper.states(omar), after);
    paper.send_news();
    assert_eq!(paper.mails(omar).len(), 2);

    browser.goto(&preferences);
    browser.is_at("Sus boletines");
    assert!(!browser.text().contains("Middle-East Outreach"));
    browser.click("section[aria-labelledby=all] button");
    assert!(paper.states(omar).iter().all(|(_, state)| state == "ended"));
}

#[test]
fn a_form_on_the_papers_own_site_leads_to_a_subscription() {
    let paper = Paper::open();
    let Some(browser) = Browser::open(&paper.hosts()) else { return };
    let (screen, rosa) = (Screen { width: PHONE, dark: false }, "rosa@example.org");
    browser.screen(screen);
    browser.goto(&format!("{PAGES}embed"));
    let lines = browser.text_of("pre");
    let page = format!(
        "<!DOCTYPE html><html lang=en><meta name=viewport content='width=device-width'><title>Ours</title><main><h1>Ours</h1>{lines}</main>"
    );
    let page: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    browser.goto(&format!("data:text/html,{}", page.replace('+', "%20")));
    browser.is_at("Ours");
    assert_eq!(browser.faults(screen), Vec::<String>::new());
    browser.fill("input[name=address]", rosa);
    browser.click("input[value=campus-week]");
    browser.click("form button");
    // Another site's form cannot show that a person filled it in: ours comes, with everything in it.
    browser.is_at("The Acero Advocate by mail");
    browser.says("One more time");
    std::thread::sleep(FILL_TIME);
    browser.click("form button");
    browser.is_at("Look in your inbox");
    browser.goto(&paper.first_link(rosa, 0));
    browser.click("form button");
    browser.is_at("Done");
    assert_eq!(paper.states(rosa), [subscribed("middle-east-outreach", "confirmed")]);
}

/// Browsers give their clipboard to pages under https only; and not everybody has a mouse.
#[test]
fn a_feeds_address_is_copied_by_keyboard_on_plain_http() {
    let room = Room::sample();
    room.run(&["build"]).fine();
    let feeds = room.path("feeds");
    let served = Served::at(
        move |_| web::Options::new(feeds, "http://acero-advocate.example/feeds/".parse().unwrap()),
        axum::Router::new(),
    );
    let Some(browser) = Browser::open(&[("acero-advocate.example", served.at)]) else { return };
    browser.screen(Screen { width: DESK, dark: false });
    browser.goto("http://acero-advocate.example/feeds/");
    browser.is_at("Follow The Acero Advocate");
    browser.tab_to("Copy");
    browser.keys(Key::Enter);
    // It is read out, and not seen.
    browser.there("#copied:not(:empty)");
    assert_ne!(browser.focused(), "Selected");
}
