//! Arguments that are more than text: prefixes, labels, flows, policy names.

use std::net::{IpAddr, Ipv6Addr};

use api::v1::{Family, PolicyRef, Protocol};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A prefix in its one spelling. A bare address is its host prefix; host bits
/// that are set are refused, with the prefix that was probably meant.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| format!("{address} is not an IP address"))?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = match length {
        None => bits,
        Some(text) => text
            .parse()
            .ok()
            .filter(|length| *length <= bits)
            .ok_or_else(|| format!("{text} is not a length from 0 to {bits}"))?,
    };
    let masked = mask(address, length);
    if masked == address {
        Ok(format!("{masked}/{length}"))
    } else {
        Err(format!("host bits are set; did you mean {masked}/{length}?"))
    }
}

fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & keep).into())
        }
        IpAddr::V6(address) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & keep).into())
        }
    }
}

/// `KEY=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// The protocols by their words.
pub(crate) fn protocol() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(["connected", "local", "static", "bgp", "rip", "ripng"])
        .try_map(|word| word.parse())
}

/// A peer: an address, a link-local one with its interface, or the interface.
pub(crate) fn peer(text: &str) -> Result<String, String> {
    let name = match text.split_once('%') {
        Some((address, zone)) if address.parse::<Ipv6Addr>().is_ok() => zone,
        Some(_) => return Err(format!("{text} is not an IP address with an interface")),
        None if text.parse::<IpAddr>().is_ok() => return Ok(text.to_owned()),
        None => text,
    };
    let fits =
        (1..=15).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic() && !"/%:".contains(c));
    if fits { Ok(text.to_owned()) } else { Err(format!("{text} is neither an IP address nor an interface")) }
}

/// `4` or `6`.
pub(crate) fn family() -> impl TypedValueParser<Value = Family> {
    PossibleValuesParser::new(["4", "6"]).map(|word| match word.as_str() {
        "4" => Family::Ipv4,
        _ => Family::Ipv6,
    })
}

/// What a flow carries: `tcp:80`, `udp:53`, `icmp`, or a protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// IP protocol number.
    pub(crate) ip_protocol: u8,
    /// Destination port.
    pub(crate) port: Option<u16>,
}

const IP_PROTOCOLS: [(&str, u8); 5] = [("icmp", 1), ("tcp", 6), ("udp", 17), ("icmpv6", 58), ("sctp", 132)];

/// `PROTOCOL[:PORT]`.
pub(crate) fn service(text: &str) -> Result<Service, String> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().map_err(|_| format!("{port} is not a port"))?)),
        None => (text, None),
    };
    let known = IP_PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let ip_protocol = match known {
        Some((_, number)) => *number,
        None => name.parse().map_err(|_| {
            format!("{name} is none of tcp, udp, sctp, icmp, icmpv6 and no protocol number from 0 to 255")
        })?,
    };
    match (ip_protocol, port) {
        (6 | 17 | 132, None) => Err(format!("{name} needs a port, as in {name}:80")),
        (6 | 17 | 132, Some(_)) | (_, None) => Ok(Service { ip_protocol, port }),
        (_, Some(_)) => Err(format!("{name} has no ports")),
    }
}

/// `KIND/NAME` or `KIND/NAMESPACE/NAME`; kinds in any case, or `gnp` and `np`.
pub(crate) fn policy(text: &str) -> Result<PolicyRef, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (kind, namespace, name) = match parts[..] {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some(namespace), name),
        _ => return Err("expected KIND/NAME, as in GlobalNetworkPolicy/web-only".into()),
    };
    if name.is_empty() || namespace.is_some_and(str::is_empty) {
        return Err("the name is empty".into());
    }
    let (kind, namespace) = match (kind.to_ascii_lowercase().as_str(), namespace) {
        ("globalnetworkpolicy" | "gnp", None) => ("GlobalNetworkPolicy", None),
        ("globalnetworkpolicy" | "gnp", Some(_)) => {
            return Err("a GlobalNetworkPolicy has no namespace".into());
        }
        // As with calicoctl, a NetworkPolicy without a namespace is in "default".
        ("networkpolicy" | "np", namespace) => ("NetworkPolicy", Some(namespace.unwrap_or("default").into())),
        _ => return Err(format!("{kind} is neither GlobalNetworkPolicy (gnp) nor NetworkPolicy (np)")),
    };
    Ok(PolicyRef { kind: kind.into(), namespace, name: name.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_spelling() {
        assert_eq!(prefix("10.244.1.0/24"), Ok("10.244.1.0/24".into()));
        assert_eq!(prefix("10.244.1.9"), Ok("10.244.1.9/32".into()));
        assert_eq!(prefix("0.0.0.0/0"), Ok("0.0.0.0/0".into()));
        assert_eq!(prefix("2001:DB8::/32"), Ok("2001:db8::/32".into()));
        assert_eq!(prefix("::/0"), Ok("::/0".into()));
    }

    #[test]
    fn a_wrong_prefix_is_told_what_is_wrong() {
        assert_eq!(prefix("10.0.0.1/8"), Err("host bits are set; did you mean 10.0.0.0/8?".into()));
        assert_eq!(prefix("10.0.0.0/33"), Err("33 is not a length from 0 to 32".into()));
        assert_eq!(prefix("n1/8"), Err("n1 is not an IP address".into()));
    }

    #[test]
    fn a_service_has_a_port_where_its_protocol_has_ports() {
        assert_eq!(service("tcp:80"), Ok(Service { ip_protocol: 6, port: Some(80) }));
        assert_eq!(service("ICMP"), Ok(Service { ip_protocol: 1, port: None }));
        assert_eq!(service("89"), Ok(Service { ip_protocol: 89, port: None }));
        assert!(service("udp").is_err());
        assert!(service("icmp:8").is_err());
        assert!(service("tcp:70000").is_err());
        assert!(service("ospf").is_err());
    }

    #[test]
    fn a_policy_is_named_by_kind_namespace_and_name() {
        let global = policy("gnp/web-only").expect("a name");
        assert_eq!(
            (&*global.kind, global.namespace, &*global.name),
            ("GlobalNetworkPolicy", None, "web-only")
        );
        let local = policy("networkpolicy/web").expect("a name");
        assert_eq!(local.namespace.as_deref(), Some("default"));
        assert_eq!(policy("np/shop/web").expect("a name").namespace.as_deref(), Some("shop"));
        for wrong in ["web", "gnp/", "gnp/a/b", "np//web", "pod/web", "np/a/b/c"] {
            assert!(policy(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_label_has_a_key() {
        assert_eq!(label("app=web"), Ok(("app".into(), "web".into())));
        assert_eq!(label("app="), Ok(("app".into(), String::new())));
        assert!(label("=web").is_err() && label("app").is_err());
    }
}
