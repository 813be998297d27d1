//! What TCP says of a connection (`TCP_INFO`, tcp(7)).

use std::io;
use std::os::fd::AsFd;

use super::get_words;

/// A TCP connection at the moment it was asked about. The names are those of
/// `struct tcp_info` in linux/tcp.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// How long an answer takes, smoothed (RFC 6298 `SRTT`), in microseconds;
    /// 0 before the first measurement.
    pub rtt: u32,
    /// By how much that varies (RFC 6298 `RTTVAR`), in microseconds.
    pub rttvar: u32,
    /// After how long a segment is sent again (RFC 6298), in microseconds.
    pub rto: u32,
    /// The longest segment that we send, in octets without headers and options.
    pub snd_mss: u32,
    /// The longest segment that comes, as the kernel guesses from what has come.
    pub rcv_mss: u32,
    /// The longest segment that we have said we take.
    pub advmss: u32,
    /// The MTU of the path.
    pub pmtu: u32,
    /// Segments that may be under way (RFC 5681 `cwnd`).
    pub snd_cwnd: u32,
    /// Segments that are under way.
    pub unacked: u32,
    /// Segments of these that were sent again.
    pub retrans: u32,
    /// Segments that were sent again since the connection stands.
    pub total_retrans: u32,
}

/// The part of the structure that every Linux of today has, in words of 32 bits.
const WORDS: usize = 26;

/// What TCP says of a connection.
///
/// Errors: those of getsockopt(2); `UnexpectedEof` from a kernel that says
/// less than Linux 2.6 does.
pub fn tcp_info(socket: &impl AsFd) -> io::Result<TcpInfo> {
    let mut words = [0; WORDS];
    let octets = get_words(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut words)?;
    if octets < size_of_val(&words) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("TCP_INFO of {octets} octets")));
    }
    // The first two words are eight fields of an octet.
    Ok(TcpInfo {
        rto: words[2],
        snd_mss: words[4],
        rcv_mss: words[5],
        unacked: words[6],
        retrans: words[9],
        pmtu: words[15],
        rtt: words[17],
        rttvar: words[18],
        snd_cwnd: words[20],
        advmss: words[21],
        total_retrans: words[25],
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::mem::{offset_of, size_of};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_words_are_where_the_kernel_puts_them() {
        assert!(size_of::<libc::tcp_info>() >= WORDS * 4);
        let offsets = [
            offset_of!(libc::tcp_info, tcpi_rto),
            offset_of!(libc::tcp_info, tcpi_snd_mss),
            offset_of!(libc::tcp_info, tcpi_rcv_mss),
            offset_of!(libc::tcp_info, tcpi_unacked),
            offset_of!(libc::tcp_info, tcpi_retrans),
            offset_of!(libc::tcp_info, tcpi_pmtu),
            offset_of!(libc::tcp_info, tcpi_rtt),
            offset_of!(libc::tcp_info, tcpi_rttvar),
            offset_of!(libc::tcp_info, tcpi_snd_cwnd),
            offset_of!(libc::tcp_info, tcpi_advmss),
            offset_of!(libc::tcp_info, tcpi_total_retrans),
        ];
        assert_eq!(offsets, [2, 4, 5, 6, 9, 15, 17, 18, 20, 21, 25].map(|word| word * 4));
    }

    #[test]
    fn a_connection_on_loopback_is_measured_and_a_datagram_socket_is_none() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut one = TcpStream::connect(listener.local_addr()?)?;
        let (mut two, _) = listener.accept()?;
        one.write_all(b"a question")?;
        two.read_exact(&mut [0; 10])?;
        let said = tcp_info(&one)?;
        assert!(said.rtt > 0 && said.rttvar > 0 && said.rto >= said.rtt, "{said:?}");
        assert!(said.snd_mss > 536 && said.pmtu > said.snd_mss && said.snd_cwnd > 0, "{said:?}");
        // What an MTU leaves beside 20 octets of IPv4, 20 of TCP and time stamps.
        assert!((40..=52).contains(&(said.pmtu - said.advmss)), "{said:?}");
        assert_eq!(said.total_retrans, 0);
        assert!(tcp_info(&std::net::UdpSocket::bind("127.0.0.1:0")?).is_err());
        Ok(())
    }
}
