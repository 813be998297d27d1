//! What this node has of its own: the subnets of its bridges, configured and
//! announced prefixes, static routes; and who else claims them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use kernel::Links;
use net::Prefix;
use rib::nexthop::Link;
use rib::{Origination, PeerId, Protocol, Via};
use tracing::{info, warn};

use super::aggregate::Aggregates;
use super::{Originated, TableTask};
use crate::config::{Advertise, Config, PeerKey, While};
use crate::tasks::Owned;

/// What this node originates, and what it was told to over the API.
#[derive(Default)]
pub(super) struct Local {
    originated: Originated,
    /// Announced over the API; kept until withdrawn or until the daemon ends.
    pub(super) announced: BTreeMap<Prefix, Origination>,
    /// Which aggregates have something inside.
    pub(super) aggregates: Aggregates,
    /// Blocks that this node has claimed.
    claimed: Vec<Prefix>,
    /// Own prefixes that somebody else announces, with whom.
    conflicts: BTreeMap<Prefix, BTreeSet<PeerKey>>,
}

impl Local {
    /// Somebody else announces what is ours.
    pub(super) fn conflict(&mut self, prefix: Prefix, peer: Option<PeerKey>) {
        let Some(peer) = peer else { return };
        if self.conflicts.entry(prefix).or_default().insert(peer.clone()) {
            warn!(%prefix, %peer, "a peer announces a prefix of this node; its route is not used");
        }
    }

    /// The conflicts there are: own prefix, and who else announces it.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = (Prefix, &PeerKey)> + '_ {
        self.conflicts.iter().flat_map(|(prefix, peers)| peers.iter().map(|peer| (*prefix, peer)))
    }

    pub(super) fn forget_peer(&mut self, _: PeerId) {
        self.conflicts.clear();
    }

    /// Drops the conflicts that `still` does not confirm.
    pub(super) fn retain_conflicts(&mut self, still: impl Fn(Prefix, &PeerKey) -> bool) {
        for (prefix, peers) in &mut self.conflicts {
            peers.retain(|peer| still(*prefix, peer));
        }
        self.conflicts.retain(|_, peers| !peers.is_empty());
    }
}

impl TableTask {
    /// Links or addresses changed, or the configuration did.
    pub(super) fn follow_links(&mut self, now: Instant) {
        let wanted = originations(&self.config, &self.links, &self.local);
        self.originate(now, wanted);
        let addresses: Vec<IpAddr> = self.links.addresses().map(|(_, address, _)| address).collect();
        self.table.set_links(now, &connected(&self.config, &self.links), addresses.iter().copied());
        let subnets = own_subnets(&self.config, &self.links).collect();
        let owned =
            Owned { blocks: blocks(&self.config, &self.links, &self.local.claimed), addresses, subnets };
        self.links_out.send_replace(self.links.clone());
        self.owned.send_if_modified(|current| {
            let differs = *current != owned;
            *current = owned;
            differs
        });
    }

    fn originate(&mut self, now: Instant, wanted: Originated) {
        for key @ (prefix, protocol, path_id) in self.local.originated.keys() {
            if !wanted.contains_key(key) {
                info!(%prefix, %protocol, "no longer originated");
                self.table.unoriginate(*prefix, *protocol, *path_id);
            }
        }
        for (key @ (prefix, protocol, _), origination) in &wanted {
            let known = self.local.originated.get(key);
            if known.is_none_or(|known| !same(known, origination)) {
                info!(%prefix, %protocol, "originated");
                self.table.originate(now, *prefix, origination.clone());
            }
        }
        self.local.originated = wanted;
    }

    /// The blocks that this node has claimed.
    pub(super) fn claimed(&mut self, now: Instant, blocks: Vec<Prefix>) {
        self.local.claimed = blocks;
        self.follow_links(now);
    }

    /// Another configuration: advertised prefixes, static routes, blocks. Of
    /// their filters the peers tell themselves ([`TableTask::configure_peer`]).
    pub(super) fn configure(&mut self, now: Instant, config: Arc<Config>) {
        let marked = |config: &Config| config.bgp.as_ref().is_some_and(|bgp| bgp.graceful_shutdown);
        let marks = marked(&config) != marked(&self.config);
        self.config = config;
        self.local.aggregates.again(&self.config);
        if marks {
            self.mark_peers();
        }
        self.follow_links(now);
        self.configure_rip();
    }
}

fn same(one: &Origination, other: &Origination) -> bool {
    let says = |of: &Origination| (of.via, of.metric, of.distance, of.weight);
    says(one) == says(other) && (&one.attrs, &one.refused) == (&other.attrs, &other.refused)
}

/// What the node is to originate: a function of configuration, links and
/// announcements alone.
fn originations(config: &Config, links: &Links, own: &Local) -> Originated {
    let mut wanted = Originated::new();
    let mut local = |prefix, via| {
        let origination = || Origination::new(Protocol::Local, via);
        wanted.entry((prefix, Protocol::Local, 0)).or_insert_with(origination);
    };
    for (prefix, ifindex) in advertised_subnets(config, links) {
        local(prefix, Via::OnLink { gateway: None, ifindex });
    }
    let prefixes = config.advertise.iter().filter_map(|advertise| match advertise {
        Advertise::Prefix(prefix) => Some(*prefix),
        Advertise::Tracked { prefix, condition: While::Present } => {
            present(*prefix, links).then_some(*prefix)
        }
        Advertise::Interface(_) => None,
    });
    for prefix in prefixes.chain(config.ipam.blocks.iter().copied()).chain(own.claimed.iter().copied()) {
        local(prefix, own_via(prefix, links));
    }
    for (prefix, origination) in &own.announced {
        wanted.entry((*prefix, Protocol::Local, 0)).or_insert_with(|| origination.clone());
    }
    for ((prefix, ..), origination) in &mut wanted {
        // A single address may be that of several nodes (anycast); a subnet is one's alone.
        origination.owned = !prefix.is_host();
    }
    wanted.extend(own.aggregates.originations(config));
    wanted.extend(super::statics::originations(config, links));
    wanted
}

/// Where the packets of an own prefix go that no more specific route takes:
/// to the link that has the very subnet, else nowhere, so that they do not
/// loop by the default route. A host route is the kernel's own affair.
pub(super) fn own_via(prefix: Prefix, links: &Links) -> Via {
    let on = links.addresses().find(|(_, address, length)| Prefix::new(*address, *length) == Some(prefix));
    match on {
        Some((ifindex, ..)) => Via::OnLink { gateway: None, ifindex },
        None if prefix.is_host() => Via::Kernel,
        None => Via::Discard,
    }
}

/// True while a link that is up has an address inside.
fn present(prefix: Prefix, links: &Links) -> bool {
    let up = |index| links.by_index(index).is_some_and(|link| link.up);
    links.addresses().any(|(index, address, _)| prefix.contains(address) && up(index))
}

/// The subnets of the advertised interfaces that are up.
fn advertised_subnets(config: &Config, links: &Links) -> Vec<(Prefix, u32)> {
    let interfaces = config.advertise.iter().filter_map(|advertise| match advertise {
        Advertise::Interface(name) => links.by_name(name).filter(|link| link.up),
        Advertise::Prefix(_) | Advertise::Tracked { .. } => None,
    });
    interfaces
        .flat_map(|link| links.subnets_of(&link.name).into_iter().map(|prefix| (prefix, link.index)))
        .collect()
}

/// Those of them that are nobody else's: all but single addresses, of which
/// no container gets one and which other nodes may have too.
fn own_subnets(config: &Config, links: &Links) -> impl Iterator<Item = Prefix> {
    advertised_subnets(config, links).into_iter().map(|(prefix, _)| prefix).filter(|prefix| !prefix.is_host())
}

/// The blocks that containers of this node get their addresses from.
fn blocks(config: &Config, links: &Links, claimed: &[Prefix]) -> Vec<Prefix> {
    if !config.ipam.blocks.is_empty() {
        return config.ipam.blocks.clone();
    }
    let in_pools = |prefix: &Prefix| config.cluster.pools.iter().any(|pool| pool.covers(*prefix));
    let mut blocks: Vec<Prefix> = own_subnets(config, links).filter(in_pools).collect();
    blocks.extend(claimed);
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// The subnets of the other links that are up and have a carrier: there next
/// hops are found.
fn connected(config: &Config, links: &Links) -> Vec<Link> {
    let own: BTreeSet<Prefix> =
        advertised_subnets(config, links).into_iter().map(|(prefix, _)| prefix).collect();
    let mut connected: Vec<Link> = links
        .iter()
        .filter(|link| link.up && link.running)
        .flat_map(|link| {
            links.subnets_of(&link.name).into_iter().map(|prefix| Link { prefix, ifindex: link.index })
        })
        .filter(|link| !own.contains(&link.prefix) && !link.prefix.is_martian())
        .collect();
    connected.sort_unstable();
    connected
}

#[cfg(test)]
mod tests {
    use kernel::KernelEvent;
    use kernel::links::{Link as KernelLink, LinkKind};

    use super::*;

    fn config(source: &str) -> Config {
        crate::config::parse("test.toml", source).unwrap().0
    }

    fn links() -> Links {
        let link = |index, name: &str| {
            let name = name.to_owned();
            KernelEvent::Link(KernelLink {
                index,
                name,
                up: true,
                running: true,
                mtu: 1500,
                kind: LinkKind::Bridge,
            })
        };
        let address = |index, address: &str, prefix_len| KernelEvent::Address {
            index,
            address: address.parse().unwrap(),
            prefix_len,
        };
        let mut links = Links::default();
        for event in [
            link(2, "eth0"),
            link(3, "docker0"),
            address(2, "192.0.2.1", 24),
            address(3, "10.244.1.1", 24),
            address(3, "fe80::1", 64),
        ] {
            links.apply(&event);
        }
        links
    }

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_subnet_of_an_advertised_bridge_is_a_block_and_a_local_route() {
        let config = config("[[advertise]]\ninterface = \"docker0\"\n");
        let wanted = originations(&config, &links(), &Local::default());
        assert_eq!(wanted.keys().collect::<Vec<_>>(), [&(p("10.244.1.0/24"), Protocol::Local, 0)]);
        assert_eq!(blocks(&config, &links(), &[]), [p("10.244.1.0/24")]);
        assert_eq!(connected(&config, &links()), [Link { prefix: p("192.0.2.0/24"), ifindex: 2 }]);
    }

    #[test]
    fn single_addresses_of_an_advertised_interface_are_told_and_others_may_have_them_too() {
        let config = config("[[advertise]]\ninterface = \"docker0\"\n");
        let mut links = links();
        for (address, prefix_len) in [("10.244.9.9", 32), ("fd44::9", 128), ("127.0.0.9", 32), ("::1", 128)] {
            let address = address.parse().unwrap();
            links.apply(&KernelEvent::Address { index: 3, address, prefix_len });
        }
        let wanted = originations(&config, &links, &Local::default());
        let told: Vec<(String, bool)> =
            wanted.iter().map(|((prefix, ..), told)| (prefix.to_string(), told.owned)).collect();
        let wanted = [("10.244.1.0/24", true), ("10.244.9.9/32", false), ("fd44::9/128", false)];
        assert_eq!(told, wanted.map(|(prefix, owned)| (prefix.to_owned(), owned)));
        assert_eq!(blocks(&config, &links, &[]), [p("10.244.1.0/24")], "no container gets one");
    }

    #[test]
    fn a_bridge_outside_the_pools_is_no_block() {
        let config = config("[cluster]\npools = [\"10.0.0.0/16\"]\n[[advertise]]\ninterface = \"docker0\"\n");
        assert_eq!(blocks(&config, &links(), &[]), []);
    }

    #[test]
    fn a_tracked_prefix_is_told_while_an_interface_that_is_up_has_an_address_inside() {
        let config = config(
            "[[advertise]]\nprefix = \"192.0.2.1/32\"\nwhile = \"present\"\n\
             [[advertise]]\nprefix = \"10.96.0.0/24\"\nwhile = \"present\"\n",
        );
        let mut links = links();
        let told = |links: &Links| {
            let wanted = originations(&config, links, &Local::default());
            wanted.into_iter().map(|((prefix, ..), told)| (prefix.to_string(), told.via)).collect::<Vec<_>>()
        };
        assert_eq!(told(&links), [("192.0.2.1/32".to_owned(), Via::Kernel)]);
        let address = "10.96.0.10".parse().unwrap();
        links.apply(&KernelEvent::Address { index: 3, address, prefix_len: 32 });
        assert_eq!(told(&links)[0], ("10.96.0.0/24".to_owned(), Via::Discard));
        let mut down = links.by_index(3).unwrap().clone();
        down.up = false;
        links.apply(&KernelEvent::Link(down));
        assert_eq!(told(&links).len(), 1);
    }

    #[test]
    fn an_own_prefix_that_no_link_has_is_discarded() {
        let config =
            config("[[advertise]]\nprefix = \"10.1.0.0/16\"\n[[advertise]]\nprefix = \"192.0.2.0/24\"\n");
        let wanted = originations(&config, &links(), &Local::default());
        assert_eq!(wanted[&(p("10.1.0.0/16"), Protocol::Local, 0)].via, Via::Discard);
        assert!(matches!(
            wanted[&(p("192.0.2.0/24"), Protocol::Local, 0)].via,
            Via::OnLink { ifindex: 2, .. }
        ));
    }
}
