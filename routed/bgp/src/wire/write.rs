//! A cursor over room that is there already: every write says whether there
//! was enough of it.

/// The room that is still to be written.
///
/// A write takes the room and gives back what is left of it, so that where it
/// is and how long it is never have to be kept in memory.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut [u8]);

impl Writer<'_> {
    /// Writes so many octets.
    #[inline]
    pub(super) fn put<const N: usize>(self, octets: [u8; N]) -> Option<Self> {
        let (head, tail) = self.0.split_first_chunk_mut()?;
        *head = octets;
        Some(Self(tail))
    }

    /// Writes octets of any number.
    #[inline]
    pub(super) fn copy(self, octets: &[u8]) -> Option<Self> {
        let (head, tail) = self.0.split_at_mut_checked(octets.len())?;
        head.copy_from_slice(octets);
        Some(Self(tail))
    }

    /// Writes items of `N` octets each.
    #[inline]
    pub(super) fn items<const N: usize, T: Copy>(
        self,
        items: &[T],
        octets: impl Fn(T) -> [u8; N],
    ) -> Option<Self> {
        let (head, tail) = self.0.split_at_mut_checked(N * items.len())?;
        for (place, item) in head.as_chunks_mut().0.iter_mut().zip(items) {
            *place = octets(*item);
        }
        Some(Self(tail))
    }
}
