//! Documents as text -> policies, or everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::node::{At, Node, Value, documents};
use super::{Action, Order, Peer, Policy, PolicyId, Protocol, Rule, Scope, Selector, Types};

/// The version under which documents are accepted.
pub(crate) const API_VERSION: &str = "projectcalico.org/v3";

/// Longest name of a policy or namespace, in bytes (RFC 1123 §2.1 by way of Kubernetes).
const MAX_NAME: usize = 253;

/// Fields that Calico has here and routed has not: worth another message
/// than a word that is misspelt.
const NOT_YET: [&str; 15] = [
    "icmp",
    "notICMP",
    "ipVersion",
    "notSelector",
    "namespaceSelector",
    "serviceAccounts",
    "services",
    "http",
    "metadata",
    "doNotTrack",
    "preDNAT",
    "applyOnForward",
    "performanceHints",
    "serviceAccountSelector",
    "stagedAction",
];

/// Fields of `metadata` that other tools write and that mean nothing here.
const IGNORED_METADATA: [&str; 6] =
    ["annotations", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"];

/// One thing that is wrong with a document, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name of the file, as it was given.
    pub file: String,
    /// Counts from one.
    pub line: usize,
    /// Counts characters from one.
    pub column: usize,
    /// The document: its kind and name, or its number when it has none.
    pub document: String,
    /// The field, as `spec.ingress[0].source.nets[1]`; empty for the document itself.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, document, field, message } = self;
        write!(f, "{file}:{line}:{column}: {document}: ")?;
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

impl std::error::Error for Diagnostic {}

/// Reads every document of a text, YAML or JSON. Either all are good, or the
/// answer is everything that is wrong with any, in the order of the text.
pub fn parse(text: &str, file: &str) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let mut reader = Reader { file, document: "document 1".into(), diagnostics: Vec::new() };
    let nodes = match documents(text) {
        Ok(nodes) => nodes,
        Err(error) => {
            reader.document = "syntax".into();
            reader.say(error.at, "", error.message);
            return Err(reader.diagnostics);
        }
    };
    let mut policies = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, node) in nodes.iter().enumerate() {
        reader.document = format!("document {}", index + 1);
        let Some(policy) = reader.document(node) else { continue };
        if !seen.insert(policy.id.clone()) {
            reader.say(node.at, "", "it is in this text twice; keep one".into());
        }
        policies.push(policy);
    }
    if reader.diagnostics.is_empty() {
        return Ok(policies);
    }
    reader.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    Err(reader.diagnostics)
}

struct Reader<'a> {
    file: &'a str,
    document: String,
    diagnostics: Vec<Diagnostic>,
}

/// A mapping whose keys are known.
struct Fields<'a> {
    at: At,
    path: String,
    entries: BTreeMap<&'a str, &'a Node>,
}

/// A node and the path to it.
struct Field<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> Fields<'a> {
    /// The value of a key, when something is written there.
    fn get(&self, key: &str) -> Option<Field<'a>> {
        let node = self.entries.get(key).filter(|node| !matches!(node.value, Value::Null))?;
        Some(Field { node, path: join(&self.path, key) })
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Reader<'_> {
    fn say(&mut self, at: At, field: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            document: self.document.clone(),
            field: field.to_owned(),
            message,
        });
    }

    /// A policy, when enough of it can be read to name it. What is wrong is said.
    fn document(&mut self, node: &Node) -> Option<Policy> {
        let root = Field { node, path: String::new() };
        let fields = self.fields(&root, &["apiVersion", "kind", "metadata", "spec"])?;
        if let Some(version) = self.required(&fields, "apiVersion", API_VERSION)
            && let Some(text) = self.text(&version)
            && text != API_VERSION
        {
            let message = format!("{text:?} is not read here; write {API_VERSION}");
            self.say(version.node.at, "apiVersion", message);
        }
        let id = self.id(&fields);
        if let Some((id, _)) = &id {
            self.document = id.to_string();
        }
        let spec = self.required(&fields, "spec", "selector, types, ingress and egress under it");
        let policy = spec.and_then(|spec| self.spec(&spec));
        let (id, labels) = id?;
        Some(Policy { id, labels, ..policy? })
    }

    fn id(&mut self, fields: &Fields<'_>) -> Option<(PolicyId, BTreeMap<String, String>)> {
        const KINDS: &str = "GlobalNetworkPolicy or NetworkPolicy";
        let kind = self.required(fields, "kind", KINDS);
        let metadata = self.required(fields, "metadata", "the policy's name under it")?;
        let mut known = vec!["name", "namespace", "labels"];
        known.extend(IGNORED_METADATA);
        let metadata = self.fields(&metadata, &known)?;
        let labels = metadata.get("labels").map(|field| self.labels(&field)).unwrap_or_default();
        let name = self.required(&metadata, "name", "the policy's name");
        let name = name.and_then(|field| self.name(&field));
        let namespace = metadata.get("namespace");
        let kind = kind?;
        let scope = match self.text(&kind)? {
            "GlobalNetworkPolicy" => {
                if let Some(namespace) = namespace {
                    let message =
                        "a GlobalNetworkPolicy has no namespace; take it out, or make the kind NetworkPolicy";
                    self.say(namespace.node.at, &namespace.path, message.into());
                }
                Scope::Global
            }
            "NetworkPolicy" => {
                let namespace = self.required(
                    &metadata,
                    "namespace",
                    "the namespace whose endpoints are meant, or make the kind GlobalNetworkPolicy",
                )?;
                Scope::Namespace(self.name(&namespace)?)
            }
            other => {
                self.say(kind.node.at, "kind", format!("{other:?} is not read here; write {KINDS}"));
                return None;
            }
        };
        Some((PolicyId { scope, name: name? }, labels))
    }

    fn spec(&mut self, field: &Field<'_>) -> Option<Policy> {
        let spec = self.fields(field, &["tier", "order", "selector", "types", "ingress", "egress"])?;
        if let Some(tier) = spec.get("tier")
            && let Some(text) = self.text(&tier)
            && text != "default"
        {
            self.say(tier.node.at, &tier.path, format!("there is no tier {text:?}; leave the field out"));
        }
        let order = spec.get("order").and_then(|field| self.order(&field));
        let selector = spec.get("selector").and_then(|field| self.parsed(&field));
        let ingress = spec.get("ingress").map(|field| self.list(&field, Self::rule)).unwrap_or_default();
        let egress = spec.get("egress").map(|field| self.list(&field, Self::rule)).unwrap_or_default();
        let types = match spec.get("types") {
            Some(types) => self.types(&types),
            None if !egress.is_empty() => Types::Both,
            None => Types::Ingress,
        };
        Some(Policy {
            id: PolicyId { scope: Scope::Global, name: String::new() },
            labels: BTreeMap::new(),
            order: Order(order),
            selector: selector.unwrap_or_else(Selector::all),
            types,
            ingress,
            egress,
        })
    }

    fn types(&mut self, field: &Field<'_>) -> Types {
        let words = self.list(field, |reader, item| {
            let text = reader.text(item)?;
            if !matches!(text, "Ingress" | "Egress") {
                reader.say(item.node.at, &item.path, format!("{text:?} is no type; write Ingress or Egress"));
                return None;
            }
            Some(text.to_owned())
        });
        let has = |word: &str| words.iter().any(|text| text == word);
        match (has("Ingress"), has("Egress")) {
            (true, true) => Types::Both,
            (false, true) => Types::Egress,
            (true, false) => Types::Ingress,
            (false, false) => {
                if matches!(&field.node.value, Value::List(items) if items.is_empty()) {
                    let message =
                        "an empty list is for no direction; leave it out or write Ingress or Egress";
                    self.say(field.node.at, &field.path, message.into());
                }
                Types::Ingress
            }
        }
    }

    fn rule(&mut self, field: &Field<'_>) -> Option<Rule> {
        let fields = self.fields(field, &["action", "protocol", "notProtocol", "source", "destination"])?;
        let action = self.required(&fields, "action", "Allow, Deny, Log or Pass");
        let action = action.and_then(|field| self.action(&field));
        let protocol = fields.get("protocol").and_then(|field| self.parsed(&field));
        let not_protocol = fields.get("notProtocol").and_then(|field| self.parsed(&field));
        let has_ports = protocol.is_some_and(Protocol::has_ports);
        let source = fields.get("source").and_then(|field| self.peer(&field, has_ports));
        let destination = fields.get("destination").and_then(|field| self.peer(&field, has_ports));
        Some(Rule {
            action: action?,
            protocol,
            not_protocol,
            source: source.unwrap_or_default(),
            destination: destination.unwrap_or_default(),
        })
    }

    fn action(&mut self, field: &Field<'_>) -> Option<Action> {
        let text = self.text(field)?;
        let action = Action::WORDS.iter().find(|(word, _)| *word == text);
        if action.is_none() {
            let message = format!("{text:?} is no action; write Allow, Deny, Log or Pass");
            self.say(field.node.at, &field.path, message);
        }
        action.map(|(_, action)| *action)
    }

    fn peer(&mut self, field: &Field<'_>, has_ports: bool) -> Option<Peer> {
        let fields = self.fields(field, &["nets", "notNets", "ports", "notPorts", "selector"])?;
        for key in ["ports", "notPorts"] {
            if let Some(ports) = fields.get(key)
                && !has_ports
            {
                let message =
                    "ports need a protocol that has them; add protocol: TCP, UDP or SCTP to the rule";
                self.say(ports.node.at, &ports.path, message.into());
            }
        }
        Some(Peer {
            nets: self.values(&fields, "nets"),
            not_nets: self.values(&fields, "notNets"),
            ports: self.values(&fields, "ports"),
            not_ports: self.values(&fields, "notPorts"),
            selector: fields.get("selector").and_then(|field| self.parsed(&field)),
        })
    }

    /// The values of a list that is written as texts.
    fn values<T: FromStr<Err: fmt::Display>>(&mut self, fields: &Fields<'_>, key: &str) -> Vec<T> {
        fields.get(key).map(|field| self.list(&field, Self::parsed)).unwrap_or_default()
    }

    fn order(&mut self, field: &Field<'_>) -> Option<f64> {
        let text = self.text(field)?;
        let order = text.parse().ok().filter(|order: &f64| order.is_finite());
        if order.is_none() {
            self.say(field.node.at, &field.path, format!("{text:?} is no order; write a number as 100"));
        }
        order
    }

    /// A name as Kubernetes has them: it appears in paths, comments and logs.
    fn name(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if text.len() <= MAX_NAME
            && text.chars().all(good)
            && edge(text.chars().next())
            && edge(text.chars().next_back())
        {
            return Some(text.to_owned());
        }
        let message = format!(
            "{text:?} is no name; write at most {MAX_NAME} of a-z 0-9 - and . that begin and end with a letter or digit"
        );
        self.say(field.node.at, &field.path, message);
        None
    }

    fn labels(&mut self, field: &Field<'_>) -> BTreeMap<String, String> {
        let Value::Map(entries) = &field.node.value else {
            self.say(
                field.node.at,
                &field.path,
                format!("{} where labels belong; write key: value", field.node.value.kind()),
            );
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (key, value) in entries {
            let key = self.text(&Field { node: key, path: field.path.clone() });
            let path = join(&field.path, key.unwrap_or_default());
            let value = match value.value {
                Value::Null => Some(""),
                _ => self.text(&Field { node: value, path }),
            };
            labels.extend(key.zip(value).map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        labels
    }

    fn fields<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &field.node.value else {
            let kind = field.node.value.kind();
            let message = format!("{kind} where a mapping belongs; its fields are {}", known.join(", "));
            self.say(field.node.at, &field.path, message);
            return None;
        };
        let mut fields = Fields { at: field.node.at, path: field.path.clone(), entries: BTreeMap::new() };
        for (key, value) in entries {
            let Some(name) = self.text(&Field { node: key, path: field.path.clone() }) else { continue };
            if !known.contains(&name) {
                let message = if NOT_YET.contains(&name) {
                    "routed does not know this field of Calico's; take it out, or the rule would match more than it says".to_owned()
                } else {
                    let known: Vec<_> =
                        known.iter().filter(|name| !IGNORED_METADATA.contains(name)).copied().collect();
                    format!("unknown field; known here are {}", known.join(", "))
                };
                self.say(key.at, &join(&field.path, name), message);
            } else if fields.entries.insert(name, value).is_some() {
                self.say(key.at, &join(&field.path, name), "it is here twice; keep one".into());
            }
        }
        Some(fields)
    }

    fn required<'n>(&mut self, fields: &Fields<'n>, key: &str, hint: &str) -> Option<Field<'n>> {
        let field = fields.get(key);
        if field.is_none() {
            self.say(fields.at, &join(&fields.path, key), format!("missing; write {hint}"));
        }
        field
    }

    fn list<T>(
        &mut self,
        field: &Field<'_>,
        mut read: impl FnMut(&mut Self, &Field<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Value::List(items) = &field.node.value else {
            let message = format!("{} where a list belongs; write [a, b]", field.node.value.kind());
            self.say(field.node.at, &field.path, message);
            return Vec::new();
        };
        let item = |(index, node)| Field { node, path: format!("{}[{index}]", field.path) };
        items.iter().enumerate().map(item).filter_map(|item| read(self, &item)).collect()
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, field: &Field<'_>) -> Option<T> {
        match self.text(field)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(field.node.at, &field.path, error.to_string());
                None
            }
        }
    }

    fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        if let Value::Text(text) = &field.node.value {
            return Some(text);
        }
        let message = format!("{} where one text or number belongs", field.node.value.kind());
        self.say(field.node.at, &field.path, message);
        None
    }
}

#[cfg(test)]
mod tests;
