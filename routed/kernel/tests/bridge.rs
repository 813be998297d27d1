//! The bridge of a block: made once, changed in place, removed when it is ours.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use kernel::bridge::{BridgeError, Bridges, Ensured, Outcome};
use net::Prefix;

fn blocks(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| p(text)).collect()
}

/// The addresses of a link, without what the kernel adds.
fn addresses(link: &str) -> Vec<String> {
    let text = ip(&format!("-o addr show dev {link} scope global"));
    text.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned()).collect()
}

fn link(name: &str) -> String {
    ip(&format!("-d link show dev {name}"))
}

fn links() -> Vec<String> {
    ip("-o link show").lines().map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect()
}

/// What a restart does to the record.
fn reread(bridges: &Bridges) -> Bridges {
    serde_json::from_str(&serde_json::to_string(bridges).unwrap()).unwrap()
}

#[test]
fn a_bridge_is_made_once_and_found_again() {
    in_namespace(|| async {
        let before = links();
        let mut bridges = Bridges::default();
        let both = blocks(&["10.244.7.0/24", "fd00:0:0:7::/64"]);
        let Ensured { index, outcome } = bridges.ensure("routed0", &both).await.unwrap();
        assert_eq!(outcome, Outcome::Made);
        assert_eq!(index, nix::net::if_::if_nametoindex("routed0").unwrap());
        assert_eq!(addresses("routed0"), ["10.244.7.1/24", "fd00:0:0:7::1/64"]);
        assert!(link("routed0").contains(",UP"), "{}", link("routed0"));
        assert!(link("routed0").contains("02:72:0a:f4:07:00"), "{}", link("routed0"));
        assert!(!ip("-6 addr show dev routed0 scope global").contains("tentative"));

        let mut bridges = reread(&bridges);
        let again = bridges.ensure("routed0", &both).await.unwrap();
        assert_eq!(again, Ensured { index, outcome: Outcome::Unchanged });

        // A port that comes does not change the hardware address.
        ip("link add v0 type veth peer name v1");
        ip("link set v0 address 00:00:5e:00:53:01 master routed0");
        assert!(link("routed0").contains("02:72:0a:f4:07:00"), "{}", link("routed0"));
        let error = bridges.remove("routed0").await.unwrap_err();
        assert!(error.to_string().starts_with("bridge routed0 has ports (v0); stop "), "{error}");
        ip("link del v0");

        bridges.remove("routed0").await.unwrap();
        assert_eq!(links(), before);
        assert_eq!(bridges, Bridges::default());
        bridges.remove("routed0").await.unwrap();
    });
}

#[test]
fn another_block_takes_the_place_of_the_one_before() {
    in_namespace(|| async {
        let mut bridges = Bridges::default();
        bridges.ensure("routed0", &blocks(&["10.244.7.0/24"])).await.unwrap();
        ip("addr add 192.0.2.1/24 dev routed0");
        let Ensured { outcome, .. } =
            reread(&bridges).ensure("routed0", &blocks(&["10.244.8.0/24", "fd00::/64"])).await.unwrap();
        assert_eq!(outcome, Outcome::Changed);
        assert_eq!(addresses("routed0"), ["192.0.2.1/24", "10.244.8.1/24", "fd00::1/64"]);
    });
}

#[test]
fn what_somebody_undid_is_done_again() {
    in_namespace(|| async {
        let mut bridges = Bridges::default();
        let block = blocks(&["10.244.7.0/24"]);
        bridges.ensure("routed0", &block).await.unwrap();
        for (undo, outcome) in [
            ("link set routed0 down", Outcome::Changed),
            ("addr flush dev routed0", Outcome::Changed),
            ("link del routed0", Outcome::Made),
        ] {
            ip(undo);
            assert_eq!(bridges.ensure("routed0", &block).await.unwrap().outcome, outcome, "{undo}");
            assert_eq!(addresses("routed0"), ["10.244.7.1/24"], "{undo}");
            assert!(link("routed0").contains(",UP"), "{undo}");
            assert_eq!(bridges.ensure("routed0", &block).await.unwrap().outcome, Outcome::Unchanged);
            assert_eq!(bridges.iter().next().unwrap().addresses, [("10.244.7.1".parse().unwrap(), 24)]);
        }
    });
}

#[test]
fn a_bridge_that_was_there_is_used_and_stays() {
    in_namespace(|| async {
        ip("link add mine type bridge");
        ip("addr add 10.244.7.1/24 dev mine");
        let mut bridges = Bridges::default();
        let made = bridges.ensure("mine", &blocks(&["10.244.7.0/24", "fd00::/64"])).await.unwrap();
        assert_eq!(made.outcome, Outcome::Changed);
        assert!(link("mine").contains(",UP"));
        let mut bridges = reread(&bridges);
        bridges.remove("mine").await.unwrap();
        assert_eq!(addresses("mine"), ["10.244.7.1/24"], "only what routed added went");
        assert_eq!(bridges.iter().count(), 0);

        // Nothing is routed's: nothing is recorded.
        bridges.ensure("mine", &blocks(&["10.244.7.0/24"])).await.unwrap();
        assert_eq!(bridges.iter().count(), 0);
    });
}

#[test]
fn a_bridge_that_somebody_made_anew_is_not_removed() {
    in_namespace(|| async {
        let mut bridges = Bridges::default();
        bridges.ensure("routed0", &blocks(&["10.244.7.0/24"])).await.unwrap();
        ip("link del routed0");
        bridges.clone().remove("routed0").await.unwrap();
        ip("link add routed0 type bridge");
        ip("addr add 10.244.7.1/24 dev routed0");
        bridges.remove("routed0").await.unwrap();
        assert_eq!(addresses("routed0"), ["10.244.7.1/24"]);
    });
}

#[test]
fn a_record_that_was_lost_is_made_good_by_the_mark() {
    in_namespace(|| async {
        let block = blocks(&["10.244.7.0/24"]);
        Bridges::default().ensure("routed0", &block).await.unwrap();
        let mut bridges = Bridges::default();
        assert_eq!(bridges.ensure("routed0", &block).await.unwrap().outcome, Outcome::Unchanged);
        bridges.remove("routed0").await.unwrap();
        assert_eq!(links(), ["lo"]);
    });
}

#[test]
fn refusals_name_the_link_and_the_cure() {
    in_namespace(|| async {
        veth();
        let mut bridges = Bridges::default();
        let block = blocks(&["10.244.7.0/24"]);
        let error = bridges.ensure("v0", &block).await.unwrap_err();
        assert!(matches!(&error, BridgeError::NotABridge { name } if name == "v0"), "{error}");
        assert_eq!(addresses("v0"), ["10.0.0.1/24", "fd00::1/64"]);
        let error = bridges.ensure("no/name", &block).await.unwrap_err();
        assert!(matches!(error, BridgeError::Name(_)), "{error}");
        ip("link set v1 down");
        ip("link add full type bridge");
        assert_eq!(bridges, Bridges::default());
        // What the kernel itself refuses: no IPv6 on this link.
        std::fs::write("/proc/sys/net/ipv6/conf/full/disable_ipv6", "1").unwrap();
        let error = bridges.ensure("full", &blocks(&["10.244.7.0/24", "fd00::/64"])).await.unwrap_err();
        assert!(error.to_string().starts_with("bridge full: adding fd00::1/64: "), "{error}");
        // What was done is recorded, and can be undone.
        bridges.remove("full").await.unwrap();
        assert_eq!(addresses("full"), Vec::<String>::new());
    });
}
