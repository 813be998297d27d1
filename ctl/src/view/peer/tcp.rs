//! The TCP connection of a session.

use api::v1;
use serde::Serialize;

/// What the kernel says of it.
#[derive(Debug, Serialize)]
pub(super) struct TcpView {
    rtt_microseconds: u32,
    rttvar_microseconds: u32,
    rto_microseconds: u32,
    snd_mss: u32,
    rcv_mss: u32,
    advmss: u32,
    pmtu: u32,
    snd_cwnd: u32,
    unacked: u32,
    retrans: u32,
    total_retrans: u32,
}

impl From<v1::Tcp> for TcpView {
    fn from(tcp: v1::Tcp) -> Self {
        Self {
            rtt_microseconds: tcp.rtt_microseconds,
            rttvar_microseconds: tcp.rttvar_microseconds,
            rto_microseconds: tcp.rto_microseconds,
            snd_mss: tcp.snd_mss,
            rcv_mss: tcp.rcv_mss,
            advmss: tcp.advmss,
            pmtu: tcp.pmtu,
            snd_cwnd: tcp.snd_cwnd,
            unacked: tcp.unacked,
            retrans: tcp.retrans,
            total_retrans: tcp.total_retrans,
        }
    }
}

impl TcpView {
    /// It in one line.
    pub(super) fn line(&self) -> String {
        format!(
            "rtt {}/{} ms, mss {} out, {} in, {} told, path mtu {}, {} unacked, {} sent again",
            milliseconds(self.rtt_microseconds),
            milliseconds(self.rttvar_microseconds),
            self.snd_mss,
            self.rcv_mss,
            self.advmss,
            self.pmtu,
            self.unacked,
            self.total_retrans
        )
    }
}

/// Microseconds as milliseconds, as `ss -ti` has them.
fn milliseconds(microseconds: u32) -> String {
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}
