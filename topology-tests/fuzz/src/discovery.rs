//! Router solicitations and advertisements of anybody on the link: few answers,
//! and a neighbour that is link-local.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bgp::discovery::wire::Received;
use bgp::discovery::{Action, Discovery};

/// A message: seconds to wait before it, the end of its source, its hop
/// limit and its octets.
pub type Turn = (u8, u8, u8, Vec<u8>);

/// Takes messages, one after the other.
///
/// # Panics
/// When a property does not hold.
pub fn run(turns: &[Turn]) {
    let mut now = Instant::now();
    let mut discovery = Discovery::new(now, 7);
    for (wait, source, hop_limit, bytes) in turns {
        now += Duration::from_secs(u64::from(*wait));
        let mut actions: Vec<Action> = Vec::new();
        while discovery.next_deadline() <= now {
            discovery.tick(discovery.next_deadline(), &mut actions);
            assert!(actions.len() <= 3, "{actions:?}");
            actions.clear();
        }
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(source % 4));
        // Most are valid in what the link says.
        let hop_limit = Some(if *hop_limit < 200 { 255 } else { *hop_limit });
        let discarded = discovery.handle(now, &Received { source, hop_limit, bytes }, &mut actions).is_err();
        assert!(actions.len() <= usize::from(!discarded), "{actions:?}");
        assert!(discovery.neighbor().is_none_or(|neighbor| neighbor.is_unicast_link_local()));
        assert!(discovery.rival().is_none() || discovery.rival() != discovery.neighbor());
    }
}
