//! The body of an answer.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use roost_world::World;

use super::{Limits, pool::Lease};
use crate::Error;

/// The most bytes for which room is made before they come.
const AT_ONCE: u64 = 4 << 20;

/// The body of an answer, as it comes. Dropping it before its end gives up the rest.
pub struct Body {
    incoming: Incoming,
    lease: Option<Lease>,
    limit: u64,
    left: u64,
    silence: Duration,
    deadline: Duration,
    world: World,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(
        incoming: Incoming,
        headers: &HeaderMap,
        limits: Limits,
        deadline: Duration,
        lease: Lease,
        world: World,
    ) -> Result<Self, Error> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limits.bytes) && !incoming.is_end_stream() {
            return Err(Error::TooLarge(limits.bytes));
        }
        let mut body = Self {
            incoming,
            lease: Some(lease),
            limit: limits.bytes,
            left: limits.bytes,
            silence: limits.silence,
            deadline,
            world,
        };
        if body.incoming.is_end_stream() {
            body.end();
        }
        Ok(body)
    }

    /// The next piece, or none at the end. It fails when the body is longer than the limit or takes longer than allowed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.lease.is_none() {
                return Ok(None);
            }
            let left = self.deadline.saturating_sub(self.world.clock.monotonic()).min(self.silence);
            let frame = self.world.timeout(left, self.incoming.frame()).await.ok_or(Error::Timeout("the answer"))?;
            let Some(frame) = frame else {
                self.end();
                return Ok(None);
            };
            // Trailers say nothing that is asked for.
            let Ok(data) = frame?.into_data() else { continue };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            self.left = self.left.checked_sub(length).ok_or(Error::TooLarge(self.limit))?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// All of it.
    pub async fn collect(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        // What is announced is not there yet: beyond this much, room is made as it comes.
        let hint = usize::try_from(self.incoming.size_hint().lower().min(AT_ONCE)).unwrap_or_default();
        let mut all = BytesMut::with_capacity(first.len() + second.len() + hint);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        drop((first, second));
        while let Some(more) = self.chunk().await? {
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }

    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
