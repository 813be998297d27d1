//! A million prefixes from one peer to the last in the table, no kernel.

use std::{sync::Arc, time::Duration};

use super::cause;
use crate::{
    Error, Result,
    bench::{
        Options,
        cost::{self, Span},
        engine::{Engine, Task},
        fib::Watch,
        prefixes::{Prefix, mix},
        progress,
        sheet::Sheet,
        stage::Stage,
        wire::{Teller, announce},
    },
    wait::{now, pause},
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two questions to a router.
const INTERVAL: Duration = Duration::from_millis(20);
/// The figures of a run.
const COLUMNS: [&str; 5] = ["wire to table s", "CPU s", "peak MB", "withdraw s", "CPUs of others"];

/// Measures every router.
pub(crate) fn run(options: &Options) -> Sheet {
    let prefixes = mix(options.size(1_000_000));
    let title = format!("{} prefixes from one peer into the table, no kernel", prefixes.len());
    let mut sheet = Sheet::new(title, &COLUMNS);
    let engines = options.engines(|engine| engine != Engine::FrrQuick);
    sheet.measure(options.runs, &engines, |run, engine| {
        progress(&format!("table, run {run}: {}", engine.name()));
        measure(engine, &prefixes, options)
    });
    sheet.note(
        "Each is asked by its own command how many prefixes it has, 20 ms after the last answer, and a busy one answers late.",
    );
    sheet
}

fn measure(engine: Engine, prefixes: &[Prefix], options: &Options) -> Result<[Option<f64>; 5]> {
    let stage = Stage::new("table", 1)?;
    let ends = stage.ends();
    let task = Task { peers: ends.clone(), fib: false, transit: true, watched: None };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let swarm = stage.dial()?;
    let watch = Watch::new(&stage.router, prefixes)?;
    let before = router.holds()?;
    let updates: Arc<[u8]> =
        announce(Teller { asn: ends[0].asn, next_hop: ends[0].local, longer: 0 }, prefixes).into();

    let pids = router.pids();
    let span = Span::begin(&pids);
    let began = swarm.tell(vec![(0, updates)])?;
    let learned = until(prefixes.len(), || {
        swarm.check()?;
        router.check()?;
        router.learned()
    });
    let learned = learned.map_err(|why| cause(why, &mut router, &swarm))?;
    let (spent, peak) = (span.end(), cost::peak(&pids));
    swarm.check()?;
    if watch.count()? != 0 {
        return Err(Error::Claim(format!("{} wrote routes into the kernel", engine.name())));
    }
    let dropped = swarm.drop_session(0)?;
    let empty = until(before, || router.holds()).map_err(|why| cause(why, &mut router, &swarm))?;
    Ok([
        Some((learned - began).as_secs_f64()),
        Some(spent.cpu),
        Some(peak),
        Some((empty - dropped).as_secs_f64()),
        Some(spent.others),
    ])
}

/// Asks until the answer is `count`; gives the instant of that answer.
fn until(count: usize, mut ask: impl FnMut() -> Result<usize>) -> Result<std::time::Instant> {
    let end = now() + LIMIT;
    loop {
        let said = ask()?;
        let answered = now();
        if said == count {
            return Ok(answered);
        }
        if answered > end {
            return Err(Error::Claim(format!("it says it has {said} prefixes, not {count}")));
        }
        pause(INTERVAL);
    }
}
