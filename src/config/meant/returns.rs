//! `returns:` as meant.

use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

use super::super::{Overrides, ReturnsSettings, file, secret};
use super::Check;
use crate::delivery::returns::Patience;
use crate::error::Failure;
use crate::mail::return_path::ReturnPath;
use crate::newsroom::yaml::Locate;
use crate::transport::inbox::{Inbox, imap};
use crate::transport::smtp::{Relay, Security};

/// IMAP, encrypted by STARTTLS.
const IMAP: u16 = 143;
/// IMAP with TLS from the first byte (RFC 8314).
const IMAPS: u16 = 993;
/// Limit of every step with a server.
const TIMEOUT: Duration = Duration::from_mins(1);
/// More than any newsroom sends in any time.
const MOST_BOUNCES: usize = 1_000;
const DAY: u64 = 24 * 3600;
/// So long that five editions of a monthly digest fit in.
const PATIENT_DAYS: u64 = 180;

const FORMS: &str = "write maildir:FOLDER, mbox:FILE, imaps://USER@HOST/FOLDER, or imap://USER@HOST/FOLDER";

impl Check<'_, '_> {
    pub(super) fn returns(
        &mut self,
        written: &file::Returns,
        root: &Path,
        folder: PathBuf,
        overrides: &Overrides,
    ) -> ReturnsSettings {
        let path = written.address.as_deref().and_then(|text| match ReturnPath::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                let help =
                    "for instance bounces+{token}@return.paper.example: each mail gets its own signed token there";
                self.wrong("returns.address", &format!("this cannot be a return path: {error}"), help);
                None
            }
        });
        let patience = written.patience.as_ref();
        let bounces = patience.and_then(|patience| patience.bounces).unwrap_or(5);
        self.between("returns.patience.bounces", bounces as usize, 1, MOST_BOUNCES);
        let within = patience.and_then(|patience| patience.within.as_deref());
        let within = self.positive("returns.patience.within", within, Duration::from_secs(PATIENT_DAYS * DAY));
        let every = self.positive("returns.every", written.every.as_deref(), Duration::from_mins(5));
        let texts = written.inbox.as_ref().map(|list| list.0.clone()).unwrap_or_default();
        let many = texts.len() > 1;
        let mut inboxes = vec![];
        for (i, text) in texts.iter().enumerate() {
            let place = if many { format!("returns.inbox.{i}") } else { "returns.inbox".to_owned() };
            match inbox(text, written, root, &folder, overrides) {
                Ok(inbox) => inboxes.push((shown(text), inbox)),
                Err(what) => {
                    let mut problem = self.source.problem(&place, what.to_owned()).help(FORMS);
                    if text.contains('@') {
                        problem.line = String::new(); // a secret must not be shown, even where it should not stand
                    }
                    self.problems.push(problem);
                }
            }
        }
        ReturnsSettings { path, inboxes, every, patience: Patience { bounces, within }, folder }
    }
}

/// For people: without the user.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    }
}

fn inbox(
    text: &str,
    written: &file::Returns,
    root: &Path,
    folder: &Path,
    overrides: &Overrides,
) -> Result<Result<Inbox, Failure>, &'static str> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("maildir:") {
        return Ok(Ok(Inbox::Maildir(root.join(path.trim()))));
    }
    if let Some(path) = text.strip_prefix("mbox:") {
        return Ok(Ok(mbox(&root.join(path.trim()), folder)));
    }
    let url = Url::parse(text).map_err(|_| "this is no place for mail")?;
    let implicit = match url.scheme() {
        "imap" => false,
        "imaps" => true,
        _ => return Err("this is no place for mail"),
    };
    if url.password().is_some() {
        return Err(
            "a password does not belong into the configuration: set PRESSRUN_IMAP_PASSWORD, or name a file with `password_file:`",
        );
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the server is missing")?.to_ascii_lowercase();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let decoded = |text: &str| {
        let pairs = text.replace('+', "%2B");
        url::form_urlencoded::parse(format!("x={pairs}").as_bytes()).next().map(|(_, text)| text.into_owned())
    };
    let user = decoded(url.username()).filter(|user| !user.is_empty()).ok_or("the user is missing")?;
    let mailbox = decoded(url.path().trim_start_matches('/')).filter(|path| !path.is_empty());
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let security = match (implicit, loopback) {
        (true, _) => Security::Implicit,
        (false, true) => Security::Loopback,
        (false, false) => Security::StartTls,
    };
    let file = written.password_file.as_ref().map(|file| root.join(file));
    let port = url.port().unwrap_or(if implicit { IMAPS } else { IMAP });
    Ok(secret::imap_password(overrides.imap_password.as_ref(), file.as_deref()).map(|password| {
        Inbox::Imap(imap::Options {
            server: Relay { host, port, security },
            user,
            password,
            token: written.login == Some(file::Login::Token),
            folder: mailbox.unwrap_or_else(|| "INBOX".to_owned()),
            filed: written.filed.clone(),
            trust: written.trust.as_ref().map(|file| root.join(file)),
            timeout: TIMEOUT,
        })
    }))
}

/// A file of mails, and where it is kept how far it was read.
pub(crate) fn mbox(file: &Path, folder: &Path) -> Inbox {
    let name = crate::newsroom::slug::from(&file.display().to_string());
    Inbox::Mbox { file: file.to_owned(), place: folder.join(format!("{name}.place")) }
}
