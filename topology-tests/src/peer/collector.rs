//! A collector of BMP (RFC 7854): listens, reads, and keeps what it was shown
//! as any collector would.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Error, Host, Result};

/// What a collector knows from the last connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Connections so far.
    pub connections: usize,
    /// The name in the Initiation message.
    pub name: String,
    /// Sessions that are up, by the peer's address, with its distinguisher where
    /// there is one (`fe80::1%3`); `loc-rib` for that.
    pub up: BTreeSet<String>,
    /// Sessions that have ended, with the reason's number.
    pub down: Vec<(String, u8)>,
    /// Prefixes by `rib peer`, as in `post-policy 10.0.0.2`.
    pub routes: BTreeMap<String, BTreeSet<String>>,
    /// End-of-RIB markers, by `rib peer`.
    pub ends: BTreeMap<String, usize>,
    /// Statistics by peer: type and value.
    pub statistics: BTreeMap<String, BTreeMap<u16, u64>>,
    /// The reason in the Termination message.
    pub terminated: Option<u16>,
    /// What could not be read.
    pub faults: Vec<String>,
}

impl View {
    /// True when a prefix is shown in `rib` of `peer`.
    pub fn has(&self, rib: &str, peer: &str, prefix: &str) -> bool {
        self.routes.get(&format!("{rib} {peer}")).is_some_and(|prefixes| prefixes.contains(prefix))
    }
}

/// The collector; it listens until it is dropped.
#[derive(Debug)]
pub struct Collector {
    view: Arc<Mutex<View>>,
    stop: Arc<Mutex<Option<TcpStream>>>,
    address: SocketAddr,
}

impl Collector {
    /// Listens on `host`, on port 11019.
    pub fn start(host: &Host) -> Result<Self> {
        let address = SocketAddr::new(host.ipv4().into(), 11019);
        let what = format!("BMP collector on {address}");
        let listener = host.run(move || TcpListener::bind(address))?.map_err(Error::io(&what))?;
        let view = Arc::new(Mutex::new(View::default()));
        let stop = Arc::new(Mutex::new(None));
        let (shared, current) = (Arc::clone(&view), Arc::clone(&stop));
        // It ends with the process: nobody dials it when the lab is gone.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                *lock(&current) = stream.try_clone().ok();
                let connections = lock(&shared).connections + 1;
                *lock(&shared) = View { connections, ..View::default() };
                if let Err(fault) = read(stream, &shared)
                    && fault.kind() != io::ErrorKind::UnexpectedEof
                {
                    lock(&shared).faults.push(fault.to_string());
                }
            }
        });
        Ok(Self { view, stop, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was shown.
    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Closes the connection; the next one begins anew.
    pub fn hang_up(&self) -> Result<()> {
        match lock(&self.stop).take() {
            Some(stream) => stream.shutdown(std::net::Shutdown::Both).map_err(Error::io("BMP connection")),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(mut stream: TcpStream, view: &Mutex<View>) -> io::Result<()> {
    loop {
        let mut header = [0; 6];
        stream.read_exact(&mut header)?;
        let [version, a, b, c, d, kind] = header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if version != 3 || !(6..1 << 20).contains(&length) {
            return Err(io::Error::other(format!("version {version}, length {length}")));
        }
        let mut body = vec![0; length - 6];
        stream.read_exact(&mut body)?;
        let mut view = lock(view);
        if take(&mut view, kind, &body).is_none() {
            view.faults.push(format!("message of type {kind} is too short: {body:02x?}"));
        }
    }
}

/// Applies a message; `None` when it is too short for what it says.
fn take(view: &mut View, kind: u8, body: &[u8]) -> Option<()> {
    match kind {
        4 => view.name = String::from_utf8_lossy(tlv(body, 2)?).into_owned(),
        5 => view.terminated = Some(u16::from_be_bytes(tlv(body, 1)?.try_into().ok()?)),
        0..=3 => {
            let (header, rest) = body.split_first_chunk::<42>()?;
            let (rib, peer) = whose(header)?;
            match kind {
                0 => update(view, &format!("{rib} {peer}"), rest)?,
                1 => drop(view.statistics.insert(peer, numbers(rest)?)),
                2 => {
                    view.up.remove(&peer);
                    view.routes.retain(|key, _| !key.ends_with(&format!(" {peer}")));
                    view.down.push((peer, *rest.first()?));
                }
                _ => {
                    // Local address and ports, then two OPENs.
                    let opens = rest.get(20..)?;
                    let first = usize::from(u16::from_be_bytes([*opens.get(16)?, *opens.get(17)?]));
                    if opens.get(18)? != &1 || opens.get(first + 18)? != &1 {
                        view.faults.push(format!("no OPENs: {opens:02x?}"));
                    }
                    view.up.insert(peer);
                }
            }
        }
        _ => view.faults.push(format!("type {kind}")),
    }
    Some(())
}

/// Which routes of whom a per-peer header means.
fn whose(header: &[u8; 42]) -> Option<(&'static str, String)> {
    let address: [u8; 16] = header[10..26].try_into().ok()?;
    let peer: IpAddr = if header[1] & 0x80 == 0 {
        let [.., a, b, c, d] = address;
        Ipv4Addr::new(a, b, c, d).into()
    } else {
        Ipv6Addr::from(address).into()
    };
    let distinguisher = u64::from_be_bytes(header[2..10].try_into().ok()?);
    let name = match (header[0], distinguisher) {
        (0 | 3, 0) => peer.to_string(),
        (2, link) => format!("{peer}%{link}"),
        _ => return None,
    };
    Some(match (header[0], header[1] & 0x50) {
        (0 | 2, 0x00) => ("pre-policy", name),
        (0 | 2, 0x40) => ("post-policy", name),
        (0 | 2, 0x10) => ("adj-rib-out-pre", name),
        (0 | 2, 0x50) => ("adj-rib-out", name),
        (3, _) => ("loc-rib", "loc-rib".to_owned()),
        _ => return None,
    })
}

fn tlv(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let ([a, b, c, d], rest) = list.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        if u16::from_be_bytes([*a, *b]) == wanted {
            return Some(value);
        }
        list = rest;
    }
}

/// Types and values of a statistics report; the family of a value is left out.
fn numbers(body: &[u8]) -> Option<BTreeMap<u16, u64>> {
    let mut list = body.get(4..)?;
    let mut numbers = BTreeMap::new();
    while let Some(([a, b, c, d], rest)) = list.split_first_chunk::<4>() {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        let number = match value.last_chunk::<8>() {
            Some(gauge) => u64::from_be_bytes(*gauge),
            None => u32::from_be_bytes(*value.last_chunk::<4>()?).into(),
        };
        *numbers.entry(u16::from_be_bytes([*a, *b])).or_insert(0) += number;
        list = rest;
    }
    Some(numbers)
}

/// Applies a BGP UPDATE (RFC 4271 §4.3, RFC 4760).
fn update(view: &mut View, key: &str, message: &[u8]) -> Option<()> {
    let body = message.get(19..)?;
    let (withdrawn, rest) = counted(body)?;
    let (mut attributes, nlri) = counted(rest)?;
    let (mut gone, mut there) = (prefixes(withdrawn, false)?, prefixes(nlri, false)?);
    let mut end = withdrawn.is_empty() && attributes.is_empty() && nlri.is_empty();
    while let [flags, code, rest @ ..] = attributes {
        let (length, rest) = if flags & 0x10 == 0 {
            (usize::from(*rest.first()?), rest.get(1..)?)
        } else {
            (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        let six = value.get(1) == Some(&2);
        match code {
            14 => there.extend(prefixes(value.get(5 + usize::from(*value.get(3)?)..)?, six)?),
            15 if value.len() == 3 => end = true,
            15 => gone.extend(prefixes(value.get(3..)?, six)?),
            _ => {}
        }
        attributes = rest;
    }
    if end {
        *view.ends.entry(key.to_owned()).or_insert(0) += 1;
    }
    let known = view.routes.entry(key.to_owned()).or_default();
    known.retain(|prefix| !gone.contains(prefix));
    known.extend(there);
    Some(())
}

/// What a length of two octets counts, and what comes after.
fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([a, b], rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes([*a, *b])))
}

fn prefixes(mut octets: &[u8], six: bool) -> Option<Vec<String>> {
    let mut list = Vec::new();
    while let [length, rest @ ..] = octets {
        let (value, rest) = rest.split_at_checked(usize::from(length.div_ceil(8)))?;
        let mut address = [0; 16];
        address.get_mut(..value.len())?.copy_from_slice(value);
        let [a, b, c, d, ..] = address;
        let address: IpAddr =
            if six { Ipv6Addr::from(address).into() } else { Ipv4Addr::new(a, b, c, d).into() };
        list.push(format!("{address}/{length}"));
        octets = rest;
    }
    Some(list)
}
