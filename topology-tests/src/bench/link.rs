//! Links by netlink: taking one down, and hearing of it, to the microsecond.

use std::{io, os::fd::AsRawFd as _, thread::JoinHandle, time::Duration};

use nix::{
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
            socket, sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike as _},
    },
};

use super::{clock::Moment, netlink::Kernel};
use crate::{Netns, Result, wait::now};

/// A new link, or a change of one (`RTM_NEWLINK`).
const LINK: u16 = 16;
/// The multicast group of links, as a bit (`RTMGRP_LINK`).
const GROUP: u32 = 1;
/// The link is administratively up.
const UP: u32 = 1;
/// It has a carrier.
const RUNNING: u32 = 0x40;
/// How long the word may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes a link of this thread's namespace down; gives the instant before.
pub(super) fn down(interface: &str) -> io::Result<Moment> {
    let index = if_nametoindex(interface)?;
    let mut message = Vec::new();
    super::netlink::header(32, LINK, super::netlink::ACK, &mut message);
    // struct ifinfomsg: family, padding, type, index, flags, which of them change
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    let kernel = Kernel::open()?;
    let began = Moment::now();
    kernel.send(&message)?;
    Ok(began)
}

/// Gives the instant at which the kernel of `netns` says that a link there has
/// no carrier any more.
pub(super) fn listen(netns: &Netns, interface: &'static str) -> Result<JoinHandle<io::Result<Moment>>> {
    let open = move || {
        let route = SockProtocol::NetlinkRoute;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUP))?;
        setsockopt(&fd, ReceiveTimeout, &TimeVal::milliseconds(1_000))?;
        Ok::<_, io::Error>((fd, if_nametoindex(interface)?))
    };
    let (fd, index) = netns.run(open)?.map_err(crate::Error::io("listen to links"))?;
    let wait = move || {
        let (end, mut buffer) = (now() + PATIENCE, vec![0; 32 << 10]);
        while now() < end {
            match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) if lost(&buffer[..length], index) => return Ok(Moment::now()),
                Ok(_) | Err(nix::errno::Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    };
    Ok(std::thread::spawn(wait))
}

/// Whether a message says that this link has no carrier.
fn lost(message: &[u8], index: u32) -> bool {
    let word = |at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    word(20) == Some(index) && word(24).is_some_and(|flags| flags & RUNNING == 0)
}
