//! Split horizon: what not to say where it was heard (RFC 2453 §3.4.3).

use crate::INFINITY;
use crate::config::SplitHorizon;

/// Why an entry is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The regular update, or the answer to a request for the whole table.
    Whole,
    /// It has changed.
    Changed,
}

/// The metric to tell on an interface; `None`: say nothing.
///
/// Simple split horizon says nothing of a route that leads back through the
/// interface. When a route has just turned that way its old metric is still
/// in the heads of the neighbours there, so the change itself is told, as
/// unreachable, once.
pub(crate) fn metric(mode: SplitHorizon, leads_back: bool, occasion: Occasion, metric: u8) -> Option<u8> {
    match (mode, leads_back, occasion) {
        (_, false, _) | (SplitHorizon::Off, ..) => Some(metric),
        (SplitHorizon::Poison, true, _) | (SplitHorizon::Simple, true, Occasion::Changed) => Some(INFINITY),
        (SplitHorizon::Simple, true, Occasion::Whole) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_says_what_it_should_of_a_route_that_leads_back() {
        use Occasion::{Changed, Whole};
        for (mode, whole, changed) in [
            (SplitHorizon::Off, Some(3), Some(3)),
            (SplitHorizon::Simple, None, Some(INFINITY)),
            (SplitHorizon::Poison, Some(INFINITY), Some(INFINITY)),
        ] {
            assert_eq!(metric(mode, true, Whole, 3), whole);
            assert_eq!(metric(mode, true, Changed, 3), changed);
            assert_eq!(metric(mode, false, Whole, 3), Some(3));
            assert_eq!(metric(mode, false, Changed, 3), Some(3));
        }
    }
}
