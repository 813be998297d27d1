//! The bridge of claimed blocks, and the record of what was made.

use std::sync::Arc;

use kernel::bridge::{Bridges, Outcome};
use net::Prefix;
use tracing::{info, warn};

use crate::state::StateDir;

/// The file of what was made, in the state directory.
pub(crate) const BRIDGES: &str = "bridges.json";
/// The bridge that a node without a container engine of its own gets.
pub(crate) const NAME: &str = "routed0";

/// The bridge of this node's claimed blocks.
pub(super) struct Bridge {
    state: Arc<StateDir>,
    made: Bridges,
}

impl Bridge {
    pub(super) fn new(state: Arc<StateDir>) -> Self {
        let made = state.load(BRIDGES).unwrap_or_else(|error| {
            warn!(%error, "what bridges routed made is not known; --cleanup will leave them");
            None
        });
        Self { state, made: made.unwrap_or_default() }
    }

    /// Has the bridge there with an address of each block; without blocks,
    /// takes away what routed made.
    pub(super) async fn follow(&mut self, blocks: &[Prefix]) {
        let done = if blocks.is_empty() {
            self.made.remove(NAME).await
        } else {
            self.made.ensure(NAME, blocks).await.map(|ensured| {
                if ensured.outcome == Outcome::Made {
                    info!(bridge = NAME, "bridge made");
                }
            })
        };
        if let Err(error) = done {
            warn!(bridge = NAME, %error, "bridge is not as it should be");
        }
        if let Err(error) = self.state.save(BRIDGES, &self.made) {
            warn!(%error, "what bridges routed made is not recorded; --cleanup will not know");
        }
    }
}
