//! The way to a verdict in sentences, for `routectl policy trace`.

use std::fmt;

use crate::{Action, Direction, Reason, Step, Verdict};

impl Reason {
    /// The direction in which it was decided; none where neither end is a
    /// container that policy looks at.
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Self::Rule { direction, .. }
            | Self::Passed { direction, .. }
            | Self::NoRule(direction)
            | Self::NotSelected(direction) => Some(*direction),
            Self::NoContainer | Self::Node | Self::NeighbourDiscovery => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { policy, direction, index } => write!(f, "{direction} rule {index} of {policy}"),
            Self::Passed { policy, direction, index } => {
                write!(f, "{direction} rule {index} of {policy} passes on to the default")
            }
            Self::NoRule(direction) => {
                write!(f, "no {direction} rule of the policies that select it matches")
            }
            Self::NotSelected(direction) => {
                write!(f, "no policy selects it for {direction}: the default decides")
            }
            Self::NoContainer => f.write_str("neither end is a container of this node"),
            Self::Node => f.write_str("one end is the node itself, which is not filtered"),
            Self::NeighbourDiscovery => f.write_str("neighbour discovery is never dropped"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { direction, address, endpoint } => {
                let name = endpoint.as_deref().unwrap_or("a container without a name");
                write!(f, "{direction}: {address} is {name}")
            }
            Self::Policy { policy, direction } => write!(f, "{direction}: {policy} selects it"),
            Self::Rule { index, action, matched } => {
                let action = match action {
                    Action::Allow => "Allow",
                    Action::Deny => "Deny",
                    Action::Log => "Log",
                    Action::Pass => "Pass",
                };
                write!(f, "rule {index} ({action}) {}", if *matched { "matches" } else { "does not match" })
            }
            Self::Decided { verdict, reason } => write!(f, "{verdict}: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_as_sentences() {
        let policy = "GlobalNetworkPolicy/web".parse().unwrap();
        let reason = Reason::Rule { policy, direction: Direction::Ingress, index: 0 };
        assert_eq!(reason.direction(), Some(Direction::Ingress));
        let decided = Step::Decided { verdict: Verdict::Deny, reason };
        assert_eq!(decided.to_string(), "deny: ingress rule 0 of GlobalNetworkPolicy/web");
        let rule = Step::Rule { index: 1, action: Action::Allow, matched: false };
        assert_eq!(rule.to_string(), "rule 1 (Allow) does not match");
    }
}
