//! A process that is killed at any moment loses nothing that it acknowledged.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{allocate, by_handle, child, config, given_dir, open, owners};
use ipam::Ipam;

const ROUNDS: u32 = 16;
const THREADS: u32 = 4;

/// What the child said: `+ HANDLE ADDRESS`, `-? ADDRESS` before a release,
/// `- ADDRESS` after, `c? BLOCK` before a claim and `c BLOCK` after.
#[derive(Default)]
struct Heard {
    held: BTreeMap<IpAddr, String>,
    in_doubt: Vec<IpAddr>,
    /// What the claim may be: what was acknowledged last, and what came after.
    claims: Vec<String>,
}

impl Heard {
    fn line(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["+", handle, address] => {
                let before = self.held.insert(address.parse().unwrap(), handle.to_owned());
                assert_eq!(before, None, "{address} was given out twice");
            }
            ["-?", address] => {
                let address = address.parse().unwrap();
                self.held.remove(&address).expect("only what is held is released");
                self.in_doubt.push(address);
            }
            ["-", address] => self.in_doubt.retain(|doubt| *doubt != address.parse::<IpAddr>().unwrap()),
            ["c?", block] => self.claims.push(block.to_owned()),
            ["c", block] => self.claims = vec![block.to_owned()],
            _ => return false,
        }
        true
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = Heard { claims: vec![String::new()], ..Heard::default() };
    // A different moment each round, the same ones each run.
    let mut random = 0x2545_f491_u32;
    for round in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let patience = 1 + random % 300;
        let mut process = child("allocate_until_killed", dir.path())
            .env("ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            acknowledged += u32::from(heard.line(&line.unwrap()));
            if acknowledged == patience {
                process.kill().unwrap();
            }
        }
        let status = process.wait().unwrap();
        assert!(acknowledged >= patience, "round {round}: the child ended by itself: {status}");

        let ipam = open(dir.path());
        let found: BTreeMap<IpAddr, String> =
            owners(&ipam).into_iter().map(|(handle, address)| (address, handle)).collect();
        for (address, handle) in &heard.held {
            assert_eq!(
                found.get(address),
                Some(handle),
                "round {round}: {address} was acknowledged; {:?}",
                ipam.recovery()
            );
        }
        for (address, handle) in found {
            assert_eq!(allocate(&ipam, &handle), address);
            // What was stored but not acknowledged any more is stored all the same.
            heard.held.insert(address, handle);
        }
        heard.in_doubt.clear();
        let claim = ipam.claims().first().map(ToString::to_string).unwrap_or_default();
        assert!(heard.claims.contains(&claim), "round {round}: {claim:?}, not {:?}", heard.claims);
        heard.claims = vec![claim];
        assert_eq!(ipam.check().unwrap(), []);
        ipam.close().unwrap();
    }
    assert!(heard.held.len() > ROUNDS as usize * 10);
}

fn work(ipam: &Ipam, round: &str, thread: u32) {
    for number in 0_u32.. {
        let handle = format!("r{round}-t{thread}-{number}");
        let address = ipam.allocate(by_handle(&handle)).unwrap()[0].address;
        println!("+ {handle} {address}");
        if thread == 0 {
            let block = net::Prefix::from(([10, 244, number.to_be_bytes()[3], 0].into(), 24));
            println!("c? {block}");
            ipam.remember_claim(&[block]).unwrap();
            println!("c {block}");
        }
        if number % 3 == 2 {
            println!("-? {address}");
            ipam.release_address(address).unwrap();
            println!("- {address}");
        }
    }
}

#[test]
#[ignore = "a child of the test above"]
fn allocate_until_killed() {
    let mut config = config(&given_dir());
    // So that many rounds are killed while the export is written.
    config.checkpoint_every = 20;
    let ipam = Ipam::open(config).unwrap();
    let round = std::env::var("ROUND").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ipam, round) = (&ipam, &round);
            scope.spawn(move || work(ipam, round, thread));
        }
    });
}

/// A full disk: a file system of 8 MiB in a mount namespace of its own.
#[test]
fn a_full_disk_refuses_and_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let inner = child("live_on_a_full_disk", dir.path());
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            "mount -t tmpfs -o size=8m tmpfs \"$IPAM_TEST_DIR\" && exec \"$@\"",
            "sh",
        ])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("IPAM_TEST_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("lived on a full disk"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Takes every byte of the file system until it is dropped.
fn fill_up(dir: &Path) -> tempfile::NamedTempFile {
    let mut filler = tempfile::NamedTempFile::new_in(dir).unwrap();
    let error = loop {
        if let Err(error) = std::io::Write::write(&mut filler, &[0; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    filler
}

#[test]
#[ignore = "a child of the test above"]
fn live_on_a_full_disk() {
    let dir = given_dir();
    let state = dir.join("state");
    let ipam = open(&state);
    let mut expect = common::fill(&ipam, "before", 50);
    let filler = fill_up(&dir);

    // What fits into the last page of the journal is taken, then it is refused.
    let refusal = (0..2000).find_map(|number| {
        let handle = format!("full-{number}");
        match ipam.allocate(by_handle(&handle)) {
            Ok(answer) => {
                expect.insert(handle, answer[0].address);
                None
            }
            Err(why) => Some(why),
        }
    });
    let why = refusal.expect("a full disk refuses");
    assert!(matches!(&why, ipam::Why::Store { .. }), "{why}");
    assert!(why.to_string().contains("ipam.journal: No space left"), "{why}");
    assert_eq!(owners(&ipam), expect, "memory is as before");
    assert_eq!(allocate(&ipam, "before-7"), expect["before-7"], "what is allocated is still answered");
    let released = ipam.release_handle("before-9");
    assert!(matches!(released, Err(ipam::Why::Store { .. })));
    assert_eq!(owners(&ipam), expect);

    // Longer than what was refused: it would be found if memory had kept it.
    let long = "x".repeat(200);
    assert!(ipam.allocate(by_handle(&long)).is_err());
    assert!(ipam.allocate(by_handle(&long)).is_err());

    // There is space again: the journal goes on as if nothing had been.
    drop(filler);
    expect.insert("after".to_owned(), allocate(&ipam, "after"));
    let findings = ipam.check().unwrap();
    assert!(!findings.iter().any(|one| matches!(one, ipam::Finding::Differs { .. })), "{findings:?}");

    // A stop on the full disk, without a chance to write the export.
    let filler = fill_up(&dir);
    assert!(ipam.close().is_err());

    // A start on the full disk: what there is can be read, no more is given.
    let ipam = open(&state);
    assert_eq!(owners(&ipam), expect);
    assert_eq!(allocate(&ipam, "before-7"), expect["before-7"], "what is allocated is still answered");
    let why = ipam.allocate(by_handle("late")).unwrap_err();
    assert!(why.to_string().contains("No space left"), "{why}");
    assert_eq!(ipam.fault(), Some(why));
    assert_eq!(ipam.check().unwrap().len(), 1, "the store is not open");
    drop(filler);
    expect.insert("late".to_owned(), allocate(&ipam, "late"));
    assert_eq!(ipam.fault(), None);
    common::verify(&ipam, &expect);
    ipam.close().unwrap();
    let ipam = open(&state);
    common::verify(&ipam, &expect);
    ipam.close().unwrap();
    common::verify(&open(&state), &expect);
    println!("lived on a full disk");
}

/// A database that takes no more writes: files of this process may not grow
/// beyond 1 MiB, which the database's reach first.
#[test]
fn a_database_that_fails_leaves_the_journal_to_carry_on() {
    let dir = tempfile::tempdir().unwrap();
    let inner = child("live_without_database", dir.path());
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("IPAM_TEST_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("lived without a database"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ipam = open(dir.path());
    let expect: BTreeMap<_, _> = said
        .lines()
        .filter_map(|line| line.strip_prefix("+ ")?.split_once(' '))
        .map(|(handle, address)| (handle.to_owned(), address.parse().unwrap()))
        .collect();
    assert!(expect.len() > 20, "{said}");
    common::verify(&ipam, &expect);
}

#[test]
#[ignore = "a child of the test above"]
fn live_without_database() {
    let mut config = config(&given_dir());
    config.checkpoint_every = 1_000_000;
    let ipam = Ipam::open(config).unwrap();
    let labels = BTreeMap::from([("note".to_owned(), "x".repeat(4000))]);
    let mut after = 0;
    for number in 0..200 {
        let handle = format!("h{number}");
        let request = ipam::AllocateRequest { labels: labels.clone(), ..by_handle(&handle) };
        println!("+ {handle} {}", ipam.allocate(request).unwrap()[0].address);
        let findings = ipam.check().unwrap();
        if findings.iter().any(|one| matches!(one, ipam::Finding::DatabaseDown { .. })) {
            after += 1;
        }
        if after == 20 {
            break;
        }
    }
    assert_eq!(after, 20, "the database never failed");
    println!("lived without a database");
}
