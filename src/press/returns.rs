//! Reads what comes back, ties it to its delivery, and files it.
//!
//! Nothing that a mail says is believed without a signature of ours in it. First the return path: its token names the delivery,
//! and nobody else can make one. Where mails went out under one common return path, or a server has lost it, the head of our
//! own mail inside: the token in its List-Unsubscribe says who, and the Message-ID, which edition and subscriber determine,
//! says of which edition. So whoever can make a bounce look genuine has the mail itself, and can do to its reader what she
//! could do herself.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::delivery::bounce::{self, Cause, Weight};
use crate::delivery::returns::{Filed, Mailed, News, Patience, Return};
use crate::delivery::{Reply, Returns};
use crate::digest::{EditionId, Editions};
use crate::mail::headers::message_id;
use crate::mail::return_path::ReturnPath;
use crate::mail::returned::{self, Feedback, Original, Returned, What};
use crate::subscriber::request::Requests;
use crate::subscriber::token::{About, DigestMark, Grant, Keys, LENGTH, Purpose};
use crate::subscriber::{Address, SubscriberId};

/// What reading needs to know.
#[derive(Debug)]
pub struct Options {
    /// By which tokens are verified.
    pub keys: Keys,
    /// How return paths are written, where each mail has its own.
    pub path: Option<ReturnPath>,
    /// When bounces that are not final become so.
    pub patience: Patience,
    /// The slug of each digest, and who it is from.
    pub digests: Vec<(String, Address)>,
}

/// One mail to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Incoming {
    /// As it came.
    pub message: Vec<u8>,
    /// The address it came to, where whoever brings it knows.
    pub recipient: Option<String>,
}

/// What a mail was, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// A mail of ours will not arrive.
    Bounced(Weight),
    /// A delivery is late.
    Delayed,
    /// A delivery has arrived.
    Arrived,
    /// A reader complained.
    Complained,
    /// A reader left.
    Left,
    /// Something that answers by itself, or otherwise asks for nothing.
    Automatic,
    /// Something that wants the sender to prove to be a person.
    Challenge,
    /// It was read before; nothing changed.
    Again,
    /// It names a mail of ours, and the signature is wrong; nothing changed.
    Forged,
    /// It is about no mail of ours, or does not say of which; nothing changed.
    Stranger,
    /// Nobody knows what it is: kept aside, and why.
    Undecided(&'static str),
}

impl Read {
    /// Its name, in counters and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Read::Bounced(Weight::Hard) => "hard",
            Read::Bounced(Weight::Soft) => "soft",
            Read::Bounced(Weight::Undecided) => "bounced",
            Read::Delayed => "delayed",
            Read::Arrived => "arrived",
            Read::Complained => "complained",
            Read::Left => "left",
            Read::Automatic => "automatic",
            Read::Challenge => "challenge",
            Read::Again => "again",
            Read::Forged => "forged",
            Read::Stranger => "stranger",
            Read::Undecided(_) => "undecided",
        }
    }
}

/// What became of the mails of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// In the order of the mails.
    pub read: Vec<Read>,
    /// Readers who are suppressed from now on.
    pub suppressed: u64,
}

/// Reads returned mail.
#[derive(Debug)]
pub struct Reader<S> {
    store: Arc<S>,
    options: Options,
    /// The editions of a digest and their numbers, as they were last asked for.
    editions: Mutex<HashMap<String, Vec<(EditionId, u32)>>>,
}

/// Whose a mail is.
enum Tie {
    Mailed(Mailed),
    Forged,
    Nobody,
}

/// What is to be done about a mail.
enum Todo {
    Done(Read),
    File(Return, Read),
}

impl<S> Reader<S>
where
    S: Returns + Requests<Error = <S as Returns>::Error> + Editions<Error = <S as Returns>::Error>,
{
    /// Reads into this ledger.
    pub fn new(store: Arc<S>, options: Options) -> Self {
        Reader { store, options, editions: Mutex::default() }
    }

    /// Reads mails, and files what they say, in one transaction. Once it has answered, the mails are not needed any more, but
    /// for those that are undecided; read again, they change nothing.
    ///
    /// # Errors
    /// The ledger's. Then nothing of a report or complaint among them is written down.
    pub async fn read(&self, mails: &[Incoming], now: DateTime<Utc>) -> Result<Report, <S as Returns>::Error> {
        let mut report = Report::default();
        let (mut returns, mut places) = (vec![], vec![]);
        for mail in mails {
            match self.judge(mail, now).await? {
                Todo::Done(read) => report.read.push(read),
                Todo::File(one, read) => {
                    returns.push(one);
                    places.push(report.read.len());
                    report.read.push(read);
                }
            }
        }
        if returns.is_empty() {
            return Ok(report);
        }
        let filed = self.store.file(returns, self.options.patience, now).await?;
        for (place, filed) in places.into_iter().zip(filed) {
            match filed {
                Filed::Noted => {}
                Filed::Suppressed => report.suppressed += 1,
                Filed::Again => report.read[place] = Read::Again,
                Filed::Nobody => report.read[place] = Read::Stranger,
            }
        }
        Ok(report)
    }

    async fn judge(&self, mail: &Incoming, now: DateTime<Utc>) -> Result<Todo, <S as Returns>::Error> {
        let Some(returned) = returned::read(&mail.message) else {
            return Ok(Todo::Done(Read::Undecided("no mail: it has no head")));
        };
        let (news, cause, reply) = match &returned.what {
            What::Report(outcomes) => match returned::gravest(outcomes) {
                Some(outcome) => bounce::judge(outcome),
                None => return Ok(Todo::Done(Read::Undecided("a report that names no recipient"))),
            },
            What::Complaint(Feedback::Abuse) => (News::Complained, None, Reply::none("the reader reported it as spam")),
            What::Complaint(Feedback::OptOut) => return self.opt_out(mail, &returned, now).await,
            other => {
                if let Some(grant) = returned::unsubscribes(&mail.message, &self.options.keys) {
                    self.leave(grant, now).await?;
                    return Ok(Todo::Done(Read::Left));
                }
                return Ok(Todo::Done(match other {
                    What::Challenge => Read::Challenge,
                    What::Undecided(why) => Read::Undecided(why),
                    _ => Read::Automatic,
                }));
            }
        };
        let read = match news {
            News::Bounced => Read::Bounced(cause.map_or(Weight::Undecided, Cause::weight)),
            News::Delayed => Read::Delayed,
            News::Arrived => Read::Arrived,
            News::Complained => Read::Complained,
        };
        Ok(match self.tie(mail, &returned).await? {
            Tie::Mailed(of) => {
                if let Mailed::Notice(edition) = of {
                    tracing::warn!(
                        edition = edition.0,
                        what = read.name(),
                        "of a letter to an editor, a mail came back"
                    );
                }
                Todo::File(Return { mark: marked(&returned, of), of, news, cause, reply }, read)
            }
            Tie::Forged => Todo::Done(Read::Forged),
            Tie::Nobody => Todo::Done(Read::Stranger),
        })
    }

    /// Of which mail of ours it is.
    async fn tie(&self, mail: &Incoming, returned: &Returned) -> Result<Tie, <S as Returns>::Error> {
        let keys = &self.options.keys;
        let mut forged = false;
        if let Some(path) = &self.options.path {
            for token in mail.recipient.iter().chain(&returned.paths).filter_map(|text| path.token(text)) {
                match keys.verify_return(token) {
                    Ok(number) => return Ok(Tie::Mailed(Mailed::of(number))),
                    Err(_) => forged = true,
                }
            }
        }
        if forged {
            return Ok(Tie::Forged);
        }
        self.tie_by_original(&returned.original).await
    }

    /// By the head of our own mail.
    async fn tie_by_original(&self, original: &Original) -> Result<Tie, <S as Returns>::Error> {
        let (Some(unsubscribe), Some(id)) = (&original.unsubscribe, &original.message_id) else {
            return Ok(Tie::Nobody);
        };
        let mut words = unsubscribe
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .filter(|word| word.len() == LENGTH)
            .peekable();
        if words.peek().is_none() {
            return Ok(Tie::Nobody);
        }
        let keys = &self.options.keys;
        let Some(grant) = words.find_map(|word| keys.verify(Purpose::Unsubscribe, word).ok()) else {
            return Ok(Tie::Forged);
        };
        let About::Digest(mark) = grant.about else { return Ok(Tie::Nobody) };
        let Some((slug, from)) = self.options.digests.iter().find(|(slug, _)| DigestMark::of(slug) == mark) else {
            return Ok(Tie::Nobody);
        };
        let Some(edition) = self.edition_of(slug, from, grant.subscriber, id).await? else { return Ok(Tie::Nobody) };
        let delivery = self.store.delivery_of(edition, grant.subscriber).await?;
        Ok(delivery.map_or(Tie::Nobody, |id| Tie::Mailed(Mailed::Delivery(id))))
    }

    /// The edition whose mail to this subscriber has this Message-ID. The part before the `@`: the sender may have moved.
    async fn edition_of(
        &self,
        slug: &str,
        from: &Address,
        subscriber: SubscriberId,
        id: &str,
    ) -> Result<Option<EditionId>, <S as Returns>::Error> {
        let local = |id: &str| id.trim_start_matches('<').split('@').next().unwrap_or_default().to_ascii_lowercase();
        let wanted = local(id);
        let find = |editions: &[(EditionId, u32)]| {
            let is = |number| local(message_id(slug, number, subscriber, from).as_str()) == wanted;
            editions.iter().find(|(_, number)| is(*number)).map(|(edition, _)| *edition)
        };
        let known = |editions: &HashMap<_, Vec<_>>| editions.get(slug).and_then(|editions| find(editions));
        if let Some(edition) = known(&self.editions.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(edition));
        }
        let editions: Vec<_> = self.store.editions(Some(slug)).await?.into_iter().map(|e| (e.id, e.number)).collect();
        let found = find(&editions);
        self.editions.lock().unwrap_or_else(PoisonError::into_inner).insert(slug.to_owned(), editions);
        Ok(found)
    }

    /// Ends what a token for leaving names.
    async fn leave(&self, grant: Grant, now: DateTime<Utc>) -> Result<bool, <S as Returns>::Error> {
        let About::Digest(mark) = grant.about else { return self.store.leave(grant.subscriber, None, now).await };
        let held = self.store.person(grant.subscriber).await?.unwrap_or_default();
        match held.subscriptions.iter().find(|s| DigestMark::of(&s.digest) == mark) {
            Some(found) => self.store.leave(grant.subscriber, Some(&found.digest), now).await,
            None => Ok(false),
        }
    }

    /// Somebody's provider says that she wants no more of it: she leaves that digest.
    async fn opt_out(
        &self,
        mail: &Incoming,
        returned: &Returned,
        now: DateTime<Utc>,
    ) -> Result<Todo, <S as Returns>::Error> {
        Ok(Todo::Done(match self.tie(mail, returned).await? {
            Tie::Forged => Read::Forged,
            Tie::Nobody => Read::Stranger,
            // Of a letter there is no more in any case.
            Tie::Mailed(Mailed::Request(_) | Mailed::Notice(_)) => Read::Automatic,
            Tie::Mailed(Mailed::Delivery(delivery)) => match self.store.reader_of(delivery).await? {
                None => Read::Stranger,
                Some((edition, subscriber)) => {
                    let digest = self.store.edition(edition).await?.map(|edition| edition.digest);
                    self.store.leave(subscriber, digest.as_deref(), now).await?;
                    Read::Left
                }
            },
        }))
    }
}

/// By which a mail is known again, for this mail of ours.
fn marked(returned: &Returned, of: Mailed) -> [u8; 32] {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, &[&returned.mark[..], &of.number().to_be_bytes()].concat()).as_ref());
    mark
}
