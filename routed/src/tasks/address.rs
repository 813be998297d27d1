//! The address task: keeps the address store's blocks as the node owns them.
//!
//! ```text
//!  table ──Owned (watch)──► set_blocks ─► ipam (its own writer thread)
//! ```

use ipam::Ipam;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Owned;

/// Follows what the node owns until the daemon ends.
pub(crate) async fn run(addresses: Ipam, mut owned: watch::Receiver<Owned>) {
    let mut blocks = Vec::new();
    while owned.changed().await.is_ok() {
        let now = owned.borrow_and_update().clone();
        if now.blocks != blocks {
            info!(blocks = %list(&now.blocks), "blocks of this node");
            blocks.clone_from(&now.blocks);
        }
        let addresses = addresses.clone();
        let set = tokio::task::spawn_blocking(move || addresses.set_blocks(now.blocks, now.addresses)).await;
        match set {
            Ok(Ok(())) => {}
            Ok(Err(why)) => warn!(%why, "blocks not taken over by the address store"),
            Err(error) => warn!(%error, "address store"),
        }
    }
}

fn list(prefixes: &[net::Prefix]) -> String {
    if prefixes.is_empty() {
        return "none".to_owned();
    }
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
