use std::num::NonZeroU8;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::auth::{Auth, AuthFailure, Mode};
use crate::config::Interval;
use crate::status::Discards;

const MS: Duration = Duration::from_millis(1);

fn path(host: u8) -> Path {
    Path::OneHop { interface: 1, remote: [192, 0, 2, host].into() }
}

fn config(interval: u64, multiplier: u8, auth: Option<Mode>) -> Config {
    let auth = auth.map(|mode| Auth::new(mode, [(1, b"secret".to_vec())]).unwrap());
    let interval = Interval::new(Duration::from_millis(interval)).unwrap();
    Config { interval, multiplier: NonZeroU8::new(multiplier).unwrap(), least_ttl: 250, auth }
}

/// Two nodes, 192.0.2.0 and .1, and a link that loses packets.
struct Pair {
    ends: [Sessions; 2],
    up: [bool; 2],
    downs: Vec<WhyDown>,
    now: Instant,
    /// Of a hundred packets, how many get lost.
    loss: u64,
    dice: Jitter,
    flight: Vec<(Instant, usize, Vec<u8>)>,
}

impl Pair {
    fn new(configs: [Config; 2]) -> Self {
        let mut pair = Self {
            ends: [Sessions::new(1), Sessions::new(2)],
            up: [false; 2],
            downs: Vec::new(),
            now: Instant::now(),
            loss: 0,
            dice: Jitter::new(3),
            flight: Vec::new(),
        };
        for (end, config) in configs.into_iter().enumerate() {
            pair.event(end, Event::Want(path(1 - u8::try_from(end).unwrap()), config));
        }
        pair
    }

    fn event(&mut self, end: usize, event: Event<'_>) {
        let mut actions = Vec::new();
        let _ = self.ends[end].handle(self.now, event, &mut actions);
        self.act(end, actions);
    }

    fn act(&mut self, end: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(_, bytes) => {
                    if self.dice.next() % 100 >= self.loss {
                        self.flight.push((self.now + MS, 1 - end, bytes));
                    }
                }
                Action::Up(_) => assert!(!std::mem::replace(&mut self.up[end], true), "up once"),
                Action::Down(_, why, _) => {
                    assert!(std::mem::replace(&mut self.up[end], false), "down after up only");
                    self.downs.push(why);
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.ends.iter().filter_map(Sessions::next_deadline);
            let Some(at) = due.chain(self.flight.iter().map(|flight| flight.0)).min() else { break };
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            for end in 0..2 {
                let mut actions = Vec::new();
                self.ends[end].tick(self.now, &mut actions);
                assert!(self.ends[end].next_deadline().is_none_or(|next| next > self.now));
                self.act(end, actions);
            }
            for (at, end, bytes) in std::mem::take(&mut self.flight) {
                if at > self.now {
                    self.flight.push((at, end, bytes));
                    continue;
                }
                let path = path(1 - u8::try_from(end).unwrap());
                self.event(end, Event::Received(Received { path, ttl: Some(TTL), bytes: &bytes }));
            }
        }
        self.now = until;
    }

    fn status(&self, end: usize) -> SessionStatus {
        self.ends[end].status().remove(0)
    }
}

#[test]
fn two_ends_come_up_within_two_seconds_and_agree() {
    for mode in [None].into_iter().chain(Mode::ALL.map(Some)) {
        let mut pair = Pair::new([config(100, 3, mode), config(250, 5, mode)]);
        pair.wait(2000 * MS);
        assert_eq!(pair.up, [true; 2], "{mode:?}");
        pair.wait(60_000 * MS);
        let [one, two] = [pair.status(0), pair.status(1)];
        assert_eq!(
            (one.local_discriminator, two.local_discriminator),
            (two.remote_discriminator, one.remote_discriminator)
        );
        assert_eq!((one.tx_interval, two.tx_interval), (250 * MS, 250 * MS));
        assert_eq!((one.detection, two.detection), (1250 * MS, 750 * MS));
        assert_eq!((one.counters.discarded.total(), two.counters.discarded.total()), (0, 0), "{mode:?}");
        assert!(pair.downs.is_empty());
    }
}

#[test]
fn a_cut_is_noticed_by_both_and_healed() {
    let mut pair = Pair::new([config(100, 3, None), config(100, 3, None)]);
    pair.wait(5000 * MS);
    pair.loss = 100;
    pair.wait(302 * MS);
    assert_eq!((pair.up, pair.downs.as_slice()), ([false; 2], &[WhyDown::Silent; 2][..]));
    pair.loss = 0;
    pair.wait(3000 * MS);
    assert_eq!(pair.up, [true; 2]);
}

#[test]
fn a_third_of_loss_is_survived_by_a_large_multiplier() {
    let mut pair =
        Pair::new([config(50, 20, Some(Mode::MeticulousSha1)), config(50, 20, Some(Mode::MeticulousSha1))]);
    pair.loss = 33;
    pair.wait(120_000 * MS);
    assert_eq!((pair.up, pair.downs.len()), ([true; 2], 0));
}

#[test]
fn an_end_that_leaves_is_no_failure_of_the_path_and_can_come_back() {
    let mut pair = Pair::new([config(100, 3, None), config(100, 3, None)]);
    pair.wait(5000 * MS);
    pair.event(0, Event::Unwant(path(1)));
    pair.wait(10 * MS);
    assert_eq!(pair.downs, [WhyDown::Admin, WhyDown::NeighborAdmin]);
    assert!(pair.downs.iter().all(|why| !why.is_failure()));
    assert!(pair.ends[0].status().is_empty());
    pair.event(0, Event::Want(path(1), config(100, 3, None)));
    pair.wait(3000 * MS);
    assert_eq!(pair.up, [true; 2]);
    pair.event(0, Event::Unwant(path(1)));
    pair.wait(10_000 * MS);
    assert!(pair.ends[0].entries.is_empty() && pair.ends[0].discriminators.is_empty(), "nothing stays");
    assert_eq!(pair.ends[0].next_deadline(), None);
}

#[test]
fn at_the_end_admin_down_is_said_several_times_and_believed_once() {
    let auth = Some(Mode::MeticulousSha1);
    let mut pair = Pair::new([config(100, 3, auth), config(100, 3, auth)]);
    pair.wait(5000 * MS);
    let mut actions = Vec::new();
    pair.ends[0].end(pair.now, 3, &mut actions);
    assert!(!pair.ends[0].has(path(1)) && pair.ends[0].next_deadline().is_none());
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Send(..))).count(), 3);
    pair.act(0, actions);
    pair.wait(10 * MS);
    assert_eq!(pair.downs, [WhyDown::Admin, WhyDown::NeighborAdmin]);
    assert_eq!(pair.status(1).counters.discarded.total(), 0, "each has its own number");
}

#[test]
fn another_key_keeps_the_session_down_and_says_why() {
    let mut pair = Pair::new([config(100, 3, Some(Mode::Sha1)), config(100, 3, Some(Mode::MeticulousMd5))]);
    pair.wait(5000 * MS);
    assert_eq!(pair.up, [false; 2]);
    assert!(matches!(pair.status(0).counters.last_discard, Some(Discard::Auth(_))));
}

/// Offers a change of a good first packet and says why it is discarded.
#[track_caller]
fn check(received: Path, ttl: Option<u8>, change: &[(usize, u8)], why: Discard) {
    let now = Instant::now();
    let mut sessions = Sessions::new(1);
    let mut actions = Vec::new();
    sessions.handle(now, Event::Want(path(1), config(100, 3, None)), &mut actions).unwrap();
    let Some(Action::Send(_, mut bytes)) = actions.pop() else { panic!("it begins to speak") };
    for (at, value) in change {
        bytes[*at] = *value;
    }
    let event = Event::Received(Received { path: received, ttl, bytes: &bytes });
    assert_eq!(sessions.handle(now, event, &mut actions), Err(why));
    let counters = sessions.status()[0].counters;
    let told = (received == path(1)).then_some(why);
    assert_eq!((counters.last_discard, sessions.strays()), (told, u64::from(told.is_none())));
}

#[test]
fn a_packet_that_is_for_no_session_is_discarded_with_a_reason() {
    check(path(1), Some(254), &[], Discard::Ttl { got: 254, least: TTL });
    check(path(1), None, &[(0, 0)], Discard::Ttl { got: 0, least: TTL });
    check(path(1), Some(TTL), &[(0, 0)], Discard::Version(0));
    check(path(1), Some(TTL), &[(11, 1)], Discard::UnknownDiscriminator(1));
    check(path(1), Some(TTL), &[(1, 0xc0)], Discard::Unnamed);
    check(path(2), Some(TTL), &[], Discard::UnknownSender);
    let many = Path::ManyHops { local: [192, 0, 2, 0].into(), remote: [192, 0, 2, 1].into() };
    check(many, Some(60), &[], Discard::UnknownSender);
}

#[test]
fn the_port_for_many_hops_does_not_reach_a_session_over_one() {
    let now = Instant::now();
    let mut sessions = Sessions::new(1);
    let mut actions = Vec::new();
    sessions.handle(now, Event::Want(path(1), config(100, 3, None)), &mut actions).unwrap();
    let Some(Action::Send(_, mut bytes)) = actions.pop() else { panic!("it begins to speak") };
    bytes.copy_within(4..8, 8);
    let many = Path::ManyHops { local: [192, 0, 2, 0].into(), remote: [192, 0, 2, 1].into() };
    let event = Event::Received(Received { path: many, ttl: Some(60), bytes: &bytes });
    assert_eq!(sessions.handle(now, event, &mut actions), Err(Discard::WrongPort));
}

#[test]
fn twenty_thousand_mutated_packets_do_not_take_a_session_down_that_is_authenticated() {
    let mut pair =
        Pair::new([config(100, 3, Some(Mode::MeticulousSha1)), config(100, 3, Some(Mode::MeticulousSha1))]);
    pair.wait(5000 * MS);
    let mut dice = Jitter::new(99);
    let mut last = Vec::new();
    for _ in 0..20_000 {
        pair.wait(MS);
        if let Some((_, 0, bytes)) = pair.flight.last() {
            last.clone_from(bytes);
        }
        let mut bytes = last.clone();
        for _ in 0..=dice.next() % 3 {
            let length = bytes.len().max(1);
            let at = usize::try_from(dice.next()).unwrap() % length;
            match dice.next() % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), dice.next().to_be_bytes()[0]),
                _ => bytes.get_mut(at).into_iter().for_each(|octet| *octet ^= dice.next().to_be_bytes()[0]),
            }
        }
        pair.event(0, Event::Received(Received { path: path(1), ttl: Some(TTL), bytes: &bytes }));
    }
    assert_eq!((pair.up, pair.downs.len()), ([true; 2], 0));
    let refused = pair.status(0).counters.discarded.total();
    assert!(refused > 15_000, "{refused} were discarded");
}

/// Two packets of a session that is Up, and an end that hears what is made of
/// them.
#[test]
fn every_hostile_packet_is_counted_under_what_is_wrong_and_moves_nothing() {
    let auth = Some(Mode::MeticulousSha1);
    let mut pair = Pair::new([config(100, 3, auth), config(100, 3, auth)]);
    pair.wait(5000 * MS);
    let mut last = Vec::new();
    while last.is_empty() {
        pair.wait(MS);
        last = pair
            .flight
            .iter()
            .find(|flight| flight.1 == 0)
            .map(|flight| flight.2.clone())
            .unwrap_or_default();
    }
    pair.wait(2 * MS);
    let mut hear = |path, ttl, change: &[(usize, u8)]| {
        let mut bytes = last.clone();
        for (at, value) in change {
            bytes[*at] = *value;
        }
        let received = Received { path, ttl: Some(ttl), bytes: &bytes };
        pair.ends[0].handle(pair.now, Event::Received(received), &mut Vec::new()).unwrap_err()
    };
    let yours = u32::from_be_bytes([0xff, last[9], last[10], last[11]]);
    assert_eq!(hear(path(1), 254, &[]), Discard::Ttl { got: 254, least: TTL });
    assert_eq!(hear(path(1), TTL, &[(0, 0)]), Discard::Version(0));
    assert_eq!(hear(path(1), TTL, &[(3, 255)]), Discard::Cut(255));
    assert_eq!(hear(path(1), TTL, &[(8, 0xff)]), Discard::UnknownDiscriminator(yours));
    assert_eq!(hear(path(1), TTL, &[(24, 4)]), Discard::Auth(AuthFailure::Mode(4)));
    assert_eq!(hear(path(1), TTL, &[(26, 9)]), Discard::Auth(AuthFailure::UnknownKey(9)));
    assert!(matches!(hear(path(1), TTL, &[]), Discard::Auth(AuthFailure::Replay { .. })));
    // From another address, with our discriminator: it is for the session.
    assert!(matches!(hear(path(9), TTL, &[]), Discard::Auth(AuthFailure::Replay { .. })));
    assert_eq!(hear(path(9), TTL, &[(8, 0xff)]), Discard::UnknownDiscriminator(yours));
    let counters = pair.status(0).counters;
    let wanted =
        Discards { ttl: 1, malformed: 2, discriminator: 1, authentication: 2, replay: 2, admin_down: 0 };
    assert_eq!((counters.discarded, pair.ends[0].strays()), (wanted, 1));
    assert_eq!((pair.up, pair.downs.len()), ([true; 2], 0));
}

#[test]
fn over_many_hops_the_least_ttl_is_what_is_configured_and_the_own_address_counts() {
    let now = Instant::now();
    let many =
        |local: u8| Path::ManyHops { local: [192, 0, 2, local].into(), remote: [198, 51, 100, 1].into() };
    let mut sessions = Sessions::new(1);
    let mut actions = Vec::new();
    for local in [1, 2] {
        sessions.handle(now, Event::Want(many(local), config(100, 3, None)), &mut actions).unwrap();
    }
    let Some(Action::Send(_, bytes)) = actions.pop() else { panic!("it begins to speak") };
    let mut hear = |local, ttl| {
        let received = Received { path: many(local), ttl: Some(ttl), bytes: &bytes };
        sessions.handle(now, Event::Received(received), &mut Vec::new())
    };
    assert_eq!(hear(1, 249), Err(Discard::Ttl { got: 249, least: 250 }));
    assert_eq!(hear(3, 250), Err(Discard::UnknownSender));
    assert_eq!(hear(2, 250), Ok(()));
    let states: Vec<_> = sessions.status().iter().map(|status| (status.path, status.state)).collect();
    assert_eq!(states, [(many(1), State::Down), (many(2), State::Init)]);
}

#[test]
fn a_change_of_keys_at_one_end_after_the_other_keeps_the_session_up() {
    let with = |keys: &[u8]| {
        let secrets = keys.iter().map(|id| (*id, vec![*id; 16]));
        let auth = Auth::new(Mode::MeticulousSha1, secrets).unwrap();
        Config { auth: Some(auth), ..config(100, 3, None) }
    };
    let mut pair = Pair::new([with(&[1]), with(&[1])]);
    pair.wait(5000 * MS);
    for (end, keys) in [(0u8, &[1, 2][..]), (1, &[2, 1]), (0, &[2, 1]), (1, &[2]), (0, &[2])] {
        pair.event(end.into(), Event::Want(path(1 - end), with(keys)));
        pair.wait(2000 * MS);
        assert_eq!((pair.up, pair.downs.len()), ([true; 2], 0));
    }
    assert_eq!(pair.status(0).counters.discarded.total() + pair.status(1).counters.discarded.total(), 0);
}

proptest! {
    /// Random loss, settings, stops and packets: `Up` and `Down` alternate
    /// (asserted in `Pair::act`), no deadline is left behind, and in the end
    /// both come up again.
    #[test]
    fn whatever_happens_both_ends_come_up_when_the_link_is_good(
        turns in prop::collection::vec((0u8..6, any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..60),
    ) {
        let mut pair = Pair::new([config(100, 3, None), config(100, 3, None)]);
        for (op, value, bytes) in turns {
            let (end, other) = (usize::from(value % 2), path(1 - value % 2));
            match op {
                0 => pair.loss = u64::from(value) % 101,
                1 => pair.event(end, Event::Unwant(other)),
                2 => pair.event(end, Event::Want(other, config(50 + u64::from(value), 1 + value % 4, None))),
                3 => pair.event(end, Event::Received(Received { path: other, ttl: Some(TTL), bytes: &bytes })),
                _ => pair.wait(u32::from(value) * 7 * MS),
            }
        }
        pair.loss = 0;
        for end in 0..2u8 {
            pair.event(end.into(), Event::Want(path(1 - end), config(100, 3, None)));
        }
        pair.wait(Duration::from_secs(20));
        prop_assert_eq!(pair.up, [true; 2]);
        prop_assert_eq!(pair.ends[0].due.len(), 1);
    }
}
