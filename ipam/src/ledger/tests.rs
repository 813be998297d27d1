use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use net::{Family, Prefix};
use proptest::prelude::*;

use super::*;
use crate::model::Families;
use crate::pool::LayoutError;

fn a(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn layout(blocks: &[&str], bridges: &[&str]) -> Layout {
    let blocks: Vec<_> = blocks.iter().map(|text| p(text)).collect();
    let bridges: Vec<_> = bridges.iter().map(|text| a(text)).collect();
    Layout::new("n1".into(), &[p("10.0.0.0/16"), p("fd00::/64"), p("10.9.0.0/16")], &blocks, &bridges)
        .unwrap()
}

fn ledger(blocks: &[&str], bridges: &[&str]) -> Ledger {
    Ledger::new(layout(blocks, bridges), Image::default())
}

/// `handle`, `address`, `family`, `pool`; a dash leaves the field out.
fn request(text: &str) -> AllocateRequest {
    let mut request = AllocateRequest { now: 7, ..AllocateRequest::default() };
    for word in text.split_whitespace() {
        match word.split_once('=').unwrap() {
            ("handle", value) => request.handle = Some(value.to_owned()),
            ("address", value) => request.address = Some(a(value)),
            ("pool", value) => request.pool = Some(p(value)),
            ("family", "6") => request.families = Families::V6,
            ("family", "both") => request.families = Families::Both,
            other => panic!("{other:?}"),
        }
    }
    request
}

fn ask(ledger: &mut Ledger, text: &str) -> Result<Vec<String>, Why> {
    let event = ledger.apply(Op::Allocate(request(text)))?;
    Ok(event.into_answer().iter().map(|one| one.address.to_string()).collect())
}

fn check(ledger: &mut Ledger, text: &str, expect: &str) {
    let answer = match ask(ledger, text) {
        Ok(addresses) => addresses.join(" "),
        Err(why) => why.to_string(),
    };
    assert_eq!(answer, expect, "{text}");
}

#[test]
fn lowest_first_without_ends_and_bridge() {
    let mut ledger = ledger(&["10.0.0.0/29"], &["10.0.0.1"]);
    for last in 2..=6 {
        check(&mut ledger, "", &format!("10.0.0.{last}"));
    }
    assert_eq!(
        ask(&mut ledger, ""),
        Err(Why::Exhausted { family: Family::Ipv4Unicast, pool: None, total: 5 })
    );
    let block = &ledger.snapshot().blocks[0];
    assert_eq!((block.addresses_total, block.addresses_used, block.state), (5, 5, BlockState::Active));
}

#[test]
fn a_handle_keeps_its_addresses() {
    let mut ledger = ledger(&["10.0.0.0/24", "fd00::/80"], &[]);
    check(&mut ledger, "handle=web", "10.0.0.1");
    check(&mut ledger, "handle=web", "10.0.0.1");
    assert_eq!(ledger.image().generation, 1, "asking again writes nothing");
    check(&mut ledger, "handle=web family=both", "10.0.0.1 fd00::1");
    check(&mut ledger, "handle=web family=6", "fd00::1");
    check(&mut ledger, "handle=web address=10.0.0.1", "10.0.0.1");
    let holds = Why::HandleHolds { handle: "web".into(), address: a("10.0.0.1") };
    assert_eq!(ask(&mut ledger, "handle=web address=10.0.0.9"), Err(holds.clone()));
    assert_eq!(ask(&mut ledger, "handle=web pool=10.9.0.0/16"), Err(holds));
    let released = ledger.apply(Op::ReleaseHandle("web".into())).unwrap().into_answer();
    assert_eq!(released.len(), 2);
    assert_eq!(
        ledger.apply(Op::ReleaseHandle("web".into())),
        Err(Why::UnknownHandle { handle: "web".into() })
    );
}

#[test]
fn both_is_all_or_nothing() {
    let mut ledger = ledger(&["10.0.0.0/24"], &[]);
    let before = ledger.clone();
    assert_eq!(
        ask(&mut ledger, "handle=web family=both"),
        Err(Why::NoBlock { family: Family::Ipv6Unicast, pool: None })
    );
    assert_eq!(ledger, before);
}

#[test]
fn a_wish_can_be_for_one_of_both() {
    let mut ledger = ledger(&["10.0.0.0/24", "fd00::/80"], &[]);
    check(&mut ledger, "address=fd00::9", "fd00::9");
    check(&mut ledger, "family=both address=fd00::8", "10.0.0.1 fd00::8");
}

#[test]
fn refusals_name_the_object_and_the_next_step() {
    let mut ledger = ledger(&["10.0.0.0/24"], &["10.0.0.1"]);
    ledger.apply(Op::Reserve(p("10.0.0.64/26"))).unwrap();
    check(&mut ledger, "handle=web address=10.0.0.9", "10.0.0.9");
    for (text, why) in [
        (
            "address=10.0.0.9",
            "10.0.0.9 is already allocated to \"web\"; release it first (routectl ipam release 10.0.0.9) or ask for another",
        ),
        (
            "address=10.0.0.0",
            "10.0.0.0 is reserved: it is the address of the network itself; ask for another address",
        ),
        (
            "address=10.0.0.255",
            "10.0.0.255 is reserved: it is the broadcast address of its block; ask for another address",
        ),
        ("address=10.0.0.1", "10.0.0.1 is reserved: it is the bridge's own address; ask for another address"),
        (
            "address=10.0.0.70",
            "10.0.0.70 is reserved: it lies in the reserved range 10.0.0.64/26; ask for another address",
        ),
        (
            "address=10.0.3.1",
            "10.0.3.1 is in pool 10.0.0.0/16 but in no block of node n1 (10.0.0.0/24); ask the node that owns its block",
        ),
        (
            "address=192.0.2.1",
            "192.0.2.1/32 is outside the cluster's pools (10.0.0.0/16, 10.9.0.0/16, fd00::/64); ask for one inside, or \
             add its pool to [cluster] pools",
        ),
        (
            "address=10.0.0.8 pool=10.9.0.0/16",
            "10.0.0.8 is not in pool 10.9.0.0/16; name the pool that holds it or leave the pool out",
        ),
        (
            "pool=10.0.0.0/8",
            "10.0.0.0/8 is no pool of this cluster (its pools: 10.0.0.0/16, 10.9.0.0/16, fd00::/64); name one of them or \
             leave the pool out",
        ),
        (
            "pool=10.9.0.0/16",
            "this node has no IPv4 block of pool 10.9.0.0/16; add one to [ipam] blocks, or a bridge with such a subnet \
             to [[advertise]]",
        ),
        ("handle=\u{7}", "handle \"\\u{7}\" is not usable; use 1 to 256 bytes without control characters"),
    ] {
        check(&mut ledger, text, why);
    }
    let labels = BTreeMap::from([("k".repeat(4000), "v".repeat(97))]);
    let long = Op::Allocate(AllocateRequest { labels, ..AllocateRequest::default() });
    assert_eq!(ledger.apply(long), Err(Why::BadLabels { bytes: 4097 }));
    let address = a("10.0.0.200");
    assert_eq!(ledger.apply(Op::ReleaseAddress(address)), Err(Why::NotAllocated { address }));
}

#[test]
fn what_was_just_released_rests_while_others_are_free() {
    let mut ledger = ledger(&["10.0.0.0/29", "10.0.1.0/29"], &[]);
    check(&mut ledger, "", "10.0.0.1");
    ledger.apply(Op::ReleaseAddress(a("10.0.0.1"))).unwrap();
    check(&mut ledger, "", "10.0.0.2");
    check(&mut ledger, "address=10.0.0.3", "10.0.0.3");
    ledger.apply(Op::ReleaseAddress(a("10.0.0.3"))).unwrap();
    check(&mut ledger, "", "10.0.0.4");
    for expect in ["10.0.0.5", "10.0.0.6", "10.0.1.1"] {
        check(&mut ledger, "", expect);
    }
}

#[test]
fn the_cursor_survives_a_restart() {
    let mut ledger = ledger(&["10.0.0.0/29"], &[]);
    check(&mut ledger, "", "10.0.0.1");
    ledger.apply(Op::ReleaseAddress(a("10.0.0.1"))).unwrap();
    let mut again = Ledger::new(ledger.layout().clone(), ledger.image().clone());
    check(&mut again, "", "10.0.0.2");
}

#[test]
fn a_block_that_goes_keeps_its_addresses_until_released() {
    let mut ledger = ledger(&["10.0.0.0/24"], &[]);
    check(&mut ledger, "handle=web", "10.0.0.1");
    ledger.set_layout(layout(&["10.0.1.0/24"], &[]));
    check(&mut ledger, "handle=web", "10.0.0.1");
    check(&mut ledger, "handle=db", "10.0.1.1");
    let states: Vec<_> = ledger.snapshot().blocks.iter().map(|block| block.state).collect();
    assert_eq!(states, [BlockState::Retired, BlockState::Active]);
    ledger.apply(Op::ReleaseHandle("web".into())).unwrap();
    assert_eq!(ledger.snapshot().blocks.len(), 1);
}

#[test]
fn a_block_that_grows_takes_its_addresses_along() {
    let mut ledger = ledger(&["10.0.0.0/24"], &[]);
    check(&mut ledger, "handle=web", "10.0.0.1");
    ledger.set_layout(layout(&["10.0.0.0/23"], &[]));
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.blocks.len(), 1);
    assert_eq!(snapshot.allocations[0].block, p("10.0.0.0/23"));
    check(&mut ledger, "", "10.0.0.2");
    ledger.apply(Op::ReleaseHandle("web".into())).unwrap();
    assert_eq!(ledger.snapshot().blocks[0].addresses_used, 1);
}

#[test]
fn reservations_count_once_and_refuse_used_ranges() {
    let mut ledger = ledger(&["10.0.0.0/24"], &["10.0.0.1"]);
    for range in ["10.0.0.0/26", "10.0.0.0/28", "10.0.0.250", "10.0.0.255"] {
        ledger.apply(Op::Reserve(p(range))).unwrap();
    }
    assert_eq!(ledger.snapshot().blocks[0].addresses_total, 256 - 64 - 2);
    check(&mut ledger, "", "10.0.0.64");
    let in_use = Why::RangeInUse { prefix: p("10.0.0.64/30"), address: a("10.0.0.64"), handle: None };
    assert_eq!(ledger.apply(Op::Reserve(p("10.0.0.64/30"))), Err(in_use));
    assert!(!ledger.apply(Op::Reserve(p("10.0.0.0/26"))).unwrap().changes());
    ledger.apply(Op::Unreserve(p("10.0.0.0/26"))).unwrap();
    assert!(matches!(ledger.apply(Op::Unreserve(p("10.0.0.0/26"))), Err(Why::NotReserved { .. })));
    assert!(matches!(ledger.apply(Op::Reserve(p("192.0.2.0/24"))), Err(Why::OutsidePools { .. })));
}

#[test]
fn tiny_blocks_have_no_ends() {
    let mut ledger = ledger(&["10.0.0.0/31", "10.0.0.4/32"], &[]);
    for expect in ["10.0.0.0", "10.0.0.1", "10.0.0.4"] {
        check(&mut ledger, "", expect);
    }
    assert!(ask(&mut ledger, "").is_err());
}

#[test]
fn an_import_adds_all_or_nothing() {
    let mut source = ledger(&["10.0.0.0/24"], &[]);
    check(&mut source, "handle=web", "10.0.0.1");
    check(&mut source, "handle=db", "10.0.0.2");
    let mut target = ledger(&["10.0.0.0/24"], &[]);
    check(&mut target, "handle=other address=10.0.0.2", "10.0.0.2");
    let before = target.clone();
    assert!(matches!(target.apply(Op::Import(source.image().clone())), Err(Why::ImportConflict { .. })));
    assert_eq!(target, before);
    target.apply(Op::ReleaseAddress(a("10.0.0.2"))).unwrap();
    assert_eq!(target.apply(Op::Import(source.image().clone())).unwrap().into_answer().len(), 2);
    assert!(!target.apply(Op::Import(source.image().clone())).unwrap().changes());
}

#[test]
fn contradicting_blocks_are_refused() {
    let error = layout(&[], &[]).with_blocks(&[p("192.0.2.0/24")], &[]);
    assert_eq!(error, Err(LayoutError::BlockOutsidePools(p("192.0.2.0/24"))));
}

/// The naive model: every address of every block in one map.
#[derive(Default)]
struct Model {
    owners: BTreeMap<IpAddr, Option<String>>,
    reserved: BTreeSet<Prefix>,
    blocks: Vec<Prefix>,
}

const CHOICES: [&[&str]; 3] =
    [&["10.0.0.0/29", "fd00::/125"], &["10.0.0.0/29", "10.0.0.16/30"], &["10.0.0.0/28", "fd00::/126"]];

fn address(number: u8) -> IpAddr {
    if number < 24 { IpAddr::from([10, 0, 0, number]) } else { a(&format!("fd00::{:x}", number - 24)) }
}

impl Model {
    fn free(&self, family: Family) -> BTreeSet<IpAddr> {
        let usable = |address: &IpAddr| {
            let block = self.blocks.iter().find(|block| block.contains(*address));
            block.is_some_and(|block| {
                *address != block.address()
                    && (address.is_ipv6() || *address != block.last_address())
                    && !self.reserved.iter().any(|range| range.contains(*address))
                    && !self.owners.contains_key(address)
            })
        };
        (0..40).map(address).filter(|one| Family::of(*one) == family).filter(usable).collect()
    }

    fn held(&self, handle: Option<&String>, family: Family) -> Option<IpAddr> {
        let owns = |(address, owner): (&IpAddr, &Option<String>)| {
            (handle.is_some() && owner.as_ref() == handle && Family::of(*address) == family)
                .then_some(*address)
        };
        self.owners.iter().find_map(owns)
    }

    /// Checks an answer against what could have been answered, and takes it in.
    fn allocate(&mut self, request: &AllocateRequest, answer: &Result<Event, Why>) {
        let families: Vec<Family> = match (request.address, request.families) {
            (Some(address), Families::V4 | Families::V6) => vec![Family::of(address)],
            (_, families) => families.list().to_vec(),
        };
        let possible = |family: &Family| {
            let wish = request.address.filter(|address| Family::of(*address) == *family);
            match (self.held(request.handle.as_ref(), *family), wish) {
                (Some(held), wish) => wish.is_none_or(|wish| wish == held),
                (None, Some(wish)) => self.free(*family).contains(&wish),
                (None, None) => !self.free(*family).is_empty(),
            }
        };
        let expected = families.iter().all(possible);
        assert_eq!(answer.is_ok(), expected, "{request:?} {answer:?}");
        let Ok(event) = answer else { return };
        let got = event.clone().into_answer();
        assert_eq!(got.iter().map(|one| Family::of(one.address)).collect::<Vec<_>>(), families);
        for one in got {
            let family = Family::of(one.address);
            match self.held(request.handle.as_ref(), family) {
                Some(held) => assert_eq!(one.address, held),
                None => assert!(self.free(family).contains(&one.address), "{} was not free", one.address),
            }
            self.owners.insert(one.address, request.handle.clone());
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    Layout(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let handle = (0..4_u8).prop_map(|number| format!("h{number}"));
    let wish = prop::option::weighted(0.4, (0..40_u8).prop_map(address));
    let families = prop::sample::select(vec![Families::V4, Families::V6, Families::Both]);
    let allocate =
        (prop::option::of(handle.clone()), wish, families).prop_map(|(handle, address, families)| {
            Op::Allocate(AllocateRequest { address, handle, families, ..AllocateRequest::default() })
        });
    let range = (0..40_u8, 0..3_u8)
        .prop_map(|(number, wider)| (address(number), wider))
        .prop_map(|(address, wider)| Prefix::new(address, Family::of(address).max_length() - wider).unwrap());
    let op = prop_oneof![
        8 => allocate,
        3 => (0..40_u8).prop_map(|number| Op::ReleaseAddress(address(number))),
        2 => handle.prop_map(Op::ReleaseHandle),
        1 => range.clone().prop_map(Op::Reserve),
        1 => range.prop_map(Op::Unreserve),
    ];
    let step = prop_oneof![
        20 => op.prop_map(Step::Op),
        1 => (0..CHOICES.len()).prop_map(Step::Layout),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn ledger_agrees_with_a_naive_model(steps in steps()) {
        let mut model = Model::default();
        let mut ledger = ledger(CHOICES[0], &[]);
        let mut fold = Image::default();
        model.blocks = ledger.layout().blocks().to_vec();
        for step in steps {
            let before = ledger.clone();
            match step {
                Step::Layout(choice) => {
                    ledger.set_layout(layout(CHOICES[choice], &[]));
                    model.blocks = ledger.layout().blocks().to_vec();
                }
                Step::Restart => ledger = Ledger::new(ledger.layout().clone(), fold.clone()),
                Step::Op(op) => {
                    let answer = ledger.apply(op.clone());
                    match (&op, &answer) {
                        (Op::Allocate(request), answer) => model.allocate(request, answer),
                        (Op::ReleaseAddress(address), answer) => {
                            prop_assert_eq!(model.owners.remove(address).is_some(), answer.is_ok());
                        }
                        (Op::ReleaseHandle(handle), answer) => {
                            let count = model.owners.len();
                            model.owners.retain(|_, owner| owner.as_ref() != Some(handle));
                            prop_assert_eq!(model.owners.len() < count, answer.is_ok());
                        }
                        (Op::Reserve(range), answer) => {
                            let used = model.owners.keys().any(|address| range.contains(*address));
                            prop_assert_eq!(!used, answer.is_ok());
                            if !used {
                                model.reserved.insert(*range);
                            }
                        }
                        (Op::Unreserve(range), answer) => {
                            prop_assert_eq!(model.reserved.remove(range), answer.is_ok());
                        }
                        (Op::Import(_) | Op::RememberClaims(_), _) => unreachable!("not generated"),
                    }
                    match answer {
                        Ok(event) if event.changes() => {
                            fold.absorb(&event);
                            fold.generation += 1;
                        }
                        Ok(_) | Err(_) => prop_assert_eq!(&ledger, &before),
                    }
                }
            }
            let owners: BTreeMap<_, _> =
                ledger.image().allocations.iter().map(|(address, one)| (*address, one.handle.clone())).collect();
            prop_assert_eq!(&owners, &model.owners);
            prop_assert_eq!(ledger.image(), &fold);
            let rebuilt = Ledger::new(ledger.layout().clone(), fold.clone());
            prop_assert_eq!(ledger.snapshot(), rebuilt.snapshot());
            prop_assert_eq!(ledger.handles(), rebuilt.handles());
        }
    }

    #[test]
    fn totals_agree_with_counting(steps in steps()) {
        let mut ledger = ledger(CHOICES[2], &["10.0.0.1"]);
        for step in steps {
            if let Step::Op(op @ (Op::Reserve(_) | Op::Unreserve(_))) = step {
                let _refused = ledger.apply(op);
            }
        }
        let mut given = 0;
        while ledger.apply(Op::Allocate(request(""))).is_ok() {
            given += 1;
        }
        prop_assert_eq!(ledger.snapshot().blocks[0].addresses_total, given);
    }
}
