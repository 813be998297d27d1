//! Reads a TOML table key by key, and remembers where each key stands.
//!
//! Every problem is collected, none ends the reading, so that one run shows
//! all of them. What is asked for is what is known: a key that nobody asked
//! for is unknown, and the nearest known one is suggested.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use net::{Asn, Family, PeerAs, Prefix, RouterId};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Findings;

/// A value and the place in the file that it was read from.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A type that a TOML value can be read as; the error says what was expected.
pub(super) trait FromToml: Sized {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;
}

/// A table, or a flag in its place.
pub(super) enum Switch<'i> {
    Flag(bool),
    Table(Section<'i>),
}

/// An element of a list: a value by itself, or a table that says more of it.
pub(super) enum Entry<'i, T> {
    Value(Located<T>),
    Table(Section<'i>),
}

/// One table of the file, while it is being read.
#[derive(Clone)]
pub(super) struct Section<'i> {
    name: String,
    /// Where the table begins.
    pub(super) span: Range<usize>,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    /// Keys of another table; there is said what is wrong with their names.
    inherited: Vec<String>,
}

impl<'i> Section<'i> {
    pub(super) fn new(name: impl Into<String>, span: Range<usize>, table: DeTable<'i>) -> Self {
        Self { name: name.into(), span, table, known: Vec::new(), inherited: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// The value of a key, with its place; `None` when absent or wrong.
    pub(super) fn located<T: FromToml>(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<T>> {
        let node = self.take(key)?;
        match T::from_toml(node.get_ref()) {
            Ok(value) => Some(Located { value, span: node.span() }),
            Err(expected) => {
                findings.error(&node.span(), format!("{}{key}: {expected}", self.prefix()));
                None
            }
        }
    }

    /// The value of a key; `None` when absent or wrong.
    pub(super) fn get<T: FromToml>(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<T> {
        self.located(key, findings).map(|found| found.value)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: FromToml>(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<T>> {
        if !self.table.contains_key(key) {
            findings.error(&self.span, format!("[{}] needs the key `{key}`", self.name));
        }
        self.located(key, findings)
    }

    /// The elements of a list, each with its place; a single value is a list of one.
    pub(super) fn list<T: FromToml>(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<Located<T>>> {
        let node = self.take(key)?;
        let span = node.span();
        let nodes = match node.into_inner() {
            DeValue::Array(array) => array.into_iter().collect(),
            single => vec![Spanned::new(span, single)],
        };
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            match T::from_toml(node.get_ref()) {
                Ok(value) => values.push(Located { value, span: node.span() }),
                Err(expected) => findings.error(&node.span(), format!("{}{key}: {expected}", self.prefix())),
            }
        }
        Some(values)
    }

    /// The elements of a list that must be there, as they stand.
    pub(super) fn nodes(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<Spanned<DeValue<'i>>>> {
        let Some(node) = self.take(key) else {
            findings.error(&self.span, format!("[{}] needs the key `{key}`", self.name));
            return None;
        };
        let span = node.span();
        match node.into_inner() {
            DeValue::Array(array) => Some(array.into_iter().collect()),
            other => {
                let message =
                    format!("{}{key}: a list is expected, not a {}", self.prefix(), other.type_str());
                findings.error(&span, message);
                None
            }
        }
    }

    /// The elements of a list, each a value or a table; a single one is a list of one.
    pub(super) fn entries<T: FromToml>(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<Entry<'i, T>>> {
        let node = self.take(key)?;
        let name = format!("{}{key}", self.prefix());
        let span = node.span();
        let nodes = match node.into_inner() {
            DeValue::Array(array) if array.is_empty() => {
                findings.error(&span, format!("{name}: the list is empty"));
                vec![]
            }
            DeValue::Array(array) => array.into_iter().collect(),
            single => vec![Spanned::new(span, single)],
        };
        let mut entries = Vec::with_capacity(nodes.len());
        for node in nodes {
            if matches!(node.get_ref(), DeValue::Table(_)) {
                entries.extend(as_table(name.clone(), node, findings).map(Entry::Table));
                continue;
            }
            match T::from_toml(node.get_ref()) {
                Ok(value) => entries.push(Entry::Value(Located { value, span: node.span() })),
                Err(expected) => findings.error(&node.span(), format!("{name}: {expected}")),
            }
        }
        Some(entries)
    }

    /// A table below this one.
    pub(super) fn section(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Section<'i>> {
        let name = format!("{}{key}", self.prefix());
        let node = self.take(key)?;
        as_table(name, node, findings)
    }

    /// A table below this one, or true or false in its place.
    pub(super) fn switch(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Switch<'i>> {
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Boolean(_)) => self.get(key, findings).map(Switch::Flag),
            _ => self.section(key, findings).map(Switch::Table),
        }
    }

    /// The tables of an array of tables (`[[name]]`).
    pub(super) fn sections(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Vec<Section<'i>> {
        let name = format!("{}{key}", self.prefix());
        let Some(node) = self.take(key) else { return vec![] };
        let span = node.span();
        if let DeValue::Array(array) = node.into_inner() {
            array.into_iter().filter_map(|node| as_table(name.clone(), node, findings)).collect()
        } else {
            findings.error(&span, format!("{name}: a list of tables is expected; write [[{name}]]"));
            vec![]
        }
    }

    /// Takes over the keys of another table that this one does not have.
    pub(super) fn inherit(&mut self, other: &Section<'i>) {
        for (key, value) in &other.table {
            if !self.table.contains_key(&**key.get_ref()) {
                self.inherited.push(key.get_ref().to_string());
                self.table.insert(key.clone(), value.clone());
            }
        }
    }

    /// True when the key is there and its value is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::Table(_)))
    }

    /// Where the value of a key stands that is a list of nothing.
    pub(super) fn empty_list(&self, key: &str) -> Option<Range<usize>> {
        let node = self.table.get(key)?;
        matches!(node.get_ref(), DeValue::Array(array) if array.is_empty()).then(|| node.span())
    }

    /// Takes a key that makes no sense here; returns where its value stands.
    pub(super) fn discard(&mut self, key: &'static str) -> Option<Range<usize>> {
        self.table.remove(key).map(|value| value.span())
    }

    /// The rest of the table as it stands, when its keys are free (labels).
    pub(super) fn into_entries(self) -> impl Iterator<Item = (String, Spanned<DeValue<'i>>)> {
        self.table.into_iter().map(|(key, node)| (key.into_inner().into_owned(), node))
    }

    /// The tables of a table whose keys are free, each with its key.
    pub(super) fn into_sections(self, findings: &mut Findings<'_>) -> Vec<(String, Section<'i>)> {
        let name = self.name.clone();
        let sections = self.into_entries().map(|(key, node)| {
            let section = as_table(format!("{name}.{key:?}"), node, findings)?;
            Some((key, section))
        });
        sections.flatten().collect()
    }

    /// Accepts keys that the contract names and this version does not act on,
    /// and says so where one is used.
    pub(super) fn not_yet(&mut self, keys: &[&'static str], findings: &mut Findings<'_>) {
        for key in keys {
            if let Some(node) = self.take(key) {
                let message =
                    format!("{}{key}: this version knows the key but does not act on it yet", self.prefix());
                findings.warning(&node.span(), message);
            }
        }
    }

    /// Ends the reading: what nobody asked for is unknown.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        for key in self.table.keys().filter(|key| !self.inherited.iter().any(|other| other == key.get_ref()))
        {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known, key.get_ref()), known))
                .filter(|(distance, _)| *distance <= 3)
                .min();
            let hint = match nearest {
                Some((_, known)) => format!("; did you mean `{known}`?"),
                None => format!("; known here: {}", self.known.join(", ")),
            };
            let place = if self.name.is_empty() {
                "at the top level".to_owned()
            } else {
                format!("in [{}]", self.name)
            };
            findings.error(&key.span(), format!("unknown key `{}` {place}{hint}", key.get_ref()));
        }
    }

    fn prefix(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("{}.", self.name) }
    }
}

fn as_table<'i>(
    name: String,
    node: Spanned<DeValue<'i>>,
    findings: &mut Findings<'_>,
) -> Option<Section<'i>> {
    let span = node.span();
    match node.into_inner() {
        DeValue::Table(table) => Some(Section::new(name, span, table)),
        other => {
            findings.error(&span, format!("{name}: a table is expected, not a {}", other.type_str()));
            None
        }
    }
}

fn text<'a>(value: &'a DeValue<'_>, expected: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{expected} is expected, not a {}", value.type_str()))
}

fn integer(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, String> {
    let number = value
        .as_integer()
        .and_then(|integer| i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok());
    match number.map(u64::try_from) {
        Some(Ok(number)) if (min..=max).contains(&number) => Ok(number),
        Some(_) => Err(format!("a number from {min} to {max} is expected")),
        None => Err(format!("a number is expected, not a {}", value.type_str())),
    }
}

impl FromToml for String {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        text(value, "a text").map(str::to_owned)
    }
}

impl FromToml for PathBuf {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        text(value, "a path").map(Self::from)
    }
}

impl FromToml for bool {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("true or false is expected, not a {}", value.type_str()))
    }
}

macro_rules! unsigned_from_toml {
    ($($type:ty),*) => {$(
        impl FromToml for $type {
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                let number = integer(value, 0, u64::from(<$type>::MAX))?;
                Self::try_from(number).map_err(|e| e.to_string())
            }
        }
    )*};
}

unsigned_from_toml!(u8, u16, u32);

macro_rules! parsed_from_toml {
    ($($type:ty: $expected:literal),* $(,)?) => {$(
        impl FromToml for $type {
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                let text = text(value, $expected)?;
                text.parse().map_err(|e| format!("{e}"))
            }
        }
    )*};
}

parsed_from_toml!(Prefix: "a prefix", RouterId: "a router id", Family: "an address family");

impl FromToml for IpAddr {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = text(value, "an IP address")?;
        text.parse().map_err(|_| format!("{text:?} is no IP address; write 192.0.2.1 or fd00::1"))
    }
}

impl FromToml for SocketAddr {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = text(value, "an address and a port")?;
        text.parse().map_err(|_| format!("{text:?} is no address with a port; write 0.0.0.0:179 or [::]:179"))
    }
}

impl FromToml for Asn {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let asn = match value.as_str() {
            Some(text) => text.parse::<Self>().map_err(|e| e.to_string())?,
            None => Self(u32::from_toml(value)?),
        };
        if asn.is_reserved() || asn == Self::TRANS {
            return Err(format!(
                "AS {asn} is reserved and no speaker may use it; private numbers are 64512 to 65534"
            ));
        }
        Ok(asn)
    }
}

impl FromToml for PeerAs {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("external") => Ok(Self::External),
            Some("internal") => Ok(Self::Internal),
            _ => Asn::from_toml(value)
                .map(Self::Number)
                .map_err(|why| format!("{why}; \"external\" is any AS but ours, \"internal\" is ours")),
        }
    }
}

/// Whole seconds.
impl FromToml for Duration {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        integer(value, 0, 1_000_000).map(Self::from_secs).map_err(|e| format!("{e} (seconds)"))
    }
}
