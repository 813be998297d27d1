//! Links and their addresses, as a table fed with kernel events.

use std::collections::BTreeMap;
use std::net::IpAddr;

use net::Prefix;
use serde::{Deserialize, Serialize};

use crate::watch::KernelEvent;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's index, unique in the namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Able to carry packets (`IFF_RUNNING`).
    pub running: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// What it is.
    pub kind: LinkKind,
}

/// What kind of interface a link is, as far as routed cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// The loopback.
    Loopback,
    /// A bridge, as Docker makes for a network.
    Bridge,
    /// One end of a veth pair, as a container has.
    Veth,
    /// Anything else.
    Other,
}

/// Links, their addresses and connected subnets; a function of the events.
#[derive(Clone, Debug, Default)]
pub struct Links {
    links: BTreeMap<u32, Link>,
    addresses: BTreeMap<(u32, IpAddr), u8>,
}

impl Links {
    /// The table that a snapshot of the watcher makes.
    pub fn from_snapshot(events: &[KernelEvent]) -> Self {
        let mut links = Self::default();
        for event in events {
            links.apply(event);
        }
        links
    }

    /// Takes one event; what is no link and no address changes nothing.
    pub fn apply(&mut self, event: &KernelEvent) {
        match event {
            KernelEvent::Link(link) => {
                self.links.insert(link.index, link.clone());
            }
            KernelEvent::LinkGone(index) => {
                self.links.remove(index);
                self.addresses.retain(|(link, _), _| link != index);
            }
            KernelEvent::Address { index, address, prefix_len } => {
                self.addresses.insert((*index, *address), *prefix_len);
            }
            KernelEvent::AddressGone { index, address, .. } => {
                self.addresses.remove(&(*index, *address));
            }
            KernelEvent::Resync(snapshot) => *self = Self::from_snapshot(snapshot),
            KernelEvent::Route { .. } | KernelEvent::NextHop(_) => {}
        }
    }

    /// The link with this name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// The link with this index.
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Every link, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The connected subnets of a link, of addresses of global scope, in
    /// order and once each.
    pub fn subnets_of(&self, name: &str) -> Vec<Prefix> {
        let Some(link) = self.by_name(name) else { return Vec::new() };
        let mut subnets: Vec<Prefix> = self
            .addresses_of(link.index)
            .filter(|(address, _)| is_global(*address))
            .filter_map(|(address, length)| Prefix::new(address, length))
            .collect();
        subnets.sort_unstable();
        subnets.dedup();
        subnets
    }

    /// The addresses of a link with their prefix lengths.
    pub fn addresses_of(&self, index: u32) -> impl Iterator<Item = (IpAddr, u8)> {
        let of_link = self.addresses.iter().filter(move |((link, _), _)| *link == index);
        of_link.map(|((_, address), length)| (*address, *length))
    }

    /// The link that an address is connected by: the longest subnet among the
    /// links that are up. `None` for link-local addresses, which say nothing
    /// without a scope; see [`Links::connected_in`].
    pub fn connected(&self, address: IpAddr) -> Option<u32> {
        if is_link_local(address) {
            return None;
        }
        self.addresses
            .iter()
            .filter(|((index, _), _)| self.is_up(*index))
            .filter_map(|((index, own), length)| Some((Prefix::new(*own, *length)?, *index)))
            .filter(|(subnet, _)| subnet.contains(address))
            .max_by_key(|(subnet, index)| (subnet.len(), std::cmp::Reverse(*index)))
            .map(|(_, index)| index)
    }

    /// As [`Links::connected`], where a link-local address is on the link of
    /// its scope (RFC 4007 §6), if that is up.
    pub fn connected_in(&self, address: IpAddr, scope: u32) -> Option<u32> {
        if is_link_local(address) { self.is_up(scope).then_some(scope) } else { self.connected(address) }
    }

    /// Every address with its link and prefix length.
    pub fn addresses(&self) -> impl Iterator<Item = (u32, IpAddr, u8)> {
        self.addresses.iter().map(|((index, address), length)| (*index, *address, *length))
    }

    /// The addresses of a link in order, those with a subnet before single
    /// ones: these may be of a service that is elsewhere too, or tomorrow, and
    /// do not tell who the node is.
    pub fn own_addresses(&self, index: u32) -> Vec<IpAddr> {
        let mut all: Vec<(IpAddr, u8)> = self.addresses_of(index).collect();
        all.sort_by_key(|(address, length)| Prefix::new(*address, *length).is_some_and(Prefix::is_host));
        all.into_iter().map(|(address, _)| address).collect()
    }

    /// The highest address of a link that `fits`, of those with a subnet where
    /// one does: what a router id is made of.
    pub fn highest<T: Ord>(&self, index: u32, fits: impl Fn(IpAddr) -> Option<T>) -> Option<T> {
        let whole = |address, length| Prefix::new(address, length).is_some_and(Prefix::is_host);
        let fitting = self.addresses_of(index);
        let fitting = fitting.filter_map(|(address, length)| Some((!whole(address, length), fits(address)?)));
        fitting.max().map(|(_, highest)| highest)
    }

    /// True when the address is one of this host's.
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.keys().any(|(_, own)| *own == address)
    }

    fn is_up(&self, index: u32) -> bool {
        self.by_index(index).is_some_and(|link| link.up)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_global(address: IpAddr) -> bool {
    !is_link_local(address) && !address.is_loopback()
}

#[cfg(test)]
mod tests;
