use std::time::Duration;

use crate::{
    Authentication, DEFAULT_ACCESS_TOKEN_LIFETIME, Error, NewDevice, Session,
    tests::{House, house, house_with},
};

impl House {
    async fn session(&self, token: &str) -> Option<Session> {
        match self.users.sessions().authenticate(token).await.expect("authenticated") {
            Authentication::Valid(session) => Some(session),
            Authentication::Expired | Authentication::Unknown => None,
        }
    }

    async fn is_expired(&self, token: &str) -> bool {
        matches!(self.users.sessions().authenticate(token).await, Ok(Authentication::Expired))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_says_whose_it_is_until_it_is_logged_out() {
    let house = house().await;
    let ada = house.register("ada", false).await;
    let session = house.session(&ada.tokens.access_token).await.expect("a session");
    assert_eq!(session.user_id, "@ada:example.org");
    assert_eq!(session.device_id, ada.device_id);
    assert!(house.session(&ada.tokens.access_token).await.is_some(), "from the cache");
    assert!(house.session("rst_nonsense").await.is_none());
    house.users.sessions().log_out(&session).await.expect("logged out");
    assert!(house.session(&ada.tokens.access_token).await.is_none());
    assert!(house.users.devices(session.user_no).await.expect("devices").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_everywhere_ends_every_session_of_that_user_and_of_nobody_else() {
    let house = house().await;
    let (ada, bob) = (house.register("ada", false).await, house.register("bob", false).await);
    let session = house.session(&ada.tokens.access_token).await.expect("a session");
    let second = house.users.log_in(session.user_no, NewDevice::default()).await.expect("logged in");
    assert!(house.session(&second.tokens.access_token).await.is_some());
    house.users.sessions().log_out_all(session.user_no).await.expect("logged out");
    for token in [&ada.tokens.access_token, &second.tokens.access_token] {
        assert!(house.session(token).await.is_none());
    }
    assert!(house.session(&bob.tokens.access_token).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_again_on_a_device_revokes_its_earlier_tokens() {
    let house = house().await;
    let ada = house.register("ada", false).await;
    let session = house.session(&ada.tokens.access_token).await.expect("a session");
    let device = NewDevice { device_id: Some(ada.device_id.to_string()), ..NewDevice::default() };
    let again = house.users.log_in(session.user_no, device).await.expect("logged in");
    assert_eq!(again.device_id, ada.device_id);
    assert!(house.session(&ada.tokens.access_token).await.is_none());
    assert!(house.session(&again.tokens.access_token).await.is_some());
    assert_eq!(house.users.devices(session.user_no).await.expect("devices").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_that_can_be_refreshed_expire() {
    let house = house().await;
    let (ada, bob) = (house.register("ada", true).await, house.register("bob", false).await);
    assert_eq!(ada.tokens.expires_in, Some(DEFAULT_ACCESS_TOKEN_LIFETIME));
    assert_eq!(bob.tokens.expires_in, None);
    house.clock.advance(DEFAULT_ACCESS_TOKEN_LIFETIME.saturating_sub(Duration::from_millis(1)));
    assert!(house.session(&ada.tokens.access_token).await.is_some());
    house.clock.advance(Duration::from_millis(1));
    assert!(house.is_expired(&ada.tokens.access_token).await);
    assert!(house.session(&bob.tokens.access_token).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_can_be_repeated_until_its_answer_is_used() {
    let house = house().await;
    let first = house.register("ada", true).await.tokens;
    let refresh_token = first.refresh_token.expect("a refresh token");
    let sessions = house.users.sessions();
    let lost = sessions.refresh(&refresh_token).await.expect("refreshed");
    let second = sessions.refresh(&refresh_token).await.expect("refreshed again");
    assert!(house.session(&first.access_token).await.is_some(), "nobody has used what replaces it");

    assert!(house.session(&second.access_token).await.is_some());
    assert!(house.session(&second.access_token).await.is_some(), "from the cache");
    assert!(house.session(&first.access_token).await.is_none());
    assert!(house.session(&lost.access_token).await.is_none());
    assert!(matches!(sessions.refresh(&refresh_token).await, Err(Error::RefreshToken)));
    assert!(sessions.refresh(second.refresh_token.as_deref().expect("a refresh token")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn using_the_new_refresh_token_revokes_the_old_one() {
    let house = house().await;
    let first = house.register("ada", true).await.tokens;
    let refresh_token = first.refresh_token.expect("a refresh token");
    let sessions = house.users.sessions();
    let second = sessions.refresh(&refresh_token).await.expect("refreshed");
    let third = sessions.refresh(second.refresh_token.as_deref().expect("a refresh token")).await.expect("refreshed");
    assert!(matches!(sessions.refresh(&refresh_token).await, Err(Error::RefreshToken)));
    assert!(house.session(&first.access_token).await.is_none());
    assert!(house.session(&third.access_token).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_can_still_be_refreshed() {
    let house = house().await;
    let first = house.register("ada", true).await.tokens;
    house.clock.advance(DEFAULT_ACCESS_TOKEN_LIFETIME * 10);
    let second = house.users.sessions().refresh(first.refresh_token.as_deref().expect("a refresh token")).await;
    let second = second.expect("refreshed");
    assert!(house.session(&second.access_token).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_revokes_the_refresh_token_too() {
    let house = house().await;
    let ada = house.register("ada", true).await.tokens;
    let session = house.session(&ada.access_token).await.expect("a session");
    house.users.sessions().log_out(&session).await.expect("logged out");
    let refreshed = house.users.sessions().refresh(ada.refresh_token.as_deref().expect("a refresh token")).await;
    assert!(matches!(refreshed, Err(Error::RefreshToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_answers_to_refreshes_do_not_pile_up() {
    let house = house().await;
    let first = house.register("ada", true).await.tokens;
    let refresh_token = first.refresh_token.expect("a refresh token");
    let mut answers = Vec::new();
    for _ in 0..6 {
        house.clock.advance(Duration::from_secs(1));
        answers.push(house.users.sessions().refresh(&refresh_token).await.expect("refreshed").access_token);
    }
    assert!(house.session(&answers[0]).await.is_none(), "long superseded");
    assert!(house.session(&answers[4]).await.is_some(), "may just have crossed with the last");
}

#[tokio::test(flavor = "multi_thread")]
async fn sightings_are_seen_at_once_and_written_down_in_time() {
    let house = house().await;
    let ada = house.register("ada", false).await;
    let session = house.session(&ada.tokens.access_token).await.expect("a session");
    house.clock.advance(Duration::from_secs(5));
    let ip = "192.0.2.7".parse().ok();
    house.users.sessions().seen(&session, ip);
    let now = 1_700_000_005_000;
    let device = house.users.device(session.user_no, &ada.device_id).await.expect("read").expect("a device");
    assert_eq!((device.last_seen_at, device.last_seen_ip.as_deref()), (Some(now), Some("192.0.2.7")));

    house.users.sessions().last_seen().flush().await;
    assert!(house.users.sessions().last_seen().of_user(session.user_no).is_empty());
    let device = house.users.device(session.user_no, &ada.device_id).await.expect("read").expect("a device");
    assert_eq!((device.last_seen_at, device.last_seen_ip.as_deref()), (Some(now), Some("192.0.2.7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_in_the_database() {
    let house = house().await;
    let ada = house.register("ada", true).await.tokens;
    house.store.close().await;
    let roost_store::Database::Sqlite(path) = &house.store.scratch.options.database else { return };
    let folder = path.parent().expect("a folder");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(&ada.access_token) && !holds(ada.refresh_token.as_deref().expect("a refresh token")));
        assert!(!holds("open sesame"), "the password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_device_too_many_the_one_that_was_not_heard_of_for_the_longest_time_goes() {
    let house = house_with(|options| options.max_devices = 3).await;
    let first = house.register("ada", false).await;
    let bob = house.register("bob", false).await;
    let session = house.session(&first.tokens.access_token).await.expect("a session");
    let mut devices = vec![first];
    let device = |name: &str| NewDevice { device_id: Some(name.to_owned()), ..NewDevice::default() };
    for name in ["B", "C"] {
        house.clock.advance(Duration::from_secs(60));
        devices.push(house.users.log_in(session.user_no, device(name)).await.expect("logged in"));
    }
    // The first one is used again, so that the second is the one that was away for longest.
    house.clock.advance(Duration::from_secs(60));
    let sighting = roost_store::devices::Sighting {
        user: session.user_no,
        device_id: session.device_id.clone(),
        at: roost_world::Clock::now_ms(&*house.clock),
        ip: None,
    };
    house.store.write(move |tx| roost_store::devices::seen(tx, std::slice::from_ref(&sighting))).await.expect("seen");
    house.users.log_in(session.user_no, device("C")).await.expect("a device that is known takes no place");
    assert!(house.session(&devices[1].tokens.access_token).await.is_some());
    house.users.log_in(session.user_no, device("D")).await.expect("logged in");
    assert!(house.session(&devices[1].tokens.access_token).await.is_none(), "its session went with it");
    let left = house.users.devices(session.user_no).await.expect("devices");
    let mut left: Vec<_> = left.iter().map(|device| device.device_id.as_str()).collect();
    left.sort_unstable();
    let mut expected = [session.device_id.as_str(), "C", "D"];
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert!(house.session(&bob.tokens.access_token).await.is_some(), "nobody else loses anything");
}
