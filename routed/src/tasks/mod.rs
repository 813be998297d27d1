//! The tasks of the daemon: the only rooms that know tokio, sockets and time.
//!
//! ```text
//!                 ┌────────── serve (gRPC) ───────────────┐
//!                 │ SpeakerCommand   Ask   PolicyCommand  │ ipam calls (blocking threads)
//!                 ▼                   │          │         ▼
//!  listener ─► speaker                │          │       ipam writer thread
//!   accepted     │ PeerCommand        │          │         ▲ set_blocks
//!                ▼      (one a peer)  │          │       address
//!  sockets ◄─► peer ──TableInput──► table ──Owned (watch)──┴──► policy ──► nft
//!                 ◄──Notify, Pull───  │ ▲ ▲
//!                                     │ │ └─ KernelEvent ── watcher (netlink)
//!                                     ▼ └─── FibEvent ───┐
//!                                    FIB writer thread ──┘ (netlink)
//!
//!  peer, rip ──BfdCommand──► bfd (a thread of its own) ──BfdDown──► peer, rip
//! ```
//! Every channel is bounded by a constant below. A full `TableInput` channel
//! stops the reading of the sending peer's socket and nothing else; `Owned`
//! is state, not a queue; what a peer or a watcher has yet to hear is a set
//! of prefixes in the table, but for the few letters that a peer's box holds.
//!
//! Beside them: `discovery` finds who is at the other end of interfaces that have a peer, `bmp` shows sessions and routes to collectors, `drain` tells table and RIP to send traffic elsewhere, `claim`
//! finds a block for a node without one.
//!
//! Start: state directory, watcher, FIB writer (adopts), address store,
//! policy (in force before routes move), table, speaker (listens when the
//! guard of its port is in the kernel), API. Stop is the
//! reverse: API, speaker (sessions end as for a restart), table, FIB writer.

pub(crate) mod address;
pub(crate) mod bfd;
pub(crate) mod bmp;
mod bridge;
pub(crate) mod claim;
mod conn;
mod discovery;
pub(crate) mod drain;
pub(crate) mod listener;
mod peer;
pub(crate) mod policy;
mod report;
pub(crate) mod rip;
mod socket;
pub(crate) mod speaker;
pub(crate) mod table;
mod told;

use std::net::IpAddr;

use net::Prefix;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::bfd::BfdCommand;
pub(crate) use self::bmp::BmpCommand;
pub(crate) use self::bridge::BRIDGES;
pub(crate) use self::peer::PeerCommand;
pub(crate) use self::report::PeerReport;
pub(crate) use self::rip::RipCommand;
pub(crate) use self::speaker::SpeakerCommand;
pub(crate) use self::table::ask::{Overview, TableHandle};
use crate::config::{Diagnostic, PeerKey};

/// Inputs that may wait for the table: batches of routes, not single ones. Few,
/// so that they are still in the cache when their turn comes.
pub(crate) const TABLE_INPUTS: usize = 16;
/// Commands that may wait for the speaker or the policy task.
pub(crate) const COMMANDS: usize = 64;
/// Commands that may wait for one peer.
pub(crate) const PEER_COMMANDS: usize = 16;

/// What this node owns now, as policy and the address store see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// The blocks: from the configuration, or the subnets of the advertised
    /// interfaces that lie in the pools.
    pub(crate) blocks: Vec<Prefix>,
    /// The node's own addresses, the bridges' among them.
    pub(crate) addresses: Vec<IpAddr>,
    /// The subnets of the advertised interfaces, inside the pools or not.
    pub(crate) subnets: Vec<Prefix>,
}

/// What a reload did: one sentence a change, and the warnings of the file; or
/// what is wrong with the file.
pub(crate) type Reloaded = Result<Reload, Vec<Diagnostic>>;

/// A reload that was carried out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reload {
    /// One sentence a change.
    pub(crate) changes: Vec<String>,
    /// Warnings of the file.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// What the API talks to.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    /// The table.
    pub(crate) table: TableHandle,
    /// The BGP speaker, if this node speaks BGP.
    pub(crate) speaker: Option<mpsc::Sender<SpeakerCommand>>,
    /// The RIP task, if this node speaks RIP.
    pub(crate) rip: Option<mpsc::Sender<RipCommand>>,
    /// The BFD task.
    pub(crate) bfd: mpsc::Sender<BfdCommand>,
    /// The collectors of BMP.
    pub(crate) bmp: mpsc::Sender<BmpCommand>,
    /// The claim task, if this node speaks RIP.
    pub(crate) claim: Option<claim::ClaimHandle>,
    /// The drain task.
    pub(crate) drain: drain::DrainHandle,
    /// The policy task.
    pub(crate) policy: policy::PolicyHandle,
    /// Counts the connections of strangers that were closed.
    pub(crate) strangers: listener::Strangers,
    /// The address store.
    pub(crate) addresses: ipam::Ipam,
    /// Asks the main task for a reload.
    pub(crate) reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
    /// Has the main task change the peers.
    pub(crate) order: mpsc::Sender<Order>,
}

/// What an operator wants of the peers that are configured; it is kept over
/// restarts.
#[derive(Debug)]
pub(crate) struct Order {
    /// The peer.
    pub(crate) peer: PeerKey,
    /// What is to become of it.
    pub(crate) what: PeerOrder,
    /// Gets the answer once it is on disk.
    pub(crate) reply: oneshot::Sender<Result<(), api::Problem>>,
}

/// What is to become of a peer.
#[derive(Debug)]
pub(crate) enum PeerOrder {
    /// It is added, with these keys of `[[bgp.peer]]`.
    Add(toml::Table),
    /// One that was added is removed.
    Remove,
    /// It is kept down, with these words to it.
    Disable(Option<String>),
    /// It is kept down no longer.
    Enable,
}

impl Handles {
    /// Comes back with the name of a task that has ended, though it lives as
    /// long as the daemon; what this node does not speak never ends.
    pub(crate) async fn ended(&self) -> &'static str {
        tokio::select! {
            () = closed(self.speaker.as_ref()) => "BGP speaker",
            () = closed(self.rip.as_ref()) => "RIP",
            () = self.policy.ended() => "policy",
            () = async {
                match &self.claim {
                    Some(claim) => claim.ended().await,
                    None => std::future::pending().await,
                }
            } => "claim",
        }
    }

    /// Reloads the configuration; `None` when the daemon stops.
    pub(crate) async fn reload(&self) -> Option<Reloaded> {
        let (reply, answer) = oneshot::channel();
        self.reload.send(reply).await.ok()?;
        answer.await.ok()
    }
}

/// Comes back when the task that takes these commands is gone; where there is
/// none, never.
async fn closed<T>(commands: Option<&mpsc::Sender<T>>) {
    match commands {
        Some(commands) => commands.closed().await,
        None => std::future::pending().await,
    }
}

/// Waits until an instant; without one, for ever.
async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_is_gone_is_noticed_and_one_that_never_was_is_not() {
        let (sender, task) = mpsc::channel::<()>(1);
        drop(task);
        tokio::select! {
            biased;
            () = closed::<()>(None) => panic!("there is no such task"),
            () = closed(Some(&sender)) => {}
        }
        let (alarms, reader) = tokio::sync::watch::channel(std::collections::BTreeSet::default());
        let claim = claim::ClaimHandle(reader);
        drop(alarms);
        claim.ended().await;
    }
}
