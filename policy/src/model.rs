//! What the operator says: policies, and the set of them that is in force.

mod document;
mod node;
mod parse;
mod policy;
mod selector;

use std::collections::BTreeMap;

pub use document::to_document;
pub use parse::{Diagnostic, parse};
pub use policy::{
    Action, Direction, Order, ParsePolicyIdError, Peer, Policy, PolicyId, PortRange, Protocol, Rule, Scope,
    Types,
};
pub use selector::{Labels, ParseSelectorError, Selector};

/// All policies that are in force, by kind, namespace and name.
///
/// A model changes as a whole: [`Model::apply`] takes policies that have been
/// parsed, so it cannot fail half way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    revision: u64,
    policies: BTreeMap<PolicyId, Policy>,
}

/// What one [`Model::apply`] or [`Model::delete`] did to one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none of this name.
    Created,
    /// There was another of this name.
    Replaced,
    /// It was there already, word for word.
    Unchanged,
    /// It was there and is gone.
    Deleted,
    /// It was to be deleted, and there was none.
    Absent,
}

/// Why a stored model was not read.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The text is not the JSON object that [`Model::to_json`] writes.
    #[error(
        "stored policies: {0}; restore the file from a backup, or remove it and apply the policies again"
    )]
    Json(#[from] serde_json::Error),
    /// A policy of the text is not valid.
    #[error("stored policies: {}; restore the file from a backup, or remove it and apply the policies again", join(.0))]
    Policies(Vec<Diagnostic>),
}

fn join(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Model {
    /// Grows by one with every change; a reader that knows the number knows
    /// whether it has the newest model.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Puts policies in force, each in the place of the one with its name.
    /// Answers what happened to each, in their order.
    pub fn apply(&mut self, policies: Vec<Policy>) -> Vec<(PolicyId, Change)> {
        let changes: Vec<_> = policies
            .into_iter()
            .map(|policy| {
                let id = policy.id.clone();
                let change = match self.policies.get(&id) {
                    None => Change::Created,
                    Some(old) if *old == policy => Change::Unchanged,
                    Some(_) => Change::Replaced,
                };
                self.policies.insert(id.clone(), policy);
                (id, change)
            })
            .collect();
        self.count(&changes);
        changes
    }

    /// Takes policies out of force. Answers what happened to each, in their order.
    pub fn delete<'a>(&mut self, ids: impl IntoIterator<Item = &'a PolicyId>) -> Vec<(PolicyId, Change)> {
        let changes: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let change = self.policies.remove(id).map_or(Change::Absent, |_| Change::Deleted);
                (id.clone(), change)
            })
            .collect();
        self.count(&changes);
        changes
    }

    /// Every policy, by kind, namespace and name.
    pub fn list(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values()
    }

    /// The policy of this name.
    pub fn get(&self, id: &PolicyId) -> Option<&Policy> {
        self.policies.get(id)
    }

    /// Every policy in the order in which they are asked: by `order` (none is
    /// last), then by name, then by kind and namespace.
    pub fn in_order(&self) -> Vec<&Policy> {
        let mut policies: Vec<_> = self.policies.values().collect();
        policies.sort_by(|a, b| (a.order, &a.id.name, &a.id.scope).cmp(&(b.order, &b.id.name, &b.id.scope)));
        policies
    }

    /// The model as JSON, for the disk: its revision and its documents, in
    /// the shape in which an operator writes them.
    pub fn to_json(&self) -> String {
        let documents: Vec<_> = self.policies.values().map(to_document).collect();
        serde_json::json!({ "revision": self.revision, "documents": documents }).to_string()
    }

    /// Reads what [`Model::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RestoreError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored {
            revision: u64,
            documents: Vec<serde_json::Value>,
        }
        let stored: Stored = serde_json::from_str(text)?;
        let mut policies = BTreeMap::new();
        for document in stored.documents {
            let parsed = parse(&document.to_string(), "stored").map_err(RestoreError::Policies)?;
            policies.extend(parsed.into_iter().map(|policy| (policy.id.clone(), policy)));
        }
        Ok(Self { revision: stored.revision, policies })
    }

    fn count(&mut self, changes: &[(PolicyId, Change)]) {
        if changes.iter().any(|(_, change)| !matches!(change, Change::Unchanged | Change::Absent)) {
            self.revision += 1;
        }
    }
}

#[cfg(test)]
mod tests;
