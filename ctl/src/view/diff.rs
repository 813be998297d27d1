//! The difference of two short texts, as `diff -u` prints it and `patch` reads it.

use std::fmt::Write as _;

/// Unchanged lines that are shown around the change.
const CONTEXT: usize = 3;

/// One hunk from the first line that differs to the last; nothing where none
/// does. `old` is none for a file that does not exist.
pub(crate) fn unified(name: &str, old: Option<&str>, new: &str) -> String {
    let old_name = if old.is_some() { name } else { "/dev/null" };
    let old: Vec<_> = old.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<_> = new.split_inclusive('\n').collect();
    if old == new {
        return String::new();
    }
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let most = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(old, new)| old == new).count();
    let from = same.saturating_sub(CONTEXT);
    let after = tail.min(CONTEXT);
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let mut out = format!("--- {old_name}\n+++ {name}\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "@@ -{} +{} @@", span(from, old_end + after), span(from, new_end + after));
    let mut lines = |sign: char, lines: &[&str]| {
        for line in lines {
            let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            let _ = write!(out, "{sign}{line}{end}");
        }
    };
    lines(' ', &old[from..same]);
    lines('-', &old[same..old_end]);
    lines('+', &new[same..new_end]);
    lines(' ', &old[old_end..old_end + after]);
    out
}

/// Lines from one index up to another as a hunk's head has them: first, number.
fn span(from: usize, to: usize) -> String {
    let first = if from == to { from } else { from + 1 };
    format!("{first},{}", to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_all_new() {
        assert_eq!(unified("f", None, "{\n}\n"), "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+{\n+}\n");
        assert_eq!(unified("f", Some("{\n"), "{\n"), "");
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = old.replace("5\n", "five\nand a half\n");
        assert_eq!(
            unified("f", Some(old), &new),
            "--- f\n+++ f\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n+and a half\n 6\n 7\n 8\n"
        );
    }

    #[test]
    fn an_end_without_a_newline_is_said() {
        assert_eq!(
            unified("f", Some("{}"), "{\n}"),
            "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-{}\n\\ No newline at end of file\n+{\n+}\n\\ No newline at end of file\n"
        );
    }

    /// What `patch` does with one hunk: the lines that it expects, and those it leaves.
    fn apply(diff: &str) -> (String, String) {
        let (mut before, mut after) = (String::new(), String::new());
        let diff = diff.replace("\n\\ No newline at end of file\n", "\0");
        for line in diff.split_inclusive(['\n', '\0']).skip(3) {
            let text = line[1..].trim_end_matches('\0');
            match &line[..1] {
                "-" => before.push_str(text),
                "+" => after.push_str(text),
                _ => (before.push_str(text), after.push_str(text)).0,
            }
        }
        (before, after)
    }

    #[test]
    fn old_and_new_can_be_made_from_the_difference() {
        let texts = ["a\nb\nc\n", "a\nb\nX\nc\n", "a\n", "", "a\nb\nb\nc", "b\nc", "b\nb\n", "a\nb\nc"];
        for (old, new) in texts.iter().flat_map(|old| texts.iter().map(move |new| (*old, *new))) {
            if old != new {
                let diff = unified("f", Some(old), new);
                assert_eq!(apply(&diff), (old.into(), new.into()), "{diff}");
            }
        }
    }
}
