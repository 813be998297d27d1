//! A peer of a group, in step with it or alone.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use indexmap::IndexMap;
use net::{Attrs, Family, Nlri, Prefix};
use rustc_hash::FxBuildHasher;

use super::batch::Batch;
use super::held::View;
use super::letter::{Out, To};
use super::told::{Exporter, Scene, Told, WasIs};
use crate::{PeerId, PeerInfo, Source};

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: PeerId,
    pub(super) group: usize,
    address: IpAddr,
    pub(super) standing: Standing,
}

/// How a member is told.
#[derive(Debug)]
pub(super) enum Standing {
    /// By the letters of its group.
    InStep,
    /// By letters of its own.
    Alone(Alone),
}

/// What a member that is alone has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// Paths with news, and what the peer was last told of each.
    pending: IndexMap<Nlri, Option<Arc<Attrs>>, FxBuildHasher>,
    dumps: VecDeque<Dump>,
}

/// Telling a family from its first prefix to its last.
#[derive(Debug)]
struct Dump {
    family: Family,
    /// The last prefix that was told.
    after: Option<Prefix>,
    why: DumpWhy,
    /// The beginning of a refresh has been told.
    begun: bool,
}

impl Dump {
    fn new(family: Family, why: DumpWhy) -> Self {
        Self { family, after: None, why, begun: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DumpWhy {
    /// The session came up: nothing behind the cursor has been told.
    Start,
    /// The peer asked again (RFC 2918): everything has been told before.
    Refresh,
}

impl Member {
    /// A member that has been told nothing.
    pub(super) fn new(peer: &PeerInfo, group: usize) -> Self {
        let dump = |family: &Family| Dump::new(*family, DumpWhy::Start);
        let dumps = peer.families.iter().map(dump).collect();
        let standing = Standing::Alone(Alone { pending: IndexMap::default(), dumps });
        Self { id: peer.id, group, address: peer.address, standing }
    }

    /// What this member sees of what its group is told: nothing that it said
    /// itself (RFC 4271 §9.1.3), and nothing that leads to itself (§5.1.3).
    pub(super) fn sees(&self, told: Option<&Told>) -> Option<Arc<Attrs>> {
        let told = told?;
        let to_itself = told.attrs.next_hop.is_some_and(|next_hop| next_hop.address() == self.address);
        (told.source != Source::Peer(self.id) && !to_itself).then(|| Arc::clone(&told.attrs))
    }

    /// Notes, while the member is alone, that a path is to be told anew, or
    /// no more so where the news took itself back.
    pub(super) fn news(&mut self, nlri: Nlri, (was, is): &WasIs) {
        let (was, is) = (self.sees(was.as_deref()), self.sees(is.as_deref()));
        let Standing::Alone(alone) = &mut self.standing else { return };
        if alone.will_dump(nlri.prefix) {
            return;
        }
        let last = alone.pending.get(&nlri).cloned().unwrap_or(was);
        if same(last.as_ref(), is.as_ref()) {
            alone.pending.swap_remove(&nlri);
        } else {
            alone.pending.insert(nlri, last);
        }
    }

    /// Takes news of up to `max` paths, and holds that it was told.
    pub(super) fn pull<F>(
        &mut self,
        (view, scene): (View<'_>, &mut Scene<'_>),
        exporter: &mut Exporter<F>,
        max: usize,
    ) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..max {
            let Standing::Alone(alone) = &mut self.standing else { break };
            let Some((nlri, last)) = alone.pending.pop() else {
                // Gives back the room of many.
                alone.pending = IndexMap::default();
                break;
            };
            let told = exporter.now(view, scene, nlri);
            match (last, self.sees(told.as_deref())) {
                (last, Some(is)) if !same(last.as_ref(), Some(&is)) => batch.reach(nlri, &is, To::ALL),
                (Some(_), None) => batch.unreach(nlri, To::ALL),
                _ => {}
            }
        }
        batch
    }
}

impl Alone {
    /// True when single paths have news, which come before a dump goes on.
    pub(super) fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Where the dump stands that is under way.
    pub(super) fn dumps(&self) -> Option<(Family, Option<Prefix>)> {
        self.dumps.front().map(|dump| (dump.family, dump.after))
    }

    /// True while the first dump of a family lasts.
    pub(super) fn starts(&self, family: Family) -> bool {
        self.dumps.iter().any(|dump| dump.family == family && dump.why == DumpWhy::Start)
    }

    /// The refresh that is under way and whose beginning is to be told, once.
    pub(super) fn begins(&mut self) -> Option<Out> {
        let dump = self.dumps.front_mut()?;
        let begins = dump.why == DumpWhy::Refresh && !std::mem::replace(&mut dump.begun, true);
        begins.then_some(Out::RefreshBegin(dump.family))
    }

    /// The dump has come to a prefix, or to its end, which is to be told then.
    pub(super) fn dumped(&mut self, last: Option<Prefix>) -> Option<Out> {
        let dump = self.dumps.front_mut()?;
        if last.is_some() {
            dump.after = last;
            return None;
        }
        let ended = match dump.why {
            DumpWhy::Start => Out::EndOfRib(dump.family),
            DumpWhy::Refresh => Out::RefreshEnd(dump.family),
        };
        self.dumps.pop_front();
        Some(ended)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.pending.is_empty() || !self.dumps.is_empty()
    }

    /// The peer wants a family again. A refresh that has yet to end begins
    /// anew; the first dump goes on, and what it has told already is told again
    /// behind it: no refresh begins before End-of-RIB (RFC 7313 §4).
    pub(super) fn refresh(&mut self, family: Family) {
        let refresh = Dump::new(family, DumpWhy::Refresh);
        let same = |dump: &&mut Dump| dump.family == family && dump.why == DumpWhy::Refresh;
        match self.dumps.iter_mut().find(same) {
            Some(dump) => *dump = refresh,
            None => self.dumps.push_back(refresh),
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
}

/// True when both are the same; attributes are interned.
fn same(a: Option<&Arc<Attrs>>, b: Option<&Arc<Attrs>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
