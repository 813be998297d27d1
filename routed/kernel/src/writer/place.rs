//! From what is desired to where routes can point: makes nexthop objects,
//! mends them, moves them off the dead and removes what is used no more.

use net::Prefix;
use nix::errno::Errno;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Writer;
use super::objects::{Key, Role};
use super::ways::{Have, LOST, NONE, Place, STALE, Shape, Side, Want};
use crate::fib::{FibEvent, Nexthops};
use crate::msg::{Content, Member, Messages};
use crate::route::{Hop, NextHops, RouteOwner, Target};
use crate::{FibRoute, Refusal};

/// Ids tried before it is given up to find a free one.
const ID_TRIES: usize = 1000;

impl Writer {
    /// Where routes for a want are to point: what it met before, or a new place.
    pub(super) fn place(&mut self, number: u32) -> Result<u32, Refusal> {
        let Some(want) = self.ways.wants.get(number) else { return Err(vanished()) };
        if want.have != NONE {
            return Ok(want.have);
        }
        if let Some(refusal) = &want.refused {
            return Err(refusal.clone());
        }
        let key = if self.objects_on() { key_of(want) } else { None };
        let (owner, source) = (want.route.owner, want.source);
        let place = match key {
            None => Place::Plain(want.route.target.clone()),
            Some(key) => match self.realise(&key) {
                Ok(object) => Place::Object(object),
                Err(refusal) => {
                    if let Some(want) = self.ways.wants.get_mut(number) {
                        want.refused = Some(refusal.clone());
                    }
                    return Err(refusal);
                }
            },
        };
        let have = self.ways.have(Shape { owner, source, place });
        if let Some(want) = self.ways.wants.get_mut(number) {
            want.have = have;
        }
        Ok(have)
    }

    /// True when what is there is what is desired; remembers it then.
    pub(super) fn is_met(&mut self, side: Side) -> bool {
        let Some(want) = self.ways.wants.get(side.want()) else { return false };
        if want.have == side.have {
            return true;
        }
        let Some(have) = self.ways.haves.get(side.have) else { return false };
        let met = want.route.owner == have.shape.owner
            && want.source == have.shape.source
            && match &have.shape.place {
                Place::Strange => false,
                Place::Plain(target) => {
                    want.route.target.is_met_by(target) && (!self.objects_on() || key_of(want).is_none())
                }
                Place::Object(object) => {
                    self.objects_on()
                        && self.objects.leads_to(*object).is_some_and(|(hops, backup)| {
                            want.route.target.is_met_by(&Target::Via(hops))
                                && backup_of(&want.route) == backup
                        })
                }
            };
        let stay = self.stay(want, have);
        if met && stay == Stay::All && want.have == NONE {
            self.ways.link(side.want(), side.have);
        }
        met && stay != Stay::None
    }

    /// Which routes of a want may be on a place that was made for another.
    fn stay(&self, want: &Want, have: &Have) -> Stay {
        let Place::Object(object) = have.shape.place else { return Stay::All };
        let key = self.objects.slab.get(object).and_then(|object| object.key.as_ref());
        let role = Role::Routes(want.family, want.route.source, want.route.only);
        match key.map(|key| key.role) {
            None => Stay::All,
            Some(made_for) if made_for == role => Stay::All,
            // It goes when that source ends.
            Some(Role::Routes(_, _, true)) => Stay::None,
            Some(_) => Stay::Present,
        }
    }

    /// The object for a key, whole; it is made where there is none.
    fn realise(&mut self, key: &Key) -> Result<u32, Refusal> {
        if let Some(number) = self.objects.find(key) {
            let degraded = self.objects.slab.get(number).is_some_and(|object| object.degraded);
            if !degraded {
                return Ok(number);
            }
            if !self.is_dead(key) && self.strays(number, key) == 0 {
                self.restore(number, key)?;
                return Ok(number);
            }
            // Who is on it may have learnt to like what it holds.
            self.objects.forget_key(number);
        }
        let content = self.content_of(key)?;
        for _ in 0..ID_TRIES {
            let id = self.objects.free_id();
            match self.tell_object(|messages| messages.add_nexthop(id, &content)) {
                Ok(()) => return Ok(self.objects.insert(id, Some(key.clone()), content)),
                Err((Errno::EEXIST, _)) => self.objects.take(id),
                // The answer was lost; it may be there, and is tried under another id.
                Err((Errno::ENOBUFS, _)) if self.due.objects => {
                    drop(self.tell_object(|messages| messages.delete_nexthop(id)));
                }
                Err((errno, said)) => return Err(Refusal::from_errno(errno, said)),
            }
        }
        Err(Refusal::from_errno(Errno::EEXIST, "no free id for a nexthop object".to_owned()))
    }

    /// What an object for a key is to hold; its members are made first.
    fn content_of(&mut self, key: &Key) -> Result<Content, Refusal> {
        let hops = key.hops.hops();
        let backup = key.backup.as_ref().map_or(&[][..], |backup| backup.hops());
        if let [hop] = hops
            && backup.is_empty()
        {
            return Ok(Content::Hop(Hop { weight: 1, ..*hop }));
        }
        let mut members = Vec::new();
        for hop in hops.iter().chain(backup) {
            let number = self.realise(&Key::member(*hop))?;
            let id = self.objects.slab.get(number).map_or(0, |object| object.id);
            members.push(Member { id, weight: hop.weight });
        }
        Ok(if backup.is_empty() {
            Content::Share(members)
        } else {
            Content::Failover(members.into_iter().map(|member| member.id).collect())
        })
    }

    /// Gives a degraded object back what it was made for.
    fn restore(&mut self, number: u32, key: &Key) -> Result<(), Refusal> {
        let content = self.content_of(key)?;
        let Some(id) = self.objects.slab.get(number).map(|object| object.id) else { return Err(vanished()) };
        self.tell_object(|messages| messages.replace_nexthop(id, &content))
            .map_err(|(errno, said)| Refusal::from_errno(errno, said))?;
        self.ways.unlink(number);
        if let Some(object) = self.objects.slab.get_mut(number) {
            object.content = content;
            object.degraded = false;
        }
        Ok(())
    }

    /// How many routes on an object do not want what it was made for.
    fn strays(&self, number: u32, key: &Key) -> usize {
        let on: FxHashSet<u32> = self.ways.on_object(number).map(|(have, _)| have).collect();
        let wants: FxHashSet<u32> = self
            .ways
            .wants
            .iter()
            .filter(|(_, want)| key_of(want).as_ref() == Some(key))
            .map(|(want, _)| want)
            .collect();
        self.sides.iter().filter(|(_, side)| on.contains(&side.have) && !wants.contains(&side.want())).count()
    }

    /// Some like an object as it is, others want more of it: those are looked
    /// at again, and go to a new one.
    fn part(&mut self, number: u32, of: impl Fn(&Key) -> bool) {
        let on: FxHashSet<u32> = self.ways.on_object(number).map(|(have, _)| have).collect();
        let more = |key: &Key| of(key) && !self.is_dead(key);
        let wants: FxHashSet<u32> = self
            .ways
            .wants
            .iter()
            .filter(|(_, want)| key_of(want).as_ref().is_some_and(more))
            .map(|(want, _)| want)
            .collect();
        let queue = &mut self.queue;
        self.sides.retain(|prefix, side| {
            if on.contains(&side.have) && wants.contains(&side.want()) && !side.queued() {
                side.set_queued(true);
                queue.push(prefix);
            }
            true
        });
    }

    /// True when a next hop of an object was said to be dead, and not yet to
    /// be back.
    fn is_dead(&self, key: &Key) -> bool {
        let dead =
            |hop: &Hop| hop.gateway.is_some_and(|gateway| self.dead.contains(&(gateway, hop.interface)));
        key.hops.hops().iter().any(dead)
    }

    /// Mends what links that came back have taken from objects.
    pub(super) fn mend(&mut self) {
        let degraded: Vec<(u32, Option<Key>)> = self
            .objects
            .slab
            .iter()
            .filter(|(_, object)| object.degraded)
            .map(|(number, object)| (number, object.key.clone()))
            .collect();
        for (number, key) in degraded {
            let Some(key) = key else {
                // Of an earlier run, or kept only for who is on it.
                self.part(number, |_| true);
                continue;
            };
            if self.is_dead(&key) {
                continue;
            }
            if self.strays(number, &key) > 0 {
                self.objects.forget_key(number);
                self.part(number, |wanted| *wanted == key);
                continue;
            }
            if let Err(refusal) = self.restore(number, &key) {
                tracing::debug!(%refusal, "a nexthop object stays with what is left of it");
            }
        }
    }

    /// Deletes an object and with it its routes; false when it stays.
    pub(super) fn delete_object(&mut self, number: u32) -> bool {
        let Some(id) = self.objects.slab.get(number).map(|object| object.id) else { return false };
        match self.tell_object(|messages| messages.delete_nexthop(id)) {
            Ok(()) | Err((Errno::ENOENT, _)) => true,
            Err((errno, said)) => {
                tracing::debug!(%errno, said, id, "a nexthop object stays, its routes go one by one");
                false
            }
        }
    }

    /// Reads our objects back: what went took its routes with it, unheard.
    pub(super) fn sync_objects(&mut self) {
        if self.nexthops == Nexthops::Unsupported {
            return;
        }
        let seen = match self.line.socket().dump_nexthops() {
            Ok(seen) => seen,
            Err(error) => return self.fail(&format!("reading nexthop objects: {error}")),
        };
        self.objects.take_none();
        let mut there = FxHashMap::default();
        for seen in seen {
            match seen.content {
                Some(content)
                    if seen.protocol == RouteOwner::Own.protocol()
                        && self.objects.with_id(seen.id).is_some() =>
                {
                    there.insert(seen.id, content);
                }
                _ => self.objects.take(seen.id),
            }
        }
        let known: Vec<(u32, u32)> =
            self.objects.slab.iter().map(|(number, object)| (number, object.id)).collect();
        let mut gone = FxHashSet::default();
        for (number, id) in known {
            match there.get(&id) {
                Some(content) => {
                    if self.objects.holds(number, content) {
                        self.ways.unlink(number);
                    }
                }
                None => {
                    gone.insert(number);
                }
            }
        }
        self.objects_gone(&gone);
        if !gone.is_empty() {
            self.retry(|refusal| matches!(refusal, Refusal::Invalid { said, .. } if is_of_object(said)));
        }
        self.mend();
    }

    /// Objects went, and all routes on them.
    pub(super) fn objects_gone(&mut self, gone: &FxHashSet<u32>) {
        let on = self.forget_objects(gone);
        if !on.is_empty() {
            self.lose(|side, _| on.contains(&side.have));
        }
    }

    /// Forgets objects; gives what routes on them were, if there are any.
    pub(super) fn forget_objects(&mut self, gone: &FxHashSet<u32>) -> FxHashSet<u32> {
        let is_on = |place: &Place| matches!(place, Place::Object(object) if gone.contains(object));
        let on: FxHashSet<u32> = self
            .ways
            .haves
            .iter()
            .filter(|(_, have)| is_on(&have.shape.place) && have.routes > 0)
            .map(|(number, _)| number)
            .collect();
        for object in gone {
            self.ways.unlink(*object);
            self.objects.remove(*object);
        }
        self.ways.garbage = true;
        on
    }

    /// Routes went; what is still desired is to be put back.
    pub(super) fn lose(&mut self, mut is_gone: impl FnMut(Side, Prefix) -> bool) {
        let (ways, queue) = (&mut self.ways, &mut self.queue);
        self.sides.retain(|prefix, side| {
            if !is_gone(*side, prefix) {
                return true;
            }
            let old = *side;
            if side.is_wanted() {
                side.have = LOST;
                if !side.queued() {
                    side.set_queued(true);
                    queue.push(prefix);
                }
            } else {
                side.have = NONE;
                if side.want() == STALE {
                    side.set_want(NONE);
                }
            }
            ways.moved(old, *side);
            side.is_wanted() || side.queued()
        });
    }

    /// Removes objects that nothing uses any more, groups before their members.
    pub(super) fn collect(&mut self) {
        if !std::mem::take(&mut self.ways.garbage) {
            return;
        }
        self.ways.collect();
        // The objects of an earlier run wait for the sweep as its routes do.
        while self.swept || self.ways.stale == 0 {
            let unused: Vec<(u32, u32)> = self
                .objects
                .slab
                .iter()
                .filter(|(number, _)| {
                    self.ways.on_object(*number).next().is_none() && !self.objects.is_member(*number)
                })
                .map(|(number, object)| (number, object.id))
                .collect();
            if unused.is_empty() {
                break;
            }
            for (number, id) in unused {
                match self.tell_object(|messages| messages.delete_nexthop(id)) {
                    Ok(()) | Err((Errno::ENOENT, _)) => {}
                    Err((errno, said)) => {
                        tracing::debug!(%errno, said, id, "a nexthop object that nothing uses stays");
                    }
                }
                self.objects.remove(number);
            }
        }
    }

    /// Sends one message about an object.
    pub(super) fn tell_object(&mut self, pack: impl FnOnce(&mut Messages)) -> Result<(), (Errno, String)> {
        let mut messages = std::mem::take(&mut self.object_message);
        messages.clear();
        pack(&mut messages);
        let answers = self.line.socket().exchange(&mut messages);
        self.object_message = messages;
        match answers {
            Ok(answers) if !answers.complete => {
                self.stats.overruns += 1;
                self.due.routes = true;
                self.due.objects = true;
                Err((Errno::ENOBUFS, "the answer was lost".to_owned()))
            }
            Ok(answers) => match answers.errors.into_iter().next() {
                Some((_, errno, said)) => Err((errno, said)),
                None => Ok(()),
            },
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                Err((errno, "sending failed".to_owned()))
            }
        }
    }

    pub(super) fn notice(&mut self, event: FibEvent) {
        self.notices.push_back(event);
    }
}

/// Which routes of a want may be on a place that leads to the right next hops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// All, and new ones may join.
    All,
    /// Those that are there.
    Present,
    /// None: the place ends with another source.
    None,
}

/// The object that routes for a want point at; `None` when they say
/// themselves where they lead: onto a link, over a link that the kernel is to
/// find, with a weight that groups do not take, or nowhere.
fn key_of(want: &Want) -> Option<Key> {
    let Target::Via(hops) = &want.route.target else { return None };
    let role = Role::Routes(want.family, want.route.source, want.route.only);
    let whole = hops.hops().iter().all(is_whole);
    whole.then(|| Key { role, hops: hops.clone(), backup: backup_of(&want.route) })
}

/// The next hops that follow when that of a route fails. Several next hops
/// back each other up.
fn backup_of(route: &FibRoute) -> Option<NextHops> {
    let Target::Via(hops) = &route.target else { return None };
    let [first] = hops.hops() else { return None };
    let other =
        |hop: &&Hop| is_whole(hop) && (hop.gateway, hop.interface) != (first.gateway, first.interface);
    NextHops::new(
        route.backup.as_ref()?.hops().iter().filter(other).map(|hop| Hop { weight: 1, ..*hop }).collect(),
    )
}

/// The largest weight that groups take on every kernel; before Linux 6.12 it
/// is one less than what a route takes.
const GROUP_WEIGHT: u16 = 255;

fn is_whole(hop: &Hop) -> bool {
    hop.gateway.is_some() && hop.interface != 0 && hop.weight <= GROUP_WEIGHT
}

/// True when the kernel's words are of an object that is not there.
pub(super) fn is_of_object(said: &str) -> bool {
    said.contains("exthop id")
}

fn vanished() -> Refusal {
    Refusal::from_errno(Errno::EAGAIN, String::new())
}
