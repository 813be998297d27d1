//! Takes the kernel's word for what is installed: at the start, and whenever
//! something may have happened unheard.

use std::io;

use net::{Family, Prefix};

use super::ways::{NONE, Place, STALE, Shape, Side};
use super::{LinkState, Writer};
use crate::fib::{FibEvent, NexthopObjects, Nexthops};
use crate::msg::{Content, Seen};
use crate::route::{RouteOwner, Target};
use crate::socket::{DUMPS, Progress, route_in, torn};

impl Writer {
    /// Adopts what an earlier run left; it is not removed before the sweep.
    pub(crate) fn adopt(&mut self) -> io::Result<()> {
        match self.line.socket().dump_nexthops() {
            Ok(seen) => {
                let (ours, others): (Vec<_>, Vec<_>) = seen
                    .into_iter()
                    .partition(|seen| seen.protocol == RouteOwner::Own.protocol() && seen.content.is_some());
                for seen in others {
                    self.objects.take(seen.id);
                }
                self.objects.adopt(ours);
                self.nexthops = match self.config.nexthop_objects {
                    NexthopObjects::Auto => Nexthops::Objects,
                    NexthopObjects::Off => Nexthops::Off,
                };
            }
            Err(error) => {
                tracing::info!(%error, "the kernel has no nexthop objects; each route says where it leads");
                self.nexthops = Nexthops::Unsupported;
            }
        }
        for family in Family::ALL {
            self.dump(family, |writer, dumped| match dumped {
                Dumped::Begin => writer.lose(|_, prefix| prefix.family() == family),
                Dumped::Route(seen) => writer.adopt_route(&seen),
            })?;
        }
        self.know_links();
        self.notice(FibEvent::Adopted(self.ways.stale + self.elsewhere.len()));
        Ok(())
    }

    /// The routes of an earlier run go with their links as ours do.
    fn know_links(&mut self) {
        let plain = self.ways.haves.iter().filter_map(|(_, have)| match &have.shape.place {
            Place::Plain(Target::Via(hops)) => Some(hops.hops()),
            _ => None,
        });
        let single = self.objects.slab.iter().filter_map(|(_, object)| match &object.content {
            Content::Hop(hop) => Some(hop),
            Content::Share(_) | Content::Failover(_) => None,
        });
        for hop in plain.flatten().chain(single) {
            self.links.entry(hop.interface).or_insert(LinkState::Unheard);
        }
    }

    fn adopt_route(&mut self, seen: &Seen) {
        let Some(owner) = seen.owner() else { return };
        if seen.key != self.key(seen.key.prefix) {
            self.elsewhere.insert(seen.key, owner);
            return;
        }
        let have = self.shape_of(seen).map_or(NONE, |shape| self.ways.have(shape));
        let mut side = Side::default();
        side.set_want(STALE);
        side.have = have;
        let old = std::mem::replace(self.sides.get_or_default(seen.key.prefix), side);
        self.ways.moved(old, side);
    }

    /// What a route of ours is; `None` for a stranger's.
    fn shape_of(&self, seen: &Seen) -> Option<Shape> {
        let owner = seen.owner()?;
        let place = match (seen.object, &seen.target) {
            (Some(id), _) => self.objects.with_id(id).map_or(Place::Strange, Place::Object),
            (None, Some(target)) => Place::Plain(target.clone()),
            (None, None) => Place::Strange,
        };
        Some(Shape { owner, source: seen.source, place })
    }

    /// Reads all routes of a family in our table. What `each` was told is void
    /// when it hears of a beginning again, because the table changed meanwhile.
    pub(super) fn dump(&mut self, family: Family, mut each: impl FnMut(&mut Self, Dumped)) -> io::Result<()> {
        let table = self.config.table;
        let mut seen = Vec::new();
        for _ in 0..DUMPS {
            each(self, Dumped::Begin);
            let mut dump = self.line.socket().ask(|request| request.dump(family, table, 0))?;
            loop {
                let progress = self.line.socket().more(&mut dump, |heard| seen.extend(route_in(heard)))?;
                // Kernels without the strict check do not filter.
                for seen in seen.drain(..).filter(|seen: &Seen| seen.table == table) {
                    each(self, Dumped::Route(seen));
                }
                match progress {
                    Progress::More => {}
                    Progress::End => return Ok(()),
                    Progress::Torn => break,
                }
            }
        }
        Err(torn())
    }

    pub(super) fn sweep(&mut self) {
        self.swept = true;
        self.notice(FibEvent::Swept(self.ways.stale + self.elsewhere.len()));
        let (ways, queue) = (&mut self.ways, &mut self.queue);
        self.sides.retain(|prefix, side| {
            if side.want() != STALE {
                return true;
            }
            let old = *side;
            side.set_want(NONE);
            if !side.queued() {
                side.set_queued(true);
                queue.push(prefix);
            }
            ways.moved(old, *side);
            true
        });
        self.ways.garbage = true;
        let elsewhere: Vec<_> = std::mem::take(&mut self.elsewhere).into_iter().collect();
        for some in elsewhere.chunks(self.send) {
            self.messages.clear();
            for (key, owner) in some {
                self.messages.delete(self.config.table, *key, *owner);
            }
            if let Err(error) = self.line.socket().exchange(&mut self.messages) {
                self.fail(&format!("removing routes of an earlier run: {error}"));
            }
        }
    }

    /// A route of ours is in the kernel; perhaps it is the desired one.
    pub(super) fn found(&mut self, prefix: Prefix, seen: &Seen) {
        let Some(shape) = self.shape_of(seen) else { return };
        let Some(old) = self.sides.get(prefix).copied() else { return };
        let have = self.ways.have(shape);
        if old.have == have {
            return;
        }
        let mut side = old;
        side.have = have;
        let met = side.is_wanted() && self.is_met(side);
        if met {
            self.doubtful.remove(&prefix);
        } else if side.want() != STALE && !side.queued() {
            side.set_queued(true);
            self.queue.push(prefix);
        }
        self.put(prefix, old, side);
        if met {
            self.clear(prefix);
        }
    }

    /// Reads our routes back and takes the kernel's word. What is neither
    /// desired nor known to be installed is not of our making and stays.
    pub(super) fn resync(&mut self) {
        self.due.objects = false;
        self.sync_objects();
        for family in Family::ALL {
            let read = self.dump(family, |writer, dumped| match dumped {
                Dumped::Begin => writer.unsee(family),
                Dumped::Route(seen) => writer.see(&seen),
            });
            if let Err(error) = read {
                return self.fail(&format!("reading routes: {error}"));
            }
        }
        self.stats.resyncs += 1;
        self.lose(|side, _| side.is_there() && !side.seen());
        self.notice(FibEvent::Resynced);
    }

    fn unsee(&mut self, family: Family) {
        self.sides.retain(|prefix, side| {
            side.set_seen(side.seen() && prefix.family() != family);
            true
        });
    }

    fn see(&mut self, seen: &Seen) {
        let prefix = seen.key.prefix;
        if seen.owner().is_none() || seen.key != self.key(prefix) {
            return;
        }
        if let Some(side) = self.sides.get_mut(prefix) {
            side.set_seen(true);
            self.found(prefix, seen);
        }
    }
}

/// A step of a dump.
pub(super) enum Dumped {
    /// It begins, perhaps anew.
    Begin,
    /// A route.
    Route(Seen),
}
