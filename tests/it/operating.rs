//! What `docs/OPERATING.md` tells operators to write, tried as it stands there: the proxy, the units, the unprivileged user.

use pressrun::subscriber::SubscriberId;
use pressrun::subscriber::token::{About, Grant, Keys, Purpose};
use reqwest::header::HeaderMap;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

use crate::support::room::{Room, Serving};
use crate::support::tls;

const FEEDS: &str = "acero-advocate.example";
const PAGES: &str = "news.acero-advocate.example";
/// Debian's `nobody`.
const NOBODY: u32 = 65_534;

/// A file of the manual, by the name in its first line.
fn documented(name: &str) -> String {
    let manual = include_str!("../../docs/OPERATING.md");
    let found = manual.split("\n```").filter_map(|block| block.split_once(&format!("# {name}\n")));
    let mut found: Vec<&str> = found.map(|(_, text)| text).collect();
    assert_eq!(found.len(), 1, "{name} is in the manual once");
    format!("{}\n", found.remove(0))
}

/// A program that a test needs. `None`: it is missing, and that is allowed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers out of the path of those who are not root.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var("PRESSRUN_TESTS_COMPLETE").is_err(), "{name} is missing");
        eprintln!("not tested: {name} is missing (scripts/test installs it)");
    }
    found
}

/// The newsroom's files belong to `nobody`, and so does the process that serves; for root only, others have no privileges.
fn serve_without_privileges(room: &Room) -> Serving {
    if !rustix::process::geteuid().is_root() {
        return room.serve(&[]);
    }
    let own = Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(room.path(".")).status();
    assert!(own.unwrap().success());
    let copy = room.path("pressrun");
    std::fs::copy(env!("CARGO_BIN_EXE_pressrun"), &copy).unwrap();
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
    command.arg(copy).args(["serve", "--json", "--bind", "127.0.0.1:0"]).current_dir(room.path("."));
    Serving::of(&mut command)
}

/// nginx with the documented file; ended when dropped.
struct Nginx {
    at: u16,
    folder: tempfile::TempDir,
    child: Child,
}

impl Nginx {
    fn start(program: &Path, behind: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        tls::certificate(folder.path(), "DNS:*.acero-advocate.example,DNS:acero-advocate.example", false);
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut written = documented("/etc/nginx/conf.d/advocate.conf");
        // What a machine has elsewhere, and nothing else.
        for (manual, here) in [
            ("listen 443 ", format!("listen {port} ")),
            ("http://127.0.0.1:8080;", format!("http://{behind};")),
            ("/etc/letsencrypt/live/acero-advocate.example/fullchain.pem", path("cert.pem")),
            ("/etc/letsencrypt/live/acero-advocate.example/privkey.pem", path("key.pem")),
            ("/var/log/nginx/error.log", path("error.log")),
        ] {
            assert_eq!(written.matches(manual).count(), if manual.starts_with("/var") { 1 } else { 2 }, "{manual}");
            written = written.replace(manual, &here);
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .concat();
        let all = format!(
            "worker_processes 1;\npid {};\nerror_log {} info;\nevents {{}}\nhttp {{\naccess_log {};\n{temporary}{written}}}\n",
            path("pid"),
            path("main.log"),
            path("access.log"),
        );
        std::fs::write(folder.path().join("nginx.conf"), all).unwrap();
        let child = Command::new(program)
            .args([
                "-p",
                &path("."),
                "-c",
                &path("nginx.conf"),
                "-e",
                &path("main.log"),
                "-g",
                "daemon off; master_process off;",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx { at: port, folder, child };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "nginx does not begin: {}", nginx.log("main.log"));
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody in the world, at an address of her own.
struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    port: u16,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Client {
    fn at(address: &str, nginx: &Nginx) -> Client {
        let to = SocketAddr::from(([127, 0, 0, 1], nginx.at));
        let http = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .local_address(address.parse::<IpAddr>().unwrap())
            .resolve(FEEDS, to)
            .resolve(PAGES, to)
            .build()
            .unwrap();
        Client { runtime: Runtime::new().unwrap(), http, port: nginx.at }
    }

    fn ask(&self, host: &str, path: &str, headers: &[(&str, &str)], form: Option<&[(&str, &str)]>) -> Answer {
        let address = format!("https://{host}:{}{path}", self.port);
        let mut request = match form {
            Some(form) => self.http.post(address).form(form),
            None => self.http.get(address),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let bytes = answer.bytes().await.unwrap();
            Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
        })
    }

    /// Subscribes with a fresh form; the status.
    fn subscribe(&self, address: &str, headers: &[(&str, &str)]) -> u16 {
        let page = self.ask(PAGES, "/subscribe", &[], None).text;
        let stamp = page.split("name=\"stamp\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = [("address", address), ("digest", "campus-week"), ("stamp", stamp)];
        self.ask(PAGES, "/subscribe", headers, Some(&form)).status
    }
}

#[test]
fn the_documented_nginx_passes_on_readers_one_click_and_feeds_to_an_unprivileged_process() {
    let Some(nginx) = program("nginx") else { return };
    let room = Room::sample();
    room.replace("config.yaml", "fill_time: 2s", "fill_time: 0s");
    room.replace("config.yaml", "per_network: 20", "per_network: 2");
    room.replace("config.yaml", "  trusted_proxies: []", "  trusted_proxies: [127.0.0.1]");
    assert!(include_str!("../../docs/OPERATING.md").contains("\n  trusted_proxies: [127.0.0.1]\n"));
    room.run(&["run"]).fine();
    let serving = serve_without_privileges(&room);
    let nginx = Nginx::start(&nginx, serving.at);
    let (nadia, omar) = (Client::at("127.0.1.1", &nginx), Client::at("127.0.2.1", &nginx));

    // The feeds come as Pressrun made them.
    let feed = nadia.ask(FEEDS, "/feeds/rss.xml", &[("Accept-Encoding", "gzip")], None);
    assert_eq!((feed.status, feed.headers["content-encoding"].to_str().unwrap()), (200, "gzip"));
    let tag = feed.headers["etag"].to_str().unwrap();
    assert!(tag.starts_with('"'), "{tag}");
    let again = nadia.ask(FEEDS, "/feeds/rss.xml", &[("Accept-Encoding", "gzip"), ("If-None-Match", tag)], None);
    assert_eq!(again.status, 304);
    for (host, path) in [(FEEDS, "/metrics"), (FEEDS, "/subscribe"), (PAGES, "/metrics")] {
        assert_eq!(nadia.ask(host, path, &[], None).status, 404, "{host}{path}");
    }

    // Readers are told apart, whatever they say of themselves.
    assert_eq!(nadia.subscribe("nadia@example.org", &[]), 200);
    let lie = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"), ("X-Real-IP", "203.0.113.9")];
    assert_eq!(nadia.subscribe("nadia2@example.org", &lie), 200);
    assert_eq!(nadia.subscribe("nadia3@example.org", &lie), 429);
    assert_eq!(omar.subscribe("omar@example.org", &[]), 200);
    let begun = Instant::now();
    let link = loop {
        let mails = room.outbox();
        let mail = mails.iter().find(|(_, mail)| crate::support::room::recipient(mail) == "omar@example.org");
        if let Some((_, mail)) = mail {
            let mail = mail_parser::MessageParser::default().parse(mail).unwrap();
            let text = mail.body_text(0).unwrap().into_owned();
            break text.split_whitespace().find_map(|word| word.split_once(PAGES)).unwrap().1.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no letter came");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(omar.ask(PAGES, &link, &[], Some(&[])).status, 200);
    let held = room.run(&["subscribers", "show", "omar@example.org"]).fine().out;
    assert!(held.contains("127.0.2.0/24") && !held.contains("127.0.0.0/24"), "{held}");

    // One click, as a mailbox provider sends it.
    let reader = "margaret.osei@example.com";
    let ledger = rusqlite::Connection::open(room.path("var/ledger.sqlite")).unwrap();
    let id = ledger.query_row("SELECT id FROM subscriber WHERE address = ?1", [reader], |row| row.get(0)).unwrap();
    let keys = Keys::parse(&room.read("var/link.keys")).unwrap();
    let about = About::digest("middle-east-outreach");
    let token = keys.sign(Purpose::Unsubscribe, Grant { subscriber: SubscriberId(id), about });
    let left = omar.ask(PAGES, &format!("/unsubscribe/{token}"), &[], Some(&[("List-Unsubscribe", "One-Click")]));
    assert_eq!(left.status, 200);
    assert!(!left.headers.contains_key("set-cookie") && !left.headers.contains_key("location"));
    assert!(room.run(&["subscribers", "show", reader]).fine().out.contains("\"ended\""));

    // No token is in any log.
    for log in ["access.log", "error.log", "main.log"] {
        let text = nginx.log(log);
        assert!(!text.contains("/unsubscribe/") && !text.contains("/confirm/"), "{log}: {text}");
    }
    assert!(nginx.log("access.log").contains("/feeds/rss.xml"));

    if rustix::process::geteuid().is_root() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
        assert!(status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}\t")), "{status}");
    }
    assert!(serving.stop().success());
    assert_eq!(omar.ask(PAGES, &format!("/unsubscribe/{token}"), &[], None).status, 502);
    assert!(!nginx.log("error.log").contains("/unsubscribe/"), "{}", nginx.log("error.log"));
}

#[test]
fn systemd_takes_the_documented_units() {
    let Some(analyze) = program("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = ["pressrun-serve.service", "pressrun-work.service", "pressrun.service", "pressrun.timer"];
    for name in names {
        let text = documented(&format!("/etc/systemd/system/{name}"));
        // It looks whether the program is there.
        let here = text.replace("/usr/local/bin/pressrun", env!("CARGO_BIN_EXE_pressrun"));
        assert_eq!(here == text, name == names[3], "{name}");
        std::fs::write(folder.path().join(name), here).unwrap();
    }
    let verify = || {
        let files = names.map(|name| folder.path().join(name));
        let done = Command::new(&analyze).args(["verify", "--man=no"]).args(files).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (taken, said) = verify();
    // Other units of this machine are not our matter.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("pressrun")).collect();
    assert!(taken && ours.is_empty(), "{said}");

    // It would say so.
    let unit = folder.path().join(names[0]);
    let text = std::fs::read_to_string(&unit).unwrap().replace("ProtectSystem=strict", "ProtectSytem=strict");
    std::fs::write(&unit, text).unwrap();
    assert!(verify().1.contains("ProtectSytem"));
}
