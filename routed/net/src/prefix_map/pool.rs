//! Blocks of slots, addressed by 32 bits, that never move the world to grow.
//!
//! The slots lie in pages of 64, a page has a bitmap of those in use, and a
//! block of up to [`BLOCK`] slots lies in one page. So what is given back is
//! whole again with what is free beside it, and no block is larger than asked
//! for. The pages with room are listed by their longest run of free slots; a
//! block is cut from the shortest run that holds it. Pages lie in chunks, of
//! which only the last grows: no moment needs twice the memory.

use std::mem;

/// Slots of a page.
const PAGE: usize = 64;
/// Slots of a chunk.
const CHUNK: usize = 64 * PAGE;
/// The greatest block.
const BLOCK: usize = 32;
/// No page.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Page {
    /// The slots in use, one bit each.
    used: u64,
    /// The longest run of free slots, at most [`BLOCK`]: the list it is in.
    run: usize,
    /// Its neighbours in that list.
    before: u32,
    after: u32,
}

/// An arena of blocks; see the module's page. A free slot holds the default.
#[derive(Clone, Debug)]
pub(super) struct Pool<T> {
    /// A chunk of which nothing is in use has no memory.
    chunks: Vec<Vec<T>>,
    /// The slots of each chunk that are in use.
    in_use: Vec<u16>,
    pages: Vec<Page>,
    /// The first page of each list, by its run.
    lists: [u32; BLOCK + 1],
    /// Which lists have pages, one bit each; full pages are in none.
    runs: u64,
    /// The slots that are in use.
    live: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            in_use: Vec::new(),
            pages: Vec::new(),
            lists: [NONE; BLOCK + 1],
            runs: 0,
            live: 0,
        }
    }
}

/// The chunk of a slot, and its place in there.
fn place(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).expect("a pool has fewer than 2^32 slots: memory ends before")
}

/// The size of a block, as chunks count it.
fn slots(size: usize) -> u16 {
    u16::try_from(size).expect("a block is at most 32 slots")
}

/// The bits of a block.
fn bits(at: usize, size: usize) -> u64 {
    ((1 << size) - 1) << at
}

/// Where runs of `size` ones begin.
fn runs(ones: u64, size: usize) -> u64 {
    let (mut runs, mut have) = (ones, 1);
    while have < size {
        let step = have.min(size - have);
        runs &= runs >> step;
        have += step;
    }
    runs
}

/// The longest run of ones, at most [`BLOCK`]: by powers of two, then between.
fn longest(ones: u64) -> usize {
    // Where runs of 1, 2, 4, 8, 16 and 32 begin.
    let mut begin = [ones, 0, 0, 0, 0, 0];
    let mut power = 0;
    while power < 5 && begin[power] != 0 {
        begin[power + 1] = begin[power] & (begin[power] >> (1 << power));
        power += 1;
    }
    if begin[power] == 0 {
        let Some(below) = power.checked_sub(1) else { return 0 };
        power = below;
    }
    let (mut run, mut from) = (1_usize << power, begin[power]);
    if run >= BLOCK {
        return BLOCK;
    }
    for power in (0..power).rev() {
        let longer = from & (begin[power] >> run);
        if longer != 0 {
            (from, run) = (longer, run + (1 << power));
        }
    }
    run
}

impl<T> Pool<T> {
    /// A slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &T {
        let (chunk, place) = place(slot);
        &self.chunks[chunk][place]
    }

    /// A slot, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut T {
        let (chunk, place) = place(slot);
        &mut self.chunks[chunk][place]
    }

    /// Memory that is held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.chunks.iter().map(Vec::capacity).sum();
        slots * mem::size_of::<T>()
            + self.pages.capacity() * mem::size_of::<Page>()
            + self.chunks.capacity() * mem::size_of::<Vec<T>>()
    }

    /// Puts a page into the list that it belongs to now.
    fn relist(&mut self, page: usize) {
        let run = longest(!self.pages[page].used);
        if run == self.pages[page].run {
            return;
        }
        self.unlist(page);
        self.pages[page].run = run;
        if run > 0 {
            let head = mem::replace(&mut self.lists[run], number(page));
            if head != NONE {
                self.pages[head as usize].before = number(page);
            }
            self.pages[page].before = NONE;
            self.pages[page].after = head;
            self.runs |= 1 << run;
        }
    }

    fn unlist(&mut self, page: usize) {
        let Page { run, before, after, .. } = self.pages[page];
        if run == 0 {
            return;
        }
        if after != NONE {
            self.pages[after as usize].before = before;
        }
        if before == NONE {
            self.lists[run] = after;
        } else {
            self.pages[before as usize].after = after;
        }
        if self.lists[run] == NONE {
            self.runs &= !(1 << run);
        }
    }
}

impl<T: Default> Pool<T> {
    /// A block of `size` slots, all at their default; 0 is no block.
    pub(super) fn alloc(&mut self, size: usize) -> u32 {
        if size == 0 {
            return 0;
        }
        self.live += size;
        let fits = self.runs >> size;
        let page = if fits == 0 {
            self.pages.push(Page { used: 0, run: 0, before: NONE, after: NONE });
            self.pages.len() - 1
        } else {
            self.lists[size + fits.trailing_zeros() as usize] as usize
        };
        let at = runs(!self.pages[page].used, size).trailing_zeros() as usize;
        self.pages[page].used |= bits(at, size);
        self.relist(page);
        let block = page * PAGE + at;
        self.cover(block + size);
        self.in_use[block / CHUNK] += slots(size);
        number(block)
    }

    /// Gives a block back, whose values have been taken.
    pub(super) fn free(&mut self, block: u32, size: usize) {
        self.live -= size;
        if self.live == 0 {
            *self = Self::default();
        } else {
            let (page, at) = (block as usize / PAGE, block as usize % PAGE);
            self.pages[page].used &= !bits(at, size);
            self.relist(page);
            let (chunk, _) = place(block);
            self.in_use[chunk] -= slots(size);
            if self.in_use[chunk] == 0 {
                self.chunks[chunk] = Vec::new();
            }
        }
    }

    /// Moves a block of `size` into one that is longer by one, with `value` at `index`.
    pub(super) fn grow(&mut self, block: u32, size: usize, index: usize, value: T) -> u32 {
        let grown = self.alloc(size + 1);
        if size > 0 {
            let (from, to) = self.pair((block, size), (grown, size + 1));
            for (from, to) in from.iter_mut().zip(to.iter_mut()).take(index) {
                *to = mem::take(from);
            }
            for (from, to) in from.iter_mut().zip(to.iter_mut().skip(1)).skip(index) {
                *to = mem::take(from);
            }
            self.free(block, size);
        }
        *self.get_mut(grown + number(index)) = value;
        grown
    }

    /// Moves a block of `size` into one without the slots that `keep` leaves
    /// out; the values there are dropped.
    pub(super) fn shrink(&mut self, block: u32, size: usize, keep: impl Fn(usize) -> bool) -> u32 {
        let (chunk, at) = place(block);
        let slots = &mut self.chunks[chunk][at..at + size];
        let mut kept = 0;
        for index in 0..size {
            if keep(index) {
                slots.swap(kept, index);
                kept += 1;
            }
        }
        slots[kept..].iter_mut().for_each(|slot| *slot = T::default());
        let shrunk = self.alloc(kept);
        if kept > 0 {
            let (from, to) = self.pair((block, kept), (shrunk, kept));
            from.iter_mut().zip(to).for_each(|(from, to)| *to = mem::take(from));
        }
        self.free(block, size);
        shrunk
    }

    /// Two different blocks at once.
    fn pair(&mut self, (a, a_size): (u32, usize), (b, b_size): (u32, usize)) -> (&mut [T], &mut [T]) {
        const APART: &str = "two blocks in use are never one";
        let ((a, at), (b, bt)) = (place(a), place(b));
        if a == b {
            let [a, b] = self.chunks[a].get_disjoint_mut([at..at + a_size, bt..bt + b_size]).expect(APART);
            (a, b)
        } else {
            let [a, b] = self.chunks.get_disjoint_mut([a, b]).expect(APART);
            (&mut a[at..at + a_size], &mut b[bt..bt + b_size])
        }
    }

    /// Makes sure that there are slots up to `end`.
    fn cover(&mut self, end: usize) {
        let (chunk, len) = ((end - 1) / CHUNK, (end - 1) % CHUNK + 1);
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
            self.in_use.push(0);
        }
        if self.chunks[chunk].len() < len {
            self.chunks[chunk].resize_with(len, T::default);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_found() {
        let naive = |ones: u64| (1..=BLOCK).rev().find(|size| runs(ones, *size) != 0).unwrap_or(0);
        let mut state = 1_u64;
        for round in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Many ones, few ones, one long run.
            let ones = match round % 3 {
                0 => state | state.rotate_left(7) | state.rotate_left(13),
                1 => state & state.rotate_left(9),
                _ => bits((state >> 59) as usize, (state >> 32) as usize % 33),
            };
            assert_eq!(longest(ones), naive(ones), "{ones:064b}");
        }
        assert_eq!((longest(0), longest(u64::MAX)), (0, BLOCK));
    }
}
