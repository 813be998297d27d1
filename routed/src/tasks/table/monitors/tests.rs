use std::net::SocketAddr;

use bgp::conn::negotiate::{negotiate, open};
use bgp::conn::{CloseReason, ConnId, Endpoints};
use bgp::peer::{Admin, PeerConfig};
use bgp::wire::Notification;
use net::AsPath;

use super::*;

const ONE: PeerId = PeerId(1);

fn session() -> Arc<Up> {
    let config =
        |ours: u32, id: &str, theirs: u32| PeerConfig::new(Asn(ours), id.parse().unwrap(), Asn(theirs));
    let ours = config(65001, "192.0.2.1", 65002);
    let theirs = open(&config(65002, "192.0.2.2", 65001), false);
    let local: SocketAddr = "192.0.2.1:179".parse().unwrap();
    let ends = Endpoints { local, remote: "192.0.2.2:40000".parse().unwrap() };
    Arc::new(negotiate(&ours, (ConnId::Accepted(1), ends), &open(&ours, false), &theirs).unwrap())
}

fn monitors(ribs: &[Rib]) -> (Monitors, mpsc::Receiver<Vec<News>>) {
    let (news, receiver) = mpsc::channel(NEWS);
    let collector = Collector::new(Monitor { ribs: ribs.to_vec(), news });
    (Monitors { collectors: vec![collector], ..Monitors::default() }, receiver)
}

impl Monitors {
    fn up(&mut self) {
        self.peer_up(ONE, "192.0.2.2".parse().unwrap(), &session());
    }

    /// What the collector is told of sessions: `up`, or the reason of the end.
    fn told(&mut self) -> Vec<String> {
        let news = self.collectors[0].sessions(&self.up);
        let word = |news| match news {
            News::Up(_) => "up".to_owned(),
            News::Down(_, ended, _) => format!("{ended:?}"),
            other => panic!("{other:?}"),
        };
        news.into_iter().map(word).collect()
    }
}

fn closed() -> Why {
    Why::Closed(CloseReason::Eof)
}

#[test]
fn a_session_that_flaps_unread_is_one_end_and_one_beginning() {
    let (mut monitors, _news) = monitors(&[Rib::AdjInPre]);
    monitors.up();
    assert_eq!(monitors.told(), ["up"]);
    monitors.peer_down(ONE, &closed());
    for _ in 0..10 {
        monitors.up();
        monitors.peer_down(ONE, &Why::SendHoldExpired);
    }
    monitors.up();
    assert_eq!(monitors.told(), ["Closed", "up"]);
    assert_eq!(monitors.told(), [""; 0]);
}

#[test]
fn a_session_that_was_never_shown_is_not_ended_either() {
    let (mut monitors, _news) = monitors(&[Rib::AdjInPre]);
    monitors.up();
    monitors.peer_down(ONE, &closed());
    assert_eq!(monitors.told(), [""; 0]);
    assert!(!monitors.wait());
}

#[test]
fn what_waits_of_a_session_goes_with_it() {
    let (mut monitors, _news) = monitors(&[Rib::AdjInPre]);
    monitors.up();
    monitors.told();
    let collector = &mut monitors.collectors[0];
    collector.heard.insert((ONE, "10.1.0.0/16".parse().unwrap(), 0));
    monitors.peer_down(ONE, &closed());
    assert_eq!(monitors.told(), ["Closed"]);
    assert!(monitors.collectors[0].heard.is_empty());
}

#[test]
fn each_end_has_the_reason_of_the_rfc() {
    let up = session();
    let sent = |code, subcode| Notification { code, subcode, data: Box::default() };
    let shutdown = Why::Stopped(Admin::Shutdown(None));
    assert_eq!(ended(&Why::Sent(sent(4, 0)), &up), Ended::Sent(sent(4, 0)));
    assert!(matches!(ended(&shutdown, &up), Ended::Sent(Notification { code: 6, subcode: 2, .. })));
    assert_eq!(ended(&Why::Received(sent(6, 4)), &up), Ended::Received(sent(6, 4)));
    assert_eq!(ended(&closed(), &up), Ended::Closed);
    assert_eq!(ended(&Why::SendHoldExpired, &up), Ended::Local(29));
    assert_eq!(ended(&Why::Replaced, &up), Ended::Local(0));
    assert_eq!(ended(&Why::NotStarted, &up), Ended::Unmonitored);
}

#[test]
fn ten_changes_of_a_prefix_are_one_and_only_for_who_is_shown_them() {
    for (rib, waiting) in [(Rib::AdjInPost, 0), (Rib::Loc, 1), (Rib::AdjOutPost, 1)] {
        let (mut monitors, _news) = monitors(&[rib]);
        for _ in 0..10 {
            monitors.change("10.1.0.0/16".parse().unwrap());
        }
        assert_eq!(monitors.collectors[0].best.len(), waiting, "{rib:?}");
    }
}

#[test]
fn each_path_that_came_or_went_is_looked_at_for_who_is_shown_what_peers_are_told() {
    let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
    let offers = |ids: &[u32]| -> rib::Offers {
        let attrs = Arc::new(Attrs::default());
        let path = Arc::new(rib::Path {
            source: rib::Source::Peer(ONE),
            protocol: rib::Protocol::Bgp,
            received: Arc::clone(&attrs),
            imported: Ok(attrs),
            distance: 20,
            metric: 0,
            via: rib::Via::NextHop,
            weight: 1,
        });
        ids.iter().map(|id| rib::Offer { id: *id, path: Arc::clone(&path), metric: 0 }).collect()
    };
    let offered = Offered { prefix, old: offers(&[17, 18]), new: offers(&[18, 19]) };
    for (rib, waiting) in [(Rib::Loc, &[][..]), (Rib::AdjOutPost, &[17, 18, 19])] {
        let (mut monitors, _news) = monitors(&[rib]);
        monitors.offered(&offered);
        let ids: Vec<u32> = monitors.collectors[0].best.iter().map(|nlri| nlri.path_id).collect();
        assert_eq!(ids, waiting, "{rib:?}");
    }
}

#[test]
fn prefixes_with_equal_attributes_go_together_and_what_begins_here_gets_a_next_hop() {
    let session = Monitored {
        id: ONE,
        speaker: Speaker {
            address: "192.0.2.2".parse().unwrap(),
            link: 0,
            asn: Asn(65002),
            router_id: "192.0.2.2".parse().unwrap(),
        },
        since: Duration::ZERO,
        up: session(),
    };
    let header = session.header(Rib::Loc, Duration::ZERO);
    let attrs = Arc::new(Attrs { as_path: AsPath::sequence([65002]), ..Attrs::default() });
    let nlri = |text: &str| Nlri::from(text.parse::<Prefix>().unwrap());
    let mut sheet = Sheet::default();
    sheet.reach(header, nlri("10.1.0.0/16"), &attrs);
    sheet.reach(header, nlri("2001:db8::/32"), &attrs);
    sheet.reach(header, nlri("10.2.0.0/16"), &attrs);
    sheet.unreach(header, nlri("10.3.0.0/16"));
    let news = sheet.into_news();
    let [News::Unreach(_, _, gone), News::Reach(_, _, four, both), News::Reach(_, _, six, _)] = &news[..]
    else {
        panic!("{news:#?}");
    };
    assert_eq!(
        (&gone[..], &both[..]),
        (&[nlri("10.3.0.0/16")][..], &[nlri("10.1.0.0/16"), nlri("10.2.0.0/16")][..])
    );
    assert_eq!(four.next_hop.unwrap().to_string(), "0.0.0.0");
    assert_eq!(six.next_hop.unwrap().to_string(), "::");
}
