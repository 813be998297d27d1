//! `[[filter]]`: the types of `rib` read the words, this file finds the place
//! of what they refuse.

use std::sync::Arc;

use rib::filter::{Filter, Rule};
use toml::Spanned;
use toml::de::DeValue;

use super::NamedFilter;
use super::diagnostic::Findings;
use super::reader::Section;

/// All filters of the file, in its order.
pub(super) fn read(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<NamedFilter> {
    let mut filters: Vec<NamedFilter> = Vec::new();
    for mut section in top.sections("filter", findings) {
        let source: toml::Table =
            section.clone().into_entries().map(|(key, node)| (key, plain(&node))).collect();
        let name = section.required::<String>("name", findings);
        let rules = section.nodes("rules", findings);
        section.finish(findings);
        let (Some(name), Some(nodes)) = (name, rules) else { continue };
        if filters.iter().any(|other| *other.filter.name == *name.value) {
            findings.error(&name.span, format!("filter {:?} stands twice; keep one", name.value));
            continue;
        }
        let rules = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                rule(node, &format!("filter {:?}, rule {}", name.value, index + 1), findings)
            })
            .collect();
        let filter = Arc::new(Filter { name: Arc::from(name.value), rules });
        filters.push(NamedFilter { source, filter });
    }
    filters
}

/// One rule. What is wrong with it is told at its very key, all of it at once.
fn rule(node: &Spanned<DeValue<'_>>, place: &str, findings: &mut Findings<'_>) -> Option<Rule> {
    let table = match node.get_ref() {
        DeValue::Table(table) => table,
        other => {
            let message = format!("{place}: a table is expected, not a {}", other.type_str());
            findings.error(&node.span(), message);
            return None;
        }
    };
    let error = match plain(node).try_into::<Rule>() {
        Ok(rule) => return Some(rule),
        Err(error) => error,
    };
    let mut blamed = false;
    for (key, value) in table {
        let name = key.get_ref();
        let mut tried = |value: toml::Value, at: &Spanned<DeValue<'_>>, key: &str| {
            if let Some(error) = refusal(name, value) {
                findings.error(&at.span(), format!("{place}: {key}: {error}"));
                blamed = true;
            }
        };
        match value.get_ref() {
            DeValue::Table(inner) => {
                for (word, inside) in inner {
                    let one = toml::Table::from_iter([(word.get_ref().to_string(), plain(inside))]);
                    tried(toml::Value::Table(one), inside, &format!("{name}.{}", word.get_ref()));
                }
            }
            _ => tried(plain(value), value, name),
        }
    }
    if !blamed {
        findings.error(&node.span(), format!("{place}: {}", error.message()));
    }
    None
}

/// Why no rule takes a key with this value, whatever else stands in it.
fn refusal(key: &str, value: toml::Value) -> Option<String> {
    let mut alone = toml::Table::from_iter([(key.to_owned(), value)]);
    if key != "action" {
        alone.insert("action".to_owned(), toml::Value::String("accept".to_owned()));
    }
    let error = toml::Value::Table(alone).try_into::<Rule>().err()?;
    Some(error.message().to_owned())
}

/// A value without its places, for types that serde reads.
pub(super) fn plain(node: &Spanned<DeValue<'_>>) -> toml::Value {
    match node.get_ref() {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i64::from_str_radix(&digits, number.radix()) {
                Ok(number) => toml::Value::Integer(number),
                Err(_) => toml::Value::String(digits),
            }
        }
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => toml::Value::Float(number),
            Err(_) => toml::Value::String(number.as_str().to_owned()),
        },
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(value) => toml::Value::Datetime(*value),
        DeValue::Array(array) => toml::Value::Array(array.iter().map(plain).collect()),
        DeValue::Table(table) => toml::Value::Table(
            table.iter().map(|(key, node)| (key.get_ref().clone().into_owned(), plain(node))).collect(),
        ),
    }
}
