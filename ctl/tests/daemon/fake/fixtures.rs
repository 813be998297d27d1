//! Objects that the stand-in answers with.

use api::v1::{
    Address, Alarm, BfdAuth, BfdDiscards, BfdSession, BfdState, Block, BlockState, BmpCollector, Counts,
    DisabledFamily, EnclosedError, Family, GracefulRestart, LongLived, Malformed, MalformedMessage,
    MessageCounts, Negotiated, NextHop, NexthopObjects, NodeStatus, Notification, Origin, Peer, PeerDetail,
    PeerFamily, PeerSettings, PeerState, PeerTimers, PolicyRef, Protocol, ProtocolState, ProtocolSummary,
    RipAuthMode, RipInterface, RipNeighbor, RipSplitHorizon, RipVersion, Route, RouteChanges, RouteState,
    Severity, Tcp, UpdateGroup,
};

pub(crate) fn status() -> NodeStatus {
    let summary = |protocol: Protocol, state: ProtocolState, reason: &str| ProtocolSummary {
        protocol: protocol.into(),
        state: state.into(),
        neighbors: 2,
        neighbors_up: 1,
        routes: 4,
        reason: reason.into(),
    };
    NodeStatus {
        node: "n1".into(),
        version: "0.1.0".into(),
        router_id: "192.0.2.1".into(),
        asn: Some(64512),
        uptime_seconds: 11_220,
        protocols: vec![
            summary(Protocol::Bgp, ProtocolState::Running, ""),
            summary(Protocol::Rip, ProtocolState::Failed, "port 520 is taken"),
        ],
        alarms: vec![
            Alarm {
                id: "block-conflict 10.244.1.0/24".into(),
                severity: Severity::Error.into(),
                text: "n2 announces the block too".into(),
                hint: "give one of the nodes another subnet".into(),
            },
            Alarm {
                id: "draining".into(),
                severity: Severity::Notice.into(),
                text: "neighbours are told to send no traffic to this node".into(),
                hint: "routectl undrain".into(),
            },
        ],
        counts: Some(Counts {
            peers: 2,
            peers_established: 1,
            prefixes: 5,
            paths: 7,
            nexthop_objects: 3,
            strangers_dropped: 7,
            strangers_closed: 2,
            ..Counts::default()
        }),
        recovery: vec!["adopted 3 routes of an earlier run".into()],
        nexthop_objects: NexthopObjects::On.into(),
    }
}

pub(crate) fn up() -> Peer {
    Peer {
        address: "192.0.2.2".into(),
        asn: Some(64513),
        local_asn: 64512,
        router_id: Some("192.0.2.2".into()),
        state: PeerState::Established.into(),
        uptime_seconds: Some(725),
        prefixes_received: 3,
        prefixes_accepted: 2,
        prefixes_advertised: 1,
        prefixes_best: 2,
        hold_time_seconds: Some(9),
        families: vec![Family::Ipv4.into(), Family::Ipv6.into()],
        capabilities: vec!["multiprotocol-ipv4".into(), "route-refresh".into()],
        description: Some("n2".into()),
        external: true,
        local_address: Some("192.0.2.1".into()),
        state_seconds: Some(725),
        ..Peer::default()
    }
}

pub(crate) fn down() -> Peer {
    Peer {
        address: "2001:db8::3".into(),
        local_asn: 64512,
        state: PeerState::Idle.into(),
        // What a peer sends may hold anything; a terminal must not obey it.
        last_error: Some("peer sent Cease: bye\u{1b}[2J\nforged line".into()),
        disabled: true,
        ..Peer::default()
    }
}

pub(crate) fn detail() -> PeerDetail {
    let both = vec![Family::Ipv4.into(), Family::Ipv6.into()];
    PeerDetail {
        peer: Some(up()),
        timers: Some(PeerTimers {
            hold_time: 9,
            hold_due: Some(7),
            keepalive_due: Some(2),
            ..Default::default()
        }),
        negotiated: Some(negotiated(both)),
        messages_received: Some(MessageCounts {
            open: 1,
            update: 4,
            keepalive: 240,
            bytes: 5012,
            ..Default::default()
        }),
        messages_sent: Some(MessageCounts {
            open: 1,
            update: 2,
            keepalive: 241,
            bytes: 4800,
            ..Default::default()
        }),
        malformed: Some(Malformed {
            attribute_discard: 1,
            family_disable: 1,
            last: Some(MalformedMessage {
                what: "its length is not 4".into(),
                attribute: 7,
                octets: vec![0xff, 0xff, 0, 0x17],
                length: 23,
                ago_seconds: 90,
            }),
            ..Default::default()
        }),
        notification_received: Some(Notification {
            code: 6,
            subcode: 9,
            text: "Hard Reset (6/9): Hold Timer Expired (4/0)".into(),
            data: vec![4, 0, 0xab],
            at: 1_795_231_920,
            enclosed: Some(EnclosedError {
                code: 4,
                subcode: 0,
                text: "Hold Timer Expired (4/0)".into(),
                data: vec![0xab],
            }),
        }),
        by_family: vec![PeerFamily {
            family: Family::Ipv4.into(),
            received: 3,
            accepted: 2,
            filtered: 1,
            advertised: 1,
            best: 2,
            end_of_rib: true,
            end_of_rib_sent: true,
            ..Default::default()
        }],
        announced: 4,
        withdrawn: 1,
        local_port: Some(40_001),
        local_router_id: Some("192.0.2.1".into()),
        own_next_hops: vec!["192.0.2.1".into(), "2001:db8::1".into()],
        lost_count: 1,
        last_received_seconds: Some(2),
        last_sent_seconds: Some(1),
        unsent_bytes: 19,
        filtered: 1,
        established_count: 2,
        remote_port: Some(179),
        import_filter: Some("cluster-only".into()),
        bfd: bfd_sessions().into_iter().next(),
        settings: Some(peer_settings()),
        capabilities_sent: vec!["multiprotocol-ipv4".into(), "role-provider".into()],
        disabled_families: vec![DisabledFamily {
            family: Family::Ipv6.into(),
            reason: "the next hop has a wrong length".into(),
            ago_seconds: 90,
        }],
        hostname: Some("tor1.example.net".into()),
        software: Some("routed/0.1.0".into()),
        dials: 3,
        dial_failures: 1,
        collisions: 1,
        update_group: Some(update_group()),
        changes: Some(route_changes()),
        offers_received: vec!["multiprotocol-ipv4".into(), "add-path ipv4 both".into()],
        offers_sent: vec!["graceful-restart 120s, ipv4 preserved".into()],
        tcp: Some(tcp()),
        ..Default::default()
    }
}

fn route_changes() -> RouteChanges {
    RouteChanges { filtered: 1, duplicates: 2, sent_announced: 5, sent_withdrawn: 1, ..Default::default() }
}

fn update_group() -> UpdateGroup {
    UpdateGroup { id: 2, members: vec!["192.0.2.2".into(), "fe80::1%eth1".into()], in_step: true }
}

fn tcp() -> Tcp {
    Tcp {
        rtt_microseconds: 1042,
        rttvar_microseconds: 65,
        rto_microseconds: 204_000,
        snd_mss: 1448,
        rcv_mss: 1100,
        advmss: 1448,
        pmtu: 1500,
        snd_cwnd: 10,
        total_retrans: 3,
        ..Default::default()
    }
}

fn negotiated(both: Vec<i32>) -> Negotiated {
    Negotiated {
        hold_time: 9,
        keepalive: 3,
        families: both.clone(),
        four_octet_asn: true,
        route_refresh: true,
        graceful_restart: Some(GracefulRestart { time: 120, families: both.clone(), ..Default::default() }),
        add_path_receive: both,
        extended_next_hop: true,
        role: Some("provider".into()),
        peer_role: Some("customer".into()),
        long_lived: vec![LongLived { family: Family::Ipv4.into(), time: 3600, forwarding_preserved: true }],
        graceful_notification: true,
        ..Default::default()
    }
}

fn peer_settings() -> PeerSettings {
    PeerSettings {
        group: Some("fabric".into()),
        max_prefixes: 10_000,
        max_prefixes_warn: 7500,
        max_prefixes_action: "shut".into(),
        max_prefixes_restart: Some(30),
        tcp_md5_keys: 2,
        tcp_md5_key: 1,
        ttl_security: Some(1),
        port: 179,
        connect_retry: 5,
        idle_hold: 1,
        send_hold: Some(480),
        next_hop: "auto".into(),
        send_communities: vec!["standard".into(), "large".into()],
        import_note: Some("only prefixes inside cluster.pools come in".into()),
        ..Default::default()
    }
}

pub(crate) fn bgp_route() -> Route {
    Route {
        prefix: "10.244.2.0/24".into(),
        protocol: Protocol::Bgp.into(),
        next_hops: vec![NextHop {
            address: Some("192.0.2.2".into()),
            interface: Some("eth0".into()),
            weight: 1,
        }],
        distance: 20,
        state: RouteState::Best.into(),
        installed: true,
        age_seconds: 700,
        peer: Some("192.0.2.2".into()),
        as_path: Some("64513".into()),
        origin: Origin::Igp.into(),
        med: Some(0),
        communities: vec!["64512:100".into()],
        reason: "the only path".into(),
        ..Route::default()
    }
}

pub(crate) fn refused_route() -> Route {
    Route {
        prefix: "192.168.0.0/16".into(),
        next_hops: Vec::new(),
        state: RouteState::Rejected.into(),
        installed: false,
        communities: Vec::new(),
        reason: "import filter cluster-only: outside the pools".into(),
        ..bgp_route()
    }
}

/// One that runs with a key, one whose link is down.
pub(crate) fn rip_interfaces() -> Vec<RipInterface> {
    let eth0 = RipInterface {
        name: "eth0".into(),
        index: Some(2),
        version: RipVersion::Ripv2.into(),
        up: true,
        addresses: vec!["192.0.2.1".into()],
        update_seconds: 30,
        timeout_seconds: 180,
        garbage_seconds: 120,
        auth: RipAuthMode::HmacSha256.into(),
        auth_key_id: Some(1),
        offset_in: 0,
        offset_out: 1,
        split_horizon: RipSplitHorizon::Poison.into(),
        next_update_seconds: Some(17),
        neighbors: 1,
        routes: 3,
        packets_received: 240,
        packets_sent: 250,
        updates_received: 235,
        updates_sent: 244,
        triggered_updates: 4,
        bad_packets: 2,
        bad_routes: 1,
        auth_failures: 2,
        auth_key_expired: true,
        destinations: vec!["224.0.0.9".into()],
        last_off_link: Some("198.51.100.7".into()),
        ..RipInterface::default()
    };
    let eth1 = RipInterface {
        name: "eth1".into(),
        version: RipVersion::Ripng.into(),
        reason: "there is no such interface".into(),
        update_seconds: 30,
        timeout_seconds: 180,
        garbage_seconds: 120,
        auth: RipAuthMode::None.into(),
        split_horizon: RipSplitHorizon::Simple.into(),
        ..RipInterface::default()
    };
    vec![eth0, eth1]
}

/// One that is alive, one that the configuration names and nobody has heard.
pub(crate) fn rip_neighbors() -> Vec<RipNeighbor> {
    let alive = RipNeighbor {
        address: "192.0.2.2".into(),
        interface: Some("eth0".into()),
        protocol: Protocol::Rip.into(),
        version: Some(2),
        last_heard_seconds: Some(13),
        uptime_seconds: Some(7_200),
        routes: 3,
        bad_packets: 2,
        bad_routes: 1,
        auth_failures: 2,
        last_error: Some("authentication failed: no key has id 7".into()),
        configured: false,
        routes_filtered: 5,
        routes_over_limit: 0,
    };
    let silent = RipNeighbor {
        address: "fe80::3".into(),
        protocol: Protocol::Ripng.into(),
        configured: true,
        ..RipNeighbor::default()
    };
    vec![alive, silent]
}

pub(crate) fn address(address: &str) -> Address {
    Address {
        address: address.into(),
        pool: Some("10.244.0.0/16".into()),
        block: "10.244.1.0/24".into(),
        handle: Some("web-1".into()),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        allocated_at: 1_795_231_920,
    }
}

pub(crate) fn blocks() -> Vec<Block> {
    let block = |prefix: &str, node: &str, state: BlockState, used| Block {
        prefix: prefix.into(),
        pool: Some("10.244.0.0/16".into()),
        node: node.into(),
        state: state.into(),
        addresses_total: 253,
        addresses_used: used,
    };
    vec![
        block("10.244.1.0/24", "n1", BlockState::Owned, Some(1)),
        block("10.244.2.0/24", "n2", BlockState::Remote, None),
    ]
}

pub(crate) fn policy() -> PolicyRef {
    PolicyRef { kind: "GlobalNetworkPolicy".into(), namespace: None, name: "web-only".into() }
}

pub(crate) fn bfd_sessions() -> Vec<BfdSession> {
    let up = BfdSession {
        peer: "192.0.2.2".into(),
        interface: Some("eth0".into()),
        state: BfdState::Up.into(),
        remote_state: BfdState::Up.into(),
        protocols: vec![Protocol::Bgp.into(), Protocol::Rip.into()],
        local_discriminator: 7,
        remote_discriminator: Some(9),
        tx_interval_us: 100_000,
        rx_interval_us: 300_000,
        detection_time_ms: Some(900),
        uptime_seconds: Some(7200),
        authenticated: true,
        auth: Some(BfdAuth { mode: "meticulous-sha1".into(), key_id: 2, remote_key_id: Some(1) }),
        discards: Some(BfdDiscards { ttl: 1, ..BfdDiscards::default() }),
        packets_received: 72_000,
        packets_sent: 72_010,
        packets_discarded: 1,
        last_discard: Some("its TTL of 254 is below 255".into()),
        ups: 1,
        ..BfdSession::default()
    };
    let down = BfdSession {
        peer: "192.0.2.3".into(),
        interface: Some("eth0".into()),
        state: BfdState::Down.into(),
        protocols: vec![Protocol::Bgp.into()],
        local_discriminator: 8,
        tx_interval_us: 1_000_000,
        rx_interval_us: 100_000,
        diagnostic: Some("control detection time expired".into()),
        ups: 1,
        ..BfdSession::default()
    };
    let absent = BfdSession {
        peer: "198.51.100.9".into(),
        state: BfdState::Down.into(),
        protocols: vec![Protocol::Bgp.into()],
        reason: Some("no link leads to it".into()),
        ..BfdSession::default()
    };
    vec![up, down, absent]
}

/// One that is connected and one that is not.
pub(crate) fn collectors() -> Vec<BmpCollector> {
    let connected = BmpCollector {
        address: "192.0.2.9:11019".into(),
        monitor: vec!["pre-policy".into(), "post-policy".into()],
        connected: true,
        uptime_seconds: Some(7_200),
        last_error: None,
        messages: 1_234,
        octets: 98_765,
        connects: 1,
    };
    let down = BmpCollector {
        address: "192.0.2.10:11019".into(),
        monitor: vec!["loc-rib".into()],
        last_error: Some("Connection refused (os error 111)".into()),
        ..BmpCollector::default()
    };
    vec![connected, down]
}
