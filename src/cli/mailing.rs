//! From a sealed edition to its mails: who a mail is for, what it carries, who answers for it, where it goes.

use std::cell::Cell;
use std::sync::Arc;

use super::context::{Context, Store};
use super::{Common, failures, keys, output};
use crate::config::{TransportSettings, signing};
use crate::delivery::returns::Mailed;
use crate::delivery::{Claimed, DeliveryId, Unsigned};
use crate::digest::{Digest, Edition, Quiet, Sealed};
use crate::error::{Failure, Kind};
use crate::mail::Mail;
use crate::mail::compose::{self, Identity, Reader, Stencil, StencilError};
use crate::mail::dkim::{Prepared, SignError, Signature};
use crate::mail::headers::{self, MessageId};
use crate::mail::return_path::ReturnPath;
use crate::press::{self, Job};
use crate::store::StoreError;
use crate::subscriber::token::{About, Grant, Keys, Purpose};
use crate::subscriber::{Address, SubscriberId};
use crate::transport::{Transport, directory, smtp};

/// Writes the mails of one edition.
pub(crate) struct Writer {
    stencil: Stencil,
    /// Where mails are signed.
    signing: Option<Prepared>,
    identity: Identity,
    keys: Keys,
    return_path: Option<ReturnPath>,
    digest: String,
    number: u32,
    from: Address,
}

impl Writer {
    /// For an edition as it was sealed.
    pub(crate) fn new(context: &Context, digest: &Digest, number: u32, sealed: &Sealed) -> Result<Self, Failure> {
        let public = &context.settings.public;
        let page = |path| {
            let url = public.url.join(path);
            url.map_err(|e| Failure::new(Kind::Configuration, "the public address cannot be used").because(e))
        };
        let identity = Identity {
            return_path: public.return_path.clone(),
            unsubscribe_url: page("unsubscribe/")?,
            preferences_url: page("preferences/")?,
            unsubscribe_mailbox: public.unsubscribe_mailbox.clone(),
        };
        let stencil = Stencil::new(sealed, identity.clone()).map_err(unwritable)?;
        let signer = signing::signer(&context.settings.dkim)?;
        // The edition's date, and not this moment: a signature made ahead has the bytes of one made late.
        let prepare = |signer: crate::mail::dkim::Signer| signer.prepare(stencil.constants(), sealed.date);
        let signing = signer.map(prepare).transpose().map_err(unsignable)?;
        Ok(Writer {
            signing,
            stencil,
            identity,
            keys: keys::links(context)?,
            return_path: context.settings.returns.path.clone(),
            digest: digest.slug.clone(),
            number,
            from: digest.from.address.clone(),
        })
    }

    /// The mail of one delivery, signed where keys are configured. The same delivery always gives the same mail, whether
    /// `ahead`, a signature made ahead, is there and fits, or not. `delivery` names it in the envelope, where the configuration
    /// wants each mail to have its own return path; the message is the same.
    pub(crate) fn mail(
        &self,
        subscriber: SubscriberId,
        address: &Address,
        name: &str,
        ahead: Option<&[u8]>,
        delivery: Option<DeliveryId>,
    ) -> Result<Mail, Failure> {
        let mut mail = self.message(&self.own(subscriber), address, name, ahead)?;
        if let (Some(path), Some(delivery)) = (&self.return_path, delivery) {
            let own = path.address(&self.keys.sign_return(Mailed::Delivery(delivery).number()));
            mail.return_path = own.ok_or_else(|| Failure::new(Kind::Bug, "a return path cannot be written"))?;
        }
        Ok(mail)
    }

    /// A mail to look at. It is another each time, and says so: who has looked at one would not see the next, where mails of one
    /// Message-ID are folded.
    pub(crate) fn trial(&self, address: &Address) -> Result<Mail, Failure> {
        let occasion = format!("trial of {} {} at {:?}", self.digest, self.number, std::time::SystemTime::now());
        let message_id = headers::note_id(&occasion, address, &self.from);
        self.message(&Own { message_id, ..self.own(NOBODY) }, address, "", None)
    }

    fn message(&self, own: &Own, address: &Address, name: &str, ahead: Option<&[u8]>) -> Result<Mail, Failure> {
        let reader = own.reader(address, name);
        let values = self.stencil.values(&reader);
        let Some(signing) = &self.signing else { return Ok(self.stencil.signed(&reader, values, String::new())) };
        let slices = values.as_slices();
        let kept = ahead.and_then(|bytes| signing.fields(&slices, &Signature::from(bytes.to_vec())));
        let fields = kept.map_or_else(|| signing.sign_now(&slices), Ok).map_err(unsignable)?;
        Ok(self.stencil.signed(&reader, values, fields))
    }

    /// What is to be kept of a delivery's signature. `None` where mails are not signed, or this one cannot be.
    fn signature(&self, to: &Unsigned) -> Option<Vec<u8>> {
        let own = self.own(to.subscriber);
        let reader = own.reader(&to.address, &to.name);
        let signed = self.signing.as_ref()?.sign(&self.stencil.values(&reader).as_slices());
        signed.ok().map(|signature| signature.as_bytes().to_vec())
    }

    /// The HTML and the text part of one delivery, as people see them.
    pub(crate) fn texts(
        &self,
        sealed: &Sealed,
        subscriber: SubscriberId,
        address: &Address,
        name: &str,
    ) -> Result<(String, String), Failure> {
        let own = self.own(subscriber);
        let reader = own.reader(address, name);
        compose::texts(sealed, &self.identity, &reader).map_err(unwritable)
    }

    fn own(&self, subscriber: SubscriberId) -> Own {
        let sign = |purpose, about| self.keys.sign(purpose, Grant { subscriber, about });
        Own {
            token: sign(Purpose::Unsubscribe, About::digest(&self.digest)),
            preferences: sign(Purpose::Preferences, About::Everything),
            message_id: headers::message_id(&self.digest, self.number, subscriber, &self.from),
        }
    }
}

/// What is in one reader's mail, and in no other.
struct Own {
    token: String,
    preferences: String,
    message_id: MessageId,
}

impl Own {
    fn reader<'a>(&'a self, address: &'a Address, name: &'a str) -> Reader<'a> {
        let Own { token, preferences, message_id } = self;
        Reader { address, name, token, preferences, message_id }
    }
}

fn unwritable(error: StencilError) -> Failure {
    Failure::new(Kind::Bug, "the edition makes no mail").because(error)
}

fn unsignable(error: SignError) -> Failure {
    Failure::new(Kind::Bug, "the mail cannot be signed").because(error)
}

/// Signs an approved edition's mails now, so that they need not be when they are sent. May be interrupted, and done again.
pub(crate) fn prepare(
    common: &Common,
    context: &Context,
    store: &Store,
    edition: &Edition,
    digest: &Digest,
) -> Result<(), Failure> {
    let writer = Writer::new(context, digest, edition.number, &edition.sealed)?;
    if writer.signing.is_none() {
        return Ok(());
    }
    let stop = context.stop()?;
    let signing = press::sign_ahead(store.as_ref(), edition.id, move |to| writer.signature(to), &stop);
    let signed = context.block_on(signing).map_err(failures::ledger)?;
    if signed > 0 {
        output::event(common, &serde_json::json!({ "event": "signed", "edition": edition.id, "mails": signed }));
        output::line(common, "signed", format!("{} ahead", output::count(signed, "mail")));
    }
    Ok(())
}

/// A reader that is in no ledger, for previews and tests: her links lead nowhere.
pub(crate) const NOBODY: SubscriberId = SubscriberId(0);

/// Where mails go, as configured.
pub(crate) fn transport(context: &Context) -> Result<Transport, Failure> {
    match &context.settings.transport {
        TransportSettings::Directory(folder) => Ok(Transport::Directory(directory::Outbox { folder: folder.clone() })),
        TransportSettings::Unusable(failure) => Err(failure.clone()),
        TransportSettings::Smtp(options) => smtp::Smtp::new(options.clone()).map(Transport::Smtp).map_err(|e| {
            Failure::new(Kind::Configuration, "the certificate to trust cannot be used")
                .because(e)
                .hint("`smtp: trust:` names a file with PEM certificates")
        }),
    }
}

/// Where mails go, in words.
pub(crate) fn told_transport(context: &Context) -> String {
    match &context.settings.transport {
        TransportSettings::Directory(folder) => format!("{}/", context.shown(folder)),
        TransportSettings::Unusable(_) => String::new(),
        TransportSettings::Smtp(options) => {
            options.relays.iter().map(|r| format!("{}:{}", r.host, r.port)).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Sends what waits of an edition, and shows how it goes; ends in good order when it begins to be quiet, or when something else
/// `comes`.
pub(crate) fn deliver(
    common: &Common,
    context: &Context,
    store: &Store,
    edition: &Edition,
    digest: &Digest,
    quiet: Option<Quiet>,
    comes: impl Future<Output = ()>,
) -> Result<Halt, Failure> {
    let writer = Writer::new(context, digest, edition.number, &edition.sealed)?;
    let transport = Arc::new(transport(context)?);
    let press = format!("{}-{}", std::process::id(), u64::from_le_bytes(keys::random()?));
    let bar = super::progress::Shown::new(common, edition);
    let (told, stop) = (context.stop()?, press::Stop::default());
    let (signal, came) = (told.clone(), Cell::new(false));
    context.meter.begin();
    let report = context.block_on(async {
        let set = stop.clone();
        let came = &came;
        let ending = async move {
            tokio::select! {
                () = told.wait() => {}
                () = hush(quiet) => {}
                () = comes => came.set(true),
            }
            set.set();
            std::future::pending::<std::convert::Infallible>().await
        };
        let job = Job {
            ledger: Arc::clone(store),
            transport,
            edition: edition.id,
            options: context.settings.press.clone(),
            press,
            alone: context.alone(),
            stop,
        };
        let compose = move |c: &Claimed| {
            // Nothing goes out unsigned: the press ends in good order.
            writer.mail(c.subscriber, &c.address, &c.name, c.signature.as_deref(), Some(c.id))
        };
        let sending = press::deliver(job, compose, chrono::Utc::now, |p| {
            bar.show(p);
            context.meter.progress(p);
        });
        tokio::select! {
            report = sending => report,
            never = ending => match never {},
        }
    });
    bar.finish();
    context.meter.end();
    match report.end {
        press::deliver::End::Stopped if quiet.is_some_and(|quiet| quiet.at(chrono::Utc::now())) => Ok(Halt::None),
        press::deliver::End::Stopped if came.get() && !signal.is_set() => Ok(Halt::GivesWay),
        end => ended(end),
    }
}

/// Between two looks at the clock, which may be set.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Comes back when it begins to be quiet.
async fn hush(quiet: Option<Quiet>) {
    while quiet.is_none_or(|quiet| !quiet.at(chrono::Utc::now())) {
        tokio::time::sleep(LOOK).await;
    }
}

/// What holds up an edition that could go on, and is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Nothing, or only what its deliveries wait for.
    None,
    /// It is paused, and why.
    Paused(String),
    /// The press has just paused it, and why.
    Pauses(String),
    /// Something else has come that goes first.
    GivesWay,
    /// A new sender's ceiling.
    Spent,
}

/// Why the press ended.
fn ended(end: press::deliver::End<StoreError>) -> Result<Halt, Failure> {
    use press::deliver::End;
    match end {
        End::Sent | End::Open(_) => Ok(Halt::None),
        End::Paused(why) => Ok(Halt::Paused(why)),
        End::Pauses(why) => Ok(Halt::Pauses(why)),
        End::Spent => Ok(Halt::Spent),
        End::Stopped => Err(Failure::new(Kind::Unavailable, "stopped by a signal")
            .hint("the next pressrun run carries on where this one stopped")),
        End::Refused(reply) => Err(Failure::new(Kind::Unavailable, "the mail server takes no mail of ours")
            .because(format!("{} {}", reply.code, reply.text))
            .hint("nothing is lost: mend it and run again")),
        End::Unopened(error) => Err(failures::transport(&error)),
        End::Ledger(error) => Err(failures::ledger(error)),
        End::Fault(failure) => Err(failure),
    }
}
