//! WebSub: a hub of our own that verifies its subscriber, fetches the feed, and delivers it.

use crate::wire::{Served, build};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use pressrun::publish::run::{Publication, Report, SETTLE, publish};
use pressrun::publish::websub::{Messenger, Patience, PingError};
use pressrun::publish::{PublishError, Target};
use pressrun::web;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use url::Url;

const QUICK: Patience =
    Patience { tries: 3, first_wait: Duration::from_millis(10), request: Duration::from_millis(500) };

/// A hub and a subscriber, each with its address.
struct World {
    runtime: Runtime,
    hub: Url,
    subscriber: Url,
    state: Shared,
}

type Shared = Arc<Mutex<Seen>>;

/// What hub and subscriber have seen, and how the hub is to behave.
#[derive(Default)]
struct Seen {
    /// Topics that the hub was told of.
    pings: Vec<String>,
    /// Callbacks by topic, verified.
    subscribers: HashMap<String, Vec<String>>,
    /// What the subscriber was brought: `Link`, `Content-Type`, text.
    delivered: Vec<(String, String, String)>,
    /// What the subscriber wants: the hub's question is answered only for this.
    wants: Option<String>,
    /// The next answers of the hub to a ping; then it is well.
    moods: Vec<(u16, Option<&'static str>)>,
    /// The hub says yes at once, and does what it has to do after this time.
    late: Option<Duration>,
}

impl World {
    fn new() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let state = Shared::default();
        let hub = start(&runtime, Router::new().route("/", post(hub).with_state(state.clone())));
        let callback = Router::new().route("/callback", get(confirm).post(take).with_state(state.clone()));
        let subscriber = start(&runtime, callback).join("callback").unwrap();
        World { runtime, hub, subscriber, state }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn pings(&self) -> Vec<String> {
        let mut pings = self.state.lock().unwrap().pings.clone();
        pings.sort();
        pings
    }

    fn moods(&self, moods: &[(u16, Option<&'static str>)]) {
        self.state.lock().unwrap().moods = moods.to_vec();
    }

    /// Asks the hub for a topic, as WebSub's section 5.1 has it.
    fn subscribe(&self, topic: &str, callback: &Url) -> u16 {
        let form = [("hub.mode", "subscribe"), ("hub.topic", topic), ("hub.callback", callback.as_str())];
        let client = reqwest::Client::new();
        self.run(async { client.post(self.hub.clone()).form(&form).send().await.unwrap().status().as_u16() })
    }

    fn publish(&self, home: &Path, public: &Url) -> Result<Report, PublishError> {
        let hubs = [self.hub.clone()];
        self.run(publish(&Publication {
            feeds: &home.join("feeds"),
            public,
            target: &Target::InPlace,
            name: "in place",
            record: &home.join("var/publish.json"),
            hubs: &hubs,
            patience: QUICK,
            settle: SETTLE,
            delete: false,
        }))
    }
}

fn start(runtime: &Runtime, routes: Router) -> Url {
    let at: SocketAddr = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        at
    });
    Url::parse(&format!("http://{at}/")).unwrap()
}

/// The hub: a ping makes it fetch the topic and bring it to everybody; a subscription makes it ask back.
async fn hub(State(state): State<Shared>, form: Bytes) -> impl IntoResponse {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&form).into_owned().collect();
    let topic = form["hub.topic"].clone();
    let client = reqwest::Client::new();
    match form["hub.mode"].as_str() {
        "publish" => {
            assert_eq!(form["hub.url"], topic);
            let (mood, callbacks) = {
                let mut state = state.lock().unwrap();
                let mood = (!state.moods.is_empty()).then(|| state.moods.remove(0));
                state.pings.push(topic.clone());
                (mood, state.subscribers.get(&topic).cloned().unwrap_or_default())
            };
            if let Some((status, after)) = mood {
                let mut headers = HeaderMap::new();
                headers.extend(after.map(|after| (header::RETRY_AFTER, after.parse().unwrap())));
                return (StatusCode::from_u16(status).unwrap(), headers);
            }
            let late = state.lock().unwrap().late;
            let bring = async move {
                tokio::time::sleep(late.unwrap_or_default()).await;
                for callback in callbacks {
                    let feed = client.get(&topic).send().await.unwrap();
                    let content_type = feed.headers()[header::CONTENT_TYPE].clone();
                    let link = feed.headers()[header::LINK].clone();
                    let text = feed.text().await.unwrap();
                    let brought = client.post(callback).header("Content-Type", content_type).header("Link", link);
                    assert!(brought.body(text).send().await.unwrap().status().is_success());
                }
            };
            if late.is_some() {
                tokio::spawn(bring);
                return (StatusCode::ACCEPTED, HeaderMap::new());
            }
            bring.await;
            (StatusCode::NO_CONTENT, HeaderMap::new())
        }
        "subscribe" => {
            let callback = form["hub.callback"].clone();
            let query = [
                ("hub.mode", "subscribe"),
                ("hub.topic", &topic),
                ("hub.challenge", "c41"),
                ("hub.lease_seconds", "864000"),
            ];
            let question = Url::parse_with_params(&callback, query).unwrap();
            let late = state.lock().unwrap().late;
            let verify = async move {
                tokio::time::sleep(late.unwrap_or_default()).await;
                let answer = client.get(question).send().await.unwrap();
                let verified = answer.status().is_success() && answer.text().await.unwrap() == "c41";
                if verified {
                    state.lock().unwrap().subscribers.entry(topic).or_default().push(callback);
                }
                verified
            };
            if late.is_some() {
                tokio::spawn(verify);
                return (StatusCode::ACCEPTED, HeaderMap::new());
            }
            (if verify.await { StatusCode::ACCEPTED } else { StatusCode::FORBIDDEN }, HeaderMap::new())
        }
        other => panic!("{other}"),
    }
}

/// The subscriber's side of the verification: only what it asked for.
async fn confirm(State(state): State<Shared>, request: axum::extract::Request) -> impl IntoResponse {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if state.lock().unwrap().wants.as_deref() == Some(query["hub.topic"].as_str()) {
        (StatusCode::OK, query["hub.challenge"].clone())
    } else {
        (StatusCode::NOT_FOUND, String::new())
    }
}

async fn take(State(state): State<Shared>, headers: HeaderMap, text: String) {
    let header = |name: header::HeaderName| headers[name].to_str().unwrap().to_owned();
    let delivered = (header(header::LINK), header(header::CONTENT_TYPE), text);
    state.lock().unwrap().delivered.push(delivered);
}

fn serve(home: &Path, hub: &Url) -> (Served, Url) {
    build(&home.join("feeds"), 8);
    let (feeds, hub) = (home.join("feeds"), hub.clone());
    let public = |at: SocketAddr| Url::parse(&format!("http://{at}/feeds/")).unwrap();
    let served = Served::at(
        move |at| {
            let mut options = web::Options::new(feeds, public(at));
            options.hubs = vec![hub];
            options
        },
        Router::new(),
    );
    let public = public(served.at);
    (served, public)
}

#[test]
fn a_subscriber_finds_the_hub_is_verified_and_is_brought_the_new_article() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let (served, public) = serve(home.path(), &world.hub);
    world.publish(home.path(), &public).unwrap();

    // The subscriber reads the feed and finds hub and topic in its headers.
    let first = served.get("/feeds/atom.xml", &[]);
    let link = |rel: &str| {
        let links = first.header("link").split(", ").find(|link| link.ends_with(&format!("rel=\"{rel}\""))).unwrap();
        links.split(['<', '>']).nth(1).unwrap().to_owned()
    };
    assert_eq!(link("hub"), world.hub.as_str());
    let topic = link("self");
    assert_eq!(topic, public.join("atom.xml").unwrap().as_str());
    assert_eq!(world.subscribe(&topic, &world.subscriber), 403, "nobody is subscribed who did not ask");
    world.state.lock().unwrap().wants = Some(topic.clone());
    assert_eq!(world.subscribe(&topic, &world.subscriber), 202);

    build(&home.path().join("feeds"), 9);
    let report = world.publish(home.path(), &public).unwrap();
    assert_eq!((report.told, report.untold.len()), (3, 0));
    let state = world.state.lock().unwrap();
    let [(links, content_type, text)] = &state.delivered[..] else { panic!("{:?}", state.delivered) };
    assert!(text.contains("Article 9"));
    assert_eq!(content_type, "application/atom+xml; charset=utf-8");
    assert!(links.contains("rel=\"hub\"") && links.contains(&format!("<{topic}>; rel=\"self\"")));
}

#[test]
fn only_feeds_that_changed_are_announced() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let (_served, public) = serve(home.path(), &world.hub);
    let all = ["atom.xml", "feed.json", "rss.xml"].map(|path| public.join(path).unwrap().to_string());
    world.publish(home.path(), &public).unwrap();
    assert_eq!(world.pings(), all, "feeds only: archives never change, and nobody subscribes to a page");
    world.publish(home.path(), &public).unwrap();
    assert_eq!(world.pings().len(), 3, "nothing changed, nobody is told");
    crate::wire::write(&home.path().join("feeds"), "index.html", "<!doctype html>");
    world.publish(home.path(), &public).unwrap();
    assert_eq!(world.pings().len(), 3);
    build(&home.path().join("feeds"), 9);
    world.publish(home.path(), &public).unwrap();
    assert_eq!(world.pings().len(), 6);
}

#[test]
fn a_hub_that_is_unwell_is_told_again_and_one_that_refuses_is_not() {
    let world = World::new();
    let topic = Url::parse("https://acero-advocate.example/feeds/rss.xml").unwrap();
    let ping = |hub: &Url| {
        world.run(async {
            let messenger = Messenger::new(QUICK).unwrap();
            messenger.ping(hub, &topic).await
        })
    };
    world.moods(&[(503, None), (500, None)]);
    ping(&world.hub).unwrap();
    assert_eq!(world.pings().len(), 3);

    world.moods(&[(429, Some("1"))]);
    let start = Instant::now();
    ping(&world.hub).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "it said how long");

    world.moods(&[(404, None)]);
    assert!(matches!(ping(&world.hub), Err(PingError::Refused(404))));
    assert_eq!(world.pings().len(), 6);

    world.moods(&[(503, None); 3]);
    assert!(matches!(ping(&world.hub), Err(PingError::Unavailable(_))));
    assert_eq!(world.pings().len(), 9);

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = Url::parse(&format!("http://{}/", nobody.local_addr().unwrap())).unwrap();
    drop(nobody);
    assert!(matches!(ping(&nowhere), Err(PingError::Unavailable(_))));
}

#[test]
fn a_hub_that_was_away_is_told_by_the_next_publication() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let (_served, public) = serve(home.path(), &world.hub);
    world.moods(&[(503, None); 3]);
    let report = world.publish(home.path(), &public).unwrap();
    assert_eq!((report.told, report.untold.len()), (0, 3));
    assert_eq!(world.pings().len(), 3, "one feed was tried three times; the others would fare no better");
    let report = world.publish(home.path(), &public).unwrap();
    assert_eq!((report.sent.len(), report.told, report.untold.len()), (0, 3, 0));
    assert_eq!(world.publish(home.path(), &public).unwrap().told, 0);
}

#[test]
fn a_hub_that_verifies_and_fetches_late_brings_what_is_new_all_the_same() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let (_served, public) = serve(home.path(), &world.hub);
    world.publish(home.path(), &public).unwrap();
    let topic = public.join("atom.xml").unwrap();
    world.state.lock().unwrap().wants = Some(topic.to_string());
    world.state.lock().unwrap().late = Some(Duration::from_millis(400));
    assert_eq!(world.subscribe(topic.as_str(), &world.subscriber), 202);
    let wait_for = |what: &str, done: &dyn Fn(&Seen) -> bool| {
        let begun = Instant::now();
        while !done(&world.state.lock().unwrap()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "never {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    assert!(world.state.lock().unwrap().subscribers.is_empty(), "not verified yet");
    wait_for("verified", &|seen| !seen.subscribers.is_empty());
    build(&home.path().join("feeds"), 9);
    assert_eq!(world.publish(home.path(), &public).unwrap().told, 3, "202 is thanks enough");
    // The next build comes before the hub does.
    build(&home.path().join("feeds"), 10);
    wait_for("delivered", &|seen| !seen.delivered.is_empty());
    assert!(world.state.lock().unwrap().delivered[0].2.contains("Article 9"));
}

#[test]
fn a_hub_that_has_moved_is_told_where_it_is_now_and_a_page_is_not_taken_for_thanks() {
    let world = World::new();
    let topic = Url::parse("https://acero-advocate.example/feeds/rss.xml").unwrap();
    let ping = |hub: &Url| world.run(async { Messenger::new(QUICK).unwrap().ping(hub, &topic).await });
    let gets: Arc<Mutex<usize>> = Arc::default();
    let moved = |status: u16, to: &str| {
        let (to, gets) = (to.to_owned(), gets.clone());
        let answer = move || async move { (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, to)]) };
        let page = get(move || async move {
            *gets.lock().unwrap() += 1;
            "a page for people"
        });
        start(&world.runtime, Router::new().route("/", page.post(answer)))
    };
    for status in [301, 302, 307, 308] {
        let before = world.pings().len();
        ping(&moved(status, world.hub.as_str())).unwrap();
        assert_eq!(world.pings().len(), before + 1, "{status}: the hub itself was told");
    }
    ping(&moved(303, "/")).unwrap();
    for to in ["/", "ftp://127.0.0.1/", "data:,thanks"] {
        assert!(matches!(ping(&moved(302, to)), Err(PingError::Refused(302))), "{to}");
    }
    assert_eq!(*gets.lock().unwrap(), 0, "and nowhere was a page fetched instead");
}
