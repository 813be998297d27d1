//! The routed daemon: configuration, wiring, life cycle.
//!
//! *Role*: bring the rooms together. What a message means is decided in
//! `bgp`, which route is best in `rib`, what the kernel holds in `kernel`,
//! who has which address in `ipam`, what may pass in `policy`; here is who
//! talks to whom, in which order they start and stop, and what operators see.
//!
//! *In*: a configuration file, signals, the API. *Out*: running tasks (see
//! [`mod@tasks`] for their map). *Must not know*: nobody is forbidden, but
//! nobody knows this crate.

pub mod config;
mod life;
pub mod observe;
mod serve;
pub mod state;
mod tasks;

use std::path::{Path, PathBuf};

use config::{Config, Diagnostic, Severity, defaults};
use kernel::nft::{Nft, NftError};
use kernel::sysctl;
use state::{StateDir, StateError};
use tracing::info;

pub use life::{Lacking, Source, start};
pub use serve::request;

/// The file of changed sysctls in the state directory.
pub(crate) const SYSCTLS: &str = "sysctl.json";

/// Why the daemon cannot run. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The runtime.
    #[error("the async runtime cannot start: {0}; look at the limits of tasks and memory for the service")]
    Runtime(std::io::Error),
    /// The user may not do what the configuration asks for.
    #[error(transparent)]
    Privileges(#[from] Lacking),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Routes at start or clean-up.
    #[error(transparent)]
    Query(#[from] kernel::query::QueryError),
    /// The FIB writer, or links and addresses.
    #[error(transparent)]
    Kernel(#[from] kernel::StartError),
    /// Kernel settings.
    #[error(transparent)]
    Sysctl(#[from] sysctl::SysctlError),
    /// The address store.
    #[error("address store: {0}")]
    Addresses(#[from] ipam::OpenError),
    /// BGP cannot listen.
    #[error(transparent)]
    Listen(#[from] tasks::listener::ListenError),
    /// The API cannot be served.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    /// Bridges at clean-up.
    #[error(transparent)]
    Bridge(#[from] kernel::bridge::BridgeError),
    /// nftables at clean-up.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// BGP needs a router id and none is to be found.
    #[error(
        "no router id: the interface of the default route has no IPv4 address; set node.router_id to an IPv4 \
         address that only this node has"
    )]
    NoRouterId,
    /// A task that lives as long as the daemon has ended.
    #[error("the {0} task has ended, which is a defect; the log says why, start routed again")]
    Ended(&'static str),
    /// Signals.
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
}

/// Reads the configuration: the named file, or the default one where there
/// is one, or else the defaults.
pub fn load(file: Option<&Path>) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let text = Text::read(file)?;
    config::parse(&text.name, &text.source)
}

/// The text of a configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// The name that findings bear.
    pub(crate) name: String,
    /// What stands in it.
    pub(crate) source: String,
}

impl Text {
    /// Reads the named file, or the default one where there is one.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Vec<Diagnostic>> {
        let path = file.unwrap_or(Path::new(defaults::CONFIG_FILE));
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(source) => Ok(Self { name, source }),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { name, source: String::new() })
            }
            Err(error) => {
                let message = format!("cannot be read: {error}; name the file with --config");
                Err(vec![Diagnostic { file: name, line: 1, column: 1, severity: Severity::Error, message }])
            }
        }
    }
}

/// Removes every route, table and sysctl that routed made, and nothing else.
/// The daemon must not be running: it holds the state directory.
pub fn cleanup(config: &Config) -> Result<(), Fatal> {
    let state = StateDir::open(&config.node.state_dir)?;
    let routes = kernel::query::cleanup(config.node.table)?;
    info!(routes, table = config.node.table, "routes removed");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fatal::Runtime)?;
    match Nft::find() {
        Ok(nft) => {
            runtime.block_on(nft.delete_table())?;
            info!("table inet routed removed");
        }
        // Without nft no table can have been made.
        Err(NftError::NotInstalled) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(mut made) = state.load::<kernel::bridge::Bridges>(tasks::BRIDGES)? {
        let names: Vec<String> = made.iter().map(|bridge| bridge.name.clone()).collect();
        for name in names {
            runtime.block_on(made.remove(&name))?;
            info!(bridge = name, "bridge removed");
        }
        state.save(tasks::BRIDGES, &made)?;
    }
    if let Some(mut changes) = state.load::<sysctl::Changes>(SYSCTLS)? {
        changes.restore()?;
        state.save(SYSCTLS, &changes)?;
        info!("kernel settings restored");
    }
    Ok(())
}

/// Where a path of the command line wins over the configuration.
pub(crate) fn with_overrides(
    mut config: Config,
    state_dir: Option<&PathBuf>,
    socket: Option<&PathBuf>,
) -> Config {
    if let Some(dir) = state_dir {
        config.node.state_dir.clone_from(dir);
    }
    if let Some(socket) = socket {
        config.api.socket.clone_from(socket);
    }
    config
}
