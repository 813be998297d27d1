use super::*;

fn link(index: u32, name: &str, up: bool) -> KernelEvent {
    let kind = LinkKind::Other;
    KernelEvent::Link(Link { index, name: name.to_owned(), up, running: up, mtu: 1500, kind })
}

fn address(index: u32, text: &str) -> KernelEvent {
    let (address, length) = text.split_once('/').unwrap();
    KernelEvent::Address { index, address: address.parse().unwrap(), prefix_len: length.parse().unwrap() }
}

fn a(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn table() -> Links {
    Links::from_snapshot(&[
        link(1, "lo", true),
        link(2, "eth0", true),
        link(3, "docker0", true),
        link(4, "down0", false),
        address(1, "127.0.0.1/8"),
        address(2, "10.0.0.1/8"),
        address(2, "fe80::1/64"),
        address(2, "fd00::1/64"),
        address(3, "10.244.1.1/24"),
        address(3, "10.244.1.2/24"),
        address(4, "10.244.1.128/25"),
    ])
}

#[test]
fn the_longest_connected_subnet_of_an_up_link_decides() {
    let mut links = table();
    assert_eq!(links.connected(a("10.244.1.200")), Some(3));
    assert_eq!(links.connected(a("10.9.9.9")), Some(2));
    assert_eq!(links.connected(a("fd00::5")), Some(2));
    assert_eq!(links.connected(a("192.0.2.1")), None);
    links.apply(&link(4, "down0", true));
    assert_eq!(links.connected(a("10.244.1.200")), Some(4));
}

#[test]
fn a_link_local_address_needs_its_scope() {
    let links = table();
    assert_eq!(links.connected(a("fe80::9")), None);
    assert_eq!(links.connected_in(a("fe80::9"), 2), Some(2));
    assert_eq!(links.connected_in(a("fe80::9"), 4), None, "that link is down");
    assert_eq!(links.connected_in(a("10.9.9.9"), 4), Some(2));
}

#[test]
fn subnets_are_those_of_global_addresses_once_each() {
    let links = table();
    assert_eq!(links.subnets_of("eth0"), ["10.0.0.0/8".parse().unwrap(), "fd00::/64".parse().unwrap()]);
    assert_eq!(links.subnets_of("docker0"), ["10.244.1.0/24".parse().unwrap()]);
    assert!(links.subnets_of("lo").is_empty());
    assert!(links.subnets_of("nothing").is_empty());
}

#[test]
fn what_goes_takes_its_addresses_along() {
    let mut links = table();
    assert!(links.is_local(a("10.244.1.2")));
    links.apply(&KernelEvent::LinkGone(3));
    assert!(!links.is_local(a("10.244.1.2")));
    assert_eq!(links.connected(a("10.244.1.9")), Some(2));
    links.apply(&KernelEvent::AddressGone { index: 2, address: a("10.0.0.1"), prefix_len: 8 });
    assert_eq!(links.connected(a("10.244.1.9")), None);
    assert_eq!(links.highest(2, ipv4), None);
}

/// The address, if it is one of IPv4.
fn ipv4(address: IpAddr) -> Option<IpAddr> {
    address.is_ipv4().then_some(address)
}

#[test]
fn an_address_of_a_service_does_not_tell_who_the_node_is() {
    let mut links = Links::default();
    for event in [link(2, "eth0", true), address(2, "203.0.113.9/32"), address(2, "10.0.0.9/32")] {
        links.apply(&event);
    }
    assert_eq!(links.highest(2, ipv4), Some(a("203.0.113.9")), "where there is no other");
    links.apply(&address(2, "192.0.2.1/24"));
    assert_eq!(links.highest(2, ipv4), Some(a("192.0.2.1")));
    assert_eq!(links.own_addresses(2), ["192.0.2.1", "10.0.0.9", "203.0.113.9"].map(a));
}

#[test]
fn a_resync_forgets_what_was() {
    let mut links = table();
    links.apply(&KernelEvent::Resync(vec![link(9, "eth9", true), address(9, "10.9.0.1/16")]));
    assert!(links.by_name("eth0").is_none());
    assert_eq!(links.connected(a("10.9.1.1")), Some(9));
    assert_eq!(links.addresses().count(), 1);
}
