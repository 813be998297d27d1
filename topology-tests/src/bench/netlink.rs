//! As much of netlink as the bare limit and the links need (netlink(7)).

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// An answer is wanted.
pub(super) const ACK: u16 = 0x4;
const REQUEST: u16 = 0x1;
const DONE: u16 = 3;

/// A socket to the kernel of the namespace in which it was opened.
pub(super) struct Kernel(OwnedFd);

impl Kernel {
    /// Opens it.
    pub(super) fn open() -> io::Result<Kernel> {
        let route = SockProtocol::NetlinkRoute;
        Ok(Kernel(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?))
    }

    /// Sends messages of which the last wants an answer; any error is an answer too.
    pub(super) fn send(&self, messages: &[u8]) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        sendto(fd, messages, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = recv(fd, &mut answer, MsgFlags::empty())?;
        // nlmsgerr: after the header of 16 bytes, the negated errno.
        let code = answer[..length].get(16..20).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::Error::other("netlink gave a short answer")),
        }
    }

    /// Asks for a dump and reads it to its end.
    pub(super) fn dump(&self, question: &[u8]) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        sendto(fd, question, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = recv(fd, &mut buffer, MsgFlags::empty())?;
            // The last message stands alone or first in its datagram.
            if buffer[..length].get(4..6) == Some(&DONE.to_ne_bytes()) {
                return Ok(());
            }
        }
    }
}

/// Length, type, flags, sequence number, port (struct nlmsghdr).
pub(super) fn header(length: u32, kind: u16, flags: u16, bytes: &mut Vec<u8>) {
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | REQUEST).to_ne_bytes());
    bytes.extend([0; 8]);
}

/// An attribute of four bytes.
pub(super) fn attribute(kind: u16, value: [u8; 4], bytes: &mut Vec<u8>) {
    bytes.extend(8u16.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
}
