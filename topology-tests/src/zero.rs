//! Nodes without configuration: hosts with a default route and nothing else.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::Value;

use crate::{Container, Error, Host, Lab, Result, cluster::has_routes_of, peer::Routed, traffic::Stream};

/// Patience with nodes that claim and tell.
pub const LIMIT: Duration = Duration::from_secs(30);
/// The bridge that a node makes for its block.
pub const BRIDGE: &str = "routed0";
/// The kernel's number of the protocol `rip`.
pub const RIP: &str = "189";
/// The number of `RIPng`'s routes.
pub const RIPNG: &str = "190";

/// A node without configuration.
#[derive(Debug)]
pub struct Node {
    /// The daemon.
    pub routed: Routed,
    /// The machine.
    pub host: Host,
}

impl Node {
    /// A host without a bridge on which the daemon will find no file.
    pub fn new(lab: &Lab, name: &str) -> Result<Node> {
        let host = lab.router(name)?;
        Ok(Node { routed: Routed::without_file(&host)?, host })
    }

    /// A host without a bridge and the files of a daemon with a configuration.
    pub fn with(lab: &Lab, name: &str, config: &str) -> Result<Node> {
        let host = lab.router(name)?;
        Ok(Node { routed: Routed::prepare(&host, config)?, host })
    }

    /// The IPv4 blocks that this node owns, as `routectl ipam blocks` lists them.
    pub fn blocks(&self) -> Result<Vec<String>> {
        let blocks = self.routed.routectl_json(["ipam", "blocks"])?;
        let owned = blocks.as_array().into_iter().flatten().filter(|block| block["state"] == "owned");
        Ok(owned.filter_map(|block| block["prefix"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until it owns one block, with the bridge's address out of it.
    pub fn await_block(&self) -> Result<String> {
        let what = format!("{} has a block and a bridge for it", self.host.name());
        self.host.lab().wait_until(&what, LIMIT, || {
            let blocks = self.blocks().map_err(|e| e.to_string())?;
            let [block] = &blocks[..] else { return Err(format!("blocks {blocks:?}")) };
            let show = self.host.exec(["ip", "-br", "-4", "address", "show", "dev", BRIDGE]);
            let shown = show.map_err(|e| e.to_string())?.stdout;
            let address = format!("{}/24", first(block, 1).map_err(|e| e.to_string())?);
            if shown.contains(&address) { Ok(block.clone()) } else { Err(format!("{block}, {shown}")) }
        })
    }

    /// A container with an address of `block` behind the node's own bridge.
    pub fn container(&self, name: &str, block: &str) -> Result<Container> {
        self.host.container_in(name, BRIDGE, first(block, 0)?)
    }

    /// Waits for routes by RIP in the kernel.
    pub fn await_routes(&self, blocks: &[String]) -> Result<()> {
        let what = format!("{} has routes by RIP", self.host.name());
        self.host.lab().wait_until(&what, LIMIT, || has_routes_of(&self.host, RIP, blocks))
    }

    /// The alarms of `routectl status -o json`.
    pub fn alarms(&self) -> Result<Vec<Value>> {
        let status = self.routed.routectl_json(["status"])?;
        Ok(status["alarms"].as_array().cloned().unwrap_or_default())
    }

    /// Waits for an alarm whose text contains all of `words`, and gives it.
    pub fn await_alarm(&self, words: &[&str]) -> Result<Value> {
        let what = format!("{} raises an alarm with {words:?}", self.host.name());
        self.host.lab().wait_until(&what, LIMIT, || {
            let alarms = self.alarms().map_err(|e| e.to_string())?;
            let says = |alarm: &&Value| {
                let text = alarm["text"].as_str().unwrap_or_default();
                words.iter().all(|word| text.contains(word))
            };
            alarms.iter().find(says).cloned().ok_or_else(|| format!("{alarms:?}"))
        })
    }
}

/// Claimed blocks of `nodes`; each has its own, and routes to all others.
pub fn await_cluster<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Result<Vec<String>> {
    let nodes: Vec<&Node> = nodes.into_iter().collect();
    let blocks = nodes.iter().map(|node| node.await_block()).collect::<Result<Vec<_>>>()?;
    for (node, own) in nodes.iter().zip(&blocks) {
        let others: Vec<String> = blocks.iter().filter(|block| *block != own).cloned().collect();
        if others.len() + 1 != blocks.len() {
            return Err(Error::Claim(format!("two nodes have one block: {blocks:?}")));
        }
        node.await_routes(&others)?;
    }
    Ok(blocks)
}

/// Streams between all pairs at once; every packet arrives, from the sender's own address.
pub fn all_talk(containers: &[Container], packets: u64) -> Result<()> {
    let pairs = containers.iter().flat_map(|a| containers.iter().map(move |b| (a, b)));
    let pairs = pairs.filter(|(a, b)| a.ipv4() != b.ipv4());
    let streams = pairs.map(|(a, b)| Ok((Stream::start(a, b, b.ipv4().into())?, a, b)));
    for (stream, a, b) in streams.collect::<Result<Vec<_>>>()? {
        stream.await_sent(packets)?;
        let report = stream.finish()?;
        if report.lost > 0 || report.sources != [a.ipv4().into()].into() {
            let evidence = a.host().lab().evidence();
            return Err(Error::Claim(format!("{} to {}: {report:?}\n{evidence}", a.name(), b.name())));
        }
    }
    Ok(())
}

/// The address number `index` of a block.
fn first(block: &str, index: u32) -> Result<Ipv4Addr> {
    let address = block.split('/').next().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let address = address.ok_or_else(|| Error::Claim(format!("{block} is no IPv4 block")))?;
    Ok((u32::from(address) + index).into())
}
