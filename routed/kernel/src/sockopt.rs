//! Socket options that no safe wrapper has. The one place with unsafe code.

mod ao;
mod info;

use std::io;
use std::mem::{size_of, size_of_val};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

pub use ao::{AO_KEY_MAX, AoAlgorithm, AoKey, AoPeer, add_tcp_ao, end_tcp_ao, lacks_tcp_ao, try_tcp_ao};
pub use info::{TcpInfo, tcp_info};

/// Longest key of TCP-MD5 in Linux (`TCP_MD5SIG_MAXKEYLEN`).
pub const MD5_KEY_MAX: usize = 80;

/// `TCP_MD5SIG_FLAG_PREFIX`: the address is a prefix.
const FLAG_PREFIX: u8 = 1;

/// `struct tcp_md5sig` of linux/tcp.h.
#[repr(C)]
struct TcpMd5Sig {
    address: socket2::SockAddrStorage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; MD5_KEY_MAX],
}

/// Signs the segments to and from a peer with TCP-MD5 (RFC 2385); an empty
/// key ends that. `prefix_length` takes all peers of a prefix. Set it on a
/// listener before the peer dials, and on a dialling socket before `connect`.
/// On an IPv6 socket an IPv4 peer is set as its mapped address.
///
/// Errors: a key over [`MD5_KEY_MAX`] bytes is `InvalidInput`; `ENOPROTOOPT`
/// says that the kernel has no TCP-MD5; `ENOENT` that there was no key to end.
pub fn set_tcp_md5(
    socket: &impl AsFd,
    peer: IpAddr,
    prefix_length: Option<u8>,
    key: &[u8],
) -> io::Result<()> {
    if key.len() > MD5_KEY_MAX {
        let text = format!("TCP-MD5 key of {} bytes; shorten it to {MD5_KEY_MAX}", key.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let peer = match peer {
        IpAddr::V4(peer) if is_ipv6(socket)? => IpAddr::V6(peer.to_ipv6_mapped()),
        peer => peer,
    };
    let mut option = TcpMd5Sig {
        address: SockAddr::from(SocketAddr::new(peer, 0)).as_storage(),
        flags: if prefix_length.is_some() { FLAG_PREFIX } else { 0 },
        // Of a mapped address the kernel wants the length of the IPv4 prefix.
        prefix_length: prefix_length.unwrap_or(0),
        key_length: u16::try_from(key.len()).unwrap_or(0),
        interface: 0,
        key: [0; MD5_KEY_MAX],
    };
    option.key[..key.len()].copy_from_slice(key);
    let name = if prefix_length.is_some() { libc::TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    set(socket, libc::IPPROTO_TCP, name, &option)
}

/// Drops what comes with a TTL or hop limit below `least`, the generalised TTL
/// security mechanism (RFC 5082 §3). On an IPv6 socket it holds for IPv4 peers
/// too.
pub fn set_min_ttl(socket: &impl AsFd, least: u8) -> io::Result<()> {
    let least = libc::c_int::from(least);
    if is_ipv6(socket)? {
        set(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least)?;
    }
    set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &least)
}

/// Sends with this TTL or hop limit. For RFC 5082 set 255 on a listener too,
/// before it listens: its answers go out with the listener's. On an IPv6
/// socket it holds for IPv4 peers too.
pub fn set_ttl(socket: &impl AsFd, ttl: u8) -> io::Result<()> {
    let ttl = libc::c_int::from(ttl);
    if is_ipv6(socket)? {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &ttl)?;
    }
    set(socket, libc::IPPROTO_IP, libc::IP_TTL, &ttl)
}

/// Has a raw `ICMPv6` socket hear only messages of these types (RFC 3542 §3.2).
pub fn set_icmpv6_types(socket: &impl AsFd, types: &[u8]) -> io::Result<()> {
    // In Linux a bit that is set keeps the type away.
    let mut blocked = [u32::MAX; 8];
    for kind in types {
        blocked[usize::from(kind >> 5)] &= !(1 << (kind & 31));
    }
    set(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &blocked)
}

/// Not in libc (linux/icmpv6.h).
const ICMPV6_FILTER: libc::c_int = 1;

/// Not in libc for every target (linux/in6.h).
const IPV6_MINHOPCOUNT: libc::c_int = 73;

/// Reads an option into words of 32 bits; how many octets of it there were.
fn get_words(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    words: &mut [u32],
) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(size_of_val(words)).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "getsockopt(2) for options that no safe wrapper has")]
    // SAFETY: the descriptor is borrowed and so open; the pointer and `length`
    // describe `words`, which the kernel fills no further than `length` says,
    // and any bits are a valid `u32`.
    let result = unsafe {
        let (socket, into) = (socket.as_fd().as_raw_fd(), words.as_mut_ptr().cast());
        libc::getsockopt(socket, level, name, into, &raw mut length)
    };
    if result == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

fn is_ipv6(socket: &impl AsFd) -> io::Result<bool> {
    Ok(socket2::SockRef::from(socket).domain()? == socket2::Domain::IPV6)
}

fn set<T>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).map_err(io::Error::other)?;
    debug_assert_eq!(size_of::<T>(), length as usize);
    #[expect(unsafe_code, reason = "setsockopt(2) for options that no safe wrapper has")]
    // SAFETY: the descriptor is borrowed and so open, and the pointer and
    // length describe `value`, which lives across the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const *value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
