//! How the pages look: to axe-core, on every screen. With `PRESSRUN_PICTURES=FOLDER` a picture of each is left there, for
//! somebody to look at (`scripts/screenshots`).

use std::path::PathBuf;

use super::paper::{FILL_TIME, PAGES, Paper, link};
use crate::support::browser::{Browser, DESK, PHONE, SCREENS, Screen};

/// Enough for what differs in words and direction only.
const SOME: [Screen; 2] = [Screen { width: PHONE, dark: false }, Screen { width: DESK, dark: true }];

struct Gallery {
    browser: Browser,
    screens: Vec<Screen>,
    folder: Option<PathBuf>,
    faults: Vec<String>,
    seen: usize,
}

impl Gallery {
    /// Looks at the page that the browser is at, on each of the screens.
    fn look(&mut self, name: &str) {
        for screen in self.screens.clone() {
            self.browser.screen(screen);
            let name = format!("{name}-{}-{}", screen.width, if screen.dark { "dark" } else { "light" });
            let faults = self.browser.faults(screen);
            self.faults.extend(faults.iter().map(|fault| format!("{name}: {fault}")));
            if let Some(folder) = &self.folder {
                self.browser.picture(screen, &folder.join(format!("{name}.png")));
            }
            self.seen += 1;
        }
    }

    fn look_at(&mut self, address: &str, name: &str) {
        self.browser.goto(address);
        self.look(name);
    }
}

fn gallery(paper: &Paper) -> Option<Gallery> {
    let browser = Browser::open(&paper.hosts())?;
    let folder = std::env::var_os("PRESSRUN_PICTURES").map(PathBuf::from);
    Some(Gallery { browser, screens: SCREENS.to_vec(), folder, faults: vec![], seen: 0 })
}

/// All pages of a reader's life, in one language.
fn life(paper: &mut Paper, gallery: &mut Gallery, language: &str) {
    let page = |path: &str| format!("{PAGES}{path}?lang={language}");
    let name = |page: &str| format!("{page}-{language}");
    let nadia = format!("nadia.{language}@example.org");
    let button = "main form button";
    let ask = |gallery: &Gallery, address: &str| {
        gallery.browser.goto(&page("subscribe"));
        std::thread::sleep(FILL_TIME);
        gallery.browser.fill("#address", address);
        gallery.browser.click("input[value=middle-east-outreach]");
        gallery.browser.click("input[value=campus-week]");
        gallery.browser.click(button);
        gallery.browser.gone("#address");
    };

    gallery.look_at(&page("subscribe"), &name("subscribe"));
    gallery.browser.fill("#address", &format!("{}@nowhere", "a-long-name-".repeat(5)));
    gallery.browser.click(button);
    gallery.browser.there(".problem");
    gallery.look(&name("subscribe-problem"));
    ask(gallery, &nadia);
    gallery.look(&name("sent"));
    gallery.look_at(&paper.first_link(&nadia, 0), &name("confirm"));
    gallery.browser.click(button);
    gallery.browser.gone("main form");
    gallery.look(&name("confirmed"));
    gallery.browser.click("main a");
    gallery.browser.there("#days");
    gallery.look(&name("preferences"));
    let preferences = gallery.browser.address();
    gallery.browser.click("section[aria-labelledby=break] button");
    gallery.browser.gone("#days");
    gallery.look(&name("preferences-paused"));
    gallery.browser.click("section[aria-labelledby=break] button");
    gallery.browser.there("#days");
    gallery.browser.fill("#address", &format!("new.{nadia}"));
    gallery.browser.click("section[aria-labelledby=move] button");
    gallery.browser.gone("#days");
    gallery.look_at(&paper.first_link(&format!("new.{nadia}"), 0), &name("confirm-move"));

    paper.send_news();
    let leave = link(&paper.mail(&nadia, 1), "Unsubscribe: ");
    gallery.look_at(&format!("{leave}?lang={language}"), &name("unsubscribe"));
    gallery.browser.click(button);
    gallery.browser.gone("main form");
    gallery.look(&name("unsubscribed"));
    gallery.browser.goto(&preferences);
    gallery.browser.click("section[aria-labelledby=all] button");
    gallery.browser.gone("#days");
    gallery.look(&name("preferences-nothing"));

    gallery.look_at(&page("preferences"), &name("link"));
    for path in ["archive/", "archive/middle-east-outreach", "embed", "nowhere", "confirm/nonsense"] {
        gallery.look_at(&page(path), &name(&path.trim_end_matches('/').replace('/', "-")));
    }
}

#[test]
fn every_page_is_good_for_those_who_do_not_see_it_on_every_screen_in_both_colours() {
    let mut paper = Paper::open();
    let Some(mut gallery) = gallery(&paper) else { return };
    paper.room.run(&["build"]).fine();
    paper.send();
    gallery.screens = SOME.to_vec();
    life(&mut paper, &mut gallery, "ar");
    for language in ["es", "fr"] {
        gallery.look_at(&format!("{PAGES}subscribe?lang={language}"), &format!("subscribe-{language}"));
    }
    gallery.screens = SCREENS.to_vec();
    life(&mut paper, &mut gallery, "en");
    gallery.browser.without_policies();
    gallery.look_at(&format!("{PAGES}archive/middle-east-outreach/1"), "edition");
    gallery.look_at("https://acero-advocate.example/feeds/", "feeds");
    gallery.look_at("https://acero-advocate.example/feeds/middle-east-outreach/", "feeds-section");
    assert_eq!(gallery.faults, Vec::<String>::new());
    assert!(gallery.seen > 100);
}
