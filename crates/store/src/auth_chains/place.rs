//! Places in a chain cover.

use crate::{Cell, Error, EventNo, FromCell, Read, RoomNo, StateKeyNo, Value};

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
    /// After everything.
    pub(super) const END: Self = Self { chain: u32::MAX, seq: u16::MAX };

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

    /// As [`of_each!`] understands it.
    pub(super) fn packed(self) -> i64 {
        i64::from(self.chain) << (2 * BITS) | i64::from(self.low) << BITS | i64::from(self.high)
    }
}

/// The greatest number that a chain may have, so that a packed stretch fits.
pub(super) const LAST_CHAIN: u32 = u32::MAX >> 1;

/// A statement that answers, for each stretch of `ints($2)`, some columns of the rows of a table whose place is within it, as numbers in one
/// text; [`each_of`] reads it. `$1` is the room.
///
/// A join would say the same. But with a table that it has no statistics of yet, PostgreSQL then compares every stretch with every row of
/// the room. A subquery for one stretch is always a search in an index.
macro_rules! of_each {
    ($list:literal, $table:literal, $place:literal, $($more:literal)?) => {
        concat!(
            "SELECT (SELECT string_agg(", $list, ", ' ') FROM (SELECT * FROM ", $table, " WHERE room_no = $1 AND ", $place,
            " BETWEEN ((value >> 32) << 16) + ((value >> 16) & 65535) AND ((value >> 32) << 16) + (value & 65535)",
            $(" ", $more,)?
            ") AS n) FROM ints($2)"
        )
    };
}

pub(super) use of_each;

/// What an [`of_each!`] statement finds in a room, as many numbers at a time as it lists, which stand for places, events or keys.
pub(super) fn each_of<T: Listed>(
    read: &Read<'_>,
    sql: &'static str,
    room: RoomNo,
    stretches: &[Stretch],
    more: Option<i64>,
    mut each: impl FnMut(T),
) -> Result<(), Error> {
    let mut params = vec![Value::from(room), Value::ints(stretches.iter().map(|stretch| stretch.packed()))];
    params.extend(more.map(Value::Int));
    read.each(sql, &params, |row| {
        if let Cell::Text(text) = row.cell(0)? {
            let mut numbers = text.split(' ').map(str::parse);
            while let Some(first) = numbers.next() {
                let wrong = || Error::Column { column: 0, expected: "places and events" };
                let first = first.map_err(|_| wrong())?;
                let mut next = || numbers.next()?.ok();
                each(T::read(first, &mut next).ok_or_else(wrong)?);
            }
        }
        Ok(true)
    })
}

/// What is listed.
pub(super) trait Listed: Sized {
    fn read(first: i64, next: &mut dyn FnMut() -> Option<i64>) -> Option<Self>;
}

impl Listed for (Place, Place) {
    fn read(first: i64, next: &mut dyn FnMut() -> Option<i64>) -> Option<Self> {
        Some((Place::from_cell(Cell::Int(first))?, Place::from_cell(Cell::Int(next()?))?))
    }
}

impl Listed for (Place, EventNo, StateKeyNo) {
    fn read(first: i64, next: &mut dyn FnMut() -> Option<i64>) -> Option<Self> {
        Some((Place::from_cell(Cell::Int(first))?, EventNo(next()?), StateKeyNo(next()?)))
    }
}
