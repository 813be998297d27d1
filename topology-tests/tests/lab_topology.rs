//! The lab itself: what it builds is a network, and packets prove it.

use std::{net::SocketAddr, time::Duration};

use lab::{
    Lab, Result,
    traffic::{self, Arrival, Reach, Stream},
};

const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn containers_of_two_hosts_meet_over_static_routes_with_their_own_source() -> Result<()> {
    let lab = Lab::new("static")?;
    let (n1, n2) = (lab.host("n1")?, lab.host("n2")?);
    let (c1, c2) = (n1.container("c1")?, n2.container("c1")?);
    for (here, there) in [(&n1, &n2), (&n2, &n1)] {
        here.ip(&[
            format!("route add {} via {}", there.subnet4(), there.ipv4()),
            format!("route add {} via {}", there.subnet6(), there.ipv6()),
        ])?;
    }
    for (from, to) in c1.addresses().into_iter().zip(c2.addresses()) {
        let stream = Stream::start(&c1, &c2, to)?;
        stream.await_sent(30)?;
        let report = stream.finish()?;
        assert!(report.sent >= 30, "{report:?}");
        assert_eq!(report.lost, 0, "{report:?}");
        assert_eq!(report.sources, [from].into(), "the source is the container's own");
        assert_eq!(report.ttls, [62].into(), "two routers lie between");
    }
    Ok(())
}

#[test]
fn stream_counts_what_a_cut_cable_loses() -> Result<()> {
    let lab = Lab::new("cut")?;
    let (n1, n2) = (lab.host("n1")?, lab.host("n2")?);
    let (c1, c2) = (n1.container("c1")?, n2.container("c1")?);
    n1.ip(&[format!("route add {} via {}", n2.subnet4(), n2.ipv4())])?;
    n2.ip(&[format!("route add {} via {}", n1.subnet4(), n1.ipv4())])?;
    let stream = Stream::start(&c1, &c2, c2.ipv4().into())?;
    stream.await_sent(20)?;
    n2.cut()?;
    stream.await_sent(20)?;
    let report = stream.finish()?;
    assert!(report.received > 0 && report.lost > 0, "{report:?}");
    assert_eq!(report.sent, report.received + report.lost);
    n2.mend()?;
    lab.wait_until("the mended cable carries again", Duration::from_secs(5), || {
        let ping = c1.ping(c2.ipv4().into()).map_err(|e| e.to_string())?;
        if ping.success() { Ok(()) } else { Err(ping.to_string()) }
    })
}

#[test]
fn probes_tell_open_refused_silent_and_unreachable_apart() -> Result<()> {
    let lab = Lab::new("probes")?;
    let n1 = lab.host("n1")?;
    let (c1, c2) = (n1.container("c1")?, n1.container("c2")?);
    let at = |port| SocketAddr::new(c2.ipv4().into(), port);
    let _service = traffic::listen(&c2, at(80))?;
    assert_eq!(traffic::tcp(&c1, at(80), LIMIT)?, Reach::Open);
    assert_eq!(traffic::tcp(&c1, at(81), LIMIT)?, Reach::Refused);
    assert_eq!(traffic::udp(&c1, &c2, at(53), LIMIT)?, Arrival::From(c1.ipv4().into()));

    c2.exec_with(
        ["nft", "-f", "-"],
        "table inet t { chain c { type filter hook input priority 0; policy drop; }\n }",
    )?
    .ok()?;
    assert_eq!(traffic::tcp(&c1, at(80), LIMIT)?, Reach::Silent);
    assert_eq!(traffic::udp(&c1, &c2, at(53), LIMIT)?, Arrival::Nothing);

    let nowhere = SocketAddr::new([198, 51, 100, 1].into(), 80);
    c1.ip(&["route add unreachable 198.51.100.0/24"])?;
    assert!(matches!(traffic::tcp(&c1, nowhere, LIMIT)?, Reach::Unreachable(_)));
    Ok(())
}

#[test]
fn failed_wait_shows_logs_routes_and_rules() -> Result<()> {
    let lab = Lab::new("evidence")?;
    let n1 = lab.host("n1")?;
    let mut talker = n1.spawn("talker", &["sh", "-c", "echo something broke"])?;
    assert_eq!(talker.wait(Duration::from_secs(5))?, 0);
    let Err(error) = lab.wait_until("a miracle", Duration::ZERO, || Err::<(), _>("nothing".to_owned()))
    else {
        panic!("it cannot hold");
    };
    let text = error.to_string();
    for part in ["a miracle", "nothing", "something broke", "default via 192.0.2.254", "n1: nft list ruleset"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    Ok(())
}
