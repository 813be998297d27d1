//! Figures of several runs, as a table that reads well in a terminal and in Markdown.

use std::fmt::{self, Write as _};

use super::{engine::Engine, progress};
use crate::Result;

/// How often a router may fail in a row before it is left alone.
const FAILURES: usize = 2;

/// The figures of one row of the benchmark.
#[derive(Debug)]
pub(super) struct Sheet {
    title: String,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
    notes: Vec<String>,
    /// Who failed, in which run, and why.
    failures: Vec<(&'static str, usize, String)>,
}

#[derive(Debug)]
struct Line {
    name: String,
    /// One list of figures for each column; a run that has no such figure adds none.
    figures: Vec<Vec<f64>>,
}

/// The name of the line to which the others are set in relation.
const OURS: &str = "routed";

impl Sheet {
    /// An empty sheet.
    pub(super) fn new(title: impl Into<String>, columns: &[&'static str]) -> Sheet {
        Sheet {
            title: title.into(),
            columns: columns.to_vec(),
            lines: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the figures of a run, in the order of the columns.
    pub(super) fn add(&mut self, name: &str, figures: &[Option<f64>]) {
        let at = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            self.lines.push(Line { name: name.to_owned(), figures: vec![Vec::new(); self.columns.len()] });
            self.lines.len() - 1
        });
        for (column, figure) in self.lines[at].figures.iter_mut().zip(figures) {
            column.extend(figure);
        }
    }

    /// Measures each router in turn, so often, and adds the figures. A router
    /// that fails stands in the table with the reason, and ends nothing.
    pub(super) fn measure<const N: usize>(
        &mut self,
        runs: usize,
        engines: &[Engine],
        mut run: impl FnMut(usize, Engine) -> Result<[Option<f64>; N]>,
    ) {
        for number in 1..=runs {
            for engine in engines {
                self.attempt(engine.name(), number, || run(number, *engine));
            }
        }
    }

    /// Adds the figures of a run, or that it failed and why.
    pub(super) fn attempt<const N: usize>(
        &mut self,
        name: &'static str,
        run: usize,
        measure: impl FnOnce() -> Result<[Option<f64>; N]>,
    ) {
        if self.failures.iter().filter(|(failed, ..)| *failed == name).count() >= FAILURES {
            return;
        }
        match measure() {
            Ok(figures) => self.add(name, &figures),
            Err(why) => {
                let why = why.to_string();
                progress(&format!("{name} failed: {why}"));
                self.add(name, &[]);
                self.failures.push((name, run, why.lines().next().unwrap_or_default().trim().to_owned()));
            }
        }
    }

    /// What failed, a sentence each.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        self.failures.iter().map(|(name, run, why)| format!("{name} failed in run {run}: {why}"))
    }

    /// Adds a sentence below the table.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn cells(&self, line: &Line) -> Vec<String> {
        let ours = self.lines.iter().find(|line| line.name == OURS);
        let figures = line.figures.iter().enumerate().map(|(column, figures)| {
            let Some([least, middle, most]) = spread(figures) else { return "–".to_owned() };
            let ours = ours.and_then(|ours| spread(&ours.figures[column])).map(|[_, middle, _]| middle);
            let ratio = ours.filter(|ours| *ours > 0.0).map(|ours| format!(" ({:.2})", middle / ours));
            format!("{} / {} / {}{}", short(least), short(middle), short(most), ratio.unwrap_or_default())
        });
        [line.name.clone()].into_iter().chain(figures).collect()
    }
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [""].iter().chain(&self.columns).map(|name| (*name).to_owned()).collect();
        let rows: Vec<Vec<String>> =
            [head].into_iter().chain(self.lines.iter().map(|l| self.cells(l))).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=self.columns.len()).map(width).collect();
        writeln!(f, "**{}**\n", self.title)?;
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("| {cell:width$} "));
            writeln!(f, "{}|", cells.collect::<String>())?;
            if number == 0 {
                let rule = widths.iter().map(|width| format!("|{}", "-".repeat(width + 2)));
                writeln!(f, "{}|", rule.collect::<String>())?;
            }
        }
        let mut notes = String::new();
        let failures = self.failures();
        self.notes.iter().cloned().chain(failures).try_for_each(|note| writeln!(notes, "\n{note}"))?;
        f.write_str(&notes)
    }
}

/// Least, median and greatest.
fn spread(figures: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?])
}

/// Three digits or so.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.1 => format!("{figure:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{figure:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_spread_and_ratio_and_what_is_missing() {
        let mut sheet = Sheet::new("Row", &["s", "MB"]);
        for run in [2.0, 1.0, 4.0] {
            sheet.add("routed", &[Some(run), Some(100.0)]);
        }
        sheet.add("BIRD", &[Some(5.0), None]);
        let text = sheet.to_string();
        assert!(text.contains("| routed | 1.00 / 2.00 / 4.00 (1.00) | 100 / 100 / 100 (1.00) |"), "{text}");
        sheet.attempt::<2>("GoBGP", 1, || Err(crate::Error::Claim("too slow\nits log".to_owned())));
        sheet.attempt("GoBGP", 2, || Ok([Some(1.0), None]));
        assert!(text.contains("| BIRD   | 5.00 / 5.00 / 5.00 (2.50) | –"), "{text}");
    }
}
