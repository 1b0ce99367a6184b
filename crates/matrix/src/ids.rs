//! [Identifiers](https://spec.matrix.org/v1.19/appendices/#identifier-grammar).
//!
//! The types are ruma's. They are laxer than the specification in places; where that matters, the functions here decide:
//! [`is_server_name`], [`is_event_id`], [`is_room_id`].

pub use ruma::{
    ClientSecret, DeviceId, EventId, IdParseError, MatrixToUri, MatrixUri, MxcUri, OwnedClientSecret, OwnedDeviceId,
    OwnedEventId, OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName, OwnedTransactionId,
    OwnedUserId, RoomAliasId, RoomId, RoomOrAliasId, ServerName, TransactionId, UserId,
};

use crate::room_version::{EventIds, RoomIds};

#[cfg(test)]
mod tests;

/// The longest user ID, room ID, room alias, event ID, event type and state key, in bytes.
pub const MAX_LENGTH: usize = 255;

/// Whether a text is a [server name](https://spec.matrix.org/v1.19/appendices/#server-name): an IPv4 address, an IPv6 address
/// in brackets or a DNS name, and an optional port of one to five digits.
#[must_use]
pub fn is_server_name(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        let valid = (2..=45).contains(&address.len()) && address.parse::<std::net::Ipv6Addr>().is_ok();
        if !valid {
            return false;
        }
        match after.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if after.is_empty() => (address, None),
            None => return false,
        }
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let valid = (1..=255).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if !valid {
            return false;
        }
        (host, port)
    };
    !host.is_empty()
        && port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a text is `sigil localpart ":" server_name` within 255 bytes, the localpart being of any characters but `:` and NUL.
fn is_delimited(text: &str, sigil: char) -> bool {
    text.len() <= MAX_LENGTH
        && text
            .strip_prefix(sigil)
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(localpart, server)| !localpart.contains('\0') && is_server_name(server))
}

/// Whether a text is a [user ID](https://spec.matrix.org/v1.19/appendices/#user-identifiers),
/// [historical ones](https://spec.matrix.org/v1.19/appendices/#historical-user-ids) included.
#[must_use]
pub fn is_user_id(text: &str) -> bool {
    is_delimited(text, '@')
}

/// Whether a text may be the localpart of a new user: one or more of `a-z`, `0-9`, `.`, `_`, `=`, `-`, `/` and `+`.
#[must_use]
pub fn is_new_user_localpart(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+'))
}

/// Whether a user ID is compliant enough to be shown outside of an event: a localpart of one or more of U+0021 to U+007E.
#[must_use]
pub fn is_compliant_user_id(text: &str) -> bool {
    is_user_id(text)
        && text[1..].split_once(':').is_some_and(|(localpart, _)| {
            !localpart.is_empty() && localpart.bytes().all(|byte| (0x21..=0x7E).contains(&byte))
        })
}

/// Whether a text is a [room alias](https://spec.matrix.org/v1.19/appendices/#room-aliases).
#[must_use]
pub fn is_room_alias(text: &str) -> bool {
    is_delimited(text, '#')
}

/// Whether a text is an [event ID](https://spec.matrix.org/v1.19/appendices/#event-ids) of rooms with such event IDs.
#[must_use]
pub fn is_event_id(text: &str, format: EventIds) -> bool {
    match format {
        EventIds::Chosen => is_delimited(text, '$'),
        EventIds::Hash => text.strip_prefix('$').is_some_and(|hash| is_hash(hash, |byte| matches!(byte, b'+' | b'/'))),
        EventIds::UrlSafeHash => text.strip_prefix('$').is_some_and(is_url_safe_hash),
    }
}

/// Whether a text is a [room ID](https://spec.matrix.org/v1.19/appendices/#room-ids) of rooms with such room IDs.
#[must_use]
pub fn is_room_id(text: &str, format: RoomIds) -> bool {
    match format {
        RoomIds::Chosen => is_delimited(text, '!'),
        RoomIds::CreateEvent => text.strip_prefix('!').is_some_and(is_url_safe_hash),
    }
}

fn is_url_safe_hash(text: &str) -> bool {
    is_hash(text, |byte| matches!(byte, b'-' | b'_'))
}

/// Whether a text is what a SHA-256 hash is encoded as: 43 characters, the last of which carries four bits.
fn is_hash(text: &str, is_special: impl Fn(u8) -> bool) -> bool {
    text.len() == 43
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_special(byte))
        && text.ends_with(['A', 'E', 'I', 'M', 'Q', 'U', 'Y', 'c', 'g', 'k', 'o', 's', 'w', '0', '4', '8'])
}

/// Whether a text follows the [common namespaced identifier
/// grammar](https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar).
#[must_use]
pub fn is_namespaced(text: &str) -> bool {
    text.len() <= MAX_LENGTH
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

/// Whether a text is an [opaque identifier](https://spec.matrix.org/v1.19/appendices/#opaque-identifiers).
#[must_use]
pub fn is_opaque(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

/// Whether a text is the identifier of a signing key, `ed25519:` and one or more of `A-Z`, `a-z`, `0-9` and `_`.
#[must_use]
pub fn is_signing_key_id(text: &str) -> bool {
    text.strip_prefix("ed25519:").is_some_and(is_key_version)
}

/// Whether a text can be the part of a signing key's identifier after `ed25519:`.
#[must_use]
pub fn is_key_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The server and the media ID of an [`mxc://` URI](https://spec.matrix.org/v1.19/client-server-api/#matrix-content-mxc-uris).
#[must_use]
pub fn mxc_parts(uri: &str) -> Option<(&str, &str)> {
    let (server, media) = uri.strip_prefix("mxc://")?.split_once('/')?;
    let valid = is_server_name(server)
        && !media.is_empty()
        && media.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    valid.then_some((server, media))
}
