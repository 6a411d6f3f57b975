#![allow(clippy::unwrap_used)]

use super::*;
use crate::digest::{Approval, BodyLength};
use crate::transport::smtp::Security;
use secrecy::ExposeSecret as _;
use std::time::Duration;

const SMALLEST: &str = "newsroom: {title: Paper, url: https://paper.example}
sections: [{slug: news, title: News}]
digests: [{slug: news, from: news@paper.example}]
";

fn settings(more: &str, overrides: &Overrides) -> Settings {
    Settings::parse(&format!("{SMALLEST}{more}"), "config.yaml", Path::new("/newsroom"), overrides).unwrap()
}

#[test]
fn what_is_left_out_has_a_sensible_default() {
    let settings = settings("", &Overrides::default());
    assert_eq!(settings.masthead.url.as_str(), "https://paper.example/");
    assert_eq!(settings.masthead.feeds_url.as_str(), "https://paper.example/feeds/");
    assert_eq!(settings.masthead.authority, "paper.example");
    assert_eq!(settings.articles, Path::new("/newsroom/articles"));
    assert_eq!(settings.feed, feed::Options::default());
    assert!(matches!(&settings.transport, TransportSettings::Directory(path) if path == Path::new("/newsroom/outbox")));
    assert_eq!(settings.press.lease, Duration::from_mins(5));
    let digest = &settings.digests[0];
    assert_eq!((digest.title.as_str(), digest.list_id.as_str()), ("News", "news.paper.example"));
    assert_eq!(
        (digest.pieces, digest.at_least, digest.approval, digest.body),
        (8, 1, Approval::Editor, BodyLength::Full)
    );
    assert_eq!(digest.sections, ["news"]);
    assert_eq!(settings.public.return_path.as_str(), "bounces@paper.example");
}

#[test]
fn what_serves_has_careful_defaults_and_tells_what_is_wrong() {
    let serve = settings("", &Overrides::default()).serve;
    assert!(serve.bind.ip().is_loopback() && serve.trusted.is_empty());
    let written = "serve: {bind: '[::]:80', trusted_proxies: [10.0.0.0/8, '::1'], per_network: 1}\n";
    let serve = settings(written, &Overrides::default()).serve;
    assert_eq!((serve.trusted.len(), serve.brakes.per_network.get()), (2, 1));
    for wrong in [
        "{bind: here}",
        "{trusted_proxies: [proxy]}",
        "{per_network: 0}",
        "{in_all: 1000001}",
        "{one_letter_in: 0s}",
        "{confirm_within: soon}",
        "{trusted_proxy: []}",
    ] {
        let text = format!("{SMALLEST}serve: {wrong}\n");
        let problems = Settings::parse(&text, "config.yaml", Path::new("/"), &Overrides::default()).unwrap_err();
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
    }
}

#[test]
fn the_command_line_goes_before_the_configuration() {
    let overrides = Overrides { transport: Some("smtp://127.0.0.1:2525".into()), ..Overrides::default() };
    let settings = settings("transport: directory:elsewhere\n", &overrides);
    let TransportSettings::Smtp(options) = settings.transport else { panic!() };
    assert_eq!((options.relays[0].port, options.relays[0].security), (2525, Security::Loopback));
    let wrong = Overrides { transport: Some("pigeon".into()), ..Overrides::default() };
    let problems = Settings::parse(SMALLEST, "config.yaml", Path::new("/"), &wrong).unwrap_err();
    assert_eq!(problems[0].place.file, "--transport");
}

#[test]
fn without_its_password_a_relay_is_unusable_and_all_else_is_fine() {
    let relay = "transport: [smtps://news@a.example, smtp://news@b.example]\n";
    let without = settings(relay, &Overrides::default());
    assert!(matches!(without.transport, TransportSettings::Unusable(_)));
    let overrides = Overrides { smtp_password: Some(SecretString::from("secret".to_owned())), ..Overrides::default() };
    let with = settings(relay, &overrides);
    assert!(!format!("{with:?}").contains("\"secret\""));
    let TransportSettings::Smtp(options) = with.transport else { panic!() };
    assert_eq!(options.relays.iter().map(|relay| relay.port).collect::<Vec<_>>(), [465, 587]);
    let login = options.login.unwrap();
    assert_eq!((login.user.as_str(), login.password.expose_secret()), ("news", "secret"));
}

#[test]
fn a_password_in_an_address_is_not_repeated_however_broken_the_address_is() {
    for address in
        ["smtp://news:hunter2@mail.example", "smtp://news:hunter2", "smtps://news:hunter2@", "smtp:news:hunter2@x"]
    {
        let text = format!("{SMALLEST}transport: {address}\n");
        let problems = Settings::parse(&text, "config.yaml", Path::new("/"), &Overrides::default()).unwrap_err();
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|problem| !format!("{problem:?}").contains("hunter2")), "{problems:?}");
    }
}

#[test]
fn a_missing_configuration_is_a_failure_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Settings::load(folder.path(), &Overrides::default()).unwrap_err();
    let Refused::Failure(failure) = refused else { panic!() };
    assert_eq!(failure.kind, Kind::Configuration);
    assert!(failure.hint.unwrap().contains("--config"));
}
