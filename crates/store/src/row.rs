//! What a statement answers.

use std::borrow::Cow;

use rusqlite::types::ValueRef;
use tokio_postgres::types::Type;

use crate::{Error, sql};

/// A value of a row, as the engine gave it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A BIGINT; on SQLite also a BOOLEAN.
    Int(i64),
    /// A BOOLEAN.
    Bool(bool),
    /// A TEXT.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// What can be read from a column.
pub trait FromCell: Sized {
    /// What it expects, for the error.
    const EXPECTED: &'static str;
    /// `None` when the cell holds something else.
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

/// A row of a result, valid while it is looked at.
#[derive(Debug)]
pub struct Row<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> Row<'a> {
    pub(crate) fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self(Inner::Sqlite(row))
    }

    pub(crate) fn postgres(row: &'a tokio_postgres::Row) -> Self {
        Self(Inner::Postgres(row))
    }

    /// The value of a column, counted from 0.
    pub fn get<T: FromCell>(&self, column: usize) -> Result<T, Error> {
        T::from_cell(self.cell(column)?).ok_or(Error::Column { column, expected: T::EXPECTED })
    }

    /// A text, borrowed where the engine allows it.
    pub fn text(&self, column: usize) -> Result<Cow<'_, str>, Error> {
        match self.cell(column)? {
            Cell::Text(text) => Ok(text),
            _ => Err(Error::Column { column, expected: "a text" }),
        }
    }

    /// Bytes, borrowed.
    pub fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        match self.cell(column)? {
            Cell::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Column { column, expected: "bytes" }),
        }
    }

    /// Whatever a column holds.
    pub fn cell(&self, column: usize) -> Result<Cell<'_>, Error> {
        match self.0 {
            Inner::Sqlite(row) => Ok(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Text(text) => Cell::Text(Cow::Borrowed(
                    std::str::from_utf8(text).map_err(|_| Error::Column { column, expected: "UTF-8" })?,
                )),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes),
                ValueRef::Real(_) => return Err(Error::Column { column, expected: "no floating point" }),
            }),
            Inner::Postgres(row) => postgres_cell(row, column),
        }
    }
}

fn postgres_cell(row: &tokio_postgres::Row, column: usize) -> Result<Cell<'_>, Error> {
    let kind = row.columns().get(column).ok_or(Error::Column { column, expected: "anything" })?.type_();
    Ok(if *kind == Type::INT8 {
        row.try_get::<_, Option<i64>>(column)?.map_or(Cell::Null, Cell::Int)
    } else if *kind == Type::TEXT || *kind == Type::VARCHAR || *kind == Type::NAME {
        row.try_get::<_, Option<&str>>(column)?.map_or(Cell::Null, |text| Cell::Text(sql::unescape_nul(text)))
    } else if *kind == Type::BYTEA {
        row.try_get::<_, Option<&[u8]>>(column)?.map_or(Cell::Null, Cell::Bytes)
    } else if *kind == Type::BOOL {
        row.try_get::<_, Option<bool>>(column)?.map_or(Cell::Null, Cell::Bool)
    } else if *kind == Type::INT4 {
        row.try_get::<_, Option<i32>>(column)?.map_or(Cell::Null, |number| Cell::Int(number.into()))
    } else if *kind == Type::INT2 {
        row.try_get::<_, Option<i16>>(column)?.map_or(Cell::Null, |number| Cell::Int(number.into()))
    } else {
        return Err(Error::Column { column, expected: "BIGINT, BOOLEAN, TEXT or bytes" });
    })
}

macro_rules! from_cell {
    ($($type:ty, $expected:literal, $pattern:pat => $value:expr;)*) => {$(
        impl FromCell for $type {
            const EXPECTED: &'static str = $expected;

            fn from_cell(cell: Cell<'_>) -> Option<Self> {
                match cell {
                    $pattern => $value,
                    _ => None,
                }
            }
        }
    )*};
}

from_cell! {
    i64, "a number", Cell::Int(number) => Some(number);
    u64, "a number that is not negative", Cell::Int(number) => number.try_into().ok();
    u32, "a number of 32 bits", Cell::Int(number) => number.try_into().ok();
    usize, "a number that is not negative", Cell::Int(number) => number.try_into().ok();
    String, "a text", Cell::Text(text) => Some(text.into_owned());
    Box<str>, "a text", Cell::Text(text) => Some(text.into());
    Vec<u8>, "bytes", Cell::Bytes(bytes) => Some(bytes.to_vec());
    Box<[u8]>, "bytes", Cell::Bytes(bytes) => Some(bytes.into());
    ruma::OwnedUserId, "a user id", Cell::Text(text) => text.parse().ok();
    ruma::OwnedRoomId, "a room id", Cell::Text(text) => text.parse().ok();
    ruma::OwnedEventId, "an event id", Cell::Text(text) => text.parse().ok();
    ruma::OwnedRoomAliasId, "a room alias", Cell::Text(text) => text.parse().ok();
    ruma::OwnedServerName, "a server name", Cell::Text(text) => text.parse().ok();
    ruma::OwnedDeviceId, "a device id", Cell::Text(text) => Some(text.into_owned().into());
}

impl FromCell for bool {
    const EXPECTED: &'static str = "a truth value";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bool(truth) => Some(truth),
            // SQLite has no truth values of its own.
            Cell::Int(0) => Some(false),
            Cell::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl<const LEN: usize> FromCell for [u8; LEN] {
    const EXPECTED: &'static str = "bytes of a fixed length";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: FromCell> FromCell for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}
