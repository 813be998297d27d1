//! Figures of several runs, as a table that reads well in a terminal and in Markdown.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::{engine::Engine, progress};
use crate::{Result, wait::now};

/// How often a router may fail in a row before it is left alone.
const FAILURES: usize = 2;
/// Who needs longer for a run is measured once, but for ours.
const SLOW: Duration = Duration::from_secs(40);
/// Columns that say how the run went, not how the router did: no ratios there.
const ABOUT_THE_RUN: [&str; 2] = ["load's CPU s", "CPUs of others"];

/// The figures of one row of the benchmark.
#[derive(Debug)]
pub(super) struct Sheet {
    title: String,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
    notes: Vec<String>,
    /// Who failed, in which run, and why.
    failures: Vec<(&'static str, usize, String)>,
    /// Who is slow, and how long a run took.
    slow: Vec<(&'static str, Duration)>,
    /// How many runs there were.
    runs: usize,
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
            slow: Vec::new(),
            runs: 0,
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
        self.runs = self.runs.max(run);
        let failures = self.failures.iter().filter(|(failed, ..)| *failed == name).count();
        if failures >= FAILURES || self.slow.iter().any(|(slow, _)| *slow == name) {
            return;
        }
        let began = now();
        match measure() {
            Ok(figures) => {
                self.add(name, &figures);
                if began.elapsed() > SLOW && name != OURS {
                    self.slow.push((name, began.elapsed()));
                }
            }
            Err(why) => {
                let why = why.to_string();
                progress(&format!("{name} failed: {why}"));
                self.add(name, &[]);
                self.failures.push((name, run, why.lines().next().unwrap_or_default().trim().to_owned()));
            }
        }
    }

    /// Who was measured once only, though more was asked for.
    fn once(&self) -> Option<String> {
        let slow = self.slow.iter().map(|(name, took)| format!("{name} ({} s)", took.as_secs()));
        let slow = slow.collect::<Vec<_>>().join(", ");
        (self.runs > 1 && !slow.is_empty()).then(|| format!("One run only, for it takes long: {slow}."))
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
            let compared = !ABOUT_THE_RUN.contains(&self.columns[column]);
            let ratio = ours.filter(|ours| *ours > 0.0 && compared);
            let ratio = ratio.map(|ours| format!(" ({:.2})", middle / ours)).unwrap_or_default();
            match figures.len() {
                1 => short(middle) + &ratio,
                _ => format!("{} / {} / {}{ratio}", short(least), short(middle), short(most)),
            }
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
        let rest = self.once().into_iter().chain(self.failures());
        self.notes.iter().cloned().chain(rest).try_for_each(|note| writeln!(notes, "\n{note}"))?;
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
        size if size >= 0.001 => format!("{figure:.3}"),
        _ => format!("{figure:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_spread_and_ratio_and_what_is_missing() {
        let mut sheet = Sheet::new("Row", &["s", "MB", "CPUs of others"]);
        for run in [2.0, 1.0, 4.0] {
            sheet.add("routed", &[Some(run), Some(100.0), Some(0.5)]);
        }
        sheet.add("BIRD", &[Some(5.0), None, Some(1.0)]);
        let text = sheet.to_string();
        let ours = "| routed | 1.00 / 2.00 / 4.00 (1.00) | 100 / 100 / 100 (1.00) | 0.50 / 0.50 / 0.50 |";
        assert!(text.contains(ours), "{text}");
        let other = "| BIRD   | 5.00 (2.50)               | –                      | 1.00               |";
        assert!(text.contains(other), "{text}");
    }

    #[test]
    fn who_fails_stands_in_the_sheet_and_is_left_alone_after_the_second_time() {
        let mut sheet = Sheet::new("Row", &["s"]);
        let why = || Err(crate::Error::Claim("too late\nits log".to_owned()));
        let mut runs = 0;
        sheet.measure::<1>(4, &[Engine::Bird, Engine::Routed], |run, engine| match (run, engine) {
            (2.., Engine::Bird) => {
                runs += 1;
                why()
            }
            _ => Ok([Some(1.0)]),
        });
        assert_eq!(runs, 2);
        let text = sheet.to_string();
        assert!(text.contains("| BIRD   | 1.00 (1.00)"), "{text}");
        assert!(text.contains("| routed | 1.00 / 1.00 / 1.00 (1.00) |"), "{text}");
        assert!(text.contains("BIRD failed in run 3: too late\n"), "{text}");
        assert_eq!(sheet.failures().count(), 2);
    }
}
