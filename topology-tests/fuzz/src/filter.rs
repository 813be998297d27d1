//! Filters and patterns of AS paths. The first line is a pattern, the second
//! an AS path, the rest tables `[[filter]]`: what is read is printed as it
//! was, a pattern for one AS meets just the paths that have it, and no rule
//! stumbles over a route.

use std::net::Ipv4Addr;

use net::{
    AsPath, Asn, Attrs, Community, ExtCommunity, LargeCommunity, NextHop, Prefix, Segment, SegmentKind,
};
use rib::Protocol;
use rib::filter::{AsPathPattern, Filter, Route, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
struct Filters {
    #[serde(default)]
    filter: Vec<Filter>,
}

/// A path out of words: `65001`, `{65001`, `(65001`, `[65001`.
fn path(text: &str) -> AsPath {
    let mut segments: Vec<Segment> = Vec::new();
    for word in text.split([' ', ',']) {
        let kind = match word.chars().next() {
            Some('{') => Some(SegmentKind::Set),
            Some('(') => Some(SegmentKind::ConfedSequence),
            Some('[') => Some(SegmentKind::ConfedSet),
            _ => None,
        };
        let Ok(asn) = word.trim_matches(|c: char| !c.is_ascii_digit()).parse().map(Asn) else { continue };
        match (kind, segments.last_mut()) {
            (None, Some(last)) => last.asns.push(asn),
            (kind, _) => {
                segments.push(Segment { kind: kind.unwrap_or(SegmentKind::Sequence), asns: vec![asn] });
            }
        }
    }
    AsPath { segments }
}

/// A pattern and the path.
fn pattern(text: &str, path: &AsPath) {
    let printed = path.to_string();
    if let Ok(pattern) = text.parse::<AsPathPattern>() {
        assert_eq!(pattern.to_string(), text);
        assert_eq!(text.parse(), Ok(pattern.clone()));
        let _ = pattern.meets(&printed);
    }
    let other = Asn(u32::try_from(text.len()).unwrap_or(0));
    for asn in path.asns().chain([other, Asn(65_001)]) {
        let through = AsPathPattern::through(asn).expect("a pattern of one number");
        assert_eq!(through.meets(&printed), path.asns().any(|one| one == asn), "{asn} in {printed:?}");
    }
}

/// Reads and asks.
///
/// # Panics
/// When a property does not hold.
pub fn run(text: &str) {
    let mut lines = text.splitn(3, '\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let path = path(second);
    pattern(first, &path);
    let Ok(Filters { filter: filters }) = toml::from_str(lines.next().unwrap_or_default()) else { return };
    let attrs = Attrs {
        as_path: path,
        next_hop: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
        med: Some(10),
        communities: vec![Community::NO_EXPORT, Community(0xfde9_0001)],
        large_communities: vec![LargeCommunity([65_001, 1, 2])],
        ext_communities: vec![ExtCommunity(0x0002_fde9_0000_0001)],
        ..Attrs::default()
    };
    let prefixes = ["0.0.0.0/0", "10.244.1.0/24", "192.0.2.1/32", "::/0", "fd00:1::/48"];
    for prefix in prefixes.iter().filter_map(|text| text.parse::<Prefix>().ok()) {
        for protocol in Protocol::ALL {
            let route = Route { prefix, attrs: &attrs, protocol, peer: None };
            for filter in &filters {
                let verdict = filter.eval(&route);
                assert_eq!(verdict, filter.eval(&route));
                let Verdict::Accept(rule) = verdict else { continue };
                let mut edited = attrs.clone();
                rule.edit(&mut edited, Asn(64_512));
                assert!(rule.edits() || edited == attrs, "{rule:?}");
            }
        }
    }
}
