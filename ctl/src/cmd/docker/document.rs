//! `daemon.json` as text in which one value changes: what the user wrote
//! around it stays as it was written, order and blanks included.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::bip::Bip;

/// A file that is not there, as dockerd sees it.
const NEW: &str = "{\n}\n";

/// A JSON object and where its values are. Text of blanks alone is an object
/// without keys, as it is to dockerd.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    text: &'t str,
    entries: Vec<(String, &'t RawValue)>,
}

impl<'t> Document<'t> {
    /// Reads the text. Refused: what is no JSON, no object, or says `bip` twice.
    pub(crate) fn parse(text: &'t str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() {
            return Ok(Self { text: NEW, entries: Vec::new() });
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let entries = json.deserialize_map(Entries)?;
        json.end()?;
        Ok(Self { text, entries })
    }

    /// The text of a key that is a string, or of any other value as it stands.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let (_, value) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().into()))
    }

    /// The text with this `bip`, and otherwise the same.
    pub(crate) fn with_bip(&self, bip: Bip) -> String {
        let value = format!("\"{bip}\"");
        let (start, old, new) = match (self.entries.iter().find(|(key, _)| key == "bip"), self.entries.last())
        {
            (Some((_, old)), _) => (self.offset(old), old.get().len(), value),
            (None, Some((_, last))) => (self.offset(last) + last.get().len(), 0, self.entry(&value)),
            (None, None) => (self.brace() + 1, self.blank().len(), format!("\n  \"bip\": {value}\n")),
        };
        [&self.text[..start], &new, &self.text[start + old..]].concat()
    }

    /// Why dockerd would not start with this `bip`: another key that does not go
    /// with it.
    pub(crate) fn clash(&self, bip: Bip) -> Option<String> {
        if let Some(bridge) = self.get("bridge").filter(|bridge| !bridge.is_empty()) {
            return Some(format!(
                "\"bridge\" is {bridge}, and dockerd takes either that or \"bip\"; remove it, or give that \
                 bridge an address of the block"
            ));
        }
        ["fixed-cidr", "default-gateway"].into_iter().find_map(|key| {
            let value = self.get(key)?;
            let address: Ipv4Addr = value.split('/').next()?.parse().ok()?;
            let outside = !bip.covers(address);
            outside.then(|| format!("\"{key}\" is {value}, which is outside of {bip}; change or remove it"))
        })
    }

    /// A new last entry, set apart from the one before as the first is from the
    /// brace.
    fn entry(&self, value: &str) -> String {
        let blank = if self.blank().contains('\n') { self.blank() } else { " " };
        format!(",{blank}\"bip\": {value}")
    }

    /// What stands between the opening brace and what follows it.
    fn blank(&self) -> &'t str {
        let inside = &self.text[self.brace() + 1..];
        &inside[..inside.len() - inside.trim_start().len()]
    }

    fn brace(&self) -> usize {
        self.text.find('{').unwrap_or(0)
    }

    /// Where a value stands: it is borrowed from the text.
    fn offset(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr() - self.text.as_ptr().addr()
    }
}

/// Reads an object as a list of its entries.
struct Entries;

impl<'t> Visitor<'t> for Entries {
    type Value = Vec<(String, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object in braces")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Self::Value::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if key == "bip" && entries.iter().any(|(name, _)| *name == key) {
                return Err(A::Error::custom("\"bip\" stands there twice"));
            }
            entries.push((key, value));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIP: &str = "10.244.1.1/24";

    fn bip() -> Bip {
        BIP.parse().expect("a bip")
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let document = Document::parse(text).expect("an object");
        let actual = document.with_bip(bip());
        assert_eq!(actual, expected);
        let again = Document::parse(&actual).expect("an object still");
        assert_eq!(again.get("bip").as_deref(), Some(BIP));
        assert_eq!(again.with_bip(bip()), actual, "twice is once");
        let others = |document: &Document<'_>| -> Vec<(String, String)> {
            let others = document.entries.iter().filter(|(key, _)| key != "bip");
            others.map(|(key, value)| (key.clone(), value.get().into())).collect()
        };
        assert_eq!(others(&again), others(&document), "every other key, in its order");
    }

    #[test]
    fn an_empty_file_gets_an_object() {
        for text in ["", " \n"] {
            check(text, "{\n  \"bip\": \"10.244.1.1/24\"\n}\n");
        }
        check("{\n}\n", "{\n  \"bip\": \"10.244.1.1/24\"\n}\n");
        check("{}", "{\n  \"bip\": \"10.244.1.1/24\"\n}");
        check("{ }\n", "{\n  \"bip\": \"10.244.1.1/24\"\n}\n");
    }

    #[test]
    fn a_new_key_is_last_and_looks_like_the_others() {
        check(
            "{\n    \"log-driver\": \"journald\",\n    \"debug\": true\n}\n",
            "{\n    \"log-driver\": \"journald\",\n    \"debug\": true,\n    \"bip\": \"10.244.1.1/24\"\n}\n",
        );
        check("{\r\n\t\"debug\":true\r\n}", "{\r\n\t\"debug\":true,\r\n\t\"bip\": \"10.244.1.1/24\"\r\n}");
        check(
            "{\"z\": 1, \"a\": {\"bip\": 2}}",
            "{\"z\": 1, \"a\": {\"bip\": 2}, \"bip\": \"10.244.1.1/24\"}",
        );
        check("{ \"dns\": [ \"}\" ] }", "{ \"dns\": [ \"}\" ], \"bip\": \"10.244.1.1/24\" }");
    }

    #[test]
    fn a_value_that_is_there_is_replaced_where_it_stands() {
        check(
            "{\"bip\" : \"172.17.0.1/16\" , \"mtu\": 1450}",
            "{\"bip\" : \"10.244.1.1/24\" , \"mtu\": 1450}",
        );
        check(
            "{\n  \"mtu\": 1450,\n  \"bip\":null\n}",
            "{\n  \"mtu\": 1450,\n  \"bip\":\"10.244.1.1/24\"\n}",
        );
        check("{\"b\\u0069p\": \"\"}", "{\"b\\u0069p\": \"10.244.1.1/24\"}");
    }

    #[test]
    fn what_dockerd_would_not_read_is_refused() {
        for (text, line) in [
            ("{\n  \"debug\": true,\n}\n", 3),
            ("{\n  # a remark\n}\n", 2),
            ("[]", 1),
            ("\"bip\"", 1),
            ("{}\n{}", 2),
            ("{\n\"bip\": 1,\n\"bip\": 2}", 3),
            ("{\"debug\": ", 1),
        ] {
            let error = Document::parse(text).expect_err(text);
            assert_eq!(error.line(), line, "{text}: {error}");
        }
    }

    #[test]
    fn keys_that_do_not_go_with_it_are_named() {
        let clash = |text: &str| Document::parse(text).expect("an object").clash(bip());
        assert!(clash("{\"bridge\": \"br0\"}").expect("a clash").starts_with("\"bridge\" is br0, and"));
        let outside = clash("{\"fixed-cidr\": \"172.17.1.0/24\"}").expect("a clash");
        assert_eq!(
            outside,
            "\"fixed-cidr\" is 172.17.1.0/24, which is outside of 10.244.1.1/24; change or remove it"
        );
        assert!(clash("{\"default-gateway\": \"172.17.0.9\"}").is_some());
        for text in ["{}", "{\"bridge\": \"\"}", "{\"fixed-cidr\": \"10.244.1.128/25\", \"mtu\": 1450}"] {
            assert_eq!(clash(text), None, "{text}");
        }
    }
}
