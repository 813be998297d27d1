//! Pieces of the dump that a session gets when it comes up, kept for the next.
//!
//! Sessions that come up together, as after a restart, are told the same
//! prefixes in the same order. A piece that was written for the first is
//! handed to the others, as long as nothing that it says has changed.

use std::collections::VecDeque;
use std::net::IpAddr;

use net::{Family, Prefix};

use super::letter::{Line, Out};

/// How many pieces are kept; peers that are further apart have theirs written
/// anew.
const KEPT: usize = 64;

/// What is told of a family between two prefixes.
#[derive(Clone, Debug)]
pub(super) struct Chunk<L> {
    pub(super) family: Family,
    /// It begins behind this prefix, or with the family.
    pub(super) after: Option<Prefix>,
    /// The last prefix that was looked at; `None`: it reaches to the end of
    /// the family.
    pub(super) last: Option<Prefix>,
    /// The routes lead to these, who must not hear them.
    pub(super) next_hops: Vec<IpAddr>,
    /// `None` when there is nothing to tell.
    pub(super) letter: Option<L>,
}

impl<L> Chunk<L> {
    fn holds(&self, prefix: Prefix) -> bool {
        self.family == prefix.family()
            && self.after.is_none_or(|after| after < prefix)
            && self.last.is_none_or(|last| prefix <= last)
    }
}

/// The pieces of a group; the oldest go first.
#[derive(Debug)]
pub(super) struct Chunks<L>(VecDeque<Chunk<L>>);

impl<L> Default for Chunks<L> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<L: Clone> Chunks<L> {
    /// The piece that begins there.
    pub(super) fn get(&self, family: Family, after: Option<Prefix>) -> Option<Chunk<L>> {
        self.0.iter().find(|chunk| (chunk.family, chunk.after) == (family, after)).cloned()
    }

    /// Where the next piece begins, so that one before it can end there.
    pub(super) fn next(&self, family: Family, after: Option<Prefix>) -> Option<Prefix> {
        let starts = self.0.iter().filter(|chunk| chunk.family == family).filter_map(|chunk| chunk.after);
        starts.filter(|start| after.is_none_or(|after| *start > after)).min()
    }

    pub(super) fn keep(&mut self, chunk: Chunk<L>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(chunk);
    }

    /// A prefix has news.
    pub(super) fn changed(&mut self, prefix: Prefix) {
        if !self.0.is_empty() {
            self.0.retain(|chunk| !chunk.holds(prefix));
        }
    }

    /// Somebody with this address comes to listen.
    pub(super) fn entered(&mut self, address: IpAddr) {
        self.0.retain(|chunk| !chunk.next_hops.contains(&address));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The next hops of lines, each once.
pub(super) fn next_hops(lines: &[Line]) -> Vec<IpAddr> {
    let next_hop = |line: &Line| match &line.out {
        Out::Reach { attrs, .. } => attrs.next_hop.map(net::NextHop::address),
        Out::Unreach { .. } | Out::EndOfRib(_) | Out::RefreshBegin(_) | Out::RefreshEnd(_) => None,
    };
    let mut next_hops: Vec<IpAddr> = lines.iter().filter_map(next_hop).collect();
    next_hops.sort_unstable();
    next_hops.dedup();
    next_hops
}
