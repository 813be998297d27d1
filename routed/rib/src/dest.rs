//! One prefix: its paths, and what the world was last told.
//!
//! Nearly every prefix has one path, and that path is what the world was told.
//! Such a [`One`] is sixteen bytes in the table. All else, and what was told with
//! a metric to its next hop, is a [`Many`], in an allocation of its own, which turns back when it has become simple again.
//!
//! A destination that is *dirty* is to be decided anew. What was told stays
//! until then, even when the path that it came from has gone.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::shared::{Id, Shared};
use crate::{Path, Protocol, Source, Step, Target};

/// What tells the paths of one prefix apart.
pub(crate) type Key = (Source, Protocol, u32);

/// A path of a prefix: what it says, and when it said so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// What it says.
    pub(crate) path: Id<Path>,
    /// The path identifier; 0 where there is only one.
    pub(crate) path_id: u32,
    /// Since when it says the same, in the table's ticks.
    pub(crate) since: u32,
    /// The refresh cycle of the source in which it was last heard.
    pub(crate) cycle: u8,
}

/// What the world was told of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) path: Id<Path>,
    pub(crate) target: Id<Target>,
    /// [`Id::NONE`] where there is no other way.
    pub(crate) backup: Id<Target>,
    /// No other source has a usable path.
    pub(crate) only: bool,
    pub(crate) at: Step,
    /// The metric to the next hop where it is accumulated (RFC 7311), else 0.
    pub(crate) metric: u32,
}

impl Told {
    /// The only path there is.
    pub(crate) fn alone(path: Id<Path>, target: Id<Target>) -> Self {
        Self { path, target, backup: Id::NONE, only: true, at: Step::Only, metric: 0 }
    }

    /// True when both are the same to the world.
    pub(crate) fn same(self, other: Self) -> bool {
        Self { at: other.at, ..self } == other
    }
}

/// A prefix with one path, of path identifier 0, that nothing else was told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One {
    pub(crate) path: Id<Path>,
    pub(crate) since: u32,
    /// Where its packets go, as the world was told; [`Id::NONE`]: it was not told.
    pub(crate) told: Id<Target>,
    pub(crate) cycle: u8,
    /// The path has gone, and the world is to hear it.
    pub(crate) gone: bool,
    pub(crate) dirty: bool,
}

/// A prefix with more to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Many {
    pub(crate) slots: SmallVec<[Slot; 2]>,
    pub(crate) told: Option<Told>,
    pub(crate) dirty: bool,
}

/// What is known of a prefix; see the module's page.
#[derive(Clone, Debug, Default)]
pub(crate) enum Dest {
    /// Nothing: never in the table.
    #[default]
    Nothing,
    One(One),
    Many(Box<Many>),
}

/// What putting a path did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The same was there: nothing has to be decided.
    Same,
    /// It is new.
    New,
    /// It took the place of a path that said this; the caller is to release it.
    Instead(Id<Path>),
}

impl One {
    fn slot(self) -> Slot {
        Slot { path: self.path, path_id: 0, since: self.since, cycle: self.cycle }
    }

    /// What the world was told.
    pub(crate) fn told(self) -> Option<Told> {
        let Self { path, told: target, .. } = self;
        (target != Id::NONE).then_some(Told::alone(path, target))
    }
}

impl Dest {
    /// The paths there are.
    pub(crate) fn slots(&self) -> SmallVec<[Slot; 2]> {
        match self {
            Self::Nothing => SmallVec::new(),
            Self::One(one) if one.gone => SmallVec::new(),
            Self::One(one) => SmallVec::from_slice(&[one.slot()]),
            Self::Many(many) => many.slots.clone(),
        }
    }

    /// True when one of the paths is such.
    pub(crate) fn has(&self, such: impl Fn(&Slot) -> bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(one) => !one.gone && such(&one.slot()),
            Self::Many(many) => many.slots.iter().any(such),
        }
    }

    /// Memory outside of the table's own, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::One(_) => 0,
            Self::Many(many) => {
                let spilled = if many.slots.spilled() { many.slots.capacity() } else { 0 };
                size_of::<Many>() + spilled * size_of::<Slot>()
            }
        }
    }

    /// What the world was told.
    pub(crate) fn told(&self) -> Option<Told> {
        match self {
            Self::Nothing => None,
            Self::One(one) => one.told(),
            Self::Many(many) => many.told,
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(one) => one.dirty,
            Self::Many(many) => many.dirty,
        }
    }

    /// Marks for a decision; true when it was not marked yet.
    pub(crate) fn soil(&mut self) -> bool {
        let dirty = match self {
            Self::Nothing => return false,
            Self::One(one) => &mut one.dirty,
            Self::Many(many) => &mut many.dirty,
        };
        !std::mem::replace(dirty, true)
    }

    /// Puts a path in its place, and becomes a user of what it says. One that
    /// says the same keeps its age.
    pub(crate) fn put(&mut self, slot: Slot, paths: &mut Shared<Path>) -> Put {
        match self {
            Self::Nothing if slot.path_id == 0 => {
                paths.hold(slot.path);
                *self = Self::One(One {
                    path: slot.path,
                    since: slot.since,
                    told: Id::NONE,
                    cycle: slot.cycle,
                    gone: false,
                    dirty: false,
                });
                Put::New
            }
            Self::One(one) if one.path == slot.path && slot.path_id == 0 => {
                one.cycle = slot.cycle;
                if !std::mem::take(&mut one.gone) {
                    return Put::Same;
                }
                one.since = slot.since;
                Put::New
            }
            Self::One(one)
                if one.told == Id::NONE && slot.path_id == 0 && same_key(one.path, slot.path, paths) =>
            {
                paths.hold(slot.path);
                let before = std::mem::replace(&mut one.path, slot.path);
                (one.since, one.cycle) = (slot.since, slot.cycle);
                Put::Instead(before)
            }
            _ => self.widen(paths).put(slot, paths),
        }
    }

    /// The same with room for more.
    pub(crate) fn widen(&mut self, paths: &mut Shared<Path>) -> &mut Many {
        if !matches!(self, Self::Many(_)) {
            let mut many = Many { slots: self.slots(), told: self.told(), dirty: self.is_dirty() };
            match self {
                // Both the path and what was told of it use it now.
                Self::One(one) if !one.gone && many.told.is_some() => paths.hold(one.path),
                _ => {}
            }
            many.slots.shrink_to_fit();
            *self = Self::Many(Box::new(many));
        }
        match self {
            Self::Many(many) => many,
            Self::Nothing | Self::One(_) => unreachable!("it was made a `Many` above"),
        }
    }

    /// The same in the least room.
    pub(crate) fn narrow(&mut self, paths: &mut Shared<Path>) {
        let Self::Many(many) = self else { return };
        let [slot @ Slot { path_id: 0, .. }] = many.slots.as_slice() else { return };
        let told = match many.told {
            None => Id::NONE,
            Some(told) if told.path == slot.path && told.backup == Id::NONE && told.metric == 0 => {
                paths.release(told.path);
                told.target
            }
            Some(_) => return,
        };
        let Slot { path, since, cycle, .. } = *slot;
        *self = Self::One(One { path, since, told, cycle, gone: false, dirty: many.dirty });
    }

    /// Takes away the paths that `goes` names; true when one went.
    pub(crate) fn take(
        &mut self,
        paths: &mut Shared<Path>,
        mut goes: impl FnMut(&Slot, &Arc<Path>) -> bool,
    ) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(one) => {
                if one.gone || !goes(&one.slot(), paths.get(one.path)) {
                    return false;
                }
                if one.told == Id::NONE {
                    paths.release(one.path);
                    *self = Self::Nothing;
                } else {
                    one.gone = true;
                }
                true
            }
            Self::Many(many) => {
                let before = many.slots.len();
                many.slots.retain(|slot| {
                    let gone = goes(slot, paths.get(slot.path));
                    if gone {
                        paths.release(slot.path);
                    }
                    !gone
                });
                before != many.slots.len()
            }
        }
    }

    /// True when there is nothing to know.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(_) => false,
            Self::Many(many) => many.slots.is_empty() && many.told.is_none(),
        }
    }
}

impl Many {
    fn put(&mut self, slot: Slot, paths: &mut Shared<Path>) -> Put {
        let same =
            |other: &&mut Slot| other.path_id == slot.path_id && same_key(other.path, slot.path, paths);
        let Some(place) = self.slots.iter_mut().find(same) else {
            paths.hold(slot.path);
            self.slots.push(slot);
            return Put::New;
        };
        if place.path == slot.path {
            place.cycle = slot.cycle;
            return Put::Same;
        }
        paths.hold(slot.path);
        Put::Instead(std::mem::replace(place, slot).path)
    }
}

fn same_key(a: Id<Path>, b: Id<Path>, paths: &Shared<Path>) -> bool {
    let of = |id| {
        let path: &Path = paths.get(id);
        (path.source, path.protocol)
    };
    a == b || of(a) == of(b)
}
