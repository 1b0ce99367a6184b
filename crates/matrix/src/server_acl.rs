//! [Server access control lists](https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl): which servers may take
//! part in a room.

use std::{net::Ipv4Addr, str::FromStr};

use serde::Deserialize;

use crate::{
    auth::Raw,
    glob::{Budget, Glob},
    ids::ServerName,
};

/// Enough for a list that fills an event against the longest server name; beyond it a server counts as denied.
const COMPARISONS: u64 = 32 * 1024 * 1024;

/// The content of an `m.room.server_acl` event, ready to be asked. A room without such an event admits every server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Vec<Glob>,
    deny: Vec<Glob>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads the event's content. What is missing or of the wrong type counts as its default: nobody allowed, nobody denied,
    /// IP literals allowed.
    #[must_use]
    pub fn of(content: &str) -> Self {
        #[derive(Deserialize, Default)]
        struct Content<'a> {
            #[serde(borrow, default)]
            allow: Raw<'a>,
            #[serde(borrow, default)]
            deny: Raw<'a>,
            #[serde(borrow, default)]
            allow_ip_literals: Raw<'a>,
        }
        let content = serde_json::from_str::<Content<'_>>(content).unwrap_or_default();
        let globs = |list: Raw<'_>| {
            let entries = list.read::<Vec<Raw<'_>>>().unwrap_or_default();
            entries.into_iter().filter_map(Raw::string).map(|pattern| Glob::new(&pattern)).collect()
        };
        Self {
            allow: globs(content.allow),
            deny: globs(content.deny),
            allow_ip_literals: !content.allow_ip_literals.is_false(),
        }
    }

    /// Whether the server may take part. The port in its name does not matter.
    #[must_use]
    pub fn allows(&self, server: &ServerName) -> bool {
        let host = server.host();
        let is_ip_literal = host.starts_with('[') || Ipv4Addr::from_str(host).is_ok();
        if is_ip_literal && !self.allow_ip_literals {
            return false;
        }
        let mut budget = Budget::new(COMPARISONS);
        let mut any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(host, &mut budget));
        !any(&self.deny) && any(&self.allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(content: &str, server: &str) -> bool {
        ServerAcl::of(content).allows(ServerName::parse(server).as_deref().unwrap())
    }

    #[test]
    fn a_server_on_no_list_is_denied() {
        assert!(!allows("{}", "example.org"));
        assert!(!allows(r#"{"allow":["other.org"]}"#, "example.org"));
        assert!(!allows(r#"{"allow":"*"}"#, "example.org"), "a list is needed");
        assert!(allows(r#"{"allow":[1,null,"*"]}"#, "example.org"), "what is no text is passed over");
    }

    #[test]
    fn the_deny_list_goes_before_the_allow_list() {
        let content = r#"{"allow":["*"],"deny":["*.evil.com","evil.com"]}"#;
        assert!(!allows(content, "evil.com"));
        assert!(!allows(content, "really.EVIL.com"), "without regard to case");
        assert!(allows(content, "notevil.com"));
    }

    #[test]
    fn the_port_of_a_server_does_not_matter() {
        let content = r#"{"allow":["*"],"deny":["evil.com"]}"#;
        for server in ["evil.com", "evil.com:8448", "evil.com:1234"] {
            assert!(!allows(content, server));
        }
    }

    #[test]
    fn ip_literals_can_be_denied_as_such() {
        let denied = r#"{"allow":["*"],"allow_ip_literals":false}"#;
        let allowed = r#"{"allow":["*"],"allow_ip_literals":"no"}"#;
        for server in ["1.2.3.4", "1.2.3.4:8448", "[::1]", "[2001:db8::1]:8448"] {
            assert!(!allows(denied, server), "{server}");
            assert!(allows(allowed, server), "{server}: only a boolean denies");
        }
        assert!(allows(denied, "1.2.3.4.example.org"));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        let content = r#"{"allow":["example.?rg"]}"#;
        assert!(allows(content, "example.org"));
        assert!(!allows(content, "example.rg"));
    }
}
