//! Restarts, damage and company: what is on disk is read back, whatever
//! happened to it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{allocate, by_handle, close, config, fill, open, owners, verify};
use ipam::{AllocateRequest, Allocation, Families, Image, Ipam, OpenError, Repair, Why};

fn is_database_set_aside(repair: &Repair) -> bool {
    matches!(repair, Repair::DatabaseSetAside { .. })
}

/// The blocks that the node of [`made`] claims.
fn claimed() -> [net::Prefix; 2] {
    ["10.244.7.0/24", "fd00:0:0:0:7::/80"].map(|text| text.parse().unwrap())
}

/// A closed store with claims and 60 allocations of which 20 are in the
/// export, 40 in the journal, and all in the database: 61 events.
fn made(dir: &Path) -> BTreeMap<String, IpAddr> {
    let ipam = open(dir);
    let mut all = fill(&ipam, "old", 20);
    close(ipam, dir);
    let export = fs::read(dir.join("ipam.json")).unwrap();
    let ipam = open(dir);
    all.extend(fill(&ipam, "new", 40));
    ipam.remember_claim(&claimed()).unwrap();
    let journal = fs::read(dir.join("ipam.journal")).unwrap();
    close(ipam, dir);
    // As a kill before the last export leaves it.
    fs::write(dir.join("ipam.json"), export).unwrap();
    fs::write(dir.join("ipam.journal"), journal).unwrap();
    for old in ["ipam.json.1", "ipam.journal.1"] {
        fs::remove_file(dir.join(old)).unwrap();
    }
    all
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("ipam")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
}

/// Breaks a store, opens it, expects the allocations and some of the repairs.
fn check(breaking: impl FnOnce(&Path), repaired: impl Fn(&Repair) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let all = made(dir.path());
    breaking(dir.path());
    let ipam = open(dir.path());
    let repairs = ipam.recovery().repairs.clone();
    assert!(repairs.iter().any(repaired), "{repairs:?}");
    verify(&ipam, &all);
    assert_eq!(ipam.claims(), claimed());
    ipam.close().unwrap();
    let ipam = open(dir.path());
    assert_eq!(ipam.recovery().repairs, [], "a repaired store is clean");
    verify(&ipam, &all);
    assert_eq!(ipam.claims(), claimed());
    ipam.close().unwrap();
}

#[test]
fn a_clean_restart_repairs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let all = made(dir.path());
    let ipam = open(dir.path());
    assert_eq!(ipam.recovery().repairs, []);
    assert_eq!(ipam.recovery().allocations, 60);
    verify(&ipam, &all);
}

#[test]
fn labels_times_both_families_and_reservations_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let request = AllocateRequest { families: Families::Both, labels: labels.clone(), ..by_handle("web") };
    let answer = ipam.allocate(request.clone()).unwrap();
    assert_eq!(answer.iter().map(|one| one.address.is_ipv4()).collect::<Vec<_>>(), [true, false]);
    ipam.reserve("10.244.9.0/24".parse().unwrap()).unwrap();
    let snapshot = ipam.snapshot();
    ipam.close().unwrap();
    let ipam = open(dir.path());
    assert_eq!(ipam.snapshot(), snapshot);
    assert_eq!(ipam.allocate(request).unwrap(), answer);
    assert_eq!((answer[0].allocated_at, &answer[1].labels), (1_700_000_000, &labels));
    let reserved =
        AllocateRequest { address: Some("10.244.9.3".parse().unwrap()), ..AllocateRequest::default() };
    assert!(matches!(ipam.allocate(reserved), Err(Why::Reserved { .. })));
}

#[test]
fn claims_replace_each_other_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    assert_eq!(ipam.claims(), []);
    ipam.remember_claim(&claimed()).unwrap();
    let [one, other] = claimed();
    let generation = || fs::metadata(dir.path().join("ipam.journal")).unwrap().len();
    let before = generation();
    ipam.remember_claim(&[other, one, one]).unwrap();
    assert_eq!(generation(), before, "the same claims write nothing");
    ipam.remember_claim(&[one]).unwrap();
    assert_eq!(ipam.claims(), [one]);
    assert_eq!(ipam.check().unwrap(), []);
    let export = ipam.export();
    close(ipam, dir.path());
    let ipam = open(dir.path());
    assert_eq!((ipam.claims(), ipam.check().unwrap()), (vec![one], vec![]));
    ipam.remember_claim(&[]).unwrap();
    close(ipam, dir.path());
    let ipam = open(dir.path());
    assert_eq!((ipam.claims(), ipam.check().unwrap()), (vec![], vec![]));
    // Another node's claims are not taken over with its addresses.
    ipam.import(&export).unwrap();
    assert_eq!(ipam.claims(), []);
}

#[test]
fn an_export_from_before_there_were_claims_keeps_its_checksum() {
    let text = ipam::store::export::encode(&Image::default());
    assert!(!text.contains("claims"), "{text}");
}

#[test]
fn two_processes_never_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    let error = Ipam::open(config(dir.path())).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { path } if *path == dir.path().join("ipam")), "{error}");
    allocate(&ipam, "still works");
    ipam.close().unwrap();
    open(dir.path()).close().unwrap();
}

#[test]
fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    ipam.clone().close().unwrap();
    assert_eq!(ipam.allocate(by_handle("late")), Err(Why::Closed));
}

#[test]
fn eight_threads_never_get_one_address_twice() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    let given: Vec<BTreeMap<String, IpAddr>> = std::thread::scope(|scope| {
        let start = |thread| {
            let ipam = ipam.clone();
            scope.spawn(move || fill(&ipam, &format!("t{thread}"), 200))
        };
        let threads: Vec<_> = (0..8).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<IpAddr> = given.iter().flat_map(BTreeMap::values).copied().collect();
    assert_eq!(distinct.len(), 1600);
    let all: BTreeMap<_, _> = given.into_iter().flatten().collect();
    ipam.close().unwrap();
    verify(&open(dir.path()), &all);
}

#[test]
fn a_journal_cut_at_any_byte_keeps_every_whole_line() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = open(dir.path());
    let all = fill(&ipam, "h", 4);
    let journal = fs::read(dir.path().join("ipam.journal")).unwrap();
    ipam.close().unwrap();
    // Without the database and export, only the journal is left to tell.
    for length in 0..=journal.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ipam.journal"), &journal[..length]).unwrap();
        let lines = String::from_utf8_lossy(&journal[..length]).matches('\n').count();
        let ipam = open(dir.path());
        let expect: BTreeMap<_, _> = all.clone().into_iter().take(lines).collect();
        assert_eq!(owners(&ipam), expect, "cut at {length}");
        let torn = ipam.recovery().repairs.iter().any(|repair| matches!(repair, Repair::TornTail { .. }));
        assert_eq!(torn, length > 0 && journal[length - 1] != b'\n');
        let address = allocate(&ipam, "next");
        let continued = fs::read_to_string(dir.path().join("ipam.journal")).unwrap();
        let last = continued.lines().last().unwrap();
        assert!(last.contains("\"next\"") && last.contains(&address.to_string()), "{last}");
        ipam.close().unwrap();
    }
}

#[test]
fn an_unfinished_snapshot_is_moved_aside() {
    check(
        |dir| fs::write(dir.join("ipam/snap.00000000FFFFFFF0.generating"), b"half").unwrap(),
        |repair| matches!(repair, Repair::SnapshotsSetAside { kept, .. } if kept.ends_with("ipam.corrupt-1")),
    );
}

#[test]
fn a_damaged_snapshot_is_moved_aside() {
    check(
        |dir| {
            let found = snapshots(dir);
            let newest = found.iter().max().expect("closing writes a snapshot");
            let mut bytes = fs::read(newest).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(newest, bytes).unwrap();
        },
        |repair| matches!(repair, Repair::SnapshotsSetAside { .. }),
    );
}

#[test]
fn a_database_of_garbage_is_replaced_from_the_journal() {
    check(
        |dir| {
            let log = dir.join("ipam/db");
            let length = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
            fs::write(log, vec![0xa5; length]).unwrap();
        },
        |repair| is_database_set_aside(repair) || matches!(repair, Repair::DatabaseRewritten { .. }),
    );
}

#[test]
fn a_database_that_never_opens_is_replaced_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let all = made(dir.path());
    // Opening a FIFO that nobody writes to never returns.
    let conf = dir.path().join("ipam/conf");
    fs::remove_file(&conf).unwrap();
    nix::unistd::mkfifo(&conf, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let mut config = config(dir.path());
    config.open_timeout = Duration::from_secs(1);
    let ipam = Ipam::open(config).unwrap();
    let repairs = &ipam.recovery().repairs;
    assert!(
        matches!(&repairs[0], Repair::DatabaseSetAside { because, .. } if because.contains("more than 1 s")),
        "{repairs:?}"
    );
    verify(&ipam, &all);
    ipam.close().unwrap();
    let ipam = open(dir.path());
    assert_eq!(ipam.recovery().repairs, []);
    verify(&ipam, &all);
}

/// The log of the database cut or overwritten in many places, with snapshots
/// and without: it opens, fails, panics or hangs, and nothing is lost.
#[test]
fn a_log_damaged_anywhere_costs_nothing() {
    let made_once = tempfile::tempdir().unwrap();
    let all = made_large(made_once.path());
    let log = fs::read(made_once.path().join("ipam/db")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(used > 1 << 20, "several segments: {used}");
    let mut set_aside = 0;
    for (number, with_snapshots) in (0..10).flat_map(|number| [(number, true), (number, false)]) {
        let dir = tempfile::tempdir().unwrap();
        copy(made_once.path(), dir.path());
        let place = used * (number + 1) / 11 + number;
        let mut damaged = log.clone();
        if number % 2 == 0 {
            damaged.truncate(place);
        } else {
            let end = damaged.len().min(place + 64);
            damaged[place..end].fill(0x5a);
        }
        fs::write(dir.path().join("ipam/db"), damaged).unwrap();
        if !with_snapshots {
            for path in snapshots(dir.path()) {
                fs::remove_file(path).unwrap();
            }
        }
        let mut config = config(dir.path());
        config.open_timeout = Duration::from_secs(3);
        let ipam = Ipam::open(config).unwrap();
        set_aside += usize::from(ipam.recovery().repairs.iter().any(is_database_set_aside));
        verify(&ipam, &all);
        ipam.close().unwrap();
    }
    assert!(set_aside > 0, "none of it was damage that the library noticed");
}

/// A store of 3000 allocations with labels, made by three imports.
fn made_large(dir: &Path) -> BTreeMap<String, IpAddr> {
    let ipam = open(dir);
    let mut all = BTreeMap::new();
    for chunk in 1..=3_u8 {
        let mut image = Image::default();
        for number in 1..=1000_u16 {
            let [high, low] = number.to_be_bytes();
            let address = IpAddr::from([10, 244, chunk * 16 + high, low]);
            let block = "10.244.0.0/16".parse().unwrap();
            let handle = Some(format!("c{chunk}-{number}"));
            let labels = BTreeMap::from([("note".to_owned(), format!("{number:0400}"))]);
            all.insert(format!("c{chunk}-{number}"), address);
            let allocation = Allocation { address, pool: block, block, handle, labels, allocated_at: 1 };
            image.allocations.insert(address, allocation);
        }
        ipam.import(&ipam::store::export::encode(&image)).unwrap();
    }
    close(ipam, dir);
    all
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_database_that_is_gone_is_made_from_the_journal() {
    check(
        |dir| fs::remove_dir_all(dir.join("ipam")).unwrap(),
        |repair| matches!(repair, Repair::DatabaseRewritten { database: 0, journal: 61 }),
    );
}

#[test]
fn a_journal_that_is_gone_is_continued_from_the_database() {
    check(
        |dir| {
            fs::remove_file(dir.join("ipam.journal")).unwrap();
            fs::remove_file(dir.join("ipam.json")).unwrap();
        },
        |repair| matches!(repair, Repair::DatabaseBelieved { database: 61, journal: 0 }),
    );
}

#[test]
fn a_damaged_line_is_made_good_by_the_database() {
    check(
        |dir| {
            let path = dir.join("ipam.journal");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |repair| matches!(repair, Repair::JournalDamaged { damaged: 1, missing: 1, kept: Some(_) }),
    );
}

#[test]
fn a_damaged_export_is_made_good_by_the_database() {
    check(
        |dir| {
            let path = dir.join("ipam.json");
            let text = fs::read_to_string(&path).unwrap().replace("old-7", "old-8");
            fs::write(path, text).unwrap();
        },
        |repair| matches!(repair, Repair::ExportSetAside { .. }),
    );
}

#[test]
fn a_damaged_export_without_database_is_made_good_by_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    for prefix in ["one", "two", "three"] {
        let ipam = open(dir.path());
        all.extend(fill(&ipam, prefix, 10));
        close(ipam, dir.path());
    }
    fs::remove_dir_all(dir.path().join("ipam")).unwrap();
    fs::write(dir.path().join("ipam.json"), "{").unwrap();
    let ipam = open(dir.path());
    verify(&ipam, &all);
}

#[test]
fn a_stop_at_any_line_of_the_checkpoint_loses_nothing() {
    // The renames of a checkpoint, in order; the test stops after each.
    let renames =
        [("ipam.json", "ipam.json.1"), ("ipam.journal", "ipam.journal.1"), ("ipam.json.new", "ipam.json")];
    for stop in 0..=renames.len() {
        let dir = tempfile::tempdir().unwrap();
        let all = made(dir.path());
        fs::remove_dir_all(dir.path().join("ipam")).unwrap();
        let whole = {
            let copy = tempfile::tempdir().unwrap();
            for file in ["ipam.json", "ipam.journal"] {
                fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
            }
            open(copy.path()).export()
        };
        fs::write(dir.path().join("ipam.json.new"), whole).unwrap();
        for (from, to) in &renames[..stop] {
            fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
        }
        let ipam = open(dir.path());
        assert!(
            !ipam.recovery().repairs.iter().any(|one| matches!(one, Repair::JournalDamaged { .. })),
            "stop {stop}"
        );
        verify(&ipam, &all);
    }
}

#[test]
fn damage_to_both_unites_them() {
    let dir = tempfile::tempdir().unwrap();
    let all = made(dir.path());
    // The database is behind (30), the journal lacks two of the last 40 lines.
    let behind = tempfile::tempdir().unwrap();
    let ipam = open(behind.path());
    fill(&ipam, "old", 20);
    fill(&ipam, "new", 10);
    close(ipam, behind.path());
    fs::remove_dir_all(dir.path().join("ipam")).unwrap();
    fs::rename(behind.path().join("ipam"), dir.path().join("ipam")).unwrap();
    let path = dir.path().join("ipam.journal");
    let text = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> =
        text.lines().filter(|line| !line.contains("\"new-5\"") && !line.contains("\"new-15\"")).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    let ipam = open(dir.path());
    assert!(ipam.recovery().repairs.contains(&Repair::United { added: 1 }), "{:?}", ipam.recovery());
    let found = owners(&ipam);
    let lost: Vec<_> = all.keys().filter(|handle| !found.contains_key(*handle)).collect();
    assert_eq!(lost, ["new-15"], "only what is in neither copy");
}

#[test]
fn a_newer_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join("ipam.json");
    let newer = fs::read_to_string(&path).unwrap().replace("\"version\": 1", "\"version\": 2");
    fs::write(&path, &newer).unwrap();
    let error = Ipam::open(config(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn an_export_moves_everything_to_another_node() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ipam = open(one.path());
    let all = fill(&ipam, "h", 30);
    let text = ipam.export();
    let target = open(other.path());
    assert_eq!(target.import(&text).unwrap().len(), 30);
    verify(&target, &all);
    assert_eq!(target.import(&text).unwrap(), [], "twice is once");
    let damaged = text.replace("10.244.0.7", "10.244.0.99");
    assert!(matches!(target.import(&damaged), Err(Why::Import(_))));
    assert!(target.import("hello").unwrap_err().to_string().contains("routectl ipam export"));
}

#[test]
fn blocks_that_change_at_run_time_keep_what_is_allocated() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.blocks = vec!["10.244.1.0/24".parse().unwrap()];
    config.bridges = vec!["10.244.1.1".parse().unwrap()];
    let ipam = Ipam::open(config).unwrap();
    assert_eq!(allocate(&ipam, "web"), "10.244.1.2".parse::<IpAddr>().unwrap());
    ipam.set_blocks(vec!["10.244.2.0/24".parse().unwrap()], vec!["10.244.2.1".parse().unwrap()]).unwrap();
    assert_eq!(allocate(&ipam, "web"), "10.244.1.2".parse::<IpAddr>().unwrap());
    assert_eq!(allocate(&ipam, "db"), "10.244.2.2".parse::<IpAddr>().unwrap());
    assert!(matches!(ipam.set_blocks(vec!["192.0.2.0/24".parse().unwrap()], vec![]), Err(Why::Layout(_))));
    let findings = ipam.check().unwrap();
    assert!(matches!(&findings[..], [ipam::Finding::Retired { .. }]), "{findings:?}");
}
