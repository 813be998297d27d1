//! Addresses: the same handle has the same address, and nothing forgets it.

use std::collections::BTreeSet;

use lab::{Container, Lab, Output, Result, cluster::base_config, peer::Routed};
use serde_json::Value;

struct Scene {
    routed: Routed,
    _container: Container,
    _lab: Lab,
}

fn start(name: &str) -> Result<Scene> {
    let lab = Lab::new(name)?;
    let host = lab.host("n1")?;
    let container = host.container("c1")?;
    let routed = Routed::start(&host, &base_config(&host, 64512))?;
    Ok(Scene { routed, _container: container, _lab: lab })
}

impl Scene {
    fn ipam<const N: usize>(&self, words: [&str; N]) -> Result<Output> {
        self.routed.routectl(["ipam"].into_iter().chain(words))
    }

    /// Allocates an IPv4 address for a handle, and gives it as printed.
    fn allocate(&self, handle: &str) -> Result<String> {
        let output = self.ipam(["allocate", "--family", "4", "--handle", handle])?.ok()?;
        Ok(output.stdout.trim().to_owned())
    }

    /// Handles and addresses, as listed.
    fn addresses(&self) -> Result<Vec<(String, String)>> {
        let list = self.routed.routectl_json(["ipam", "addresses"])?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let all = list.as_array().into_iter().flatten();
        let mut all: Vec<_> = all.map(|a| (text(&a["handle"]), text(&a["address"]))).collect();
        all.retain(|(handle, _)| handle.starts_with("test-"));
        all.sort();
        Ok(all)
    }
}

#[test]
fn same_handle_gets_the_same_address_and_others_get_others() -> Result<()> {
    let scene = start("same")?;
    let first = scene.allocate("test-a")?;
    assert!(first.starts_with("10.244.1."), "inside the block of docker0: {first}");
    assert_ne!(first, "10.244.1.1", "that is the bridge");
    assert_eq!(scene.allocate("test-a")?, first);
    let mut seen = BTreeSet::from([first]);
    for n in 0..20 {
        let address = scene.allocate(&format!("test-{n}"))?;
        assert!(seen.insert(address.clone()), "{address} was given twice");
    }
    Ok(())
}

#[test]
fn allocation_survives_kill_9() -> Result<()> {
    let mut scene = start("kill")?;
    let given = [("test-a", scene.allocate("test-a")?), ("test-b", scene.allocate("test-b")?)];
    let given: Vec<_> = given.map(|(h, a)| (h.to_owned(), a)).into();
    assert_eq!(scene.addresses()?, given);
    scene.routed.kill9()?;
    scene.routed.restart()?;
    assert_eq!(scene.addresses()?, given);
    assert_eq!(scene.allocate("test-a")?, given[0].1);
    assert!(!given.iter().any(|(_, a)| Some(a) == scene.allocate("test-c").ok().as_ref()));
    Ok(())
}

#[test]
fn released_address_is_listed_no_more_and_is_free_again() -> Result<()> {
    let scene = start("release")?;
    let address = scene.allocate("test-a")?;
    let taken = scene.ipam(["allocate", &address, "--handle", "test-b"])?;
    assert_eq!(taken.status, 1, "somebody has it: {taken}");
    assert!(taken.stderr.contains(&address), "{taken}");
    scene.ipam(["release", "--handle", "test-a"])?.ok()?;
    assert_eq!(scene.addresses()?, []);
    scene.ipam(["allocate", &address, "--handle", "test-b"])?.ok()?;
    assert_eq!(scene.addresses()?, [("test-b".to_owned(), address)]);
    Ok(())
}

#[test]
fn object_and_block_tell_what_the_contract_promises() -> Result<()> {
    let scene = start("json")?;
    let words = ["ipam", "allocate", "--family", "4", "--handle", "test-a", "--label", "app=web"];
    let object = scene.routed.routectl_json(words)?;
    let object = if object.is_array() { &object[0] } else { &object };
    assert_eq!(object["handle"], "test-a");
    assert_eq!(object["pool"], "10.244.0.0/16");
    assert_eq!(object["block"], "10.244.1.0/24");
    assert_eq!(object["labels"]["app"], "web");
    assert!(!object["allocated_at"].is_null(), "{object}");
    let blocks = scene.routed.routectl_json(["ipam", "blocks"])?;
    let block = blocks.as_array().into_iter().flatten().find(|b| b["prefix"] == "10.244.1.0/24");
    let block = block.unwrap_or_else(|| panic!("the block of docker0 is not in {blocks}"));
    assert_eq!(block["node"], "n1");
    assert!(block["addresses_used"].as_u64() >= Some(1), "{block}");
    Ok(())
}

#[test]
fn exit_codes_tell_refused_from_misused() -> Result<()> {
    let scene = start("codes")?;
    for refused in [
        &["allocate", "198.51.100.7", "--handle", "test-a"][..],
        &["release", "--handle", "test-nobody"],
        &["allocate", "--pool", "198.51.100.0/24", "--handle", "test-b"],
    ] {
        let output = scene.routed.routectl(["ipam"].into_iter().chain(refused.iter().copied()))?;
        assert_eq!(output.status, 1, "{output}");
        assert!(!output.stderr.is_empty(), "it says why: {output}");
    }
    for misused in [&["allocate", "not-an-address"][..], &["frobnicate"]] {
        let output = scene.routed.routectl(["ipam"].into_iter().chain(misused.iter().copied()))?;
        assert_eq!(output.status, 2, "{output}");
    }
    Ok(())
}
