//! `AS_PATH` and `AS4_PATH` (RFC 4271 §4.3, RFC 5065 §3, RFC 6793 §4.2).

use net::as_path::MAX_SEGMENT;
use net::{AsPath, Asn, Segment, SegmentKind};

use super::read::Reader;
use super::write::Writer;

/// The octets of an AS number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Two: the session has no four-octet capability.
    Two,
    /// Four (RFC 6793).
    Four,
}

impl Width {
    /// The width of a session.
    pub(super) fn of(as4: bool) -> Self {
        if as4 { Self::Four } else { Self::Two }
    }

    pub(super) fn octets(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Reads one number.
    pub(super) fn read(self, reader: &mut Reader<'_>) -> Option<Asn> {
        match self {
            Self::Two => reader.u16().map(|asn| Asn(asn.into())),
            Self::Four => reader.u32().map(Asn),
        }
    }

    /// Writes numbers; [`Asn::TRANS`] where one does not fit. `None` where
    /// there is no room.
    #[inline]
    pub(super) fn write<'a>(self, asns: &[Asn], out: Writer<'a>) -> Option<Writer<'a>> {
        match self {
            Self::Two => out.items(asns, |asn| asn.as_two_octets().to_be_bytes()),
            Self::Four => out.items(asns, |asn| asn.0.to_be_bytes()),
        }
    }
}

/// The kind of a segment by its number.
fn kind(number: u8) -> Option<SegmentKind> {
    Some(match number {
        1 => SegmentKind::Set,
        2 => SegmentKind::Sequence,
        3 => SegmentKind::ConfedSequence,
        4 => SegmentKind::ConfedSet,
        _ => return None,
    })
}

/// The number of a kind.
fn number(kind: SegmentKind) -> u8 {
    match kind {
        SegmentKind::Set => 1,
        SegmentKind::Sequence => 2,
        SegmentKind::ConfedSequence => 3,
        SegmentKind::ConfedSet => 4,
    }
}

/// True for the segments that stay inside a confederation (RFC 5065 §3).
pub(super) fn is_confed(segment: &Segment) -> bool {
    matches!(segment.kind, SegmentKind::ConfedSequence | SegmentKind::ConfedSet)
}

/// Reads a path. Malformed (RFC 7606 §7.2): an unknown segment type, a
/// segment without numbers or one that runs over the end; and AS 0 (RFC 7607).
pub(super) fn decode(value: &[u8], width: Width) -> Result<AsPath, &'static str> {
    let mut reader = Reader(value);
    let mut segments = Vec::new();
    while let Some(number) = reader.u8() {
        let kind = kind(number).ok_or("an AS path segment has an unknown type")?;
        let count = reader.u8().ok_or("an AS path segment has no length")?;
        if count == 0 {
            return Err("an AS path segment is empty");
        }
        let octets = reader.take(usize::from(count) * width.octets());
        let mut numbers = Reader(octets.ok_or("an AS path segment runs over the end")?);
        let mut asns = Vec::with_capacity(usize::from(count));
        while let Some(asn) = width.read(&mut numbers) {
            if asn == Asn(0) {
                return Err("the AS path has AS 0");
            }
            asns.push(asn);
        }
        segments.push(Segment { kind, asns });
    }
    Ok(AsPath { segments })
}

/// The octets that [`encode`] writes.
#[inline]
pub(super) fn length<'a>(segments: impl Iterator<Item = &'a Segment>, width: Width) -> usize {
    segments
        .map(|Segment { asns, .. }| 2 * asns.len().div_ceil(MAX_SEGMENT) + width.octets() * asns.len())
        .sum()
}

/// Writes segments; one with more numbers than its count can say is written
/// as several. `None` where there is no room.
#[inline]
pub(super) fn encode<'a, 'w>(
    segments: impl Iterator<Item = &'a Segment>,
    width: Width,
    mut out: Writer<'w>,
) -> Option<Writer<'w>> {
    for segment in segments {
        for asns in segment.asns.chunks(MAX_SEGMENT) {
            let count = u8::try_from(asns.len()).unwrap_or(u8::MAX);
            out = width.write(asns, out.put([number(segment.kind), count])?)?;
        }
    }
    Some(out)
}

/// The path that `AS_PATH` and `AS4_PATH` of a two-octet session tell
/// together (RFC 6793 §4.2.3): what of the first is not in the second, then
/// the second. A longer `AS4_PATH` is ignored.
pub(super) fn merge(path: AsPath, wide: AsPath) -> AsPath {
    let Some(mut missing) = path.hops().checked_sub(wide.hops()) else { return path };
    let mut segments = Vec::with_capacity(wide.segments.len() + 1);
    for mut segment in path.segments {
        // Confederation segments count nothing, and come along where they
        // lead or follow what comes along.
        if !is_confed(&segment) {
            if missing == 0 {
                break;
            }
            if segment.kind == SegmentKind::Sequence {
                segment.asns.truncate(missing);
                missing -= segment.asns.len();
            } else {
                missing -= 1;
            }
        }
        segments.push(segment);
    }
    let mut rest = wide.segments.into_iter();
    if let Some(first) = rest.next() {
        match segments.last_mut() {
            // What was one sequence becomes one again.
            Some(last)
                if last.kind == SegmentKind::Sequence
                    && first.kind == SegmentKind::Sequence
                    && last.asns.len() + first.asns.len() <= MAX_SEGMENT =>
            {
                last.asns.extend(first.asns);
            }
            _ => segments.push(first),
        }
    }
    segments.extend(rest);
    AsPath { segments }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// Segments from text such as `s 1 2`, `{ 3`, `( 4`.
    fn path(segments: &[(SegmentKind, &[u32])]) -> AsPath {
        let segment = |(kind, asns): &(SegmentKind, &[u32])| Segment {
            kind: *kind,
            asns: asns.iter().copied().map(Asn).collect(),
        };
        AsPath { segments: segments.iter().map(segment).collect() }
    }

    #[test]
    fn the_width_is_that_of_the_session_and_never_guessed() {
        // Four-octet numbers whose high halves are zero look like two-octet ones.
        let bytes = hex!("02 03 0000fde9 00000102 0000fdea");
        assert_eq!(decode(&bytes, Width::Four), Ok(AsPath::sequence([65001, 258, 65002])));
        assert!(decode(&bytes, Width::Two).is_err());
        assert_eq!(decode(&hex!("02 02 fde9 fdea"), Width::Two), Ok(AsPath::sequence([65001, 65002])));
    }

    #[test]
    fn an_overlong_sequence_is_split() {
        let segments = AsPath::sequence(1..=300).segments;
        let mut out = vec![0; length(segments.iter(), Width::Four)];
        encode(segments.iter(), Width::Four, Writer(&mut out))
            .expect("the length is that of what is written");
        assert_eq!(decode(&out, Width::Four).unwrap().hops(), 300);
    }

    #[test]
    fn merging_restores_wide_numbers() {
        use SegmentKind::{ConfedSequence, Sequence, Set};
        let check = |path: AsPath, wide: AsPath, expect: &str| {
            assert_eq!(merge(path, wide).to_string(), expect);
        };
        // A two-octet speaker has put itself in front.
        check(AsPath::sequence([7, 23456, 9]), AsPath::sequence([70000, 9]), "7 70000 9");
        // Nothing to add; the wide path is the path.
        check(AsPath::sequence([23456, 9]), AsPath::sequence([70000, 9]), "70000 9");
        // A wide path that is longer was not made from this one.
        check(AsPath::sequence([9]), AsPath::sequence([70000, 9]), "9");
        // A set counts one; confederation segments nothing, and they stay.
        check(
            path(&[(ConfedSequence, &[1]), (Set, &[5, 6]), (Sequence, &[23456])]),
            AsPath::sequence([70000]),
            "(1) {5,6} 70000",
        );
        check(path(&[(ConfedSequence, &[1]), (Sequence, &[23456])]), AsPath::sequence([70000]), "(1) 70000");
    }

    #[test]
    fn merged_sequences_become_one_segment() {
        let merged = merge(AsPath::sequence([7, 23456]), AsPath::sequence([70000]));
        assert_eq!(merged, AsPath::sequence([7, 70000]));
    }
}
