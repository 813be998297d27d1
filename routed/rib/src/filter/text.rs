//! How the words of a filter are read: one value or a list, as text or number.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use net::Origin;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// Reads one value or a list of values.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

/// Reads the values of a condition, one or a list. An empty list met nothing in
/// the mind of who wrote it, and everything as a condition without values.
pub(super) fn any_of<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let values = list(deserializer)?;
    if values.is_empty() {
        return Err(D::Error::custom(
            "the list is empty and meets nothing; name a value or take the condition away",
        ));
    }
    Ok(values)
}

/// Reads one value or a list of values, where an empty list says something.
pub(super) fn some_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    list(deserializer).map(Some)
}

/// Reads exactly one value.
pub(super) fn some<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let mut values: Vec<T> = list(deserializer)?;
    match values.len() {
        1 => Ok(values.pop()),
        count => Err(D::Error::custom(format!("one value is needed here, not {count}"))),
    }
}

/// Reads a name.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    Ok(Arc::from(text))
}

/// Reads an ORIGIN by its name.
pub(super) fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Origin>, D::Error> {
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    let known = [Origin::Igp, Origin::Egp, Origin::Incomplete];
    let found = known.into_iter().find(|origin| origin.to_string() == text);
    found.map(Some).ok_or_else(|| D::Error::custom("an origin is \"igp\", \"egp\" or \"incomplete\""))
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for OneOrMany<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map(|value| vec![value]).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Word(text)) = seq.next_element()? {
            values.push(text.parse().map_err(A::Error::custom)?);
        }
        Ok(values)
    }
}

/// A text, or a number as one.
struct Word(String);

impl<'de> serde::Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut words: Vec<String> = list(deserializer)?;
        match (words.pop(), words.is_empty()) {
            (Some(word), true) => Ok(Self(word)),
            _ => Err(D::Error::custom("a value is expected, not a list")),
        }
    }
}
