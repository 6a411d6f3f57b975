//! Over random lives: no edition goes to an address whose last word was no.

use chrono::{DateTime, TimeDelta, Utc};
use pressrun::delivery::{DeliveryState, Ledger};
use pressrun::digest::Editions;
use pressrun::store::SqliteStore;
use pressrun::subscriber::request::{Ask, RequestId, Requests, Terms, Wish};
use pressrun::subscriber::{
    Address, Entry, ErasureKey, Force, Subscribers, Subscription, SubscriptionState, SuppressionReason,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

use super::site::entry;
use crate::support::postgres;

const DIGESTS: [&str; 2] = ["daily", "weekly"];
const TERMS: Terms = Terms { every: Duration::ZERO, within: Duration::from_hours(24) };

/// A reader, and a digest where there are two numbers.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(usize, usize),
    /// Presses the button of the n-th request ever made, whoever's it was.
    Confirm(usize),
    Leave(usize, usize),
    LeaveAll(usize),
    Bounce(usize),
    Complain(usize),
    Import(usize, usize),
    /// The same, lifting what may be lifted.
    Force(usize, usize),
    /// The list says, without a day, that it has ended.
    ListEnds(usize, usize),
    Forget(usize),
    /// To another's address.
    Move(usize, usize),
    Pause(usize),
    Resume(usize),
    Day,
    Send(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..3_usize;
    let one = (0..3_usize, 0..2_usize);
    let step = prop_oneof![
        3 => one.clone().prop_map(|(n, d)| Step::Ask(n, d)),
        4 => (0..8_usize).prop_map(Step::Confirm),
        2 => one.clone().prop_map(|(n, d)| Step::Leave(n, d)),
        1 => who.clone().prop_map(Step::LeaveAll),
        1 => who.clone().prop_map(Step::Bounce),
        1 => who.clone().prop_map(Step::Complain),
        3 => one.clone().prop_map(|(n, d)| Step::Import(n, d)),
        1 => one.clone().prop_map(|(n, d)| Step::Force(n, d)),
        1 => one.prop_map(|(n, d)| Step::ListEnds(n, d)),
        1 => who.clone().prop_map(Step::Forget),
        2 => (who.clone(), who.clone()).prop_map(|(from, to)| Step::Move(from, to)),
        1 => who.clone().prop_map(Step::Pause),
        1 => who.prop_map(Step::Resume),
        1 => Just(Step::Day),
        3 => (0..2_usize).prop_map(Step::Send),
    ];
    prop::collection::vec(step, 1..40)
}

/// What the readers have said, kept as simply as can be: it knows nothing of how the ledger does it.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Word {
    #[default]
    Nothing,
    Yes,
    /// She has pressed the button herself.
    Herself,
    No,
}

impl Word {
    fn is_yes(self) -> bool {
        matches!(self, Word::Yes | Word::Herself)
    }
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    id: RequestId,
    /// Who had the old address, and whose the letter is.
    from: usize,
    to: usize,
    /// What for; nothing of a change of address.
    digest: Option<usize>,
    /// Neither pressed nor called off.
    live: bool,
}

fn call_off(requests: &mut [Asked], which: impl Fn(&Asked) -> bool) {
    requests.iter_mut().filter(|asked| which(asked)).for_each(|asked| asked.live = false);
}

/// One life, on every store.
async fn live(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (folder, key) = (tempfile::tempdir().unwrap(), ErasureKey::new([7; 32]));
    let store = SqliteStore::open(&folder.path().join("ledger.sqlite")).unwrap();
    live_on(store.with_erasure_key(key.clone()), steps.clone()).await?;
    match postgres::database() {
        Some(database) => live_on(database.store().await.with_erasure_key(key), steps).await,
        None => Ok(()),
    }
}

async fn live_on(
    store: impl Requests + Subscribers + Editions + Ledger,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let who = |n: usize| -> Address { format!("reader{n}@example.org").parse().unwrap() };
    let mut now: DateTime<Utc> = "2026-11-22T08:00:00Z".parse().unwrap();
    let mut words = [[Word::Nothing; 2]; 3];
    let mut barred: [Option<SuppressionReason>; 3] = [None; 3];
    // The list has said that it has ended, before the reader came back herself.
    let mut heard = [[false; 2]; 3];
    let mut paused: BTreeMap<usize, DateTime<Utc>> = BTreeMap::new();
    let mut moved: [Option<usize>; 3] = [None; 3];
    let mut requests: Vec<Asked> = vec![];
    for step in steps {
        now += TimeDelta::seconds(1);
        let id = |n: usize| {
            let (store, address) = (&store, who(n));
            async move { store.show(&address).await.unwrap().and_then(|held| held.subscriber).map(|s| s.id) }
        };
        let ask = |wish, n| Ask {
            address: who(n),
            wish,
            language: "en".into(),
            network: "192.0.2.0/24".into(),
            wording: "yes".into(),
        };
        let mut note = async |from, to, digest, wish| {
            if store.ask(ask(wish, to), TERMS, now).await.unwrap() {
                let open = store.letters(100, now).await.unwrap();
                let newest = open.iter().max_by_key(|request| request.id).unwrap();
                assert_eq!((newest.to.clone(), newest.asked), (who(to), now), "what was asked has a letter");
                requests.push(Asked { id: newest.id, from, to, digest, live: true });
            }
        };
        match step {
            Step::Ask(n, d) => note(n, n, Some(d), Wish::Subscribe(vec![DIGESTS[d].into()])).await,
            Step::Move(from, to) => {
                if let Some(id) = id(from).await {
                    note(from, to, None, Wish::Move(id)).await;
                }
            }
            Step::Confirm(n) => {
                if let Some(asked) = requests.get(n).copied() {
                    let confirmed = store.confirm(asked.id, "192.0.2.0/24", now).await.unwrap().is_some();
                    // Pressed again, or after she has left, the button says nothing.
                    if confirmed && asked.live {
                        requests[n].live = false;
                        moved[asked.to] = None;
                        if let Some(d) = asked.digest {
                            words[asked.to][d] = Word::Herself;
                        } else {
                            prop_assert!(words[asked.from].iter().any(|word| word.is_yes()));
                            for (d, word) in words[asked.from].into_iter().enumerate() {
                                if word.is_yes() {
                                    words[asked.to][d] = Word::Herself;
                                }
                            }
                            words[asked.from] = [Word::No; 2];
                            moved[asked.from] = Some(asked.to);
                            call_off(&mut requests, |other| other.from == asked.from);
                            if let Some(until) = paused.remove(&asked.from) {
                                paused.insert(asked.to, until);
                            }
                        }
                    }
                }
            }
            Step::Leave(n, d) => {
                if let Some(id) = id(n).await {
                    let mut had = false;
                    // Also by a mail to the address that she had before.
                    for n in std::iter::successors(Some(n), |n| moved[*n]) {
                        // Who has nothing to leave has not said no to anything: a list may begin it.
                        let held = store.show(&who(n)).await.unwrap().unwrap_or_default().subscriptions;
                        let has = |s: &Subscription| s.digest == DIGESTS[d] && s.state != SubscriptionState::Ended;
                        prop_assert!(held.iter().any(has) || !words[n][d].is_yes());
                        if held.iter().any(has) {
                            words[n][d] = Word::No;
                            had = true;
                        }
                        call_off(&mut requests, |asked| asked.from == n && asked.digest == Some(d));
                    }
                    prop_assert_eq!(store.leave(id, Some(DIGESTS[d]), now).await.unwrap(), had);
                }
            }
            Step::LeaveAll(n) => {
                if let Some(id) = id(n).await {
                    store.leave(id, None, now).await.unwrap();
                    for n in std::iter::successors(Some(n), |n| moved[*n]) {
                        words[n] = [Word::No; 2];
                        call_off(&mut requests, |asked| asked.from == n);
                    }
                }
            }
            Step::Bounce(n) | Step::Complain(n) => {
                let complains = matches!(step, Step::Complain(_));
                let reason = if complains { SuppressionReason::Complained } else { SuppressionReason::Bounced };
                store.suppress(&who(n), reason, "", now).await.unwrap();
                barred[n] = store.show(&who(n)).await.unwrap().and_then(|held| held.suppression).map(|s| s.reason);
                prop_assert!(barred[n] >= Some(reason) || words[n] == [Word::No; 2], "not suppressed, nor erased");
                call_off(&mut requests, |asked| asked.to == n || (complains && asked.from == n));
            }
            Step::Import(n, d) | Step::Force(n, d) => {
                let row = vec![entry(who(n).as_str(), DIGESTS[d])];
                if matches!(step, Step::Force(..)) {
                    store.add_by_force(row, Force::new(&[], "mended").unwrap(), now).await.unwrap();
                    barred[n] = barred[n].filter(|reason| *reason >= SuppressionReason::Complained);
                } else {
                    store.add(row, now).await.unwrap();
                }
                if words[n][d] == Word::No {
                    prop_assert_ne!(stands(&store, &who(n), d).await, Some(true), "a list revived {}", n);
                } else if barred[n].is_none() && words[n][d] == Word::Nothing {
                    words[n][d] = Word::Yes;
                }
                // It says something else now.
                heard[n][d] = false;
            }
            Step::ListEnds(n, d) => {
                let row = Entry { state: SubscriptionState::Ended, ..entry(who(n).as_str(), DIGESTS[d]) };
                store.add(vec![row], now).await.unwrap();
                let news = !heard[n][d];
                let stays = !news && words[n][d] == Word::Herself;
                prop_assert_eq!(stands(&store, &who(n), d).await == Some(true), stays, "it had not come back since");
                if news && stands(&store, &who(n), d).await.is_some() {
                    (words[n][d], heard[n][d]) = (Word::No, true);
                    call_off(&mut requests, |asked| asked.from == n && asked.digest == Some(d));
                }
            }
            Step::Forget(n) => {
                store.forget(&who(n), now).await.unwrap();
                (words[n], barred[n], heard[n]) = ([Word::No; 2], None, [false; 2]);
                paused.remove(&n);
                moved[n] = None;
                moved.iter_mut().filter(|to| **to == Some(n)).for_each(|to| *to = None);
                call_off(&mut requests, |asked| asked.from == n || asked.to == n);
            }
            Step::Pause(n) => {
                if let Some(id) = id(n).await {
                    let until = now + TimeDelta::days(3);
                    store.take_break(id, Some(until), now).await.unwrap();
                    paused.insert(n, until);
                }
            }
            Step::Resume(n) => {
                if let Some(id) = id(n).await {
                    store.take_break(id, None, now).await.unwrap();
                    paused.remove(&n);
                }
            }
            Step::Day => {
                now += TimeDelta::days(1);
                store.expire(TERMS, now).await.unwrap();
            }
            Step::Send(d) => {
                let sealed = crate::conformance::sealed("News");
                let edition = crate::conformance::draft(&store, DIGESTS[d], vec![], sealed, now).await;
                store.approve(crate::conformance::fixed(edition.clone()), now).await.unwrap().unwrap();
                let press = "run".to_owned();
                let claimed = store.claim(&press, edition.id, 100, Duration::from_mins(1), now).await.unwrap();
                for n in 0..words.len() {
                    let gets = claimed.iter().any(|claimed| claimed.address == who(n));
                    let wants = words[n][d].is_yes() && barred[n].is_none();
                    let breaks = paused.get(&n).is_some_and(|until| *until > now);
                    // Who wants it gets it: otherwise a ledger that mails nobody would pass.
                    prop_assert_eq!(gets, wants && !breaks, "{}: {:?} {:?} {:?}", n, words, barred, paused);
                }
                store.withdraw(edition.id, now).await.unwrap();
                let left = store.records(edition.id, Some(DeliveryState::Waiting), None, 10).await.unwrap();
                prop_assert!(left.is_empty());
            }
        }
    }
    Ok(())
}

/// Whether a digest goes to an address; `None` where it has nothing to do with it.
async fn stands(store: &impl Subscribers, address: &Address, digest: usize) -> Option<bool> {
    let held = store.show(address).await.unwrap()?;
    let found = held.subscriptions.iter().find(|s| s.digest == DIGESTS[digest])?;
    Some(found.state == SubscriptionState::Confirmed)
}

// Lives that the random ones have found.

#[tokio::test]
async fn a_complaint_calls_off_what_an_erased_reader_has_asked_anew() {
    use Step::{Ask, Complain, Confirm, Forget, Import};
    live(vec![Forget(1), Ask(1, 1), Complain(1), Confirm(0), Import(1, 1)]).await.unwrap();
}

#[tokio::test]
async fn who_moves_away_from_a_bounced_address_gets_the_letter_at_the_new_one() {
    use Step::{Ask, Bounce, Confirm, Import, Move, Send};
    live(vec![Import(2, 1), Bounce(2), Ask(0, 1), Move(2, 0), Confirm(1), Import(2, 1), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn an_address_that_bounces_while_its_reader_moves_away_does_not_keep_her() {
    use Step::{Bounce, Confirm, Import, Move, Send};
    live(vec![Import(2, 1), Move(2, 0), Bounce(2), Confirm(0), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn a_complaint_calls_a_change_of_address_off() {
    use Step::{Complain, Confirm, Import, Move, Send};
    live(vec![Import(2, 1), Move(2, 0), Complain(2), Confirm(0), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn who_leaves_by_a_mail_to_her_old_address_has_left_at_the_new_one() {
    use Step::{Confirm, Forget, Import, Leave, LeaveAll, Move, Send};
    live(vec![Import(2, 1), Move(2, 0), Confirm(0), Leave(2, 1), Send(1), Import(0, 1), Send(1)]).await.unwrap();
    live(vec![Import(2, 1), Move(2, 0), Confirm(0), Move(0, 1), Confirm(1), LeaveAll(2), Send(1)]).await.unwrap();
    live(vec![Import(2, 1), Move(2, 0), Confirm(0), Move(0, 2), Confirm(1), LeaveAll(0), Send(1)]).await.unwrap();
    live(vec![Import(2, 1), Move(2, 0), Confirm(0), Forget(2), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn nobody_moves_to_an_address_that_is_suppressed() {
    use Step::{Bounce, Confirm, Force, Import, Move, Send};
    live(vec![Import(2, 1), Move(2, 0), Bounce(0), Confirm(0), Send(1)]).await.unwrap();
    live(vec![Import(2, 1), Bounce(0), Move(2, 0), Confirm(0), Send(1)]).await.unwrap();
    // Nor by the old letter once it may be mailed again.
    live(vec![Import(2, 1), Import(0, 0), Move(2, 0), Bounce(0), Force(0, 0), Confirm(0), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn who_leaves_all_is_begun_by_no_list_in_what_she_never_had() {
    use Step::{Import, LeaveAll, Send};
    live(vec![Import(1, 0), LeaveAll(1), Import(1, 1), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn who_has_asked_and_then_leaves_all_is_begun_by_no_list_when_her_request_is_over() {
    use Step::{Ask, Day, Import, LeaveAll, Send};
    live(vec![Ask(1, 0), LeaveAll(1), Day, Day, Import(1, 0), Import(1, 1), Send(0), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn a_form_that_anybody_may_fill_in_opens_no_door_to_a_list_after_she_has_left_all() {
    use Step::{Ask, Import, LeaveAll, Send};
    live(vec![Import(2, 1), LeaveAll(2), Ask(2, 0), Import(2, 0), Send(0)]).await.unwrap();
}

#[tokio::test]
async fn who_was_erased_and_comes_back_to_one_digest_is_begun_by_no_list_in_another() {
    use Step::{Ask, Confirm, Forget, Import, Send};
    live(vec![Forget(1), Ask(1, 0), Confirm(0), Import(1, 1), Send(0), Send(1)]).await.unwrap();
}

#[tokio::test]
async fn who_was_erased_and_complains_of_a_letter_is_not_moved_to() {
    use Step::{Complain, Confirm, Forget, Import, Move, Send};
    live(vec![Import(1, 0), Forget(2), Move(1, 2), Complain(2), Confirm(0), Send(0)]).await.unwrap();
}

proptest! {
    // Other lives in every run; `PROPTEST_CASES=5000` for more of them. What they find gets a name and a place above.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn no_edition_goes_to_an_address_whose_last_word_was_no(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(steps))?;
    }
}
