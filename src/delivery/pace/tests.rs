use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn limit(per_minute: u32, connections: u16) -> Limit {
    Limit { per_minute: NonZeroU32::new(per_minute), connections: NonZeroU16::new(connections) }
}

fn pace(limits: Limits) -> Pace {
    Pace::new(limits, 4, 1, now())
}

/// Mails that go in so many seconds, where each that must wait comes again at its slot, as the ledger has it.
fn sent(pace: &mut Pace, domain: &str, mails: usize, seconds: i64) -> (usize, usize) {
    let mut due: Vec<DateTime<Utc>> = vec![now(); mails];
    let (mut gone, mut asked) = (0, 0);
    for tick in 0..=seconds * 10 {
        let at = now() + TimeDelta::milliseconds(tick * 100);
        due.retain_mut(|slot| {
            if *slot > at {
                return true;
            }
            asked += 1;
            match pace.turn(domain, 0, at) {
                Turn::Now => {
                    pace.left(domain, 0, Duration::from_millis(20));
                    gone += 1;
                    false
                }
                Turn::Full => panic!("one line, and no limit of lines"),
                Turn::At(later) => {
                    assert!(later > at, "a slot is in the future");
                    *slot = later;
                    true
                }
            }
        });
    }
    (gone, asked)
}

#[test]
fn without_limits_everything_goes_and_nothing_is_remembered() {
    let mut pace = pace(Limits::default());
    assert!((0..1000).all(|n| pace.turn("a.example", n % 4, now()) == Turn::Now));
    assert_eq!(pace.everybody(now()), now());
    assert!(pace.places.is_empty() && pace.until().is_none());
}

#[test]
fn a_destinations_rate_is_kept_and_others_do_not_feel_it() {
    let named = vec![Destination { domains: vec!["gmail.com".to_owned()], limit: limit(60, 0) }];
    let mut pace = pace(Limits { named, ..Limits::default() });
    let (gone, asked) = sent(&mut pace, "gmail.com", 1000, 120);
    assert!((120..=130).contains(&gone), "{gone} in two minutes, at sixty a minute");
    assert!(asked < 1000 + 4 * gone, "{asked} questions for {gone} mails");
    assert_eq!(pace.turn("other.example", 0, now()), Turn::Now);
}

#[test]
fn each_destination_has_a_bucket_of_its_own_and_families_share_one() {
    let mut pace = pace(Limits { usual: limit(60, 0), ..Limits::default() });
    let mut burst = |domain: &str| (0..50).filter(|_| pace.turn(domain, 0, now()) == Turn::Now).count();
    assert_eq!(burst("a.example"), 6);
    assert_eq!(burst("A.EXAMPLE"), 0);
    assert_eq!(burst("b.example"), 6);
    assert_eq!(burst("gmail.com"), 6);
    assert_eq!(burst("googlemail.com"), 0);
}

#[test]
fn mails_in_all_are_spaced_and_a_pause_is_not_caught_up_on() {
    let mut pace = pace(Limits { per_minute: NonZeroU32::new(60), ..Limits::default() });
    let count = |pace: &mut Pace, at: i64| (0..100).filter(|_| pace.everybody(after(at)) <= after(at)).count();
    assert_eq!(count(&mut pace, 0), 6);
    // What was asked for counts as gone at its slot.
    assert_eq!(pace.everybody(after(0)), after(95));
    // An hour later a few seconds' mails go at once, and no more.
    assert_eq!(count(&mut pace, 3600), 6);
}

#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let mut pace = pace(Limits { per_minute: NonZeroU32::new(120), usual: limit(60, 0), ..Limits::default() });
    for n in 0..60 {
        pace.everybody(after(3600 + n));
        pace.turn("a.example", 0, after(3600 + n));
    }
    assert!(pace.is_open(after(10)) && pace.everybody(after(10)) == after(10));
    assert_eq!(pace.turn("a.example", 0, after(10)), Turn::Now);
    // As fast as ever from then on.
    assert!((0..100).map(|_| pace.everybody(after(10))).last().unwrap() > after(40));
}

#[test]
fn limits_are_shared_anew_when_presses_come_and_go() {
    let mut pace = pace(Limits { usual: limit(0, 4), ..Limits::default() });
    let taken = |pace: &mut Pace| (0..8).filter(|line| pace.turn("a.example", *line, now()) == Turn::Now).count();
    assert_eq!(taken(&mut pace), 4);
    pace.too_fast("b.example", Duration::from_mins(10), now());
    pace.share(2);
    assert!(!pace.has_room("a.example", 7), "who sits, sits");
    for line in 0..4 {
        pace.left("a.example", line, Duration::ZERO);
    }
    assert_eq!(taken(&mut pace), 2);
    assert!(matches!(pace.turn("b.example", 0, now()), Turn::At(_)), "a rest is not forgotten");
}

#[test]
fn limits_are_shared_among_presses() {
    let limits = Limits { per_minute: NonZeroU32::new(600), usual: limit(120, 4), ..Limits::default() };
    let mut pace = Pace::new(limits, 10, 4, now());
    let (gone, _) = sent(&mut pace, "a.example", 1000, 60);
    assert!((30..=36).contains(&gone), "{gone}");
    let fresh = |line| pace.turn("b.example", line, now()) == Turn::Now;
    assert_eq!([0, 1, 2].map(fresh), [true, false, false]);
}

#[test]
fn presses_that_come_and_go_bring_no_burst() {
    let limits = Limits { per_minute: NonZeroU32::new(600), usual: limit(120, 0), ..Limits::default() };
    let mut pace = pace(limits);
    let (mut all, mut one) = (0, 0);
    for second in 0..60 {
        // A third of the time alone, a third with another, a third with two: 11 of 18 of the limits.
        pace.share(1 + u32::try_from(second % 3).unwrap());
        while pace.is_open(after(second)) {
            pace.everybody(after(second));
            all += 1;
        }
        while pace.turn("a.example", 0, after(second)) == Turn::Now {
            pace.left("a.example", 0, Duration::ZERO);
            one += 1;
        }
    }
    // And the burst of the beginning, once.
    assert!((330..=430).contains(&all), "{all}");
    assert!((66..=90).contains(&one), "{one}");
}

#[test]
fn connections_are_counted_by_line_and_given_back() {
    let mut pace = pace(Limits { usual: limit(0, 2), ..Limits::default() });
    let turn = |pace: &mut Pace, line| pace.turn("a.example", line, now()) == Turn::Now;
    assert_eq!([0, 1, 2, 0, 1].map(|line| turn(&mut pace, line)), [true, true, false, true, true]);
    pace.left("a.example", 0, Duration::ZERO);
    assert!(!turn(&mut pace, 2), "line 0 has one more in hand");
    pace.left("a.example", 0, Duration::ZERO);
    assert!(turn(&mut pace, 2));
    assert!(!turn(&mut pace, 0));
    assert_eq!([0, 2].map(|line| pace.has_room("a.example", line)), [false, true]);
    assert!(pace.slot("a.example", now()) > now());
}

#[test]
fn who_says_too_fast_is_left_alone_then_gets_one_connection_and_one_more_each_minute() {
    let mut pace = pace(Limits::default());
    assert_eq!(pace.turn("gmail.com", 0, now()), Turn::Now);
    let rest = pace.too_fast("googlemail.com", Duration::from_mins(10), now());
    assert_eq!(pace.too_fast("gmail.com", Duration::from_mins(10), after(2)), None);
    assert_eq!(rest.unwrap(), Rest { place: "gmail.com".to_owned(), until: after(600) });
    assert!(matches!(pace.turn("gmail.com", 0, after(599)), Turn::At(slot) if slot > after(600)));
    assert_eq!(pace.turn("b.example", 0, after(1)), Turn::Now);
    assert_eq!(pace.until(), None, "the run need not wait for that");

    let lines = |pace: &mut Pace, at: i64| {
        let open: Vec<usize> = (0..4).filter(|line| pace.turn("gmail.com", *line, after(at)) == Turn::Now).collect();
        for line in &open {
            pace.left("gmail.com", *line, Duration::ZERO);
        }
        pace.accepted("gmail.com", after(at));
        open.len()
    };
    assert_eq!(lines(&mut pace, 601), 1);
    assert_eq!(lines(&mut pace, 659), 1);
    assert_eq!([660, 661, 720, 721, 780, 781].map(|at| lines(&mut pace, at)), [1, 2, 2, 3, 3, 4]);
    // A new complaint begins it anew.
    pace.too_fast("gmail.com", Duration::from_mins(10), after(800));
    assert!(matches!(pace.turn("gmail.com", 0, after(1399)), Turn::At(_)));
    assert_eq!(lines(&mut pace, 1401), 1);
}

#[test]
fn a_complaint_that_the_ledger_tells_over_and_over_keeps_nobody_small() {
    let mut pace = pace(Limits::default());
    let rest = pace.too_fast("gmail.com", Duration::from_mins(10), now()).unwrap();
    let mut lines = |at: i64| {
        pace.remember(&rest, after(at));
        let open: Vec<usize> = (0..4).filter(|line| pace.turn("gmail.com", *line, after(at)) == Turn::Now).collect();
        for line in &open {
            pace.left("gmail.com", *line, Duration::ZERO);
        }
        pace.accepted("gmail.com", after(at));
        open.len()
    };
    let grown: Vec<usize> = (61..=80).map(|tens| lines(tens * 10)).collect();
    assert_eq!(grown, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4]);
}

#[test]
fn a_complaint_that_another_press_heard_counts_and_an_old_one_does_not() {
    let rest = |until| Rest { place: "gmail.com".to_owned(), until };
    let mut pace = pace(Limits::default());
    pace.remember(&rest(after(-3601)), now());
    assert!(pace.places.is_empty());
    pace.remember(&rest(after(-60)), now());
    assert_eq!([0, 1].map(|line| pace.turn("gmail.com", line, now()) == Turn::Now), [true, false]);
    pace.remember(&rest(after(300)), now());
    assert!(matches!(pace.turn("gmail.com", 0, after(200)), Turn::At(slot) if slot > after(300)));
}

#[test]
fn slots_are_apart_and_never_far_away() {
    let mut pace = pace(Limits { usual: limit(1, 0), ..Limits::default() });
    let mut slots = vec![];
    for _ in 0..10_000 {
        if let Turn::At(slot) = pace.turn("a.example", 0, now()) {
            slots.push(slot);
        }
    }
    assert!(slots.iter().all(|slot| *slot > now() && *slot <= now() + HORIZON + TimeDelta::minutes(3)));
    assert!(slots.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(pace.until(), slots.iter().max().copied());
}

#[test]
fn a_mail_server_that_says_too_fast_gets_half_as_much_and_then_slowly_more() {
    let mut pace = pace(Limits::default());
    // 20 a second.
    for n in 0..400 {
        pace.accepted("a.example", now() + TimeDelta::milliseconds(n * 50));
    }
    assert!(pace.too_fast_for_all(after(20)));
    assert!(!pace.too_fast_for_all(after(21)));
    assert_eq!(pace.everybody(after(21)), after(30), "a breath first; what was under way complains once");
    let per_second = |pace: &mut Pace, at: i64| {
        let last = (0..200).map(|_| pace.everybody(after(at))).last().unwrap();
        200.0 / (last - after(at)).as_seconds_f64()
    };
    let rate = per_second(&mut pace, 60);
    assert!((9.0..=16.0).contains(&rate), "{rate}");
    for minute in 2..30 {
        pace.accepted("a.example", after(minute * 60));
    }
    assert_eq!(pace.everybody(after(1800)), after(1800), "in the end nothing holds it back");
}

#[test]
fn a_rate_of_the_operators_holds_again_after_a_complaint() {
    let mut pace = pace(Limits { per_minute: NonZeroU32::new(60), ..Limits::default() });
    pace.too_fast_for_all(now());
    for minute in 1..60 {
        pace.accepted("a.example", after(minute * 60));
    }
    assert!(pace.eased.is_none());
    assert!((0..100).filter(|_| pace.everybody(after(7200)) <= after(7200)).count() <= 7);
}
