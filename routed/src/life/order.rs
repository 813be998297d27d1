//! Peers that operators add, remove, enable and disable over the API.
//!
//! An order changes the [`Runtime`] of the state directory, and what follows
//! from it is what would follow from a reload: the file's text as it was last
//! read, with the other `Runtime`. So a changed file is not read by the way.

use std::sync::Arc;

use api::Problem;
use api::problem::Kind;
use tracing::info;

use super::Daemon;
use crate::config::runtime::Runtime;
use crate::config::{self, Peer, PeerKey, PeerOrigin};
use crate::state::StateDir;
use crate::tasks::{Order, PeerOrder};

/// The file of the state directory.
pub(super) const PEERS: &str = "peers.json";

impl Daemon {
    /// Carries out an order, and keeps it before it answers.
    pub(super) async fn order(&mut self, order: Order) {
        let Order { peer, what, reply } = order;
        let outcome = self.obey(&peer, what).await;
        // Whoever asked may have gone; then nobody misses the answer.
        let _ = reply.send(outcome);
    }

    async fn obey(&mut self, key: &PeerKey, what: PeerOrder) -> Result<(), Problem> {
        let mut runtime = self.runtime.clone();
        let problem = |kind, text: String| Problem::new(kind, format!("peer {key}"), text);
        let bgp = self.config.bgp.as_ref().ok_or_else(|| {
            problem(Kind::Precondition, "this node speaks no BGP".into())
                .hint("give the configuration a [bgp] with `asn`, and restart routed")
        })?;
        let known: Option<&Peer> = bgp.peers.iter().find(|peer| peer.key() == *key);
        let added = matches!(what, PeerOrder::Add(_));
        match what {
            PeerOrder::Add(keys) => match known {
                None => drop(runtime.peers.insert(key.clone(), keys)),
                Some(_) if runtime.peers.get(key) == Some(&keys) => return Ok(()),
                Some(_) => {
                    return Err(problem(Kind::Taken, "is configured already, with other keys".into())
                        .hint("remove it first, or change it in the file if it stands there"));
                }
            },
            PeerOrder::Remove => {
                if known.is_some_and(|peer| peer.origin == PeerOrigin::File) {
                    return Err(problem(Kind::Precondition, format!("stands in {}", self.text.name))
                        .hint("take it out there and reload; or disable it"));
                }
                if runtime.peers.remove(key).is_none() {
                    return Err(crate::serve::unknown_peer(key));
                }
                runtime.disabled.remove(key);
            }
            PeerOrder::Disable(words) => {
                known.ok_or_else(|| crate::serve::unknown_peer(key))?;
                runtime.disabled.insert(key.clone(), words.unwrap_or_default());
            }
            PeerOrder::Enable => {
                let peer = known.ok_or_else(|| crate::serve::unknown_peer(key))?;
                if runtime.disabled.remove(key).is_none() && peer.shutdown.is_some() {
                    return Err(problem(
                        Kind::Precondition,
                        "is kept down by `shutdown` of the configuration".into(),
                    )
                    .hint(format!("take the key out of {} and reload", self.text.name)));
                }
            }
        }
        self.change(key, runtime, added).await
    }

    /// Takes another `Runtime`, if it can be kept.
    async fn change(&mut self, key: &PeerKey, runtime: Runtime, added: bool) -> Result<(), Problem> {
        let internal = |text: String| Problem::new(Kind::Internal, format!("peer {key}"), text);
        let (config, warnings) = config::parse_with(&self.text.name, &self.text.source, &runtime)
            .map_err(|_| internal("the configuration does not read as it did".into()))?;
        let there = |config: &config::Config| {
            config.bgp.as_ref().is_some_and(|bgp| bgp.peers.iter().any(|peer| peer.key() == *key))
        };
        if added && !there(&config) {
            let about = format!("peer {key}, ");
            let why = warnings.iter().find(|warning| warning.message.starts_with(&about));
            let why = why.map_or("is not understood", |why| {
                why.message.split_once("left out: ").map_or(why.message.as_str(), |(_, why)| why)
            });
            return Err(Problem::new(Kind::Invalid, format!("peer {key}"), why.to_owned())
                .hint("the keys are those of [[bgp.peer]]"));
        }
        self.state.save(PEERS, &runtime).map_err(|error| internal(error.to_string()))?;
        self.runtime = runtime;
        let changes = self.take(config).await;
        info!(changes = changes.join("; "), "peers changed over the API");
        Ok(())
    }
}

/// What an earlier process has kept.
pub(super) fn kept(state: &Arc<StateDir>) -> Result<Runtime, crate::Fatal> {
    Ok(state.load(PEERS)?.unwrap_or_default())
}
