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
fn a_token_in_a_file_is_read_again_for_each_login_and_no_other_secret_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret").unwrap();
    let fresh = |login: &str, overrides: &Overrides| {
        let smtp = format!("smtp: {{login: {login}, password_file: {}}}\n", file.display());
        let settings = settings(&format!("transport: smtps://news@a.example\n{smtp}"), overrides);
        let TransportSettings::Smtp(options) = settings.transport else { panic!() };
        assert_eq!((options.timeout, options.message_timeout), (Duration::from_secs(30), Duration::from_mins(10)));
        options.login.unwrap().fresh
    };
    assert_eq!(fresh("token", &Overrides::default()), Some(file.clone()));
    assert_eq!(fresh("password", &Overrides::default()), None);
    let overrides = Overrides { smtp_password: Some(SecretString::from("secret".to_owned())), ..Overrides::default() };
    assert_eq!(fresh("token", &overrides), None);
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

#[test]
fn keys_sign_for_the_newsroom_s_authority_or_the_domain_that_is_named() {
    assert!(settings("", &Overrides::default()).dkim.is_empty());
    let keys = "  keys: [{selector: a, file: keys/a.pem}, {selector: b, file: /etc/b.pem}]\n";
    let settings = |domain: &str| settings(&format!("dkim:\n{domain}{keys}"), &Overrides::default()).dkim;
    let dkim = settings("");
    assert_eq!(dkim[0].name.to_string(), "a._domainkey.paper.example");
    assert_eq!(
        (dkim[0].file.as_path(), dkim[1].file.as_path()),
        (Path::new("/newsroom/keys/a.pem"), Path::new("/etc/b.pem"))
    );
    assert_eq!(settings("  domain: mail.paper.example\n")[1].name.to_string(), "b._domainkey.mail.paper.example");
}

#[test]
fn a_login_is_by_password_unless_it_is_a_token() {
    let overrides = Overrides { smtp_password: Some(SecretString::from("secret".to_owned())), ..Overrides::default() };
    for (smtp, token) in [("", false), ("smtp: {login: password}\n", false), ("smtp: {login: token}\n", true)] {
        let settings = settings(&format!("transport: smtps://news@a.example\n{smtp}"), &overrides);
        let TransportSettings::Smtp(options) = settings.transport else { panic!() };
        assert_eq!(options.login.unwrap().token, token, "{smtp}");
    }
}

#[test]
fn targets_of_publishing_are_read_and_slips_are_told() {
    let parse = |text: &str| {
        let text = format!("{SMALLEST}{text}");
        Settings::parse(&text, "config.yaml", Path::new("/news"), &Overrides::default())
    };
    let settings = parse(
        "publish:\n  - to: directory:www\n  - {to: s3://paper/feeds, endpoint: https://s3.example, settle: 60s}\n",
    );
    let [folder, bucket] = &settings.unwrap().publish[..] else { panic!() };
    assert_eq!(folder.address, crate::publish::Address::Folder("/news/www".into()));
    assert_eq!((bucket.to.as_str(), bucket.settle.as_secs()), ("s3://paper/feeds", 60));
    for (text, says) in [
        ("publish: [{to: ftp://x}]", "no target"),
        ("publish: [{endpoint: https://s3.example}]", "`to` is missing"),
        ("publish: [{to: in-place}, {to: in-place}]", "twice"),
        ("publish: [{to: in-place, region: eu}]", "for buckets"),
        ("publish: [{to: 'directory:feeds'}]", "not apart from the folder of feeds"),
        ("publish: [{to: 'directory:./feeds/www'}]", "not apart from the folder of feeds"),
        ("publish: [{to: 'directory:.'}]", "not apart from the folder of feeds"),
        ("publish: [{to: s3://paper, endpoint: s3.example}]", "not a whole address"),
        ("publish: [{to: in-place, settle: soon}]", "not a length of time"),
        ("press: {per_minute: 0}", "nothing would ever go"),
        ("press: {per_destination: {connections: 0}}", "nothing would ever go"),
        ("press: {destinations: [{domains: [gmail.com]}]}", "it has no limit"),
        ("press: {destinations: [{per_minute: 5}]}", "`domains` is missing"),
        ("press: {destinations: [{domains: [a b], per_minute: 5}]}", "`a b` is not a domain"),
        ("press: {destinations: [{domains: [a.b, A.B], per_minute: 5}]}", "a second time"),
        ("press: {warm_up: {factor: 20}}", "from 1.1 to 10"),
        ("press: {warm_up: {start: 500, until: 400}}", "`until` is not more than `start`"),
        ("serve: {bind: 8080}", "no address to listen on"),
    ] {
        let problems = parse(&format!("{text}\n")).unwrap_err();
        assert!(problems.iter().any(|problem| problem.what.contains(says)), "{text}: {problems:?}");
    }
}

/// As often as there are keys of that name.
#[test]
fn every_key_stands_in_the_sample_with_a_comment_of_its_own() {
    let fields = include_str!("file.rs").lines().filter_map(|line| {
        let (name, _) = line.trim_start().strip_prefix("pub ")?.split_once(':')?;
        name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(name)
    });
    let mut wanted = std::collections::BTreeMap::<&str, usize>::new();
    fields.for_each(|name| *wanted.entry(name).or_default() += 1);
    assert!(wanted.len() > 50, "{wanted:?}");
    let sample = include_str!("../../config.yaml");
    let keys = |name: &str| {
        let named = |at: usize| sample[..at].ends_with([' ', '{', '\n', '`']);
        sample.match_indices(&format!("{name}:")).filter(|(at, _)| named(*at)).count()
    };
    let missing: Vec<_> = wanted.iter().filter(|(name, times)| keys(name) < **times).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
