//! The bridge of a claimed block: made if it is absent, given the block's
//! first host address, set up; and taken away again, as far as routed made it.
//!
//! Two marks keep what is ours apart from what is not: the record that the
//! caller keeps in the state directory ([`Bridges`]), and the alias of the
//! link itself, which survives a record that was lost and tells a bridge of
//! ours from one that somebody made later under the same name.
//!
//! A bridge that was there before is used as it is; of its addresses only
//! those that routed added are ever removed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use net::Prefix;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{AddressMessageBuilder, Handle, LinkBridge, LinkUnspec};
use serde::{Deserialize, Serialize};

use crate::links::LinkKind;
use crate::watch::{kind_of, own_address};

/// The alias of a bridge that routed made.
const ALIAS: &str = "made by routed";

/// Longest name of a link in bytes (`IFNAMSIZ` without its end).
const NAME_BYTES: usize = 15;

/// What routed made of bridges; to be kept in the state directory after every
/// call that may change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bridges(Vec<Made>);

/// What routed made of one bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The name of the bridge.
    pub name: String,
    /// True when routed made the bridge itself.
    pub created: bool,
    /// The addresses that routed added.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A bridge that is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// The kernel's index of the link.
    pub index: u32,
    /// What it took.
    pub outcome: Outcome,
}

/// What it took to have a bridge as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Made,
    /// It was there; addresses or its state were changed.
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// Why a bridge could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// No netlink socket.
    #[error("netlink socket for bridges: {0}; check that the process may open AF_NETLINK sockets")]
    Socket(#[source] io::Error),
    /// The kernel takes no such name.
    #[error("{0:?} is no name for a bridge; use 1 to {NAME_BYTES} bytes without '/', ':' and white space")]
    Name(String),
    /// Another kind of link has the name.
    #[error("{name} is no bridge; rename that link, or give routed's bridge another name")]
    NotABridge {
        /// The name.
        name: String,
    },
    /// The bridge to remove is in use.
    #[error("bridge {name} has ports ({}); stop the containers behind them and try again", ports.join(", "))]
    HasPorts {
        /// The bridge.
        name: String,
        /// The names of its ports.
        ports: Vec<String>,
    },
    /// The kernel refused.
    #[error("bridge {name}: {doing}: {source}; {}", cure(source))]
    Refused {
        /// The bridge.
        name: String,
        /// What was tried.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
}

fn cure(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "run as root, or with CAP_NET_ADMIN",
        Some(libc::EOPNOTSUPP) => "load the kernel's module for bridges (modprobe bridge)",
        _ => "see the kernel's log (dmesg), and try again",
    }
}

/// The address of a block's bridge: its first host, with the length of the
/// block. A block without a network address (RFC 3021, RFC 6164) or of one
/// address begins with its first.
pub fn first_host(block: Prefix) -> (IpAddr, u8) {
    let skip = u8::from(block.len() + 1 < block.family().max_length());
    let address = match block.address() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | u32::from(skip)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | u128::from(skip)).into(),
    };
    (address, block.len())
}

impl Bridges {
    /// Has the bridge there, up, with the first host address of each block in
    /// the namespace of the calling thread. Addresses that routed gave it for
    /// other blocks go. Everything may be there already. After an error the
    /// record holds what was done so far, and the call may be repeated.
    pub async fn ensure(&mut self, name: &str, blocks: &[Prefix]) -> Result<Ensured, BridgeError> {
        check_name(name)?;
        let kernel = Kernel::connect(name)?;
        let wanted: Vec<(IpAddr, u8)> = blocks.iter().map(|block| first_host(*block)).collect();
        let mut outcome = Outcome::Unchanged;
        let found = if let Some(found) = kernel.find().await? {
            found
        } else {
            kernel.create(blocks.first().copied()).await?;
            self.forget(name);
            outcome = Outcome::Made;
            kernel.find().await?.ok_or_else(|| kernel.refused("making it", gone()))?
        };
        let made = self.record(name);
        made.created = found.is_ours;
        let has = kernel.addresses(found.index).await?;
        let mut change = !found.up;
        for &(address, length) in &wanted {
            let is_there = has.contains(&(address, length));
            if !is_there {
                kernel.add(found.index, address, length).await?;
                change = true;
            }
            // On a bridge of ours it is ours, also when the record was lost.
            if (!is_there || found.is_ours) && !made.addresses.contains(&(address, length)) {
                made.addresses.push((address, length));
            }
        }
        // After the new ones came: the bridge is never without an address.
        for old in made.addresses.clone().into_iter().filter(|old| !wanted.contains(old)) {
            if has.contains(&old) {
                kernel.delete(found.index, old.0, old.1).await?;
                change = true;
            }
            made.addresses.retain(|address| *address != old);
        }
        if !found.up {
            kernel.set_up(found.index).await?;
        }
        if !made.created && made.addresses.is_empty() {
            self.forget(name);
        }
        if change && outcome == Outcome::Unchanged {
            outcome = Outcome::Changed;
        }
        Ok(Ensured { index: found.index, outcome })
    }

    /// Removes what routed made of a bridge, and forgets it: the bridge with
    /// its addresses when it is routed's own, else the addresses that routed
    /// added. What somebody else has removed or made anew since is no error
    /// and stays as it is. A bridge that has ports is not removed.
    pub async fn remove(&mut self, name: &str) -> Result<(), BridgeError> {
        let Some(made) = self.0.iter().find(|made| made.name == name) else { return Ok(()) };
        let kernel = Kernel::connect(name)?;
        match kernel.find().await {
            Ok(Some(found)) if made.created && found.is_ours => {
                let ports = kernel.ports(found.index).await?;
                if !ports.is_empty() {
                    return Err(BridgeError::HasPorts { name: name.to_owned(), ports });
                }
                kernel.remove(found.index).await?;
            }
            Ok(Some(found)) if !made.created => {
                let has = kernel.addresses(found.index).await?;
                for &(address, length) in made.addresses.iter().filter(|address| has.contains(address)) {
                    kernel.delete(found.index, address, length).await?;
                }
            }
            Ok(_) | Err(BridgeError::NotABridge { .. }) => {}
            Err(error) => return Err(error),
        }
        self.forget(name);
        Ok(())
    }

    /// What was made, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Made> {
        self.0.iter()
    }

    fn record(&mut self, name: &str) -> &mut Made {
        let place = self.0.iter().position(|made| made.name == name).unwrap_or_else(|| {
            self.0.push(Made { name: name.to_owned(), created: false, addresses: Vec::new() });
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    fn forget(&mut self, name: &str) {
        self.0.retain(|made| made.name != name);
    }
}

/// As the kernel does (`dev_valid_name`).
fn check_name(name: &str) -> Result<(), BridgeError> {
    let fits = (1..=NAME_BYTES).contains(&name.len()) && name != "." && name != "..";
    let bad = |letter: char| {
        letter == '/' || letter == ':' || letter == '\0' || letter == '%' || letter.is_whitespace()
    };
    if fits && !name.contains(bad) { Ok(()) } else { Err(BridgeError::Name(name.to_owned())) }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ENODEV)
}

/// A bridge in the kernel.
struct Found {
    index: u32,
    up: bool,
    /// It has our alias.
    is_ours: bool,
}

/// One bridge's side of the kernel.
struct Kernel<'a> {
    name: &'a str,
    handle: Handle,
}

impl<'a> Kernel<'a> {
    fn connect(name: &'a str) -> Result<Self, BridgeError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(BridgeError::Socket)?;
        tokio::spawn(connection);
        Ok(Self { name, handle })
    }

    fn refused(&self, doing: impl Into<String>, source: io::Error) -> BridgeError {
        BridgeError::Refused { name: self.name.to_owned(), doing: doing.into(), source }
    }

    fn error(&self, doing: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> BridgeError {
        let doing = doing.into();
        move |error| self.refused(doing, to_io(error))
    }

    async fn find(&self) -> Result<Option<Found>, BridgeError> {
        let link = match self.handle.link().get().match_name(self.name).execute().try_next().await {
            Ok(Some(link)) => link,
            Ok(None) => return Ok(None),
            Err(error) => {
                let error = to_io(error);
                if error.raw_os_error() == Some(libc::ENODEV) {
                    return Ok(None);
                }
                return Err(self.refused("looking it up", error));
            }
        };
        if !is_bridge(&link) {
            return Err(BridgeError::NotABridge { name: self.name.to_owned() });
        }
        let is_alias = |one: &LinkAttribute| matches!(one, LinkAttribute::IfAlias(alias) if alias == ALIAS);
        Ok(Some(Found {
            index: link.header.index,
            up: link.header.flags.contains(LinkFlags::Up),
            is_ours: link.attributes.iter().any(is_alias),
        }))
    }

    /// Makes it, down, with our alias. Its hardware address is fixed: else it
    /// would change with the containers that come and go.
    async fn create(&self, block: Option<Prefix>) -> Result<(), BridgeError> {
        let message = LinkBridge::new(self.name).down().address(hardware_address(block)).build();
        self.handle.link().add(message).execute().await.map_err(self.error("making it"))?;
        let found = self.find().await?.ok_or_else(|| self.refused("making it", gone()))?;
        // The kernel takes no alias together with the link.
        let message = LinkUnspec::new_with_index(found.index).alias(ALIAS).build();
        if let Err(error) = self.handle.link().set(message).execute().await {
            self.remove(found.index).await?;
            return Err(self.error("marking it as routed's")(error));
        }
        Ok(())
    }

    async fn set_up(&self, index: u32) -> Result<(), BridgeError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(message).execute().await.map_err(self.error("setting it up"))
    }

    async fn remove(&self, index: u32) -> Result<(), BridgeError> {
        self.handle.link().del(index).execute().await.map_err(self.error("removing it"))
    }

    /// The names of the links whose master it is.
    async fn ports(&self, index: u32) -> Result<Vec<String>, BridgeError> {
        let mut ports = Vec::new();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await.map_err(self.error("reading its ports"))? {
            let is_port = |one: &LinkAttribute| matches!(one, LinkAttribute::Controller(of) if *of == index);
            let name = |one: &LinkAttribute| match one {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            };
            if link.attributes.iter().any(is_port) {
                ports.extend(link.attributes.iter().find_map(name));
            }
        }
        Ok(ports)
    }

    async fn addresses(&self, index: u32) -> Result<Vec<(IpAddr, u8)>, BridgeError> {
        let mut found = Vec::new();
        let mut addresses = self.handle.address().get().set_link_index_filter(index).execute();
        while let Some(message) = addresses.try_next().await.map_err(self.error("reading its addresses"))? {
            // Kernels without strict checking give those of every link.
            if message.header.index == index {
                found.extend(own_address(&message).map(|address| (address, message.header.prefix_len)));
            }
        }
        Ok(found)
    }

    async fn add(&self, index: u32, address: IpAddr, length: u8) -> Result<(), BridgeError> {
        let mut request = self.handle.address().add(index, address, length);
        if address.is_ipv6() {
            // A bridge without ports has no carrier, and an address would stay
            // tentative; nobody else has one in our block (RFC 4862 §5.4).
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let added = request.execute().await;
        added.map_err(self.error(format!("adding {address}/{length}")))
    }

    async fn delete(&self, index: u32, address: IpAddr, length: u8) -> Result<(), BridgeError> {
        let request = self.handle.address().del(address_message(index, address, length));
        let deleted = request.execute().await;
        deleted.map_err(self.error(format!("removing {address}/{length}")))
    }
}

fn address_message(index: u32, address: IpAddr, length: u8) -> AddressMessage {
    match address {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, length).build()
        }
        IpAddr::V6(address) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, length).build()
        }
    }
}

fn is_bridge(link: &LinkMessage) -> bool {
    let kind = |one: &LinkAttribute| match one {
        LinkAttribute::LinkInfo(infos) => kind_of(infos),
        _ => None,
    };
    link.attributes.iter().find_map(kind) == Some(LinkKind::Bridge)
}

/// A locally administered address (IEEE 802 §8.4) made from the block.
fn hardware_address(block: Option<Prefix>) -> Vec<u8> {
    let part: [u8; 4] = match block.map(Prefix::address) {
        Some(IpAddr::V4(address)) => address.octets(),
        // The end of the part that tells one /64 from the next.
        Some(IpAddr::V6(address)) => {
            let [.., a, b, c, d, _, _, _, _, _, _, _, _] = address.octets();
            [a, b, c, d]
        }
        None => [0; 4],
    };
    [&[0x02, b'r'][..], &part].concat()
}

fn to_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_block() {
        for (block, host) in [
            ("10.244.7.0/24", "10.244.7.1"),
            ("10.244.7.4/30", "10.244.7.5"),
            ("10.244.7.4/31", "10.244.7.4"),
            ("10.244.7.4/32", "10.244.7.4"),
            ("fd00:0:0:7::/64", "fd00:0:0:7::1"),
            ("fd00::2/127", "fd00::2"),
            ("0.0.0.0/0", "0.0.0.1"),
        ] {
            let block: Prefix = block.parse().unwrap();
            assert_eq!(first_host(block), (host.parse().unwrap(), block.len()), "{block}");
        }
    }

    #[test]
    fn names_that_the_kernel_refuses_are_refused() {
        for name in ["", ".", "..", "a/b", "a b", "a:b", "br%d", "sixteen-bytes-xx"] {
            let error = check_name(name).unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
        for name in ["routed0", "br-0123456789ab"] {
            check_name(name).unwrap();
        }
    }
}
