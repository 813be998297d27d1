//! Peers that are told at intervals (RFC 4271 §9.2.1.1), counted by BIRD.

use std::time::Duration;

use lab::{
    Error, Result,
    pair::{ASN, Pair},
    peer::Bird,
};

const LIMIT: Duration = Duration::from_secs(30);
const PREFIX: &str = "10.244.1.128/25";
/// How often the prefix is told anew.
const CHANGES: u32 = 12;

/// BIRD's counter of imported updates (`received`), or of withdrawals.
fn counted(bird: &Bird, what: &str) -> Result<u32, String> {
    let text = bird.birdc("show protocols all peer").map_err(|e| e.to_string())?;
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(what));
    let first = lines.next().and_then(|rest| rest.split_whitespace().next());
    first.and_then(|number| number.parse().ok()).ok_or(text)
}

/// How many updates and withdrawals BIRD hears of a prefix that changes often
/// and goes at last.
fn flap(name: &str, key: &str) -> Result<(u32, u32)> {
    let pair = Pair::start(name, ASN, key)?;
    let config = format!(
        "protocol device {{}}\nprotocol bgp peer {{ local {0} as {ASN}; neighbor {1} as {ASN}; connect retry time 1;\n \
         ipv4 {{ import all; export none; }}; }}\n",
        pair.theirs.ipv4(),
        pair.ours.ipv4(),
    );
    let bird = Bird::start(&pair.theirs, &config)?;
    let announce = |community: u32| {
        let community = format!("{ASN}:{community}");
        pair.routed.routectl(["routes", "announce", PREFIX, "--community", &community])?.ok()
    };
    let hears = |what: &str, wanted: &str| {
        pair.lab.wait_until(what, LIMIT, || {
            let text = bird.birdc(&format!("show route all {PREFIX}")).map_err(|e| e.to_string())?;
            if text.contains(wanted) { Ok(()) } else { Err(text) }
        })
    };
    let subnet = pair.ours.subnet4();
    pair.lab.wait_until("BIRD has what was there before", LIMIT, || {
        let text = bird.birdc("show route").map_err(|e| e.to_string())?;
        if text.contains(&subnet) { Ok(()) } else { Err(text) }
    })?;
    let count = |what| counted(&bird, what).map_err(Error::Claim);
    let before = (count("Import updates:")?, count("Import withdraws:")?);
    for n in 1..=CHANGES {
        announce(n)?;
        if n == 1 {
            hears("the first is told at once", &format!("({ASN},1)"))?;
        }
    }
    hears("the last is told", &format!("({ASN},{CHANGES})"))?;
    pair.routed.routectl(["routes", "withdraw", PREFIX])?.ok()?;
    pair.lab.wait_until("the withdrawal is told", Duration::from_secs(2), || {
        let withdrawn = counted(&bird, "Import withdraws:")? - before.1;
        if withdrawn > 0 { Ok(()) } else { Err("it is not".to_owned()) }
    })?;
    Ok((count("Import updates:")? - before.0, count("Import withdraws:")? - before.1))
}

#[test]
fn what_changes_within_the_interval_is_one_update_and_a_withdrawal_is_told_at_once() -> Result<()> {
    let (updates, withdrawals) = flap("interval", "advertisement_interval = 8\n")?;
    assert!((2..=4).contains(&updates), "{updates} updates of {CHANGES} changes");
    assert_eq!(withdrawals, 1);
    Ok(())
}

#[test]
fn without_an_interval_what_changes_is_told_as_it_changes() -> Result<()> {
    let (updates, withdrawals) = flap("nointerval", "")?;
    assert_eq!((updates, withdrawals), (CHANGES, 1));
    Ok(())
}
