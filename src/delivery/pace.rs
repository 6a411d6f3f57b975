//! How fast mails may go, to everybody and to each destination: a pure account of what went when.
//!
//! Three things hold a mail back: a rate (a token bucket), a number of connections, and a destination's own complaint, after
//! which it is left alone, then gets one connection, and one more each minute. A mail that is held back is given a slot, a
//! moment of its own to come again, so that thousands of mails for one slow destination neither stand before those for others
//! nor come back all at once.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

/// What a pause has left unused may be caught up on, for so long: a second's mails may go at once, an hour's may not.
pub const BURST: TimeDelta = TimeDelta::seconds(5);
/// No slot is farther away (after the end of a rest): where more may go than was thought, nobody has been sent away for hours.
pub const HORIZON: TimeDelta = TimeDelta::minutes(10);
/// After a complaint: one connection, and one more after each such time without another complaint.
pub const GROWTH: TimeDelta = TimeDelta::minutes(1);
/// A complaint that was so long ago counts no more for who has just begun.
pub const FORGOTTEN: TimeDelta = TimeDelta::hours(1);
/// Where the mail server says that we are too fast for itself: nothing goes for so long, and then half as much as before.
pub const BREATH: TimeDelta = TimeDelta::seconds(10);
/// Complaints that follow one another so closely are about the same mails.
const SAME: TimeDelta = TimeDelta::minutes(1);
/// What a connection is thought to need for a mail, until it is known.
const SERVICE: TimeDelta = TimeDelta::milliseconds(100);
/// The rate of what was accepted is measured over so long.
const MEASURE: TimeDelta = TimeDelta::seconds(10);
/// After half the rate, each [`GROWTH`] brings so many times as much.
const EASE: f64 = 1.25;
/// An easing rate that has come to so many times what it was before the complaint is no limit any more.
const EASED: f64 = 2.0;

/// Domains that are one destination: they have the same servers, which count what we send to any of them. The first is the
/// destination's name.
const FAMILIES: [&[&str]; 9] = [
    &["gmail.com", "googlemail.com"],
    &["outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "hotmail.fr", "live.co.uk", "outlook.de"],
    &["yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "aim.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de"],
    &["icloud.com", "me.com", "mac.com"],
    &["gmx.net", "gmx.de", "gmx.at", "gmx.ch", "web.de"],
    &["orange.fr", "wanadoo.fr"],
    &["free.fr", "aliceadsl.fr"],
    &["proton.me", "protonmail.com", "pm.me"],
    &["mail.ru", "inbox.ru", "list.ru", "bk.ru"],
];

/// What the operator allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Mails a minute, in all.
    pub per_minute: Option<NonZeroU32>,
    /// For each destination that is not named.
    pub usual: Limit,
    /// Destinations that are named.
    pub named: Vec<Destination>,
}

/// What one destination may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// Mails a minute.
    pub per_minute: Option<NonZeroU32>,
    /// Connections that carry mails for it at a time.
    pub connections: Option<NonZeroU16>,
}

/// Domains that share a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// In lower case; at least one.
    pub domains: Vec<String>,
    /// What they may get together.
    pub limit: Limit,
}

/// A destination that has complained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// The destination's name: its first domain.
    pub place: String,
    /// Until when it is left alone.
    pub until: DateTime<Utc>,
}

/// May it go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Now,
    /// As many connections as the destination may have carry mails for it: as soon as one of them is free.
    Full,
    /// Then.
    At(DateTime<Utc>),
}

impl Limits {
    /// The destination of an address's domain, by name.
    pub fn place(&self, domain: &str) -> String {
        let domain = domain.to_ascii_lowercase();
        let named = self.named.iter().find(|named| named.domains.contains(&domain));
        if let Some(first) = named.and_then(|named| named.domains.first()) {
            return first.clone();
        }
        let family = FAMILIES.iter().find(|family| family.contains(&domain.as_str()));
        family.map_or(domain, |family| family[0].to_owned())
    }

    fn limit(&self, place: &str) -> Limit {
        // A name for one domain of a family is meant for the family.
        let of = |named: &&Destination| named.domains.iter().any(|domain| domain == place);
        self.named.iter().find(of).map_or(self.usual, |named| named.limit)
    }

    /// Shared by so many presses: each keeps to its part.
    fn part(&self, place: &str, presses: u32) -> Limit {
        let Limit { per_minute, connections } = self.limit(place);
        let connections = connections.map(|n| {
            let part = u32::from(n.get()) / presses.max(1);
            NonZeroU16::new(u16::try_from(part).unwrap_or(u16::MAX)).unwrap_or(NonZeroU16::MIN)
        });
        Limit { per_minute, connections }
    }
}

/// So much a time, and a little more after a pause (a generic cell rate algorithm: one moment is all its memory).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Between two mails.
    spacing: TimeDelta,
    /// When the next one would be due if all had gone at equal distances.
    next: DateTime<Utc>,
}

impl Bucket {
    fn new(per_minute: f64, now: DateTime<Utc>) -> Self {
        Bucket { spacing: spacing(per_minute), next: now }
    }

    /// When a mail may go, at the earliest.
    fn earliest(&self) -> DateTime<Utc> {
        self.next - BURST
    }

    fn take(&mut self, now: DateTime<Utc>) {
        self.next = self.next.max(now) + self.spacing;
    }

    /// Farther ahead than so many waiting lines and a breath explain: the clock was set back, and nobody waits for what it showed.
    fn mind_the_clock(&mut self, lines: u16, now: DateTime<Utc>) {
        if self.next - now > HORIZON + self.spacing * (i32::from(lines) + 1) {
            self.next = now;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a float's conversion saturates")]
fn spacing(per_minute: f64) -> TimeDelta {
    TimeDelta::microseconds((60e6 / per_minute.max(1e-3)) as i64)
}

/// A destination that is limited, or has complained.
#[derive(Debug)]
struct Place {
    limit: Limit,
    bucket: Option<Bucket>,
    /// Nothing goes before.
    rest: Option<DateTime<Utc>>,
    /// The latest rest that was heard of, over or not: told again, it is no news.
    heard: Option<DateTime<Utc>>,
    /// Connections that it has learned to live with, after a complaint.
    learned: Option<u16>,
    /// When it may have one more.
    grows: DateTime<Utc>,
    /// Which lines have mails for it in hand, and how many.
    seats: Vec<(usize, u32)>,
    /// The last slot that was given.
    tail: DateTime<Utc>,
    /// What a line needs for a mail of it.
    service: TimeDelta,
}

/// What went when.
#[derive(Debug)]
pub struct Pace {
    limits: Limits,
    presses: u32,
    /// Lines of this press: more are no limit.
    lines: u16,
    places: HashMap<String, Place>,
    all: Option<Bucket>,
    /// The mail server has complained: the rate that it bears, in mails a minute, that of before, and when there will be more.
    eased: Option<(f64, f64, DateTime<Utc>)>,
    /// So many were accepted since.
    accepted: (u32, DateTime<Utc>),
    /// Mails a minute in the last whole [`MEASURE`].
    rate: f64,
    /// The last moment that a slot was given for, beside those after a rest.
    until: Option<DateTime<Utc>>,
}

impl Pace {
    /// An account of a press with so many `lines`, one of `presses` that share the limits.
    pub fn new(limits: Limits, lines: u16, presses: u32, now: DateTime<Utc>) -> Self {
        let presses = presses.max(1);
        let all = limits.per_minute.map(|n| Bucket::new(f64::from(n.get()) / f64::from(presses), now));
        Pace {
            limits,
            presses,
            lines,
            places: HashMap::new(),
            all,
            eased: None,
            accepted: (0, now),
            rate: 0.0,
            until: None,
        }
    }

    /// A complaint that was heard before this press began, or by another one.
    pub fn remember(&mut self, rest: &Rest, now: DateTime<Utc>) {
        let known = self.places.get(&rest.place).and_then(|place| place.heard);
        if rest.until + FORGOTTEN > now && known.is_none_or(|known| known < rest.until) {
            self.leave_alone(&rest.place.clone(), rest.until, now);
        }
    }

    /// May a mail for this domain go over this line? `Now` takes a seat, which [`Pace::left`] gives back; and where mails in
    /// all are limited, [`Pace::everybody`] has a word too.
    pub fn turn(&mut self, domain: &str, line: usize, now: DateTime<Utc>) -> Turn {
        let lines = self.lines;
        let Some(place) = self.place(domain, now) else { return Turn::Now };
        if let Some(bucket) = &mut place.bucket {
            bucket.mind_the_clock(lines, now);
        }
        if place.rest.is_some_and(|rest| rest <= now) {
            place.rest = None;
        }
        let sits = place.seats.iter().position(|(sitting, _)| *sitting == line);
        if place.rest.is_some() || place.bucket.is_some_and(|bucket| bucket.earliest() > now) {
            return Turn::At(self.slot(domain, now));
        }
        if !place.has_room(line) {
            return Turn::Full;
        }
        match sits {
            Some(at) => place.seats[at].1 += 1,
            None => place.seats.push((line, 1)),
        }
        if let Some(bucket) = &mut place.bucket {
            bucket.take(now);
        }
        Turn::Now
    }

    /// Whether [`Pace::turn`] would not say [`Turn::Full`].
    pub fn has_room(&self, domain: &str, line: usize) -> bool {
        self.places.is_empty() || self.places.get(&self.limits.place(domain)).is_none_or(|place| place.has_room(line))
    }

    /// When a mail for this domain, that nobody can hold until then, shall come again.
    pub fn slot(&mut self, domain: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(place) = self.place(domain, now) else { return now };
        let (slot, resting) = (place.slot(now), place.rest.is_some());
        if !resting {
            self.until = self.until.max(Some(slot));
        }
        slot
    }

    /// A mail that had its [`Turn::Now`] is in the line's hands no more, after so long.
    pub fn left(&mut self, domain: &str, line: usize, after: Duration) {
        if self.places.is_empty() {
            return;
        }
        let name = self.limits.place(domain);
        let Some(place) = self.places.get_mut(&name) else { return };
        if let Some(at) = place.seats.iter().position(|(sitting, _)| *sitting == line) {
            place.seats[at].1 -= 1;
            if place.seats[at].1 == 0 {
                place.seats.swap_remove(at);
            }
        }
        let after = TimeDelta::from_std(after).unwrap_or(SERVICE).min(HORIZON);
        place.service = (place.service * 7 + after) / 8;
    }

    /// When the next mail may go, whoever it is for; it counts as gone then.
    pub fn everybody(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(bucket) = &mut self.all else { return now };
        bucket.mind_the_clock(self.lines, now);
        let slot = bucket.earliest().max(now);
        bucket.take(now);
        slot
    }

    /// A destination says that we are too fast: it is left alone for so long. Answers what others must know; `None` where it
    /// has said so before (of mails that were under way then).
    pub fn too_fast(&mut self, domain: &str, wait: Duration, now: DateTime<Utc>) -> Option<Rest> {
        let place = self.limits.place(domain);
        let known = self.places.get(&place).and_then(|place| place.rest);
        let until = now + TimeDelta::from_std(wait).unwrap_or(HORIZON);
        if known.is_some_and(|known| known + SAME >= until) {
            return None;
        }
        self.leave_alone(&place, until, now);
        Some(Rest { place, until })
    }

    /// So many presses share the limits now; whether that is news. What went counts on: others that come and go are no reason
    /// to go faster for a moment.
    pub fn share(&mut self, presses: u32) -> bool {
        let presses = presses.max(1);
        if presses == self.presses {
            return false;
        }
        self.presses = presses;
        if let (None, Some(bucket), Some(limit)) = (self.eased, &mut self.all, self.limits.per_minute) {
            bucket.spacing = spacing(f64::from(limit.get()) / f64::from(presses));
        }
        for (name, place) in &mut self.places {
            place.limit = self.limits.part(name, presses);
            if let (Some(bucket), Some(limit)) = (&mut place.bucket, place.limit.per_minute) {
                bucket.spacing = spacing(f64::from(limit.get()) / f64::from(presses));
            }
        }
        true
    }

    /// Whether [`Pace::everybody`] would say that a mail may go at once.
    pub fn is_open(&mut self, now: DateTime<Utc>) -> bool {
        self.all.as_mut().is_none_or(|bucket| {
            bucket.mind_the_clock(self.lines, now);
            bucket.earliest() <= now
        })
    }

    /// The mail server says that we are too fast for itself: a breath, and then half as fast as until now. Whether that is news,
    /// and was not said of what had been under way.
    pub fn too_fast_for_all(&mut self, now: DateTime<Utc>) -> bool {
        self.measure(now);
        if self.eased.is_some_and(|(_, _, grows)| now < grows - GROWTH + BREATH) {
            return false;
        }
        let before = self.eased.map_or(self.rate, |(rate, _, _)| rate).max(2.0);
        let peak = self.eased.map_or(before, |(_, peak, _)| peak);
        self.eased = Some((before / 2.0, peak, now + GROWTH));
        self.all = Some(Bucket { spacing: spacing(before / 2.0), next: now + BREATH + BURST });
        true
    }

    /// A mail was accepted: time may bring more.
    pub fn accepted(&mut self, domain: &str, now: DateTime<Utc>) {
        self.accepted.0 += 1;
        self.measure(now);
        if let Some((rate, peak, grows)) = self.eased
            && now >= grows
        {
            let own = self.limits.per_minute.map(|n| f64::from(n.get()) / f64::from(self.presses));
            let rate = rate * EASE;
            let allowed = own.unwrap_or(peak * EASED);
            self.eased = (rate < allowed).then_some((rate, peak, now + GROWTH));
            self.all = match (rate < allowed, own) {
                (true, _) => Some(Bucket { spacing: spacing(rate), next: now }),
                (false, Some(own)) => Some(Bucket { spacing: spacing(own), next: now }),
                (false, None) => None,
            };
        }
        if self.places.is_empty() {
            return;
        }
        let (name, lines) = (self.limits.place(domain), self.lines);
        let Some(place) = self.places.get_mut(&name) else { return };
        if let Some(learned) = place.learned
            && now >= place.grows
        {
            let most = place.limit.connections.map_or(lines, |n| n.get().min(lines));
            place.learned = Some(learned + 1).filter(|more| *more < most);
            place.grows = now + GROWTH;
        }
    }

    /// The last moment that a mail waits for because of our own limits: waiting for it is no waiting for somebody else.
    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.until
    }

    fn measure(&mut self, now: DateTime<Utc>) {
        let (accepted, since) = self.accepted;
        let took = now - since;
        if took >= MEASURE {
            self.rate = f64::from(accepted) * 60e3 / took.as_seconds_f64().max(1e-3) / 1e3;
            self.accepted = (0, now);
        } else if self.rate == 0.0 {
            self.rate = f64::from(accepted) * 60.0 / took.as_seconds_f64().max(1.0);
        }
    }

    fn leave_alone(&mut self, name: &str, until: DateTime<Utc>, now: DateTime<Utc>) {
        let place = self
            .places
            .entry(name.to_owned())
            .or_insert_with(|| Place::new(self.limits.part(name, self.presses), self.presses, now));
        place.rest = place.rest.max(Some(until));
        place.heard = place.heard.max(Some(until));
        place.learned = Some(1);
        place.grows = until + GROWTH;
        place.tail = place.tail.max(until);
    }

    /// The account of a domain's destination; `None` where nothing limits it.
    fn place(&mut self, domain: &str, now: DateTime<Utc>) -> Option<&mut Place> {
        let limited = self.limits.usual != Limit::default() || !self.limits.named.is_empty();
        if !limited && self.places.is_empty() {
            return None;
        }
        let name = self.limits.place(domain);
        if !self.places.contains_key(&name) {
            let limit = self.limits.part(&name, self.presses);
            if limit == Limit::default() {
                return None;
            }
            self.places.insert(name.clone(), Place::new(limit, self.presses, now));
        }
        self.places.get_mut(&name)
    }
}

impl Place {
    fn new(limit: Limit, presses: u32, now: DateTime<Utc>) -> Self {
        let bucket = limit.per_minute.map(|n| Bucket::new(f64::from(n.get()) / f64::from(presses), now));
        Place {
            limit,
            bucket,
            rest: None,
            heard: None,
            learned: None,
            grows: now,
            seats: vec![],
            tail: now,
            service: SERVICE,
        }
    }

    fn has_room(&self, line: usize) -> bool {
        let sits = self.seats.iter().any(|(sitting, _)| *sitting == line);
        sits || self.cap().is_none_or(|cap| self.seats.len() < usize::from(cap))
    }

    fn cap(&self) -> Option<u16> {
        let own = self.limit.connections.map(NonZeroU16::get);
        own.into_iter().chain(self.learned).min()
    }

    /// A moment to come again, after all that were given before.
    fn slot(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let earliest = self.rest.unwrap_or(now).max(self.bucket.map_or(now, |bucket| bucket.earliest()));
        let by_rate = self.bucket.map(|bucket| bucket.spacing);
        let by_lines = self.cap().map(|cap| self.service / i32::from(cap));
        let spacing = by_rate.into_iter().chain(by_lines).max().unwrap_or(SERVICE);
        if self.tail < earliest || self.tail - earliest > HORIZON {
            self.tail = earliest;
        }
        self.tail += spacing;
        self.tail
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
