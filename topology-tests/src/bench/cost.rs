//! What processes needed: time, memory; and what the rest of the machine did.

use std::{fs, time::Instant};

use crate::wait::now;

/// CPU seconds of processes, their threads included, since they began.
///
/// The kernel tells user and system time apart by sampling, but their sum is exact.
pub(super) fn cpu(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| stat(&format!("/proc/{pid}/stat"))).sum()
}

/// User and system time of one process; 0 once it has ended.
fn stat(path: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
    ticks.sum::<f64>() / ticks_a_second()
}

fn ticks_a_second() -> f64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| i32::try_from(ticks).ok()).map_or(100.0, f64::from)
}

/// Peak resident memory of processes, in MB of 10^6 bytes.
pub(super) fn peak(pids: &[u32]) -> f64 {
    let sizes = pids.iter().map(|pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
    });
    sizes.sum::<f64>() * 1024.0 / 1e6
}

/// The processes and all their descendants.
pub(super) fn family(pids: &[u32]) -> Vec<u32> {
    let mut all = pids.to_vec();
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let found: Vec<u32> = children
            .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
            .collect();
        all.extend(found);
        at += 1;
    }
    all
}

/// A span of time, and the CPU that went by in it.
#[derive(Debug)]
pub(super) struct Span {
    began: Instant,
    machine: f64,
    own: f64,
    pids: Vec<u32>,
    theirs: f64,
}

/// What a span cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// CPU seconds of the processes.
    pub cpu: f64,
    /// CPU seconds of the load, which must not be what is measured.
    pub load: f64,
    /// CPUs that the rest of the machine used, the load not counted.
    pub others: f64,
}

impl Span {
    /// Begins now, for these processes.
    pub(super) fn begin(pids: &[u32]) -> Span {
        let pids = pids.to_vec();
        Span { began: now(), machine: machine(), own: own(), theirs: cpu(&pids), pids }
    }

    /// What went by until now.
    pub(super) fn end(&self) -> Spent {
        let wall = self.began.elapsed().as_secs_f64().max(1e-6);
        let cpu = cpu(&self.pids) - self.theirs;
        let load = own() - self.own;
        let others = machine() - self.machine - cpu - load;
        Spent { cpu, load, others: (others / wall).max(0.0) }
    }
}

fn own() -> f64 {
    stat("/proc/self/stat")
}

/// CPU seconds in which the machine was not idle.
fn machine() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user.
    let busy = ticks.iter().take(8).enumerate().filter(|(at, _)| *at != 3 && *at != 4);
    busy.map(|(_, ticks)| ticks).sum::<f64>() / ticks_a_second()
}
