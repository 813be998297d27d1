//! What each peer has yet to be told.
//!
//! Peers that hear the same ([`Audience`]) form a *group*. The group holds
//! what its members are to be told of each prefix, exported once. A *member*
//! holds only how it differs from its group: prefixes whose news it has not
//! pulled yet, each with what it was last told, and how far the dump has come
//! that it gets when its session comes up. Of a prefix that is in neither the
//! member has been told what the group says. So a slow peer costs one entry
//! for each prefix that is news to it, ten flaps of a prefix are one, and what
//! was never sent is never withdrawn.
//!
//! ```text
//!  Change ─► group: export once ─► routes ──────────────┐
//!                      └─ differs? ─► member: pending ──┴─► pull ─► Out
//! ```
//!
//! The first member of a group fills it from the table, so every [`Change`]
//! must be passed to [`AdjOut::change`] before the next [`AdjOut::peer_up`].

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use indexmap::IndexMap;
use ipnetwork::IpNetwork;
use net::{Attrs, Family, Prefix};
use prefix_trie::joint::JointPrefixMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::export::{Audience, Exported, export};
use crate::intern::Interner;
use crate::nexthop::word;
use crate::table::Best;
use crate::{Change, Page, PeerId, PeerInfo, Source, Table};

/// Something to tell a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// These prefixes are reachable with these attributes.
    Reach {
        /// The family of the prefixes.
        family: Family,
        /// Their attributes.
        attrs: Arc<Attrs>,
        /// The prefixes.
        prefixes: Vec<Prefix>,
    },
    /// These are reachable no more; the peer has been told of each.
    Unreach {
        /// The family of the prefixes.
        family: Family,
        /// The prefixes.
        prefixes: Vec<Prefix>,
    },
    /// The peer has now heard all there was when its session came up
    /// (RFC 4724 §2).
    EndOfRib(Family),
}

/// What a group is told of a prefix, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    attrs: Arc<Attrs>,
    source: Source,
}

#[derive(Debug)]
struct Group {
    audience: Audience,
    routes: JointPrefixMap<IpNetwork, Told>,
    members: Vec<PeerId>,
}

/// Telling a family from its first prefix to its last.
#[derive(Debug)]
struct Dump {
    family: Family,
    /// The last prefix that was told.
    after: Option<Prefix>,
    why: DumpWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DumpWhy {
    /// The session came up: nothing behind the cursor has been told.
    Start,
    /// The peer asked again (RFC 2918): everything has been told before.
    Refresh,
}

#[derive(Debug)]
struct Member {
    id: PeerId,
    group: usize,
    address: IpAddr,
    /// Prefixes with news, and what the peer was last told of each.
    pending: IndexMap<Prefix, Option<Arc<Attrs>>, FxBuildHasher>,
    dumps: VecDeque<Dump>,
}

/// The outgoing side of all peers; see the module's page.
#[derive(Debug)]
pub struct AdjOut {
    cluster_id: Ipv4Addr,
    /// A group without members is `None`, and its place is used again.
    groups: Vec<Option<Group>>,
    members: FxHashMap<PeerId, Member>,
    attrs: Interner<Attrs>,
}

impl AdjOut {
    /// No peers; `cluster_id` is that of the table's rules.
    pub fn new(cluster_id: Ipv4Addr) -> Self {
        Self { cluster_id, groups: Vec::new(), members: FxHashMap::default(), attrs: Interner::default() }
    }

    /// A session came up: the peer is to be told everything, then the end of
    /// each family.
    pub fn peer_up(&mut self, table: &Table, peer: &PeerInfo) {
        self.peer_down(peer.id);
        let group = self.join(table, peer);
        let dumps =
            peer.families.iter().map(|family| Dump { family: *family, after: None, why: DumpWhy::Start });
        let member = Member {
            id: peer.id,
            group,
            address: peer.address,
            pending: IndexMap::default(),
            dumps: dumps.collect(),
        };
        self.members.insert(peer.id, member);
    }

    /// A session went down: the peer has been told nothing.
    pub fn peer_down(&mut self, id: PeerId) {
        if let Some(member) = self.members.remove(&id) {
            self.leave(member.group, id);
        }
    }

    /// The export filter or next hop of a peer changed while its session stays:
    /// it is told what differs.
    pub fn peer_changed(&mut self, table: &Table, peer: &PeerInfo) {
        let Some(member) = self.members.get(&peer.id) else { return };
        let old = member.group;
        if self.groups[old].as_ref().is_some_and(|group| group.audience == Audience::of(peer)) {
            return;
        }
        let new = self.join(table, peer);
        let [Some(before), Some(after)] = [&self.groups[old], &self.groups[new]] else { return };
        let Some(member) = self.members.get_mut(&peer.id) else { return };
        for (network, told) in &before.routes {
            let Some(prefix) = word(network).filter(|prefix| !member.will_dump(*prefix)) else { continue };
            let told = member.sees(Some(told));
            let wanted = member.sees(after.routes.get(&network));
            member.news(prefix, told, wanted.as_ref());
        }
        for (network, wanted) in &after.routes {
            let fresh = before.routes.get(&network).is_none();
            if let Some(prefix) = word(network).filter(|prefix| fresh && !member.will_dump(*prefix)) {
                let wanted = member.sees(Some(wanted));
                member.news(prefix, None, wanted.as_ref());
            }
        }
        member.group = new;
        self.leave(old, peer.id);
    }

    /// The peer asks to be told a family again (RFC 2918 §4).
    pub fn refresh(&mut self, id: PeerId, family: Family) {
        let Some(member) = self.members.get_mut(&id) else { return };
        // A dump that has yet to end, from the start or not, begins again.
        match member.dumps.iter_mut().find(|dump| dump.family == family) {
            Some(dump) if dump.why == DumpWhy::Refresh => dump.after = None,
            Some(_) => {}
            None => member.dumps.push_back(Dump { family, after: None, why: DumpWhy::Refresh }),
        }
    }

    /// A best route changed.
    pub fn change(&mut self, table: &Table, change: &Change) {
        let Self { cluster_id, groups, members, attrs } = self;
        for group in groups.iter_mut().flatten() {
            let new = change
                .new
                .as_ref()
                .and_then(|best| told(table, change.prefix, best, (&group.audience, *cluster_id), attrs));
            let old = match &new {
                Some(new) => group.routes.insert(change.prefix.network(), new.clone()),
                None => group.routes.remove(&change.prefix.network()),
            };
            if old == new {
                continue;
            }
            for id in &group.members {
                let Some(member) = members.get_mut(id) else { continue };
                if !member.will_dump(change.prefix) {
                    let was = member.sees(old.as_ref());
                    let is = member.sees(new.as_ref());
                    member.news(change.prefix, was, is.as_ref());
                }
            }
        }
    }

    /// True when [`AdjOut::pull`] has something for the peer.
    pub fn has_work(&self, id: PeerId) -> bool {
        self.members.get(&id).is_some_and(|member| !member.pending.is_empty() || !member.dumps.is_empty())
    }

    /// The peers that have something to pull.
    pub fn with_work(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.members.keys().copied().filter(|id| self.has_work(*id))
    }

    /// Takes what a peer is to be told next, of about `budget` prefixes, and
    /// holds that it has been told. Withdrawals come first, then what is
    /// reachable grouped by its attributes, then the end of a family.
    pub fn pull(&mut self, id: PeerId, budget: usize) -> Vec<Out> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        let Some(group) = &self.groups[member.group] else { return Vec::new() };
        let mut batch = Batch::default();
        while batch.size < budget {
            let Some((prefix, told)) = member.pending.pop() else { break };
            let wanted = member.sees(group.routes.get(&prefix.network()));
            match (told, wanted) {
                (told, Some(wanted)) if told.as_ref() != Some(&wanted) => batch.reach(prefix, wanted),
                (Some(_), None) => batch.unreach(prefix),
                _ => {}
            }
        }
        let mut ends = Vec::new();
        while batch.size < budget
            && let Some(mut dump) = member.dumps.pop_front()
        {
            if member.dump(group, &mut dump, budget, &mut batch) {
                if dump.why == DumpWhy::Start {
                    ends.push(Out::EndOfRib(dump.family));
                }
            } else {
                member.dumps.push_front(dump);
            }
        }
        let mut out = batch.into_out();
        out.extend(ends);
        out
    }

    /// What a peer is told of a prefix, whether it has pulled it yet or not.
    pub fn advertised_of(&self, id: PeerId, prefix: Prefix) -> Option<Arc<Attrs>> {
        let member = self.members.get(&id)?;
        member.sees(self.groups[member.group].as_ref()?.routes.get(&prefix.network()))
    }

    /// What a peer is told, up to `max` prefixes after a cursor.
    pub fn advertised(&self, id: PeerId, after: Option<Prefix>, max: usize) -> Page<(Prefix, Arc<Attrs>)> {
        let mut page = Page { items: Vec::new(), next: None };
        let Some(member) = self.members.get(&id) else { return page };
        let Some(group) = &self.groups[member.group] else { return page };
        for (prefix, told) in group.after(after) {
            let Some(attrs) = member.sees(Some(told)) else { continue };
            if page.items.len() == max {
                page.next = page.items.last().map(|(prefix, _)| *prefix).or(after);
                break;
            }
            page.items.push((prefix, attrs));
        }
        page
    }

    /// How many prefixes a peer is told. Walks what its group is told.
    pub fn count(&self, id: PeerId) -> usize {
        let Some(member) = self.members.get(&id) else { return 0 };
        let Some(group) = &self.groups[member.group] else { return 0 };
        group.routes.values().filter(|told| member.sees(Some(told)).is_some()).count()
    }

    /// Enters the group of a peer, which the first member fills from the table.
    fn join(&mut self, table: &Table, peer: &PeerInfo) -> usize {
        let audience = Audience::of(peer);
        let known = self
            .groups
            .iter()
            .position(|group| group.as_ref().is_some_and(|group| group.audience == audience));
        let index = known.unwrap_or_else(|| {
            let mut routes = JointPrefixMap::new();
            for (prefix, best) in table.best_routes() {
                let told = told(table, prefix, &best, (&audience, self.cluster_id), &mut self.attrs);
                told.map(|told| routes.insert(prefix.network(), told));
            }
            let group = Some(Group { audience, routes, members: Vec::new() });
            if let Some(free) = self.groups.iter().position(Option::is_none) {
                self.groups[free] = group;
                free
            } else {
                self.groups.push(group);
                self.groups.len() - 1
            }
        });
        if let Some(group) = &mut self.groups[index] {
            group.members.push(peer.id);
        }
        index
    }

    fn leave(&mut self, index: usize, id: PeerId) {
        if let Some(group) = &mut self.groups[index] {
            group.members.retain(|member| *member != id);
            if group.members.is_empty() {
                self.groups[index] = None;
            }
        }
    }
}

impl Group {
    /// The routes after a cursor, in the order of prefixes.
    fn after(&self, after: Option<Prefix>) -> Box<dyn Iterator<Item = (Prefix, &Told)> + '_> {
        let rest: Box<dyn Iterator<Item = (IpNetwork, &Told)>> = match after {
            Some(after) => Box::new(self.routes.iter_from(&after.network(), false)),
            None => Box::new(self.routes.iter()),
        };
        Box::new(rest.filter_map(|(network, told)| Some((word(network)?, told))))
    }

    /// The routes of a family after a cursor.
    fn family_after(&self, family: Family, after: Option<Prefix>) -> impl Iterator<Item = (Prefix, &Told)> {
        let first = match family {
            Family::Ipv4Unicast => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6Unicast => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let start = Prefix::new(first, 0).filter(|_| after.is_none());
        let root = start.and_then(|start| Some((start, self.routes.get(&start.network())?)));
        root.into_iter()
            .chain(self.after(after.or(start)))
            .skip_while(move |(prefix, _)| prefix.family() != family)
            .take_while(move |(prefix, _)| prefix.family() == family)
    }
}

impl Member {
    /// What this member sees of what its group is told: nothing that it said
    /// itself (RFC 4271 §9.1.3), and nothing that leads to itself (§5.1.3).
    fn sees(&self, told: Option<&Told>) -> Option<Arc<Attrs>> {
        let told = told?;
        let to_itself = told.attrs.next_hop.is_some_and(|next_hop| next_hop.address() == self.address);
        (told.source != Source::Peer(self.id) && !to_itself).then(|| Arc::clone(&told.attrs))
    }

    /// Notes that a prefix is to be told anew, or no more so where the news
    /// took itself back.
    fn news(&mut self, prefix: Prefix, was: Option<Arc<Attrs>>, is: Option<&Arc<Attrs>>) {
        let last = self.pending.get(&prefix).cloned().unwrap_or(was);
        if last.as_ref() == is {
            self.pending.swap_remove(&prefix);
        } else {
            self.pending.insert(prefix, last);
        }
    }

    /// True when the dump at the start has yet to come to a prefix, and will
    /// tell it as it is then.
    fn will_dump(&self, prefix: Prefix) -> bool {
        self.dumps.iter().any(|dump| {
            dump.why == DumpWhy::Start
                && dump.family == prefix.family()
                && dump.after.is_none_or(|after| prefix > after)
        })
    }

    /// Tells up to the budget of a dump; true when it came to its end.
    fn dump(&self, group: &Group, dump: &mut Dump, budget: usize, batch: &mut Batch) -> bool {
        for (prefix, told) in group.family_after(dump.family, dump.after) {
            if batch.size >= budget {
                return false;
            }
            dump.after = Some(prefix);
            if let Some(attrs) = self.sees(Some(told)) {
                batch.reach(prefix, attrs);
            }
        }
        true
    }
}

/// What an audience is told of a best route, if anything.
fn told(
    table: &Table,
    prefix: Prefix,
    best: &Best,
    (audience, cluster_id): (&Audience, Ipv4Addr),
    interner: &mut Interner<Attrs>,
) -> Option<Told> {
    let source = best.path.source;
    let teller = match source {
        Source::Peer(id) => table.peer(id),
        Source::Local => None,
    };
    match export(prefix, best, teller, audience, cluster_id) {
        Exported::Send(attrs) => Some(Told { attrs: interner.intern(attrs), source }),
        Exported::Not(_) => None,
    }
}

/// Attributes are interned: equal ones are at one address.
type ReachKey = (Family, *const Attrs);

/// Prefixes gathered by what is said of them.
#[derive(Default)]
struct Batch {
    size: usize,
    unreach: [Vec<Prefix>; Family::ALL.len()],
    reach: IndexMap<ReachKey, (Arc<Attrs>, Vec<Prefix>), FxBuildHasher>,
}

impl Batch {
    fn unreach(&mut self, prefix: Prefix) {
        self.size += 1;
        self.unreach[prefix.family().index()].push(prefix);
    }

    fn reach(&mut self, prefix: Prefix, attrs: Arc<Attrs>) {
        self.size += 1;
        let key = (prefix.family(), Arc::as_ptr(&attrs));
        self.reach.entry(key).or_insert_with(|| (attrs, Vec::new())).1.push(prefix);
    }

    fn into_out(self) -> Vec<Out> {
        let unreach = Family::ALL.into_iter().zip(self.unreach);
        let unreach = unreach.filter(|(_, prefixes)| !prefixes.is_empty());
        let unreach = unreach.map(|(family, prefixes)| Out::Unreach { family, prefixes });
        let reach = self.reach.into_iter();
        let reach = reach.map(|((family, _), (attrs, prefixes))| Out::Reach { family, attrs, prefixes });
        unreach.chain(reach).collect()
    }
}

#[cfg(test)]
mod tests;
