//! The tokens that clients hold: where they are in the log, or in a room's history.
//!
//! One grammar. `next_batch` of `/sync` is `s<generation>_<position>_<ephemeral>`, a token of `/messages` is
//! `t<generation>_<index>`; endpoints take either. Numbers are decimal without a sign or leading zeros, only an
//! index may be negative. A token of another generation says nothing about positions: its bearer gets a full answer.

use std::{fmt, str::FromStr};

use crate::{Generation, Position};

/// Where a client is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncToken {
    /// Of which life of the log.
    pub generation: Generation,
    /// Everything up to here has been told.
    pub position: Position,
    /// Where it is among ephemera (typing), which have numbers of their own.
    pub ephemeral: i64,
}

/// Where a client is in a room's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagesToken {
    /// Of which life of the log.
    pub generation: Generation,
    /// Between the event with this index and the one before it.
    pub index: i64,
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// From `/sync`.
    Sync(SyncToken),
    /// From `/messages`.
    Messages(MessagesToken),
}

/// What a client sent is not one of our tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct NotAToken;

impl SyncToken {
    /// Whether the position means something: the token is of this generation and not from beyond the frontier, where a
    /// restored database would have forgotten it.
    #[must_use]
    pub fn is_current(&self, generation: Generation, frontier: Position) -> bool {
        self.generation == generation && self.position <= frontier
    }
}

impl Token {
    /// The generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::Sync(token) => token.generation,
            Self::Messages(token) => token.generation,
        }
    }
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}_{}_{}", self.generation, self.position, self.ephemeral)
    }
}

impl fmt::Display for MessagesToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}_{}", self.generation, self.index)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync(token) => token.fmt(f),
            Self::Messages(token) => token.fmt(f),
        }
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        parse(text).ok_or(NotAToken)
    }
}

impl FromStr for SyncToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        match parse(text) {
            Some(Token::Sync(token)) => Ok(token),
            _ => Err(NotAToken),
        }
    }
}

impl FromStr for MessagesToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        match parse(text) {
            Some(Token::Messages(token)) => Ok(token),
            _ => Err(NotAToken),
        }
    }
}

fn parse(text: &str) -> Option<Token> {
    fn numbers<const N: usize>(text: &str) -> Option<[i64; N]> {
        let mut parts = text.split('_').map(number);
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = parts.next()??;
        }
        parts.next().is_none().then_some(numbers)
    }
    if let Some(rest) = text.strip_prefix('s') {
        let [generation, position, ephemeral] = numbers(rest)?;
        let (generation, position) = (Generation(generation), Position(position));
        return (generation.0 >= 0 && position.0 >= 0 && ephemeral >= 0).then_some(Token::Sync(SyncToken {
            generation,
            position,
            ephemeral,
        }));
    }
    let [generation, index] = numbers(text.strip_prefix('t')?)?;
    (generation >= 0).then_some(Token::Messages(MessagesToken { generation: Generation(generation), index }))
}

/// A number in the one way in which it is written.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !digits.starts_with('0');
    if plain && shortest { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
