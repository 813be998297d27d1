//! The configuration file: at start, at a reload, and what of it stays fixed.

use std::sync::Arc;

use tracing::warn;

use super::Source;
use crate::config::runtime::Runtime;
use crate::config::{Api, Bgp, Config, Diagnostic};
use crate::state::StateDir;
use crate::{Fatal, Text};

/// A file, what it says, and the warnings about it.
type FileRead = (Text, (Config, Vec<Diagnostic>));

/// Reads the file with what operators have changed of the peers since.
pub(super) fn read(source: &Source, runtime: &Runtime) -> Result<FileRead, Vec<Diagnostic>> {
    let default = source.file == std::path::Path::new(crate::config::defaults::CONFIG_FILE);
    let file = (!default || source.file.exists()).then_some(source.file.as_path());
    let text = Text::read(file)?;
    let parsed = crate::config::parse_with(&text.name, &text.source, runtime)?;
    Ok((text, parsed))
}

/// The configuration that the daemon was started with, with the peers that
/// operators added to an earlier process and those that they disabled.
pub(super) fn with_kept(
    config: Arc<Config>,
    source: &Source,
    state: &Arc<StateDir>,
) -> Result<(Arc<Config>, Text, Runtime), Fatal> {
    let runtime = super::order::kept(state)?;
    let Ok((text, (config, warnings))) = read(source, &runtime) else {
        // The file has changed since it was read a moment ago; a reload will say why.
        let text = Text { name: source.file.display().to_string(), source: String::new() };
        return Ok((config, text, runtime));
    };
    // Without peers of theirs the warnings have been told already.
    for finding in warnings.iter().filter(|_| runtime != Runtime::default()) {
        warn!(%finding, "configuration");
    }
    let config = crate::with_overrides(config, source.state_dir.as_ref(), source.socket.as_ref());
    Ok((Arc::new(config), text, runtime))
}

/// The new configuration with the old values of what is read at start only.
pub(super) fn keep_fixed(old: &Config, new: Config) -> Config {
    let bgp = old.bgp.clone().zip(new.bgp.clone()).map(|(bgp, new)| Bgp {
        peers: new.peers,
        dynamic: new.dynamic,
        graceful_shutdown: new.graceful_shutdown,
        guard: new.guard,
        ..bgp
    });
    // A node that spoke BGP does so until it starts anew.
    let bgp = bgp.or_else(|| old.bgp.clone().map(|bgp| Bgp { peers: vec![], dynamic: vec![], ..bgp }));
    // Whether there is TLS is for the start; which certificates it has is not.
    let tls = old.api.tls.clone().map(|tls| new.api.tls.clone().unwrap_or(tls));
    let api = Api { tls, ..old.api.clone() };
    Config { node: old.node.clone(), api, kernel: old.kernel.clone(), bgp, ..new }
}
