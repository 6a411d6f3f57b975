//! `transport:` and `smtp:` as meant.

use std::path::Path;
use std::time::Duration;

use super::super::{Overrides, TransportSettings, file, relay, secret};
use super::Check;
use super::values::is_domain;
use crate::newsroom::Problem;
use crate::newsroom::yaml::Locate;
use crate::transport;

impl Check<'_, '_> {
    pub(super) fn transport(
        &mut self,
        written: Option<file::OneOrMany>,
        smtp: file::Smtp,
        root: &Path,
        overrides: &Overrides,
    ) -> TransportSettings {
        let timeout = self.positive("smtp.timeout", smtp.timeout.as_deref(), Duration::from_secs(30));
        let message_timeout =
            self.positive("smtp.message_timeout", smtp.message_timeout.as_deref(), Duration::from_mins(10));
        let mails = smtp.mails_per_connection.unwrap_or(100);
        if mails == 0 {
            self.wrong("smtp.mails_per_connection", "at least 1", "leave it out for 100");
        }
        let hello = smtp.hello.filter(|name| {
            let sound = is_domain(name);
            if !sound {
                self.wrong(
                    "smtp.hello",
                    "this is not a host's name",
                    "for instance news.paper.example; or leave it out",
                );
            }
            sound
        });
        let token = smtp.login == Some(file::Login::Token);
        let overridden = overrides.transport.is_some();
        let many = written.as_ref().is_some_and(|list| list.0.len() != 1);
        let texts = match (&overrides.transport, written) {
            (Some(text), _) => vec![text.clone()],
            (None, Some(list)) => list.0,
            (None, None) => vec!["directory:outbox".to_owned()],
        };
        let mut relays = Vec::new();
        let mut users: Vec<Option<String>> = Vec::new();
        let mut directory = None;
        for (i, text) in texts.iter().enumerate() {
            let path = if many { format!("transport.{i}") } else { "transport".to_owned() };
            match relay::parse(text) {
                Ok(relay::Named::Directory(folder)) => directory = Some(root.join(folder)),
                Ok(relay::Named::Relay(relay, user)) => {
                    relays.push(relay);
                    users.push(user);
                }
                Err(wrong) if overridden => {
                    self.problems.push(Problem::new("--transport", wrong.what).help(wrong.help));
                }
                Err(wrong) => {
                    let mut problem = self.source.problem(&path, wrong.what.to_owned()).help(wrong.help);
                    if text.contains('@') || text.matches(':').count() > 1 {
                        problem.line = String::new(); // a secret must not be shown, even where it should not stand
                    }
                    self.problems.push(problem);
                }
            }
        }
        if texts.is_empty() {
            self.wrong("transport", "the list is empty", "leave it out for directory:outbox");
        }
        if directory.is_some() && texts.len() > 1 {
            self.wrong("transport", "a folder cannot stand in a list", "a list names several mail servers");
        }
        if let Some(folder) = directory {
            return TransportSettings::Directory(folder);
        }
        if users.windows(2).any(|pair| pair[0] != pair[1]) {
            self.wrong(
                "transport",
                "the mail servers have different users",
                "there is one password; give all the same user",
            );
        }
        let login = match users.into_iter().next().flatten() {
            None => None,
            Some(user) => {
                let file = smtp.password_file.as_ref().map(|file| root.join(file));
                match secret::smtp_password(overrides.smtp_password.as_ref(), file.as_deref()) {
                    Ok(password) => {
                        // What the environment says stays as it is as long as the process lives.
                        let fresh = file.filter(|_| token && overrides.smtp_password.is_none());
                        Some(transport::smtp::Login { user, password, token, fresh })
                    }
                    Err(failure) => return TransportSettings::Unusable(failure),
                }
            }
        };
        TransportSettings::Smtp(transport::smtp::Options {
            relays,
            login,
            trust: smtp.trust.map(|file| root.join(file)),
            hello,
            timeout,
            message_timeout,
            mails_per_connection: mails,
        })
    }
}
