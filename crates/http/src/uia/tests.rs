use super::*;

fn session(owner: Owner, bytes: usize) -> Session {
    Session {
        what: "POST /register".to_owned(),
        owner,
        user: None,
        request: "x".repeat(bytes).into(),
        started: Duration::ZERO,
        completed: Vec::new(),
        failures: 0,
        proof: Proof::default(),
    }
}

fn from(address: &str) -> Owner {
    let operation = Operation {
        what: String::new(),
        user: None,
        address: Some(address.parse().unwrap()),
        flows: PASSWORD,
        may_change: true,
    };
    operation.owner()
}

#[test]
fn one_address_pushes_out_its_own_sessions_and_nobody_elses() {
    let mut sessions = Sessions::default();
    sessions.insert("a user's".to_owned(), session(Owner::User(UserNo(1)), 100));
    sessions.insert("a neighbour's".to_owned(), session(from("192.0.2.2"), 100));
    for number in 0..10 * MAX_OF_ONE {
        // One customer has all of such a network.
        let address = format!("2001:db8:1:2::{number:x}");
        sessions.insert(number.to_string(), session(from(&address), MAX_REQUEST_BYTES_OF_NOBODY));
    }
    assert!(sessions.by_id.contains_key("a user's") && sessions.by_id.contains_key("a neighbour's"));
    assert_eq!(sessions.by_id.len(), MAX_OF_ONE + 2);
    assert!(sessions.by_id.contains_key(&(10 * MAX_OF_ONE - 1).to_string()), "the newest are those that are kept");
    assert_eq!(sessions.bytes, MAX_OF_ONE * MAX_REQUEST_BYTES_OF_NOBODY + 200);
}

#[test]
fn what_is_kept_is_bounded_whoever_comes() {
    let mut sessions = Sessions::default();
    for number in 0..20_000_u32 {
        let owner = Owner::Network(Some(IpAddr::V4(number.into())));
        sessions.insert(number.to_string(), session(owner, MAX_REQUEST_BYTES_OF_NOBODY));
        assert!(sessions.bytes <= MAX_TOTAL_BYTES && sessions.order.len() <= MAX_SESSIONS);
    }
    assert_eq!(sessions.of.len(), sessions.by_id.len(), "nothing is remembered of those who are gone");
}

#[test]
fn a_session_that_has_ended_leaves_nothing_behind() {
    let mut sessions = Sessions::default();
    sessions.insert("one".to_owned(), session(from("192.0.2.1"), 100));
    assert!(sessions.remove("one").is_some());
    assert!(sessions.remove("one").is_none());
    assert_eq!((sessions.bytes, sessions.of.len()), (0, 0));
}
