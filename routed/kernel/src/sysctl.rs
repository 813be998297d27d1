//! Kernel settings under `/proc/sys`, and a record of what was changed so that
//! it can be put back.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A kernel setting, named as sysctl(8) does: `net.ipv4.ip_forward`. An
/// interface whose name has dots is written with slashes throughout, as
/// sysctl(8) has it: `net/ipv4/conf/eth0.10/rp_filter`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sysctl(String);

/// Why a setting could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The name leads out of `/proc/sys`.
    #[error("{0:?} is no kernel setting; write it as net.ipv4.ip_forward")]
    Name(String),
    /// It could not be read.
    #[error("kernel setting {setting}: reading: {source}; {hint}", hint = hint(.source))]
    Read {
        /// The setting.
        setting: Sysctl,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be written.
    #[error("kernel setting {setting}: writing {value:?}: {source}; {hint}", hint = hint(.source))]
    Write {
        /// The setting.
        setting: Sysctl,
        /// The value that was to be written.
        value: String,
        /// What the system said.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "this kernel, or this network namespace, does not have it",
        io::ErrorKind::PermissionDenied => {
            "run with the capability CAP_NET_ADMIN, or as root, and with /proc/sys writable"
        }
        io::ErrorKind::ReadOnlyFilesystem => "/proc/sys is mounted read-only; set it on the host",
        io::ErrorKind::InvalidInput => "the kernel does not take this value",
        _ => "see the kernel's log",
    }
}

impl Sysctl {
    /// Forwarding of IPv4 packets.
    pub fn ipv4_forwarding() -> Self {
        Self("net.ipv4.ip_forward".to_owned())
    }

    /// Forwarding of IPv6 packets.
    pub fn ipv6_forwarding() -> Self {
        Self("net.ipv6.conf.all.forwarding".to_owned())
    }

    /// The setting with this name.
    pub fn new(name: &str) -> Result<Self, SysctlError> {
        let setting = Self(name.to_owned());
        setting.path().map(|_| setting)
    }

    /// The value now, without the line's end.
    pub fn read(&self) -> Result<String, SysctlError> {
        let read = std::fs::read_to_string(self.path()?);
        let value = read.map_err(|source| SysctlError::Read { setting: self.clone(), source })?;
        Ok(value.trim_end().to_owned())
    }

    /// Sets the value.
    pub fn write(&self, value: &str) -> Result<(), SysctlError> {
        std::fs::write(self.path()?, value).map_err(|source| SysctlError::Write {
            setting: self.clone(),
            value: value.to_owned(),
            source,
        })
    }

    fn path(&self) -> Result<PathBuf, SysctlError> {
        let separator = if self.0.contains('/') { '/' } else { '.' };
        let mut path = PathBuf::from("/proc/sys");
        for part in self.0.split(separator) {
            if matches!(part, "" | "." | "..") {
                return Err(SysctlError::Name(self.0.clone()));
            }
            path.push(part);
        }
        Ok(path)
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A setting that routed changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The setting.
    pub setting: Sysctl,
    /// Its value before routed changed it first.
    pub before: String,
    /// The value that routed gave it.
    pub after: String,
}

/// What routed changed, oldest first; to be kept in the state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Sets a value and records what was there before; true when that changed
    /// anything. A setting that is changed again keeps its first value.
    pub fn set(&mut self, setting: &Sysctl, value: &str) -> Result<bool, SysctlError> {
        let before = setting.read()?;
        if before == value {
            return Ok(false);
        }
        setting.write(value)?;
        match self.0.iter_mut().find(|change| change.setting == *setting) {
            Some(change) => value.clone_into(&mut change.after),
            None => self.0.push(Change { setting: setting.clone(), before, after: value.to_owned() }),
        }
        Ok(true)
    }

    /// Puts every setting back that still has the value that routed gave it,
    /// latest first, and forgets it. What somebody else has changed since
    /// stays as it is. The first error ends it; what is left can be tried again.
    pub fn restore(&mut self) -> Result<(), SysctlError> {
        while let Some(change) = self.0.last() {
            if change.setting.read()? == change.after {
                change.setting.write(&change.before)?;
            }
            self.0.pop();
        }
        Ok(())
    }

    /// The changes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }
}
