//! Which block a node tries first, and which next.

use net::Prefix;

use crate::block::{address_in, bits};

/// The first block of the pool, counted from number `from` (taken modulo how
/// many there are) and round, for which `taken` knows no prefix that shares
/// addresses with it. The length must be one that the pool has.
pub(super) fn next_free(
    pool: Prefix,
    length: u8,
    from: u128,
    taken: impl Fn(Prefix) -> Option<Prefix>,
) -> Option<Prefix> {
    let shift = u32::from(pool.family().max_length() - length);
    let last = bits(pool.last_address()) - bits(pool.address());
    // A shift by all 128 bits: the pool is ::/0, and the block as well.
    let number_of = |offset: u128| offset.checked_shr(shift).unwrap_or(0);
    let most = number_of(last);
    let first = from & most;
    let (mut number, mut wrapped) = (first, false);
    loop {
        let offset = number.checked_shl(shift).unwrap_or(0);
        let block = Prefix::new(address_in(pool, offset), length)?;
        let Some(other) = taken(block) else { return Some(block) };
        // On behind everything that the other one takes.
        let end = number_of(bits(other.last_address()).saturating_sub(bits(pool.address())).min(last));
        let end = end.max(number);
        let at_end = end == most;
        number = if at_end { 0 } else { end + 1 };
        // Round twice, or back where it began.
        if (wrapped && at_end) || ((wrapped || at_end) && number >= first) {
            return None;
        }
        wrapped |= at_end;
    }
}

/// FNV-1a with a mixing end (that of splitmix64, so that near inputs land far
/// apart): the same in every version and on every machine.
pub(super) fn hash(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    let basis = 0xcbf2_9ce4_8422_2325 ^ seed;
    let sum =
        bytes.into_iter().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}
