use super::*;

mod cluster;
mod random;

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn a(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn start(name: &str, wanted: &[(&str, u8, Option<&str>)]) -> Event {
    let wanted = wanted
        .iter()
        .map(|(pool, length, remembered)| Wanted::new(p(pool), *length, remembered.map(p)).unwrap())
        .collect();
    Event::Start(Start { name: name.to_owned(), router_id: "192.0.2.1".parse().unwrap(), wanted })
}

/// A neighbour; we are 192.0.2.5 towards it.
fn by(address: &str) -> By {
    By::Neighbour { address: a(address), ours: a("192.0.2.5") }
}

/// One machine and its clock.
struct Rig {
    claim: Claim,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { claim: Claim::new(Timing::default()), now: Instant::now() }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.claim.handle(self.now, event, &mut actions);
        actions
    }

    fn heard(&mut self, prefix: &str, by: By) -> Vec<Action> {
        self.handle(Event::Heard { prefix: p(prefix), by })
    }

    fn gone(&mut self, prefix: &str, by: By) -> Vec<Action> {
        self.handle(Event::Gone { prefix: p(prefix), by })
    }

    fn used(&mut self, block: Prefix, addresses: u64) -> Vec<Action> {
        self.handle(Event::Used { block, addresses })
    }

    /// Lets time go by, deadline by deadline.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(due) = self.claim.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.claim.tick(self.now, &mut actions);
        }
        self.now = end;
        actions
    }

    /// A machine that holds a block of 10.244.0.0/16 for some time.
    fn holding(age: Duration) -> (Self, Prefix) {
        let mut rig = Self::new();
        rig.handle(start("n1", &[("10.244.0.0/16", 24, None)]));
        rig.wait(seconds(5));
        let block = rig.block();
        rig.wait(age);
        (rig, block)
    }

    fn block(&self) -> Prefix {
        self.claim.blocks().next().expect("a block is held")
    }
}

fn conflict(ours: Prefix, theirs: Prefix, by: &str) -> Alarm {
    Alarm::Conflict { ours: Ours::Claimed(ours), theirs, by: a(by) }
}

#[test]
fn a_node_listens_before_it_speaks() {
    let mut rig = Rig::new();
    assert_eq!(rig.handle(start("n1", &[("10.244.0.0/16", 24, None)])), []);
    let due = rig.claim.next_deadline().unwrap() - rig.now;
    assert!((seconds(3)..seconds(5)).contains(&due), "{due:?}");
    assert_eq!(rig.wait(seconds(2)), []);
    let actions = rig.wait(seconds(3));
    let [Action::Own(block)] = actions[..] else { panic!("{actions:?}") };
    assert!(p("10.244.0.0/16").covers(block) && block.len() == 24);
    assert_eq!(rig.claim.next_deadline(), None, "nothing to wait for");
}

#[test]
fn nodes_begin_at_places_of_their_own() {
    let place = |name: &str| {
        let mut rig = Rig::new();
        rig.handle(start(name, &[("10.244.0.0/16", 24, None)]));
        rig.wait(seconds(5));
        rig.block()
    };
    assert_eq!(place("n1"), place("n1"), "the same in every run");
    let places: BTreeSet<Prefix> = (0..60).map(|number| place(&format!("n{number}"))).collect();
    assert!(places.len() > 45, "few collide: {} of 60", places.len());
}

#[test]
fn each_pool_gets_one_block_of_its_own_family() {
    let mut rig = Rig::new();
    rig.handle(start("n1", &[("10.244.0.0/16", 24, None), ("fd00:10::/48", 64, None)]));
    rig.wait(seconds(5));
    let blocks: Vec<Prefix> = rig.claim.blocks().collect();
    assert!(p("10.244.0.0/16").covers(blocks[0]) && blocks[0].len() == 24);
    assert!(p("fd00:10::/48").covers(blocks[1]) && blocks[1].len() == 64);
}

#[test]
fn a_remembered_block_is_kept_unless_somebody_has_it() {
    let begin = |heard: Option<&str>| {
        let mut rig = Rig::new();
        rig.handle(start("n1", &[("10.244.0.0/16", 24, Some("10.244.7.0/24"))]));
        if let Some(prefix) = heard {
            rig.heard(prefix, by("192.0.2.9"));
        }
        assert!(rig.claim.next_deadline().unwrap() - rig.now < seconds(2), "shorter than without memory");
        rig.wait(seconds(2));
        rig.block()
    };
    assert_eq!(begin(None), p("10.244.7.0/24"));
    assert_eq!(begin(Some("10.244.8.0/24")), p("10.244.7.0/24"));
    for taken in ["10.244.7.0/24", "10.244.7.128/25", "10.244.0.0/20"] {
        assert!(!begin(Some(taken)).overlaps(p(taken)), "{taken}");
    }
    for not_a_claim in ["0.0.0.0/0", "10.0.0.0/8"] {
        assert_eq!(begin(Some(not_a_claim)), p("10.244.7.0/24"), "{not_a_claim}");
    }
}

#[test]
fn a_remembered_block_that_does_not_fit_is_not_taken_up() {
    for remembered in ["10.99.0.0/24", "10.244.7.0/25", "fd00::/64"] {
        let mut rig = Rig::new();
        rig.handle(start("n1", &[("10.244.0.0/16", 24, Some(remembered))]));
        rig.wait(seconds(5));
        assert!(rig.block().len() == 24 && p("10.244.0.0/16").covers(rig.block()));
    }
    // It has another length, but containers.
    let mut rig = Rig::new();
    rig.used(p("10.244.7.0/25"), 2);
    rig.handle(start("n1", &[("10.244.0.0/16", 24, Some("10.244.7.0/25"))]));
    assert_eq!(rig.block(), p("10.244.7.0/25"));
}

#[test]
fn a_block_in_use_is_owned_at_once_at_start_and_whatever_is_heard() {
    let mut rig = Rig::new();
    let block = p("10.244.7.0/24");
    rig.heard("10.244.7.0/24", by("192.0.2.1"));
    rig.used(block, 3);
    let actions = rig.handle(start("n1", &[("10.244.0.0/16", 24, Some("10.244.7.0/24"))]));
    assert_eq!(actions, [Action::Own(block), Action::Alarm(conflict(block, block, "192.0.2.1"))]);
    assert_eq!(rig.wait(seconds(86_400)), []);
    let cleared = rig.gone("10.244.7.0/24", by("192.0.2.1"));
    assert_eq!(cleared, [Action::Clear(conflict(block, block, "192.0.2.1"))]);
}

/// The whole table of rule 3: after how long a block is given up.
#[test]
fn patience_is_as_the_table_says() {
    let cases = [
        (seconds(0), "192.0.2.4", Some(0)),
        (seconds(55), "192.0.2.4", Some(0)),
        (seconds(0), "192.0.2.6", Some(10)),
        (seconds(100), "192.0.2.4", Some(40)),
        (seconds(100), "192.0.2.6", Some(60)),
    ];
    for (age, rival, after) in cases {
        for theirs in ["equal", "inside", "around"] {
            let (mut rig, block) = Rig::holding(age);
            let theirs = match theirs {
                "inside" => Prefix::new(block.last_address(), 26).unwrap(),
                "around" => Prefix::new(block.address(), 20).unwrap(),
                _ => block,
            };
            let since = rig.now;
            let mut actions = rig.handle(Event::Heard { prefix: theirs, by: by(rival) });
            assert_eq!(actions.contains(&Action::Defend(block)), after != Some(0), "who keeps it says so");
            assert_eq!(
                actions.contains(&Action::Alarm(conflict(block, theirs, rival))),
                after != Some(0),
                "who keeps it is alarmed"
            );
            while !actions.contains(&Action::Release(block)) {
                actions.extend(rig.wait(seconds(1)));
                assert!(rig.now - since < seconds(100));
            }
            assert_eq!(Some((rig.now - since).as_secs()), after, "{age:?} {rival}");
            assert!(!rig.block().overlaps(theirs), "it has another one");
            assert_eq!(rig.claim.alarms().count(), 0);
        }
    }
}

/// Two machines that hold one block, in every state that each can be in:
/// exactly one gives way, never both, and none that is in use.
#[test]
fn of_two_exactly_one_gives_way_unless_both_are_in_use() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum State {
        Young,
        Established,
        InUse,
    }
    use State::{Established, InUse, Young};
    for one in [Young, Established, InUse] {
        for other in [Young, Established, InUse] {
            for latency in [0, 1, 4] {
                let block = p("10.244.7.0/24");
                let mut rigs = [one, other].map(|state| {
                    let mut rig = Rig::new();
                    rig.handle(start("n", &[("10.244.0.0/16", 24, Some("10.244.7.0/24"))]));
                    rig.wait(if state == Young { seconds(2) } else { seconds(200) });
                    if state == InUse {
                        rig.used(block, 1);
                    }
                    rig
                });
                let addresses = [a("192.0.2.1"), a("192.0.2.2")];
                let rival = |of: usize| By::Neighbour { address: addresses[1 - of], ours: addresses[of] };
                // What each says, on its way: (second of arrival, to, event).
                let mut wire: Vec<_> = [0, 1]
                    .map(|to| (to as u64 * latency, to, Event::Heard { prefix: block, by: rival(to) }))
                    .into();
                let mut released = [false; 2];
                for second in 0..120 {
                    for of in [0, 1] {
                        let mut actions = rigs[of].wait(seconds(1));
                        let arrived: Vec<_> =
                            wire.extract_if(.., |(at, to, _)| *to == of && *at <= second).collect();
                        for (_, _, event) in arrived {
                            actions.extend(rigs[of].handle(event));
                        }
                        if actions.contains(&Action::Release(block)) {
                            released[of] = true;
                            let gone = Event::Gone { prefix: block, by: rival(1 - of) };
                            wire.push((second + latency + 1, 1 - of, gone));
                        }
                    }
                }
                let case = format!("{one:?} {other:?} {latency}");
                match (one, other) {
                    (InUse, InUse) => {
                        assert_eq!(released, [false; 2], "{case}");
                        for of in [0, 1] {
                            let alarm = Alarm::Conflict {
                                ours: Ours::Claimed(block),
                                theirs: block,
                                by: addresses[1 - of],
                            };
                            assert_eq!(rigs[of].claim.alarms().collect::<Vec<_>>(), [&alarm], "{case}");
                        }
                        continue;
                    }
                    (InUse, _) => assert_eq!(released, [false, true], "{case}"),
                    (_, InUse) => assert_eq!(released, [true, false], "{case}"),
                    (Young, Established) => assert_eq!(released, [true, false], "the newcomer goes: {case}"),
                    (Established, Young) => assert_eq!(released, [false, true], "the newcomer goes: {case}"),
                    _ => assert_eq!(released, [false, true], "the lower address stays: {case}"),
                }
                assert!(!rigs[0].block().overlaps(rigs[1].block()), "{case}");
                assert_eq!(rigs[0].claim.alarms().chain(rigs[1].claim.alarms()).count(), 0, "{case}");
            }
        }
    }
}

#[test]
fn a_block_that_empties_during_a_conflict_has_its_patience_from_then_on() {
    let (mut rig, block) = Rig::holding(seconds(100));
    rig.used(block, 1);
    rig.heard(&block.to_string(), by("192.0.2.4"));
    assert_eq!(rig.wait(seconds(1000)), []);
    rig.used(block, 0);
    assert_eq!(rig.wait(seconds(39)), []);
    assert!(rig.wait(seconds(1)).contains(&Action::Release(block)));
}

#[test]
fn subnets_of_this_host_are_avoided_and_watched_but_never_moved() {
    let mut rig = Rig::new();
    rig.heard("10.244.0.0/17", By::Here);
    rig.heard("10.244.128.0/18", By::Other(a("192.0.2.8")));
    rig.heard("172.17.0.0/16", By::Here);
    rig.handle(start("n1", &[("10.244.0.0/16", 24, None)]));
    rig.wait(seconds(5));
    let block = rig.block();
    assert!(p("10.244.192.0/18").covers(block), "{block}");
    assert_eq!(rig.heard("172.0.0.0/8", By::Other(a("192.0.2.8"))), []);
    assert_eq!(rig.heard("0.0.0.0/0", by("192.0.2.8")), []);
    let alarm =
        |theirs| Alarm::Conflict { ours: Ours::Fixed(p("172.17.0.0/16")), theirs, by: a("192.0.2.9") };
    assert_eq!(rig.heard("172.17.0.0/16", by("192.0.2.9")), [Action::Alarm(alarm(p("172.17.0.0/16")))]);
    assert_eq!(rig.heard("172.17.0.0/16", by("192.0.2.9")), [], "told once");
    assert_eq!(rig.heard("172.17.4.0/24", by("192.0.2.9")), [Action::Alarm(alarm(p("172.17.4.0/24")))]);
    assert!(alarm(p("172.17.0.0/16")).cure().contains("routectl docker configure"));
    assert_eq!(
        alarm(p("172.17.0.0/16")).to_string(),
        "subnet 172.17.0.0/16 of this node is also at 192.0.2.9"
    );
    assert_eq!(rig.wait(seconds(1000)), []);
    rig.gone("172.17.4.0/24", by("192.0.2.9"));
    rig.gone("172.17.0.0/16", by("192.0.2.9"));
    assert_eq!(rig.claim.alarms().count(), 0);

    // A bridge is laid across the block: one in use stays, one without goes.
    rig.used(block, 1);
    let blocked = Alarm::Blocked { block, by: block };
    assert_eq!(rig.heard(&block.to_string(), By::Here), [Action::Alarm(blocked.clone())]);
    let actions = rig.used(block, 0);
    assert!(actions.contains(&Action::Release(block)) && actions.contains(&Action::Clear(blocked)));
}

#[test]
fn what_a_neighbour_passes_on_is_avoided_and_not_fought_over() {
    let (mut rig, block) = Rig::holding(seconds(1));
    assert_eq!(rig.heard(&block.to_string(), By::Other(a("192.0.2.1"))), [], "our own echo, perhaps");
    assert_eq!(rig.wait(seconds(1000)), []);
}

/// Two links that contradict each other about who is first: both give way,
/// at the same time, and choose among the same blocks.
#[test]
fn two_that_always_move_at_once_part_all_the_same() {
    for number in 0..30 {
        let mut rigs = ["one", "other"].map(|name| {
            let mut rig = Rig::new();
            for taken in 0..13 {
                rig.heard(&format!("10.244.{taken}.0/24"), by("192.0.2.9"));
            }
            rig.handle(start(&format!("{name}{number}"), &[("10.244.0.0/20", 24, None)]));
            rig.wait(seconds(5));
            rig
        });
        let mut rounds = 0;
        while rigs[0].block() == rigs[1].block() {
            let block = rigs[0].block().to_string();
            for rig in &mut rigs {
                assert_eq!(rig.heard(&block, by("192.0.2.4")).len(), 2, "released, and another owned");
            }
            for rig in &mut rigs {
                rig.gone(&block, by("192.0.2.4"));
            }
            rounds += 1;
            assert!(rounds < 50, "pair {number}");
        }
    }
}

#[test]
fn a_full_pool_alarms_and_the_first_block_that_frees_is_taken() {
    let mut rig = Rig::new();
    for number in 0..4 {
        rig.heard(&format!("10.244.{number}.0/24"), by("192.0.2.9"));
    }
    rig.handle(start("n1", &[("10.244.0.0/22", 24, None)]));
    let exhausted = Alarm::Exhausted { pool: p("10.244.0.0/22"), length: 24 };
    assert_eq!(rig.wait(seconds(5)), [Action::Alarm(exhausted.clone())]);
    assert_eq!(rig.claim.next_deadline(), None);
    let actions = rig.gone("10.244.2.0/24", by("192.0.2.9"));
    assert_eq!(actions, [Action::Own(p("10.244.2.0/24")), Action::Clear(exhausted)]);
}

#[test]
fn other_pools_at_a_new_start_release_and_keep() {
    let (mut rig, block) = Rig::holding(seconds(1));
    assert_eq!(rig.handle(start("n1", &[("10.244.0.0/16", 24, None), ("fd00::/48", 64, None)])), []);
    assert_eq!(rig.block(), block);
    assert_eq!(rig.handle(start("n1", &[("fd00::/48", 64, None)])), [Action::Release(block)]);
}

#[test]
fn a_length_that_the_pool_has_not_is_refused_with_the_cure() {
    let error = Wanted::new(p("10.244.0.0/16"), 8, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pool 10.244.0.0/16 has no blocks of length 8; set [cluster] node_block to a length from 16 to 32"
    );
    assert!(Wanted::new(p("10.244.0.0/16"), 33, None).is_err());
}

#[test]
fn the_search_goes_round_and_over_everything_once() {
    let check = |pool: &str, length, from, taken: &[&str], expect: Option<&str>| {
        let taken: Vec<Prefix> = taken.iter().map(|text| p(text)).collect();
        let find = |block: Prefix| taken.iter().copied().find(|other| other.overlaps(block));
        assert_eq!(next_free(p(pool), length, from, find), expect.map(p), "{pool} {length} {from}");
    };
    check("10.0.0.0/16", 24, 3, &[], Some("10.0.3.0/24"));
    check("10.0.0.0/16", 24, 256 + 3, &["10.0.3.77/32"], Some("10.0.4.0/24"));
    check("10.0.0.0/16", 24, 200, &["10.0.128.0/17"], Some("10.0.0.0/24"));
    check("10.0.0.0/16", 24, 200, &["10.0.128.0/17", "10.0.0.0/25"], Some("10.0.1.0/24"));
    check("10.0.0.0/16", 24, 0, &["10.0.0.0/16"], None);
    check("10.0.0.0/16", 24, 7, &["10.0.0.0/16"], None);
    check("10.0.0.0/16", 24, 7, &["10.0.0.0/17", "10.0.128.0/17"], None);
    check("10.0.0.0/16", 16, u128::MAX, &[], Some("10.0.0.0/16"));
    check("10.0.0.0/16", 16, 5, &["10.0.9.9/32"], None);
    check("fd00::/48", 64, u128::MAX, &["fd00:0:0:ffff::/64"], Some("fd00::/64"));
    check("::/0", 0, 9, &[], Some("::/0"));
    check("::/0", 0, 9, &["fd00::/8"], None);
    check("::/0", 128, u128::MAX, &["8000::/1"], Some("::/128"));
    check("0.0.0.0/0", 32, 1 << 40, &["0.0.0.0/32"], Some("0.0.0.1/32"));
    // Every block but one is taken, from wherever the search begins.
    let all: Vec<String> = (0..16).map(|number| format!("10.0.0.{}/28", number * 16)).collect();
    for free in 0..16 {
        let taken: Vec<&str> = all
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != free)
            .map(|(_, text)| text.as_str())
            .collect();
        for from in 0..16 {
            check("10.0.0.0/24", 28, from, &taken, Some(&all[free]));
        }
    }
}
