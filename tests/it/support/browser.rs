//! Debian's Chromium, driven by `chromedriver`. It knows the hosts that a test names, and nothing of the network.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, Key};
use tokio::runtime::Runtime;

/// The names of the program, in the order in which they are looked for.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser keeps to itself, and runs where there is no display and no user namespace.
const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    // The fronts of the tests have certificates of their own making.
    "--ignore-certificate-errors",
];

/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How wide a screen is, in CSS pixels, and which colours it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    pub width: u32,
    pub dark: bool,
}

pub const PHONE: u32 = 375;
pub const DESK: u32 = 1200;

/// Every screen that a page must be good on.
pub const SCREENS: [Screen; 4] = [
    Screen { width: PHONE, dark: false },
    Screen { width: PHONE, dark: true },
    Screen { width: DESK, dark: false },
    Screen { width: DESK, dark: true },
];

pub struct Browser {
    driver: Option<WebDriver>,
    program: Child,
    runtime: Runtime,
    axe: Option<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser to which each of these hosts is at that address, whatever the port. `None`: there is none here, and that is
    /// allowed.
    pub fn open(hosts: &[(&str, SocketAddr)]) -> Option<Browser> {
        Browser::with(hosts, true)
    }

    /// The same with JavaScript switched off, as some readers have it.
    pub fn without_scripts(hosts: &[(&str, SocketAddr)]) -> Option<Browser> {
        Browser::with(hosts, false)
    }

    fn with(hosts: &[(&str, SocketAddr)], scripts: bool) -> Option<Browser> {
        let (Some(chromium), Some(chromedriver)) =
            (CHROMIUM.iter().find_map(|name| in_path(name)), in_path("chromedriver"))
        else {
            assert!(std::env::var("PRESSRUN_TESTS_COMPLETE").is_err(), "chromium or chromedriver is missing");
            eprintln!("not tested: chromium or chromedriver is missing (scripts/test installs them)");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut program =
            Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let port: u16 = loop {
            let line = lines.next().expect("chromedriver ended").unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        // What it goes on to say must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut wishes = DesiredCapabilities::chrome();
        wishes.set_binary(chromium.to_str().unwrap()).unwrap();
        for flag in FLAGS {
            wishes.add_arg(flag).unwrap();
        }
        let mut rules: Vec<String> = hosts.iter().map(|(host, at)| format!("MAP {host} {at}")).collect();
        rules.push("MAP * ~NOTFOUND".to_owned());
        wishes.add_arg(&format!("--host-resolver-rules={}", rules.join(", "))).unwrap();
        wishes.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        wishes.add_arg("--accept-lang=en").unwrap();
        if !scripts {
            let off = json!({ "profile.managed_default_content_settings.javascript": 2 });
            wishes.add_experimental_option("prefs", off).unwrap();
        }
        let runtime = Runtime::new().unwrap();
        let driver = runtime.block_on(WebDriver::new(format!("http://127.0.0.1:{port}"), wishes));
        let axe = std::env::var("PRESSRUN_AXE").ok().map(|path| std::fs::read_to_string(path).unwrap());
        Some(Browser { driver: Some(driver.unwrap()), program, runtime, axe, _profile: profile })
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().unwrap()
    }

    fn chrome(&self, method: &str, parameters: Value) -> Value {
        self.runtime.block_on(self.driver().cdp().send_raw(method, parameters)).unwrap()
    }

    /// From now on the page is shown on this screen.
    pub fn screen(&self, screen: Screen) {
        let phone = screen.width < 600;
        self.chrome(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": screen.width, "height": 800, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone }),
        );
        let scheme = if screen.dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chrome("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// From now on no page's own policy keeps axe-core out: that of an edition allows no script at all.
    pub fn without_policies(&self) {
        self.chrome("Page.setBypassCSP", json!({ "enabled": true }));
    }

    pub fn goto(&self, address: &str) {
        self.runtime.block_on(self.driver().goto(address)).unwrap();
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.runtime.block_on(self.driver().current_url()).unwrap().to_string()
    }

    /// The first element that is so, as soon as it is there.
    #[track_caller]
    fn find(&self, by: &By) -> WebElement {
        let begun = Instant::now();
        loop {
            match self.runtime.block_on(self.driver().find(by.clone())) {
                Ok(found) => return found,
                Err(error) => {
                    assert!(begun.elapsed() < PATIENCE, "{by:?}: {error}\n{}", self.text());
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// What an element says.
    #[track_caller]
    pub fn text_of(&self, css: &str) -> String {
        let element = self.find(&By::Css(css.to_owned()));
        self.runtime.block_on(element.text()).unwrap()
    }

    /// What the reader sees of the whole page.
    pub fn text(&self) -> String {
        let body = async { self.driver().find(By::Tag("body")).await?.text().await };
        self.runtime.block_on(body).unwrap_or_default()
    }

    /// Waits until the page has this first heading.
    #[track_caller]
    pub fn is_at(&self, heading: &str) {
        let begun = Instant::now();
        loop {
            let h1 = async { self.driver().find(By::Tag("h1")).await?.text().await };
            let found = self.runtime.block_on(h1).unwrap_or_default();
            if found == heading {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "wanted {heading:?}, and it is {found:?}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page says this.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let begun = Instant::now();
        while !self.text().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "{words:?} is not said:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until there is such an element.
    #[track_caller]
    pub fn there(&self, css: &str) {
        self.find(&By::Css(css.to_owned()));
    }

    /// Waits until there is none any more.
    #[track_caller]
    pub fn gone(&self, css: &str) {
        let begun = Instant::now();
        while self.runtime.block_on(self.driver().find_all(By::Css(css.to_owned()))).map_or(true, |all| !all.is_empty())
        {
            assert!(begun.elapsed() < PATIENCE, "{css} is still there:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes into a field.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.find(&By::Css(css.to_owned()));
        self.runtime
            .block_on(async {
                field.clear().await?;
                field.send_keys(text).await
            })
            .unwrap();
    }

    /// Clicks on what is so.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.find(&By::Css(css.to_owned()));
        self.runtime.block_on(element.click()).unwrap();
    }

    /// Types on the keyboard, wherever the focus is.
    pub fn keys(&self, keys: impl Into<thirtyfour::TypingData>) {
        self.runtime.block_on(self.driver().action_chain().send_keys(keys).perform()).unwrap();
    }

    /// What has the focus: its id, or its words, or its value.
    pub fn focused(&self) -> String {
        let focused = async {
            let element = self.driver().active_element().await?;
            let all = [element.attr("id").await?, Some(element.text().await?), element.attr("value").await?];
            Ok(all.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default())
        };
        let told: WebDriverResult<String> = self.runtime.block_on(focused);
        told.unwrap_or_default()
    }

    /// Presses Tab until this has the focus, and that ring around it which shows it.
    #[track_caller]
    pub fn tab_to(&self, what: &str) {
        for _ in 0..30 {
            self.keys(Key::Tab);
            if self.focused() == what {
                let ring = async { self.driver().active_element().await?.css_value("outline-style").await };
                assert_ne!(self.runtime.block_on(ring).unwrap(), "none", "nobody sees that {what} has the focus");
                return;
            }
        }
        panic!("Tab does not come to {what:?}:\n{}", self.text());
    }

    /// What is wrong with the page for readers who do not see it, or see little (axe-core), and whether it scrolls sideways.
    /// Empty: nothing.
    pub fn faults(&self, screen: Screen) -> Vec<String> {
        let Some(axe) = &self.axe else {
            assert!(std::env::var("PRESSRUN_TESTS_COMPLETE").is_err(), "PRESSRUN_AXE does not name axe.min.js");
            eprintln!("not tested: PRESSRUN_AXE does not name axe.min.js (scripts/test fetches it)");
            return vec![];
        };
        let whole = "JSON.stringify([innerWidth, document.documentElement.scrollWidth, matchMedia('(prefers-color-scheme: dark)').matches])";
        let shown: (u32, u32, bool) = serde_json::from_str(self.evaluate(whole).as_str().unwrap()).unwrap();
        assert_eq!((shown.0, shown.2), (screen.width, screen.dark), "the browser does not show this screen");
        let mut faults = vec![];
        if shown.1 > screen.width {
            faults.push(format!("{} px wide", shown.1));
        }
        if self.evaluate("typeof axe") != "object" {
            self.evaluate(axe);
        }
        let found = self.evaluate(
            "axe.run(document, { resultTypes: ['violations'] }).then(found => JSON.stringify({ \
               tried: found.passes.length, \
               violations: found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' / ')) }))",
        );
        let found: Value = serde_json::from_str(found.as_str().unwrap()).unwrap();
        assert!(found["tried"].as_u64().unwrap() > 5, "axe has tried nothing: {found}");
        faults.extend(found["violations"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()));
        faults
    }

    fn evaluate(&self, script: &str) -> Value {
        let answer = self
            .chrome("Runtime.evaluate", json!({ "expression": script, "returnByValue": true, "awaitPromise": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page.
    pub fn picture(&self, screen: Screen, file: &Path) {
        /// CSS pixels; what is below is cut off.
        const TALLEST: f64 = 2_400.0;
        let size = self.chrome("Page.getLayoutMetrics", json!({}));
        let height = size["cssContentSize"]["height"].as_f64().unwrap();
        let clip = json!({ "x": 0, "y": 0, "width": screen.width, "height": height.min(TALLEST), "scale": 1 });
        let shot = self
            .chrome("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }));
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            let _ = self.runtime.block_on(driver.quit());
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A program in the path.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
