//! What the tests of the store share.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ipam::{AllocateRequest, Ipam, OpenConfig};
use nix::fcntl::{Flock, FlockArg};

/// A store in `dir` with a /16 and a /80.
pub(crate) fn config(dir: &Path) -> OpenConfig {
    let pools = vec!["10.244.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()];
    let mut config = OpenConfig::new(dir, "n1", pools.clone(), pools);
    config.open_timeout = Duration::from_secs(5);
    config
}

pub(crate) fn open(dir: &Path) -> Ipam {
    Ipam::open(config(dir)).unwrap()
}

/// Closes a store and waits until the database library has let go of its
/// files: it does so a moment later, from a thread of its own.
pub(crate) fn close(ipam: Ipam, dir: &Path) {
    ipam.close().unwrap();
    let log = std::fs::File::open(dir.join("ipam/db")).unwrap();
    drop(Flock::lock(log, FlockArg::LockExclusive).unwrap());
}

pub(crate) fn by_handle(handle: &str) -> AllocateRequest {
    AllocateRequest { handle: Some(handle.to_owned()), now: 1_700_000_000, ..AllocateRequest::default() }
}

pub(crate) fn allocate(ipam: &Ipam, handle: &str) -> IpAddr {
    ipam.allocate(by_handle(handle)).unwrap()[0].address
}

/// Allocates `count` addresses under `PREFIX-N` and tells who has what.
pub(crate) fn fill(ipam: &Ipam, prefix: &str, count: usize) -> BTreeMap<String, IpAddr> {
    (0..count)
        .map(|number| format!("{prefix}-{number}"))
        .map(|handle| (handle.clone(), allocate(ipam, &handle)))
        .collect()
}

/// Who has what, as readers see it.
pub(crate) fn owners(ipam: &Ipam) -> BTreeMap<String, IpAddr> {
    let allocations = ipam.snapshot().allocations.into_iter();
    allocations.map(|one| (one.handle.unwrap_or_default(), one.address)).collect()
}

/// Fails unless what is stored is exactly `expect`, the copies on disk agree
/// and new addresses are new.
pub(crate) fn verify(ipam: &Ipam, expect: &BTreeMap<String, IpAddr>) {
    assert_eq!(&owners(ipam), expect);
    assert_eq!(ipam.check().unwrap(), []);
    for (handle, address) in expect.iter().take(100) {
        assert_eq!(allocate(ipam, handle), *address, "{handle} keeps its address");
    }
    let new = allocate(ipam, "new");
    assert!(!expect.values().any(|address| *address == new));
    ipam.release_address(new).unwrap();
}

/// The same test program running the ignored test `name` alone.
pub(crate) fn child(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env("IPAM_TEST_DIR", dir);
    command
}

/// The directory that [`child`] gave.
pub(crate) fn given_dir() -> PathBuf {
    std::env::var_os("IPAM_TEST_DIR").expect("runs only as a child of another test").into()
}
