use proptest::prelude::*;

use super::*;

fn email(text: &str) -> Option<String> {
    ThirdPartyId::email(text).ok().map(|id| id.address().to_owned())
}

#[test]
fn mail_addresses_are_case_folded_as_in_the_specification() {
    assert_eq!(email("Strauß@Example.com").as_deref(), Some("strauss@example.com"));
    assert_eq!(email("bob@Example.com").as_deref(), Some("bob@example.com"));
    assert_eq!(email("Bob.Smith+tag@EXAMPLE.co.uk").as_deref(), Some("bob.smith+tag@example.co.uk"));
    assert_eq!(email("louise@bobs.burgers").as_deref(), Some("louise@bobs.burgers"));
    assert_eq!(email("ΣΊΣΥΦΟΣ@bücher.example").as_deref(), Some("σίσυφοσ@bücher.example"));
}

#[test]
fn what_is_more_or_less_than_a_mail_address_is_refused() {
    for wrong in [
        "",
        "@",
        "a@",
        "@b.c",
        "plain",
        "a@b@c",
        "a b@c.d",
        " a@b.c",
        "a@b.c ",
        "Alice <a@b.c>",
        "<a@b.c>",
        "mailto:a@b.c",
        "a@b.c,d@e.f",
        "a@b.c;d@e.f",
        "\"a b\"@c.d",
        "a@[127.0.0.1]",
        "a@b..c",
        ".a@b.c",
        "a.@b.c",
        "a..b@c.d",
        "a@-b.c",
        "a@b-.c",
        "a@b.c\r\nBcc: d@e.f",
        "a\r\nBcc: d@e.f@b.c",
        "a@b.c\0",
        "a\u{200b}@b.c",
        "a\u{202e}@b.c",
        "a(comment)@b.c",
    ] {
        assert_eq!(email(wrong), None, "{wrong:?}");
    }
    assert_eq!(email(&format!("{}@b.c", "a".repeat(65))), None);
    assert_eq!(email(&format!("a@{}", ["a"; 200].join("."))), None);
    assert_eq!(email(&"ﬃ".repeat(80)), None);
}

#[test]
fn phone_numbers_become_msisdns() {
    let phone = |country, number| ThirdPartyId::phone(country, number).map(|id| id.address().to_owned());
    assert_eq!(phone("GB", "07700900001").unwrap(), "447700900001", "the example of the specification");
    assert_eq!(phone("US", "(800) 555-2067").unwrap(), "18005552067");
    assert_eq!(phone("US", "+44 7700 900001").unwrap(), "447700900001", "a number that says where it belongs");
    assert_eq!(phone("DE", "0170 1234567").unwrap(), "491701234567");
    for dialled in ["+49 170 1234567", "011 49 170 1234567", "+49 (0)170 1234567"] {
        assert_eq!(phone("US", dialled).unwrap(), "491701234567", "{dialled}: a 1 of another plan is no trunk prefix");
    }
    assert_eq!(phone("FR", "00 44 7700 900001").unwrap(), "447700900001");
    assert_eq!(phone("IT", "06 6982").unwrap(), "39066982", "in Italy the 0 stays");
    assert_eq!(phone("US", "+1 800 555 2067").unwrap(), "18005552067");
    let british = ThirdPartyId::phone("US", "+44 7700 900001").unwrap();
    assert_eq!(british.region(), Some("GB"), "even when nobody has the number");
    let german = ThirdPartyId::phone("US", "+49 170 1234567").unwrap();
    assert_eq!(german.region(), Some("DE"), "the gateway is that of the number's country");
}

#[test]
fn what_is_no_phone_number_is_refused() {
    for number in ["", "abc", "12", "+", "0770090000100000000000", "07700\r\n900001", "07700900001;DROP"] {
        assert!(ThirdPartyId::phone("GB", number).is_err(), "{number:?}");
    }
    assert!(ThirdPartyId::phone("GB", &"1".repeat(100_000)).is_err());
    for country in ["", "gb", "XX", "GBR", "44"] {
        assert!(matches!(ThirdPartyId::phone(country, "07700900001"), Err(Error::InvalidParam(_))), "{country:?}");
    }
}

#[test]
fn an_address_of_a_medium_is_read_in_its_canonical_form() {
    assert_eq!(ThirdPartyId::named("msisdn", "+447700900001").unwrap().address(), "447700900001");
    assert_eq!(ThirdPartyId::named("email", "A@B.c").unwrap().address(), "a@b.c");
    assert!(ThirdPartyId::named("msisdn", "0x12345678").is_err());
    assert!(matches!(ThirdPartyId::named("pigeon", "a@b.c"), Err(Error::UnknownMedium)));
}

#[test]
fn a_redacted_address_does_not_tell_the_address() {
    assert_eq!(ThirdPartyId::email("foo@bar.com").unwrap().redacted(), "f...@b...");
    assert_eq!(ThirdPartyId::phone("GB", "07700900001").unwrap().redacted(), "4...");
}

#[test]
fn an_address_stays_out_of_logs() {
    assert!(!format!("{:?}", ThirdPartyId::email("foo@bar.com").unwrap()).contains("foo"));
}

proptest! {
    #[test]
    fn the_canonical_form_is_its_own_canonical_form(text in "[a-zA-Zß.ΣéİŁ+]{1,12}@[a-zA-Zßé-]{1,9}\\.[A-Za-z]{2,5}") {
        if let Some(address) = email(&text) {
            prop_assert_eq!(email(&address), Some(address.clone()));
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_addresses_panic(text: String, country: String) {
        let _ = ThirdPartyId::email(&text);
        let _ = ThirdPartyId::phone("GB", &text);
        let _ = ThirdPartyId::phone(&country, "07700900001");
        let _ = ThirdPartyId::named("msisdn", &text);
    }

    #[test]
    fn no_row_of_digits_and_signs_makes_the_reader_of_numbers_panic(
        text in "[+()0-9 ./-]{0,64}",
        country in "[A-Z]{2}",
    ) {
        let _ = ThirdPartyId::phone("GB", &text);
        let _ = ThirdPartyId::phone("US", &text);
        let _ = ThirdPartyId::phone(&country, &text);
    }
}
