//! Values on their way to PostgreSQL.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::{Value, sql};

/// A value in the type that the statement asks for.
#[derive(Debug)]
pub(super) struct Param<'a>(pub(super) &'a Value<'a>);

type Written = Result<IsNull, Box<dyn Error + Sync + Send>>;

fn texts<'a>(texts: impl Iterator<Item = &'a str>, kind: &Type, out: &mut BytesMut) -> Written {
    let texts: Vec<_> = texts.map(sql::escape_nul).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    texts.to_sql_checked(kind, out)
}

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Int(number) if *kind == Type::INT8 => out.put_i64(*number),
            Value::Int(number) if *kind == Type::INT4 => out.put_i32((*number).try_into()?),
            Value::Int(number) if *kind == Type::INT2 => out.put_i16((*number).try_into()?),
            Value::Bool(truth) if *kind == Type::BOOL => out.put_u8((*truth).into()),
            Value::Text(text) if *kind == Type::TEXT || *kind == Type::VARCHAR => {
                out.put_slice(sql::escape_nul(text).as_bytes());
            }
            Value::Bytes(bytes) if *kind == Type::BYTEA => out.put_slice(bytes),
            Value::Ints(numbers) => return numbers.to_sql_checked(kind, out),
            Value::Numbers(numbers) => return numbers.to_sql_checked(kind, out),
            Value::Texts(all) => return texts(all.iter().copied(), kind, out),
            Value::Strings(all) => return texts(all.iter().map(AsRef::as_ref), kind, out),
            value => return Err(format!("{value:?} was given where the statement has {kind}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
