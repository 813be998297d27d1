use proptest::prelude::*;

use super::wire::{ADVERTISEMENT, SOLICITATION, decode};
use super::*;

const ONE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TWO: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn from(source: Ipv6Addr, bytes: &[u8]) -> Received<'_> {
    Received { source, hop_limit: Some(255), bytes }
}

/// A link, with the seconds since it came up.
struct Link {
    start: Instant,
    discovery: Discovery,
}

impl Link {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, discovery: Discovery::new(start, 7) }
    }

    fn of_many() -> Self {
        let start = Instant::now();
        Self { start, discovery: Discovery::of_many(start, 7) }
    }

    /// Lets time pass up to a second; what happened, each with its tenth of a second.
    fn until(&mut self, second: u64) -> Vec<(u64, Action)> {
        let end = self.start + Duration::from_secs(second);
        let mut all = Vec::new();
        while self.discovery.next_deadline() <= end {
            let (now, mut actions) = (self.discovery.next_deadline(), Vec::new());
            self.discovery.tick(now, &mut actions);
            let tenth = u64::try_from((now - self.start).as_millis()).unwrap() / 100;
            all.extend(actions.into_iter().map(|action| (tenth, action)));
        }
        all
    }

    fn hear(&mut self, second: u64, source: Ipv6Addr, bytes: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        let now = self.start + Duration::from_secs(second);
        self.discovery.handle(now, &from(source, bytes), &mut actions).unwrap();
        actions
    }

    fn advertised(&mut self, second: u64, source: Ipv6Addr) -> Vec<Action> {
        self.hear(second, source, &wire::advertisement())
    }
}

fn of_type(happened: &[(u64, Action)], kind: u8) -> Vec<u64> {
    let sent = |action: &Action| matches!(action, Action::Send(bytes, _) if bytes[0] == kind);
    happened.iter().filter(|(_, action)| sent(action)).map(|(at, _)| *at).collect()
}

/// What happened beside messages.
fn told(happened: Vec<(u64, Action)>) -> Vec<Action> {
    let messages = |action: &Action| matches!(action, Action::Send(..));
    happened.into_iter().map(|(_, action)| action).filter(|action| !messages(action)).collect()
}

#[test]
fn a_link_that_comes_up_is_told_thrice_at_once_and_then_every_ten_seconds() {
    let mut link = Link::new();
    let happened = link.until(60);
    assert_eq!(of_type(&happened, SOLICITATION), [0, 40, 80], "RFC 4861 §6.3.7");
    let advertised = of_type(&happened, ADVERTISEMENT);
    assert_eq!(advertised[..3], [0, 10, 20]);
    for pair in advertised[2..].windows(2) {
        assert!((75..=100).contains(&(pair[1] - pair[0])), "{advertised:?}");
    }
    assert_eq!(told(happened), []);
}

#[test]
fn the_lifetime_that_is_told_makes_nobody_take_a_default_route() {
    assert_eq!(wire::advertisement(), [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_solicitation_is_answered_soon_but_not_twice_within_three_seconds() {
    let mut link = Link::new();
    let before = *of_type(&link.until(20), ADVERTISEMENT).last().unwrap();
    for _ in 0..100 {
        assert_eq!(link.hear(20, ONE, &wire::solicitation()), []);
    }
    let answers = of_type(&link.until(23), ADVERTISEMENT);
    let at = 200.max(before + 30);
    assert!(answers.len() == 1 && (at..=at + 5).contains(&answers[0]), "{answers:?} after {before}");
}

#[test]
fn the_first_that_is_heard_is_the_neighbor_and_hears_of_us_soon() {
    let mut link = Link::new();
    link.until(12);
    assert_eq!(link.advertised(12, ONE), [Action::Found(ONE)]);
    assert_eq!(link.advertised(13, ONE), []);
    assert_eq!(of_type(&link.until(15), ADVERTISEMENT).len(), 1);
    assert_eq!(link.discovery.neighbor(), Some(ONE));
}

#[test]
fn a_silent_neighbor_is_asked_thrice_before_it_is_given_up() {
    let mut link = Link::new();
    link.advertised(0, ONE);
    let happened = link.until(41);
    assert_eq!(of_type(&happened, SOLICITATION), [300, 340, 380]);
    assert_eq!(told(happened), []);
    assert_eq!(told(link.until(42)), [Action::Silent(ONE)]);
    assert_eq!(link.discovery.neighbor(), None);
    assert_eq!(told(link.until(80)), [Action::Silent(ONE)], "it is said again");
    assert_eq!(link.advertised(80, ONE), [Action::Found(ONE)]);
}

#[test]
fn a_neighbor_that_answers_stays() {
    let mut link = Link::new();
    link.advertised(0, ONE);
    for second in (35..600).step_by(35) {
        assert_eq!(told(link.until(second)), []);
        assert_eq!(link.advertised(second, ONE), []);
    }
}

#[test]
fn a_second_router_is_a_rival_once_the_neighbor_has_answered() {
    let mut link = Link::new();
    link.until(9);
    link.advertised(9, ONE);
    let asked = link.advertised(10, TWO);
    assert_eq!(asked, [Action::Send(wire::solicitation(), ALL_ROUTERS)]);
    assert_eq!(link.discovery.rival(), None);
    assert_eq!(link.advertised(11, ONE), [Action::Rival(TWO)]);
    assert_eq!(link.advertised(12, TWO), [], "it is known already");
    assert_eq!(link.advertised(13, ONE), [], "and told once");
    assert_eq!((link.discovery.neighbor(), link.discovery.rival()), (Some(ONE), Some(TWO)));
    for second in (20..700).step_by(20) {
        link.until(second);
        link.advertised(second, ONE);
    }
    assert_eq!(link.discovery.rival(), None, "it has gone long ago");
}

#[test]
fn a_neighbor_with_another_address_takes_its_own_place() {
    let mut link = Link::new();
    link.until(9);
    link.advertised(9, ONE);
    link.advertised(10, TWO);
    assert_eq!(told(link.until(21)), []);
    assert_eq!(told(link.until(22)), [Action::Found(TWO)]);
    assert_eq!((link.discovery.neighbor(), link.discovery.rival()), (Some(TWO), None));
}

#[test]
fn of_a_neighbor_that_is_silent_another_takes_the_place_at_once() {
    let mut link = Link::new();
    link.advertised(0, ONE);
    link.until(43);
    assert_eq!(link.advertised(43, TWO), [Action::Found(TWO)]);
}

/// An advertisement with options.
fn with_options(options: &[u8]) -> Vec<u8> {
    [&wire::advertisement(), options].concat()
}

#[test]
fn what_rfc_4861_has_discarded_is_discarded() {
    let good = wire::advertisement();
    assert_eq!(decode(&from(ONE, &good)), Ok(Message::Advertisement(ONE)));
    for hop_limit in [None, Some(254), Some(64)] {
        let far = Received { hop_limit, ..from(ONE, &good) };
        assert_eq!(decode(&far), Err(Discard::HopLimit));
    }
    let global = "2001:db8::1".parse().unwrap();
    assert_eq!(decode(&from(global, &good)), Err(Discard::Source(global)));
    assert_eq!(decode(&from(ONE, &good[..15])), Err(Discard::Short(15)));
    assert_eq!(decode(&from(ONE, &[])), Err(Discard::Short(0)));
    assert_eq!(decode(&from(ONE, &[136, 0])), Err(Discard::Type(136)));
    let mut code = good.clone();
    code[1] = 1;
    assert_eq!(decode(&from(ONE, &code)), Err(Discard::Code(1)));
    for options in [&[1][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 0, 0, 0, 0, 0, 0], &[200, 1, 0]] {
        assert_eq!(decode(&from(ONE, &with_options(options))), Err(Discard::Option), "{options:?}");
    }
    let unknown = with_options(&[200, 1, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(decode(&from(ONE, &unknown)), Ok(Message::Advertisement(ONE)));
}

#[test]
fn a_host_without_an_address_may_ask_but_not_say_where_it_is() {
    let asks = wire::solicitation();
    let says = [&asks[..], &[1, 1, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(decode(&from(Ipv6Addr::UNSPECIFIED, &asks)), Ok(Message::Solicitation));
    assert_eq!(decode(&from(Ipv6Addr::UNSPECIFIED, &says)), Err(Discard::Nobody));
    assert_eq!(decode(&from(ONE, &says)), Ok(Message::Solicitation));
}

proptest! {
    /// Whatever comes: one neighbour at a time, link-local, and few messages.
    #[test]
    fn whatever_comes_is_answered_sparingly(
        turns in proptest::collection::vec((0u64..40, 0u8..4, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut link = Link::new();
        let mut second = 0;
        let mut sent = 0;
        for (wait, source, kind, mut bytes) in turns {
            second += wait;
            sent += of_type(&link.until(second), ADVERTISEMENT).len();
            if let Some(first) = bytes.first_mut() {
                *first = 133 + (kind & 1);
            }
            let source = if source == 0 { Ipv6Addr::UNSPECIFIED } else { Ipv6Addr::from(u128::from(ONE) + u128::from(source)) };
            let now = link.start + Duration::from_secs(second);
            let mut actions = Vec::new();
            if link.discovery.handle(now, &from(source, &bytes), &mut actions).is_err() {
                prop_assert!(actions.is_empty());
            }
            prop_assert!(actions.len() <= 1, "{actions:?}");
            prop_assert!(link.discovery.neighbor().is_none_or(|neighbor| neighbor.is_unicast_link_local()));
        }
        // One in three seconds, and the first ones.
        prop_assert!(sent as u64 <= second / 3 + 4, "{sent} in {second} s");
    }
}

#[test]
fn on_a_link_with_several_each_is_found_and_goes_for_itself() {
    let mut link = Link::of_many();
    assert_eq!(of_type(&link.until(9), SOLICITATION), [0, 40, 80]);
    assert_eq!(link.advertised(10, ONE), [Action::Found(ONE)]);
    assert_eq!(link.advertised(10, TWO), [Action::Found(TWO)]);
    assert_eq!((link.discovery.neighbor(), link.discovery.rival()), (None, None));
    let mut happened = vec![];
    for second in [20, 30, 40, 50] {
        happened.extend(link.until(second));
        assert_eq!(link.advertised(second, ONE), []);
    }
    happened.extend(link.until(53));
    assert_eq!(of_type(&happened, SOLICITATION), [400, 440, 480]);
    assert_eq!(told(happened), [Action::Silent(TWO)]);
    assert_eq!(link.advertised(55, TWO), [Action::Found(TWO)]);
    assert_eq!(link.advertised(56, ONE), []);
}

#[test]
fn those_who_fall_silent_together_are_asked_together_and_said_again() {
    let mut link = Link::of_many();
    link.until(9);
    for address in [ONE, TWO] {
        link.advertised(10, address);
    }
    let happened = link.until(60);
    assert_eq!(of_type(&happened, SOLICITATION), [400, 440, 480]);
    assert_eq!(told(happened), [Action::Silent(ONE), Action::Silent(TWO)]);
    let again = link.until(90);
    assert_eq!(of_type(&again, SOLICITATION), [0; 0]);
    assert_eq!(told(again), [Action::Silent(ONE), Action::Silent(TWO)]);
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut link = Link::of_many();
    let address = |number: usize| Ipv6Addr::from(u128::from(ONE) + number as u128);
    for number in 0..MOST {
        assert_eq!(link.advertised(1, address(number)), [Action::Found(address(number))]);
    }
    assert_eq!(link.advertised(2, address(MOST)), []);
    // All fall silent but one, and make room.
    link.until(30);
    link.advertised(30, address(0));
    link.until(60);
    assert_eq!(link.advertised(60, address(MOST)), [Action::Found(address(MOST))]);
}
