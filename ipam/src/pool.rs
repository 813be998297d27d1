//! The layout that configuration gives: pools of the cluster, blocks of this
//! node, the bridges' own addresses. It is not stored; each start brings it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use net::Prefix;
use thiserror::Error;

/// Pools, this node's blocks, and addresses that belong to bridges.
/// [`Layout::new`] makes sure that they fit together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    node: String,
    pools: Vec<Prefix>,
    blocks: Vec<Prefix>,
    bridges: BTreeSet<IpAddr>,
}

/// Pools or blocks that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Two pools share addresses.
    #[error("pools {0} and {1} overlap; make [cluster] pools disjoint")]
    PoolsOverlap(Prefix, Prefix),
    /// Two blocks share addresses.
    #[error("blocks {0} and {1} of this node overlap; keep one of them in [ipam] blocks")]
    BlocksOverlap(Prefix, Prefix),
    /// A block lies in no pool.
    #[error("block {0} is in no pool; add a pool that covers it to [cluster] pools, or remove the block")]
    BlockOutsidePools(Prefix),
}

impl Layout {
    /// A layout whose pools are disjoint and whose blocks are disjoint and
    /// inside pools. Order and repetition do not matter.
    pub fn new(
        node: String,
        pools: &[Prefix],
        blocks: &[Prefix],
        bridges: &[IpAddr],
    ) -> Result<Self, LayoutError> {
        let pools = sorted(pools);
        if let Some((one, other)) = overlap(&pools) {
            return Err(LayoutError::PoolsOverlap(one, other));
        }
        Self { node, pools, ..Self::default() }.with_blocks(blocks, bridges)
    }

    /// The same pools with other blocks and bridge addresses.
    pub fn with_blocks(&self, blocks: &[Prefix], bridges: &[IpAddr]) -> Result<Self, LayoutError> {
        let blocks = sorted(blocks);
        if let Some((one, other)) = overlap(&blocks) {
            return Err(LayoutError::BlocksOverlap(one, other));
        }
        let outside = |block: &&Prefix| !self.pools.iter().any(|pool| pool.covers(**block));
        if let Some(block) = blocks.iter().find(outside) {
            return Err(LayoutError::BlockOutsidePools(*block));
        }
        Ok(Self {
            node: self.node.clone(),
            pools: self.pools.clone(),
            blocks,
            bridges: bridges.iter().copied().collect(),
        })
    }

    /// The name of this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The cluster's pools, sorted.
    pub fn pools(&self) -> &[Prefix] {
        &self.pools
    }

    /// This node's blocks, sorted.
    pub fn blocks(&self) -> &[Prefix] {
        &self.blocks
    }

    /// The pool that holds an address.
    pub fn pool_of(&self, address: IpAddr) -> Option<Prefix> {
        self.pools.iter().copied().find(|pool| pool.contains(address))
    }

    /// The block of this node that holds an address.
    pub fn block_of(&self, address: IpAddr) -> Option<Prefix> {
        self.blocks.iter().copied().find(|block| block.contains(address))
    }

    /// True for an address that a bridge itself has.
    pub fn is_bridge(&self, address: IpAddr) -> bool {
        self.bridges.contains(&address)
    }

    /// The addresses of bridges inside a prefix.
    pub fn bridges_in(&self, prefix: Prefix) -> impl Iterator<Item = IpAddr> + '_ {
        self.bridges.range(prefix.address()..=prefix.last_address()).copied()
    }
}

fn sorted(prefixes: &[Prefix]) -> Vec<Prefix> {
    prefixes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Two prefixes that share addresses; in sorted order they are neighbours.
fn overlap(sorted: &[Prefix]) -> Option<(Prefix, Prefix)> {
    sorted.windows(2).find(|pair| pair[0].overlaps(pair[1])).map(|pair| (pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn check(pools: &[&str], blocks: &[&str]) -> Result<Layout, LayoutError> {
        let parse = |texts: &[&str]| texts.iter().map(|text| p(text)).collect::<Vec<_>>();
        Layout::new("n1".into(), &parse(pools), &parse(blocks), &[])
    }

    #[test]
    fn contradictions_are_refused_with_both_names() {
        assert_eq!(
            check(&["10.1.0.0/16", "10.9.0.0/16", "10.0.0.0/8"], &[]),
            Err(LayoutError::PoolsOverlap(p("10.0.0.0/8"), p("10.1.0.0/16")))
        );
        assert_eq!(
            check(&["10.0.0.0/8"], &["10.1.1.0/24", "10.1.0.0/16"]),
            Err(LayoutError::BlocksOverlap(p("10.1.0.0/16"), p("10.1.1.0/24")))
        );
        assert_eq!(
            check(&["10.0.0.0/8"], &["11.0.0.0/24"]),
            Err(LayoutError::BlockOutsidePools(p("11.0.0.0/24")))
        );
        assert!(check(&["fd00::/48", "10.0.0.0/8"], &["fd00::/64", "10.0.0.0/24", "10.0.0.0/24"]).is_ok());
    }

    #[test]
    fn an_address_finds_its_pool_and_block() {
        let layout = check(&["10.0.0.0/8", "fd00::/48"], &["10.1.1.0/24"]).unwrap();
        let address = "10.1.1.9".parse().unwrap();
        assert_eq!(layout.pool_of(address), Some(p("10.0.0.0/8")));
        assert_eq!(layout.block_of(address), Some(p("10.1.1.0/24")));
        assert_eq!(layout.block_of("10.1.2.9".parse().unwrap()), None);
    }
}
