//! Which `bip` a node's blocks make.

use super::*;

fn block(prefix: &str, state: BlockState) -> Block {
    Block { prefix: prefix.into(), state: state.into(), ..Block::default() }
}

#[track_caller]
fn check(blocks: &[(&str, BlockState)], present: Option<&str>, expected: Result<&str, &str>) {
    let blocks: Vec<_> = blocks.iter().map(|(prefix, state)| block(prefix, *state)).collect();
    match (choose(&blocks, present), expected) {
        (Ok(bip), Ok(expected)) => assert_eq!(bip.to_string(), expected),
        (Err(Failure::Faulty(text)), Err(part)) => assert!(text.contains(part), "{text}"),
        (actual, _) => panic!("{actual:?}, not {expected:?}"),
    }
}

#[test]
fn only_blocks_that_this_node_owns_count() {
    use BlockState::{Claiming, Conflict, Owned, Remote};
    let owned = ("10.244.1.0/24", Owned);
    check(&[("10.244.0.0/24", Remote), owned, ("2001:db8::/64", Owned)], None, Ok("10.244.1.1/24"));
    check(&[("172.17.0.0/16", Conflict), owned], Some("172.17.0.1/16"), Ok("10.244.1.1/24"));
    check(&[("10.244.1.0/24", Claiming)], None, Err("still claiming"));
    check(&[("172.17.0.0/16", Conflict), ("10.244.2.0/24", Remote)], None, Err("owns no IPv4 block"));
    check(&[("2001:db8::/64", Owned), ("10.244.1.0/31", Owned)], None, Err("owns no IPv4 block"));
    check(&[owned, ("10.244.9.0/26", Owned)], None, Err("--bip 10.244.1.1/24, --bip 10.244.9.1/26"));
}

#[test]
fn an_address_that_lies_in_the_block_stays() {
    let blocks = [("10.244.1.0/24", BlockState::Owned), ("10.244.9.0/26", BlockState::Owned)];
    check(&blocks, Some("10.244.1.254/24"), Ok("10.244.1.254/24"));
    check(&blocks[..1], Some("10.244.1.254/25"), Ok("10.244.1.1/24"));
    check(&blocks[..1], Some("null"), Ok("10.244.1.1/24"));
}
