//! Which calls change something: the `.proto` files say it beside each call.
//!
//! A call with `option idempotency_level = NO_SIDE_EFFECTS` only reads, and so
//! do health and reflection; any other one changes something, and so does one
//! that this build does not know. Roles and the audit log of the daemon go by this and by
//! nothing else.

use std::collections::HashSet;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

/// What a call does to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It looks.
    Reads,
    /// It may change something.
    Changes,
}

/// The beginning of the paths of our own calls.
const PACKAGE: &str = "/routed.v1.";

/// The beginnings of the paths of calls of others, which only read.
const OTHERS: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection.v1."];

/// What the call with this path, as `/routed.v1.PeerService/AddPeer`, does.
pub fn effect_of(path: &str) -> Effect {
    static READS: LazyLock<HashSet<String>> = LazyLock::new(|| {
        methods().filter(|(_, effect)| *effect == Effect::Reads).map(|(path, _)| path).collect()
    });
    let reads = READS.contains(path) || OTHERS.iter().any(|other| path.starts_with(other));
    if reads { Effect::Reads } else { Effect::Changes }
}

/// Every call of `routed.v1`: its path and what it does.
pub fn methods() -> impl Iterator<Item = (String, Effect)> {
    // What does not decode has no calls that only read.
    let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap_or_default();
    set.file.into_iter().flat_map(|file| file.service).flat_map(|service| {
        let name = service.name().to_owned();
        service.method.into_iter().map(move |method| {
            let level = method.options.as_ref().map(prost_types::MethodOptions::idempotency_level);
            let reads = level == Some(IdempotencyLevel::NoSideEffects);
            let effect = if reads { Effect::Reads } else { Effect::Changes };
            (format!("{PACKAGE}{name}/{}", method.name()), effect)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who adds a call that changes something adds it here; who adds one that
    /// reads says so in the `.proto` file.
    #[test]
    fn every_call_that_changes_something_is_known() {
        let changes: Vec<String> = methods()
            .filter(|(_, effect)| *effect == Effect::Changes)
            .filter_map(|(path, _)| path.strip_prefix(PACKAGE).map(str::to_owned))
            .collect();
        let known = [
            "IpamService/Allocate",
            "IpamService/Import",
            "IpamService/Release",
            "IpamService/Reserve",
            "NodeService/Drain",
            "NodeService/Reload",
            "NodeService/Undrain",
            "PeerService/AddPeer",
            "PeerService/DisablePeer",
            "PeerService/EnablePeer",
            "PeerService/RefreshPeer",
            "PeerService/RemovePeer",
            "PeerService/ResetPeer",
            "PolicyService/Apply",
            "PolicyService/Delete",
            "RouteService/AnnounceRoute",
            "RouteService/WithdrawRoute",
        ];
        let mut sorted = changes.clone();
        sorted.sort();
        assert_eq!(sorted, known);
    }

    /// A call whose name promises to look does no more, and the other way round.
    #[test]
    fn names_say_what_calls_do() {
        let looks =
            ["List", "Get", "Show", "Trace", "Counters", "Check", "Export", "Watch", "Lookup", "Dump"];
        for (path, effect) in methods() {
            let name = path.rsplit('/').next().unwrap_or_default();
            let reads = looks.iter().any(|look| name.starts_with(look));
            assert_eq!(effect == Effect::Reads, reads, "{path}");
        }
    }

    #[test]
    fn what_is_unknown_may_change_something() {
        for (path, effect) in [
            ("/routed.v1.PeerService/GetPeer", Effect::Reads),
            ("/routed.v1.PeerService/AddPeer", Effect::Changes),
            ("/routed.v1.PeerService/GetPeer/", Effect::Changes),
            ("/routed.v1.PeerService/getpeer", Effect::Changes),
            ("/routed.v1.NewService/ListAll", Effect::Changes),
            ("/%72outed.v1.PeerService/AddPeer", Effect::Changes),
            ("//routed.v1.PeerService/AddPeer", Effect::Changes),
            ("", Effect::Changes),
            ("/grpc.health.v1.Health/Check", Effect::Reads),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Effect::Reads),
        ] {
            assert_eq!(effect_of(path), effect, "{path}");
        }
    }
}
