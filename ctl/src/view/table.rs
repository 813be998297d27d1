//! Columns, cells and their alignment.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// What a cell says about its object; a colour on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Fair,
    /// Wrong.
    Bad,
    /// Not in use.
    Dim,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => colour(AnsiColor::Green),
            Self::Fair => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// One field of one row; `-` when there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell. Control characters, which a peer may have sent, are escaped: they
    /// would break the line or command the terminal.
    pub(crate) fn new(content: impl fmt::Display) -> Self {
        let content = content.to_string();
        let text = match content.as_str() {
            "" => "-".into(),
            text if text.contains(char::is_control) => escape(text),
            _ => content,
        };
        Self { text, tone: Tone::Plain }
    }

    /// A cell that may have nothing to say.
    pub(crate) fn maybe(content: Option<impl fmt::Display>) -> Self {
        content.map_or_else(|| Self::new(""), Self::new)
    }

    /// Several values, separated by commas.
    pub(crate) fn list<T: fmt::Display>(items: &[T]) -> Self {
        Self::new(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    /// The same cell in another tone.
    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn paint(&self, colour: bool) -> String {
        if !colour || self.tone == Tone::Plain {
            return self.text.clone();
        }
        let style = self.tone.style();
        format!("{style}{}{style:#}", self.text)
    }
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// How much a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What one wants to see every time.
    Short,
    /// And why.
    Reasons,
    /// Everything that fits a line.
    Wide,
}

/// A column of a table of `T`.
pub(crate) struct Column<T> {
    title: &'static str,
    from: Level,
    right: bool,
    cell: fn(&T) -> Cell,
}

impl<T> Column<T> {
    /// A column of words, shown from a level on.
    pub(crate) const fn text(from: Level, title: &'static str, cell: fn(&T) -> Cell) -> Self {
        Self { title, from, right: false, cell }
    }

    /// A column of numbers, which stand to the right.
    pub(crate) const fn number(from: Level, title: &'static str, cell: fn(&T) -> Cell) -> Self {
        Self { title, from, right: true, cell }
    }
}

/// A view that is listed in a table.
pub(crate) trait Row: Serialize + Sized + 'static {
    /// The columns, in order.
    const COLUMNS: &'static [Column<Self>];
}

/// A view that is shown alone, a line for each field.
pub(crate) trait Sheet: Serialize {
    /// Names and values, in order.
    fn lines(&self) -> Vec<(&'static str, Cell)>;
}

/// Lays out rows that come in parts. Columns only grow wider: parts are printed
/// as they come, so those before are not moved.
#[derive(Debug)]
pub(crate) struct Layout {
    level: Level,
    colour: bool,
    widths: Vec<usize>,
}

impl Layout {
    /// A layout without rows.
    pub(crate) fn new(level: Level, colour: bool) -> Self {
        Self { level, colour, widths: Vec::new() }
    }

    /// The lines of some rows; before the first of all, the titles.
    pub(crate) fn rows<R: Row>(&mut self, rows: &[R]) -> String {
        let columns: Vec<_> = R::COLUMNS.iter().filter(|column| column.from <= self.level).collect();
        let first = self.widths.is_empty();
        let mut grid: Vec<Vec<Cell>> =
            rows.iter().map(|row| columns.iter().map(|column| (column.cell)(row)).collect()).collect();
        if first {
            grid.insert(0, columns.iter().map(|column| Cell::new(column.title)).collect());
            self.widths = vec![0; columns.len()];
        }
        for cells in &grid {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
        let right: Vec<bool> = columns.iter().map(|column| column.right).collect();
        grid.iter().map(|cells| self.line(cells, &right)).collect()
    }

    fn line(&self, cells: &[Cell], right: &[bool]) -> String {
        let mut line = String::new();
        // Spaces are owed, and paid before the next text: none stands at the end.
        let mut owed = 0;
        for ((cell, width), right) in cells.iter().zip(&self.widths).zip(right) {
            let padding = width.saturating_sub(cell.width());
            let (before, after) = if *right { (padding, 0) } else { (0, padding) };
            line.extend(std::iter::repeat_n(' ', owed + before));
            line.push_str(&cell.paint(self.colour));
            owed = after + 2;
        }
        line.push('\n');
        line
    }
}

/// The lines of one object: names, aligned values.
pub(crate) fn sheet(lines: &[(&'static str, Cell)], colour: bool) -> String {
    let width = lines.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut out, (name, cell)| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}  {}", format!("{name}:"), cell.paint(colour));
        out
    })
}
