//! The press alone, for measuring and for killing: no articles, no configuration.
//!
//! `press LEDGER PORT RECIPIENTS [hold|resend] [CONNECTIONS] [BYTES]`: seals an edition for the addresses in the file (one a
//! line) where the ledger is new, sends what waits to 127.0.0.1:PORT, and ends with 0 when nothing is left to do (with `hold`:
//! nothing but uncertain ones).

use chrono::Utc;
use pressrun::delivery::ledger::UncertainPolicy;
use pressrun::delivery::{Claimed, Ledger, retry};
use pressrun::digest::{Editions, Sealed};
use pressrun::mail::Mail;
use pressrun::press::deliver::End;
use pressrun::press::{Job, Options, Stop, deliver, lock};
use pressrun::store::SqliteStore;
use pressrun::subscriber::{Consent, Entry, Subscribers, SubscriptionState};
use pressrun::transport::{Transport, smtp};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |n: usize, default: &str| arguments.get(n).cloned().unwrap_or_else(|| default.to_owned());
    let file = PathBuf::from(argument(0, "ledger.sqlite"));
    let port: u16 = argument(1, "2525").parse()?;
    let hold = argument(3, "resend") == "hold";
    let connections: u16 = argument(4, "10").parse()?;
    let size: usize = argument(5, "5000").parse()?;

    let _lock = lock(&file)?;
    let ledger = Arc::new(SqliteStore::open(&file)?);
    let began = Instant::now();
    if ledger.editions(None).await?.iter().all(|edition| edition.approved.is_none()) {
        seal(&ledger, &std::fs::read_to_string(argument(2, "recipients.txt"))?).await?;
        eprintln!("sealed in {:.2?}", began.elapsed());
    }
    let Some(edition) = ledger.unfinished().await?.first().copied() else { return Ok(ExitCode::SUCCESS) };

    let relay = smtp::Relay { host: "127.0.0.1".to_owned(), port, security: smtp::Security::Loopback };
    let transport = Transport::Smtp(smtp::Smtp::new(smtp::Options {
        relays: vec![relay],
        login: None,
        trust: None,
        hello: Some("client.example".to_owned()),
        timeout: Duration::from_secs(10),
        mails_per_connection: u32::MAX,
    })?);
    let options = Options {
        connections,
        uncertain: if hold { UncertainPolicy::Hold } else { UncertainPolicy::Resend },
        retry: retry::Policy {
            first: Duration::from_millis(300),
            factor: 2.0,
            longest: Duration::from_secs(5),
            give_up_after: Duration::from_hours(24),
        },
        lease: Duration::from_mins(15),
        linger: Duration::from_mins(1),
    };
    let press = format!("{}-{}", std::process::id(), Utc::now().timestamp_micros());
    let stop = Stop::on_signals()?;
    let body: String = "All the news that is fit to measure, in lines of seventy-two characters.\r\n".repeat(size / 74);
    let compose = move |to: &Claimed| mail(to, &body);
    let began = Instant::now();
    let job =
        Job { ledger: ledger.clone(), transport: Arc::new(transport), edition, options, press, alone: true, stop };
    let report = deliver(job, compose, Utc::now, |_| {}).await;
    let seconds = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = report.tally.accepted as f64 / seconds;
    println!("{:?} {:?} {seconds:.2} s, {rate:.0} a second", report.tally, report.end);
    let counts = ledger.counts(edition).await?;
    println!("{counts:?}");
    Ok(match report.end {
        End::Sent => ExitCode::SUCCESS,
        End::Open(None) if hold => ExitCode::SUCCESS,
        _ => ExitCode::from(4),
    })
}

async fn seal(ledger: &SqliteStore, recipients: &str) -> Result<(), Box<dyn Error>> {
    let mut entries = vec![];
    for line in recipients.lines() {
        entries.push(Entry {
            address: line.trim().parse()?,
            name: "Reader".to_owned(),
            language: None,
            digest: "weekly".to_owned(),
            state: SubscriptionState::Confirmed,
            consent: Consent { source: "made for this test".to_owned(), when: None },
            suppressed: None,
            since: None,
            note: String::new(),
        });
    }
    ledger.add(entries, Utc::now()).await?;
    let sealed = Sealed {
        subject: "News".to_owned(),
        preheader: String::new(),
        html: String::new(),
        text: String::new(),
        mark: String::new(),
        shortened: false,
        headers: vec![],
        date: Utc::now(),
    };
    let draft = ledger.draft("weekly", vec![], sealed.clone(), Utc::now()).await?;
    ledger.approve(draft.id, sealed, String::new(), Utc::now()).await?;
    Ok(())
}

fn mail(to: &Claimed, body: &str) -> Mail {
    let mut message = Vec::with_capacity(body.len() + 400);
    let (id, address) = (to.id.0, to.address.as_str());
    message.extend_from_slice(
        format!(
            "From: Desk <desk@news.example>\r\nTo: <{address}>\r\nSubject: News\r\nDate: Sun, 22 Nov 2026 09:00:00 +0000\r\n\
             Message-ID: <weekly.1.{id}@news.example>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nDear {},\r\n\r\n",
            to.name
        )
        .as_bytes(),
    );
    message.extend_from_slice(body.as_bytes());
    Mail { return_path: RETURN_PATH.clone(), to: to.address.clone(), message }
}

static RETURN_PATH: std::sync::LazyLock<pressrun::subscriber::Address> = std::sync::LazyLock::new(|| {
    #[allow(clippy::expect_used)]
    "desk@news.example".parse().expect("an address")
});
