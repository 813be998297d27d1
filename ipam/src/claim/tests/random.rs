//! Any events at any time: what the machine says always adds up.

use proptest::prelude::*;

use super::*;

fn some_prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        8 => (0_u8..4, 22_u8..28).prop_map(|(third, length)| Prefix::new([10, 244, third, 77].into(), length).unwrap()),
        1 => Just(p("10.244.0.0/16")),
        1 => Just(p("0.0.0.0/0")),
        1 => Just(p("172.17.0.0/16")),
        1 => Just(p("fd00::/64")),
    ]
}

fn some_by() -> impl Strategy<Value = By> {
    prop_oneof![Just(by("192.0.2.4")), Just(by("192.0.2.6")), Just(By::Here), Just(By::Other(a("192.0.2.8")))]
}

fn some_event() -> impl Strategy<Value = Option<Event>> {
    let pools = [
        start("n1", &[("10.244.0.0/22", 24, Some("10.244.1.0/24")), ("fd00::/62", 64, None)]),
        start("n1", &[("10.244.0.0/22", 24, None)]),
        start("n2", &[("10.244.0.0/23", 25, Some("10.244.1.0/24"))]),
    ];
    prop_oneof![
        1 => (0..3_usize).prop_map(move |which| Some(pools[which].clone())),
        8 => (some_prefix(), some_by()).prop_map(|(prefix, by)| Some(Event::Heard { prefix, by })),
        6 => (some_prefix(), some_by()).prop_map(|(prefix, by)| Some(Event::Gone { prefix, by })),
        3 => (0_u8..4, 0..2_u64).prop_map(|(third, addresses)| {
            Some(Event::Used { block: Prefix::from(([10, 244, third, 0].into(), 24)), addresses })
        }),
        4 => Just(None),
    ]
}

proptest! {
    #[test]
    fn what_is_said_is_what_is(events in prop::collection::vec((some_event(), 0_u64..40), 1..60)) {
        let mut rig = Rig::new();
        let (mut owned, mut alarms) = (BTreeSet::new(), BTreeSet::new());
        let mut used = BTreeSet::new();
        for (event, pause) in events {
            let mut actions = rig.wait(seconds(pause));
            // Whatever was released while time went by was not in use then.
            for action in &actions {
                if let Action::Release(block) = action {
                    prop_assert!(!used.contains(block), "{} is in use", block);
                }
            }
            let is_start = matches!(event, Some(Event::Start(_)));
            if let Some(event) = event {
                if let Event::Used { block, addresses } = event {
                    if addresses > 0 { used.insert(block); } else { used.remove(&block); }
                }
                let now = rig.handle(event);
                // A start without its pool may.
                let releases = now.iter().filter_map(|action| match action {
                    Action::Release(block) => Some(block),
                    _ => None,
                });
                for block in releases {
                    prop_assert!(is_start || !used.contains(block), "{} is in use", block);
                }
                actions.extend(now);
            }
            for action in actions {
                match action {
                    Action::Own(block) => prop_assert!(owned.insert(block), "{} owned twice", block),
                    Action::Release(block) => prop_assert!(owned.remove(&block), "{} released unowned", block),
                    Action::Defend(block) => prop_assert!(owned.contains(&block)),
                    Action::Alarm(alarm) => prop_assert!(alarms.insert(alarm)),
                    Action::Clear(alarm) => prop_assert!(alarms.remove(&alarm)),
                }
            }
            prop_assert_eq!(&owned, &rig.claim.blocks().collect());
            prop_assert_eq!(&alarms, &rig.claim.alarms().cloned().collect());
            prop_assert!(rig.claim.next_deadline().is_none_or(|due| due > rig.now), "a shell would spin");
        }
    }
}
