//! What every store must keep, written once. `suite!` makes one module of tests a store.

use chrono::{DateTime, TimeDelta, Utc};
use pressrun::delivery::bounce::Cause;
use pressrun::delivery::ledger::{MOST_DOUBTS, Resolution, UncertainPolicy};
use pressrun::delivery::notice::{Event, Notice, Notices};
use pressrun::delivery::pace::Rest;
use pressrun::delivery::returns::{Filed, Mailed, News, Patience, Return, Returns};
use pressrun::delivery::{
    AttemptOutcome, Claimed, DeliveryId, DeliveryState, Ledger, Outcome, Reply, Settlement, Signatures, Unsigned,
};
use pressrun::digest::edition::{Choice, Edits, Stale};
use pressrun::digest::{Drafted, Edition, EditionId, EditionPiece, EditionState, Editions, Sealed};
use pressrun::newsroom::ArticleId;
use pressrun::store::{PostgresStore, SqliteStore};
use pressrun::subscriber::key_ring::{KeyNames, KeyRing};
use pressrun::subscriber::request::{Ask, Request, Requests, Terms, Wish};
use pressrun::subscriber::{
    Added, Address, Consent, EVERYTHING, Entry, ErasureKey, Force, Lifted, SubscriberId, Subscribers,
    SubscriptionState, Suppression, SuppressionReason,
};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use crate::support;

pub const LEASE: Duration = Duration::from_mins(10);

/// All a store must be.
pub trait Store: Subscribers + KeyRing + Editions + Ledger + Signatures + Notices + Returns + Requests {}
impl<S: Subscribers + KeyRing + Editions + Ledger + Signatures + Notices + Returns + Requests> Store for S {}

pub fn now() -> DateTime<Utc> {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

pub fn address(name: &str) -> Address {
    format!("{name}@readers.example").parse().unwrap()
}

pub fn entry(name: &str, state: SubscriptionState) -> Entry {
    Entry {
        address: address(name),
        name: name.to_uppercase(),
        language: Some("en".to_owned()),
        digest: "weekly".to_owned(),
        state,
        consent: Consent { source: "open day".to_owned(), when: Some(now()) },
        suppressed: None,
        since: None,
        note: String::new(),
    }
}

pub fn sealed(subject: &str) -> Sealed {
    Sealed {
        subject: subject.to_owned(),
        preheader: "in short".to_owned(),
        html: "<p>é</p>".to_owned(),
        text: "é".to_owned(),
        mark: "~~".to_owned(),
        shortened: false,
        headers: vec![("From".to_owned(), "desk@news.example".to_owned())],
        date: now(),
    }
}

/// The digest's next edition, as a draft.
pub async fn draft<S: Editions>(
    store: &S,
    digest: &str,
    pieces: Vec<EditionPiece>,
    sealed: Sealed,
    now: DateTime<Utc>,
) -> Edition {
    let number = 1 + store.editions(Some(digest)).await.unwrap().iter().map(|e| e.number).max().unwrap_or(0);
    let drafted = store.draft(digest, number, None, pieces, sealed, now).await.unwrap();
    let Drafted::Made(edition) = drafted else { panic!("{drafted:?}") };
    *edition
}

/// A draft as it is to be approved.
pub fn fixed(draft: Edition) -> Edition {
    Edition { seal: Some("seal".to_owned()), ..draft }
}

fn piece(id: &str, choice: Choice) -> EditionPiece {
    EditionPiece { id: ArticleId(id.to_owned()), title: format!("On {id}"), choice }
}

/// An approved edition with one delivery for each of these confirmed readers.
pub async fn approved<S: Store>(store: &S, readers: &[&str]) -> EditionId {
    let entries = readers.iter().map(|r| entry(r, SubscriptionState::Confirmed)).collect();
    store.add(entries, now()).await.unwrap();
    let edition = draft(store, "weekly", vec![piece("a", Choice::Carried)], sealed("News"), now()).await;
    let id = edition.id;
    let written = store.approve(fixed(edition), now()).await.unwrap();
    assert_eq!(written, Ok(readers.len() as u64));
    id
}

async fn claim<S: Store>(store: &S, press: &str, edition: EditionId, limit: u32) -> Vec<Claimed> {
    store.claim(&press.to_owned(), edition, limit, LEASE, now()).await.unwrap()
}

async fn begin<S: Store>(store: &S, press: &str, ids: &[DeliveryId]) -> Vec<DeliveryId> {
    store.turn(&press.to_owned(), vec![], ids.to_vec(), LEASE, now()).await.unwrap()
}

async fn settle<S: Store>(store: &S, press: &str, id: DeliveryId, outcome: Outcome) {
    let settlement = Settlement { id, outcome, reply: Reply::read("250 2.0.0 said so"), when: later(1) };
    store.turn(&press.to_owned(), vec![settlement], vec![], LEASE, later(1)).await.unwrap();
}

async fn state<S: Store>(store: &S, edition: EditionId, name: &str) -> DeliveryState {
    store.record(edition, &address(name)).await.unwrap().unwrap().state
}

pub async fn a_list_is_added_once_and_never_revives_anybody<S: Store>(store: S) {
    use SubscriptionState::{Confirmed, Ended, Pending};
    let list = vec![entry("ana", Confirmed), entry("ben", Pending), entry("eva", Ended)];
    let first = store.add(list.clone(), now()).await.unwrap();
    assert_eq!(first, [Added::New, Added::New, Added::Left]);
    let again = store.add(list, later(1)).await.unwrap();
    assert_eq!(again, [Added::Unchanged, Added::Unchanged, Added::Left]);
    let confirmed = store.add(vec![entry("ben", Confirmed), entry("eva", Confirmed)], later(2)).await.unwrap();
    assert_eq!(confirmed, [Added::Confirmed, Added::Left]);
    assert!(store.end(&address("ana"), Some("weekly"), later(3)).await.unwrap());
    assert!(!store.end(&address("ana"), Some("weekly"), later(3)).await.unwrap());
    assert_eq!(store.add(vec![entry("ana", Confirmed)], later(4)).await.unwrap(), [Added::Left]);
    let listed = store.list(Some("weekly"), None, 10).await.unwrap();
    let states: Vec<_> = listed.iter().map(|l| (l.subscriber.name.as_str(), l.subscription.state)).collect();
    assert_eq!(states, [("ANA", Ended), ("BEN", Confirmed), ("EVA", Ended)]);
    assert_eq!(listed[1].consent.as_ref().unwrap().source, "open day");
    assert_eq!(listed[1].subscription.since, later(2));
}

pub async fn letter_case_makes_no_second_subscriber<S: Store>(store: S) {
    let mut shouted = entry("ana", SubscriptionState::Confirmed);
    shouted.address = "ANA@readers.example".parse().unwrap();
    let added = store.add(vec![entry("ana", SubscriptionState::Confirmed), shouted], now()).await.unwrap();
    assert_eq!(added, [Added::New, Added::Unchanged]);
    assert_eq!(store.list(None, None, 10).await.unwrap().len(), 1);
}

pub async fn a_suppressed_address_is_never_mailed_again<S: Store>(store: S) {
    let mut bad = entry("bad", SubscriptionState::Confirmed);
    bad.suppressed = Some(SuppressionReason::Complained);
    store.suppress(&address("ANA"), SuppressionReason::Bounced, "gone", now()).await.unwrap();
    store.suppress(&address("ana"), SuppressionReason::Manual, "second word", later(1)).await.unwrap();
    let added = store.add(vec![entry("ana", SubscriptionState::Confirmed), bad], later(1)).await.unwrap();
    assert_eq!(added, [Added::Suppressed, Added::Suppressed]);
    approved(&store, &["ben"]).await;
    let listed = store.list(None, None, 10).await.unwrap();
    let bad = listed.iter().find(|l| l.subscriber.name == "BAD").unwrap();
    assert_eq!(bad.suppression.as_ref().unwrap().reason, SuppressionReason::Complained);
}

pub async fn who_has_left_everything_is_begun_by_no_list_anywhere<S: Store>(store: S) {
    let of = |digest: &str, state| Entry { digest: digest.to_owned(), ..entry("ana", state) };
    store.add(vec![of("weekly", SubscriptionState::Confirmed)], now()).await.unwrap();
    assert!(store.end(&address("ana"), None, later(1)).await.unwrap());
    assert!(!store.end(&address("ana"), None, later(2)).await.unwrap());
    assert!(!store.end(&address("nobody"), None, later(2)).await.unwrap());
    let rows = vec![of("weekly", SubscriptionState::Confirmed), of("monthly", SubscriptionState::Confirmed)];
    assert_eq!(store.differences(rows.clone(), None).await.unwrap(), [Added::Left, Added::Left]);
    assert_eq!(store.add(rows, later(3)).await.unwrap(), [Added::Left, Added::Left]);
    let held = store.show(&address("ana")).await.unwrap().unwrap();
    let stand: Vec<_> = held.subscriptions.iter().map(|s| (s.digest.as_str(), s.state, s.since)).collect();
    assert_eq!(
        stand,
        [(EVERYTHING, SubscriptionState::Ended, later(1)), ("weekly", SubscriptionState::Ended, later(1))]
    );
}

pub async fn a_list_that_says_she_left_everything_ends_what_began_before<S: Store>(store: S) {
    let row = |digest: &str, state, since| Entry { digest: digest.to_owned(), since, ..entry("ana", state) };
    let (yes, no) = (SubscriptionState::Confirmed, SubscriptionState::Ended);
    store.add(vec![row("weekly", yes, Some(now())), row("monthly", yes, Some(later(200_000)))], now()).await.unwrap();
    let said = store.add(vec![row(EVERYTHING, no, Some(later(100)))], later(300_000)).await.unwrap();
    assert_eq!(said, [Added::Left]);
    let held = store.show(&address("ana")).await.unwrap().unwrap();
    let stand: Vec<_> = held.subscriptions.iter().map(|s| (s.digest.as_str(), s.state)).collect();
    assert_eq!(stand, [(EVERYTHING, no), ("monthly", yes), ("weekly", no)]);
    assert_eq!(store.add(vec![row("daily", yes, None)], later(300_001)).await.unwrap(), [Added::Left]);
}

pub async fn force_lifts_what_may_be_lifted_and_keeps_why<S: Store>(store: S) {
    use SubscriptionState::Confirmed;
    let names = ["bounced", "manual", "complained", "left"];
    let rows = || names.map(|name| entry(name, Confirmed)).to_vec();
    store.add(rows(), now()).await.unwrap();
    store.end(&address("left"), Some("weekly"), later(1)).await.unwrap();
    for (name, reason) in [
        ("bounced", SuppressionReason::Bounced),
        ("manual", SuppressionReason::Manual),
        ("complained", SuppressionReason::Complained),
    ] {
        store.suppress(&address(name), reason, "as told", later(1)).await.unwrap();
    }
    let force = Force::new(&[], "mailboxes mended").unwrap();
    let wanted = [Added::Lifted, Added::Lifted, Added::Suppressed, Added::Left];
    assert_eq!(store.differences(rows(), Some(force.clone())).await.unwrap(), wanted);
    assert_eq!(store.add_by_force(rows(), force.clone(), later(2)).await.unwrap(), wanted);
    let again = store.add_by_force(rows(), force, later(3)).await.unwrap();
    assert_eq!(again, [Added::Unchanged, Added::Unchanged, Added::Suppressed, Added::Left]);
    let held = store.show(&address("bounced")).await.unwrap().unwrap();
    assert_eq!(held.suppression, None);
    let suppression = Suppression { reason: SuppressionReason::Bounced, since: later(1), note: "as told".to_owned() };
    assert_eq!(held.lifted, [Lifted { suppression, lifted: later(2), because: "mailboxes mended".to_owned() }]);
    // The same list says the same as ever; a new bounce is news.
    let stale = Entry { suppressed: Some(SuppressionReason::Bounced), ..entry("bounced", SubscriptionState::Ended) };
    assert_eq!(store.add(vec![stale], later(4)).await.unwrap(), [Added::Unchanged]);
    store.suppress(&address("bounced"), SuppressionReason::Bounced, "", later(5)).await.unwrap();
    assert!(store.show(&address("bounced")).await.unwrap().unwrap().suppression.is_some());
    let named = Force::new(&[SuppressionReason::Complained], "she wrote to us").unwrap();
    let said = store.add_by_force(vec![entry("complained", Confirmed)], named, later(6)).await.unwrap();
    assert_eq!(said, [Added::Lifted]);
}

pub async fn a_stricter_reason_takes_the_place_of_a_milder_one<S: Store>(store: S) {
    let reason = async || store.show(&address("ana")).await.unwrap().unwrap().suppression.unwrap().reason;
    for (said, kept) in [
        (SuppressionReason::Bounced, SuppressionReason::Bounced),
        (SuppressionReason::Complained, SuppressionReason::Complained),
        (SuppressionReason::Manual, SuppressionReason::Complained),
    ] {
        store.suppress(&address("ana"), said, "", now()).await.unwrap();
        assert_eq!(reason().await, kept);
    }
}

pub async fn a_list_is_read_page_by_page<S: Store>(store: S) {
    let names: Vec<String> = (0..25).map(|n| format!("r{n:02}")).collect();
    store.add(names.iter().map(|n| entry(n, SubscriptionState::Confirmed)).collect(), now()).await.unwrap();
    let (mut after, mut found) = (None, vec![]);
    loop {
        let page = store.list(None, after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.subscriber.address.as_str().to_owned(), last.subscription.digest.clone()));
        found.extend(page.into_iter().map(|l| l.subscriber.address.as_str().to_owned()));
    }
    assert_eq!(found, names.iter().map(|n| format!("{n}@readers.example")).collect::<Vec<_>>());
}

pub async fn a_draft_is_numbered_revised_and_read_back<S: Store>(store: S) {
    let first = draft(&store, "weekly", vec![piece("a", Choice::Carried)], sealed("One"), now()).await;
    let second = draft(&store, "weekly", vec![], sealed("Two"), later(1)).await;
    let other = draft(&store, "daily", vec![], sealed("Other"), later(2)).await;
    assert_eq!((first.number, second.number, other.number), (1, 2, 1));
    let pieces = vec![piece("b", Choice::Later), piece("a", Choice::Carried)];
    let edits = Edits { subject: Some("New".to_owned()), ..Edits::default() };
    let revised = Edition { pieces, edits, sealed: sealed("New"), ..first.clone() };
    store.revise(revised.clone()).await.unwrap().unwrap();
    let wanted = Edition { revision: 1, ..revised };
    assert_eq!(store.edition(first.id).await.unwrap(), Some(wanted.clone()));
    // Who has looked at the one of before neither changes it nor lets it go.
    assert_eq!(store.revise(Edition { sealed: sealed("Late"), ..first.clone() }).await.unwrap(), Err(Stale::Revised));
    assert_eq!(store.approve(fixed(first.clone()), later(3)).await.unwrap(), Err(Stale::Revised));
    assert_eq!(store.edition(first.id).await.unwrap(), Some(wanted));
    let all = store.editions(Some("weekly")).await.unwrap();
    let subjects: Vec<_> = all.iter().map(|e| (e.sealed.subject.as_str(), e.sealed.html.as_str())).collect();
    assert_eq!(subjects, [("Two", ""), ("New", "")]);
    assert_eq!(store.editions(None).await.unwrap().len(), 3);
    assert_eq!(store.edition(EditionId(99)).await.unwrap(), None);
}

pub async fn approving_writes_each_delivery_once<S: Store>(store: S) {
    store.add(vec![entry("pending", SubscriptionState::Pending)], now()).await.unwrap();
    let edition = approved(&store, &["ana", "ben"]).await;
    store.add(vec![entry("late", SubscriptionState::Confirmed)], later(1)).await.unwrap();
    let read = store.edition(edition).await.unwrap().unwrap();
    let other = Edition { sealed: sealed("Changed"), seal: Some("other".to_owned()), ..read.clone() };
    assert_eq!(store.approve(other, later(2)).await.unwrap(), Ok(2));
    let kept = store.edition(edition).await.unwrap().unwrap();
    assert_eq!((kept.seal.as_deref(), kept.sealed.subject.as_str()), (Some("seal"), "News"));
    assert_eq!((kept.state, kept.approved), (EditionState::Approved, Some(now())));
    let no = store.revise(Edition { sealed: sealed("No"), ..read }).await.unwrap();
    assert_eq!(no, Err(Stale::State(EditionState::Approved)));
    assert_eq!(store.unfinished().await.unwrap(), [edition]);
}

pub async fn an_article_is_new_until_an_edition_carries_it<S: Store>(store: S) {
    let pieces = vec![
        piece("a", Choice::Carried),
        piece("b", Choice::Later),
        piece("c", Choice::Never),
        piece("d", Choice::Passed),
    ];
    let edition = draft(&store, "weekly", pieces, sealed("One"), now()).await;
    let ids = || ["a", "b", "c", "d", "e"].map(|id| ArticleId(id.to_owned())).to_vec();
    let known = async |digest: &str| {
        let mut known: Vec<_> = store.known(digest, ids()).await.unwrap().into_iter().map(|id| id.0).collect();
        known.sort();
        known
    };
    assert_eq!(known("weekly").await, ["a", "c", "d"]);
    assert_eq!(known("daily").await, [""; 0]);
    assert_eq!(store.withdraw(edition.id, later(1)).await.unwrap(), Some(0));
    assert_eq!(known("weekly").await, ["c"]);
    let withdrawn = store.approve(fixed(edition), later(2)).await.unwrap();
    assert_eq!(withdrawn, Err(Stale::State(EditionState::Withdrawn)));
}

/// What was in flight when it was withdrawn, and was refused then, has reached nobody.
pub async fn an_edition_withdrawn_before_anybody_had_it_carries_nothing<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben"]).await;
    let ids: Vec<_> = claim(&store, "p", edition, 2).await.iter().map(|c| c.id).collect();
    begin(&store, "p", &ids).await;
    store.withdraw(edition, later(1)).await.unwrap();
    let known = async || store.known("weekly", vec![ArticleId("a".to_owned())]).await.unwrap().len();
    assert_eq!(known().await, 1, "two may have it yet");
    settle(&store, "p", ids[0], Outcome::Rejected).await;
    assert_eq!(known().await, 1);
    settle(&store, "p", ids[1], Outcome::Deferred(later(9))).await;
    assert_eq!(known().await, 0);
}

pub async fn claims_come_in_order_and_only_once<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "eva"]).await;
    let mine = claim(&store, "one", edition, 2).await;
    assert_eq!(mine.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["ANA", "BEN"]);
    assert_eq!((mine[0].address.clone(), mine[0].tries, mine[0].first_try), (address("ana"), 0, None));
    assert_eq!(claim(&store, "two", edition, 5).await.len(), 1);
    assert_eq!(claim(&store, "two", edition, 5).await, []);
    assert_eq!(store.edition(edition).await.unwrap().unwrap().state, EditionState::Sending);
    store.release(&"one".to_owned()).await.unwrap();
    assert_eq!(claim(&store, "three", edition, 5).await.len(), 2);
}

pub async fn who_leaves_before_her_turn_gets_nothing<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "eva", "ida", "max"]).await;
    let claimed = claim(&store, "p", edition, 2).await;
    store.end(&address("ana"), Some("weekly"), now()).await.unwrap();
    store.suppress(&address("eva"), SuppressionReason::Manual, "", now()).await.unwrap();
    store.end(&address("ida"), Some("another digest"), now()).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|c| c.id).collect();
    assert_eq!(begin(&store, "p", &ids).await, [claimed[1].id]);
    let rest = claim(&store, "p", edition, 5).await;
    assert_eq!(rest.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["IDA", "MAX"]);
    let counts = store.counts(edition).await.unwrap();
    assert_eq!((counts.withdrawn, counts.under_way, counts.waiting, counts.total()), (2, 3, 0, 5));
}

pub async fn every_outcome_leaves_its_state_and_its_attempt<S: Store>(store: S) {
    use AttemptOutcome as A;
    use DeliveryState as D;
    let names = ["acc", "def", "exp", "pos", "rej", "unc", "unt"];
    let edition = approved(&store, &names).await;
    let claimed = claim(&store, "p", edition, 10).await;
    let outcomes = [
        Outcome::Accepted,
        Outcome::Deferred(later(60)),
        Outcome::Expired,
        Outcome::Postponed(later(30)),
        Outcome::Rejected,
        Outcome::Uncertain,
        Outcome::Untried,
    ];
    begin(&store, "p", &claimed.iter().map(|c| c.id).collect::<Vec<_>>()).await;
    for (one, outcome) in claimed.iter().zip(outcomes) {
        settle(&store, "p", one.id, outcome).await;
    }
    let mut states = vec![];
    for name in names {
        let record = store.record(edition, &address(name)).await.unwrap().unwrap();
        states.push((record.state, record.attempts.first().map(|a| a.outcome), record.doubts));
    }
    assert_eq!(
        states,
        [
            (D::Accepted, Some(A::Accepted), 0),
            (D::Waiting, Some(A::Deferred), 0),
            (D::Expired, Some(A::Expired), 0),
            (D::Waiting, None, 0),
            (D::Rejected, Some(A::Rejected), 0),
            (D::Uncertain, Some(A::Uncertain), 1),
            (D::Waiting, Some(A::Untried), 0),
        ]
    );
    let record = store.record(edition, &address("acc")).await.unwrap().unwrap();
    let attempt = &record.attempts[0];
    assert_eq!((attempt.begun, attempt.ended, attempt.held), (Some(now()), later(1), true));
    assert_eq!(attempt.reply, Reply::read("250 2.0.0 said so"));
    let counts = store.counts(edition).await.unwrap();
    assert_eq!((counts.waiting, counts.deferred, counts.uncertain, counts.doubtful), (3, 1, 1, 1));
    assert_eq!(store.next_due(edition).await.unwrap(), Some(later(1)));
    // In order of what is due; the deferred one knows of its try.
    let again = store.claim(&"p".to_owned(), edition, 10, LEASE, later(100)).await.unwrap();
    let told: Vec<_> = again.iter().map(|c| (c.name.as_str(), c.tries, c.first_try)).collect();
    assert_eq!(told, [("UNT", 0, None), ("POS", 0, None), ("DEF", 1, Some(now()))]);
    let uncertain = store.records(edition, Some(D::Uncertain), None, 10).await.unwrap();
    assert_eq!(uncertain.len(), 1);
    assert_eq!(store.records(edition, None, Some(claimed[4].id), 10).await.unwrap().len(), 2);
}

pub async fn a_press_that_lost_its_lease_overwrites_nothing<S: Store>(store: S) {
    use AttemptOutcome::{Accepted, Rejected, Uncertain};
    let edition = approved(&store, &["ana"]).await;
    let id = claim(&store, "slow", edition, 1).await[0].id;
    begin(&store, "slow", &[id]).await;
    assert_eq!(store.rescue(false, UncertainPolicy::Hold, later(599)).await.unwrap(), 0);
    assert_eq!(store.rescue(false, UncertainPolicy::Resend, later(600)).await.unwrap(), 1);
    let again = store.claim(&"new".to_owned(), edition, 1, LEASE, later(601)).await.unwrap();
    assert_eq!(again[0].tries, 1);
    settle(&store, "slow", id, Outcome::Rejected).await;
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Claimed);
    begin(&store, "new", &[id]).await;
    settle(&store, "new", id, Outcome::Accepted).await;
    let record = store.record(edition, &address("ana")).await.unwrap().unwrap();
    assert_eq!((record.state, record.doubts), (DeliveryState::Accepted, 1));
    let held: Vec<_> = record.attempts.iter().map(|a| (a.outcome, a.held)).collect();
    assert_eq!(held, [(Uncertain, true), (Rejected, false), (Accepted, true)]);
    assert_eq!(store.doubtful(edition, None, 10).await.unwrap().len(), 1);
}

/// Several lines of one press that hold the same delivery, all at the same moment.
pub async fn a_delivery_is_begun_by_one_line_however_many_hold_it<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "bo"]).await;
    let claimed = claim(&store, "p", edition, 2).await;
    let (other, twice) = ([claimed[0].id], [claimed[1].id]);
    // While the first is under way, the others gather.
    let begins = [&other, &twice, &twice, &twice, &twice].map(|ids| begin(&store, "p", ids));
    let begun: Vec<DeliveryId> = futures_util::future::join_all(begins).await.into_iter().flatten().collect();
    assert_eq!(begun.len(), 2, "{begun:?}");
}

pub async fn rescue_tells_what_may_have_gone_from_what_cannot<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben"]).await;
    let claimed = claim(&store, "gone", edition, 2).await;
    begin(&store, "gone", &[claimed[0].id]).await;
    assert_eq!(store.rescue(true, UncertainPolicy::Hold, now()).await.unwrap(), 1);
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Uncertain);
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Waiting);
    assert_eq!(begin(&store, "gone", &[claimed[1].id]).await, []);
    assert!(!store.finish(edition, now()).await.unwrap());
    // Another policy later sends what was held.
    assert_eq!(store.rescue(true, UncertainPolicy::Resend, now()).await.unwrap(), 0);
    assert_eq!(claim(&store, "new", edition, 5).await.len(), 2);
}

pub async fn a_press_that_says_that_it_is_alive_keeps_what_it_holds<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "cay"]).await;
    let press = "slow".to_owned();
    let claimed = claim(&store, "slow", edition, 2).await;
    let other = claim(&store, "other", edition, 1).await;
    begin(&store, "slow", &[claimed[0].id]).await;
    begin(&store, "other", &[other[0].id]).await;
    store.renew(&press, LEASE, later(500)).await.unwrap();
    // The other one said nothing.
    assert_eq!(store.rescue(false, UncertainPolicy::Hold, later(600)).await.unwrap(), 1);
    let states = [state(&store, edition, "ana").await, state(&store, edition, "ben").await];
    assert_eq!(states, [DeliveryState::InFlight, DeliveryState::Claimed]);
    assert_eq!(state(&store, edition, "cay").await, DeliveryState::Uncertain);
    assert_eq!(store.rescue(false, UncertainPolicy::Hold, later(1099)).await.unwrap(), 0);
    assert_eq!(store.rescue(false, UncertainPolicy::Hold, later(1100)).await.unwrap(), 1);
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Waiting);
    // What is lost is not taken back by a late word.
    store.renew(&press, LEASE, later(1200)).await.unwrap();
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Uncertain);
}

pub async fn what_was_uncertain_too_often_is_held_for_a_person<S: Store>(store: S) {
    let edition = approved(&store, &["ana"]).await;
    for doubts in 1..=MOST_DOUBTS {
        // After some it waits; each time is a day later than the one before.
        let day = later(86_400 * i64::from(doubts));
        let claimed = store.claim(&"p".to_owned(), edition, 1, LEASE, day).await.unwrap();
        begin(&store, "p", &[claimed[0].id]).await;
        settle(&store, "p", claimed[0].id, Outcome::Uncertain).await;
        store.rescue(false, UncertainPolicy::Resend, day).await.unwrap();
        let wanted = if doubts < MOST_DOUBTS { DeliveryState::Waiting } else { DeliveryState::Uncertain };
        assert_eq!(state(&store, edition, "ana").await, wanted, "{doubts}");
    }
    assert!(!store.finish(edition, later(0)).await.unwrap());
    assert_eq!(store.next_due(edition).await.unwrap(), None);
    // A person may want it once more.
    let year = later(365 * 86_400);
    assert_eq!(store.resolve(edition, None, Resolution::Resend, year).await.unwrap(), 1);
    assert_eq!(store.claim(&"p".to_owned(), edition, 1, LEASE, year).await.unwrap().len(), 1);
}

pub async fn what_is_uncertain_of_a_paused_edition_waits_for_a_person_too<S: Store>(store: S) {
    let edition = approved(&store, &["ana"]).await;
    let claimed = claim(&store, "p", edition, 1).await;
    begin(&store, "p", &[claimed[0].id]).await;
    settle(&store, "p", claimed[0].id, Outcome::Uncertain).await;
    store.pause(edition, Some("many are uncertain")).await.unwrap();
    store.rescue(true, UncertainPolicy::Resend, now()).await.unwrap();
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Uncertain);
    store.pause(edition, None).await.unwrap();
    store.rescue(true, UncertainPolicy::Resend, now()).await.unwrap();
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Waiting);
}

pub async fn an_operator_decides_about_the_uncertain<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "eva"]).await;
    let ids: Vec<_> = claim(&store, "p", edition, 3).await.iter().map(|c| c.id).collect();
    begin(&store, "p", &ids).await;
    store.rescue(true, UncertainPolicy::Hold, now()).await.unwrap();
    assert_eq!(store.resolve(edition, Some(ids[0]), Resolution::Resend, later(5)).await.unwrap(), 1);
    assert_eq!(store.resolve(edition, None, Resolution::Accepted, later(5)).await.unwrap(), 2);
    assert_eq!(store.resolve(edition, None, Resolution::Accepted, later(5)).await.unwrap(), 0);
    let ben = store.record(edition, &address("ben")).await.unwrap().unwrap();
    assert!(ben.attempts.last().unwrap().reply.text.contains("an operator said"), "{ben:?}");
    assert_eq!(store.next_due(edition).await.unwrap(), Some(later(5)));
    let again = store.claim(&"p".to_owned(), edition, 3, LEASE, later(5)).await.unwrap();
    begin(&store, "p", &[again[0].id]).await;
    settle(&store, "p", again[0].id, Outcome::Accepted).await;
    assert!(store.finish(edition, later(6)).await.unwrap());
    assert_eq!(store.edition(edition).await.unwrap().unwrap().state, EditionState::Sent);
    assert_eq!(store.counts(edition).await.unwrap().doubtful, 3);
    assert_eq!(store.unfinished().await.unwrap(), []);
    assert_eq!(store.withdraw(edition, later(7)).await.unwrap(), None);
}

pub async fn a_withdrawn_edition_sends_nothing_more<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "eva", "ida"]).await;
    let ids: Vec<_> = claim(&store, "p", edition, 3).await.iter().map(|c| c.id).collect();
    begin(&store, "p", &ids[..2]).await;
    assert_eq!(store.withdraw(edition, now()).await.unwrap(), Some(2));
    assert_eq!(begin(&store, "p", &[ids[2]]).await, []);
    settle(&store, "p", ids[0], Outcome::Deferred(later(9))).await;
    store.rescue(true, UncertainPolicy::Resend, now()).await.unwrap();
    assert_eq!(store.resolve(edition, None, Resolution::Resend, now()).await.unwrap(), 0);
    assert_eq!(claim(&store, "p", edition, 9).await, []);
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Withdrawn);
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Uncertain);
    // A reader may have it, so its pieces are not new any more.
    let id = ArticleId("a".to_owned());
    assert_eq!(store.known("weekly", vec![id.clone()]).await.unwrap().len(), 1);
    assert_eq!(store.withdraw(edition, now()).await.unwrap(), Some(0));
}

pub async fn a_paused_edition_waits_until_it_is_resumed<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben"]).await;
    let ids: Vec<_> = claim(&store, "p", edition, 1).await.iter().map(|c| c.id).collect();
    assert!(store.pause(edition, Some("too many refusals")).await.unwrap());
    assert!(!store.pause(edition, Some("again")).await.unwrap());
    assert_eq!(store.paused(edition).await.unwrap().as_deref(), Some("too many refusals"));
    assert_eq!(begin(&store, "p", &ids).await, []);
    assert_eq!(claim(&store, "p", edition, 5).await, []);
    assert_eq!(store.edition(edition).await.unwrap().unwrap().paused.as_deref(), Some("too many refusals"));
    assert!(store.pause(edition, None).await.unwrap());
    assert_eq!(claim(&store, "p", edition, 5).await.len(), 2);
}

pub async fn an_edition_without_readers_is_sent_at_once<S: Store>(store: S) {
    let edition = approved(&store, &[]).await;
    assert!(store.finish(edition, now()).await.unwrap());
    assert!(store.finish(edition, now()).await.unwrap());
    assert!(!store.finish(EditionId(77), now()).await.unwrap());
}

pub async fn schedule_runs_are_remembered<S: Store>(store: S) {
    assert_eq!(store.last_run("weekly").await.unwrap(), None);
    for due in [later(60), now(), later(60)] {
        store.ran("weekly", due).await.unwrap();
    }
    assert_eq!(store.last_run("weekly").await.unwrap(), Some(later(60)));
    assert_eq!(store.last_run("daily").await.unwrap(), None);
}

/// What waits and has no signature, page by page.
async fn unsigned<S: Store>(store: &S, edition: EditionId, limit: u32) -> Vec<Unsigned> {
    let mut found: Vec<Unsigned> = vec![];
    loop {
        let page = store.unsigned(edition, found.last(), limit).await.unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

pub async fn a_kept_signature_comes_with_the_claim_until_the_edition_ends<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben", "eva"]).await;
    let open = unsigned(&store, edition, 2).await;
    // Those that are sent last come first.
    assert_eq!(open.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["EVA", "BEN", "ANA"]);
    assert_eq!(open[0].address, address("eva"));
    store.keep(vec![(open[0].id, b"of eva".to_vec()), (open[2].id, b"old".to_vec())]).await.unwrap();
    store.keep(vec![(open[2].id, b"of ana".to_vec())]).await.unwrap();
    assert_eq!(unsigned(&store, edition, 9).await, [open[1].clone()]);
    let claimed = claim(&store, "p", edition, 9).await;
    let kept: Vec<_> = claimed.iter().map(|c| c.signature.as_deref()).collect();
    assert_eq!(kept, [Some(&b"of ana"[..]), None, Some(b"of eva")]);
    assert_eq!(unsigned(&store, edition, 9).await, []);

    // A deferred one still has it; one that was not waiting takes none.
    store.keep(vec![(claimed[1].id, b"late".to_vec())]).await.unwrap();
    settle(&store, "p", claimed[0].id, Outcome::Deferred(now())).await;
    settle(&store, "p", claimed[1].id, Outcome::Deferred(now())).await;
    settle(&store, "p", claimed[2].id, Outcome::Accepted).await;
    let again = claim(&store, "p", edition, 9).await;
    assert_eq!(again.iter().map(|c| c.signature.as_deref()).collect::<Vec<_>>(), [Some(&b"of ana"[..]), None]);
}

/// An edition's end takes its signatures away, and no others.
pub async fn signatures_end_with_their_edition<S: Store>(store: S) {
    let first = approved(&store, &["ana", "ben"]).await;
    let other = draft(&store, "weekly", vec![], sealed("More"), now()).await;
    store.approve(fixed(other.clone()), now()).await.unwrap().unwrap();
    let other = other.id;
    for edition in [first, other] {
        let open = unsigned(&store, edition, 9).await;
        store.keep(open.iter().map(|u| (u.id, b"signed".to_vec())).collect()).await.unwrap();
    }
    store.withdraw(first, now()).await.unwrap();
    assert_eq!(unsigned(&store, first, 9).await, []);
    assert_eq!(unsigned(&store, other, 9).await, []);
    let claimed = claim(&store, "p", other, 9).await;
    assert!(claimed.len() == 2 && claimed.iter().all(|c| c.signature.is_some()));
}

pub async fn a_due_time_has_one_edition_and_is_handled_with_it<S: Store>(store: S) {
    let due = |number, due| {
        store.draft("weekly", number, Some(due), vec![piece("a", Choice::Carried)], sealed("News"), later(65))
    };
    let Drafted::Made(made) = due(1, later(60)).await.unwrap() else { panic!("no edition") };
    assert_eq!((made.due, made.state, made.number), (Some(later(60)), EditionState::Draft, 1));
    assert_eq!(store.last_run("weekly").await.unwrap(), Some(later(60)));
    // Whoever comes second made it of what is not new any more: nothing of it is written, its due time not either.
    assert_eq!(due(1, later(61)).await.unwrap(), Drafted::Outrun);
    assert_eq!(store.last_run("weekly").await.unwrap(), Some(later(60)));
    assert_eq!(due(2, later(60)).await.unwrap(), Drafted::Handled);
    let listed = store.editions(None).await.unwrap();
    assert_eq!(listed.iter().map(|e| (e.id, e.due)).collect::<Vec<_>>(), [(made.id, Some(later(60)))]);
    let by_hand = draft(&store, "weekly", vec![], sealed("News"), now()).await;
    assert_eq!(by_hand.due, None);
}

pub async fn a_clock_that_was_ahead_is_forgotten_when_an_earlier_time_is_handled<S: Store>(store: S) {
    store.ran("weekly", later(1_000_000_000)).await.unwrap();
    store.ran("daily", later(1_000_000_000)).await.unwrap();
    store.ran("weekly", later(60)).await.unwrap();
    assert_eq!(store.last_run("weekly").await.unwrap(), Some(later(60)));
    assert_eq!(store.last_run("daily").await.unwrap(), Some(later(1_000_000_000)));
}

pub async fn a_letter_is_to_be_sent_until_it_is_told_and_never_again<S: Store>(store: S) {
    let edition = approved(&store, &[]).await;
    let editors = || vec![address("one"), address("two")];
    store.notify(edition, Event::Sent, editors(), now()).await.unwrap();
    store.notify(edition, Event::Paused(3), vec![address("one")], later(5)).await.unwrap();
    let letter = |event, to, since| Notice { edition, event, to: address(to), since };
    let (one, two) = (letter(Event::Sent, "one", now()), letter(Event::Sent, "two", now()));
    let paused = letter(Event::Paused(3), "one", later(5));
    assert_eq!(store.unsent().await.unwrap(), [one.clone(), two.clone(), paused.clone()]);
    store.told(&one, later(10)).await.unwrap();
    store.told(&paused, later(10)).await.unwrap();
    store.notify(edition, Event::Sent, editors(), later(20)).await.unwrap();
    assert_eq!(store.unsent().await.unwrap(), [two]);
    store.notify(edition, Event::Paused(4), vec![address("one")], later(30)).await.unwrap();
    assert_eq!(store.unsent().await.unwrap().len(), 2);
}

/// Somebody else is at it, or was and is gone, or has given it back.
pub async fn a_letter_is_taken_by_one_process_at_a_time<S: Store>(store: S) {
    let edition = approved(&store, &[]).await;
    store.notify(edition, Event::Sent, vec![address("one"), address("two")], now()).await.unwrap();
    let letters = store.unsent().await.unwrap();
    let take = |nth: usize, alone, when| store.take(&letters[nth], alone, LEASE, when);
    let lease = i64::try_from(LEASE.as_secs()).unwrap();
    assert_eq!(take(0, false, now()).await.unwrap(), Some(1));
    assert_eq!(take(0, false, later(lease - 1)).await.unwrap(), None);
    assert_eq!(take(1, false, now()).await.unwrap(), Some(1), "the other one is free");
    // The lease is over, or nobody else can be alive: perhaps for the second time, and for the third.
    assert_eq!(take(0, false, later(lease)).await.unwrap(), Some(2));
    assert_eq!(take(0, true, later(lease)).await.unwrap(), Some(3));
    // Who was the second has nothing to give back any more.
    store.give_back(&letters[0], 2).await.unwrap();
    assert_eq!(take(0, false, later(lease)).await.unwrap(), None);
    store.give_back(&letters[0], 3).await.unwrap();
    assert_eq!(take(0, false, later(lease)).await.unwrap(), Some(3));
    store.give_back(&letters[1], 1).await.unwrap();
    assert_eq!(take(1, false, now()).await.unwrap(), Some(1), "it surely had not gone out");
    store.told(&letters[0], later(lease)).await.unwrap();
    assert_eq!(take(0, true, later(9 * lease)).await.unwrap(), None);
    store.give_back(&letters[0], 3).await.unwrap();
    assert_eq!(store.unsent().await.unwrap(), letters[1..]);
}

/// Many at once: each letter is taken by one, each number and each due time has one draft.
pub async fn of_many_at_the_same_moment_one_takes_the_letter_and_one_makes_the_draft<S: Store>(store: S) {
    let edition = approved(&store, &[]).await;
    let store = std::sync::Arc::new(store);
    for round in 0..10 {
        store.notify(edition, Event::Paused(round), vec![address("one")], now()).await.unwrap();
        let letter = store.unsent().await.unwrap().pop().unwrap();
        let number = 2 + u32::try_from(round).unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, letter) = (store.clone(), letter.clone());
            all.spawn(async move {
                let taken = store.take(&letter, false, LEASE, now()).await.unwrap();
                let due = Some(later(i64::try_from(round).unwrap()));
                let drafted = store.draft("weekly", number, due, vec![], sealed("News"), now()).await.unwrap();
                (taken.is_some(), matches!(drafted, Drafted::Made(_)))
            });
        }
        let all = all.join_all().await;
        let count = |which: fn(&(bool, bool)) -> bool| all.iter().filter(|one| which(one)).count();
        assert_eq!((count(|one| one.0), count(|one| one.1)), (1, 1), "round {round}");
        store.told(&letter, now()).await.unwrap();
    }
}

/// A reply often repeats the address: whatever a server has said of her, in an answer or in a mail that came back, is gone.
pub async fn who_is_erased_leaves_no_text_of_any_server_behind<S: Store>(store: S) {
    let (edition, ids) = accepted(&store, &["ana", "bo"], now()).await;
    let said = |delivery, mark| Return {
        reply: Reply::read("550 5.1.1 <ana@readers.example> unknown"),
        ..returned(mark, delivery, News::Bounced, Some(Cause::Full))
    };
    file(&store, vec![said(ids[0], 1), said(ids[1], 2)], later(5)).await;
    assert!(store.forget(&address("ana"), later(10)).await.unwrap());
    // One that comes afterwards.
    assert_eq!(file(&store, vec![said(ids[0], 3)], later(20)).await, [Filed::Noted]);
    let records = store.records(edition, None, None, 9).await.unwrap();
    let of = |id| records.iter().find(|record| record.id == id).unwrap();
    let texts = |id| {
        let record = of(id);
        let attempts = record.attempts.iter().map(|a| a.reply.text.clone());
        attempts.chain(record.returned.iter().map(|r| r.reply.text.clone())).collect::<Vec<_>>()
    };
    assert_eq!(texts(ids[0]), ["", "", ""]);
    assert!(texts(ids[1]).iter().all(|text| !text.is_empty()) && texts(ids[1]).len() == 2, "{:?}", texts(ids[1]));
    // What it was is still known.
    assert_eq!(of(ids[0]).returned.iter().map(|r| r.reply.code).collect::<Vec<_>>(), [550, 550]);
    assert!(
        store
            .show(&address("ana"))
            .await
            .unwrap()
            .is_some_and(|held| held.subscriber.is_none() && held.suppression.is_none())
    );
}

/// An edition whose mails the relay took, all at `taken`.
async fn accepted<S: Store>(store: &S, readers: &[&str], taken: DateTime<Utc>) -> (EditionId, Vec<DeliveryId>) {
    let entries = readers.iter().map(|r| entry(r, SubscriptionState::Confirmed)).collect();
    store.add(entries, taken).await.unwrap();
    let edition = draft(store, "weekly", vec![], sealed("News"), taken).await;
    store.approve(fixed(edition.clone()), taken).await.unwrap().unwrap();
    let edition = edition.id;
    let claimed = store.claim(&"p".to_owned(), edition, 100, LEASE, taken).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|c| c.id).collect();
    store.turn(&"p".to_owned(), vec![], ids.clone(), LEASE, taken).await.unwrap();
    let settle = |id: &DeliveryId| Settlement {
        id: *id,
        outcome: Outcome::Accepted,
        reply: Reply::read("250 2.0.0 queued"),
        when: taken,
    };
    store.turn(&"p".to_owned(), ids.iter().map(settle).collect(), vec![], LEASE, taken).await.unwrap();
    store.finish(edition, taken).await.unwrap();
    (edition, ids)
}

pub async fn a_destination_that_complained_is_remembered_for_an_hour<S: Store>(store: S) {
    let rest = |place: &str, until| Rest { place: place.to_owned(), until };
    store.rest(&rest("b.example", later(600))).await.unwrap();
    store.rest(&rest("a.example", later(300))).await.unwrap();
    // The longer rest holds, whoever writes last.
    store.rest(&rest("b.example", later(60))).await.unwrap();
    store.rest(&rest("a.example", later(400))).await.unwrap();
    let wanted = [rest("a.example", later(400)), rest("b.example", later(600))];
    assert_eq!(store.rests(now()).await.unwrap(), wanted);
    assert_eq!(store.rests(later(400 + 3599)).await.unwrap(), wanted);
    assert_eq!(store.rests(later(400 + 3601)).await.unwrap(), wanted[1..]);
    assert!(store.presses(&"p".to_owned(), now()).await.unwrap() >= 1);
}

pub async fn what_was_accepted_is_counted_by_days_back_from_now<S: Store>(store: S) {
    assert_eq!(store.accepted_by_day(3, now()).await.unwrap(), [0, 0, 0]);
    let hour = 3600;
    accepted(&store, &["a"], later(-49 * hour)).await;
    accepted(&store, &["a", "b"], later(-47 * hour)).await;
    let (_, ids) = accepted(&store, &["a", "b", "c"], later(-1)).await;
    assert_eq!(store.accepted_by_day(3, now()).await.unwrap(), [3, 2, 1]);
    assert_eq!(store.accepted_by_day(2, now()).await.unwrap(), [3, 2]);
    // What has come back was sent all the same.
    file(&store, vec![returned(1, ids[0], News::Bounced, Some(Cause::NoMailbox))], now()).await;
    assert_eq!(store.accepted_by_day(2, now()).await.unwrap(), [3, 2]);
}

const PATIENCE: Patience = Patience { bounces: 3, within: Duration::from_hours(30 * 24) };

fn returned(mark: u8, delivery: DeliveryId, news: News, cause: Option<Cause>) -> Return {
    Return {
        mark: [mark; 32],
        of: Mailed::Delivery(delivery),
        news,
        cause,
        reply: Reply::read("550 5.1.1 no such user <x@readers.example>"),
    }
}

async fn file<S: Store>(store: &S, returns: Vec<Return>, when: DateTime<Utc>) -> Vec<Filed> {
    store.file(returns, PATIENCE, when).await.unwrap()
}

pub async fn what_comes_back_settles_its_delivery_once<S: Store>(store: S) {
    use DeliveryState as D;
    use Filed::{Again, Nobody, Noted, Suppressed};
    let (edition, ids) = accepted(&store, &["ana", "ben", "eva", "ida", "max"], now()).await;
    assert_eq!(store.delivery_of(edition, SubscriberId(ids[0].0 + 1000)).await.unwrap(), None);
    let (of, ana) = store.reader_of(ids[0]).await.unwrap().unwrap();
    assert_eq!((of, store.delivery_of(edition, ana).await.unwrap()), (edition, Some(ids[0])));
    let batch = || {
        vec![
            returned(1, ids[0], News::Bounced, Some(Cause::NoMailbox)),
            returned(2, ids[1], News::Bounced, Some(Cause::Full)),
            returned(3, ids[2], News::Delayed, None),
            returned(4, ids[3], News::Complained, None),
            returned(5, ids[4], News::Arrived, None),
            returned(6, DeliveryId(9_999), News::Complained, None),
        ]
    };
    assert_eq!(file(&store, batch(), later(60)).await, [Suppressed, Noted, Noted, Suppressed, Noted, Nobody]);
    let counts = store.counts(edition).await.unwrap();
    assert_eq!((counts.accepted, counts.bounced, counts.complained, counts.total()), (2, 2, 1, 5));
    assert_eq!(file(&store, batch(), later(90)).await, [Again, Again, Again, Again, Again, Nobody]);
    assert_eq!(store.counts(edition).await.unwrap(), counts);

    let mut states = vec![];
    for name in ["ana", "ben", "eva", "ida", "max"] {
        let record = store.record(edition, &address(name)).await.unwrap().unwrap();
        let news: Vec<_> = record.returned.iter().map(|r| (r.when, r.news, r.cause)).collect();
        states.push((record.state, news));
    }
    let at = later(60);
    assert_eq!(
        states,
        [
            (D::Bounced, vec![(at, News::Bounced, Some(Cause::NoMailbox))]),
            (D::Bounced, vec![(at, News::Bounced, Some(Cause::Full))]),
            (D::Accepted, vec![(at, News::Delayed, None)]),
            (D::Complained, vec![(at, News::Complained, None)]),
            (D::Accepted, vec![(at, News::Arrived, None)]),
        ]
    );
    let bounced = store.records(edition, Some(D::Bounced), None, 10).await.unwrap();
    assert_eq!(bounced.iter().map(|r| r.id).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(store.records(edition, Some(D::Accepted), None, 10).await.unwrap().len(), 2);
    let held = store.show(&address("ana")).await.unwrap().unwrap().suppression.unwrap();
    assert_eq!((held.reason, held.since), (SuppressionReason::Bounced, later(60)));
    assert_eq!(held.note, "550 5.1.1 no such user <x@readers.example>");
    let held = store.show(&address("ida")).await.unwrap().unwrap().suppression.unwrap();
    assert_eq!(held.reason, SuppressionReason::Complained);
    assert_eq!(store.show(&address("ben")).await.unwrap().unwrap().suppression, None);
}

pub async fn a_complaint_is_not_undone_by_a_bounce<S: Store>(store: S) {
    let (edition, ids) = accepted(&store, &["ana"], now()).await;
    file(&store, vec![returned(1, ids[0], News::Complained, None)], later(1)).await;
    file(&store, vec![returned(2, ids[0], News::Bounced, Some(Cause::NoMailbox))], later(2)).await;
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Complained);
    let held = store.show(&address("ana")).await.unwrap().unwrap().suppression.unwrap();
    assert_eq!(held.reason, SuppressionReason::Complained);
    let (edition, ids) = accepted(&store, &["ben"], now()).await;
    file(&store, vec![returned(3, ids[0], News::Bounced, Some(Cause::Full))], later(1)).await;
    file(&store, vec![returned(4, ids[0], News::Complained, None)], later(2)).await;
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Complained);
}

/// Somebody asks for something; the request, as its letter is written from it.
async fn ask<S: Store>(store: &S, name: &str, wish: Wish) -> Request {
    let ask = Ask {
        address: address(name),
        wish,
        language: "en".into(),
        network: "192.0.2.0/24".into(),
        wording: "yes".into(),
    };
    let terms = Terms { every: Duration::ZERO, within: Duration::from_hours(24) };
    assert!(store.ask(ask, terms, now()).await.unwrap());
    store.letters(100, now()).await.unwrap().pop().unwrap()
}

pub async fn a_word_said_by_an_old_mail_follows_who_has_moved<S: Store>(store: S) {
    let (_, ids) = accepted(&store, &["old", "ben"], now()).await;
    let old = store.reader_of(ids[0]).await.unwrap().unwrap().1;
    let asked = ask(&store, "new", Wish::Move(old)).await;
    let new = store.confirm(asked.id, "192.0.2.0/24", now()).await.unwrap().unwrap().id;
    let asked = ask(&store, "newer", Wish::Move(new)).await;
    store.confirm(asked.id, "192.0.2.0/24", now()).await.unwrap().unwrap();
    // That the old mailbox is gone is no word of hers.
    file(&store, vec![returned(1, ids[0], News::Bounced, Some(Cause::NoMailbox))], later(1)).await;
    let newer = async || store.show(&address("newer")).await.unwrap().unwrap();
    assert_eq!((newer().await.suppression, newer().await.subscriptions[0].state), (None, SubscriptionState::Confirmed));
    file(&store, vec![returned(2, ids[0], News::Complained, None)], later(2)).await;
    assert_eq!(newer().await.suppression.unwrap().reason, SuppressionReason::Complained);
    assert!(store.leave(old, Some("weekly"), later(3)).await.unwrap());
    assert_eq!(newer().await.subscriptions[0].state, SubscriptionState::Ended);

    // Whoever is erased is followed by nobody.
    let ben = store.reader_of(ids[1]).await.unwrap().unwrap().1;
    let asked = ask(&store, "eva", Wish::Move(ben)).await;
    store.confirm(asked.id, "192.0.2.0/24", now()).await.unwrap().unwrap();
    store.forget(&address("ben"), later(4)).await.unwrap();
    assert!(!store.leave(ben, None, later(5)).await.unwrap());
    assert_eq!(
        store.show(&address("eva")).await.unwrap().unwrap().subscriptions[0].state,
        SubscriptionState::Confirmed
    );
}

pub async fn a_letter_is_not_wanted_once_its_inbox_has_said_no<S: Store>(store: S) {
    let subscribe = || Wish::Subscribe(vec!["weekly".into()]);
    let (ana, ben) = (ask(&store, "ana", subscribe()).await.id, ask(&store, "ben", subscribe()).await.id);
    let eva = ask(&store, "eva", subscribe()).await;
    let moving = ask(&store, "ida", Wish::Move(eva.subscriber)).await.id;
    for id in [ana, ben, eva.id, moving] {
        assert!(store.is_wanted(id, later(1)).await.unwrap());
    }
    // It is told of, and forgotten, though it is somebody else who asked.
    assert_eq!(store.show(&address("ida")).await.unwrap().unwrap().requests.len(), 1);
    assert!(store.forget(&address("ida"), later(1)).await.unwrap());
    store.forget(&address("ana"), later(1)).await.unwrap();
    store.suppress(&address("ben"), SuppressionReason::Manual, "", later(1)).await.unwrap();
    for id in [ana, ben, moving] {
        assert!(!store.is_wanted(id, later(2)).await.unwrap());
    }
    assert!(store.is_wanted(eva.id, later(2)).await.unwrap());
    assert!(!store.is_wanted(eva.id, later(24 * 3600)).await.unwrap());
}

/// A bounce can be quicker than the press that writes down that the relay took the mail.
pub async fn what_comes_back_early_or_of_the_uncertain_is_not_lost<S: Store>(store: S) {
    let edition = approved(&store, &["ana", "ben"]).await;
    let ids: Vec<_> = claim(&store, "p", edition, 2).await.iter().map(|c| c.id).collect();
    begin(&store, "p", &ids).await;
    settle(&store, "p", ids[1], Outcome::Uncertain).await;
    let soft = |mark, id| returned(mark, id, News::Bounced, Some(Cause::Full));
    assert_eq!(file(&store, vec![soft(1, ids[0]), soft(2, ids[1])], later(2)).await, [Filed::Noted, Filed::Noted]);
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::InFlight);
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Bounced);
    settle(&store, "p", ids[0], Outcome::Accepted).await;
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Bounced);
    assert!(store.finish(edition, later(3)).await.unwrap());
    assert_eq!(store.counts(edition).await.unwrap().bounced, 2);
}

/// A reader whose mailbox is full is not sent the same again because its press was killed before it knew.
pub async fn what_came_back_is_never_sent_again<S: Store>(store: S) {
    let names = ["ana", "ben", "eva", "ida", "uli"];
    let edition = approved(&store, &names).await;
    let ids: Vec<_> = claim(&store, "gone", edition, 5).await.iter().map(|c| c.id).collect();
    let bounce = |n: usize| vec![returned(u8::try_from(n).unwrap(), ids[n], News::Bounced, Some(Cause::Full))];
    begin(&store, "gone", &ids).await;
    // While they are in flight: of one the answer is never known, of the other the press itself is in doubt.
    file(&store, [bounce(0), bounce(1)].concat(), later(1)).await;
    settle(&store, "gone", ids[1], Outcome::Uncertain).await;
    assert_eq!(store.rescue(true, UncertainPolicy::Resend, now()).await.unwrap(), 3);
    assert_eq!(state(&store, edition, "ana").await, DeliveryState::Bounced);
    assert_eq!(state(&store, edition, "ben").await, DeliveryState::Bounced);
    // The others are to be sent again. What comes back now is of the first time.
    file(&store, bounce(2), later(2)).await;
    let again: Vec<_> = claim(&store, "p", edition, 5).await.iter().map(|c| c.id).collect();
    assert_eq!(again, ids[3..]);
    file(&store, bounce(3), later(2)).await;
    assert_eq!(begin(&store, "p", &again).await, ids[4..]);
    file(&store, bounce(4), later(2)).await;
    settle(&store, "p", ids[4], Outcome::Deferred(later(1))).await;
    for name in names {
        assert_eq!(state(&store, edition, name).await, DeliveryState::Bounced, "{name}");
    }
    assert_eq!(store.claim(&"p".to_owned(), edition, 5, LEASE, later(3600)).await.unwrap(), []);
    assert!(store.finish(edition, later(3)).await.unwrap());
    let counts = store.counts(edition).await.unwrap();
    assert_eq!((counts.bounced, counts.doubtful), (5, 3));
}

pub async fn soft_bounces_end_patience_unless_a_mail_arrives_in_between<S: Store>(store: S) {
    const WEEK: i64 = 7 * 24 * 3600;
    let soft = |mark, id| returned(mark, id, News::Bounced, Some(Cause::Full));
    let mut mark = 0;
    for week in 0..4 {
        let (_, ids) = accepted(&store, &["ana", "ben", "eva"], later(week * WEEK)).await;
        mark += 10;
        let mut batch = vec![soft(mark, ids[0]), soft(mark + 3, ids[0])];
        // Ben gets one in between; what is refused because of us never counts.
        if week != 1 {
            batch.push(soft(mark + 1, ids[1]));
        }
        batch.push(returned(mark + 2, ids.last().copied().unwrap(), News::Bounced, Some(Cause::Policy)));
        let filed = file(&store, batch, later(week * WEEK + 60)).await;
        assert_eq!(filed.contains(&Filed::Suppressed), week == 2, "week {week}: {filed:?}");
        if week == 2 {
            break;
        }
    }
    let suppressed = async |name| store.show(&address(name)).await.unwrap().unwrap().suppression.is_some();
    assert!(suppressed("ana").await);
    assert!(!suppressed("ben").await && !suppressed("eva").await);
    for week in 3..6 {
        let (_, ids) = accepted(&store, &["ben", "eva"], later(week * WEEK)).await;
        mark += 10;
        let filed = file(&store, vec![soft(mark, ids[0])], later(week * WEEK + 60)).await;
        assert_eq!(filed, [if week < 4 { Filed::Noted } else { Filed::Suppressed }], "week {week}");
        if week == 4 {
            break;
        }
    }
}

async fn refuse<S: Store>(store: &S, id: DeliveryId, said: &str, when: DateTime<Utc>) {
    begin(store, "p", &[id]).await;
    let settlement = Settlement { id, outcome: Outcome::Rejected, reply: Reply::read(said), when };
    store.turn(&"p".to_owned(), vec![settlement], vec![], LEASE, when).await.unwrap();
}

pub async fn an_address_that_the_relay_does_not_know_is_suppressed_at_once<S: Store>(store: S) {
    let names = ["ana", "ben", "eva", "ida", "max"];
    let edition = approved(&store, &names).await;
    let other = approved(&store, &names).await;
    let ids: Vec<_> = claim(&store, "p", edition, 5).await.iter().map(|c| c.id).collect();
    let said = [
        "550 5.1.1 <ana@readers.example>: User unknown",
        "552 5.2.2 mailbox full",
        "550 5.7.1 No such user here",
        "550 5.1.8 Domain not found",
        "554 5.7.1 spam",
    ];
    for (id, said) in ids.iter().zip(said) {
        refuse(&store, *id, said, later(1)).await;
    }
    let suppression = store.show(&address("ana")).await.unwrap().unwrap().suppression.unwrap();
    assert_eq!((suppression.reason, suppression.since), (SuppressionReason::Bounced, later(1)));
    assert_eq!(suppression.note, "550 5.1.1 <ana@readers.example>: User unknown");
    for name in &names[1..] {
        assert_eq!(store.show(&address(name)).await.unwrap().unwrap().suppression, None, "{name}");
    }
    for name in names {
        assert_eq!(state(&store, edition, name).await, DeliveryState::Rejected, "{name}");
    }
    assert_eq!(state(&store, other, "ana").await, DeliveryState::Withdrawn);
    assert_eq!(claim(&store, "p", other, 9).await.len(), 4);
}

pub async fn what_is_refused_at_sending_counts_with_what_comes_back<S: Store>(store: S) {
    const WEEK: i64 = 7 * 24 * 3600;
    let mut filed = vec![];
    for week in 0..3_u8 {
        let when = i64::from(week) * WEEK;
        let said = ["552 5.2.2 mailbox full", "554 5.7.1 spam"];
        if week < 2 {
            let edition = approved(&store, &["ana", "ben"]).await;
            for (one, said) in claim(&store, "p", edition, 2).await.iter().zip(said) {
                refuse(&store, one.id, said, later(when)).await;
            }
        } else {
            let (_, ids) = accepted(&store, &["ana", "ben"], later(when)).await;
            let soft = |mark, id| returned(mark, id, News::Bounced, Some(Cause::Full));
            filed = file(&store, vec![soft(1, ids[0]), soft(2, ids[1])], later(when + 60)).await;
        }
    }
    assert_eq!(filed, [Filed::Suppressed, Filed::Noted]);
}

pub async fn bounces_from_before_a_suppression_was_lifted_count_no_more<S: Store>(store: S) {
    use Filed::{Noted, Suppressed};
    const DAY: i64 = 24 * 3600;
    let mut filed = vec![];
    for day in 0..6 {
        let when = i64::from(day) * DAY;
        if day == 3 {
            let force = Force::new(&[], "the mailbox has room again").unwrap();
            let row = entry("ana", SubscriptionState::Confirmed);
            assert_eq!(store.add_by_force(vec![row], force, later(when)).await.unwrap(), [Added::Lifted]);
        }
        let (_, ids) = accepted(&store, &["ana"], later(when + 1)).await;
        let soft = returned(day, ids[0], News::Bounced, Some(Cause::Full));
        filed.extend(file(&store, vec![soft], later(when + 60)).await);
    }
    assert_eq!(filed, [Noted, Noted, Suppressed, Noted, Noted, Suppressed]);
}

/// Many presses at once: each delivery is claimed by one, begun once, settled once.
pub async fn presses_beside_each_other_never_share_a_delivery<S: Store>(store: S) {
    let names: Vec<String> = (0..300).map(|n| format!("r{n:03}")).collect();
    let edition = approved(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let store = std::sync::Arc::new(store);
    let mut presses = tokio::task::JoinSet::new();
    for press in 0..8 {
        let store = store.clone();
        presses.spawn(async move {
            let (press, mut sent) = (format!("press {press}"), vec![]);
            loop {
                let claimed = claim(&*store, &press, edition, 7).await;
                if claimed.is_empty() {
                    return sent;
                }
                for one in claimed {
                    sent.extend(begin(&*store, &press, &[one.id]).await);
                    settle(&*store, &press, one.id, Outcome::Accepted).await;
                }
            }
        });
    }
    let mut all: Vec<DeliveryId> = presses.join_all().await.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 300);
    assert!(store.finish(edition, now()).await.unwrap());
    assert_eq!(store.counts(edition).await.unwrap().accepted, 300);
}

pub async fn the_name_of_a_key_is_written_once<S: Store>(store: S) {
    let names = |names: &[(u8, u8)]| names.iter().map(|(number, name)| (*number, [*name; 16])).collect::<KeyNames>();
    let know = async |ours: &[(u8, u8)]| store.key_names(names(ours)).await.unwrap();
    assert_eq!(know(&[]).await, names(&[]));
    assert_eq!(know(&[(1, 7), (255, 8)]).await, names(&[(1, 7), (255, 8)]));
    // One comes, one is another, and one was taken out.
    assert_eq!(know(&[(1, 9), (2, 10)]).await, names(&[(1, 7), (2, 10), (255, 8)]));
    assert_eq!(know(&[(2, 11)]).await, names(&[(1, 7), (2, 10), (255, 8)]));
}

/// Runs one behaviour on a fresh store, where there is one.
pub fn on<S, F: Future<Output = ()>>(open: impl Future<Output = Option<S>>, behaviour: impl FnOnce(S) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if let Some(store) = open.await {
            behaviour(store).await;
        }
    });
}

/// A store in one file.
async fn sqlite(folder: PathBuf) -> Option<SqliteStore> {
    Some(SqliteStore::open(&folder.join("ledger.sqlite")).unwrap().with_erasure_key(ErasureKey::new([7; 32])))
}

/// A store on a server.
async fn postgres(_: PathBuf) -> Option<PostgresStore> {
    Some(support::postgres::database()?.store().await.with_erasure_key(ErasureKey::new([7; 32])))
}

macro_rules! suite {
    ($($behaviour:ident)*) => {
        suite! { @sqlite $($behaviour)* }
        suite! { @postgres $($behaviour)* }
    };
    (@$store:ident $($behaviour:ident)*) => {
        mod $store {
            $(#[test]
            fn $behaviour() {
                let folder = tempfile::tempdir().unwrap();
                super::on(super::$store(folder.path().to_owned()), super::$behaviour);
            })*
        }
    };
}

suite! {
    the_name_of_a_key_is_written_once
    a_list_is_added_once_and_never_revives_anybody
    letter_case_makes_no_second_subscriber
    a_suppressed_address_is_never_mailed_again
    who_has_left_everything_is_begun_by_no_list_anywhere
    a_list_that_says_she_left_everything_ends_what_began_before
    force_lifts_what_may_be_lifted_and_keeps_why
    a_stricter_reason_takes_the_place_of_a_milder_one
    a_list_is_read_page_by_page
    a_draft_is_numbered_revised_and_read_back
    approving_writes_each_delivery_once
    an_article_is_new_until_an_edition_carries_it
    an_edition_withdrawn_before_anybody_had_it_carries_nothing
    claims_come_in_order_and_only_once
    who_leaves_before_her_turn_gets_nothing
    every_outcome_leaves_its_state_and_its_attempt
    a_press_that_lost_its_lease_overwrites_nothing
    a_delivery_is_begun_by_one_line_however_many_hold_it
    rescue_tells_what_may_have_gone_from_what_cannot
    a_press_that_says_that_it_is_alive_keeps_what_it_holds
    what_was_uncertain_too_often_is_held_for_a_person
    what_is_uncertain_of_a_paused_edition_waits_for_a_person_too
    an_operator_decides_about_the_uncertain
    a_withdrawn_edition_sends_nothing_more
    a_paused_edition_waits_until_it_is_resumed
    an_edition_without_readers_is_sent_at_once
    schedule_runs_are_remembered
    a_kept_signature_comes_with_the_claim_until_the_edition_ends
    signatures_end_with_their_edition
    a_due_time_has_one_edition_and_is_handled_with_it
    a_clock_that_was_ahead_is_forgotten_when_an_earlier_time_is_handled
    a_letter_is_to_be_sent_until_it_is_told_and_never_again
    a_letter_is_taken_by_one_process_at_a_time
    of_many_at_the_same_moment_one_takes_the_letter_and_one_makes_the_draft
    who_is_erased_leaves_no_text_of_any_server_behind
    what_comes_back_settles_its_delivery_once
    a_complaint_is_not_undone_by_a_bounce
    a_word_said_by_an_old_mail_follows_who_has_moved
    a_letter_is_not_wanted_once_its_inbox_has_said_no
    what_comes_back_early_or_of_the_uncertain_is_not_lost
    what_came_back_is_never_sent_again
    soft_bounces_end_patience_unless_a_mail_arrives_in_between
    an_address_that_the_relay_does_not_know_is_suppressed_at_once
    what_is_refused_at_sending_counts_with_what_comes_back
    bounces_from_before_a_suppression_was_lifted_count_no_more
    a_destination_that_complained_is_remembered_for_an_hour
    what_was_accepted_is_counted_by_days_back_from_now
    presses_beside_each_other_never_share_a_delivery
}
