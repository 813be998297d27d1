//! What each peer has yet to be told, and telling it.
//!
//! Peers that hear the same in the same octets ([`Audience`], and a format)
//! form a *group*. What a group is told of a prefix is the export of its best
//! route and kept nowhere: a [`Change`] brings the old best route and the new
//! one, and both are exported anew, once for all routes that are alike. What
//! is kept is only what differs from what was told:
//!
//! ```text
//!             ┌─ news of the group ── cut ──► written once ──► members in step
//!  Change ────┤
//!             └─ news of a member ──► written for it alone ──► members alone
//! ```
//!
//! Where a group is told several paths to a prefix (RFC 7911) an [`Offered`]
//! stands in the place of the [`Change`], with all usable paths before and
//! after, and each path has its own news under its own identifier. How many
//! of them the group is told is a matter of the export, as the filter is.
//!
//! A member *in step* has been handed every letter of its group. A letter says
//! of each of its lines whom it is for: what a peer told itself, or what leads
//! to itself, is for everybody else. A member is *alone* while its first dump
//! lasts, after a refresh, and when it has fallen so far behind that its unsent
//! letters would cost too much: then it is told from a set of the prefixes that
//! differ, which is bounded by the table, and in which ten flaps are one. When
//! that set is empty it is in step again. Nothing waits for a timer, unless an
//! interval is configured ([`pace`]): a cut is made as soon as one member in
//! step can take it.
//!
//! Every [`Change`] and every [`Offered`] that was taken from the table must
//! have been passed on before any other call.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use net::{Attrs, Family, Jitter, Nlri, Prefix};
use rustc_hash::FxHashMap;

use self::group::Group;
use self::held::{Held, View};
use self::member::{Member, Standing};
use self::told::{Exporter, Scene, Tells, both};
use crate::export::{Audience, Teller};
use crate::intern::Interner;
use crate::table::Best;
use crate::{Change, Offered, Offers, Page, Path, PeerId, PeerInfo, Source, Table};

pub use self::letter::{Line, Out, Post, To};
pub use self::together::Together;

mod batch;
mod chunk;
mod counts;
mod group;
mod held;
mod letter;
mod member;
mod pace;
mod together;
mod told;

/// How much may be under way, and how much is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A member that is alone is written to while it has fewer octets unsent
    /// than this.
    pub low: usize,
    /// A group is written to while the fastest of its members has fewer octets
    /// unsent than this.
    pub steady: usize,
    /// A member with as many octets unsent is in step no more.
    pub far: usize,
    /// How many prefixes a letter to a group has at most.
    pub cut: usize,
    /// How many prefixes are looked at for a letter to one member.
    pub pull: usize,
    /// How many prefixes are looked at in one call for members that are alone.
    pub turn: usize,
}

impl Default for Limits {
    /// Sockets take some hundred KB at once; what is more than that only
    /// bridges the time until a task runs.
    fn default() -> Self {
        Self {
            low: 64 * 1024,
            steady: 512 * 1024,
            far: 2 * 1024 * 1024,
            cut: 8192,
            pull: 4096,
            turn: 32 * 1024,
        }
    }
}

/// Whether a call has done everything that could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Left {
    /// What is left waits for peers.
    Nothing,
    /// There is more to do at once; others were let in between.
    Work,
}

/// A route as a peer is told it.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertised {
    /// The prefix, with a path identifier where the peer is told several paths.
    pub nlri: Nlri,
    /// The path that it comes from.
    pub path: Arc<Path>,
    /// The attributes that the peer is told.
    pub attrs: Arc<Attrs>,
}

/// The outgoing side of all peers; see the module's page.
#[derive(Debug)]
pub struct AdjOut<P: Post> {
    cluster_id: Ipv4Addr,
    limits: Limits,
    /// A group without members is `None`, and its place is used again.
    groups: Vec<Option<Group<P::Format, P::Letter>>>,
    /// The number of the last group that was made.
    last_group: u64,
    members: FxHashMap<PeerId, Member>,
    /// What exports depend on of the sources of paths, as it was at the last one.
    tellers: FxHashMap<PeerId, Teller>,
    attrs: Interner<Attrs>,
    held: Held,
    jitter: Jitter,
}

impl<P: Post> AdjOut<P> {
    /// No peers; `cluster_id` is that of the table's rules.
    pub fn new(cluster_id: Ipv4Addr, limits: Limits) -> Self {
        Self {
            cluster_id,
            limits,
            groups: Vec::new(),
            last_group: 0,
            members: FxHashMap::default(),
            tellers: FxHashMap::default(),
            attrs: Interner::default(),
            held: Held::default(),
            // Of each node its own.
            jitter: Jitter::new(u32::from(cluster_id).into()),
        }
    }

    /// A session came up: the peer is to be told everything, then the end of
    /// each family, in octets of this format.
    pub fn peer_up(&mut self, table: &Table, peer: &PeerInfo, format: P::Format) {
        self.peer_down(peer.id);
        self.teller(table, peer);
        let group = self.join(peer, format);
        let member = Member::new(peer, group);
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
        self.teller(table, peer);
        let Some(member) = self.members.get(&peer.id) else { return };
        let old = member.group;
        let Some(group) = &mut self.groups[old] else { return };
        if group.exporter.audience == Audience::of(peer) {
            return;
        }
        let format = group.format.clone();
        group.part(&mut self.members, peer.id);
        let new = self.join(peer, format);
        let Self { groups, members, held, .. } = self;
        let view = View { table, held };
        let Ok([Some(before), Some(after)]) = groups.get_disjoint_mut([old, new]) else { return };
        let Some(member) = members.get_mut(&peer.id) else { return };
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        for family in Family::ALL {
            // How many paths it is told is agreed on with the session; only the
            // limit can be another.
            for (prefix, offers) in view.tellable_after(family, None, after.exporter.several(family)) {
                let was = before.exporter.all(&mut scene, prefix, &offers);
                let is = after.exporter.all(&mut scene, prefix, &offers);
                both(prefix, &was, &is).for_each(|(nlri, news)| member.news(nlri, &news));
            }
        }
        member.group = new;
        self.leave(old, peer.id);
    }

    /// The peer asks to be told a family again (RFC 2918 §4).
    pub fn refresh(&mut self, id: PeerId, family: Family) {
        let Some(index) = self.members.get(&id).map(|member| member.group) else { return };
        let Some(group) = &mut self.groups[index] else { return };
        group.part(&mut self.members, id);
        if let Some(Member { standing: Standing::Alone(alone), .. }) = self.members.get_mut(&id) {
            alone.refresh(family);
        }
    }

    /// A best route changed.
    pub fn change(&mut self, table: &Table, change: &Change) {
        let Change { prefix, old, new } = change;
        [old, new].into_iter().flatten().for_each(|best| self.know(table, &best.path));
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        for group in self.groups.iter_mut().flatten() {
            if group.exporter.several(prefix.family()) {
                continue;
            }
            let mut told =
                |best: &Option<Best>| group.exporter.told(&mut scene, *prefix, best.as_ref()?.into());
            let news = (told(old), told(new));
            group.note(&mut self.members, ((*prefix).into(), news));
            if group.before.is_some() {
                let mut told =
                    |best: &Option<Best>| group.unfiltered().told(&mut scene, *prefix, best.as_ref()?.into());
                let news = (told(old), told(new));
                group.note_before(prefix.family(), &news);
            }
        }
    }

    /// The usable paths of a prefix changed, for those who are told several.
    pub fn offered(&mut self, table: &Table, offered: &Offered) {
        if self.holds_offered(offered) {
            return;
        }
        let Offered { prefix, old, new } = offered;
        old.iter().chain(new).for_each(|offer| self.know(table, &offer.path));
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        for group in self.groups.iter_mut().flatten() {
            if !group.exporter.several(prefix.family()) {
                continue;
            }
            let was = group.exporter.all(&mut scene, *prefix, old);
            let is = group.exporter.all(&mut scene, *prefix, new);
            both(*prefix, &was, &is).for_each(|news| group.note(&mut self.members, news));
            if group.before.is_some() {
                let was = group.unfiltered().all(&mut scene, *prefix, old);
                let is = group.unfiltered().all(&mut scene, *prefix, new);
                let family = prefix.family();
                both(*prefix, &was, &is).for_each(|(_, news)| group.note_before(family, &news));
            }
        }
    }

    /// True when a peer is told several paths to a prefix.
    pub fn tells_several(&self) -> bool {
        let several = |group: &Group<P::Format, P::Letter>| {
            Family::ALL.into_iter().any(|family| group.exporter.several(family))
        };
        self.groups.iter().flatten().any(several)
    }

    /// Writes and hands out what peers can take.
    pub fn deliver(&mut self, now: Instant, table: &Table, post: &mut P) -> Left {
        let mut left = Left::Nothing;
        let mut turn = Turn { limits: self.limits, left: self.limits.turn.max(self.limits.pull) };
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        let view = View { table, held: &self.held };
        for group in self.groups.iter_mut().flatten() {
            if group.serve_alone(&mut self.members, (view, &mut scene), post, &mut turn) == Left::Work {
                left = Left::Work;
            }
            group.serve_in_step(&mut self.members, self.limits, post, (now, &mut self.jitter));
            group.forget();
        }
        left
    }

    /// When there is more to tell, though nothing has changed by then: the
    /// interval of some peers is over.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.groups.iter().flatten().filter_map(Group::deadline).min()
    }

    /// True when a peer has yet to be told something.
    pub fn has_work(&self, id: PeerId) -> bool {
        let Some(member) = self.members.get(&id) else { return false };
        match &member.standing {
            Standing::InStep => self.groups[member.group].as_ref().is_some_and(Group::has_news),
            Standing::Alone(alone) => alone.has_work(),
        }
    }

    /// The peers that have yet to be told something.
    pub fn with_work(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.members.keys().copied().filter(|id| self.has_work(*id))
    }

    /// What a peer is told of a prefix, whether it has been handed it or not.
    pub fn advertised_of(&mut self, table: &Table, id: PeerId, prefix: Prefix) -> Vec<Advertised> {
        self.shown_of(table, (id, prefix), |group| &mut group.exporter)
    }

    /// What a peer would be told of a prefix if its export filter let
    /// everything pass as it is (RFC 8671 §5).
    pub fn before_filter_of(&mut self, table: &Table, id: PeerId, prefix: Prefix) -> Vec<Advertised> {
        self.shown_of(table, (id, prefix), Group::unfiltered)
    }

    fn shown_of(
        &mut self,
        table: &Table,
        (id, prefix): (PeerId, Prefix),
        by: impl FnOnce(&mut Group<P::Format, P::Letter>) -> &mut Exporter<P::Format>,
    ) -> Vec<Advertised> {
        let Some(member) = self.members.get(&id) else { return Vec::new() };
        let Some(group) = self.groups[member.group].as_mut() else { return Vec::new() };
        let exporter = by(group);
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        let offers = View { table, held: &self.held }.tellable(prefix, exporter.several(prefix.family()));
        let tells = exporter.all(&mut scene, prefix, &offers);
        advertised(member, prefix, &offers, &tells).collect()
    }

    /// What a peer is told, up to `max` routes after a cursor, and those of one
    /// prefix together.
    pub fn advertised(
        &mut self,
        table: &Table,
        id: PeerId,
        after: Option<Prefix>,
        max: usize,
    ) -> Page<Advertised> {
        let mut page = Page { items: Vec::new(), next: None };
        let Some(member) = self.members.get(&id) else { return page };
        let Some(group) = &mut self.groups[member.group] else { return page };
        let mut scene = Scene::new(&self.tellers, &mut self.attrs, self.cluster_id);
        let view = View { table, held: &self.held };
        let first = after.map_or(Family::Ipv4Unicast, Prefix::family);
        for family in Family::ALL.into_iter().filter(|family| *family >= first) {
            let after = after.filter(|after| after.family() == family);
            for (prefix, offers) in view.tellable_after(family, after, group.exporter.several(family)) {
                let tells = group.exporter.all(&mut scene, prefix, &offers);
                let mut seen = advertised(member, prefix, &offers, &tells).peekable();
                if page.items.len() >= max && seen.peek().is_some() {
                    page.next = page.items.last().map(|told| told.nlri.prefix).or(after);
                    return page;
                }
                page.items.extend(seen);
            }
        }
        page
    }

    /// How many routes a peer is told, by [`Family::index`]. The first question
    /// about a group walks the table, those after it cost nothing.
    pub fn count(&mut self, table: &Table, id: PeerId) -> [usize; Family::ALL.len()] {
        let Some(member) = self.members.get(&id) else { return Default::default() };
        let Some(group) = &mut self.groups[member.group] else { return Default::default() };
        group.count(
            View { table, held: &self.held },
            &mut Scene::new(&self.tellers, &mut self.attrs, self.cluster_id),
            id,
        )
    }

    /// How many routes a peer would be told if its export filter let everything
    /// pass as it is (RFC 8671 §6.2). From the first question on a group is
    /// exported to twice, until [`AdjOut::forget_before_filter`].
    pub fn count_before_filter(&mut self, table: &Table, id: PeerId) -> [usize; Family::ALL.len()] {
        let Some(member) = self.members.get(&id) else { return Default::default() };
        let Some(group) = &mut self.groups[member.group] else { return Default::default() };
        let view = View { table, held: &self.held };
        group.count_before(view, &mut Scene::new(&self.tellers, &mut self.attrs, self.cluster_id), id)
    }

    /// Nobody asks [`AdjOut::count_before_filter`] any more.
    pub fn forget_before_filter(&mut self) {
        self.groups.iter_mut().flatten().for_each(|group| group.before = None);
    }

    /// What exports depend on of a source may have changed: what was told
    /// before is told anew.
    fn teller(&mut self, table: &Table, peer: &PeerInfo) {
        let teller = Teller::of(peer);
        let Some(before) = self.tellers.insert(peer.id, teller).filter(|before| *before != teller) else {
            return;
        };
        let Self { groups, members, tellers, attrs, cluster_id, held, .. } = self;
        let view = View { table, held };
        let of_peer = |(_, offers): &(Prefix, Offers)| {
            offers.iter().any(|offer| offer.path.source == Source::Peer(peer.id))
        };
        for group in groups.iter_mut().flatten() {
            // What no filter would keep back is worked out and counted anew.
            group.before = None;
            group.forget();
            let several = |family: Family| (family, group.exporter.several(family));
            let routes: Vec<_> = Family::ALL
                .map(several)
                .into_iter()
                .flat_map(|(family, several)| view.tellable_after(family, None, several).filter(of_peer))
                .collect();
            let mut tell = |teller| -> Vec<Tells> {
                tellers.insert(peer.id, teller);
                group.exporter.forget();
                let mut scene = Scene::new(tellers, attrs, *cluster_id);
                routes
                    .iter()
                    .map(|(prefix, offers)| group.exporter.all(&mut scene, *prefix, offers))
                    .collect()
            };
            let (was, is) = (tell(before), tell(teller));
            for ((prefix, _), (was, is)) in routes.iter().zip(was.iter().zip(&is)) {
                both(*prefix, was, is).for_each(|news| group.note(members, news));
            }
        }
    }

    /// Knows who told a path, when it is first told on.
    fn know(&mut self, table: &Table, path: &Path) {
        if let Source::Peer(id) = path.source
            && !self.tellers.contains_key(&id)
            && let Some(peer) = table.peer(id)
        {
            self.tellers.insert(id, Teller::of(peer));
        }
    }

    /// Enters the group of a peer, alone.
    fn join(&mut self, peer: &PeerInfo, format: P::Format) -> usize {
        let audience = Audience::of(peer);
        let same = |group: &Group<P::Format, P::Letter>| {
            group.format == format && group.exporter.audience == audience && group.takes(peer.address)
        };
        let index = if let Some(known) = self.groups.iter().position(|group| group.as_ref().is_some_and(same))
        {
            known
        } else {
            self.last_group += 1;
            let group = Some(Group::new(self.last_group, audience, format, P::fits));
            if let Some(free) = self.groups.iter().position(Option::is_none) {
                self.groups[free] = group;
                free
            } else {
                self.groups.push(group);
                self.groups.len() - 1
            }
        };
        if let Some(group) = &mut self.groups[index] {
            group.enter(peer);
        }
        index
    }

    fn leave(&mut self, index: usize, id: PeerId) {
        if let Some(group) = &mut self.groups[index]
            && group.leave(id) == 0
        {
            self.groups[index] = None;
        }
    }
}

/// What is left of one call for members that are alone.
struct Turn {
    limits: Limits,
    left: usize,
}

/// What a member sees of what its group is told of a prefix.
fn advertised<'a>(
    member: &'a Member,
    prefix: Prefix,
    offers: &'a Offers,
    tells: &'a Tells,
) -> impl Iterator<Item = Advertised> + 'a {
    tells.iter().filter_map(move |(path_id, told)| {
        let offer = offers.iter().find(|offer| offer.id == *path_id)?;
        let (path, attrs) = (Arc::clone(&offer.path), member.sees(Some(told))?);
        Some(Advertised { nlri: Nlri { path_id: *path_id, prefix }, path, attrs })
    })
}

#[cfg(test)]
mod tests;
