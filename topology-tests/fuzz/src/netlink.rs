//! What comes out of a netlink socket: events, refusals and the table of
//! links that is made of them.

use kernel::watch::events_of;
use kernel::{KernelEvent, Links, refusals_of};

/// Takes one datagram.
///
/// # Panics
/// When a property does not hold.
pub fn run(datagram: &[u8]) {
    let events = events_of(datagram, None);
    // A message has at least its header.
    assert!(events.len() <= datagram.len() / 16);
    // What the writer wrote itself is among what all sockets wrote.
    let others = events_of(datagram, Some(1));
    assert!(others.iter().all(|event| events.contains(event)));
    for event in &events {
        match event {
            KernelEvent::Address { address, prefix_len, .. }
            | KernelEvent::AddressGone { address, prefix_len, .. } => {
                let _ = net::Prefix::new(*address, *prefix_len);
            }
            _ => {}
        }
    }
    let links = Links::from_snapshot(&events);
    for link in links.iter() {
        assert_eq!(links.by_index(link.index), Some(link));
        let _ = links.subnets_of(&link.name);
    }
    for (index, address, _) in links.addresses() {
        assert!(links.is_local(address));
        let _ = links.connected_in(address, index);
    }
    let _ = refusals_of(datagram);
}
