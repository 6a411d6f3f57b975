//! However much is logged, nobody's address is in the log, and no token and no key.

use mail_parser::MessageParser;
use std::process::{Command, Stdio};

use crate::signed_mails::{new_key, sign_with};
use crate::support::room::{Room, Serving};
use crate::support::serving::outbox;
use crate::support::smtp_server::{Act, Moment, Script, Server};

/// What must be nowhere: people, links, keys.
fn secrets(room: &Room, mails: &[Vec<u8>]) -> Vec<String> {
    let mut found: Vec<String> =
        ["nadia", "reader00001", "reader00002", "reader00003", "moved.to", "a very secret word"]
            .map(str::to_owned)
            .into();
    for mail in mails {
        let read = MessageParser::default().parse(mail).unwrap();
        let text = read.body_text(0).unwrap().into_owned();
        for word in text.split_whitespace().filter(|word| word.starts_with("https://news.")) {
            let token = word.split('/').next_back().unwrap().split('?').next().unwrap();
            if token.len() > 20 {
                found.push(token.to_owned());
            }
        }
    }
    for (name, bytes) in crate::support::room::files(&room.path("")) {
        if name.contains("key") && bytes.len() < 10_000 {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(text.split_whitespace().filter(|word| word.len() >= 30).map(str::to_owned));
        }
    }
    found
}

#[test]
fn logs_of_every_kind_hold_no_address_no_token_and_no_key() {
    let room = Room::small(3);
    new_key(&room, "rsa1", &[]);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s, one_letter_in: 1s }}\n"));
    sign_with(&room, &["rsa1"]);
    let loud = [("PRESSRUN_LOG", "trace"), ("RUST_LOG", "trace"), ("PRESSRUN_SMTP_PASSWORD", "a very secret word")];

    let mut command = room.command(&["serve", "--json", "--bind", "127.0.0.1:0"]);
    let log = std::fs::File::create(room.path("serve.log")).unwrap();
    let serving = Serving::of(command.envs(loud).stderr(log));
    serving.subscribe("nadia%40example.org", "news");
    let letter = outbox(&room, 1).remove(0).1;
    let read = MessageParser::default().parse(&letter).unwrap();
    let text = read.body_text(0).unwrap().into_owned();
    let link = text.split_whitespace().find(|word| word.contains("/confirm/")).unwrap();
    let path = link.strip_prefix("https://news.small-paper.example").unwrap();
    for method in ["GET", "POST"] {
        assert!(serving.ask(method, path, "").starts_with("HTTP/1.1 200"), "{path}");
    }
    let page = serving.ask("POST", path, "");
    let preferences = page.split("href=\"/preferences/").nth(1).unwrap().split('"').next().unwrap();
    let preferences = format!("/preferences/{preferences}");
    serving.ask("GET", &preferences, "");
    serving.ask("POST", &preferences, "do=move&address=moved.to%40example.org");
    serving.ask("POST", "/unsubscribe/nonsense", "");
    serving.ask("POST", "/subscribe", "address=nadia%40example.org%0d%0aBcc%3a&digest=news&stamp=x");
    outbox(&room, 2);
    assert!(serving.stop().success());

    // A relay that refuses one, with the address in its words, and breaks off at another.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let decide = |at: &crate::support::smtp_server::At<'_>| match (at.moment, at.to) {
        (Moment::Rcpt, to) if to.contains("reader00001") => {
            Act::Say(b"550 5.1.1 <reader00001@example.net>: unknown\r\n")
        }
        (Moment::Data, to) if to.contains("reader00002") => Act::Close,
        _ => Act::Usual,
    };
    let server = runtime.block_on(Server::start(Script { decide: Box::new(decide), ..Script::default() }));
    let relay = format!("smtp://{}", server.address);
    let mut logs = vec![("serve", room.read("serve.log"))];
    for arguments in [&["--transport", &relay, "run"][..], &["--transport", &relay, "run"]] {
        let mut command: Command = room.command(arguments);
        let output = command.envs(loud).stdout(Stdio::null()).output().unwrap();
        logs.push(("run", String::from_utf8(output.stderr).unwrap()));
    }
    assert!(server.kept().iter().any(|kept| kept.to == "nadia@example.org"), "somebody was mailed");
    let mails: Vec<Vec<u8>> = room
        .outbox()
        .into_iter()
        .map(|(_, mail)| mail)
        .chain(server.kept().into_iter().map(|kept| kept.message))
        .collect();
    let secrets = secrets(&room, &mails);
    assert!(secrets.len() > 10, "{}", secrets.len());
    for (which, log) in &logs {
        assert!(log.lines().count() > 1, "{which} logs: {log}");
        for secret in &secrets {
            let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert_eq!(line, None, "{which} tells {secret}");
        }
    }
}
