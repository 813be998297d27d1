//! The ledger: who has which address. Pure; [`Ledger::decide`] says what an
//! operation does, [`Ledger::absorb`] does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use net::{Family, Prefix};

use crate::allocate::{choose, claim, total};
use crate::block::Block;
use crate::event::{Event, Image, Op};
use crate::model::{AllocateRequest, Allocation, BlockState, BlockView, HANDLE_BYTES, LABEL_BYTES, Snapshot};
use crate::pool::Layout;
use crate::why::Why;

/// The state: what is kept ([`Image`]), what configuration says ([`Layout`])
/// and two indexes over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    layout: Layout,
    image: Image,
    /// The layout's blocks, and those that are not in it but hold addresses.
    blocks: BTreeMap<Prefix, Block>,
    handles: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Ledger {
    /// The ledger that an image describes under a layout.
    pub fn new(layout: Layout, image: Image) -> Self {
        let mut ledger = Self { layout, image, ..Self::default() };
        ledger.index();
        ledger
    }

    /// The layout in force.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is kept on disk.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// A block that is in the layout or holds addresses.
    pub fn block(&self, prefix: Prefix) -> Option<&Block> {
        self.blocks.get(&prefix)
    }

    /// Every handle that holds addresses, with them.
    pub fn handles(&self) -> &BTreeMap<String, BTreeSet<IpAddr>> {
        &self.handles
    }

    /// Puts another layout in force. Addresses in blocks that went stay
    /// allocated; their blocks are [`BlockState::Retired`].
    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
        self.index();
    }

    /// Decides and absorbs. On a refusal nothing changes.
    pub fn apply(&mut self, op: Op) -> Result<Event, Why> {
        let event = self.decide(op)?;
        self.absorb(&event);
        Ok(event)
    }

    /// What an operation would do.
    pub fn decide(&self, op: Op) -> Result<Event, Why> {
        match op {
            Op::Allocate(request) => self.allocate(&request),
            Op::ReleaseAddress(address) => match self.image.allocations.get(&address) {
                Some(allocation) => Ok(Event::Released(vec![self.at_home(allocation)])),
                None => Err(Why::NotAllocated { address }),
            },
            Op::ReleaseHandle(handle) => match self.handles.get(&handle) {
                Some(addresses) => Ok(Event::Released(self.allocations_at(addresses).collect())),
                None => Err(Why::UnknownHandle { handle }),
            },
            Op::Reserve(prefix) => self.reserve(prefix),
            Op::Unreserve(prefix) if self.image.reserved.contains(&prefix) => Ok(Event::Unreserved(prefix)),
            Op::Unreserve(prefix) => {
                Err(Why::NotReserved { prefix, reserved: self.image.reserved.iter().copied().collect() })
            }
            Op::Import(image) => self.import(image),
            // Remembered already: an event that changes nothing.
            Op::RememberClaims(claims) if self.image.claims == claims => {
                Ok(Event::Imported { allocations: Vec::new(), reserved: Vec::new() })
            }
            Op::RememberClaims(claims) => Ok(Event::Claimed(claims)),
        }
    }

    /// Takes a fact in.
    pub fn absorb(&mut self, event: &Event) {
        match event {
            Event::Allocated { new, chosen, .. } => {
                for allocation in new {
                    self.enter(allocation);
                    if chosen.contains(&allocation.address)
                        && let Some(block) = self.blocks.get_mut(&allocation.block)
                    {
                        block.advance(allocation.address);
                    }
                }
            }
            Event::Released(old) => {
                for allocation in old {
                    self.leave(allocation);
                }
            }
            Event::Imported { allocations, .. } => {
                for allocation in allocations {
                    self.enter(allocation);
                }
            }
            Event::Reserved(_) | Event::Unreserved(_) | Event::Claimed(_) => {}
        }
        self.image.generation += u64::from(event.changes());
        self.image.absorb(event);
    }

    /// What readers see.
    pub fn snapshot(&self) -> Snapshot {
        let view = |(&prefix, block): (&Prefix, &Block)| BlockView {
            prefix,
            pool: self.layout.pool_of(prefix.address()),
            node: self.layout.node().to_owned(),
            state: self.state_of(prefix),
            addresses_total: total(&self.layout, &self.image.reserved, prefix),
            addresses_used: block.used(),
        };
        Snapshot {
            pools: self.layout.pools().to_vec(),
            blocks: self.blocks.iter().map(view).collect(),
            allocations: self.image.allocations.values().map(|one| self.at_home(one)).collect(),
            reserved: self.image.reserved.iter().copied().collect(),
        }
    }

    fn state_of(&self, block: Prefix) -> BlockState {
        if self.layout.blocks().contains(&block) { BlockState::Active } else { BlockState::Retired }
    }

    fn allocate(&self, request: &AllocateRequest) -> Result<Event, Why> {
        check_words(request)?;
        if let Some(pool) = request.pool.filter(|pool| !self.layout.pools().contains(pool)) {
            return Err(Why::UnknownPool { pool, pools: self.layout.pools().to_vec() });
        }
        let only = request.address.filter(|_| request.families.list().len() == 1).map(Family::of);
        let families = only.as_ref().map_or(request.families.list(), std::slice::from_ref);
        let (mut new, mut held, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        for &family in families {
            let wish = request.address.filter(|address| Family::of(*address) == family);
            if let Some(has) = self.held(request, family, wish)? {
                held.push(has);
                continue;
            }
            let (block, pool, address) = if let Some(address) = wish {
                let (block, pool) = claim(self, address, request.pool)?;
                (block, pool, address)
            } else {
                let (block, address) = choose(self, family, request.pool)?;
                chosen.push(address);
                (block, self.layout.pool_of(address).unwrap_or(block), address)
            };
            let (handle, labels) = (request.handle.clone(), request.labels.clone());
            new.push(Allocation { address, pool, block, handle, labels, allocated_at: request.now });
        }
        Ok(Event::Allocated { new, held, chosen })
    }

    /// What the asking handle has of a family, if it meets the request.
    fn held(
        &self,
        request: &AllocateRequest,
        family: Family,
        wish: Option<IpAddr>,
    ) -> Result<Option<Allocation>, Why> {
        let Some(handle) = &request.handle else { return Ok(None) };
        let Some(addresses) = self.handles.get(handle) else { return Ok(None) };
        let mut of_family = addresses.iter().filter(|address| Family::of(**address) == family);
        let meets = |address: &&IpAddr| {
            wish.is_none_or(|wish| wish == **address)
                && request.pool.is_none_or(|pool| pool.contains(**address))
        };
        match (of_family.clone().find(meets), of_family.next()) {
            (Some(address), _) => Ok(self.image.allocations.get(address).map(|one| self.at_home(one))),
            (None, Some(&address)) => Err(Why::HandleHolds { handle: handle.clone(), address }),
            (None, None) => Ok(None),
        }
    }

    fn reserve(&self, prefix: Prefix) -> Result<Event, Why> {
        if !self.layout.pools().iter().any(|pool| pool.covers(prefix)) {
            return Err(Why::OutsidePools { prefix, pools: self.layout.pools().to_vec() });
        }
        let range = prefix.address()..=prefix.last_address();
        match self.image.allocations.range(range).next() {
            Some((&address, allocation)) => {
                Err(Why::RangeInUse { prefix, address, handle: allocation.handle.clone() })
            }
            // Reserved already: an event that changes nothing.
            None if self.image.reserved.contains(&prefix) => {
                Ok(Event::Imported { allocations: Vec::new(), reserved: Vec::new() })
            }
            None => Ok(Event::Reserved(prefix)),
        }
    }

    fn import(&self, image: Image) -> Result<Event, Why> {
        let mut allocations = Vec::new();
        for (address, allocation) in image.allocations {
            let there = allocation.handle.clone();
            match self.image.allocations.get(&address) {
                Some(here) if here.handle == there => continue,
                Some(here) => return Err(Why::ImportConflict { address, here: here.handle.clone(), there }),
                None => {}
            }
            let family = Family::of(address);
            if let Some(handle) = there
                && let Some(holds) = self.handles.get(&handle)
                && let Some(&address) = holds.iter().find(|holds| Family::of(**holds) == family)
            {
                return Err(Why::HandleHolds { handle, address });
            }
            allocations.push(allocation);
        }
        let reserved = image.reserved.difference(&self.image.reserved).copied().collect();
        Ok(Event::Imported { allocations, reserved })
    }

    fn allocations_at<'a>(
        &'a self,
        addresses: &'a BTreeSet<IpAddr>,
    ) -> impl Iterator<Item = Allocation> + 'a {
        addresses
            .iter()
            .filter_map(|address| self.image.allocations.get(address))
            .map(|one| self.at_home(one))
    }

    /// The allocation as it stands under the layout in force: blocks grow and
    /// shrink around addresses that stay.
    fn at_home(&self, allocation: &Allocation) -> Allocation {
        let pool = self.layout.pool_of(allocation.address).unwrap_or(allocation.pool);
        Allocation { block: self.home(allocation), pool, ..allocation.clone() }
    }

    fn home(&self, allocation: &Allocation) -> Prefix {
        let recorded = if allocation.block.contains(allocation.address) {
            allocation.block
        } else {
            Prefix::host(allocation.address)
        };
        self.layout.block_of(allocation.address).unwrap_or(recorded)
    }

    fn enter(&mut self, allocation: &Allocation) {
        let home = self.home(allocation);
        self.blocks.entry(home).or_insert_with(|| Block::new(home)).take(allocation.address);
        if let Some(handle) = &allocation.handle {
            self.handles.entry(handle.clone()).or_default().insert(allocation.address);
        }
    }

    fn leave(&mut self, allocation: &Allocation) {
        let home = self.home(allocation);
        if let Some(block) = self.blocks.get_mut(&home) {
            block.free(allocation.address);
            if block.used() == 0 && self.state_of(home) == BlockState::Retired {
                self.blocks.remove(&home);
            }
        }
        if let Some(handle) = &allocation.handle
            && let Some(addresses) = self.handles.get_mut(handle)
        {
            addresses.remove(&allocation.address);
            if addresses.is_empty() {
                self.handles.remove(handle);
            }
        }
    }

    /// Builds both indexes anew.
    fn index(&mut self) {
        self.handles.clear();
        self.blocks = self.layout.blocks().iter().map(|&prefix| (prefix, Block::new(prefix))).collect();
        let image = std::mem::take(&mut self.image);
        for allocation in image.allocations.values() {
            self.enter(allocation);
        }
        for (&prefix, &last) in &image.cursors {
            if let Some(block) = self.blocks.get_mut(&prefix).filter(|_| prefix.contains(last)) {
                block.advance(last);
            }
        }
        self.image = image;
    }
}

/// Handles and labels are stored, indexed and printed: they have bounds.
fn check_words(request: &AllocateRequest) -> Result<(), Why> {
    let usable = |handle: &String| {
        !handle.is_empty() && handle.len() <= HANDLE_BYTES && !handle.chars().any(char::is_control)
    };
    if let Some(handle) = request.handle.as_ref().filter(|handle| !usable(handle)) {
        return Err(Why::BadHandle { handle: handle.chars().take(64).collect() });
    }
    let bytes = request.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > LABEL_BYTES { Err(Why::BadLabels { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
