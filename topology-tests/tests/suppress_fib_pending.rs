//! Peers are told a route when the kernel has it, and not before.

use std::time::Duration;

use lab::{
    Host, Lab, Result,
    cluster::{base_config, has_routes},
    pair::ASN,
    peer::{Bird, Routed},
};

const LIMIT: Duration = Duration::from_secs(30);
/// What BIRD tells: one that another owner has a route to, and one that nobody has.
const BLOCKED: &str = "10.244.50.0/24";
const FREE: &str = "10.244.51.0/24";
/// What the daemon originates itself.
const OWN: &str = "10.244.90.0/24";

/// BIRD, then the daemon that is to hold routes back, then one that it tells.
struct Line {
    bird: Bird,
    middle: Routed,
    last: Routed,
    lab: Lab,
}

fn peer(host: &Host, asn: u32, more: &str) -> String {
    format!("[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\nconnect_retry = 1\n{more}", host.ipv4())
}

fn foreign(host: &Host, verb: &str, prefix: &str) -> Result<()> {
    host.ip(&[format!("route {verb} {prefix} via 192.0.2.254 proto static")])
}

impl Line {
    fn start(name: &str, key: &str) -> Result<Line> {
        let lab = Lab::new(name)?;
        let (source, ours, theirs) = (lab.router("source")?, lab.host("n1")?, lab.host("n2")?);
        for prefix in [BLOCKED, OWN] {
            foreign(&ours, "add", prefix)?;
        }
        let advertise = format!("[[advertise]]\nprefix = \"{OWN}\"\n");
        let all = "export = \"accept-all\"\n";
        let config = base_config(&ours, ASN)
            + key
            + &peer(&source, 65001, "")
            + &peer(&theirs, 65002, all)
            + &advertise;
        let middle = Routed::start(&ours, &config)?;
        let last = Routed::start(&theirs, &(base_config(&theirs, 65002) + &peer(&ours, ASN, "")))?;
        let config = format!(
            "protocol device {{}}\nprotocol static told {{ ipv4; route {BLOCKED} blackhole; route {FREE} blackhole; }}\n\
             protocol bgp peer {{ local {0} as 65001; neighbor {1} as {ASN}; connect retry time 1;\n \
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
            source.ipv4(),
            ours.ipv4(),
        );
        let bird = Bird::start(&source, &config)?;
        Ok(Line { bird, middle, last, lab })
    }

    fn told(&self, prefix: &str, wanted: bool) -> Result<()> {
        let what = format!("{prefix} is {}told", if wanted { "" } else { "not " });
        self.lab.wait_until(&what, LIMIT, || {
            let heard = self.last.prefixes("bgp").map_err(|e| e.to_string())?;
            if heard.iter().any(|other| other == prefix) == wanted {
                return Ok(());
            }
            Err(format!("{heard:?}, while {:?}", self.shown(prefix)))
        })
    }

    /// How `routectl` shows the best route to a prefix.
    fn shown(&self, prefix: &str) -> Result<serde_json::Value> {
        Ok(self.middle.routectl_json(["routes", prefix])?[0].clone())
    }

    /// Nothing more comes: what is told after this was withheld before it.
    fn withheld(&self, prefix: &str) -> Result<()> {
        self.lab.wait_until(&format!("{prefix} is refused"), LIMIT, || {
            let error = self.shown(prefix).map_err(|e| e.to_string())?["install_error"].to_string();
            if error.contains("another owner") { Ok(()) } else { Err(error) }
        })?;
        let shown = self.shown(prefix)?;
        assert!(shown["install_error"].to_string().contains("peers are not told of it"), "{shown}");
        let told = self.middle.routectl_json(["routes", "--peer", "192.0.2.3", "--advertised"])?;
        assert!(!told.to_string().contains(prefix), "{told}");
        self.told(prefix, false)
    }
}

#[test]
fn a_route_that_the_kernel_does_not_take_is_told_once_it_does() -> Result<()> {
    let line = Line::start("pending", "suppress_fib_pending = true\n")?;
    line.told(FREE, true)?;
    has_routes(line.middle.host(), &[FREE.to_owned()]).map_err(lab::Error::Claim)?;
    line.withheld(BLOCKED)?;
    line.withheld(OWN)?;

    for prefix in [BLOCKED, OWN] {
        foreign(line.middle.host(), "del", prefix)?;
        line.told(prefix, true)?;
        assert_eq!(line.shown(prefix)?["installed"], true);
    }

    // Somebody takes the place of ours: packets no longer go where peers were told.
    foreign(line.middle.host(), "replace", FREE)?;
    line.told(FREE, false)?;
    foreign(line.middle.host(), "del", FREE)?;
    line.told(FREE, true)?;

    // What goes, goes at once.
    line.bird.birdc_write("disable told")?;
    line.told(BLOCKED, false)?;
    line.told(FREE, false)?;
    Ok(())
}

#[test]
fn without_the_key_it_is_told_all_the_same() -> Result<()> {
    let line = Line::start("notpending", "")?;
    line.told(BLOCKED, true)?;
    line.told(OWN, true)?;
    let shown = line.shown(BLOCKED)?["install_error"].to_string();
    assert!(shown.contains("another owner") && !shown.contains("peers"), "{shown}");
    Ok(())
}
