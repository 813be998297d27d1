//! AS paths (RFC 4271 §4.3, RFC 5065).

use std::fmt;

use crate::Asn;

/// The kind of an AS path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentKind {
    /// `AS_SET`, type 1: unordered (RFC 4271 §4.3).
    Set,
    /// `AS_SEQUENCE`, type 2: ordered (RFC 4271 §4.3).
    Sequence,
    /// `AS_CONFED_SEQUENCE`, type 3 (RFC 5065 §3).
    ConfedSequence,
    /// `AS_CONFED_SET`, type 4 (RFC 5065 §3).
    ConfedSet,
}

impl SegmentKind {
    /// True for the segments that stay inside a confederation (RFC 5065 §3).
    pub fn is_confederation(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }
}

/// One segment: its kind and its AS numbers, never more than 255 on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    /// The kind.
    pub kind: SegmentKind,
    /// The numbers, as they stood on the wire.
    pub asns: Vec<Asn>,
}

/// The AS path of a route; empty for what the own AS originates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AsPath {
    /// The segments, nearest AS first.
    pub segments: Vec<Segment>,
}

/// The most AS numbers that one segment can hold (its count is one octet).
pub const MAX_SEGMENT: usize = 255;

impl AsPath {
    /// A path of one sequence; empty when there are no numbers.
    pub fn sequence(asns: impl IntoIterator<Item = u32>) -> Self {
        let asns: Vec<Asn> = asns.into_iter().map(Asn).collect();
        let segments =
            if asns.is_empty() { vec![] } else { vec![Segment { kind: SegmentKind::Sequence, asns }] };
        Self { segments }
    }

    /// The length that the decision process compares: a set counts one, and
    /// confederation segments nothing (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3).
    pub fn hops(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| match segment.kind {
                SegmentKind::Sequence => segment.asns.len(),
                SegmentKind::Set => 1,
                SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
            })
            .sum()
    }

    /// The neighbouring AS: the first number of a leading sequence, looking
    /// past confederation segments; `None` when the path begins with a set or
    /// is empty.
    pub fn first(&self) -> Option<Asn> {
        let outer = self
            .segments
            .iter()
            .find(|segment| matches!(segment.kind, SegmentKind::Sequence | SegmentKind::Set))?;
        if outer.kind == SegmentKind::Sequence { outer.asns.first().copied() } else { None }
    }

    /// The AS that originated the route, when the path ends in a sequence.
    pub fn origin(&self) -> Option<Asn> {
        let last = self.segments.last()?;
        if last.kind == SegmentKind::Sequence { last.asns.last().copied() } else { None }
    }

    /// Every number of every segment, in order.
    pub fn asns(&self) -> impl Iterator<Item = Asn> + '_ {
        self.segments.iter().flat_map(|segment| segment.asns.iter().copied())
    }

    /// How often an AS stands in the path (RFC 4271 §9.1.2: the loop check).
    pub fn count(&self, asn: Asn) -> usize {
        self.asns().filter(|other| *other == asn).count()
    }

    /// True when AS numbers stand in it without order: an `AS_SET` or an
    /// `AS_CONFED_SET`, which RFC 9774 deprecates.
    pub fn has_set(&self) -> bool {
        let is_set = |segment: &Segment| matches!(segment.kind, SegmentKind::Set | SegmentKind::ConfedSet);
        self.segments.iter().any(is_set)
    }

    /// The path with another number wherever this one stands.
    #[must_use]
    pub fn replaced(&self, from: Asn, to: Asn) -> Self {
        let mut path = self.clone();
        let asns = path.segments.iter_mut().flat_map(|segment| &mut segment.asns);
        asns.filter(|asn| **asn == from).for_each(|asn| *asn = to);
        path
    }

    /// True for what a member of a confederation tells another one: the path
    /// begins with its own AS in a confederation sequence (RFC 5065 §5).
    pub fn begins_inside(&self, asn: Asn) -> bool {
        self.segments.first().is_some_and(|first| {
            first.kind == SegmentKind::ConfedSequence && first.asns.first() == Some(&asn)
        })
    }

    /// How often an AS stands in the segments of the confederation, or in the
    /// others (RFC 5065 §4).
    pub fn count_inside(&self, asn: Asn) -> usize {
        let inside = self.segments.iter().filter(|segment| segment.kind.is_confederation());
        inside.flat_map(|segment| &segment.asns).filter(|other| **other == asn).count()
    }

    /// The path without what stays inside a confederation, as it leaves it
    /// (RFC 5065 §4 c).
    #[must_use]
    pub fn outside(&self) -> Self {
        let segments = self.segments.iter().filter(|segment| !segment.kind.is_confederation());
        Self { segments: segments.cloned().collect() }
    }

    /// The path with `asn` put in front in a confederation sequence, as a
    /// member tells another member AS (RFC 5065 §4 b).
    #[must_use]
    pub fn prepended_inside(&self, asn: Asn) -> Self {
        self.put_in_front(SegmentKind::ConfedSequence, asn)
    }

    fn put_in_front(&self, kind: SegmentKind, asn: Asn) -> Self {
        let mut path = self.clone();
        match path.segments.first_mut() {
            Some(first) if first.kind == kind && first.asns.len() < MAX_SEGMENT => first.asns.insert(0, asn),
            _ => path.segments.insert(0, Segment { kind, asns: vec![asn] }),
        }
        path
    }

    /// The path with `asn` put in front `times` times, as a speaker does when
    /// it sends to another AS (RFC 4271 §5.1.2 b).
    pub fn prepended(&self, asn: Asn, times: usize) -> Self {
        let in_front = |path: Self, _| path.put_in_front(SegmentKind::Sequence, asn);
        (0..times).fold(self.clone(), in_front)
    }
}

impl fmt::Display for AsPath {
    /// As operators write it: `65001 65002 {65003,65004} (65005 65006)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let (open, separator, close) = match segment.kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(open)?;
            for (index, asn) in segment.asns.iter().enumerate() {
                write!(f, "{}{asn}", if index > 0 { separator } else { "" })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_segment_is_never_overfilled() {
        let path = AsPath::sequence(std::iter::repeat_n(1, 255)).prepended(Asn(2), 2);
        assert_eq!(path.segments.len(), 2);
        assert_eq!(path.segments[0].asns, [Asn(2), Asn(2)]);
        assert_eq!(path.hops(), 257);
    }

    #[test]
    fn a_path_knows_what_stays_inside_a_confederation() {
        let path = AsPath::sequence([1, 7]).prepended_inside(Asn(65001)).prepended_inside(Asn(65002));
        assert_eq!(path.to_string(), "(65002 65001) 1 7");
        assert!(path.begins_inside(Asn(65002)) && !path.begins_inside(Asn(65001)));
        assert_eq!((path.count_inside(Asn(65001)), path.count_inside(Asn(7))), (1, 0));
        assert_eq!(path.outside().prepended(Asn(100), 1).to_string(), "100 1 7");
        assert_eq!(path.hops(), 2);
    }

    #[test]
    fn sets_count_one_and_confederations_nothing() {
        let path = AsPath {
            segments: vec![
                Segment { kind: SegmentKind::ConfedSequence, asns: vec![Asn(9)] },
                Segment { kind: SegmentKind::Sequence, asns: vec![Asn(1), Asn(2)] },
                Segment { kind: SegmentKind::Set, asns: vec![Asn(3), Asn(4)] },
            ],
        };
        assert_eq!(path.hops(), 3);
        assert!(path.has_set() && !AsPath::sequence([1, 2]).has_set());
        assert_eq!(path.replaced(Asn(4), Asn(8)).to_string(), "(9) 1 2 {3,8}");
        assert_eq!(path.first(), Some(Asn(1)));
        assert_eq!(path.origin(), None);
        assert_eq!(path.to_string(), "(9) 1 2 {3,4}");
    }
}
