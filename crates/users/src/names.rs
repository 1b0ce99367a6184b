//! User names and the user ids that they stand for.

use roost_matrix::ids::{OwnedUserId, ServerName, UserId};

use crate::Error;

/// The longest user id, sigil and domain included.
const MAX_USER_ID_BYTES: usize = 255;

/// The id of the user that somebody wants to become. Capital letters count as small ones; whatever else does not fit
/// the [grammar] is refused.
///
/// [grammar]: https://spec.matrix.org/v1.19/appendices/#user-identifiers
pub fn new_user_id(username: &str, server: &ServerName) -> Result<OwnedUserId, Error> {
    let localpart = username.to_ascii_lowercase();
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if localpart.is_empty() || !localpart.bytes().all(fits) {
        return Err(Error::InvalidUsername);
    }
    let user_id = format!("@{localpart}:{server}");
    if user_id.len() > MAX_USER_ID_BYTES {
        return Err(Error::InvalidUsername);
    }
    UserId::parse(user_id).map_err(|_| Error::InvalidUsername)
}

/// The user that somebody means who says who they are, by localpart or by full id; `None` when that can not be one of
/// this server's.
#[must_use]
pub fn local_user_id(said: &str, server: &ServerName) -> Option<OwnedUserId> {
    let localpart = match said.strip_prefix('@') {
        Some(rest) => {
            let (localpart, domain) = rest.split_once(':')?;
            (domain == server.as_str()).then_some(localpart)?
        }
        None => said,
    };
    new_user_id(localpart, server).ok()
}

#[cfg(test)]
mod tests {
    use roost_matrix::ids::ServerName;

    use super::*;

    fn server() -> &'static ServerName {
        <&ServerName>::try_from("example.org:8448").expect("a server name")
    }

    #[test]
    fn capitals_become_small_letters() {
        assert_eq!(new_user_id("Ada.Lovelace", server()).expect("fits"), "@ada.lovelace:example.org:8448");
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for name in ["", "ad a", "ada!", "@ada", "ada:example.org", "ädä", "ada\n", "a\u{0}da", "a?b", "a#b", "a%b"] {
            assert!(matches!(new_user_id(name, server()), Err(Error::InvalidUsername)), "{name:?}");
        }
    }

    #[test]
    fn every_character_of_the_grammar_is_taken() {
        assert!(new_user_id("abcdefghijklmnopqrstuvwxyz0123456789._=-/+", server()).is_ok());
    }

    #[test]
    fn a_user_id_has_at_most_255_bytes() {
        let room_left = MAX_USER_ID_BYTES - "@:example.org:8448".len();
        assert!(new_user_id(&"a".repeat(room_left), server()).is_ok());
        assert!(new_user_id(&"a".repeat(room_left + 1), server()).is_err());
    }

    #[test]
    fn people_name_themselves_by_localpart_or_by_full_id() {
        let ada = new_user_id("ada", server()).ok();
        assert_eq!(local_user_id("ada", server()), ada);
        assert_eq!(local_user_id("@ada:example.org:8448", server()), ada);
        assert_eq!(local_user_id("@ada:elsewhere.org", server()), None);
        assert_eq!(local_user_id("@ada", server()), None);
    }
}
