//! Random networks of up to 30 nodes with loss, reordering, flaps and
//! restarts: tables end as the shortest paths, and what cannot be reached is
//! forgotten in time.

mod net;

use std::time::Duration;

use ::net::Family;
use proptest::prelude::*;
use rip::SplitHorizon;

use net::{Net, Plan};

const TIMEOUT: u64 = 180;
const GARBAGE: u64 = 120;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plans() -> impl Strategy<Value = Plan> {
    let split = prop::sample::select(vec![SplitHorizon::Poison, SplitHorizon::Simple, SplitHorizon::Off]);
    let family = prop::sample::select(Family::ALL.to_vec());
    (family, 2usize..=30, 0usize..12, split, any::<bool>(), any::<u64>()).prop_map(
        |(family, nodes, extra, split_horizon, auth, seed)| Plan {
            family,
            nodes,
            extra,
            split_horizon,
            auth,
            seed,
        },
    )
}

/// Link flaps, unseen failures and restarts under loss, for some minutes.
fn disturb(net: &mut Net, times: usize) {
    net.loss = net.dice.below(40);
    for _ in 0..times {
        let pause = Duration::from_millis(net.dice.below(20_000));
        net.run(pause);
        net.check_books();
        let (link, node) = (net.dice.pick(net.links.len()), net.dice.pick(net.plan.nodes));
        match net.dice.below(4) {
            0 => net.set_link(link, false),
            1 => net.set_link(link, true),
            2 => net.links[link].deaf = !net.links[link].deaf,
            _ => net.restart(node),
        }
    }
    net.loss = 0;
    for link in &mut net.links {
        link.deaf = false;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tables_converge_to_the_shortest_paths(plan in plans(), times in 0usize..20) {
        let mut net = Net::new(plan);
        disturb(&mut net, times);
        net.run(secs(TIMEOUT + GARBAGE + 100));
        net.check_books();
        net.check_shortest();
    }

    #[test]
    fn after_a_partition_nothing_counts_past_infinity_nor_stays(plan in plans(), unseen in any::<bool>()) {
        let mut net = Net::new(plan);
        net.run(secs(120));
        net.check_shortest();
        // Cut one half of the nodes off from the other.
        let half = net.plan.nodes / 2;
        for link in 0..net.links.len() {
            let inside = net.links[link].members.iter().filter(|node| **node < half).count();
            if inside > 0 && inside < net.links[link].members.len() {
                if unseen {
                    net.links[link].deaf = true;
                } else {
                    net.set_link(link, false);
                }
            }
        }
        for _ in 0..(TIMEOUT + GARBAGE) / 10 {
            net.run(secs(10));
            net.check_books();
        }
        net.check_shortest();
        // Where nobody saw the cut, the neighbours of the cut have told the
        // lost routes until their timeout; behind them garbage began then.
        if unseen {
            net.run(secs(GARBAGE));
        }
        net.check_forgotten();
    }
}

#[test]
fn thirty_nodes_on_one_link_know_each_other_within_ten_seconds() {
    let mut net = Net::new(Plan {
        family: Family::Ipv4Unicast,
        nodes: 30,
        extra: 0,
        split_horizon: SplitHorizon::Poison,
        auth: true,
        seed: 1,
    });
    net.one_link();
    net.run(secs(10));
    net.check_shortest();
}
