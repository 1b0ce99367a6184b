//! Places in a chain cover.

use crate::{Cell, FromCell, Value};

/// Where an event stands: in which chain, and as which of it. Its first event has the sequence 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The chain, numbered within its room.
    pub chain: u32,
    /// The sequence in it.
    pub seq: u16,
}

/// The bits of a sequence.
const BITS: u32 = 16;

impl Place {
    /// Before everything.
    pub(super) const START: Self = Self { chain: 0, seq: 0 };

    pub(super) fn number(self) -> i64 {
        i64::from(self.chain) << BITS | i64::from(self.seq)
    }

    /// The one before it in its chain.
    pub(super) fn previous(self) -> Option<Self> {
        (self.seq > 1).then(|| Self { seq: self.seq - 1, ..self })
    }

    /// The one after it in its chain; `None` when the chain is as long as chains get.
    pub(super) fn next(self) -> Option<Self> {
        self.seq.checked_add(1).map(|seq| Self { seq, ..self })
    }
}

impl FromCell for Place {
    const EXPECTED: &'static str = "a place in a chain";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        let number = i64::from_cell(cell)?;
        let (chain, seq) = (u32::try_from(number >> BITS).ok()?, u16::try_from(number & i64::from(u16::MAX)).ok()?);
        (chain > 0 && seq > 0).then_some(Self { chain, seq })
    }
}

impl From<Place> for Value<'_> {
    fn from(place: Place) -> Self {
        Self::Int(place.number())
    }
}

/// A stretch of a chain, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) chain: u32,
    pub(super) low: u16,
    pub(super) high: u16,
}

impl Stretch {
    pub(super) fn len(self) -> usize {
        usize::from(self.high.saturating_sub(self.low)) + 1
    }

    /// As [`within!`] understands it.
    pub(super) fn packed(self) -> i64 {
        i64::from(self.chain) << (2 * BITS) | i64::from(self.low) << BITS | i64::from(self.high)
    }
}

/// The greatest number that a chain may have, so that a packed stretch fits.
pub(super) const LAST_CHAIN: u32 = u32::MAX >> 1;

/// The condition that a column is a place within a stretch, packed in `value`.
macro_rules! within {
    ($column:literal) => {
        concat!(
            $column,
            " BETWEEN ((value >> 32) << 16) + ((value >> 16) & 65535) AND ((value >> 32) << 16) + (value & 65535)"
        )
    };
}

pub(super) use within;
