//! Unnumbered BGP with BIRD at the other end: a neighbour of a link, by its
//! link-local address; it is found where BIRD's `radv` advertises it.

use lab::{
    Result,
    cable::{Cable, OURS, rename},
    pair::LIMIT,
    peer::{Bird, Routed},
};

const THEIRS: u32 = 65002;
/// The kernel's number of BIRD.
const BIRD: &str = "12";

struct Scene {
    routed: Routed,
    bird: Bird,
    cable: Cable,
}

impl Scene {
    /// We are `fe80::1` on the cable and BIRD `fe80::2`; `radv` is more of BIRD's
    /// configuration, `who` says in ours who the peer is.
    fn start(name: &str, asn: u32, radv: &str, who: &str) -> Result<Scene> {
        let cable = Cable::lay(name)?;
        rename(&cable.hosts[0], "eth1", "fe80::1")?;
        rename(&cable.hosts[1], "eth1", "fe80::2")?;
        let two = &cable.hosts[1];
        let bird = Bird::start(
            two,
            &format!(
                "protocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; ipv6; interface \"docker0\"; }}\n\
                 protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}\n\
                 protocol kernel {{ ipv6 {{ export where source = RTS_BGP; }}; }}\n{radv}\
                 protocol bgp r {{ local fe80::2%eth1 as {asn}; neighbor fe80::1%eth1 as {OURS};\n\
                 direct; connect retry time 1; error wait time 1, 1; connect delay time 1;\n\
                 ipv4 {{ import all; export where source = RTS_DEVICE; extended next hop on; next hop self; }};\n\
                 ipv6 {{ import all; export where source = RTS_DEVICE; next hop self; }}; }}\n"
            ),
        )?;
        let peer = format!("\n[[bgp.peer]]\n{who}\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n");
        Ok(Scene { routed: cable.routed(&peer)?, bird, cable })
    }

    fn whole(&self) -> Result<()> {
        let peer = self.cable.established(&self.routed, "fe80::2%eth1")?;
        assert_eq!(peer["negotiated"]["extended_next_hop"], true, "{peer}");
        self.cable.whole(BIRD)?;
        self.cable.lab.wait_until("BIRD has the session", LIMIT, || {
            let state = self.bird.protocol_state("r").map_err(|e| e.to_string())?;
            if state.contains("Established") { Ok(()) } else { Err(state) }
        })
    }

    fn check(&mut self) -> Result<()> {
        self.whole()?;
        self.cable.ways_are_link_local()?;
        self.routed.kill9()?;
        self.routed.restart()?;
        self.whole()?;
        self.bird.kill9()?;
        self.bird.recover()?;
        self.whole()?;
        self.cable.hosts[1].ip(&["link set eth1 down"])?;
        self.cable.lost(0, "186")?;
        // A link that goes down loses its IPv6 addresses.
        self.cable.hosts[1].ip(&["link set eth1 up"])?;
        rename(&self.cable.hosts[1], "eth1", "fe80::2")?;
        self.whole()?;
        self.cable.ways_are_link_local()
    }
}

#[test]
fn bird_that_advertises_itself_is_found() -> Result<()> {
    let radv = "protocol radv { interface \"eth1\" { max ra interval 4; default lifetime 0; }; }\n";
    Scene::start("un-bird-ra", THEIRS, radv, "interface = \"eth1\"")?.check()
}

#[test]
fn bird_is_a_peer_by_its_link_local_address() -> Result<()> {
    Scene::start("un-bird-e", THEIRS, "", "address = \"fe80::2\"\ninterface = \"eth1\"")?.check()
}

#[test]
fn bird_of_our_as_is_a_peer_by_its_link_local_address() -> Result<()> {
    Scene::start("un-bird-i", OURS, "", "address = \"fe80::2\"\ninterface = \"eth1\"")?.check()
}
