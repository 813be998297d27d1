//! The sysctls that a router needs.

use kernel::sysctl::{Changes, Sysctl};
use net::Family;
use tracing::{info, warn};

use crate::config::Config;
use crate::state::StateDir;
use crate::{Fatal, SYSCTLS};

/// Bridged frames pass the forward hook only with these, so that policy also
/// holds between two containers of one bridge (Docker sets them too).
const BRIDGE_FILTERS: [&str; 2] =
    ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"];

/// A router forwards, and policy sees bridged frames. What was set before is
/// kept for `--cleanup`. IPv6 forwarding ends router advertisements on the
/// host, so it is switched on only where there is an IPv6 pool.
pub(super) fn switch_on(config: &Config, state: &StateDir) -> Result<(), Fatal> {
    let mut changes: Changes = state.load(SYSCTLS)?.unwrap_or_default();
    let wants = |family| config.cluster.pools.iter().any(|pool| pool.family() == family);
    let mut set = |setting: &Sysctl| {
        if changes.set(setting, "1")? {
            info!(%setting, "switched on");
            if let Err(error) = state.save(SYSCTLS, &changes) {
                warn!(%error, "what it was before is not remembered; --cleanup will leave it on");
            }
        }
        Ok::<(), Fatal>(())
    };
    if wants(Family::Ipv4Unicast) {
        set(&Sysctl::ipv4_forwarding())?;
    }
    if wants(Family::Ipv6Unicast) {
        set(&Sysctl::ipv6_forwarding())?;
    }
    for name in BRIDGE_FILTERS.iter().filter(|_| config.policy.enabled) {
        if let Err(error) = set(&Sysctl::new(name)?) {
            warn!(%error, "policy does not hold between containers of one bridge; load the module br_netfilter");
        }
    }
    Ok(())
}
