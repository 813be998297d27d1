//! Keeps the echo of our own route writes away from the watcher, in the
//! kernel: a million routes written would else be a million messages to read
//! and throw away, and an overrun where the reader falls behind.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

use crate::msg::{RTM_DELROUTE, RTM_NEWROUTE};

/// `BPF_LD | BPF_H | BPF_ABS`: two octets into the accumulator.
const LOAD_HALF: u16 = 0x28;
/// `BPF_LD | BPF_W | BPF_ABS`: four octets.
const LOAD_WORD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`: how many octets to keep.
const RETURN: u16 = 0x06;
/// Where `nlmsg_type` is in a netlink header.
const TYPE: u32 = 4;
/// Where `nlmsg_pid` is: the port that asked for the change.
const PORT: u32 = 12;

/// Drops messages about routes that `port` wrote. Loads turn octets round to
/// the order of the network, so what is compared is turned round as well.
pub(crate) fn drop_echo(socket: &impl AsFd, port: u32) -> io::Result<()> {
    let op = |code, then, other, value| SockFilter::new(code, then, other, value);
    let program = [
        op(LOAD_HALF, 0, 0, TYPE),
        op(JUMP_IF_EQUAL, 1, 0, u32::from(RTM_NEWROUTE.to_be())),
        op(JUMP_IF_EQUAL, 0, 2, u32::from(RTM_DELROUTE.to_be())),
        op(LOAD_WORD, 0, 0, PORT),
        op(JUMP_IF_EQUAL, 1, 0, port.to_be()),
        op(RETURN, 0, 0, u32::MAX),
        op(RETURN, 0, 0, 0),
    ];
    SockRef::from(socket).attach_filter(&program)
}
