//! Peers that hear the same, and what they have yet to hear together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use net::{Family, Jitter, Nlri, Prefix};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::batch::Batch;
use super::chunk::{self, Chunk, Chunks};
use super::counts::{Counts, Hidden};
use super::held::View;
use super::letter::{Line, Out, Post, To};
use super::member::{Member, Standing};
use super::pace::Pace;
use super::told::{Exporter, Fits, Scene, Told, WasIs};
use super::{Left, Limits, Turn};
use crate::export::Audience;
use crate::filter::Rule;
use crate::{PeerId, PeerInfo, Source};

#[derive(Debug)]
pub(super) struct Group<F, L> {
    /// Which group it is; no other ever has the number.
    pub(super) number: u64,
    pub(super) exporter: Exporter<F>,
    /// The same without the filter, for those who want to see what it does.
    unfiltered: Option<Exporter<F>>,
    pub(super) format: F,
    /// Paths with news for the members in step: what they were last told of
    /// each, and what holds now.
    news: IndexMap<Nlri, WasIs, FxBuildHasher>,
    pace: Pace,
    in_step: Vec<PeerId>,
    alone: Vec<PeerId>,
    /// Of several members with one link-local address, the last; see [`Group::takes`].
    by_address: FxHashMap<IpAddr, PeerId>,
    pub(super) counts: Option<Counts>,
    /// The same as if there were no filter, where somebody asks for it.
    pub(super) before: Option<Counts>,
    chunks: Chunks<L>,
}

/// What came of one letter to a member that is alone.
enum Step {
    /// It was handed one.
    Handed,
    /// There is nothing for it, or it cannot take it yet.
    Waits,
    /// Others are to be let in first.
    TurnOver,
}

impl<F, L: Clone> Group<F, L> {
    pub(super) fn new(number: u64, audience: Audience, format: F, fits: Fits<F>) -> Self
    where
        F: Clone,
    {
        Self {
            number,
            pace: Pace::new(audience.advertisement_interval),
            exporter: Exporter::new(audience, format.clone(), fits),
            unfiltered: None,
            format,
            news: IndexMap::default(),
            in_step: Vec::new(),
            alone: Vec::new(),
            by_address: FxHashMap::default(),
            counts: None,
            before: None,
            chunks: Chunks::default(),
        }
    }

    /// Exports as if the filter let everything pass as it is.
    pub(super) fn unfiltered(&mut self) -> &mut Exporter<F>
    where
        F: Clone,
    {
        let Self { exporter, unfiltered, .. } = self;
        unfiltered.get_or_insert_with(|| exporter.unfiltered())
    }

    /// Forgets what exports were worked out, so that attributes nobody has can go.
    pub(super) fn forget(&mut self) {
        self.exporter.forget();
        self.unfiltered.iter_mut().for_each(Exporter::forget);
    }

    /// True when a peer can be a member. Two routers may have one link-local
    /// address, each on its own link: where an export filter names such an
    /// address as the next hop they are not of one group, for there a route
    /// leads to whoever has the address.
    pub(super) fn takes(&self, address: IpAddr) -> bool {
        let link_local = |address: IpAddr| match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let named = |rule: &Rule| rule.set.next_hop.is_some_and(link_local);
        !self.by_address.contains_key(&address) || !self.exporter.audience.export.rules.iter().any(named)
    }

    /// A member comes, alone.
    pub(super) fn enter(&mut self, peer: &PeerInfo) {
        self.alone.push(peer.id);
        self.by_address.insert(peer.address, peer.id);
        // Whom a route leads to is another question now.
        (self.counts, self.before) = (None, None);
        self.chunks.entered(peer.address);
    }

    /// A member goes; how many stay.
    pub(super) fn leave(&mut self, id: PeerId) -> usize {
        self.in_step.retain(|member| *member != id);
        self.alone.retain(|member| *member != id);
        self.by_address.retain(|_, member| *member != id);
        self.forget_news_of_nobody();
        self.members()
    }

    /// How many members there are.
    pub(super) fn members(&self) -> usize {
        self.in_step.len() + self.alone.len()
    }

    /// The members.
    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.in_step.iter().chain(&self.alone).copied()
    }

    /// True when members in step have yet to be told something.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What the group is told of a path is another than it was.
    pub(super) fn note(&mut self, members: &mut FxHashMap<PeerId, Member>, (nlri, news): (Nlri, WasIs)) {
        let (was, is) = &news;
        if Told::same(was.as_deref(), is.as_deref()) {
            return;
        }
        if let Some(mut counts) = self.counts.take() {
            counts.moved(nlri.prefix.family(), self.hidden_of(was.as_deref()), self.hidden_of(is.as_deref()));
            self.counts = Some(counts);
        }
        self.chunks.changed(nlri.prefix);
        for id in &self.alone {
            if let Some(member) = members.get_mut(id) {
                member.news(nlri, &news);
            }
        }
        if self.nobody_hears((was.as_deref(), is.as_deref())) {
            return;
        }
        let (was, is) = news;
        let entry = self.news.entry(nlri).or_insert((was, None));
        entry.1 = is;
        let taken_back = Told::same(entry.0.as_deref(), entry.1.as_deref());
        let paced = self.pace.is_on().then(|| entry.clone());
        if taken_back {
            self.news.swap_remove(&nlri);
        }
        if let Some((was, is)) = paced {
            let urgent = !taken_back && self.is_gone_for_somebody(was.as_deref(), is.as_deref());
            self.pace.note(nlri, urgent);
        }
    }

    /// True when no member in step sees a prefix, before and after; asked only
    /// where it is likely.
    fn nobody_hears(&self, (was, is): (Option<&Told>, Option<&Told>)) -> bool {
        let (hidden_was, hidden_is) = (self.hidden(was), self.hidden(is));
        let deaf = |id: &PeerId| {
            let id = Some(*id);
            (was.is_none() || hidden_was.contains(&id)) && (is.is_none() || hidden_is.contains(&id))
        };
        self.in_step.len() <= hidden_was.len() && self.in_step.iter().all(deaf)
    }

    /// True when a member sees no more what it may have been told.
    fn is_gone_for_somebody(&self, was: Option<&Told>, is: Option<&Told>) -> bool {
        let (hidden_was, hidden_is) = (self.hidden(was), self.hidden(is));
        is.is_none()
            || (was.is_some() && hidden_is.iter().flatten().any(|id| !hidden_was.contains(&Some(*id))))
    }

    /// A member in step goes on alone.
    pub(super) fn part(&mut self, members: &mut FxHashMap<PeerId, Member>, id: PeerId) {
        let Some(member) = members.get_mut(&id).filter(|member| matches!(member.standing, Standing::InStep))
        else {
            return;
        };
        member.standing = Standing::Alone(super::member::Alone::default());
        for (nlri, news) in &self.news {
            member.news(*nlri, news);
        }
        self.in_step.retain(|other| *other != id);
        self.alone.push(id);
        self.forget_news_of_nobody();
    }

    fn forget_news_of_nobody(&mut self) {
        if self.in_step.is_empty() {
            self.news = IndexMap::default();
            self.pace.clear();
        }
    }

    /// When news that wait may be told, if there are any.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pace.deadline().filter(|_| self.has_news())
    }

    /// Writes to the members that are alone, each what it lacks.
    pub(super) fn serve_alone<P: Post<Format = F, Letter = L>>(
        &mut self,
        members: &mut FxHashMap<PeerId, Member>,
        (view, scene): (View<'_>, &mut Scene<'_>),
        post: &mut P,
        turn: &mut Turn,
    ) -> Left {
        // A letter to each in turn: so those that are told the same stay together.
        let mut handed = true;
        while handed {
            handed = false;
            for index in 0..self.alone.len() {
                let Some(member) = members.get_mut(&self.alone[index]) else { continue };
                match self.step((view, scene), member, post, turn) {
                    Step::Handed => handed = true,
                    Step::Waits => {}
                    Step::TurnOver => {
                        self.alone.rotate_left(index);
                        return Left::Work;
                    }
                }
            }
        }
        let dumping = |id: &PeerId| {
            let standing = members.get(id).map(|member| &member.standing);
            matches!(standing, Some(Standing::Alone(alone)) if alone.dumps().is_some())
        };
        if !self.alone.iter().any(dumping) {
            self.chunks.clear();
        }
        Left::Nothing
    }

    /// Writes one letter to a member that is alone, if it can take one.
    fn step<P: Post<Format = F, Letter = L>>(
        &mut self,
        (view, scene): (View<'_>, &mut Scene<'_>),
        member: &mut Member,
        post: &mut P,
        turn: &mut Turn,
    ) -> Step {
        let (id, Limits { low, pull, .. }) = (member.id, turn.limits);
        let Standing::Alone(alone) = &mut member.standing else { return Step::Waits };
        if !alone.has_work() {
            return Step::Waits;
        }
        if post.unsent(id) >= low {
            post.call_back(id);
            // It may have sent them before it knew that somebody waits.
            if post.unsent(id) >= low {
                return Step::Waits;
            }
        }
        if turn.left < pull {
            return Step::TurnOver;
        }
        if let Some((family, after)) = alone.dumps().filter(|_| !alone.has_news()) {
            if let Some(begins) = alone.begins() {
                let letter = post.write(&self.format, &[Line { to: To::ALL, out: begins }]);
                post.hand(id, &letter);
            }
            let chunk = self.chunk((view, scene), post, (family, after), turn);
            chunk.letter.iter().for_each(|letter| post.hand(id, letter));
            if let Some(ended) = alone.dumped(chunk.last) {
                let line = Line { to: To::ALL, out: ended };
                let letter = post.write(&self.format, &[line]);
                post.hand(id, &letter);
            }
        } else {
            turn.left -= pull;
            let lines = member.pull((view, scene), &mut self.exporter, pull).into_lines();
            if !lines.is_empty() {
                let letter = post.write(&self.format, &lines);
                post.hand(id, &letter);
            }
        }
        Step::Handed
    }

    /// The piece of the dump that begins there: that of somebody before, or
    /// one written now.
    fn chunk<P: Post<Format = F, Letter = L>>(
        &mut self,
        (view, scene): (View<'_>, &mut Scene<'_>),
        post: &mut P,
        (family, after): (Family, Option<Prefix>),
        turn: &mut Turn,
    ) -> Chunk<L> {
        if let Some(known) = self.chunks.get(family, after) {
            return known;
        }
        let (mut batch, mut seen, mut looked_at) = (Batch::default(), after, 0);
        let next = self.chunks.next(family, after);
        let mut last = None;
        for (prefix, offers) in view.tellable_after(family, after, self.exporter.several(family)) {
            if next.is_some_and(|next| next < prefix) {
                last = next;
                break;
            }
            if looked_at >= turn.limits.pull {
                last = seen;
                break;
            }
            (seen, looked_at) = (Some(prefix), looked_at + offers.len());
            for (path_id, told) in self.exporter.all(scene, prefix, &offers) {
                let to = To::AllBut(self.hidden(Some(&told)));
                batch.reach(Nlri { path_id, prefix }, &told.attrs, to);
            }
        }
        turn.left = turn.left.saturating_sub(looked_at);
        let lines = batch.into_lines();
        let letter = (!lines.is_empty()).then(|| post.write(&self.format, &lines));
        let chunk = Chunk { family, after, last, next_hops: chunk::next_hops(&lines), letter };
        self.chunks.keep(chunk.clone());
        chunk
    }

    /// Writes to the members in step, and takes those back among them that
    /// lack nothing.
    pub(super) fn serve_in_step<P: Post<Format = F, Letter = L>>(
        &mut self,
        members: &mut FxHashMap<PeerId, Member>,
        limits: Limits,
        post: &mut P,
        (now, jitter): (Instant, &mut Jitter),
    ) {
        let caught_up = |id: &PeerId| {
            let standing = members.get(id).map(|member| &member.standing);
            matches!(standing, Some(Standing::Alone(alone)) if !alone.has_work())
        };
        let (back, alone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.alone).into_iter().partition(caught_up);
        self.alone = alone;
        let rests = self.pace.rests(now);
        while self.has_to_tell(rests) && (!back.is_empty() || self.somebody_can_take(limits, post)) {
            let far: Vec<_> =
                self.in_step.iter().copied().filter(|id| post.unsent(*id) >= limits.far).collect();
            for id in far {
                self.part(members, id);
            }
            let lines = self.cut(limits.cut, rests).into_lines();
            if lines.is_empty() || self.in_step.is_empty() {
                continue;
            }
            if !rests && lines.iter().any(|line| matches!(line.out, Out::Reach { .. })) {
                self.pace.announced();
            }
            let letter = post.write(&self.format, &lines);
            self.in_step.iter().for_each(|id| post.hand(*id, &letter));
        }
        if !self.news.is_empty() {
            // Who has been told the news already is not told them with the others.
            self.alone.extend(back);
            return;
        }
        self.news = IndexMap::default();
        self.pace.all_told(now, jitter);
        for id in &back {
            if let Some(member) = members.get_mut(id) {
                member.standing = Standing::InStep;
            }
        }
        self.in_step.extend(back);
    }

    /// True when there is something to tell, even while nothing is announced.
    fn has_to_tell(&self, rests: bool) -> bool {
        if rests { self.pace.urgent().is_some() } else { self.has_news() }
    }

    /// The next news to tell.
    fn next_news(&mut self, rests: bool) -> Option<(Nlri, WasIs)> {
        let news = if rests {
            let nlri = self.pace.urgent()?;
            self.news.swap_remove_entry(&nlri)
        } else {
            self.news.pop()
        };
        news.inspect(|(nlri, _)| self.pace.told(*nlri))
    }

    /// True when a member in step can take a letter; if none can, the first
    /// that can is heard of.
    fn somebody_can_take<P: Post>(&self, limits: Limits, post: &mut P) -> bool {
        if self.in_step.iter().any(|id| post.unsent(*id) < limits.steady) {
            return true;
        }
        self.in_step.iter().for_each(|id| post.call_back(*id));
        self.in_step.iter().any(|id| post.unsent(*id) < limits.low)
    }

    /// Takes news for one letter.
    fn cut(&mut self, max: usize, rests: bool) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..max {
            let Some((nlri, (was, is))) = self.next_news(rests) else { break };
            let (hidden_was, hidden_is) = (self.hidden(was.as_deref()), self.hidden(is.as_deref()));
            let hides = |hidden: [Option<PeerId>; 2], id| hidden.contains(&Some(id));
            let told = |told: &Option<Arc<Told>>| told.as_ref().map(|told| Arc::clone(&told.attrs));
            match (told(&was), told(&is)) {
                (None, None) => {}
                (Some(_), None) => batch.unreach(nlri, To::AllBut(hidden_was)),
                (before, Some(attrs)) => {
                    let changed = before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &attrs));
                    if changed {
                        batch.reach(nlri, &attrs, To::AllBut(hidden_is));
                    } else {
                        // Only who may not hear it is another.
                        for id in hidden_was.into_iter().flatten().filter(|id| !hides(hidden_is, *id)) {
                            batch.reach(nlri, &attrs, To::Only(id));
                        }
                    }
                    for id in hidden_is.into_iter().flatten().filter(|id| !hides(hidden_was, *id)) {
                        if before.is_some() {
                            batch.unreach(nlri, To::Only(id));
                        }
                    }
                }
            }
        }
        batch
    }

    /// What the group would be told of a path without its filter is another.
    pub(super) fn note_before(&mut self, family: Family, (was, is): &WasIs) {
        if let Some(mut counts) = self.before.take() {
            counts.moved(family, self.hidden_of(was.as_deref()), self.hidden_of(is.as_deref()));
            self.before = Some(counts);
        }
    }

    /// Who does not see a path, if there is one.
    fn hidden_of(&self, told: Option<&Told>) -> Option<Hidden> {
        told.map(|told| self.hidden(Some(told)))
    }

    /// Who does not see what the group is told: who said it (RFC 4271 §9.1.3),
    /// and whom it leads to (§5.1.3).
    pub(super) fn hidden(&self, told: Option<&Told>) -> Hidden {
        let Some(told) = told else { return [None; 2] };
        let source = match told.source {
            Source::Peer(id) => Some(id),
            Source::Local => None,
        };
        let leads = told.attrs.next_hop.and_then(|next_hop| self.by_address.get(&next_hop.address()));
        [source, leads.copied().filter(|leads| Some(*leads) != source)]
    }
}
