use std::time::Duration;

use roost_matrix::ids::UserId;

use crate::{
    Authentication, Error, NewAccount, NewRegistrationToken, new_user_id,
    tests::{House, house, spawn},
};

impl House {
    async fn check(&self, name: &str, password: &str) -> Result<(), Error> {
        let user_id = new_user_id(name, self.users.server_name())?;
        self.users.check_password(Some(&user_id), password.to_owned()).await.map(drop)
    }

    fn account(&self, name: &str, token: Option<&str>) -> NewAccount {
        let user_id = new_user_id(name, self.users.server_name()).expect("a user name");
        let mut account = NewAccount::new(user_id, Some("open sesame".to_owned()));
        account.registration_token = token.map(ToOwned::to_owned);
        account
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_password_of_an_existing_user_is_right() {
    let house = house().await;
    house.register("ada", false).await;
    assert!(house.check("ada", "open sesame").await.is_ok());
    assert!(matches!(house.check("ada", "Open sesame").await, Err(Error::Credentials)));
    assert!(matches!(house.check("ada", "").await, Err(Error::Credentials)));
    assert!(matches!(house.check("bob", "open sesame").await, Err(Error::Credentials)));
    assert!(matches!(house.check("ada", &"x".repeat(100_000)).await, Err(Error::Credentials)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_password_lets_nobody_in() {
    let house = house().await;
    let user_id = new_user_id("ada", house.users.server_name()).expect("a user name");
    house.users.create(NewAccount::new(user_id, None)).await.expect("registered");
    assert!(matches!(house.check("ada", "").await, Err(Error::Credentials)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_away_once_even_to_those_who_ask_at_the_same_time() {
    let house = house().await;
    let all = (0..8).map(|_| {
        let (users, account) = (house.users.clone(), house.account("ada", None));
        spawn(async move { users.create(account).await })
    });
    let mut made = 0;
    for one in all.collect::<Vec<_>>() {
        match one.await.expect("it ended") {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, Error::UserInUse), "{error}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_token_is_good_as_often_as_it_says() {
    let house = house().await;
    let new = NewRegistrationToken { uses_allowed: Some(2), ..NewRegistrationToken::default() };
    let token = house.users.create_registration_token(new).await.expect("a token");
    for name in ["ada", "bob"] {
        assert!(house.users.registration_token_is_valid(&token).await.expect("read"));
        house.users.create(house.account(name, Some(&token))).await.expect("registered");
    }
    assert!(!house.users.registration_token_is_valid(&token).await.expect("read"));
    let third = house.users.create(house.account("eve", Some(&token))).await;
    assert!(matches!(third, Err(Error::RegistrationToken)));
    assert!(house.users.check_free(&new_user_id("eve", house.users.server_name()).expect("a name")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_registration_does_not_use_up_the_token() {
    let house = house().await;
    house.register("ada", false).await;
    let new = NewRegistrationToken { uses_allowed: Some(1), ..NewRegistrationToken::default() };
    let token = house.users.create_registration_token(new).await.expect("a token");
    assert!(matches!(house.users.create(house.account("ada", Some(&token))).await, Err(Error::UserInUse)));
    assert!(house.users.registration_token_is_valid(&token).await.expect("read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_token_expires() {
    let house = house().await;
    let new = NewRegistrationToken { lifetime: Some(Duration::from_secs(60)), ..NewRegistrationToken::default() };
    let token = house.users.create_registration_token(new).await.expect("a token");
    house.clock.advance(Duration::from_secs(60));
    assert!(!house.users.registration_token_is_valid(&token).await.expect("read"));
    let late = house.users.create(house.account("ada", Some(&token))).await;
    assert!(matches!(late, Err(Error::RegistrationToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_tokens_are_opaque_identifiers_of_at_most_64_characters() {
    let house = house().await;
    let named = |token: &str| NewRegistrationToken { token: Some(token.to_owned()), ..NewRegistrationToken::default() };
    for token in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
        let made = house.users.create_registration_token(named(token)).await;
        assert!(matches!(made, Err(Error::UnfitRegistrationToken)), "{token:?}");
    }
    assert_eq!(house.users.create_registration_token(named("a-B.9_~")).await.expect("a token"), "a-B.9_~");
    let again = house.users.create_registration_token(named("a-B.9_~")).await;
    assert!(matches!(again, Err(Error::UnfitRegistrationToken)));
    assert!(house.users.delete_registration_token("a-B.9_~").await.expect("deleted"));
    assert!(!house.users.delete_registration_token("a-B.9_~").await.expect("deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_keeps_the_asking_device_and_logs_out_the_others() {
    let house = house().await;
    let ada = house.register("ada", false).await;
    let Ok(Authentication::Valid(session)) = house.users.sessions().authenticate(&ada.tokens.access_token).await else {
        panic!("not logged in");
    };
    let other = house.users.log_in(session.user_no, crate::NewDevice::default()).await.expect("logged in");
    let change = |keep_others: bool| {
        let (users, session) = (house.users.clone(), session.clone());
        async move { users.change_password(session.user_no, "new".to_owned(), Some(&session.device_id), !keep_others).await }
    };
    change(true).await.expect("changed");
    assert!(matches!(house.check("ada", "open sesame").await, Err(Error::Credentials)));
    assert!(house.check("ada", "new").await.is_ok());
    let valid = |token: String| {
        let users = house.users.clone();
        async move { matches!(users.sessions().authenticate(&token).await, Ok(Authentication::Valid(_))) }
    };
    assert!(valid(other.tokens.access_token.clone()).await);
    change(false).await.expect("changed");
    assert!(!valid(other.tokens.access_token).await);
    assert!(valid(ada.tokens.access_token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_is_gone_for_good_and_its_name_with_it() {
    let house = house().await;
    let ada = house.register("ada", true).await;
    let user_id = UserId::parse("@ada:example.org").expect("a user id");
    let account = house.users.account(&user_id).await.expect("read").expect("an account");
    house.users.deactivate(account.user, &user_id, false).await.expect("deactivated");
    house.users.deactivate(account.user, &user_id, false).await.expect("once is enough");
    assert!(matches!(house.users.sessions().authenticate(&ada.tokens.access_token).await, Ok(Authentication::Unknown)));
    assert!(house.users.sessions().refresh(ada.tokens.refresh_token.as_deref().expect("a token")).await.is_err());
    assert!(matches!(house.check("ada", "open sesame").await, Err(Error::Credentials)));
    assert!(matches!(house.users.create(house.account("ada", None)).await, Err(Error::UserInUse)));
    assert!(house.users.log_in(account.user, crate::NewDevice::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_an_account_removes_its_profile_and_account_data() {
    let house = house().await;
    for (name, erase) in [("ada", true), ("bob", false)] {
        let mut account = house.account(name, None);
        account.displayname = Some("Somebody".to_owned());
        let user_id = account.user_id.clone();
        house.users.create(account).await.expect("registered");
        let user = house.users.account(&user_id).await.expect("read").expect("an account").user;
        house.users.set_account_data(user, None, "org.example", "{}".to_owned()).await.expect("set");
        house.users.deactivate(user, &user_id, erase).await.expect("deactivated");
        assert_eq!(house.users.profile(&user_id).await.expect("read").is_none(), erase);
        assert_eq!(house.users.account_data(user, None, "org.example").await.expect("read").is_none(), erase);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_in_the_order_of_their_creation() {
    let house = house().await;
    assert!(!house.users.has_accounts().await.expect("read"));
    for name in ["eve", "ada", "bob"] {
        house.register(name, false).await;
    }
    assert!(house.users.has_accounts().await.expect("read"));
    let names = |accounts: Vec<crate::Account>| {
        accounts.into_iter().map(|account| account.user_id.localpart().to_owned()).collect::<Vec<_>>()
    };
    let first = house.users.accounts(roost_store::UserNo(0), 2).await.expect("read");
    let last = first.last().expect("an account").user;
    assert_eq!(names(first), ["eve", "ada"]);
    assert_eq!(names(house.users.accounts(last, 2).await.expect("read")), ["bob"]);
}
