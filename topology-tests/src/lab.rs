//! The lab: a LAN, its hosts, its directory, its end.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    Error, Host, Netns, Result,
    process::tail,
    undertaker::{self, Undertaker},
    wait,
};

/// A cluster of network namespaces. Everything in it goes when the last handle
/// (lab, host, container, daemon) is dropped, however the process ends.
#[derive(Clone, Debug)]
pub struct Lab {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    id: String,
    dir: PathBuf,
    lan: Netns,
    seen: Mutex<Seen>,
    _undertaker: Undertaker,
}

/// What a failure shows.
#[derive(Debug, Default)]
struct Seen {
    hosts: Vec<Netns>,
    logs: Vec<PathBuf>,
}

impl Lab {
    /// A lab with an empty LAN: a bridge in a namespace of its own that answers
    /// as gateway on 192.0.2.254 and `2001:db8:2::fe`, and forwards nothing.
    ///
    /// `name` is for the eye, in the names of files. Labs of dead processes are
    /// swept first.
    pub fn new(name: &str) -> Result<Lab> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        undertaker::sweep()?;
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let random = random()?;
        let id = undertaker::lab_id(std::process::id(), counter, &random);
        let dir = std::env::temp_dir().join(format!("{id}{name}"));
        fs::create_dir(&dir).map_err(Error::file(&dir))?;
        let undertaker = Undertaker::engage(&id, &dir)?;
        // Daemons that drop their privileges reach their files through it.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).map_err(Error::file(&dir))?;
        let lan = Netns::create(format!("{id}lan"))?;
        lan.ip(&[
            "link add br0 type bridge",
            "addr add 192.0.2.254/24 dev br0",
            "addr add 2001:db8:2::fe/64 dev br0 nodad",
            "link set br0 up",
        ])?;
        let core = Core { id, dir, lan, seen: Mutex::default(), _undertaker: undertaker };
        Ok(Lab { core: Arc::new(core) })
    }

    /// Adds a host with an uplink on the LAN and a bridge `docker0`; see [`Host`].
    pub fn host(&self, name: &str) -> Result<Host> {
        let host = self.router(name)?;
        host.add_bridge()?;
        Ok(host)
    }

    /// Adds a host with an uplink and no bridge: a place for another router.
    pub fn router(&self, name: &str) -> Result<Host> {
        let netns = Netns::create(format!("{}{name}", self.core.id))?;
        let number = {
            let mut seen = self.seen();
            seen.hosts.push(netns.clone());
            u8::try_from(seen.hosts.len())
                .ok()
                .filter(|n| *n < 254)
                .ok_or_else(|| Error::Claim("a LAN has room for 253 hosts".to_owned()))?
        };
        Host::build(self, netns, name, number)
    }

    /// The namespace of the LAN bridge `br0`; the host with number N is on port `pN`.
    pub fn lan(&self) -> &Netns {
        &self.core.lan
    }

    /// The directory of the lab's files; it goes with the lab.
    pub fn dir(&self) -> &Path {
        &self.core.dir
    }

    /// First part of the names of all namespaces of this lab.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// Makes a directory for `name` in the lab's directory.
    pub fn make_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.core.dir.join(name);
        fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
        Ok(dir)
    }

    /// Names a log whose end a failure shows.
    pub fn watch_log(&self, path: PathBuf) {
        let mut seen = self.seen();
        if !seen.logs.contains(&path) {
            seen.logs.push(path);
        }
    }

    /// Polls `look` until it gives a value; a timeout shows the whole lab.
    pub fn wait_until<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl FnMut() -> Result<T, String>,
    ) -> Result<T> {
        wait::wait_until_with(what, limit, look, || self.evidence())
    }

    /// Log tails, addresses, routes and rules of every host.
    pub fn evidence(&self) -> String {
        let (hosts, logs) = {
            let seen = self.seen();
            (seen.hosts.clone(), seen.logs.clone())
        };
        let hosts = hosts.iter().map(|host| self.state_of(host));
        logs.iter().map(|log| tail(log)).chain(hosts).collect()
    }

    fn state_of(&self, host: &Netns) -> String {
        let name = host.name().strip_prefix(&self.core.id).unwrap_or(host.name());
        let commands: [&[&str]; 4] = [
            &["ip", "-br", "address"],
            &["ip", "route"],
            &["ip", "-6", "route"],
            &["nft", "list", "ruleset"],
        ];
        let shown = commands.iter().map(|command| {
            let said = match host.exec(command) {
                Ok(output) if output.success() => output.stdout,
                Ok(output) => output.to_string(),
                Err(why) => why.to_string(),
            };
            format!("--- {name}: {}\n{said}", command.join(" "))
        });
        shown.collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Lists of names stay whole even if a test panicked while it held them.
        self.core.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Six random hexadecimal digits.
fn random() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0u8; 3];
    let path = "/dev/urandom";
    fs::File::open(path).and_then(|mut f| f.read_exact(&mut bytes)).map_err(Error::file(path))?;
    let [a, b, c] = bytes;
    Ok(format!("{a:02x}{b:02x}{c:02x}"))
}
