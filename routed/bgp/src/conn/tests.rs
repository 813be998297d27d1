//! What OPENs agree on, and what they are refused for.

use std::time::Duration;

use net::{Asn, Family, PeerAs, Role};

use super::negotiate::{negotiate, open};
use super::{ConnId, Endpoints, Up};
use crate::conn::Refused;
use crate::peer::{AddPathConfig, PeerConfig, RestartConfig};
use crate::wire::{Capability, GracefulRestart, Open};

fn ours() -> PeerConfig {
    PeerConfig {
        hold_time: Duration::from_secs(30),
        families: Family::ALL.to_vec(),
        graceful_restart: Some(RestartConfig::new(Duration::from_secs(120))),
        enhanced_refresh: true,
        extended_messages: true,
        ..PeerConfig::new(Asn(65001), "192.0.2.1".parse().unwrap(), Asn(70000))
    }
}

/// The OPEN of a peer that suits `ours` in everything.
fn theirs() -> Open {
    let config = PeerConfig { local_as: Asn(70000), router_id: "192.0.2.2".parse().unwrap(), ..ours() };
    open(&config, false)
}

fn judge(config: &PeerConfig, theirs: &Open) -> Result<Up, Refused> {
    let end = "192.0.2.1:179".parse().unwrap();
    negotiate(
        config,
        (ConnId::Dialled(0), Endpoints { local: end, remote: end }),
        &open(config, false),
        theirs,
    )
}

fn check_refused(config: &PeerConfig, theirs: &Open, code: (u8, u8), data: &[u8]) {
    let refusal = judge(config, theirs).unwrap_err().notification();
    assert_eq!((refusal.code, refusal.subcode, &*refusal.data), (code.0, code.1, data));
}

#[test]
fn equals_agree_on_everything() {
    let up = judge(&ours(), &theirs()).unwrap();
    assert_eq!(theirs().my_as, 23456);
    assert_eq!((up.peer_as, up.internal, up.as4), (Asn(70000), false, true));
    assert_eq!((up.hold_time.as_secs(), up.keepalive.as_secs()), (30, 10));
    assert!(up.route_refresh && up.enhanced_refresh && up.extended_messages && up.graceful_notification);
    assert_eq!(up.families, Family::ALL);
    assert_eq!(up.restartable(), Family::ALL);
}

#[test]
fn each_unacceptable_open_has_its_own_answer() {
    check_refused(&ours(), &Open { version: 3, ..theirs() }, (2, 1), &[0, 4]);
    check_refused(&PeerConfig { peer_as: Asn(1).into(), ..ours() }, &theirs(), (2, 2), &[]);
    check_refused(&ours(), &Open { identifier: [0; 4].into(), ..theirs() }, (2, 3), &[]);
    for hold_time in [1, 2] {
        check_refused(&ours(), &Open { hold_time, ..theirs() }, (2, 6), &[]);
    }
    let only_v6 = PeerConfig { families: vec![Family::Ipv6Unicast], ..ours() };
    let plain = Open { my_as: 1, capabilities: vec![], ..theirs() };
    let config = PeerConfig { peer_as: Asn(1).into(), ..only_v6 };
    check_refused(&config, &plain, (2, 7), &[1, 4, 0, 2, 0, 1]);
}

#[test]
fn who_is_of_the_wrong_kind_of_as_is_refused_and_who_is_not_is_known_by_its_number() {
    let external = PeerConfig { peer_as: PeerAs::External, our_other_as: vec![Asn(65009)], ..ours() };
    let of = |asn: u32| {
        let far = PeerConfig { local_as: Asn(asn), router_id: "192.0.2.2".parse().unwrap(), ..ours() };
        open(&far, false)
    };
    for asn in [64512, 70000] {
        let up = judge(&external, &of(asn)).unwrap();
        assert_eq!((up.peer_as, up.internal, up.confederation), (Asn(asn), false, false));
    }
    // Ours, one that is ours too, nobody's, and that of who cannot tell its own.
    for asn in [65001, 65009, 0, u32::MAX] {
        check_refused(&external, &of(asn), (2, 2), &[]);
    }
    let narrow = Open { my_as: 23456, capabilities: vec![], ..theirs() };
    check_refused(&external, &narrow, (2, 2), &[]);
    let internal = PeerConfig { peer_as: PeerAs::Internal, ..ours() };
    assert!(judge(&internal, &of(65001)).unwrap().internal);
    check_refused(&internal, &of(70000), (2, 2), &[]);
    let said = |config, asn| judge(config, &of(asn)).unwrap_err().to_string();
    assert!(said(&external, 65001).contains("AS 65001, an external peer has"), "{}", said(&external, 65001));
    assert!(said(&internal, 70000).contains("AS 70000, an internal peer has ours"));
}

#[test]
fn as_zero_is_refused_even_where_it_is_configured() {
    let zero = Open { my_as: 0, capabilities: vec![], ..theirs() };
    check_refused(&PeerConfig { peer_as: Asn(0).into(), ..ours() }, &zero, (2, 2), &[]);
}

#[test]
fn our_own_identifier_is_refused_inside_the_as_only() {
    let same = Open { identifier: ours().router_id.into(), ..theirs() };
    assert!(judge(&ours(), &same).is_ok());
    let internal = PeerConfig { local_as: Asn(70000), ..ours() };
    check_refused(&internal, &same, (2, 3), &[]);
}

#[test]
fn a_peer_without_capabilities_speaks_ipv4_with_narrow_as_numbers() {
    let config = PeerConfig { peer_as: Asn(9).into(), ..ours() };
    let up = judge(&config, &Open { my_as: 9, capabilities: vec![], ..theirs() }).unwrap();
    assert_eq!(up.families, [Family::Ipv4Unicast]);
    assert!(!up.as4 && !up.route_refresh && !up.graceful_notification);
    assert_eq!(up.graceful_restart, None);
}

#[test]
fn the_smaller_hold_time_counts_and_zero_stops_keepalives() {
    for (theirs_offers, hold, keepalive) in [(3, 3, 1), (90, 30, 10), (0, 0, 0)] {
        let up = judge(&ours(), &Open { hold_time: theirs_offers, ..theirs() }).unwrap();
        assert_eq!((up.hold_time.as_secs(), up.keepalive.as_secs()), (hold, keepalive));
    }
    let eager = PeerConfig { keepalive: Some(Duration::from_secs(2)), ..ours() };
    assert_eq!(judge(&eager, &theirs()).unwrap().keepalive.as_secs(), 2);
    let lazy = PeerConfig { keepalive: Some(Duration::from_secs(60)), ..ours() };
    assert_eq!(judge(&lazy, &theirs()).unwrap().keepalive.as_secs(), 10);
}

#[test]
fn only_families_of_the_session_that_the_peer_named_survive_a_restart() {
    let named = GracefulRestart {
        restart_time: 5,
        families: vec![(2, 1, true), (1, 128, true)],
        ..GracefulRestart::default()
    };
    let mut other = theirs();
    other.capabilities.retain(|capability| !matches!(capability, Capability::GracefulRestart(_)));
    other.capabilities.push(Capability::GracefulRestart(named));
    let up = judge(&ours(), &other).unwrap();
    assert_eq!(up.restartable(), [Family::Ipv6Unicast]);
    assert!(!up.graceful_notification);
    let without = PeerConfig { graceful_restart: None, ..ours() };
    assert_eq!(judge(&without, &other).unwrap().graceful_restart, None);
}

#[test]
fn a_restart_time_beyond_twelve_bits_is_cut() {
    let config =
        PeerConfig { graceful_restart: Some(RestartConfig::new(Duration::from_secs(100_000))), ..ours() };
    let restart = open(&config, true).capabilities.into_iter().find_map(|capability| match capability {
        Capability::GracefulRestart(restart) => Some(restart),
        _ => None,
    });
    let restart = restart.unwrap();
    assert_eq!((restart.restart_time, restart.restarting), (4095, true));
}

#[test]
fn a_refusal_says_what_was_told_and_what_is_wanted() {
    let refused = judge(&PeerConfig { peer_as: Asn(1).into(), ..ours() }, &theirs()).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("AS 70000") && text.contains("AS 1;"), "{text}");
}

/// The peer with another configuration than ours.
fn other(change: impl FnOnce(&mut PeerConfig)) -> Open {
    let mut config = PeerConfig { local_as: Asn(70000), peer_as: Asn(65001).into(), ..ours() };
    config.router_id = "192.0.2.2".parse().unwrap();
    change(&mut config);
    open(&config, false)
}

#[test]
fn only_roles_that_belong_together_make_a_session() {
    for ours_is in Role::ALL {
        let config = PeerConfig { role: Some(ours_is), ..ours() };
        for theirs_is in Role::ALL {
            let theirs = other(|config| config.role = Some(theirs_is));
            if theirs_is == ours_is.opposite() {
                let up = judge(&config, &theirs).unwrap();
                assert_eq!((up.role, up.peer_role), (Some(ours_is), Some(theirs_is)));
            } else {
                check_refused(&config, &theirs, (2, 11), &[]);
            }
        }
        // Where one side has no role nothing is wrong.
        assert_eq!(judge(&config, &theirs()).unwrap().peer_role, None);
    }
    let told = judge(&ours(), &other(|config| config.role = Some(Role::Provider))).unwrap();
    assert_eq!((told.role, told.peer_role), (None, Some(Role::Provider)));
}

#[test]
fn a_role_without_a_name_and_two_different_roles_are_a_mismatch() {
    let config = PeerConfig { role: Some(Role::Customer), ..ours() };
    for roles in [vec![9], vec![0, 3]] {
        let mut theirs = theirs();
        theirs.capabilities.extend(roles.into_iter().map(Capability::Role));
        check_refused(&config, &theirs, (2, 11), &[]);
    }
    let mut twice = theirs();
    twice.capabilities.extend([Capability::Role(0), Capability::Role(0)]);
    assert!(judge(&config, &twice).is_ok(), "the same role told twice is one role");
    let refused = judge(&config, &other(|config| config.role = Some(Role::Peer))).unwrap_err();
    assert!(refused.to_string().contains("role peer, we are customer and it must be provider"), "{refused}");
}

#[test]
fn a_role_is_not_told_inside_the_as_or_a_confederation() {
    let told = |config: &PeerConfig| {
        open(config, false).capabilities.iter().any(|capability| matches!(capability, Capability::Role(_)))
    };
    let provider = PeerConfig { role: Some(Role::Provider), ..ours() };
    assert!(told(&provider));
    assert!(!told(&PeerConfig { peer_as: PeerAs::Internal, ..provider.clone() }));
    assert!(!told(&PeerConfig { confederation: true, ..provider }));
}

#[test]
fn several_paths_go_where_one_sends_and_the_other_receives() {
    let way = |receive, send| AddPathConfig { receive, send };
    for (ours_is, theirs_is, receive, send) in [
        (way(true, true), way(true, true), true, true),
        (way(true, false), way(true, true), true, false),
        (way(false, true), way(true, false), false, true),
        (way(true, false), way(true, false), false, false),
        (way(true, true), way(false, false), false, false),
    ] {
        let config = PeerConfig { add_path: ours_is, ..ours() };
        let up = judge(&config, &other(|config| config.add_path = theirs_is)).unwrap();
        assert_eq!((!up.add_path_receive.is_empty(), !up.add_path_send.is_empty()), (receive, send));
        assert_eq!(up.rx(false).add_path, [receive; 2]);
        assert_eq!(up.tx().add_path, [send; 2]);
    }
    // Family by family.
    let config = PeerConfig { add_path: way(true, true), ..ours() };
    let mut theirs = other(|config| config.add_path = way(true, true));
    for capability in &mut theirs.capabilities {
        if let Capability::AddPath(list) = capability {
            list.truncate(1);
        }
    }
    let up = judge(&config, &theirs).unwrap();
    assert_eq!(
        (up.add_path_receive, up.add_path_send),
        (vec![Family::Ipv4Unicast], vec![Family::Ipv4Unicast])
    );
}

#[test]
fn long_lived_graceful_restart_needs_graceful_restart_and_takes_the_shorter_time() {
    let config = PeerConfig { long_lived: Some(Duration::from_secs(3600)), ..ours() };
    let time = |theirs: &Open| judge(&config, theirs).unwrap().long_lived;
    let day = Duration::from_secs(86_400);
    let hour = Duration::from_secs(3600);
    let both = |time| Family::ALL.map(|family| (family, time)).to_vec();
    assert_eq!(time(&other(|config| config.long_lived = Some(day))), both(hour));
    assert_eq!(time(&other(|config| config.long_lived = Some(hour / 2))), both(hour / 2));
    assert_eq!(time(&other(|config| config.long_lived = Some(Duration::ZERO))), []);
    assert_eq!(time(&theirs()), []);
    let mut alone = other(|config| config.long_lived = Some(day));
    alone.capabilities.retain(|capability| !matches!(capability, Capability::GracefulRestart(_)));
    assert_eq!(time(&alone), []);
}

#[test]
fn ipv4_over_ipv6_next_hops_needs_both() {
    let config = PeerConfig { extended_next_hop: true, ..ours() };
    assert!(judge(&config, &other(|config| config.extended_next_hop = true)).unwrap().extended_next_hop);
    assert!(!judge(&config, &theirs()).unwrap().extended_next_hop);
    assert!(!judge(&ours(), &other(|config| config.extended_next_hop = true)).unwrap().extended_next_hop);
}

#[test]
fn the_peer_may_tell_its_name() {
    let named = |name: &str| judge(&ours(), &other(|config| config.hostname = Some(name.into()))).unwrap();
    assert_eq!(named("tor1.example.net").hostname().as_deref(), Some("tor1.example.net"));
    assert_eq!(named("tor1").hostname().as_deref(), Some("tor1"));
    assert_eq!(judge(&ours(), &theirs()).unwrap().hostname(), None);
}

#[test]
fn unknown_capabilities_change_nothing() {
    let mut theirs = theirs();
    let plain = judge(&ours(), &theirs).unwrap();
    theirs.capabilities.insert(0, Capability::Unknown { code: 200, value: [1, 2, 3].into() });
    let up = judge(&ours(), &theirs).unwrap();
    let same = Up { received: plain.received.clone(), opens: plain.opens.clone(), ..up };
    assert_eq!(same, plain);
}
