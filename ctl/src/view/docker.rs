//! View of what was done to Docker's configuration.

use serde::Serialize;

/// What became of `daemon.json`.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigureView {
    /// The file.
    pub(crate) file: String,
    /// What was done to it.
    pub(crate) outcome: Outcome,
    /// The `bip` that it has now, or would have.
    pub(crate) bip: String,
    /// The `bip` that it had.
    pub(crate) previous: Option<String>,
    /// The change, as `diff -u` prints it; empty where there is none.
    pub(crate) diff: String,
    /// Where the old file is kept.
    pub(crate) backup: Option<String>,
    /// What is left to do by hand.
    pub(crate) next_steps: Vec<String>,
}

/// What was done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It says so already.
    Unchanged,
    /// Nothing: the change is only shown.
    Planned,
    /// It was written.
    Written,
}

impl ConfigureView {
    /// What is said after the change was shown.
    pub(crate) fn text(&self) -> String {
        let Self { file, bip, .. } = self;
        match (self.outcome, &self.backup) {
            (Outcome::Unchanged, _) => {
                format!("{file}: bip is {bip} already; nothing to write\n")
            }
            (Outcome::Planned, _) => String::new(),
            (Outcome::Written, None) => format!("wrote {file}\n{}", self.steps()),
            (Outcome::Written, Some(backup)) => {
                format!("wrote {file}; the old one is {backup}\n{}", self.steps())
            }
        }
    }

    fn steps(&self) -> String {
        let steps = self.next_steps.iter().map(|step| format!("- {step}\n"));
        std::iter::once("left to do, see docs/docker.md:\n".to_owned()).chain(steps).collect()
    }
}
