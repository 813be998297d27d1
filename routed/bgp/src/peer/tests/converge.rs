//! Whatever two peers have been through: when the wire is sound again, they meet.

use proptest::prelude::*;

use super::pair::{Pair, Side};
use super::*;
use crate::peer::{Admin, RestartConfig};

/// One misfortune.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Nothing passes from now on, or all does again.
    Cut(bool),
    /// All connections are reset.
    Break,
    /// A process starts anew; the other side may not notice.
    Reborn(Side, bool),
    /// The operator resets.
    Reset(Side),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let side = || prop::sample::select(vec![Side::A, Side::B]);
    prop_oneof![
        any::<bool>().prop_map(Trouble::Cut),
        Just(Trouble::Break),
        (side(), any::<bool>()).prop_map(|(side, told)| Trouble::Reborn(side, told)),
        side().prop_map(Trouble::Reset),
    ]
}

/// Two peers that differ in who is higher and who dials.
fn configs() -> impl Strategy<Value = (PeerConfig, PeerConfig)> {
    let id = || prop::sample::select(vec!["10.0.0.1", "10.0.0.2"]);
    let hold = || prop::sample::select(vec![3u64, 9, 90]);
    let side = move || (id(), hold(), any::<bool>(), any::<u64>());
    (side(), side(), prop::sample::select(vec!["none", "A", "B"])).prop_map(|(a, b, passive)| {
        let make = |(id, hold, graceful, seed): (&str, u64, bool, u64), local, remote, passive| PeerConfig {
            hold_time: secs(hold),
            graceful_restart: graceful.then(|| RestartConfig::new(secs(120))),
            seed,
            passive,
            ..config(id, local, remote)
        };
        (make(a, 65001, 65002, passive == "A"), make(b, 65002, 65001, passive == "B"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn after_any_troubles_the_session_comes_up_and_stays(
        (a, b) in configs(),
        latency in 0u64..400,
        troubles in prop::collection::vec((trouble(), 0u64..20_000), 0..12),
    ) {
        let mut pair = Pair::started(a.clone(), b.clone());
        pair.latency = Duration::from_millis(latency);
        for (trouble, wait) in troubles {
            match trouble {
                Trouble::Cut(cut) => pair.cut = cut,
                Trouble::Break => pair.break_connections(),
                Trouble::Reborn(Side::A, told) => pair.reborn(Side::A, a.clone(), told),
                Trouble::Reborn(Side::B, told) => pair.reborn(Side::B, b.clone(), told),
                Trouble::Reset(side) => pair.event(side, Event::Stop(Admin::Reset(None))),
            }
            pair.drive_bounded(Duration::from_millis(wait));
        }
        pair.cut = false;
        // The longest wait is for an OPEN that was lost: four minutes.
        pair.drive_bounded(secs(400));
        prop_assert_eq!(pair.states(), (State::Established, State::Established));
        let sessions = |pair: &Pair| pair.peer(Side::A).status().counters.established;
        let before = sessions(&pair);
        pair.drive_bounded(secs(600));
        prop_assert_eq!(pair.states(), (State::Established, State::Established));
        prop_assert_eq!(sessions(&pair), before);
    }
}
