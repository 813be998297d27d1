//! Static routes: each gateway is a path of its own, with its weight, so that
//! one that cannot be reached leaves the traffic to the others.

use std::net::IpAddr;

use kernel::Links;
use net::Prefix;
use rib::{Origination, Protocol, Via, Why};

use crate::config::originate::{Dropped, Gateways};
use crate::config::{Config, Gateway, StaticTo};

/// The paths of the static routes: a function of configuration and links.
pub(super) fn originations(
    config: &Config,
    links: &Links,
) -> impl Iterator<Item = ((Prefix, Protocol, u32), Origination)> {
    config.statics.iter().flat_map(|route| {
        let paths: Vec<Origination> = match &route.to {
            StaticTo::Via(Gateways(gateways)) => {
                gateways.iter().map(|gateway| through(gateway, links)).collect()
            }
            StaticTo::Type(Dropped::Blackhole) => vec![path(Via::Discard)],
            StaticTo::Type(Dropped::Unreachable) => vec![path(Via::Unreachable)],
            StaticTo::Type(Dropped::Prohibit) => vec![path(Via::Prohibit)],
        };
        (0..).zip(paths).map(|(path_id, path)| {
            ((route.prefix, Protocol::Static, path_id), Origination { path_id, ..path })
        })
    })
}

fn path(via: Via) -> Origination {
    Origination::new(Protocol::Static, via)
}

/// The path to a gateway. Where its interface is named, the gateway must be
/// there; the kernel would refuse it otherwise.
fn through(gateway: &Gateway, links: &Links) -> Origination {
    let Gateway { address, weight, ref interface, onlink } = *gateway;
    let (via, refused) = match interface {
        None => (Via::Gateway(address), None),
        Some(name) => match on_link(name, address, onlink, links) {
            Ok(via) => (via, None),
            Err(why) => (Via::Gateway(address), Some(why)),
        },
    };
    Origination { weight, refused, ..path(via) }
}

fn on_link(name: &str, gateway: IpAddr, onlink: bool, links: &Links) -> Result<Via, Why> {
    let link = links.by_name(name).filter(|link| link.up && link.running);
    let link = link.ok_or_else(|| Why::LinkDown(name.into()))?;
    let ifindex = link.index;
    if onlink {
        return Ok(Via::Forced { gateway, ifindex });
    }
    let link_local = matches!(gateway, IpAddr::V6(address) if address.is_unicast_link_local());
    if link_local || links.subnets_of(name).iter().any(|subnet| subnet.contains(gateway)) {
        return Ok(Via::OnLink { gateway: Some(gateway), ifindex });
    }
    Err(Why::NotOnLink { gateway, interface: name.into() })
}

#[cfg(test)]
mod tests {
    use kernel::KernelEvent;
    use kernel::links::{Link, LinkKind};

    use super::*;

    fn links(up: bool) -> Links {
        let name = "eth0".to_owned();
        let link = Link { index: 2, name, up, running: up, mtu: 1500, kind: LinkKind::Other };
        let address = "192.0.2.1".parse().unwrap();
        let mut links = Links::default();
        links.apply(&KernelEvent::Link(link));
        links.apply(&KernelEvent::Address { index: 2, address, prefix_len: 24 });
        links
    }

    /// What becomes of gateways: where each leads with its weight, or why it does not.
    fn paths(via: &str, up: bool) -> Vec<Result<(Via, u16), String>> {
        let source = format!("[[static]]\nprefix = \"10.9.0.0/16\"\nvia = {via}\n");
        let (config, _) = crate::config::parse("test.toml", &source).unwrap();
        let links = links(up);
        let of = |(key, path): ((Prefix, Protocol, u32), Origination)| {
            assert_eq!((key.1, key.2), (Protocol::Static, path.path_id));
            path.refused.map_or(Ok((path.via, path.weight)), |why| Err(why.to_string()))
        };
        originations(&config, &links).map(of).collect()
    }

    #[test]
    fn each_gateway_is_a_path_with_its_weight() {
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        let several = "[\"192.0.2.7\", { gateway = \"192.0.2.8\", weight = 3, interface = \"eth0\" }]";
        let on_link = Via::OnLink { gateway: Some(two), ifindex: 2 };
        assert_eq!(paths(several, true), [Ok((Via::Gateway(one), 1)), Ok((on_link, 3))]);
        let down = Err("interface eth0 is down or absent".to_owned());
        assert_eq!(paths(several, false), [Ok((Via::Gateway(one), 1)), down]);
    }

    #[test]
    fn only_onlink_leads_to_what_no_subnet_holds() {
        let gateway: IpAddr = "203.0.113.1".parse().unwrap();
        let on = |onlink: bool| {
            let table = format!("{{ gateway = \"{gateway}\", interface = \"eth0\", onlink = {onlink} }}");
            paths(&table, true).remove(0)
        };
        assert_eq!(on(true), Ok((Via::Forced { gateway, ifindex: 2 }, 1)));
        assert!(on(false).unwrap_err().contains("no subnet of eth0 holds 203.0.113.1"));
        let link_local = paths("{ gateway = \"fe80::1\", interface = \"eth0\" }", true).remove(0);
        assert!(matches!(link_local, Ok((Via::OnLink { ifindex: 2, .. }, 1))));
    }
}
