//! Any number of neighbours on one link.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Instant;

use super::wire::{self, ALL_ROUTERS};
use super::{ASK_INTERVAL, ASKS, Action, SILENCE};

/// How many there may be on a link; more are not heard.
pub const MOST: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Neighbor {
    /// When it is asked, or its lack of an answer counts.
    due: Instant,
    /// How many solicitations it has left to answer.
    asks: u8,
    silent: bool,
}

/// All that were heard, the silent ones included.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbors(BTreeMap<Ipv6Addr, Neighbor>);

impl Neighbors {
    /// An advertisement has come; true where nobody knew of its sender, or it
    /// was silent.
    pub(super) fn heard(&mut self, now: Instant, address: Ipv6Addr) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&address) {
            let silent = self.0.iter().find(|(_, neighbor)| neighbor.silent);
            let Some(silent) = silent.map(|(address, _)| *address) else { return false };
            self.0.remove(&silent);
        }
        let heard = Neighbor { due: now + SILENCE, asks: ASKS, silent: false };
        self.0.insert(address, heard).is_none_or(|before| before.silent)
    }

    /// When [`Neighbors::tick`] is wanted.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|neighbor| neighbor.due).min()
    }

    /// Asks those who are silent, with one solicitation for all of them, and
    /// says who does not answer.
    pub(super) fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut ask = false;
        for (address, neighbor) in self.0.iter_mut().filter(|(_, neighbor)| neighbor.due <= now) {
            if neighbor.asks > 0 {
                (neighbor.asks, neighbor.due) = (neighbor.asks - 1, now + ASK_INTERVAL);
                ask = true;
            } else {
                (neighbor.silent, neighbor.due) = (true, now + SILENCE);
                actions.push(Action::Silent(*address));
            }
        }
        if ask {
            actions.push(Action::Send(wire::solicitation(), ALL_ROUTERS));
        }
    }
}
