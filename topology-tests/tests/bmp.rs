//! A collector of BMP is shown sessions and routes, before and after policy,
//! as they come and go; and the table becomes an MRT file that `bgpdump` reads.

use lab::{
    Container, Host, Lab, Result,
    cluster::base_config,
    pair::{ASN, LIMIT, THEIR_4},
    peer::{Bird, Collector, Routed, View},
};

/// Outside the pools: the default import filter refuses it.
const REFUSED: &str = "203.0.113.0/24";

struct Scene {
    lab: Lab,
    ours: Host,
    routed: Routed,
    bird: Bird,
    collector: Collector,
    peer: String,
    _container: Container,
}

fn start(name: &str) -> Result<Scene> {
    let lab = Lab::new(name)?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let container = ours.container("c1")?;
    let collector = Collector::start(&theirs)?;
    let config = base_config(&ours, ASN)
        + &format!(
            "[[bgp.peer]]\naddress = \"{peer}\"\nasn = 65001\nconnect_retry = 1\n\
             [[bmp]]\ncollector = \"{collector}\"\n\
             monitor = [\"pre-policy\", \"post-policy\", \"loc-rib\", \"adj-rib-out-pre\", \"adj-rib-out\"]\nstatistics = 1\n",
            peer = theirs.ipv4(),
            collector = collector.address(),
        );
    let bird = Bird::start(
        &theirs,
        &format!(
            "protocol device {{}}\n\
             protocol static s1 {{ ipv4; route {THEIR_4} blackhole; }}\n\
             protocol static s2 {{ ipv4; route {REFUSED} blackhole; }}\n\
             protocol bgp b4 {{ local {} as 65001; neighbor {} as {ASN}; connect retry time 1;\n \
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
            theirs.ipv4(),
            ours.ipv4(),
        ),
    )?;
    let routed = Routed::start(&ours, &config)?;
    let peer = theirs.ipv4().to_string();
    Ok(Scene { lab, ours, routed, bird, collector, peer, _container: container })
}

impl Scene {
    fn shown(&self, what: &str, holds: impl Fn(&View) -> bool) -> Result<View> {
        let view = self.lab.wait_until(what, LIMIT, || {
            let view = self.collector.view();
            if holds(&view) { Ok(view) } else { Err(format!("{view:#?}")) }
        })?;
        assert_eq!(view.faults, [""; 0], "{what}");
        Ok(view)
    }

    fn all_is_shown(&self, view: &View) -> bool {
        let (peer, own) = (&self.peer, self.ours.subnet4());
        // Links are held back by the filter only.
        let count =
            |rib: &str| view.routes.get(&format!("{rib} {peer}")).map_or(0, std::collections::BTreeSet::len);
        view.up.contains(peer)
            && view.up.contains("loc-rib")
            && view.has("pre-policy", peer, THEIR_4)
            && view.has("pre-policy", peer, REFUSED)
            && view.has("post-policy", peer, THEIR_4)
            && view.has("loc-rib", "loc-rib", THEIR_4)
            && view.has("loc-rib", "loc-rib", &own)
            && view.has("adj-rib-out", peer, &own)
            && view.has("adj-rib-out-pre", peer, &own)
            && count("adj-rib-out-pre") > count("adj-rib-out")
            && ["pre-policy", "post-policy", "adj-rib-out-pre", "adj-rib-out"]
                .iter()
                .all(|rib| view.ends.contains_key(&format!("{rib} {peer}")))
            && view.ends.contains_key("loc-rib loc-rib")
    }
}

#[test]
fn a_collector_sees_sessions_and_routes_before_and_after_policy() -> Result<()> {
    let scene = start("bmp")?;
    let peer = &scene.peer;
    let view = scene.shown("everything is shown", |view| scene.all_is_shown(view))?;
    assert!(!view.name.is_empty());
    assert!(!view.has("post-policy", peer, REFUSED), "import refuses it: {view:#?}");
    assert!(!view.has("adj-rib-out", peer, THEIR_4), "it comes from there: {view:#?}");
    scene.shown("statistics count what the peer told", |view| {
        let of = |who: &str, kind: u16| view.statistics.get(who).and_then(|numbers| numbers.get(&kind));
        // One of the two is refused, and neither came twice.
        (of(peer, 7), of(peer, 0), of(peer, 1)) == (Some(&2), Some(&1), Some(&0))
            && of("loc-rib", 8) >= Some(&2)
            && of("loc-rib", 10).is_some()
            && of(peer, 13) == Some(&0)
    })?;
    scene.shown("statistics count what the peer would be told and is", |view| {
        let of = |kind: u16| view.statistics.get(peer).and_then(|numbers| numbers.get(&kind)).copied();
        let shown =
            |rib: &str| view.routes.get(&format!("{rib} {peer}")).map(|prefixes| prefixes.len() as u64);
        let (before, after) = (shown("adj-rib-out-pre"), shown("adj-rib-out"));
        before > after && (of(14), of(16), of(15), of(17)) == (before, before, after, after)
    })?;
    scene.bird.birdc_write("reload out b4")?;
    scene.shown("what comes twice is counted", |view| {
        view.statistics.get(peer).and_then(|numbers| numbers.get(&13)) >= Some(&1)
    })?;

    scene.bird.birdc_write("disable s1")?;
    scene.shown("a withdrawn route goes everywhere, and nothing else", |view| {
        !view.has("pre-policy", peer, THEIR_4)
            && !view.has("post-policy", peer, THEIR_4)
            && !view.has("loc-rib", "loc-rib", THEIR_4)
            && view.has("pre-policy", peer, REFUSED)
    })?;
    scene.bird.birdc_write("enable s1")?;
    scene.shown("it is back", |view| scene.all_is_shown(view))?;

    scene.bird.birdc_write("disable b4")?;
    scene.shown("the session is down, by a NOTIFICATION of the peer", |view| {
        view.down == [(peer.clone(), 3)] && !view.up.contains(peer)
    })?;
    scene.bird.birdc_write("enable b4")?;
    scene.shown("the session is back, and its routes", |view| scene.all_is_shown(view))?;

    scene.collector.hang_up()?;
    let again = scene.shown("all again on the next connection", |view| {
        view.connections == 2 && scene.all_is_shown(view)
    })?;
    assert_eq!(again.down, []);
    let told = scene.routed.routectl_json(["bmp"])?;
    let told = &told[0];
    assert_eq!(told["connected"], true, "{told}");
    assert_eq!(told["connects"], 2, "{told}");
    assert_eq!(told["address"], scene.collector.address().to_string());
    Ok(())
}

#[test]
fn what_the_configuration_changes_is_shown_and_the_end_is_said() -> Result<()> {
    let mut scene = start("bmp-reload")?;
    let peer = scene.peer.clone();
    scene.shown("everything is shown", |view| scene.all_is_shown(view))?;
    let path = scene.routed.config_path();
    let before = std::fs::read_to_string(&path).map_err(lab::Error::file(&path))?;
    // Another import and export filter, the same session.
    let open = before.replace(
        "connect_retry = 1\n",
        "connect_retry = 1\nimport = \"accept-all\"\nexport = \"reject-all\"\n",
    );
    scene.routed.write_config(&open)?;
    scene.routed.routectl(["reload"])?.ok()?;
    let own = scene.ours.subnet4();
    let view = scene.shown("import takes all, export nothing", |view| {
        view.has("post-policy", &peer, REFUSED) && !view.has("adj-rib-out", &peer, &own)
    })?;
    assert_eq!(view.down, [], "the session stays");

    let without = open.split("[[bmp]]").next().unwrap_or_default();
    scene.routed.write_config(without)?;
    scene.routed.routectl(["reload"])?.ok()?;
    scene.shown("it is not shown any more, for good", |view| view.terminated == Some(4))?;

    scene.routed.write_config(&open)?;
    scene.routed.routectl(["reload"])?.ok()?;
    scene.shown("it is shown again", |view| {
        view.connections == 2 && view.has("post-policy", &peer, REFUSED)
    })?;
    scene.routed.sigterm()?;
    scene.shown("the daemon says that it ends", |view| view.terminated == Some(0))?;
    Ok(())
}

#[test]
fn the_table_becomes_an_mrt_file_that_bgpdump_reads() -> Result<()> {
    let scene = start("mrt")?;
    scene.shown("everything is shown", |view| scene.all_is_shown(view))?;
    let file = scene.lab.dir().join("table.mrt").display().to_string();
    scene.routed.routectl(["mrt", "dump", &file])?.ok()?;
    let read = scene.ours.exec(["bgpdump", "-m", &file])?;
    let lines: Vec<&str> = read.stdout.lines().collect();
    let line = |prefix: &str| lines.iter().find(|line| line.contains(&format!("|{prefix}|")));
    let theirs = line(THEIR_4).unwrap_or_else(|| panic!("{read:?}"));
    assert!(theirs.starts_with("TABLE_DUMP2|"), "{theirs}");
    let wanted = format!("|{peer}|65001|{THEIR_4}|65001|IGP|{peer}|", peer = scene.peer);
    assert!(theirs.contains(&wanted), "{theirs} has no {wanted}");
    assert!(line(&scene.ours.subnet4()).is_some(), "{read:?}");
    assert!(line(&scene.ours.subnet6()).is_some(), "{read:?}");
    assert!(line(REFUSED).is_none(), "import refused it: {read:?}");
    Ok(())
}
