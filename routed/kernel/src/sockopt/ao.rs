//! TCP-AO (RFC 5925), which Linux has since 6.7 where it is built with
//! `CONFIG_TCP_AO`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{is_ipv6, set};

/// Longest key of TCP-AO in Linux (`TCP_AO_MAXKEYLEN`).
pub const AO_KEY_MAX: usize = 80;

/// Of linux/tcp.h; libc has them not for every target.
const TCP_AO_ADD_KEY: libc::c_int = 38;
const TCP_AO_DEL_KEY: libc::c_int = 39;

/// The octets of a MAC: both algorithms are cut to 96 bits (RFC 5926 §3.2).
const MAC_LENGTH: u8 = 12;

/// The first bits of a C bit field, which begins at the other end where the
/// first octet is the highest.
const SET_CURRENT: u32 = if cfg!(target_endian = "big") { 1 << 31 } else { 1 };
const SET_RNEXT: u32 = if cfg!(target_endian = "big") { 1 << 30 } else { 1 << 1 };

/// `struct tcp_ao_add` of linux/tcp.h.
#[repr(C, align(8))]
struct TcpAoAdd {
    address: socket2::SockAddrStorage,
    algorithm: [u8; 64],
    interface: i32,
    /// `set_current`, `set_rnext`, and 30 bits that are zero.
    flags: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    receive_id: u8,
    mac_length: u8,
    key_flags: u8,
    key_length: u8,
    key: [u8; AO_KEY_MAX],
}

/// `struct tcp_ao_del` of linux/tcp.h.
#[repr(C, align(8))]
struct TcpAoDel {
    address: socket2::SockAddrStorage,
    interface: i32,
    /// `set_current`, `set_rnext`, `del_async`, and 29 bits that are zero.
    flags: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    receive_id: u8,
    current_key: u8,
    next_key: u8,
    key_flags: u8,
}

/// The MAC algorithms that every TCP-AO has (RFC 5926 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AoAlgorithm {
    /// HMAC-SHA-1-96.
    HmacSha1,
    /// AES-128-CMAC-96.
    AesCmac,
}

impl AoAlgorithm {
    /// The name that the kernel knows it by.
    fn name(self) -> &'static [u8] {
        match self {
            Self::HmacSha1 => b"hmac(sha1)",
            Self::AesCmac => b"cmac(aes128)",
        }
    }
}

/// A master key tuple (RFC 5925 §3.1) without the address that it is for.
#[derive(Clone, Copy, Debug)]
pub struct AoKey<'a> {
    /// The `KeyID` of what we send.
    pub send_id: u8,
    /// The `KeyID` of what the peer sends.
    pub receive_id: u8,
    /// The algorithm.
    pub algorithm: AoAlgorithm,
    /// The master key.
    pub key: &'a [u8],
}

/// Whom a key is for: a peer, or with a length the peers of a prefix.
#[derive(Clone, Copy, Debug)]
pub struct AoPeer {
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix; `None`: the one address.
    pub prefix_length: Option<u8>,
}

impl AoPeer {
    /// The address and the length as the kernel takes them on a socket of
    /// this family. Of a mapped address it takes the length of the IPv4 prefix.
    fn raw(self, ipv6: bool) -> (socket2::SockAddrStorage, u8) {
        let (address, host) = match self.address {
            IpAddr::V4(address) if ipv6 => (IpAddr::V6(address.to_ipv6_mapped()), 32),
            IpAddr::V4(address) => (IpAddr::V4(address), 32),
            address @ IpAddr::V6(_) => (address, 128),
        };
        let storage = SockAddr::from(SocketAddr::new(address, 0)).as_storage();
        (storage, self.prefix_length.unwrap_or(host))
    }
}

/// Signs the segments to and from a peer with TCP-AO, and takes none that are
/// not. Set all keys of a peer on a listener before it listens, and on a
/// dialling socket before `connect`. `current`: what is sent is signed with
/// this key, and the peer is asked to do the same (not for a listener).
///
/// Errors: [`io::ErrorKind::InvalidInput`] for a key of no or over
/// [`AO_KEY_MAX`] bytes; `ENOPROTOOPT` says that the kernel has no TCP-AO, see
/// [`lacks_tcp_ao`]; `EEXIST` that a key of the peer has one of the ids;
/// `EKEYREJECTED` that the peer has a TCP-MD5 key.
pub fn add_tcp_ao(socket: &impl AsFd, peer: AoPeer, key: AoKey<'_>, current: bool) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, TCP_AO_ADD_KEY, &addition(is_ipv6(socket)?, peer, key, current)?)
}

/// Takes a key off a socket. Errors: `ENOENT` where there is none.
pub fn end_tcp_ao(socket: &impl AsFd, peer: AoPeer, send_id: u8, receive_id: u8) -> io::Result<()> {
    let (address, prefix_length) = peer.raw(is_ipv6(socket)?);
    let option = TcpAoDel {
        address,
        interface: 0,
        flags: 0,
        reserved: 0,
        prefix_length,
        send_id,
        receive_id,
        current_key: 0,
        next_key: 0,
        key_flags: 0,
    };
    set(socket, libc::IPPROTO_TCP, TCP_AO_DEL_KEY, &option)
}

/// Asks the kernel whether it would take these keys for a peer, on a socket
/// that goes nowhere. Errors: as of [`add_tcp_ao`].
pub fn try_tcp_ao<'a>(address: IpAddr, keys: impl IntoIterator<Item = AoKey<'a>>) -> io::Result<()> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    let peer = AoPeer { address, prefix_length: None };
    keys.into_iter().try_for_each(|key| add_tcp_ao(&socket, peer, key, false))
}

/// True for the error of a kernel that has no TCP-AO.
pub fn lacks_tcp_ao(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOPROTOOPT)
}

fn addition(ipv6: bool, peer: AoPeer, key: AoKey<'_>, current: bool) -> io::Result<TcpAoAdd> {
    if key.key.is_empty() || key.key.len() > AO_KEY_MAX {
        let text = format!("TCP-AO key of {} bytes; it takes 1 to {AO_KEY_MAX}", key.key.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let (address, prefix_length) = peer.raw(ipv6);
    let mut option = TcpAoAdd {
        address,
        algorithm: [0; 64],
        interface: 0,
        flags: if current { SET_CURRENT | SET_RNEXT } else { 0 },
        reserved: 0,
        prefix_length,
        send_id: key.send_id,
        receive_id: key.receive_id,
        mac_length: MAC_LENGTH,
        key_flags: 0,
        key_length: u8::try_from(key.key.len()).unwrap_or(0),
        key: [0; AO_KEY_MAX],
    };
    let name = key.algorithm.name();
    option.algorithm[..name.len()].copy_from_slice(name);
    option.key[..key.key.len()].copy_from_slice(key.key);
    Ok(option)
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use super::*;

    const KEY: AoKey<'_> =
        AoKey { send_id: 7, receive_id: 9, algorithm: AoAlgorithm::AesCmac, key: b"s3cret" };

    /// By include/uapi/linux/tcp.h of Linux 6.7.
    #[test]
    fn the_structures_lie_in_memory_as_the_kernel_has_them() {
        assert_eq!((size_of::<TcpAoAdd>(), align_of::<TcpAoAdd>()), (288, 8));
        let offsets = [
            offset_of!(TcpAoAdd, algorithm),
            offset_of!(TcpAoAdd, interface),
            offset_of!(TcpAoAdd, flags),
            offset_of!(TcpAoAdd, reserved),
            offset_of!(TcpAoAdd, prefix_length),
            offset_of!(TcpAoAdd, send_id),
            offset_of!(TcpAoAdd, receive_id),
            offset_of!(TcpAoAdd, mac_length),
            offset_of!(TcpAoAdd, key_flags),
            offset_of!(TcpAoAdd, key_length),
            offset_of!(TcpAoAdd, key),
        ];
        assert_eq!(offsets, [128, 192, 196, 200, 202, 203, 204, 205, 206, 207, 208]);
        assert_eq!((size_of::<TcpAoDel>(), align_of::<TcpAoDel>()), (144, 8));
        let offsets = [
            offset_of!(TcpAoDel, interface),
            offset_of!(TcpAoDel, flags),
            offset_of!(TcpAoDel, reserved),
            offset_of!(TcpAoDel, prefix_length),
            offset_of!(TcpAoDel, send_id),
            offset_of!(TcpAoDel, receive_id),
            offset_of!(TcpAoDel, current_key),
            offset_of!(TcpAoDel, next_key),
            offset_of!(TcpAoDel, key_flags),
        ];
        assert_eq!(offsets, [128, 132, 136, 138, 139, 140, 141, 142, 143]);
    }

    #[test]
    fn a_key_is_written_with_its_ids_its_algorithm_and_whom_it_is_for() {
        let peer = AoPeer { address: "192.0.2.7".parse().unwrap(), prefix_length: None };
        let option = addition(false, peer, KEY, true).unwrap();
        assert_eq!((option.send_id, option.receive_id, option.mac_length), (7, 9, 12));
        assert_eq!(&option.algorithm[..13], b"cmac(aes128)\0");
        assert_eq!((option.key_length, &option.key[..7]), (6, &b"s3cret\0"[..]));
        assert_eq!((option.prefix_length, option.flags), (32, SET_CURRENT | SET_RNEXT));
        assert_eq!((option.interface, option.reserved, option.key_flags), (0, 0, 0));
        let range = AoPeer { address: "2001:db8::".parse().unwrap(), prefix_length: Some(64) };
        let option = addition(true, range, KEY, false).unwrap();
        assert_eq!((option.prefix_length, option.flags), (64, 0));
        // An IPv4 peer of an IPv6 socket is its mapped address, with the length of IPv4.
        assert_eq!(addition(true, peer, KEY, false).unwrap().prefix_length, 32);
        for key in [&b""[..], &[0; 81]] {
            let error = addition(false, peer, AoKey { key, ..KEY }, false).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    /// Which of the two this kernel is, only running it shows; both are told apart.
    #[test]
    fn a_kernel_takes_the_key_or_says_that_it_has_no_tcp_ao() {
        for address in ["192.0.2.7", "2001:db8::7"] {
            let keys =
                [KEY, AoKey { send_id: 1, receive_id: 2, algorithm: AoAlgorithm::HmacSha1, key: b"x" }];
            if let Err(error) = try_tcp_ao(address.parse().unwrap(), keys) {
                assert!(lacks_tcp_ao(&error), "{error}");
            }
        }
    }
}
