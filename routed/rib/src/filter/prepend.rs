//! What a rule puts in front of the AS path.

use std::fmt;

use net::{AsPath, Asn};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest list of AS numbers that is put in front.
const MOST: usize = u8::MAX as usize;

/// AS numbers in front of a path: our own so many times (`2`), or these, the
/// first of them in front (`"65001 65002"`, `[65001, 65002]`,
/// `{ asn = 65001, count = 2 }`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepend {
    /// Our own AS, so many times.
    Own(u8),
    /// These.
    These(Vec<Asn>),
}

impl Default for Prepend {
    fn default() -> Self {
        Self::Own(0)
    }
}

impl Prepend {
    /// True when nothing is put in front.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Own(count) => *count == 0,
            Self::These(numbers) => numbers.is_empty(),
        }
    }

    /// The path with these in front; `own` is our AS.
    pub fn before(&self, path: &AsPath, own: Asn) -> AsPath {
        match self {
            Self::Own(count) => path.prepended(own, (*count).into()),
            Self::These(numbers) => {
                numbers.iter().rev().fold(path.clone(), |path, asn| path.prepended(*asn, 1))
            }
        }
    }

    fn these<E: Error>(numbers: Vec<Asn>) -> Result<Self, E> {
        if let Some(asn) = numbers.iter().find(|asn| asn.is_reserved()) {
            return Err(E::custom(format!("AS {asn} is reserved and stands in no path")));
        }
        if numbers.len() > MOST {
            return Err(E::custom(format!("{} AS numbers are too many, {MOST} at most", numbers.len())));
        }
        Ok(Self::These(numbers))
    }
}

/// An AS number as a number or as text.
struct Number(Asn);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::some(deserializer)?.map(Self).ok_or_else(|| D::Error::custom("an AS number is needed"))
    }
}

impl<'de> Deserialize<'de> for Prepend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shapes)
    }
}

struct Shapes;

impl<'de> Visitor<'de> for Shapes {
    type Value = Prepend;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("how often our own AS is put in front (0 to 255), or a list of AS numbers")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Prepend, E> {
        u8::try_from(number).map(Prepend::Own).map_err(|_| {
            E::custom(format!(
                "{number} times is not from 0 to 255; to put another AS in front write \"65001 65001\""
            ))
        })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Prepend, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prepend, E> {
        let numbers: Result<Vec<Asn>, _> = text.split_whitespace().map(str::parse).collect();
        Prepend::these(numbers.map_err(E::custom)?)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Prepend, A::Error> {
        let mut numbers = Vec::new();
        while let Some(Number(asn)) = seq.next_element()? {
            numbers.push(asn);
        }
        Prepend::these(numbers)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prepend, A::Error> {
        let (mut asn, mut count) = (None, 1);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "asn" => asn = Some(map.next_value::<Number>()?.0),
                "count" => count = map.next_value::<u8>()?,
                _ => return Err(A::Error::unknown_field(&key, &["asn", "count"])),
            }
        }
        match asn {
            Some(asn) => Prepend::these(vec![asn; count.into()]),
            None => Ok(Prepend::Own(count)),
        }
    }
}
