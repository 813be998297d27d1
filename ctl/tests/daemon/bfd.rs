//! `bfd`.

use expect_test::expect;

use crate::check;

#[test]
fn bfd_shows_sessions_and_why_there_are_none() {
    check(
        "bfd",
        &expect![[r#"
            PEER          INTERFACE  STATE  UPTIME  PROTOCOLS      TX     RX  DETECTION  DIAGNOSTIC
            192.0.2.2     eth0       Up      2h00m  bgp,rip     100ms  300ms      900ms  -
            192.0.2.3     eth0       Down        -  bgp        1000ms  100ms          -  control detection time expired
            198.51.100.9  -          Down        -  bgp             -      -          -  no link leads to it
        "#]],
    );
    check(
        "bfd -o wide",
        &expect![[r#"
            PEER          INTERFACE  STATE  UPTIME  PROTOCOLS      TX     RX  DETECTION  LOCAL_ADDRESS  LOCAL  REMOTE  REMOTE_STATE  AUTH               RECEIVED   SENT  DISCARDED  UPS  LAST_DISCARD                 DIAGNOSTIC
            192.0.2.2     eth0       Up      2h00m  bgp,rip     100ms  300ms      900ms  -                  7       9  Up            meticulous-sha1/2     72000  72010          1    1  its TTL of 254 is below 255  -
            192.0.2.3     eth0       Down        -  bgp        1000ms  100ms          -  -                  8       -  -             -                         0      0          0    1  -                            control detection time expired
            198.51.100.9  -          Down        -  bgp             -      -          -  -                  0       -  -             -                         0      0          0    0  -                            no link leads to it
        "#]],
    );
    check(
        "bfd -o json",
        &expect![[r#"
            [
              {"peer":"192.0.2.2","interface":"eth0","local_address":null,"state":"Up","remote_state":"Up","protocols":["bgp","rip"],"local_discriminator":7,"remote_discriminator":9,"tx_interval_us":100000,"rx_interval_us":300000,"detection_time_ms":900,"diagnostic":null,"remote_diagnostic":null,"uptime_seconds":7200,"authenticated":true,"auth":{"mode":"meticulous-sha1","key_id":2,"remote_key_id":1},"packets_received":72000,"packets_sent":72010,"packets_discarded":1,"discards":{"ttl":1,"malformed":0,"discriminator":0,"authentication":0,"replay":0,"admin_down":0},"last_discard":"its TTL of 254 is below 255","ups":1,"reason":null,"remote_independent":false,"remote_demand":false},
              {"peer":"192.0.2.3","interface":"eth0","local_address":null,"state":"Down","remote_state":null,"protocols":["bgp"],"local_discriminator":8,"remote_discriminator":null,"tx_interval_us":1000000,"rx_interval_us":100000,"detection_time_ms":null,"diagnostic":"control detection time expired","remote_diagnostic":null,"uptime_seconds":null,"authenticated":false,"auth":null,"packets_received":0,"packets_sent":0,"packets_discarded":0,"discards":{"ttl":0,"malformed":0,"discriminator":0,"authentication":0,"replay":0,"admin_down":0},"last_discard":null,"ups":1,"reason":null,"remote_independent":false,"remote_demand":false},
              {"peer":"198.51.100.9","interface":null,"local_address":null,"state":"Down","remote_state":null,"protocols":["bgp"],"local_discriminator":0,"remote_discriminator":null,"tx_interval_us":0,"rx_interval_us":0,"detection_time_ms":null,"diagnostic":null,"remote_diagnostic":null,"uptime_seconds":null,"authenticated":false,"auth":null,"packets_received":0,"packets_sent":0,"packets_discarded":0,"discards":{"ttl":0,"malformed":0,"discriminator":0,"authentication":0,"replay":0,"admin_down":0},"last_discard":null,"ups":0,"reason":"no link leads to it","remote_independent":false,"remote_demand":false}
            ]
        "#]],
    );
}
