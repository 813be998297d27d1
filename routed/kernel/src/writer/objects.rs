//! Nexthop objects: which there are, what they hold, and their making.
//!
//! A route with one next hop points at an object of its own; one with several
//! at a group; one with a next hop and a backup at a group whose first member
//! takes all the traffic (see [`Content::Failover`]). Members are objects too,
//! and shared. The kernel deletes an object, and with the last member a group,
//! and with them all routes, when the link goes down or loses its carrier, and
//! says nothing: so after each word of a link the objects are read back.

use net::Family;
use rustc_hash::{FxHashMap, FxHashSet};

use super::slab::Slab;
use crate::msg::{Content, Member, SeenNexthop};
use crate::route::{Hop, NextHops};

/// Where our ids begin: far from those that a person or the kernel picks.
const FIRST_ID: u32 = 179_000_000;
/// How many ids are ours to take.
const IDS: u32 = 1_000_000;

/// Objects with the same key are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) role: Role,
    pub(super) hops: NextHops,
    pub(super) backup: Option<NextHops>,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// To be in groups.
    Member,
    /// For routes of a family that come from this source, and from no other
    /// source when the last is true.
    Routes(Family, u32, bool),
}

impl Key {
    /// Of a member of groups.
    pub(super) fn member(hop: Hop) -> Self {
        Self { role: Role::Member, hops: NextHops::one(Hop { weight: 1, ..hop }), backup: None }
    }
}

/// A nexthop object in the kernel.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: u32,
    /// What it was made for; `None` when it is kept only for the routes that
    /// are still on it.
    pub(super) key: Option<Key>,
    /// What it holds now.
    pub(super) content: Content,
    /// It does not hold all that it was made for.
    pub(super) degraded: bool,
}

/// All objects of ours.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) slab: Slab<Object>,
    by_key: FxHashMap<Key, u32>,
    by_id: FxHashMap<u32, u32>,
    /// Ids that others have taken.
    taken: FxHashSet<u32>,
    last: u32,
}

impl Objects {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The object that was made for a key.
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// The object with an id of the kernel.
    pub(super) fn with_id(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// An id that is free, as far as is known.
    pub(super) fn free_id(&mut self) -> u32 {
        loop {
            let id = FIRST_ID + self.last;
            self.last = (self.last + 1) % IDS;
            if !self.taken.contains(&id) && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Somebody else has this id.
    pub(super) fn take(&mut self, id: u32) {
        if (FIRST_ID..FIRST_ID + IDS).contains(&id) {
            self.taken.insert(id);
        }
    }

    /// Forgets who has which id.
    pub(super) fn take_none(&mut self) {
        self.taken.clear();
    }

    /// An object is in the kernel.
    pub(super) fn insert(&mut self, id: u32, key: Option<Key>, content: Content) -> u32 {
        let number = self.slab.insert(Object { id, key: key.clone(), content, degraded: false });
        self.by_id.insert(id, number);
        if let Some(key) = key {
            self.by_key.insert(key, number);
        }
        number
    }

    /// An object is in the kernel no more.
    pub(super) fn remove(&mut self, number: u32) -> Option<Object> {
        self.forget_key(number);
        let object = self.slab.remove(number)?;
        self.by_id.remove(&object.id);
        Some(object)
    }

    /// Nothing new is to go onto an object.
    pub(super) fn forget_key(&mut self, number: u32) {
        if let Some(key) = self.slab.get_mut(number).and_then(|object| object.key.take())
            && self.by_key.get(&key) == Some(&number)
        {
            self.by_key.remove(&key);
        }
    }

    /// The next hops in an object with their shares, and those that follow
    /// when they fail.
    pub(super) fn leads_to(&self, number: u32) -> Option<(NextHops, Option<NextHops>)> {
        let hop = |id: &u32| match &self.slab.get(self.with_id(*id)?)?.content {
            Content::Hop(hop) => Some(*hop),
            Content::Share(_) | Content::Failover(_) => None,
        };
        match &self.slab.get(number)?.content {
            Content::Hop(hop) => Some((NextHops::one(*hop), None)),
            Content::Share(members) => {
                let share = |member: &Member| Some(Hop { weight: member.weight, ..hop(&member.id)? });
                Some((NextHops::new(members.iter().map(share).collect::<Option<_>>()?)?, None))
            }
            Content::Failover(ids) => {
                let (first, rest) = ids.split_first()?;
                let rest = rest.iter().map(hop).collect::<Option<Vec<Hop>>>()?;
                Some((NextHops::one(hop(first)?), NextHops::new(rest)))
            }
        }
    }

    /// True when some group has the object as a member.
    pub(super) fn is_member(&self, number: u32) -> bool {
        let Some(id) = self.slab.get(number).map(|object| object.id) else { return false };
        self.slab.iter().any(|(_, object)| object.content.has(id))
    }

    /// The objects whose routes end with a source.
    pub(super) fn only_from(&self, source: u32) -> Vec<u32> {
        let is_from = |object: &Object| matches!(&object.key, Some(Key { role: Role::Routes(_, from, true), .. }) if *from == source);
        self.slab.iter().filter(|(_, object)| is_from(object)).map(|(number, _)| number).collect()
    }

    /// The groups that a source's routes are on, and what they become when
    /// they go over to their backup.
    pub(super) fn backups(&self, source: u32) -> Vec<(u32, Content)> {
        let backup = |(number, object): (u32, &Object)| match (&object.key, &object.content) {
            (Some(Key { role: Role::Routes(_, from, _), .. }), Content::Failover(ids))
                if *from == source && ids.len() > 1 && !object.degraded =>
            {
                Some((number, Content::Failover(ids[1..].to_vec())))
            }
            _ => None,
        };
        self.slab.iter().filter_map(backup).collect()
    }

    /// Groups that have a member for which `dead` holds, and what is left of them.
    pub(super) fn without(&self, dead: impl Fn(&Hop) -> bool) -> Vec<(u32, Content)> {
        let gone: FxHashSet<u32> = self
            .slab
            .iter()
            .filter(|(_, object)| matches!(&object.content, Content::Hop(hop) if dead(hop)))
            .map(|(_, object)| object.id)
            .collect();
        let left = |(number, object): (u32, &Object)| {
            let left = match &object.content {
                Content::Hop(_) => return None,
                Content::Share(members) => Content::Share(
                    members.iter().filter(|member| !gone.contains(&member.id)).copied().collect(),
                ),
                Content::Failover(ids) => {
                    Content::Failover(ids.iter().filter(|id| !gone.contains(id)).copied().collect())
                }
            };
            (left != object.content && !left.is_empty()).then_some((number, left))
        };
        self.slab.iter().filter_map(left).collect()
    }

    /// Takes the kernel's word for what an object holds; true when that is
    /// not what was believed.
    pub(super) fn holds(&mut self, number: u32, seen: &Content) -> bool {
        let Some(object) = self.slab.get_mut(number) else { return false };
        let differs = object.content != *seen;
        if differs {
            object.content = seen.clone();
            object.degraded = true;
        }
        differs
    }

    /// Adopts what an earlier run made.
    pub(super) fn adopt(&mut self, seen: Vec<SeenNexthop>) {
        let members: FxHashSet<u32> = seen
            .iter()
            .flat_map(|seen| match &seen.content {
                Some(Content::Share(members)) => members.iter().map(|member| member.id).collect(),
                Some(Content::Failover(ids)) => ids.clone(),
                _ => Vec::new(),
            })
            .collect();
        for seen in seen {
            let Some(content) = seen.content else { continue };
            let key = match &content {
                Content::Hop(hop) if members.contains(&seen.id) => Some(Key::member(*hop)),
                _ => None,
            };
            self.insert(seen.id, key.filter(|key| self.find(key).is_none()), content);
        }
    }
}

impl Content {
    fn has(&self, id: u32) -> bool {
        match self {
            Self::Hop(_) => false,
            Self::Share(members) => members.iter().any(|member| member.id == id),
            Self::Failover(ids) => ids.contains(&id),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Hop(_) => false,
            Self::Share(members) => members.is_empty(),
            Self::Failover(ids) => ids.is_empty(),
        }
    }
}
