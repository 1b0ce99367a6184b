use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn tokens_are_read_as_they_were_written(generation in 0..=i64::MAX, a in 0..=i64::MAX, b in 0..=i64::MAX, index: i64) {
        let sync = SyncToken { generation: Generation(generation), position: Position(a), ephemeral: b };
        prop_assert_eq!(sync.to_string().parse(), Ok(sync));
        prop_assert_eq!(sync.to_string().parse(), Ok(Token::Sync(sync)));
        prop_assert_eq!(sync.to_string().parse::<MessagesToken>(), Err(NotAToken));
        let messages = MessagesToken { generation: Generation(generation), index };
        prop_assert_eq!(messages.to_string().parse(), Ok(messages));
        prop_assert_eq!(messages.to_string().parse(), Ok(Token::Messages(messages)));
        prop_assert_eq!(messages.to_string().parse::<SyncToken>(), Err(NotAToken));
    }

    /// Whatever is taken is written in one way only, so that tokens can be compared as texts.
    #[test]
    fn what_is_taken_as_a_token_is_one(text in "[st]?[-+ 0-9_]{0,30}") {
        if let Ok(token) = text.parse::<Token>() {
            prop_assert_eq!(token.to_string(), text);
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,60}") {
        let _ = text.parse::<Token>();
    }
}

#[test]
fn what_is_almost_a_token_is_refused() {
    for text in [
        "",
        "s",
        "t",
        "s1",
        "s1_2",
        "s1_2_3_4",
        "s1__3",
        "s01_2_3",
        "s1_2_03",
        "s+1_2_3",
        "s-1_2_3",
        "s1_-2_3",
        "s1_2_-3",
        "t1",
        "t1_2_3",
        "t-1_2",
        "t01_2",
        "t1_-0",
        "t1_--3",
        "S1_2_3",
        " s1_2_3",
        "s1_2_3 ",
        "s1_2_9223372036854775808",
        "s１_2_3",
        "u1_2_3",
    ] {
        assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text:?}");
    }
}

#[test]
fn a_token_of_another_life_or_from_the_future_is_not_current() {
    let token: SyncToken = "s2_50_7".parse().unwrap();
    assert!(token.is_current(Generation(2), Position(50)));
    assert!(!token.is_current(Generation(3), Position(50)));
    assert!(!token.is_current(Generation(2), Position(49)));
}
