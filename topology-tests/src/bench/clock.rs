//! The clock with which the kernel stamps what comes in: a packet's time is
//! then that of its arrival, however late a busy machine lets anyone read it.

use std::{
    io::{self, IoSliceMut},
    os::fd::AsRawFd,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::{
    socket::{ControlMessageOwned, MsgFlags, recvmsg},
    time::TimeSpec,
};

/// A moment, as the time since 1970. Nobody sets the clock within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Duration);

impl Moment {
    /// This one.
    pub(super) fn now() -> Moment {
        // The clock of no machine that runs this stands before 1970.
        Moment(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Milliseconds since another moment; negative if that one is later.
    pub(super) fn millis_since(self, other: Moment) -> f64 {
        (self.0.as_secs_f64() - other.0.as_secs_f64()) * 1e3
    }
}

/// Receives from a socket that asked for `SO_TIMESTAMPNS`: how many bytes, and
/// when the kernel got them.
pub(super) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    let mut room = nix::cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut room), MsgFlags::empty())?;
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(Moment(time.into())),
        _ => None,
    });
    let stamp = stamp.ok_or_else(|| io::Error::other("a packet came without the kernel's time"))?;
    Ok((message.bytes, stamp))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};

    use super::*;

    #[test]
    fn a_packet_is_stamped_between_sending_and_reading() -> io::Result<()> {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        setsockopt(&to, ReceiveTimestampns, &true)?;
        let before = Moment::now();
        from.send_to(b"xy", to.local_addr()?)?;
        let (length, stamp) = receive(&to, &mut [0; 8])?;
        assert_eq!(length, 2);
        assert!(before <= stamp && stamp <= Moment::now());
        assert!(before.millis_since(stamp) <= 0.0);
        Ok(())
    }
}
