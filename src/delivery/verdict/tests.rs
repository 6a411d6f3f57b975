use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn policy() -> Policy {
    Policy {
        first: Duration::from_mins(5),
        factor: 2.0,
        longest: Duration::from_hours(2),
        give_up_after: Duration::from_hours(72),
    }
}

fn judge(fate: &Fate, tries: u32) -> (Outcome, Advice) {
    verdict(fate, tries, (tries > 0).then(now), now(), &policy(), 0.5)
}

/// What is wanted, in one letter: Accepted, Rejected, Later (with backoff), Soon (at once), Free (untried).
fn letter(outcome: &Outcome) -> char {
    match outcome {
        Outcome::Accepted => 'A',
        Outcome::Rejected => 'R',
        Outcome::Deferred(when) if *when == now() => 'S',
        Outcome::Deferred(_) => 'L',
        Outcome::Untried => 'F',
        Outcome::Uncertain => '?',
        Outcome::Expired => 'X',
        Outcome::Postponed(_) => panic!("a verdict never postpones"),
    }
}

fn word(advice: Advice) -> &'static str {
    match advice {
        Advice::GoOn => "on",
        Advice::NewLine => "line",
        Advice::PauseDomain(_) => "domain",
        Advice::SlowDown => "slow",
        Advice::Accused => "us",
        Advice::Stop => "stop",
    }
}

/// Replies as servers of the world give them, with what they mean for a first try.
const REPLIES: &[(Step, &str, char, &str)] = &[
    // Accepted.
    (Step::Dot, "250 2.0.0 OK  1763800000 a640c23a62f3a-b7654fffsi123 - gsmtp", 'A', "on"),
    (Step::Dot, "250 2.0.0 Ok: queued as 4dF2Yk0Xz3z", 'A', "on"),
    (Step::Dot, "250 2.6.0 <a@b> [InternalId=4711] Queued mail for delivery", 'A', "on"),
    (Step::Dot, "250 OK id=1vMabc-0000000Abcd-0aBC", 'A', "on"),
    (Step::Dot, "250 ok dirdel", 'A', "on"),
    (Step::Dot, "251 2.1.5 User not local; will forward", 'A', "on"),
    // No such mailbox.
    (Step::Rcpt, "550 5.1.1 The email account that you tried to reach does not exist. gsmtp", 'R', "on"),
    (Step::Rcpt, "550 5.1.1 <x@y>: Recipient address rejected: User unknown in virtual mailbox table", 'R', "on"),
    (Step::Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", 'R', "on"),
    (Step::Rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", 'R', "on"),
    (Step::Dot, "554 delivery error: dd This user doesn't have a yahoo.com account", 'R', "on"),
    (Step::Rcpt, "550 5.2.1 The email account that you tried to reach is disabled. gsmtp", 'R', "on"),
    (Step::Rcpt, "550 Unrouteable address", 'R', "on"),
    (Step::Rcpt, "550 No such user here", 'R', "on"),
    (Step::Rcpt, "551 5.1.6 User has moved; please try elsewhere", 'R', "on"),
    (Step::Rcpt, "553 5.1.3 The recipient address is not a valid RFC-5321 address. gsmtp", 'R', "on"),
    (Step::Rcpt, "501 5.1.3 Bad recipient address syntax", 'R', "on"),
    (Step::Rcpt, "556 5.1.10 Recipient domain has null MX", 'R', "on"),
    // Full mailboxes: 4xx waits, 5xx ends.
    (Step::Rcpt, "452 4.2.2 The recipient's inbox is out of storage space. gsmtp", 'L', "on"),
    (Step::Rcpt, "552 5.2.2 The recipient's inbox is out of storage space. gsmtp", 'R', "on"),
    (Step::Rcpt, "452 4.2.2 <x@y>: Mailbox full", 'L', "on"),
    (Step::Dot, "554 5.2.2 mailbox full", 'R', "on"),
    (Step::Rcpt, "450 4.2.2 <x@y>: user is overquota", 'L', "on"),
    (Step::Rcpt, "422 4.2.2 The recipient has exceeded their mailbox quota", 'L', "on"),
    // Greylisting.
    (
        Step::Rcpt,
        "450 4.2.0 <x@y>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/",
        'L',
        "on",
    ),
    (Step::Rcpt, "451 4.7.1 Greylisting in action, please come back in 00:05:00", 'L', "on"),
    (Step::Rcpt, "450 4.7.1 greylisted, try again", 'L', "on"),
    (Step::Rcpt, "451 Temporarily deferred - please try again later", 'L', "on"),
    (Step::Rcpt, "451 DT:SPM try later", 'L', "on"),
    // Trouble on their side.
    (Step::Dot, "451 4.3.0 Error: queue file write error", 'L', "on"),
    (Step::Dot, "451 4.3.0 Mail server temporarily rejected message. gsmtp", 'L', "on"),
    (Step::Mail, "452 4.3.1 Insufficient system storage", 'F', "on"),
    (Step::Rcpt, "451 4.4.3 Temporary server error. Please try again later ATTR17", 'L', "on"),
    (Step::Rcpt, "450 4.1.1 <x@y>: Recipient address rejected: unverified address", 'L', "on"),
    (Step::Rcpt, "451 4.3.5 Server configuration problem", 'L', "on"),
    (Step::Rcpt, "452 4.5.3 Too many recipients", 'L', "on"),
    (Step::Data, "451 Local error in processing", 'L', "on"),
    (Step::Dot, "432 4.3.2 Concurrent delivery limit exceeded; STOREDRV.Deliver", 'L', "on"),
    (Step::Rcpt, "441 4.4.1 No answer from host", 'L', "on"),
    (Step::Mail, "450 4.1.8 Sender address rejected: Domain not found", 'F', "on"),
    // Too fast.
    (Step::Dot, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail. gsmtp", 'L', "domain"),
    (
        Step::Rcpt,
        "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
        'L',
        "domain",
    ),
    (
        Step::Mail,
        "421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume or user complaints",
        'L',
        "domain",
    ),
    (
        Step::Mail,
        "421 4.7.650 The mail server has been temporarily rate limited due to IP reputation (S775)",
        'L',
        "domain",
    ),
    (Step::Rcpt, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", 'L', "domain"),
    (Step::Rcpt, "451 4.7.550 Access denied, please try again later", 'L', "domain"),
    (Step::Dot, "421 4.7.26 This mail has been rate limited because it is unauthenticated. gsmtp", 'L', "domain"),
    (Step::Rcpt, "421 4.7.0 [TSS09] All messages from 192.0.2.1 will be permanently deferred", 'L', "domain"),
    (Step::Mail, "421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred due to user complaints", 'L', "domain"),
    (
        Step::Mail,
        "421 RP-001 The mail server IP connecting to Windows Live Hotmail server has exceeded the rate limit allowed",
        'L',
        "domain",
    ),
    (
        Step::Rcpt,
        "421 4.7.1 Messages to x@icloud.com deferred due to excessive volume. Try again later - https://support.apple.com/en-us/HT204137",
        'L',
        "domain",
    ),
    (
        Step::Mail,
        "421 mwinf5c04 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104",
        'L',
        "domain",
    ),
    (Step::Mail, "421 Too many sessions opened", 'L', "domain"), // Comcast
    (Step::Mail, "421 Too many concurrent connections from this client (G2)", 'L', "domain"), // Rackspace
    (Step::Rcpt, "451 4.7.1 Received too many messages from a new or untrusted IP (G28)", 'L', "domain"),
    (Step::Rcpt, "421 Rate limit reached. Please try again later", 'L', "domain"), // IONOS
    (Step::Rcpt, "452 4.3.2 Connection rate limit exceeded.", 'L', "domain"),      // sendmail
    (Step::Rcpt, "452 Too many recipients received this hour", 'L', "domain"),     // Symantec
    // Too fast for the relay itself.
    (Step::Rcpt, "450 4.7.1 Error: too many connections from 192.0.2.1", 'L', "slow"),
    (Step::Rcpt, "452 4.3.1 Sending rate exceeded, slow down", 'L', "slow"),
    (Step::Dot, "454 Throttling failure: Maximum sending rate exceeded.", 'L', "slow"),
    (Step::Mail, "450 4.7.1 Error: too much mail from 192.0.2.1", 'F', "slow"),
    (Step::Mail, "421 4.7.0 localhost Error: too many connections from 127.0.0.1", 'F', "slow"),
    (
        Step::Dot,
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
        'L',
        "slow",
    ),
    // Our account may send no more.
    (Step::Dot, "550 5.4.5 Daily user sending limit exceeded. gsmtp", 'F', "stop"),
    (Step::Rcpt, "550 5.7.1 Daily SMTP relay limit exceeded for customer. gsmtp", 'F', "stop"),
    (Step::Dot, "454 Throttling failure: Daily message quota exceeded.", 'F', "stop"),
    (
        Step::Dot,
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        'F',
        "stop",
    ),
    (Step::Dot, "554 Sending paused for this account.", 'F', "stop"),
    (Step::Dot, "550 5.7.705 Access denied, tenant has exceeded threshold", 'F', "stop"),
    // Others of the world: Mimecast, iCloud, GMX, Comcast, Exchange Online, Proofpoint, Barracuda, Exim, Rackspace, IONOS.
    (Step::Dot, "250 SmtpThread-1234567-1763800000@uk-mta-12.uk.mimecast.lan Received OK [abc.uk12]", 'A', "on"),
    (Step::Dot, "250 2.0.0 3ka3y7x8b2-1 Message accepted for delivery", 'A', "on"),
    (Step::Dot, "250 Requested mail action okay, completed: id=1MSbx3-1wZ", 'A', "on"),
    (Step::Rcpt, "550 5.1.1 <x@icloud.com>: user does not exist", 'R', "on"),
    (Step::Rcpt, "550 Requested action not taken: mailbox unavailable", 'R', "on"),
    (Step::Rcpt, "550 5.1.1 <x@comcast.net> Account not available", 'R', "on"),
    (
        Step::Rcpt,
        "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02FT012.eop-EUR02.prod.protection.outlook.com]",
        'R',
        "on",
    ),
    (
        Step::Dot,
        "550 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
        'R',
        "us",
    ),
    (Step::Dot, "550 5.7.1 Your message was rejected due to example.com DMARC policy.", 'R', "us"),
    (Step::Rcpt, "554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", 'R', "us"),
    (Step::Dot, "550 permanent failure for one or more recipients (x@y:blocked)", 'R', "us"),
    (
        Step::Rcpt,
        "554 Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1",
        'R',
        "us",
    ),
    (Step::Dot, "571 5.7.1 message classified as spam", 'R', "us"),
    (
        Step::Greeting,
        "554 gmx.net (mxgmx104) Nemesis ESMTP Service not available No SMTP service IP address is block listed.",
        'F',
        "stop",
    ),
    (
        Step::Greeting,
        "421 gmx.net (mxgmx104) Nemesis ESMTP Service not available Service unavailable Reject due to policy restrictions.",
        'F',
        "line",
    ),
    (Step::Mail, "421 Unable to process connection at this time", 'F', "line"),
    (Step::Rcpt, "421 mwinf5c04 ME Service refuse. Veuillez essayer plus tard. OFR_999", 'S', "line"),
    (Step::Rcpt, "421 4.3.0 Temporary System Problem. Try again later (1). gsmtp", 'S', "line"),
    (
        Step::Rcpt,
        "451 Internal resource temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451",
        'L',
        "on",
    ),
    (Step::Rcpt, "451 4.7.1 Service unavailable - try again later", 'L', "on"),
    (Step::Rcpt, "451 Temporary local problem - please try later", 'L', "on"),
    (Step::Rcpt, "450 Reject due to policy violations.", 'L', "on"),
    (Step::Rcpt, "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", 'L', "on"),
    (Step::Rcpt, "450 4.2.1 <x@y>: Mailbox received too much email in a short period of time (G30)", 'L', "on"),
    (
        Step::Rcpt,
        "450 4.7.1 <x@y>: Recipient address rejected: Policy Rejection- Greylisted for 60 seconds: Please try later",
        'L',
        "on",
    ),
    (Step::Rcpt, "422 4.2.2 Quota limit exceeded (Speicherplatz des Kontos ueberschritten)", 'L', "on"),
    (Step::Rcpt, "552 1 Requested mail action aborted, mailbox not found", 'R', "on"),
    (Step::Dot, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", 'L', "on"),
    // The connection's end.
    (Step::Mail, "421 4.4.2 mx.example Error: timeout exceeded", 'F', "line"),
    (Step::Mail, "421 too many messages in this connection", 'F', "line"), // Exim
    (Step::Mail, "421 4.7.0 Too many messages for this session: too many mails per connection", 'F', "line"),
    (Step::Greeting, "421 4.3.2 Service not available, closing transmission channel", 'F', "line"),
    (Step::Rcpt, "421 4.3.2 service closing, try again", 'S', "line"),
    (Step::Dot, "421 4.3.2 System shutting down", 'S', "line"),
    (Step::Data, "421 4.4.2 idle for too long", 'S', "line"),
    (Step::Mail, "503 5.5.1 Error: nested MAIL command", 'S', "line"),
    (Step::Data, "503 5.5.1 Error: need RCPT command", 'S', "line"),
    (Step::Rcpt, "503 bad sequence of commands", 'S', "line"),
    // It is us.
    (Step::Dot, "550 5.7.26 This mail is unauthenticated, which poses a security risk. gsmtp", 'R', "us"),
    (Step::Dot, "550 5.7.515 Access denied, sending domain does not meet the required authentication level", 'R', "us"),
    (Step::Dot, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", 'R', "us"),
    (
        Step::Rcpt,
        "550 5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited mail. gsmtp",
        'R',
        "us",
    ),
    (Step::Rcpt, "553 5.7.1 <desk@news.example>: Sender address rejected: not owned by user desk", 'R', "us"),
    (Step::Rcpt, "554 5.7.1 <x@y>: Relay access denied", 'R', "us"),
    (Step::Rcpt, "550 relay not permitted", 'R', "us"),
    (Step::Dot, "552 5.3.4 Message size exceeds fixed limit", 'R', "us"),
    (Step::Dot, "554 Message rejected on suspicion of SPAM", 'R', "us"),
    (Step::Dot, "550-5.7.25 The IP address sending this message does not have a PTR record", 'R', "us"),
    // Nothing can pass.
    (Step::Mail, "530 5.7.0 Must issue a STARTTLS command first", 'F', "stop"),
    (Step::Mail, "530 5.7.1 Authentication required", 'F', "stop"),
    (Step::Rcpt, "530 5.7.0 Authentication Required. gsmtp", 'F', "stop"),
    (Step::Mail, "535 5.7.8 Error: authentication failed", 'F', "stop"),
    (Step::Mail, "550 5.1.8 Sender domain does not exist", 'F', "stop"),
    (Step::Mail, "552 5.3.4 Message size exceeds fixed maximum message size", 'F', "stop"),
    (Step::Mail, "553 5.1.7 The sender address is not a valid RFC-5321 address", 'F', "stop"),
    (Step::Greeting, "554 5.7.1 No SMTP service here", 'F', "stop"),
    // Nonsense.
    (Step::Dot, "354 go ahead", '?', "line"),
    (Step::Dot, "220 mx.example ESMTP ready", '?', "line"),
    (Step::Dot, "221 2.0.0 closing connection", '?', "line"),
    (Step::Dot, "214 2.0.0 see RFC 5321", '?', "line"),
    (Step::Data, "250 OK", 'S', "line"),
    (Step::Dot, "666 hello", '?', "line"),
];

#[test]
fn replies_of_the_world_mean_what_the_table_says() {
    assert!(REPLIES.len() >= 100, "{}", REPLIES.len());
    for (step, line, wanted, advice) in REPLIES {
        let reply = Reply::read(line);
        let (outcome, told) = judge(&Fate::Replied(*step, reply), 0);
        assert_eq!((letter(&outcome), word(told)), (*wanted, *advice), "{step:?}: {line}");
    }
}

#[test]
fn a_mail_that_was_too_fast_comes_back_no_sooner_than_its_domain_is_left_alone() {
    let fate = Fate::Replied(Step::Rcpt, Reply::read("450 4.7.28 unusual rate"));
    assert_eq!(judge(&fate, 0).0, Outcome::Deferred(now() + TimeDelta::minutes(10)));
    assert_eq!(judge(&fate, 2).0, Outcome::Deferred(now() + TimeDelta::minutes(20)));
    let fate = Fate::Replied(Step::Dot, Reply::read("454 Throttling failure: Maximum sending rate exceeded."));
    assert_eq!(judge(&fate, 2).0, Outcome::Deferred(now() + TimeDelta::minutes(1)));
}

#[test]
fn only_a_line_that_broke_at_the_dot_leaves_doubt() {
    let broke = |step| judge(&Fate::Broke(step, "connection reset".to_owned()), 0);
    assert_eq!(broke(Step::Greeting), (Outcome::Untried, Advice::NewLine));
    assert_eq!(broke(Step::Mail), (Outcome::Untried, Advice::NewLine));
    assert_eq!(broke(Step::Rcpt), (Outcome::Deferred(now()), Advice::NewLine));
    assert_eq!(broke(Step::Data), (Outcome::Deferred(now()), Advice::NewLine));
    assert_eq!(broke(Step::Dot), (Outcome::Uncertain, Advice::NewLine));
}

#[test]
fn a_mail_that_breaks_every_line_waits_after_the_second_time() {
    let fate = Fate::Broke(Step::Data, String::new());
    assert_eq!(judge(&fate, 1).0, Outcome::Deferred(now()));
    assert_eq!(judge(&fate, 2).0, Outcome::Deferred(now() + TimeDelta::seconds(1200)));
}

#[test]
fn waits_grow_with_the_tries_and_end_at_the_last_day() {
    let fate = Fate::Replied(Step::Rcpt, Reply::read("450 4.2.0 later"));
    let at = |tries, ago: i64| verdict(&fate, tries, Some(now() - TimeDelta::seconds(ago)), now(), &policy(), 0.5).0;
    assert_eq!(at(1, 300), Outcome::Deferred(now() + TimeDelta::seconds(600)));
    assert_eq!(at(3, 3600), Outcome::Deferred(now() + TimeDelta::seconds(2400)));
    // The last try is made at the very end, and not later.
    assert_eq!(at(9, 3 * 86400 - 60), Outcome::Deferred(now() + TimeDelta::seconds(60)));
    assert_eq!(at(9, 3 * 86400), Outcome::Expired);
}

#[test]
fn every_reply_at_every_step_has_a_verdict_and_only_250_and_its_like_after_the_dot_are_accepted() {
    for step in [Step::Greeting, Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        for code in 0..1000 {
            for tries in [0, 1, 50] {
                let fate = Fate::Replied(step, Reply { code, status: None, text: String::new() });
                let (outcome, _) = judge(&fate, tries);
                let of_itself = (210..230).contains(&code);
                assert_eq!(outcome == Outcome::Accepted, step == Step::Dot && (200..300).contains(&code) && !of_itself);
                // Before RCPT nothing is about the reader, but for what her domain's servers say of our speed.
                let early = matches!(step, Step::Greeting | Step::Mail) && (400..600).contains(&code);
                assert!(!early || outcome == Outcome::Untried || code == 503, "{step:?} {code}");
                assert!(outcome != Outcome::Uncertain || step == Step::Dot);
                assert!(outcome != Outcome::Rejected || (500..600).contains(&code));
            }
        }
    }
}

#[test]
fn a_refusal_speaks_of_the_reader_only_where_it_does_not_blame_us() {
    for (line, wanted) in [
        ("550 5.1.1 <a@b.example>: User unknown", Some(Cause::NoMailbox)),
        ("552 5.2.2 mailbox full", Some(Cause::Full)),
        ("550 no", Some(Cause::Undecided)),
        ("550 5.7.1 No such user here", None),
        ("550 5.1.8 Domain not found", None),
        ("550 5.1.1 Message blocked: user unknown", None),
        ("550 We do not accept mail from dynamic IPs", None),
        ("503 5.5.1 user unknown", None),
    ] {
        assert_eq!(refusal(&Reply::read(line)), wanted, "{line}");
    }
}
