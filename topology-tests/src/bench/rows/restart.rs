//! The daemon restarts under a full kernel table: are packets lost, and how
//! soon does it answer, beside the time of a dump?

use std::time::{Duration, Instant};

use super::cause;
use crate::{
    Error, Netns, Result,
    bench::{
        Options,
        engine::{Engine, Task},
        fib::Watch,
        flow::Flow,
        prefixes::{mix, samples},
        progress,
        sheet::Sheet,
        stage::Stage,
        wire::{Teller, announce},
    },
    wait::{now, pause},
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(300);
/// How many routes packets take.
const TARGETS: usize = 64;
/// From one packet to the next.
const PACE: Duration = Duration::from_micros(100);
/// How long packets flow before and after.
const AROUND: Duration = Duration::from_secs(1);
/// The figures of a run.
const COLUMNS: [&str; 5] =
    ["until it answers s", "kernel dump s", "packets sent", "packets lost", "all learned again s"];

/// Stops with SIGTERM, starts again, and tells the same prefixes again.
pub(crate) fn run(options: &Options) -> Sheet {
    let title = format!("restart with {} routes in the kernel", options.size(1_000_000));
    let mut sheet = Sheet::new(title, &COLUMNS);
    // The others take their routes out of the kernel, or are told not to.
    sheet.measure(options.runs, &options.engines(|engine| engine == Engine::Routed), |run, engine| {
        progress(&format!("restart, run {run}: {}", engine.name()));
        measure(engine, options)
    });
    sheet
}

fn measure(engine: Engine, options: &Options) -> Result<[Option<f64>; 5]> {
    let prefixes = mix(options.size(1_000_000));
    let stage = Stage::new("restart", 1)?;
    let ends = stage.ends();
    let task = Task { peers: ends.clone(), fib: true, transit: true, watched: None };
    let binaries = options.binaries();
    let mut router = engine.start(&stage.router, &task, &binaries)?;
    let source = stage.source()?;
    let swarm = stage.dial()?;
    let watch = Watch::new(&stage.router, &prefixes)?;
    let updates = announce(Teller { asn: ends[0].asn, next_hop: ends[0].local, longer: 0 }, &prefixes);
    let updates: std::sync::Arc<[u8]> = updates.into();
    swarm.tell(vec![(0, updates.clone())])?;
    watch.until(prefixes.len(), LIMIT).map_err(|why| cause(why, &mut router, &swarm))?;
    let dump = dump(&stage.router)?;

    let flow = Flow::start(&stage, &source, samples(&prefixes, TARGETS), PACE)?;
    pause(AROUND);
    router.terminate()?;
    // Not before: a session that its peer ends takes the routes with it.
    drop(swarm);
    let began = now();
    router.again(&task, &binaries)?;
    let answered = first_answer(|| router.holds().map(drop))?;
    let swarm = stage.dial()?;
    let told = swarm.tell(vec![(0, updates)])?;
    let learned = first_answer(|| match router.learned()? {
        learned if learned == prefixes.len() => Ok(()),
        learned => Err(Error::Claim(format!("it learned {learned} again"))),
    })?;
    watch.until(prefixes.len(), LIMIT)?;
    pause(AROUND);
    let seen = flow.finish()?;
    router.check()?;
    Ok([
        Some((answered - began).as_secs_f64()),
        Some(dump.as_secs_f64()),
        Some(f64::from(seen.sent)),
        Some(f64::from(seen.lost())),
        Some((learned - told).as_secs_f64()),
    ])
}

/// Asks until there is an answer; gives its instant.
fn first_answer(ask: impl Fn() -> Result<()>) -> Result<Instant> {
    let end = now() + LIMIT;
    loop {
        match ask() {
            Ok(()) => return Ok(now()),
            Err(why) if now() > end => return Err(why),
            Err(_) => pause(Duration::from_millis(10)),
        }
    }
}

/// How long `ip` takes to read the table: the kernel's dump and little else.
fn dump(netns: &Netns) -> Result<Duration> {
    netns.run(crate::bench::limit::dump)?.map_err(Error::io("dump the kernel's routes"))
}
