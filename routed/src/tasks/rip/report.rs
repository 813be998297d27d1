//! What the RIP task tells of itself; and the settings of an interface in the
//! machine's words.

use std::time::Instant;

use net::Family;
use rip::auth::{Auth, Key, Lifetime, Mode};
use rip::status::{InterfaceStatus, NeighborStatus};
use rip::{Settings, SplitHorizon};

use super::Task;
use crate::config::rip::{AuthMode, Rip, RipAuth, RipSettings, SplitHorizon as Wanted};

/// RIP as it was at one moment.
#[derive(Debug)]
pub(crate) struct RipReport {
    /// When.
    pub(crate) now: Instant,
    /// Its interfaces, by version.
    pub(crate) interfaces: Vec<RipInterface>,
    /// Its neighbours, by version.
    pub(crate) neighbors: Vec<RipNeighbor>,
    /// Configured interfaces on which it does not run, and why.
    pub(crate) absent: Vec<(String, String)>,
}

/// An interface of one version.
#[derive(Debug)]
pub(crate) struct RipInterface {
    /// IPv4 for RIPv2, IPv6 for `RIPng`.
    pub(crate) family: Family,
    /// What the machine says.
    pub(crate) status: InterfaceStatus,
    /// What is set.
    pub(crate) settings: RipSettings,
    /// Its addresses of the family.
    pub(crate) addresses: Vec<String>,
}

/// A neighbour of one version.
#[derive(Debug)]
pub(crate) struct RipNeighbor {
    /// IPv4 for RIPv2, IPv6 for `RIPng`.
    pub(crate) family: Family,
    /// The name of its interface.
    pub(crate) interface: String,
    /// What the machine says.
    pub(crate) status: NeighborStatus,
    /// Since when it has been there.
    pub(crate) since: Option<Instant>,
    /// It is spoken to by unicast because the configuration names it.
    pub(crate) configured: bool,
}

impl Task {
    pub(super) fn report(&self, now: Instant) -> RipReport {
        let (mut interfaces, mut neighbors) = (Vec::new(), Vec::new());
        for version in &self.versions {
            let family = version.machine.family();
            for status in version.machine.interfaces(now) {
                let running = version.running.get(&status.index);
                let addresses = running.map_or(&[][..], |interface| &interface.addresses);
                interfaces.push(RipInterface {
                    family,
                    settings: self.rip.settings_of(&status.name).clone(),
                    addresses: addresses
                        .iter()
                        .map(|(address, network)| format!("{address}/{}", network.len()))
                        .collect(),
                    status,
                });
            }
            for status in version.machine.neighbors() {
                let interface = version.name(status.interface).to_owned();
                let configured = self.rip.settings_of(&interface).neighbors.contains(&status.address);
                let since = version.since.get(&(status.interface, status.address)).copied();
                neighbors.push(RipNeighbor { family, interface, status, since, configured });
            }
        }
        let runs = |name: &&String| interfaces.iter().any(|interface| interface.status.name == **name);
        let absent = self.rip.interfaces.iter().filter(|name| !runs(name));
        let why = "there is no such interface that is up and has an address".to_owned();
        let absent = absent.map(|name| (name.clone(), why.clone())).collect();
        RipReport { now, interfaces, neighbors, absent }
    }
}

/// The settings of an interface in the machine's words.
pub(super) fn machine_settings(wanted: &RipSettings, name: &str, rip: &Rip, family: Family) -> Settings {
    Settings {
        update: wanted.update,
        timeout: wanted.timeout,
        garbage: wanted.garbage,
        split_horizon: match wanted.split_horizon {
            Wanted::Poison => SplitHorizon::Poison,
            Wanted::Simple => SplitHorizon::Simple,
            Wanted::Off => SplitHorizon::Off,
        },
        passive: wanted.passive.holds_for(name),
        neighbors: wanted.neighbors.clone(),
        offset_in: wanted.offset_in,
        offset_out: wanted.offset_out,
        max_routes_per_neighbor: Some(rip.max_routes_per_neighbor as usize),
        // RIPng leaves authentication to IPsec (RFC 2080 §3).
        auth: wanted.auth.as_ref().filter(|_| family == Family::Ipv4Unicast).map(auth),
        ..Settings::default()
    }
}

fn auth(wanted: &RipAuth) -> Auth {
    let keys = wanted.keys.iter().map(|key| Key {
        id: key.id,
        secret: key.secret.as_ref().map(|secret| secret.expose().to_vec()).unwrap_or_default(),
        send: Lifetime { from: key.send_from, until: key.send_until },
        accept: Lifetime { from: key.accept_from, until: key.accept_until },
    });
    Auth {
        mode: match wanted.mode {
            AuthMode::Text => Mode::Text,
            AuthMode::KeyedMd5 => Mode::KeyedMd5,
            AuthMode::HmacSha1 => Mode::HmacSha1,
            AuthMode::HmacSha256 => Mode::HmacSha256,
            AuthMode::HmacSha384 => Mode::HmacSha384,
            AuthMode::HmacSha512 => Mode::HmacSha512,
        },
        keys: keys.collect(),
    }
}
