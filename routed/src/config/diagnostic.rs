//! What is wrong with a configuration file, and where.

use std::fmt;
use std::ops::Range;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The daemon starts and says so.
    Warning,
    /// The daemon does not start; on reload it keeps what it had.
    Error,
}

/// One finding in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named on the command line.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    /// `FILE:LINE:COL: message`, as compilers print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, .. } = self;
        let severity = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, "{file}:{line}:{column}: {severity}{message}")
    }
}

/// Collects the findings of one file and knows where its lines begin.
pub(super) struct Findings<'a> {
    file: &'a str,
    source: &'a str,
    list: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(file: &'a str, source: &'a str) -> Self {
        Self { file, source, list: Vec::new() }
    }

    pub(super) fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.add(Severity::Error, span, message.into());
    }

    pub(super) fn warning(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.add(Severity::Warning, span, message.into());
    }

    /// The findings in the order of the file, each once: what is wrong with
    /// the keys of a group is found with every peer of it.
    pub(super) fn into_list(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        self.list.dedup();
        self.list
    }

    fn add(&mut self, severity: Severity, span: &Range<usize>, message: String) {
        let before = self.source.get(..span.start).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        self.list.push(Diagnostic { file: self.file.to_owned(), line, column, severity, message });
    }
}
