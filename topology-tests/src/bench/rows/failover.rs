//! The next hop of every route dies: until packets take the other path.

use std::{net::Ipv4Addr, thread::JoinHandle, time::Duration};

use super::cause;
use crate::{
    Error, Result,
    bench::{
        Options,
        bfd::{self, Speaker},
        clock::Moment,
        engine::{Engine, Running, Task},
        fib::Watch,
        flow::Flow,
        link,
        prefixes::{Prefix, mix, samples},
        progress,
        sheet::Sheet,
        stage::{EXITS, Stage},
        wire::{Teller, announce},
    },
    wait::{pause, wait_until},
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(300);
/// How long packets may take to find the other way: past the hold time is no failover.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a router is left alone before its next hop dies.
const QUIET: Duration = Duration::from_secs(3);
/// How many routes are watched.
const TARGETS: usize = 64;
/// From one packet to the next, around the death and for a second after it.
const FINE: Duration = Duration::from_micros(20);
/// The same before, and when a router takes longer: packets are not to be what it waits for.
const COARSE: Duration = Duration::from_millis(1);
/// How long packets flow closely before the death.
const BEFORE: Duration = Duration::from_millis(200);
/// And after it.
const AFTER: Duration = Duration::from_secs(1);
/// The figures of a run.
const COLUMNS: [&str; 5] = [
    "first packet ms",
    "all of 64 targets ms",
    "death to detection ms",
    "packets stand still ms",
    "packets lost",
];

/// How a next hop dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The other end of the wire is taken down: the router's end loses its carrier.
    Carrier,
    /// The wire goes on to shine, but nothing comes through it.
    Silence,
}

impl Death {
    fn name(self) -> &'static str {
        match self {
            Death::Carrier => "loses its carrier",
            Death::Silence => "is cut silently, BFD finds out",
        }
    }
}

/// The better path dies under 100,000 and 1,000,000 routes, in both ways.
pub(crate) fn run(options: &Options) -> Vec<Sheet> {
    let sizes: &[usize] = if options.quick { &[10_000] } else { &[100_000, 1_000_000] };
    let deaths = [Death::Carrier, Death::Silence];
    let rows = sizes.iter().flat_map(|size| deaths.map(|death| (*size, death)));
    rows.map(|(size, death)| row(size, death, options)).collect()
}

fn row(count: usize, death: Death, options: &Options) -> Sheet {
    let prefixes = mix(count);
    let title =
        format!("the link to the next hop of {count} routes {}; a second path is known", death.name());
    let mut sheet = Sheet::new(title, &COLUMNS);
    let engines = options.engines(|engine| engine.has_fib() && engine != Engine::FrrQuick);
    sheet.measure(options.runs, &engines, |run, engine| {
        progress(&format!("failover of {count}, {death:?}, run {run}: {}", engine.name()));
        measure(engine, death, &prefixes, options)
    });
    sheet.note(match death {
        Death::Carrier => {
            "First packet and all targets: from the word of the router's kernel that the link has no carrier, as a listener in its namespace hears it; less than 0: before that word was out. Death: the call that takes the other end down begins."
        }
        Death::Silence => {
            "First packet and all targets: from the router's own BFD packet that calls the path down, by the time of its arrival; less than 0: it moved its routes first and said so later. Death: the last BFD packet that reached the router; 300 ms after it detection is due."
        }
    });
    sheet
}

fn measure(engine: Engine, death: Death, prefixes: &[Prefix], options: &Options) -> Result<[Option<f64>; 5]> {
    let stage = Stage::new("failover", 1)?;
    let ends = [stage.ends()[0], stage.second()];
    let watched = (death == Death::Silence).then_some(ends[0].local);
    let task = Task { peers: ends.to_vec(), fib: true, transit: false, watched };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let speaker = watched.map(|_| Speaker::start(&stage.load, ends[0])).transpose()?;
    let source = stage.source()?;
    let swarm = stage.dial_ends(&ends)?;
    if let Some(speaker) = &speaker {
        speaker.up(PATIENCE)?;
    }
    let watch = Watch::new(&stage.router, prefixes)?;
    for (session, longer) in [(0, 0), (1, 3)] {
        let teller = Teller { asn: ends[session].asn, next_hop: ends[session].local, longer };
        swarm.tell(vec![(session, announce(teller, prefixes).into())])?;
        let learned = watch
            .until(prefixes.len(), LIMIT)
            .and_then(|_| knows(&router, engine, prefixes.len() * (session + 1)));
        learned.map_err(|why| cause(why, &mut router, &swarm))?;
    }
    pause(QUIET);

    let targets: Vec<Ipv4Addr> = samples(prefixes, TARGETS);
    let flow = Flow::start(&stage, &source, targets, COARSE)?;
    pause(QUIET);
    flow.set_pace(FINE);
    pause(BEFORE);
    let cut = Cut::make(&stage, speaker)?;
    let moved = flow.all_by_second(AFTER).or_else(|_| {
        flow.set_pace(COARSE);
        flow.all_by_second(PATIENCE)
    });
    let seen = flow.finish()?;
    let cut = cut.seen()?;
    if let Err(why) = moved {
        progress(&format!("{}: {why}", engine.name()));
    }
    router.check()?;
    let first = seen.second.iter().flatten().min().copied();
    // None where a target was not heard.
    let last = seen.second.iter().copied().min().flatten().and(seen.second.iter().copied().max().flatten());
    if first.is_some_and(|first| first < cut.died) {
        return Err(Error::Claim("packets took the other exit before the path was cut".to_owned()));
    }
    let since = |at: Option<Moment>, from: Option<Moment>| Some(at?.millis_since(from?));
    Ok([
        since(first, cut.found),
        since(last, cut.found),
        since(cut.found, Some(cut.died)),
        since(first, seen.last),
        Some(f64::from(seen.lost())),
    ])
}

/// A path that dies.
enum Cut {
    Carrier { began: Moment, word: JoinHandle<std::io::Result<Moment>> },
    Silence(Speaker),
}

/// When it died, and when the router knew.
struct Died {
    died: Moment,
    found: Option<Moment>,
}

impl Cut {
    /// Cuts the wire of the better path; where somebody speaks BFD over it, silently.
    fn make(stage: &Stage, speaker: Option<Speaker>) -> Result<Cut> {
        let [wire, _] = EXITS;
        if let Some(speaker) = speaker {
            bfd::cut(&stage.load, wire)?;
            return Ok(Cut::Silence(speaker));
        }
        let word = link::listen(&stage.router, wire)?;
        let began = stage.load.run(move || link::down(wire))?.map_err(Error::io("take a link down"))?;
        Ok(Cut::Carrier { began, word })
    }

    fn seen(self) -> Result<Died> {
        match self {
            Cut::Carrier { began, word } => {
                let word = word.join().map_err(|_| Error::Claim("the listener panicked".to_owned()))?;
                let found = word.map_err(Error::io("hear of the link"))?;
                Ok(Died { died: began, found: Some(found) })
            }
            Cut::Silence(speaker) => {
                let heard = speaker.finish()?;
                let died = heard.last.ok_or_else(|| Error::Claim("BFD never spoke".to_owned()))?;
                Ok(Died { died, found: heard.down })
            }
        }
    }
}

/// Waits until the router has both paths of all prefixes.
fn knows(router: &Running, engine: Engine, paths: usize) -> Result<()> {
    wait_until(&format!("{} has {paths} paths", engine.name()), LIMIT, || {
        let has = router.paths().map_err(|why| why.to_string())?;
        if has == paths { Ok(()) } else { Err(format!("{has}")) }
    })
}
