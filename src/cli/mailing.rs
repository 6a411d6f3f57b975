//! From a sealed edition to its mails: who a mail is for, what it carries, where it goes.

use std::sync::Arc;

use super::context::{Context, Store};
use super::{Common, failures, keys, output};
use crate::config::TransportSettings;
use crate::delivery::Claimed;
use crate::digest::{Digest, Edition, Quiet, Sealed};
use crate::error::{Failure, Kind};
use crate::mail::Mail;
use crate::mail::compose::{self, Identity, Reader, Stencil, StencilError};
use crate::mail::headers::{self, MessageId};
use crate::press::{self, Job};
use crate::subscriber::token::{About, Grant, Keys, Purpose};
use crate::subscriber::{Address, SubscriberId};
use crate::transport::{Transport, directory, smtp};

/// Writes the mails of one edition.
pub(crate) struct Writer {
    stencil: Stencil,
    identity: Identity,
    keys: Keys,
    digest: String,
    number: u32,
    from: Address,
}

impl Writer {
    /// For an edition as it was sealed.
    pub(crate) fn new(context: &Context, digest: &Digest, number: u32, sealed: &Sealed) -> Result<Self, Failure> {
        let public = &context.settings.public;
        let unsubscribe_url = public
            .url
            .join("unsubscribe/")
            .map_err(|e| Failure::new(Kind::Configuration, "the public address cannot be used").because(e))?;
        let identity = Identity {
            return_path: public.return_path.clone(),
            unsubscribe_url,
            unsubscribe_mailbox: public.unsubscribe_mailbox.clone(),
        };
        let stencil = Stencil::new(sealed, identity.clone()).map_err(unwritable)?;
        Ok(Writer {
            stencil,
            identity,
            keys: keys::links(context)?,
            digest: digest.slug.clone(),
            number,
            from: digest.from.address.clone(),
        })
    }

    /// The mail of one delivery. The same delivery always gives the same mail.
    pub(crate) fn mail(&self, subscriber: SubscriberId, address: &Address, name: &str) -> Mail {
        self.stencil.mail(&Reader {
            address,
            name,
            token: &self.token(subscriber),
            message_id: &self.message_id(subscriber),
        })
    }

    /// The HTML and the text part of one delivery, as people see them.
    pub(crate) fn texts(
        &self,
        sealed: &Sealed,
        subscriber: SubscriberId,
        address: &Address,
        name: &str,
    ) -> Result<(String, String), Failure> {
        let reader = Reader { address, name, token: &self.token(subscriber), message_id: &self.message_id(subscriber) };
        compose::texts(sealed, &self.identity, &reader).map_err(unwritable)
    }

    fn token(&self, subscriber: SubscriberId) -> String {
        self.keys.sign(Purpose::Unsubscribe, Grant { subscriber, about: About::digest(&self.digest) })
    }

    fn message_id(&self, subscriber: SubscriberId) -> MessageId {
        headers::message_id(&self.digest, self.number, subscriber, &self.from)
    }
}

fn unwritable(error: StencilError) -> Failure {
    Failure::new(Kind::Bug, "the edition makes no mail").because(error)
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

/// Sends what waits of an edition, and shows how it goes; ends in good order when it begins to be quiet.
pub(crate) fn deliver(
    common: &Common,
    context: &Context,
    store: &Store,
    edition: &Edition,
    digest: &Digest,
    quiet: Option<Quiet>,
) -> Result<(), Failure> {
    let writer = Writer::new(context, digest, edition.number, &edition.sealed)?;
    let transport = Arc::new(transport(context)?);
    let press = format!("{}-{}", std::process::id(), u64::from_le_bytes(keys::random()?));
    let bar = super::progress::Shown::new(common, edition);
    let report = context.block_on(async {
        let stop = press::Stop::on_signals()
            .map_err(|e| Failure::new(Kind::Unavailable, "cannot listen for signals").because(e))?;
        if let Some(quiet) = quiet {
            tokio::spawn(hush(quiet, stop.clone()));
        }
        let job = Job {
            ledger: Arc::clone(store),
            transport,
            edition: edition.id,
            options: context.settings.press.clone(),
            press,
            alone: true,
            stop,
        };
        let compose = move |c: &Claimed| writer.mail(c.subscriber, &c.address, &c.name);
        Ok::<_, Failure>(press::deliver(job, compose, chrono::Utc::now, |p| bar.show(p)).await)
    })?;
    bar.finish();
    match report.end {
        press::deliver::End::Stopped if quiet.is_some_and(|quiet| quiet.at(chrono::Utc::now())) => Ok(()),
        end => ended(common, end),
    }
}

/// Between two looks at the clock, which may be set.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Ends the sending when it begins to be quiet.
async fn hush(quiet: Quiet, stop: press::Stop) {
    while !quiet.at(chrono::Utc::now()) {
        tokio::time::sleep(LOOK).await;
    }
    stop.set();
}

/// Why the press ended, told.
fn ended(common: &Common, end: press::deliver::End<crate::store::StoreError>) -> Result<(), Failure> {
    use press::deliver::End;
    match end {
        End::Sent | End::Open(_) => Ok(()),
        End::Stopped => Err(Failure::new(Kind::Unavailable, "stopped by a signal")
            .hint("the next pressrun run carries on where this one stopped")),
        End::Paused(why) => {
            output::line(common, "paused", why);
            Ok(())
        }
        End::Refused(reply) => Err(Failure::new(Kind::Unavailable, "the mail server takes no mail of ours")
            .because(format!("{} {}", reply.code, reply.text))
            .hint("nothing is lost: mend it and run again")),
        End::Unopened(error) => Err(failures::transport(&error)),
        End::Ledger(error) => Err(failures::ledger(error)),
        End::Fault(what) => Err(Failure::new(Kind::Bug, what)),
    }
}
