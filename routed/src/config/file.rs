//! From the text of a configuration file to a [`Config`].

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kernel::NexthopObjects;
use net::Prefix;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Findings;
use super::reader::{FromToml, Located, Section};
use super::runtime::Runtime;
use super::{
    Advertise, Cluster, Config, DefaultAction, Diagnostic, Ipam, Kernel, Node, Policy, Severity, While, bfd,
    bgp, bmp, defaults, filter, originate, rip,
};

/// Reads a configuration. `file` is the name that the findings bear.
///
/// Returns the configuration with its warnings, or, when one finding or more
/// is an error, all findings in the order of the file.
pub fn parse(file: &str, source: &str) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    parse_with(file, source, &Runtime::default())
}

/// The same with what operators have changed of the peers since. A peer of
/// theirs that the file leaves no room for is left out with a warning.
pub fn parse_with(
    file: &str,
    source: &str,
    runtime: &Runtime,
) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let added = runtime.texts();
    let mut findings = Findings::new(file, source);
    let (table, errors) = DeTable::parse_recoverable(source);
    for error in errors {
        findings.error(&error.span().unwrap_or(0..0), error.message());
    }
    let span = table.span();
    let mut top = Section::new("", span.start..span.start, table.into_inner());
    let config = read(&mut top, bgp::Since { added: &added, disabled: &runtime.disabled }, &mut findings);
    top.finish(&mut findings);
    let list = findings.into_list();
    if list.iter().any(|finding| finding.severity == Severity::Error) {
        Err(list)
    } else {
        Ok((config, list))
    }
}

fn read<'i>(top: &mut Section<'i>, since: bgp::Since<'i>, findings: &mut Findings<'_>) -> Config {
    let node = node(top.section("node", findings), findings);
    let cluster = cluster(top.section("cluster", findings), findings);
    let api = super::api::read(top.section("api", findings), findings);
    let filters = filter::read(top, findings);
    top.not_yet(&["docker"], findings);
    let bfd = bfd::read(top, findings);
    let (mut advertise, bgp) = (advertise(top, findings), bgp::read(top, (&filters, &bfd), since, findings));
    // A `[rip]` that says more, a key for one, takes nothing from zero configuration.
    let zero = bgp.is_none() && advertise.is_empty();
    let ipam = ipam(top.section("ipam", findings), &cluster, zero, findings);
    if zero && ipam.blocks.is_empty() {
        advertise.push(Advertise::Interface("docker0".to_owned()));
    }
    let rip = rip::read(top, &filters, &bfd, findings);
    Config {
        bmp: bmp::read(top, bgp.is_some(), findings),
        advertise,
        statics: originate::statics(top, findings),
        aggregates: originate::aggregates(top, findings),
        rip: rip.or_else(|| bgp.is_none().then(rip::Rip::default)),
        bgp,
        bfd,
        ipam,
        policy: policy(top.section("policy", findings), findings),
        kernel: kernel(top.section("kernel", findings), findings),
        node,
        cluster,
        api,
        filters,
    }
}

fn node(section: Option<Section<'_>>, findings: &mut Findings<'_>) -> Node {
    let mut node = Node {
        name: host_name(),
        router_id: None,
        state_dir: PathBuf::from(defaults::STATE_DIR),
        table: defaults::TABLE,
        labels: BTreeMap::new(),
    };
    let Some(mut section) = section else { return node };
    if let Some(name) = section.located::<String>("name", findings) {
        if name.value.is_empty() {
            findings.error(&name.span, "node.name: a name must not be empty");
        }
        node.name = name.value;
    }
    node.router_id = section.get("router_id", findings);
    if let Some(dir) = section.get("state_dir", findings) {
        node.state_dir = dir;
    }
    if let Some(table) = section.located::<u32>("table", findings) {
        if matches!(table.value, 0 | 255) {
            findings.error(
                &table.span,
                "node.table: tables 0 and 255 belong to the kernel; 254 is the main table",
            );
        }
        node.table = table.value;
    }
    if let Some(labels) = section.section("labels", findings) {
        node.labels = read_labels(labels, findings);
    }
    section.finish(findings);
    node
}

fn read_labels(section: Section<'_>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in section.into_entries() {
        match String::from_toml(value.get_ref()) {
            Ok(text) => drop(labels.insert(key, text)),
            Err(expected) => findings.error(&value.span(), format!("node.labels.{key}: {expected}")),
        }
    }
    labels
}

/// The host's name, or `localhost` where the system has none.
fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

fn cluster(section: Option<Section<'_>>, findings: &mut Findings<'_>) -> Cluster {
    let mut cluster = Cluster {
        pools: defaults::pools(),
        node_block: defaults::NODE_BLOCK,
        nat_outgoing: true,
        nat_exempt: Vec::new(),
    };
    let Some(mut section) = section else { return cluster };
    if let Some(pools) = section.list::<Prefix>("pools", findings) {
        report_overlaps("cluster.pools", &pools, findings);
        for pool in &pools {
            report_no_range("cluster.pools", pool, findings);
        }
        cluster.pools = values(pools);
    }
    if let Some(length) = section.located::<u8>("node_block", findings) {
        if !(8..=30).contains(&length.value) {
            findings.error(
                &length.span,
                "cluster.node_block: a length from 8 to 30 is expected, 24 holds 253 containers",
            );
        }
        cluster.node_block = length.value;
    }
    cluster.nat_outgoing = section.get("nat_outgoing", findings).unwrap_or(cluster.nat_outgoing);
    cluster.nat_exempt = section.list("nat_exempt", findings).map(values).unwrap_or_default();
    section.finish(findings);
    cluster
}

/// Prefixes of one list that cover each other are a mistake of the list.
fn report_overlaps(key: &str, prefixes: &[Located<Prefix>], findings: &mut Findings<'_>) {
    for (index, later) in prefixes.iter().enumerate() {
        if let Some(earlier) = prefixes[..index].iter().find(|earlier| earlier.value.overlaps(later.value)) {
            let message =
                format!("{key}: {} overlaps {} of the same list; keep one", later.value, earlier.value);
            findings.error(&later.span, message);
        }
    }
}

/// What a node owns is some unicast addresses, neither all nor others.
pub(super) fn report_no_range(key: &str, prefix: &Located<Prefix>, findings: &mut Findings<'_>) {
    let Located { value, span } = prefix;
    if value.is_default() {
        findings
            .error(span, format!("{key}: {value} is every address there is; name the range that is meant"));
    } else if value.is_martian() {
        findings.error(
            span,
            format!("{key}: {value} is loopback, link-local, multicast or reserved; name unicast addresses"),
        );
    }
}

pub(super) fn values<T>(located: Vec<Located<T>>) -> Vec<T> {
    located.into_iter().map(|found| found.value).collect()
}

fn advertise(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<Advertise> {
    let mut list = Vec::new();
    for mut section in top.sections("advertise", findings) {
        let interface = section.get::<String>("interface", findings);
        let prefix = section.located::<Prefix>("prefix", findings);
        let condition = section.located::<While>("while", findings);
        if let Some(condition) = condition.as_ref().filter(|_| interface.is_some()) {
            let message =
                "while: what an interface has is told only while it is there; the key is for `prefix`";
            findings.error(&condition.span, message);
        }
        match (interface, prefix) {
            (Some(interface), None) => list.push(Advertise::Interface(interface)),
            (None, Some(prefix)) => {
                report_no_range("advertise.prefix", &prefix, findings);
                let prefix = prefix.value;
                list.push(condition.map_or(Advertise::Prefix(prefix), |condition| Advertise::Tracked {
                    prefix,
                    condition: condition.value,
                }));
            }
            (Some(_), Some(_)) => {
                findings.error(
                    &section.span,
                    "[[advertise]] takes `interface` or `prefix`, not both; write two tables",
                );
            }
            (None, None) => findings.error(&section.span, "[[advertise]] needs `interface` or `prefix`"),
        }
        section.finish(findings);
    }
    list
}

/// `zero`: the node claims a block where nothing is said of blocks.
fn ipam(section: Option<Section<'_>>, cluster: &Cluster, zero: bool, findings: &mut Findings<'_>) -> Ipam {
    let mut ipam = Ipam { blocks: Vec::new(), claim: zero };
    let Some(mut section) = section else { return ipam };
    if let Some(blocks) = section.list::<Prefix>("blocks", findings) {
        report_overlaps("ipam.blocks", &blocks, findings);
        for block in &blocks {
            if !cluster.pools.iter().any(|pool| pool.covers(block.value)) {
                let message =
                    format!("ipam.blocks: {} lies in none of cluster.pools; add its pool", block.value);
                findings.error(&block.span, message);
            }
        }
        ipam.blocks = values(blocks);
    }
    ipam.claim = section.get("claim", findings).unwrap_or(zero && ipam.blocks.is_empty());
    section.finish(findings);
    ipam
}

fn policy(section: Option<Section<'_>>, findings: &mut Findings<'_>) -> Policy {
    let mut policy = Policy {
        enabled: true,
        default_endpoint_action: DefaultAction::Allow,
        failsafe_inbound: defaults::FAILSAFE_INBOUND.map(str::to_owned).to_vec(),
    };
    let Some(mut section) = section else { return policy };
    policy.enabled = section.get("enabled", findings).unwrap_or(true);
    if let Some(action) = section.get("default_endpoint_action", findings) {
        policy.default_endpoint_action = action;
    }
    if let Some(failsafe) = section.list::<String>("failsafe_inbound", findings) {
        for entry in &failsafe {
            if parse_failsafe(&entry.value).is_none() {
                let message =
                    format!("policy.failsafe_inbound: {:?} is no port; write tcp:22 or udp:520", entry.value);
                findings.error(&entry.span, message);
            }
        }
        policy.failsafe_inbound = values(failsafe);
    }
    section.finish(findings);
    policy
}

/// The protocol and port of `tcp:22` or `udp:520`.
pub(crate) fn parse_failsafe(text: &str) -> Option<(u8, u16)> {
    let (protocol, port) = text.split_once(':')?;
    let protocol = match protocol {
        "tcp" => 6,
        "udp" => 17,
        _ => return None,
    };
    Some((protocol, port.parse().ok()?))
}

impl FromToml for While {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("present") => Ok(Self::Present),
            _ => Err("\"present\" is expected".to_owned()),
        }
    }
}

impl FromToml for NexthopObjects {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("auto") => Ok(Self::Auto),
            Some("off") => Ok(Self::Off),
            _ => Err("\"auto\" or \"off\" is expected".to_owned()),
        }
    }
}

impl FromToml for DefaultAction {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("allow") => Ok(Self::Allow),
            Some("deny") => Ok(Self::Deny),
            _ => Err("\"allow\" or \"deny\" is expected".to_owned()),
        }
    }
}

fn kernel(section: Option<Section<'_>>, findings: &mut Findings<'_>) -> Kernel {
    let mut kernel =
        Kernel { install: true, metric: None, source: None, nexthop_objects: NexthopObjects::default() };
    let Some(mut section) = section else { return kernel };
    kernel.install = section.get("install", findings).unwrap_or(true);
    kernel.metric = section.get("metric", findings);
    kernel.source = section.get("source", findings);
    kernel.nexthop_objects = section.get("nexthop_objects", findings).unwrap_or_default();
    section.finish(findings);
    kernel
}

/// Warns of a file with a key that anybody on this host can read or write.
pub(super) fn guard_key(file: &Located<PathBuf>, findings: &mut Findings<'_>) {
    const OTHERS: u32 = 0o006;
    // One that is not there is told of where it is read.
    let Ok(found) = std::fs::metadata(&file.value) else { return };
    if found.permissions().mode() & OTHERS != 0 {
        let name = file.value.display();
        let message = format!("{name}: anybody on this host can read or change the key; chmod o-rwx it");
        findings.warning(&file.span, message);
    }
}

/// The contents of a file that must be there, or why it cannot be read.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let user = user.map_or_else(|| "this user".to_owned(), |user| user.name);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("{}: no such file; make it, or remove the key", path.display())
            }
            std::io::ErrorKind::PermissionDenied => format!(
                "{}: permission denied; routed runs as user {user}, make the file readable by it",
                path.display()
            ),
            _ => format!("{}: {error}", path.display()),
        }
    })
}
