//! Writes views to standard output in the form that was asked for.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::table::{self, Layout, Level, Row, Sheet};
use crate::cli::Format;

/// Standard output in one form.
pub(crate) struct Printer {
    out: Box<dyn Write>,
    format: Format,
    colour: bool,
}

impl Printer {
    /// Standard output; colours only on a terminal, where nobody said no.
    pub(crate) fn stdout(format: Format, no_color: bool) -> Self {
        let stdout = io::stdout();
        let colour = !no_color && AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { out: Box::new(BufWriter::new(stdout)), format, colour }
    }

    /// Any writer.
    #[cfg(test)]
    pub(crate) fn new(out: Box<dyn Write>, format: Format, colour: bool) -> Self {
        Self { out, format, colour }
    }

    /// The form of the output.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A list that is there as a whole.
    pub(crate) fn list<R: Row>(&mut self, rows: &[R]) -> io::Result<()> {
        let mut list = self.begin(Level::Short);
        list.push(rows)?;
        list.end()
    }

    /// A list that comes in parts; the table shows at least `level`.
    pub(crate) fn begin(&mut self, level: Level) -> List<'_> {
        let level = if self.format == Format::Wide { Level::Wide } else { level };
        List { layout: Layout::new(level, self.colour), empty: true, printer: self }
    }

    /// One object.
    pub(crate) fn sheet(&mut self, sheet: &impl Sheet) -> io::Result<()> {
        let colour = self.colour;
        self.object(sheet, || table::sheet(&sheet.lines(), colour))
    }

    /// One object, which is a sentence for people.
    pub(crate) fn line(&mut self, view: &impl Serialize, sentence: impl Display) -> io::Result<()> {
        self.object(view, || format!("{sentence}\n"))
    }

    /// One object, which is some text for people.
    pub(crate) fn object(&mut self, view: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Wide => self.text(&text()),
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.out, view)?;
                self.text("\n")
            }
            Format::Yaml => self.text(&yaml(view)?),
        }
    }

    /// One of many objects without an end, each at once: JSON Lines, or YAML
    /// documents.
    pub(crate) fn event(&mut self, view: &impl Serialize, sentence: impl Display) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Wide => writeln!(self.out, "{sentence}")?,
            Format::Json => {
                serde_json::to_writer(&mut self.out, view)?;
                self.text("\n")?;
            }
            Format::Yaml => {
                let document = yaml(view)?;
                write!(self.out, "---\n{document}")?;
            }
        }
        self.flush()
    }

    /// Text as it is, whatever the form.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Everything that was written leaves.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Text is always quoted: many readers still follow YAML 1.1, in which the
/// community 64512:10 is a number of base 60.
fn yaml(view: &impl Serialize) -> io::Result<String> {
    let options = serde_saphyr::ser_options! { quote_all: true };
    let mut text = serde_saphyr::to_string_with_options(view, options).map_err(io::Error::other)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A list that is being written. In JSON it has one line for each object.
pub(crate) struct List<'p> {
    printer: &'p mut Printer,
    layout: Layout,
    empty: bool,
}

impl List<'_> {
    /// The next part of the list.
    pub(crate) fn push<R: Row>(&mut self, rows: &[R]) -> io::Result<()> {
        match self.printer.format {
            Format::Table | Format::Wide => self.printer.text(&self.layout.rows(rows))?,
            Format::Json => {
                for row in rows {
                    self.printer.text(if self.empty { "[\n  " } else { ",\n  " })?;
                    serde_json::to_writer(&mut self.printer.out, row)?;
                    self.empty = false;
                }
            }
            Format::Yaml if rows.is_empty() => {}
            // Two sequences, one after the other, are one sequence.
            Format::Yaml => self.printer.text(&yaml(&rows)?)?,
        }
        self.empty &= rows.is_empty();
        Ok(())
    }

    /// The list is complete.
    pub(crate) fn end(self) -> io::Result<()> {
        match (self.printer.format, self.empty) {
            (Format::Table | Format::Wide, _) | (Format::Yaml, false) => Ok(()),
            (Format::Json, false) => self.printer.text("\n]\n"),
            (Format::Json | Format::Yaml, true) => self.printer.text("[]\n"),
        }
    }
}
