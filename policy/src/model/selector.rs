//! Selectors: a predicate over labels, in the grammar of Calico.
//!
//! ```text
//! or    = and { "||" and }
//! and   = not { "&&" not }
//! not   = { "!" } ( "(" or ")" | call | label test )
//! call  = "all()" | "global()" | "has(" label ")"
//! test  = "==" text | "!=" text | [ "not" ] "in" "{" [ text { "," text } ] "}"
//!       | "contains" text | "starts with" text | "ends with" text
//! ```
//!
//! A label that is absent is not equal to any text: `!=` and `not in` hold
//! for it, the other tests do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// How deep `!` and parentheses may nest.
const MAX_DEPTH: usize = 64;

/// A parsed selector. It prints as it was written.
#[derive(Clone, Debug)]
pub struct Selector {
    text: String,
    expression: Expression,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    All,
    Global,
    Has(String),
    Label(String, Test),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Is(String),
    IsNot(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("selector {text:?}: at character {position} {found}, where {expected} belongs")]
pub struct ParseSelectorError {
    text: String,
    /// Counts characters from one.
    position: usize,
    found: String,
    expected: &'static str,
}

impl Selector {
    /// `all()`: every endpoint.
    pub fn all() -> Self {
        Self { text: "all()".into(), expression: Expression::All }
    }

    /// True when an endpoint with these labels, in this namespace, is meant.
    pub fn matches(&self, labels: &Labels, namespace: Option<&str>) -> bool {
        self.expression.holds(labels, namespace)
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
    }
}

impl Eq for Selector {}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Expression {
    fn holds(&self, labels: &Labels, namespace: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Global => namespace.is_none(),
            Self::Has(key) => labels.contains_key(key),
            Self::Label(key, test) => test.holds(labels.get(key).map(String::as_str)),
            Self::Not(inner) => !inner.holds(labels, namespace),
            Self::And(parts) => parts.iter().all(|part| part.holds(labels, namespace)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(labels, namespace)),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Is(text) => value == Some(text),
            Self::IsNot(text) => value != Some(text),
            Self::In(texts) => value.is_some_and(|value| texts.contains(value)),
            Self::NotIn(texts) => !value.is_some_and(|value| texts.contains(value)),
            Self::Contains(text) => value.is_some_and(|value| value.contains(text)),
            Self::StartsWith(text) => value.is_some_and(|value| value.starts_with(text)),
            Self::EndsWith(text) => value.is_some_and(|value| value.ends_with(text)),
        }
    }
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    /// An empty text is `all()`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self::all());
        }
        let mut parser = Parser { text, offset: 0, depth: 0 };
        let expression = parser.or()?;
        if !parser.rest().is_empty() {
            return Err(parser.error("&&, || or the end"));
        }
        Ok(Self { text: text.trim().to_owned(), expression })
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
    depth: usize,
}

type Parsed<T> = Result<T, ParseSelectorError>;

impl<'a> Parser<'a> {
    fn or(&mut self) -> Parsed<Expression> {
        let mut parts = vec![self.and()?];
        while self.take("||") {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn and(&mut self) -> Parsed<Expression> {
        let mut parts = vec![self.not()?];
        while self.take("&&") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn not(&mut self) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("no more than 64 levels of ! and parentheses"));
        }
        let expression = if self.take("!") {
            Expression::Not(Box::new(self.not()?))
        } else if self.take("(") {
            let inner = self.or()?;
            self.expect(")", "a closing parenthesis")?;
            inner
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let before = self.offset;
        let label = self.label()?;
        if !self.take("(") {
            return Ok(Expression::Label(label, self.test()?));
        }
        let expression = match label.as_str() {
            "all" => Expression::All,
            "global" => Expression::Global,
            "has" => Expression::Has(self.label()?),
            _ => {
                self.offset = before;
                return Err(self.error("all(), global() or has(label)"));
            }
        };
        self.expect(")", "a closing parenthesis")?;
        Ok(expression)
    }

    fn test(&mut self) -> Parsed<Test> {
        if self.take("==") {
            return Ok(Test::Is(self.quoted()?));
        }
        if self.take("!=") {
            return Ok(Test::IsNot(self.quoted()?));
        }
        match self.words() {
            "in" => Ok(Test::In(self.texts()?)),
            "not in" => Ok(Test::NotIn(self.texts()?)),
            "contains" => Ok(Test::Contains(self.quoted()?)),
            "starts with" => Ok(Test::StartsWith(self.quoted()?)),
            "ends with" => Ok(Test::EndsWith(self.quoted()?)),
            _ => Err(self.error("==, !=, in, not in, contains, starts with or ends with")),
        }
    }

    /// The operator in words that comes next, or nothing.
    fn words(&mut self) -> &'static str {
        const OPERATORS: [&[&str]; 5] =
            [&["in"], &["not", "in"], &["contains"], &["starts", "with"], &["ends", "with"]];
        const NAMES: [&str; 5] = ["in", "not in", "contains", "starts with", "ends with"];
        for (words, name) in OPERATORS.iter().zip(NAMES) {
            let before = self.offset;
            if words.iter().all(|word| self.take_word(word)) {
                return name;
            }
            self.offset = before;
        }
        ""
    }

    fn texts(&mut self) -> Parsed<BTreeSet<String>> {
        let mut texts = BTreeSet::new();
        self.expect("{", "an opening brace")?;
        if self.take("}") {
            return Ok(texts);
        }
        loop {
            texts.insert(self.quoted()?);
            if self.take("}") {
                return Ok(texts);
            }
            self.expect(",", "a comma or a closing brace")?;
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let Some((quote, inner)) = quote.and_then(|quote| Some((quote, rest.get(1..)?))) else {
            return Err(self.error("a quoted text"));
        };
        let Some(length) = inner.find(quote) else {
            return Err(self.error("a text that ends with its quote"));
        };
        self.offset += length + 2;
        Ok(inner[..length].to_owned())
    }

    fn label(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')))
            .unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error("a label, all(), has(label), ! or an opening parenthesis"));
        }
        self.offset += length;
        Ok(rest[..length].to_owned())
    }

    /// What is left, without the space before it.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.offset..];
        let trimmed = rest.trim_start();
        self.offset += rest.len() - trimmed.len();
        trimmed
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.offset += token.len();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        let found = rest.strip_prefix(word).is_some_and(ends);
        if found {
            self.offset += word.len();
        }
        found
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn error(&mut self, expected: &'static str) -> ParseSelectorError {
        let found = match self.rest().chars().next() {
            Some(c) => format!("there is {c:?}"),
            None => "the text ends".to_owned(),
        };
        let position = self.text[..self.offset].chars().count() + 1;
        ParseSelectorError { text: self.text.to_owned(), position, found, expected }
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

#[cfg(test)]
mod tests;
