//! What a list does to the ledger: who said no stays out, who was erased is not known any more, and a list that is added
//! twice is added once.

use chrono::{DateTime, Duration, Utc};
use pressrun::delivery::history::Everything;
use pressrun::delivery::{DeliveryId, DeliveryRecord, DeliveryState, Ledger, Outcome, Reply, Settlement};
use pressrun::digest::{Edition, Editions, Sealed};
use pressrun::store::{SqliteStore, StoreError};
use pressrun::subscriber::list::{self, Defaults, Writer};
use pressrun::subscriber::{
    Added, Address, Consent, Entry, ErasureKey, Listed, Subscribers, SubscriptionState, SuppressionReason,
};
use std::path::PathBuf;
use tempfile::TempDir;

use SubscriptionState::{Confirmed, Ended, Pending};

const LEASE: std::time::Duration = std::time::Duration::from_mins(1);

struct Room {
    folder: TempDir,
    store: SqliteStore,
}

fn key() -> ErasureKey {
    ErasureKey::new([7; 32])
}

fn now() -> DateTime<Utc> {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

fn who(address: &str) -> Address {
    address.parse().unwrap()
}

fn row(address: &str, state: SubscriptionState) -> Entry {
    Entry {
        address: who(address),
        name: "Nadia".into(),
        language: Some("en".into()),
        digest: "weekly".into(),
        state,
        since: None,
        consent: Consent { source: "sign-up sheet".into(), when: None },
        suppressed: None,
        note: String::new(),
    }
}

fn bounced(address: &str, note: &str) -> Entry {
    Entry { suppressed: Some(SuppressionReason::Bounced), note: note.into(), ..row(address, Ended) }
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap().with_erasure_key(key());
        Room { folder, store }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn add(&self, entry: Entry) -> Added {
        self.store.add(vec![entry], now()).await.unwrap()[0]
    }

    async fn all(&self) -> Vec<Listed> {
        self.store.list(None, None, 100).await.unwrap()
    }

    async fn state(&self, address: &str) -> Option<SubscriptionState> {
        let held = self.store.show(&who(address)).await.unwrap()?;
        held.subscriptions.first().map(|subscription| subscription.state)
    }

    /// An approved edition of the weekly, with its deliveries.
    async fn edition(&self) -> Edition {
        let sealed = Sealed {
            subject: "The week".into(),
            preheader: String::new(),
            html: String::new(),
            text: String::new(),
            mark: String::new(),
            shortened: false,
            headers: vec![],
            date: now(),
        };
        let edition = crate::conformance::draft(&self.store, "weekly", vec![], sealed, now()).await;
        self.store.approve(crate::conformance::fixed(edition.clone()), now()).await.unwrap().unwrap();
        edition
    }

    /// Brings the only delivery of an edition into flight.
    async fn fly(&self, edition: &Edition) -> DeliveryId {
        let press = "press".to_owned();
        let claimed = self.store.claim(&press, edition.id, 1, LEASE, now()).await.unwrap();
        assert_eq!(self.store.turn(&press, vec![], vec![claimed[0].id], LEASE, now()).await.unwrap(), [claimed[0].id]);
        claimed[0].id
    }

    async fn settle(&self, id: DeliveryId, outcome: Outcome, reply: &str) {
        let settlement = Settlement { id, outcome, reply: Reply::read(reply), when: now() };
        self.store.turn(&"press".to_owned(), vec![settlement], vec![], LEASE, now()).await.unwrap();
    }

    async fn records(&self, edition: &Edition) -> Vec<DeliveryRecord> {
        self.store.records(edition.id, None, None, 100).await.unwrap()
    }

    /// Whether any file of the ledger holds the words.
    fn on_disk(&self, words: &str) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().any(|file| {
            let octets = std::fs::read(file.unwrap().path()).unwrap().to_ascii_lowercase();
            octets.windows(words.len()).any(|window| window == words.as_bytes())
        })
    }
}

#[tokio::test]
async fn an_ended_row_ends_a_subscription_since_the_day_the_list_names() {
    let room = Room::new();
    assert_eq!(room.add(row("nadia@example.org", Confirmed)).await, Added::New);
    let edition = room.edition().await;
    let since = now() - Duration::days(3);
    let left = Entry { since: Some(since), ..row("Nadia@Example.org", Ended) };
    assert_eq!(room.add(left).await, Added::Left);
    let listed = &room.all().await[0];
    assert_eq!((listed.subscription.state, listed.subscription.since), (Ended, since));
    assert_eq!(listed.consent.as_ref().unwrap().source, "sign-up sheet");
    assert_eq!(room.records(&edition).await[0].state, DeliveryState::Withdrawn);
}

#[tokio::test]
async fn since_is_now_where_the_list_names_no_day() {
    let room = Room::new();
    let since = now() - Duration::days(30);
    room.add(Entry { since: Some(since), ..row("nadia@example.org", Pending) }).await;
    assert_eq!(room.all().await[0].subscription.since, since);
    assert_eq!(room.add(row("nadia@example.org", Confirmed)).await, Added::Confirmed);
    assert_eq!(room.all().await[0].subscription.since, now());
}

#[tokio::test]
async fn a_suppressed_row_suppresses_with_its_note_and_day() {
    let room = Room::new();
    room.add(row("nadia@example.org", Confirmed)).await;
    let edition = room.edition().await;
    let since = now() - Duration::days(3);
    let row = Entry { since: Some(since), ..bounced("nadia@example.org", "mailbox full since March") };
    assert_eq!(room.add(row).await, Added::Suppressed);
    let suppression = room.all().await[0].suppression.clone().unwrap();
    assert_eq!((suppression.reason, suppression.since), (SuppressionReason::Bounced, since));
    assert_eq!(suppression.note, "mailbox full since March");
    assert_eq!(room.state("nadia@example.org").await, Some(Ended));
    assert_eq!(room.records(&edition).await[0].state, DeliveryState::Withdrawn);
}

#[tokio::test]
async fn no_list_revives_who_left_or_lifts_a_suppression() {
    let room = Room::new();
    room.add(row("nadia@example.org", Ended)).await;
    assert_eq!(room.add(row("nadia@example.org", Confirmed)).await, Added::Left);
    assert_eq!(room.state("nadia@example.org").await, Some(Ended));
    room.add(row("omar@example.org", Pending)).await;
    room.store.suppress(&who("omar@example.org"), SuppressionReason::Complained, "", now()).await.unwrap();
    assert_eq!(room.add(row("omar@example.org", Confirmed)).await, Added::Suppressed);
    assert_eq!(room.add(bounced("omar@example.org", "another reason")).await, Added::Suppressed);
    let suppression = room.store.show(&who("omar@example.org")).await.unwrap().unwrap().suppression.unwrap();
    assert_eq!(suppression.reason, SuppressionReason::Complained);
}

#[tokio::test]
async fn a_list_that_is_added_twice_is_written_once() {
    let room = Room::new();
    let rows: Vec<Entry> = (0..200)
        .flat_map(|n| {
            [
                row(&format!("confirmed{n}@example.org"), Confirmed),
                row(&format!("pending{n}@example.org"), Pending),
                row(&format!("ended{n}@example.org"), Ended),
                bounced(&format!("bounced{n}@example.org"), "note"),
            ]
        })
        .collect();
    room.store.add(rows.clone(), now()).await.unwrap();
    let log = room.file("ledger.sqlite-wal");
    let before = (room.all().await, std::fs::read(&log).unwrap());
    let later = now() + Duration::days(1);
    let answers = room.store.add(rows.clone(), later).await.unwrap();
    assert_eq!(answers[..4], [Added::Unchanged, Added::Unchanged, Added::Left, Added::Suppressed]);
    assert!(before == (room.all().await, std::fs::read(&log).unwrap()), "something was written");
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_writes_nothing() {
    let room = Room::new();
    room.add(row("pending@example.org", Pending)).await;
    room.add(row("confirmed@example.org", Confirmed)).await;
    room.add(row("ended@example.org", Ended)).await;
    room.add(bounced("bounced@example.org", "")).await;
    room.store.forget(&who("erased@example.org"), now()).await.unwrap();
    let names = ["new", "pending", "confirmed", "ended", "bounced", "erased"];
    let rows: Vec<Entry> = names.map(|name| row(&format!("{name}@example.org"), Confirmed)).into();
    let before = room.all().await;
    let said = room.store.differences(rows.clone(), None).await.unwrap();
    assert_eq!(room.all().await, before);
    assert_eq!(
        said,
        [Added::New, Added::Confirmed, Added::Unchanged, Added::Left, Added::Suppressed, Added::Suppressed]
    );
    assert_eq!(room.store.add(rows, now()).await.unwrap(), said);
}

#[tokio::test]
async fn an_exported_ledger_imports_into_another_to_the_same() {
    let room = Room::new();
    for entry in [
        row("confirmed@example.org", Confirmed),
        row("pending@example.org", Pending),
        row("ended@example.org", Ended),
        bounced("bounced@example.org", "no such user"),
    ] {
        room.add(Entry { since: Some(now() - Duration::days(9)), ..entry }).await;
    }
    let mut writer = Writer::new(Vec::new()).unwrap();
    for listed in room.all().await {
        writer.write(&listed).unwrap();
    }
    let csv = writer.finish().unwrap();
    let list = list::read(csv.as_slice(), "list.csv", &Defaults::default(), &["weekly"]).unwrap();
    assert_eq!(list.problems, []);
    let other = Room::new();
    other.store.add(list.entries, now() + Duration::days(1)).await.unwrap();
    let plain = |listed: Vec<Listed>| {
        listed.into_iter().map(|l| (l.subscriber.address, l.subscription, l.consent, l.suppression)).collect::<Vec<_>>()
    };
    assert_eq!(plain(other.all().await), plain(room.all().await));
}

#[tokio::test]
async fn everything_that_is_held_is_shown() {
    let room = Room::new();
    assert_eq!(room.store.show(&who("nadia@example.org")).await.unwrap(), None);
    room.add(row("nadia@example.org", Confirmed)).await;
    let edition = room.edition().await;
    let id = room.fly(&edition).await;
    room.settle(id, Outcome::Rejected, "550 5.1.1 <nadia@example.org> no such user").await;
    let address = who("NADIA@example.org");
    let everything = Everything {
        held: room.store.show(&address).await.unwrap().unwrap(),
        deliveries: room.store.history(&address).await.unwrap(),
    };
    let shown = serde_json::to_value(&everything).unwrap();
    for (path, value) in [
        ("/subscriber/address", "nadia@example.org"),
        ("/subscriber/name", "Nadia"),
        ("/subscriber/language", "en"),
        ("/added", "2026-11-22T08:00:00Z"),
        ("/subscriptions/0/digest", "weekly"),
        ("/subscriptions/0/state", "confirmed"),
        ("/consents/0/source", "sign-up sheet"),
        ("/suppression/reason", "bounced"),
        ("/suppression/note", "550 5.1.1 <nadia@example.org> no such user"),
        ("/deliveries/0/digest", "weekly"),
        ("/deliveries/0/subject", "The week"),
        ("/deliveries/0/state", "rejected"),
        ("/deliveries/0/attempts/0/outcome", "rejected"),
        ("/deliveries/0/attempts/0/reply/status", "5.1.1"),
    ] {
        assert_eq!(shown.pointer(path).and_then(|v| v.as_str()), Some(value), "{path} in {shown:#}");
    }
}

#[tokio::test]
async fn who_is_forgotten_is_nowhere_and_her_deliveries_still_count() {
    let room = Room::new();
    room.add(row("nadia.cavner@example.org", Confirmed)).await;
    let edition = room.edition().await;
    let id = room.fly(&edition).await;
    room.settle(id, Outcome::Accepted, "250 2.1.5 <nadia.cavner@example.org> ok").await;
    room.store.suppress(&who("nadia.cavner@example.org"), SuppressionReason::Manual, "asked", now()).await.unwrap();
    assert!(room.on_disk("nadia.cavner"), "this can be found");
    assert!(room.store.forget(&who("Nadia.Cavner@example.org"), now()).await.unwrap());
    assert!(!room.on_disk("nadia.cavner"));
    assert!(room.all().await.is_empty());
    assert_eq!(room.store.counts(edition.id).await.unwrap().accepted, 1);
    let record = &room.records(&edition).await[0];
    assert!(record.address.as_str().ends_with("@erased.invalid"));
    assert_eq!((record.attempts[0].reply.code, record.attempts[0].reply.text.as_str()), (250, ""));
    assert_eq!(room.store.history(&who("nadia.cavner@example.org")).await.unwrap(), []);
    let held = room.store.show(&who("nadia.cavner@example.org")).await.unwrap().unwrap();
    assert_eq!((held.subscriber, held.suppression, held.erased), (None, None, Some(now())));
    assert!(!room.store.forget(&who("nadia.cavner@example.org"), now()).await.unwrap(), "nothing more to forget");
}

#[tokio::test]
async fn no_list_and_no_bounce_brings_back_who_was_forgotten() {
    let room = Room::new();
    assert!(!room.store.forget(&who("nadia@example.org"), now()).await.unwrap(), "never known");
    for entry in
        [row("NADIA@example.org", Confirmed), row("nadia@example.org", Ended), bounced("nadia@example.org", "")]
    {
        assert_eq!(room.add(entry).await, Added::Suppressed);
    }
    room.store.suppress(&who("nadia@example.org"), SuppressionReason::Bounced, "", now()).await.unwrap();
    let held = room.store.show(&who("nadia@example.org")).await.unwrap().unwrap();
    assert_eq!((held.subscriber, held.suppression), (None, None));
    assert!(!room.on_disk("nadia"));
    assert_eq!(room.add(row("omar@example.org", Confirmed)).await, Added::New);
}

#[tokio::test]
async fn a_mail_in_flight_is_settled_after_its_reader_was_forgotten_and_says_nothing_of_her() {
    let room = Room::new();
    room.add(row("nadia@example.org", Confirmed)).await;
    let edition = room.edition().await;
    let id = room.fly(&edition).await;
    room.store.forget(&who("nadia@example.org"), now()).await.unwrap();
    room.settle(id, Outcome::Deferred(now()), "450 4.2.0 <nadia@example.org> try later").await;
    let reply = room.records(&edition).await[0].attempts[0].reply.clone();
    assert_eq!((reply.code, reply.text.as_str()), (450, ""));
    assert_eq!(room.store.claim(&"press".to_owned(), edition.id, 1, LEASE, now()).await.unwrap(), []);
    assert_eq!(room.records(&edition).await[0].state, DeliveryState::Withdrawn);
}

#[tokio::test]
async fn a_ledger_that_remembers_the_erased_takes_no_list_without_its_key() {
    let room = Room::new();
    room.store.forget(&who("nadia@example.org"), now()).await.unwrap();
    let file = room.file("ledger.sqlite");
    let without = SqliteStore::open(&file).unwrap();
    let another = SqliteStore::open(&file).unwrap().with_erasure_key(ErasureKey::new([8; 32]));
    for store in [without, another] {
        let rows = vec![row("nadia@example.org", Confirmed)];
        assert_eq!(store.add(rows.clone(), now()).await, Err(StoreError::ErasureKey));
        assert_eq!(store.differences(rows, None).await, Err(StoreError::ErasureKey));
        assert_eq!(store.forget(&who("omar@example.org"), now()).await, Err(StoreError::ErasureKey));
    }
}

#[tokio::test]
async fn a_number_in_the_ledger_is_never_given_to_somebody_else() {
    // Links carry it: the links in an erased reader's old mails must act on nobody.
    let room = Room::new();
    room.add(row("erased@example.org", Confirmed)).await;
    let erased = room.all().await[0].subscriber.id;
    room.store.forget(&who("erased@example.org"), now()).await.unwrap();
    room.add(row("newcomer@example.org", Confirmed)).await;
    assert_ne!(room.all().await[0].subscriber.id, erased);
}
