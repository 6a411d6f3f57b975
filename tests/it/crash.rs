//! The real program is killed from outside, at a moment that the mail server picks, and started again: nobody is lost, and
//! nobody gets two but where the ledger says that it may be.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::postgres;
use crate::support::room::{Room, address};
use crate::support::smtp_server::{Act, Moment, Script, Server};

const READERS: usize = 40;
/// As the small newsroom's configuration has it by default.
const CONNECTIONS: usize = 4;

/// What a kill left in the ledger, and what the server has.
struct Aftermath {
    /// Readers whose delivery became uncertain.
    doubtful: BTreeSet<String>,
    /// Every reader's mails, as the server kept them.
    kept: Vec<(String, Vec<u8>)>,
}

impl Aftermath {
    fn times(&self, reader: &str) -> usize {
        self.kept.iter().filter(|(to, _)| to == reader).count()
    }
}

/// Where the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    File,
    Server,
}

/// How a kill is set up, but for its moment.
#[derive(Debug, Clone, Copy)]
struct Setting {
    on: On,
    pipelining: bool,
}

/// Runs the program until the server sees `moment` for the n-th time, kills it there, and runs it again to its end.
async fn killed_at(moment: Moment, nth: usize, policy: &str, setting: Setting) -> Aftermath {
    let room = Room::small(READERS);
    room.replace("config.yaml", "press:\n", &format!("press:\n  uncertain: {policy}\n  lease: 1s\n"));
    if setting.on == On::Server {
        let database = postgres::database().unwrap();
        room.replace("config.yaml", "press:\n", &format!("ledger: {}\npress:\n", database.url()));
    }
    // The process to kill; 0: none.
    let victim = Arc::new(AtomicU32::new(0));
    let seen = AtomicUsize::new(0);
    let target = Arc::clone(&victim);
    let decide = move |at: &crate::support::smtp_server::At<'_>| {
        if at.moment == moment && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            let process = target.swap(0, Ordering::SeqCst);
            assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
            // Whatever the server does now, nobody hears it; what it has taken it keeps.
            return if moment == Moment::Dot { Act::KeepAndClose } else { Act::Close };
        }
        Act::Usual
    };
    let mut extensions = vec!["8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
    if setting.pipelining {
        extensions.push("PIPELINING");
    }
    let server = Server::start(Script { extensions, decide: Box::new(decide), ..Script::default() }).await;
    let relay = format!("smtp://{}", server.address);

    let mut child = room.start(&["--transport", &relay, "run"]);
    victim.store(child.id(), Ordering::SeqCst);
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert!(ended.code().is_none(), "it was not killed: {ended}");

    let room = Arc::new(Mutex::new(room));
    let again = Arc::clone(&room);
    let run = move |arguments: Vec<String>| {
        let again = Arc::clone(&again);
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            again.lock().unwrap().run(&arguments)
        })
    };
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    // On a server, whoever comes next waits until the lease of the one that was killed is over.
    let first: &[&str] = if setting.on == On::File { &["run"] } else { &["work", "--until-done"] };
    for command in [first, &["run", "--now"]] {
        run(words(&[&["--transport", relay.as_str()], command].concat())).await.unwrap().fine();
    }
    let told = run(words(&["--json", "ledger", "show", "1", "--uncertain"])).await.unwrap().fine().out;
    let doubtful = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "delivery")
        .map(|event| event["address"].as_str().unwrap().to_owned())
        .collect();
    let kept = server.kept().into_iter().map(|k| (k.to, message_id(&k.message))).collect();
    Aftermath { doubtful, kept }
}

fn message_id(mail: &[u8]) -> Vec<u8> {
    let parsed = mail_parser::MessageParser::default().parse(mail).unwrap();
    parsed.message_id().unwrap().as_bytes().to_vec()
}

/// With `resend`: everybody has it; doubles only where the ledger marked them, under the same Message-ID; and no more
/// deliveries became uncertain than were on the wire.
async fn resent(moment: Moment, nth: usize, setting: Setting) {
    let after = killed_at(moment, nth, "resend", setting).await;
    for n in 1..=READERS {
        let reader = address(n);
        let times = after.times(&reader);
        assert!(times >= 1, "{reader} got nothing");
        assert!(times == 1 || after.doubtful.contains(&reader), "{reader} got {times}, and the ledger does not know");
        let ids: BTreeSet<_> = after.kept.iter().filter(|(to, _)| *to == reader).map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 1, "{reader} got several Message-IDs");
    }
    let bound = if setting.pipelining { 2 * CONNECTIONS } else { CONNECTIONS };
    assert!(
        after.doubtful.len() <= bound,
        "{} became uncertain, and {bound} could be on the wire",
        after.doubtful.len()
    );
}

/// With `hold`: nobody has two, and who has none is uncertain.
async fn held(moment: Moment, nth: usize, setting: Setting) {
    let after = killed_at(moment, nth, "hold", setting).await;
    for n in 1..=READERS {
        let reader = address(n);
        let times = after.times(&reader);
        assert!(times <= 1, "{reader} got {times}");
        assert!(times == 1 || after.doubtful.contains(&reader), "{reader} got nothing, and the ledger does not know");
    }
}

async fn at_any_time(moment: Moment, on: On) {
    if on == On::Server && postgres::server().is_none() {
        return;
    }
    for nth in [1, 9] {
        for pipelining in [true, false] {
            resent(moment, nth, Setting { on, pipelining }).await;
            held(moment, nth, Setting { on, pipelining }).await;
        }
    }
}

macro_rules! moments {
    ($store:ident: $on:expr => $($name:ident: $moment:expr;)*) => {
        mod $store {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                at_any_time($moment, $on).await;
            })*
        }
    };
    ($($moments:tt)*) => {
        moments! { in_a_file: On::File => $($moments)* }
        moments! { on_a_server: On::Server => $($moments)* }
    };
}

moments! {
    killed_at_the_recipient: Moment::Rcpt;
    killed_at_data: Moment::Data;
    killed_while_a_message_is_under_way: Moment::Middle;
    killed_after_the_final_dot: Moment::Dot;
    killed_after_a_message_was_accepted: Moment::Mail;
}
