//! Nothing is left behind, however a lab ends.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use lab::{Lab, Result, undertaker, wait::wait_until};

const LIMIT: Duration = Duration::from_secs(10);

/// What carries the lab's id: namespaces and directories.
fn left_of(id: &str) -> Vec<PathBuf> {
    let dirs = [Path::new("/run/netns"), &std::env::temp_dir()].map(std::fs::read_dir);
    let entries = dirs.into_iter().flatten().flatten().flatten();
    let paths = entries.map(|e| e.path());
    paths.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(id))).collect()
}

fn await_gone(id: &str, pid: u32) -> Result<()> {
    wait_until(&format!("nothing of {id} is left"), LIMIT, || {
        let left = left_of(id);
        let runs = Path::new(&format!("/proc/{pid}/exe")).exists();
        if left.is_empty() && !runs { Ok(()) } else { Err(format!("{left:?}, process {pid} runs: {runs}")) }
    })
}

/// A lab with a process that ignores SIGTERM; its id and the process's pid.
fn furnished(name: &str) -> Result<(Lab, lab::Process, String)> {
    let lab = Lab::new(name)?;
    let host = lab.host("n1")?;
    host.container("c1")?;
    let stubborn = host.spawn("stubborn", &["sh", "-c", "trap '' TERM INT; tail -f /dev/null"])?;
    let id = lab.id().to_owned();
    assert!(left_of(&id).len() >= 4, "LAN, host, container, directory: {:?}", left_of(&id));
    Ok((lab, stubborn, id))
}

#[test]
fn dropped_lab_leaves_nothing() -> Result<()> {
    let (lab, process, id) = furnished("drop")?;
    let pid = process.pid();
    drop((lab, process));
    assert_eq!(left_of(&id), Vec::<PathBuf>::new(), "cleaned when drop returns");
    await_gone(&id, pid)
}

#[test]
fn panicking_test_leaves_nothing() -> Result<()> {
    let outcome = std::thread::spawn(|| {
        let (_lab, process, id) = furnished("panic").expect("the lab is built");
        std::panic::panic_any((id, process.pid()));
    })
    .join();
    let panic = outcome.expect_err("it panicked");
    let (id, pid) = panic.downcast_ref::<(String, u32)>().expect("its own panic");
    await_gone(id, *pid)
}

/// A process of its own that builds a lab, prints the id and a pid, and waits
/// for its end: `lab run`.
fn ended_by(signal: &str) -> Result<()> {
    use std::io::{BufRead as _, BufReader};
    // A shell starts what runs in its background with SIGINT ignored; we may be such.
    let mut child = Command::new("env")
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_lab"), "run", "line", "--nodes", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(lab::Error::io("start lab run"))?;
    // Held open: the end of its input would end it too, and without a signal.
    let _input = child.stdin.take();
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).map_err(lab::Error::io("read from lab run"))?;
    let id = line.trim().strip_prefix("lab ").expect("the first line names the lab").to_owned();
    wait_until("the lab has its namespaces", LIMIT, || {
        let left = left_of(&id);
        if left.len() >= 5 { Ok(()) } else { Err(format!("{left:?}")) }
    })?;
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status().map_err(lab::Error::io("kill"))?;
    assert!(kill.success());
    let status = child.wait().map_err(lab::Error::io("wait for lab run"))?;
    assert!(!status.success(), "ended by a signal: {status}");
    await_gone(&id, child.id())
}

#[test]
fn lab_ended_by_ctrl_c_leaves_nothing() -> Result<()> {
    ended_by("-INT")
}

#[test]
fn lab_ended_by_sigterm_leaves_nothing() -> Result<()> {
    ended_by("-TERM")
}

#[test]
fn lab_ended_by_sigkill_leaves_nothing() -> Result<()> {
    ended_by("-KILL")
}

#[test]
fn sweep_removes_labs_of_dead_processes_and_only_those() -> Result<()> {
    let (alive, _process, id) = furnished("alive")?;
    let before = left_of(&id).len();
    // A process that has ended and was reaped: its number is nobody's.
    let mut short = Command::new("true").spawn().map_err(lab::Error::io("start true"))?;
    let dead = short.id();
    short.wait().map_err(lab::Error::io("wait for true"))?;
    let stale = format!("rlab-{dead}-1-abcdef-");
    let made = Command::new("ip").args(["netns", "add", &format!("{stale}n1")]).status();
    assert!(made.map_err(lab::Error::io("ip netns add"))?.success());
    std::fs::create_dir(std::env::temp_dir().join(format!("{stale}old"))).map_err(lab::Error::io("mkdir"))?;

    undertaker::sweep()?;
    // Another test's lab may have swept it before us; gone it must be.
    assert_eq!(left_of(&stale), Vec::<PathBuf>::new());
    assert_eq!(left_of(&id).len(), before, "a living lab stays");
    drop(alive);
    Ok(())
}
