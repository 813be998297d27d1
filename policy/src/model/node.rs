//! YAML (and so JSON) as a tree that remembers where each part was written.

use granit_parser::{Event, Marker, Parser, ScalarStyle};

/// A place in a file: both count from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl At {
    fn of(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A value and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing was written, or `null` or `~`.
    Null,
    /// A scalar, quoted or not.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file; keys can come twice.
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// What to call it in a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text or number",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Why the text is no YAML, and where.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) at: At,
    pub(crate) message: String,
}

/// The documents of a text; empty ones are left out. The parser bounds the
/// nesting, and aliases are refused, so the tree is never larger than a
/// constant times the text.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    let mut documents = Vec::new();
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => {
                let node = reader.node(event, at)?;
                if !matches!(node.value, Value::Null) {
                    documents.push(node);
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    /// The next event that is data.
    fn next(&mut self) -> Result<(Event<'a>, At), SyntaxError> {
        loop {
            match self.parser.next_event() {
                None => return Ok((Event::StreamEnd, At::default())),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok((event, At::of(span.start))),
                Some(Err(error)) => {
                    return Err(SyntaxError { at: At::of(*error.marker()), message: error.info().clone() });
                }
            }
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'a>, at: At) -> Result<Node, SyntaxError> {
        let value = match event {
            Event::Scalar(text, style, ..) => {
                if style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        (event, at) => items.push(self.node(event, at)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    match self.next()? {
                        (Event::MappingEnd, _) => break Value::Map(entries),
                        (event, at) => {
                            let key = self.node(event, at)?;
                            let (event, at) = self.next()?;
                            entries.push((key, self.node(event, at)?));
                        }
                    }
                }
            }
            Event::Alias(_) => {
                let message = "aliases are not read; write the value in full".to_owned();
                return Err(SyntaxError { at, message });
            }
            other => {
                let message = format!("{other:?} where a value belongs; the file is cut off or damaged");
                return Err(SyntaxError { at, message });
            }
        };
        Ok(Node { at, value })
    }
}
