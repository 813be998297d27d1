//! The text of a configuration file: a configuration that can be printed and
//! read again, or findings of which each has a place in the text.

use routed::config::change::diff;
use routed::config::{Diagnostic, Severity, parse};

/// Every finding says something and stands inside the text.
pub(crate) fn check(source: &str, findings: &[Diagnostic]) {
    let lines: Vec<&str> = source.split('\n').collect();
    for finding in findings {
        assert!(!finding.message.is_empty(), "{finding:?}");
        let line = finding.line.checked_sub(1).and_then(|at| lines.get(at));
        let line = line.unwrap_or_else(|| panic!("{finding:?} is outside {source:?}"));
        assert!((1..=line.chars().count() + 1).contains(&finding.column), "{finding:?} in {source:?}");
    }
}

/// Reads a file.
///
/// # Panics
/// When a property does not hold.
pub fn run(source: &str) {
    // Keys are read from files; none that answers for ever.
    if source.contains("/dev") || source.contains("/proc") {
        return;
    }
    match parse("routed.toml", source) {
        Err(findings) => {
            assert!(findings.iter().any(|finding| finding.severity == Severity::Error), "{findings:?}");
            check(source, &findings);
        }
        Ok((config, findings)) => {
            assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
            check(source, &findings);
            let printed = config.to_toml().expect("a configuration can be printed");
            match parse("printed.toml", &printed) {
                // All but the names of groups, whose keys stand with the peers then.
                Ok((again, _)) => {
                    assert_eq!(again.to_toml().as_ref(), Ok(&printed));
                    let groups =
                        config.bgp.iter().flat_map(|bgp| &bgp.peers).any(|peer| peer.group.is_some());
                    assert!(groups || diff(&config, &again).is_empty(), "{printed}");
                }
                Err(findings) => panic!("{findings:?} in {printed}"),
            }
            if let Ok((nothing, _)) = parse("empty.toml", "") {
                // What a reload to and fro would do.
                let _ = (diff(&config, &nothing), diff(&nothing, &config));
            }
        }
    }
}
