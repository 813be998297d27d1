//! Who cleans up: a shell that outlives the lab.
//!
//! Every lab starts one small `sh` in a process group of its own, whose
//! standard input is a pipe that only the lab's process holds open. When the
//! lab is dropped, panics, or its process ends by Ctrl-C, SIGTERM or SIGKILL,
//! the kernel closes the pipe, the shell reads the end of file and removes all
//! that carries the lab's name: processes inside its namespaces, the namespaces
//! and the directory. There is one path of cleaning for every way to end.
//!
//! If the undertaker itself was killed, the next lab [sweeps](sweep): names
//! hold the pid of their creator, and what a dead creator left is removed.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{Error, Result};

/// First part of every name: namespaces and directories of labs, and of nothing else.
pub const PREFIX: &str = "rlab-";

/// Waits for the end of file, then removes what begins with `$1` under
/// `/run/netns` and the directory `$2`. Processes are found by their namespace,
/// twice, for one may have been starting while we looked.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for round in 1 2; do
    for ns in /run/netns/"$1"*; do
        [ -e "$ns" ] || continue
        pids=$(ip netns pids "${ns##*/}" 2>/dev/null)
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
    done
done
for ns in /run/netns/"$1"*; do
    [ -e "$ns" ] && ip netns del "${ns##*/}"
done
[ -z "$2" ] || rm -rf -- "$2"
"#;

/// The shell that cleans up after one lab; cleans when dropped.
#[derive(Debug)]
pub(crate) struct Undertaker {
    child: Child,
    /// Held open while the lab lives.
    pipe: Option<ChildStdin>,
}

impl Undertaker {
    /// Engages one for all namespaces that begin with `prefix`, and `dir`.
    pub(crate) fn engage(prefix: &str, dir: &Path) -> Result<Undertaker> {
        assert!(prefix.starts_with(PREFIX), "only names of labs are ever removed, not {prefix}");
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "lab-undertaker", prefix])
            .arg(dir)
            .env("LC_ALL", "C")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("start the shell that cleans up (/bin/sh)"))?;
        let pipe = child.stdin.take();
        Ok(Undertaker { child, pipe })
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        drop(self.pipe.take());
        if let Err(why) = self.child.wait() {
            anstream::eprintln!("lab: the shell that cleans up was lost: {why}; run `lab clean`");
        }
    }
}

/// A lab's id as its name tells it: `rlab-PID-COUNTER-RANDOM-`.
pub(crate) fn lab_id(pid: u32, counter: u32, random: &str) -> String {
    format!("{PREFIX}{pid}-{counter}-{random}-")
}

/// The creator's pid and the id in the name of a namespace or directory.
fn parse(name: &str) -> Option<(u32, String)> {
    let mut parts = name.strip_prefix(PREFIX)?.splitn(4, '-');
    let pid = parts.next()?.parse().ok()?;
    let counter = parts.next()?.parse().ok()?;
    let random = parts.next()?;
    parts.next()?;
    Some((pid, lab_id(pid, counter, random)))
}

/// Removes the labs whose creator is dead; returns their ids.
pub fn sweep() -> Result<Vec<String>> {
    let mut dead = BTreeSet::new();
    for dir in [Path::new("/run/netns"), &std::env::temp_dir()] {
        for name in names(dir)? {
            match parse(&name) {
                Some((pid, id)) if !Path::new(&format!("/proc/{pid}")).exists() => dead.insert(id),
                _ => false,
            };
        }
    }
    for id in &dead {
        let left: Vec<String> =
            names(&std::env::temp_dir())?.into_iter().filter(|n| n.starts_with(id)).collect();
        let dirs = if left.is_empty() { vec![String::new()] } else { left };
        for dir in dirs {
            let path = if dir.is_empty() { dir.into() } else { std::env::temp_dir().join(dir) };
            drop(Undertaker::engage(id, &path)?);
        }
    }
    Ok(dead.into_iter().collect())
}

/// The names in a directory; none if there is no such directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::file(dir)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_found_in_names_of_namespaces_and_directories() {
        let id = lab_id(42, 7, "x1Y2");
        assert_eq!(parse(&format!("{id}n1")), Some((42, id.clone())));
        assert_eq!(parse(&format!("{id}n1-c1")), Some((42, id)));
    }

    #[test]
    fn foreign_names_are_nobodys_lab() {
        for name in ["host", "rlab-", "rlab-x-1-r-", "rlab-12", "rlab-12-3", "rlab-12-3-r", "cni-12-3-r-n"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
