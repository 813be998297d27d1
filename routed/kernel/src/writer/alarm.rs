//! What cannot wait for the routes that are being written: a next hop dies or
//! comes back, a source of routes ends.

use rustc_hash::FxHashSet;

use super::Writer;
use super::ways::{LOST, NONE};
use crate::fib::Alarm;

impl Writer {
    /// Does what cannot wait, one message an object.
    pub(super) fn alarm(&mut self, alarm: Alarm) {
        let moves = match alarm {
            Alarm::SourceEnds { source, alone } => {
                if alone {
                    self.source_ends(source);
                }
                self.objects.backups(source)
            }
            Alarm::HopDown(gateway, interface) => {
                self.dead.insert((gateway, interface));
                self.objects.without(|hop| hop.gateway == Some(gateway) && hop.interface == interface)
            }
            Alarm::LinkDown(link) => self.objects.without(|hop| hop.interface == link),
            Alarm::HopUp(gateway, interface) => {
                if self.dead.remove(&(gateway, interface)) {
                    self.mend();
                }
                Vec::new()
            }
        };
        for (number, left) in moves {
            let Some(id) = self.objects.slab.get(number).map(|object| object.id) else { continue };
            match self.tell_object(|messages| messages.replace_nexthop(id, &left)) {
                Ok(()) => {
                    self.objects.holds(number, &left);
                    self.ways.unlink(number);
                }
                Err((errno, said)) => {
                    tracing::debug!(%errno, said, id, "a nexthop object could not be moved off a dead next hop");
                    self.due.objects = true;
                }
            }
        }
    }

    /// A source has ended: routes that only it had go at once. What is still
    /// desired then, if anything, waits for the table's word.
    pub(super) fn source_ends(&mut self, source: u32) {
        let mut gone = FxHashSet::default();
        for number in self.objects.only_from(source) {
            if self.delete_object(number) {
                gone.insert(number);
            }
        }
        let on = self.forget_objects(&gone);
        if on.is_empty() {
            return;
        }
        let ways = &mut self.ways;
        self.sides.retain(|_, side| {
            if on.contains(&side.have) {
                let old = *side;
                side.have = if side.is_wanted() { LOST } else { NONE };
                ways.moved(old, *side);
            }
            side.is_wanted() || side.queued() || side.is_there()
        });
    }

    /// The table has said all that follows from the end of a source.
    pub(super) fn source_ended(&mut self) {
        let queue = &mut self.queue;
        self.sides.retain(|prefix, side| {
            if side.have == LOST && side.is_wanted() && !side.queued() && !side.told() {
                side.set_queued(true);
                queue.push(prefix);
            }
            true
        });
    }
}
