//! `peers`: one, and all of them.

use expect_test::expect;

use crate::check;

#[test]
fn peers_in_every_form() {
    check(
        "peers",
        &expect![[r#"
            PEER               AS  STATE        UPTIME  RECEIVED  ACCEPTED  ADVERTISED  DESCRIPTION
            192.0.2.2       64513  Established  12m05s         3         2           1  n2
            2001:db8::3  external  Idle              -         0         0           0  -
        "#]],
    );
    check(
        "peers -o wide",
        &expect![[r#"
            PEER               AS  STATE        UPTIME  RECEIVED  ACCEPTED  ADVERTISED  BEST  ROUTER_ID  LOCAL_AS  HOLD  FAMILIES   DESCRIPTION  LAST_ERROR
            192.0.2.2       64513  Established  12m05s         3         2           1     2  192.0.2.2     64512     9  ipv4,ipv6  n2           -
            2001:db8::3  external  Idle              -         0         0           0     0  -             64512     -  -          -            peer sent Cease: bye\u{1b}[2J\nforged line
        "#]],
    );
    check(
        "peers -o json",
        &expect![[r#"
            [
              {"address":"192.0.2.2","asn":64513,"local_asn":64512,"router_id":"192.0.2.2","state":"Established","uptime_seconds":725,"prefixes_received":3,"prefixes_accepted":2,"prefixes_advertised":1,"hold_time_seconds":9,"families":["ipv4","ipv6"],"capabilities":["multiprotocol-ipv4","route-refresh"],"last_error":null,"description":"n2","disabled":false,"external":true,"dynamic":false,"local_address":"192.0.2.1","state_seconds":725,"interface":null,"prefixes_best":2},
              {"address":"2001:db8::3","asn":null,"local_asn":64512,"router_id":null,"state":"Idle","uptime_seconds":null,"prefixes_received":0,"prefixes_accepted":0,"prefixes_advertised":0,"hold_time_seconds":null,"families":[],"capabilities":[],"last_error":"peer sent Cease: bye\u001b[2J\nforged line","description":null,"disabled":true,"external":false,"dynamic":false,"local_address":null,"state_seconds":null,"interface":null,"prefixes_best":0}
            ]
        "#]],
    );
    check(
        "-o yaml peers",
        &expect![[r#"
            - address: '192.0.2.2'
              asn: 64513
              local_asn: 64512
              router_id: '192.0.2.2'
              state: 'Established'
              uptime_seconds: 725
              prefixes_received: 3
              prefixes_accepted: 2
              prefixes_advertised: 1
              hold_time_seconds: 9
              families:
              - 'ipv4'
              - 'ipv6'
              capabilities:
              - 'multiprotocol-ipv4'
              - 'route-refresh'
              last_error: null
              description: 'n2'
              disabled: false
              external: true
              dynamic: false
              local_address: '192.0.2.1'
              state_seconds: 725
              interface: null
              prefixes_best: 2
            - address: '2001:db8::3'
              asn: null
              local_asn: 64512
              router_id: null
              state: 'Idle'
              uptime_seconds: null
              prefixes_received: 0
              prefixes_accepted: 0
              prefixes_advertised: 0
              hold_time_seconds: null
              families: []
              capabilities: []
              last_error: "peer sent Cease: bye\e[2J\nforged line"
              description: null
              disabled: true
              external: false
              dynamic: false
              local_address: null
              state_seconds: null
              interface: null
              prefixes_best: 0
        "#]],
    );
}

#[test]
fn a_peer_in_detail_for_people() {
    check(
        "peers 192.0.2.2",
        &expect![[r#"
            peer:                   192.0.2.2
            description:            n2
            as:                     64513
            local as:               64512
            type:                   external
            router id:              192.0.2.2
            host name:              tor1.example.net
            software:               routed/0.1.0
            state:                  Established
            disabled:               no
            uptime:                 12m05s
            times established:      2
            local address:          192.0.2.1
            remote port:            179
            last error:             -
            timers:                 hold time 9s configured, hold due in 7s, keepalive due in 2s
            families:               ipv4,ipv6
            capabilities:           multiprotocol-ipv4,route-refresh
            capabilities sent:      multiprotocol-ipv4,role-provider
            sessions lost:          1
            connections:            3 dialled, 1 in vain, 1 one too many
            local router id:        192.0.2.1
            local port:             40001
            tcp:                    rtt 1.042/0.065 ms, mss 1448 out, 1100 in, 1448 told, path mtu 1500, 0 unacked, 3 sent again
            own next hops:          192.0.2.1,2001:db8::1
            negotiated:             four-octet-as,route-refresh,extended-next-hop
            negotiated families:    ipv4,ipv6
            negotiated hold:        hold 9s, keepalive 3s
            graceful restart:       120s, families ipv4,ipv6, over NOTIFICATION too
            long-lived restart:     ipv4 3600s
            add-path:               receive ipv4+ipv6
            role:                   provider, the peer customer
            prefixes:               3 received, 2 accepted, 2 best, 1 filtered, 0 rejected, 0 discarded, 1 advertised
            bfd:                    Up for 2h00m, lost after 900ms of silence, meticulous-sha1 with key 2
            import filter:          cluster-only (only prefixes inside cluster.pools come in)
            export filter:          -
            routes by family:       ipv4 3 received (all told), 2 accepted, 2 best, 1 filtered, 0 rejected, 1 advertised (all told)
            update group:           2 of 192.0.2.2,fe80::1%eth1
            changes received:       4 prefixes announced, 1 withdrawn since the session is up
            changes of no effect:   1 filtered, 0 looped, 2 told already, 0 withdrawn that were not there
            changes sent:           5 prefixes announced, 1 withdrawn since the session is up
            offers received:        multiprotocol-ipv4; add-path ipv4 both
            offers sent:            graceful-restart 120s, ipv4 preserved
            last message:           received 2s ago, sent 1s ago, 19 bytes wait
            messages received:      1 open, 4 update, 0 notification, 240 keepalive, 0 route-refresh, 5012 bytes
            messages sent:          1 open, 2 update, 0 notification, 241 keepalive, 0 route-refresh, 4800 bytes
            malformed updates:      0 treated as withdraw, 1 attribute discarded, 1 family disabled, 0 session reset
            last malformed:         its length is not 4, attribute 7, 1m30s ago, 23 octets: ffff0017
            families disabled:      ipv6: the next hop has a wrong length, 1m30s ago; `peers reset` takes its routes again
            notification sent:      -
            notification received:  6/9 Hard Reset (6/9): Hold Timer Expired (4/0) (data 0400ab) at 2026-11-21T03:32:00Z
            kept in:                the configuration
            group:                  fabric
            dialled in from:        -
            max prefixes:           10000 of a family, warning from 7500, then shut, tried again after 30s
            tcp authentication:     MD5, 2 configured, number 1 in use
            ttl security:           1 hop
            multihop:               -
            dialling:               port 179
            timers set:             keepalive a third of the hold time, connect retry 5s, idle hold 1s, send hold 480s
            options:                next-hop-auto
            communities sent:       standard,large
            shutdown:               -
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one object, a line for each field")]
fn a_peer_in_detail_for_scripts() {
    check(
        "peers 192.0.2.2 -o json",
        &expect![[r#"
            {
              "address": "192.0.2.2",
              "asn": 64513,
              "local_asn": 64512,
              "router_id": "192.0.2.2",
              "state": "Established",
              "uptime_seconds": 725,
              "prefixes_received": 3,
              "prefixes_accepted": 2,
              "prefixes_advertised": 1,
              "hold_time_seconds": 9,
              "families": [
                "ipv4",
                "ipv6"
              ],
              "capabilities": [
                "multiprotocol-ipv4",
                "route-refresh"
              ],
              "last_error": null,
              "description": "n2",
              "disabled": false,
              "external": true,
              "dynamic": false,
              "local_address": "192.0.2.1",
              "state_seconds": 725,
              "interface": null,
              "prefixes_best": 2,
              "timers": {
                "hold_time": 9,
                "hold_due": 7,
                "keepalive_due": 2,
                "connect_retry_due": null,
                "idle_hold_due": null,
                "send_hold_due": null
              },
              "negotiated": {
                "hold_time": 9,
                "keepalive": 3,
                "families": [
                  "ipv4",
                  "ipv6"
                ],
                "four_octet_asn": true,
                "route_refresh": true,
                "enhanced_route_refresh": false,
                "extended_messages": false,
                "graceful_restart": {
                  "time": 120,
                  "restarting": false,
                  "notification": false,
                  "families": [
                    "ipv4",
                    "ipv6"
                  ],
                  "forwarding_preserved": []
                },
                "add_path_receive": [
                  "ipv4",
                  "ipv6"
                ],
                "add_path_send": [],
                "extended_next_hop": true,
                "role": "provider",
                "peer_role": "customer",
                "long_lived": [
                  {
                    "family": "ipv4",
                    "time": 3600,
                    "forwarding_preserved": true
                  }
                ],
                "graceful_notification": true
              },
              "messages": {
                "received": {
                  "open": 1,
                  "update": 4,
                  "notification": 0,
                  "keepalive": 240,
                  "route_refresh": 0,
                  "bytes": 5012
                },
                "sent": {
                  "open": 1,
                  "update": 2,
                  "notification": 0,
                  "keepalive": 241,
                  "route_refresh": 0,
                  "bytes": 4800
                }
              },
              "malformed": {
                "treat_as_withdraw": 0,
                "attribute_discard": 1,
                "reset": 0,
                "family_disable": 1,
                "last": {
                  "what": "its length is not 4",
                  "attribute": 7,
                  "octets": "ffff0017",
                  "length": 23,
                  "ago_seconds": 90
                }
              },
              "disabled_families": [
                {
                  "family": "ipv6",
                  "reason": "the next hop has a wrong length",
                  "ago_seconds": 90
                }
              ],
              "notification_sent": null,
              "notification_received": {
                "code": 6,
                "subcode": 9,
                "text": "Hard Reset (6/9): Hold Timer Expired (4/0)",
                "data": "0400ab",
                "enclosed": {
                  "code": 4,
                  "subcode": 0,
                  "text": "Hold Timer Expired (4/0)",
                  "data": "ab"
                },
                "at": "2026-11-21T03:32:00Z"
              },
              "filtered": 1,
              "rejected": 0,
              "established_count": 2,
              "remote_port": 179,
              "import_filter": "cluster-only",
              "export_filter": null,
              "bfd": {
                "peer": "192.0.2.2",
                "interface": "eth0",
                "local_address": null,
                "state": "Up",
                "remote_state": "Up",
                "protocols": [
                  "bgp",
                  "rip"
                ],
                "local_discriminator": 7,
                "remote_discriminator": 9,
                "tx_interval_us": 100000,
                "rx_interval_us": 300000,
                "detection_time_ms": 900,
                "diagnostic": null,
                "remote_diagnostic": null,
                "uptime_seconds": 7200,
                "authenticated": true,
                "auth": {
                  "mode": "meticulous-sha1",
                  "key_id": 2,
                  "remote_key_id": 1
                },
                "packets_received": 72000,
                "packets_sent": 72010,
                "packets_discarded": 1,
                "discards": {
                  "ttl": 1,
                  "malformed": 0,
                  "discriminator": 0,
                  "authentication": 0,
                  "replay": 0,
                  "admin_down": 0
                },
                "last_discard": "its TTL of 254 is below 255",
                "ups": 1,
                "reason": null,
                "remote_independent": false,
                "remote_demand": false
              },
              "settings": {
                "group": "fabric",
                "range": null,
                "max_prefixes": {
                  "limit": 10000,
                  "warn": 7500,
                  "action": "shut",
                  "restart": 30
                },
                "tcp_md5_keys": 2,
                "tcp_md5_key": 1,
                "tcp_ao_keys": 0,
                "ttl_security": 1,
                "multihop": null,
                "passive": false,
                "source": null,
                "port": 179,
                "next_hop": "auto",
                "route_reflector_client": false,
                "allow_own_asn": 0,
                "as_override": false,
                "send_communities": [
                  "standard",
                  "large"
                ],
                "shutdown": null,
                "import_note": "only prefixes inside cluster.pools come in",
                "export_note": null,
                "runtime": false,
                "keepalive": null,
                "connect_retry": 5,
                "idle_hold": 1,
                "send_hold": 480
              },
              "discarded": 0,
              "capabilities_sent": [
                "multiprotocol-ipv4",
                "role-provider"
              ],
              "hostname": "tor1.example.net",
              "software": "routed/0.1.0",
              "by_family": [
                {
                  "family": "ipv4",
                  "received": 3,
                  "accepted": 2,
                  "filtered": 1,
                  "rejected": 0,
                  "advertised": 1,
                  "best": 2,
                  "end_of_rib": true,
                  "end_of_rib_sent": true
                }
              ],
              "announced": 4,
              "withdrawn": 1,
              "local_port": 40001,
              "local_router_id": "192.0.2.1",
              "own_next_hops": [
                "192.0.2.1",
                "2001:db8::1"
              ],
              "lost_count": 1,
              "last_error_seconds": null,
              "last_received_seconds": 2,
              "last_sent_seconds": 1,
              "unsent_bytes": 19,
              "dials": 3,
              "dial_failures": 1,
              "collisions": 1,
              "tcp": {
                "rtt_microseconds": 1042,
                "rttvar_microseconds": 65,
                "rto_microseconds": 204000,
                "snd_mss": 1448,
                "rcv_mss": 1100,
                "advmss": 1448,
                "pmtu": 1500,
                "snd_cwnd": 10,
                "unacked": 0,
                "retrans": 0,
                "total_retrans": 3
              },
              "update_group": {
                "id": 2,
                "members": [
                  "192.0.2.2",
                  "fe80::1%eth1"
                ],
                "in_step": true
              },
              "changes": {
                "filtered": 1,
                "looped": 0,
                "duplicates": 2,
                "unknown": 0,
                "sent_announced": 5,
                "sent_withdrawn": 1
              },
              "offers_received": [
                "multiprotocol-ipv4",
                "add-path ipv4 both"
              ],
              "offers_sent": [
                "graceful-restart 120s, ipv4 preserved"
              ]
            }
        "#]],
    );
}
