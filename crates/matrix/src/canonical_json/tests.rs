use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn strict(json: &str) -> Result<String, JsonError> {
    canonicalize(json.as_bytes(), Integers::Strict).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn lenient(json: &str) -> Result<String, JsonError> {
    canonicalize(json.as_bytes(), Integers::Lenient).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn the_examples_of_the_specification_hold() {
    for (json, canonical) in [
        ("{}", "{}"),
        ("{\n    \"one\": 1,\n    \"two\": \"Two\"\n}", r#"{"one":1,"two":"Two"}"#),
        ("{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}", r#"{"a":"1","b":"2"}"#),
        (r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{ "auth": { "success": true, "mxid": "@john.doe:example.com", "profile": { "display_name": "John Doe",
                "three_pids": [ { "medium": "email", "address": "john.doe@example.org" },
                { "medium": "msisdn", "address": "123456789" } ] } } }"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{ "a": "日本語" }"#, r#"{"a":"日本語"}"#),
        (r#"{ "本": 2, "日": 1 }"#, r#"{"日":1,"本":2}"#),
        (r#"{ "a": "\u65E5" }"#, r#"{"a":"日"}"#),
        (r#"{ "a": null }"#, r#"{"a":null}"#),
    ] {
        assert_eq!(strict(json).as_deref(), Ok(canonical));
        assert_eq!(lenient(json).as_deref(), Ok(canonical));
    }
    assert_eq!(lenient(r#"{ "a": -0, "b": 1e10 }"#).as_deref(), Ok(r#"{"a":0,"b":10000000000}"#));
}

#[test]
fn strict_numbers_are_integers_that_a_double_holds() {
    for (number, canonical) in [
        ("0", "0"),
        ("-0", "0"),
        ("-1", "-1"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
    ] {
        assert_eq!(strict(number).as_deref(), Ok(canonical));
    }
    for number in ["9007199254740992", "-9007199254740992", "10000000000000000", "99999999999999999999999999"] {
        assert_eq!(strict(number), Err(JsonError::OutOfRange(0)), "{number}");
    }
    for number in ["1.0", "1e10", "1E1", "0.0", "-0.0", "1e400", "1.5e-3"] {
        assert_eq!(strict(number), Err(JsonError::NotAnInteger(0)), "{number}");
    }
}

#[test]
fn lenient_numbers_are_any_that_a_double_holds() {
    for (number, canonical) in [
        ("12345678901234567890123", "12345678901234567890123"),
        ("-9007199254740993", "-9007199254740993"),
        ("-0", "0"),
        ("-0e0", "0"),
        ("-0.0", "-0.0"),
        ("1E2", "100"),
        ("1e+2", "100"),
        ("100e-2", "1"),
        ("50.57", "50.57"),
        ("1.0", "1.0"),
        ("1.50", "1.5"),
        ("0.1", "0.1"),
        ("5.114698E4", "51146.98"),
        ("123456789012345680.0", "1.2345678901234568e+17"),
        ("1e15", "1000000000000000"),
        ("1e16", "1e+16"),
        ("1.0e15", "1000000000000000.0"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("1e-7", "1e-07"),
        ("5e-324", "5e-324"),
        ("1.5e300", "1.5e+300"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ] {
        assert_eq!(lenient(number).as_deref(), Ok(canonical), "{number}");
    }
    for number in ["1e400", "-1e309"] {
        assert_eq!(lenient(number), Err(JsonError::OutOfRange(0)), "{number}");
    }
}

#[test]
fn what_is_not_a_number_is_refused() {
    for text in
        ["01", "-01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity", "1_000", "--1", "00"]
    {
        assert!(matches!(lenient(text), Err(JsonError::Syntax(_))), "{text}");
        assert!(matches!(strict(text), Err(JsonError::Syntax(_))), "{text}");
    }
}

#[test]
fn strings_have_the_shortest_escapes() {
    assert_eq!(
        strict(r#""\u0000\u0001\b\t\n\u000b\f\r\u001F\u007f\/\"\\\u0041\u2028\ud83d\ude00""#).as_deref(),
        Ok("\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}/\\\"\\\\A\u{2028}\u{1f600}\"")
    );
    for text in ["\"\u{1}\"", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\", "\"\\\"", "\"", "'a'", "\"a"] {
        assert!(matches!(strict(text), Err(JsonError::Syntax(_))), "{text:?}");
    }
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\udc00\ud800""#,
        r#"{"\udfff":1}"#,
    ] {
        assert!(matches!(strict(text), Err(JsonError::LoneSurrogate(_))), "{text}");
        assert!(matches!(lenient(text), Err(JsonError::LoneSurrogate(_))), "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_and_byte_order_marks_are_refused() {
    for bytes in [&b"\"\xff\""[..], b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\xff\xfe{\0}\0"] {
        assert_eq!(canonicalize(bytes, Integers::Strict), Err(JsonError::Utf8));
    }
    assert_eq!(strict("\u{feff}{}"), Err(JsonError::Syntax(0)));
}

#[test]
fn keys_are_in_the_order_of_their_code_points_and_not_of_their_escapes() {
    // U+0022 is written as `\"`, whose first byte is above U+0023.
    assert_eq!(strict(r##"{"#":3,"\"":2,"!":1,"\u0001":0}"##).as_deref(), Ok(r##"{"\u0001":0,"!":1,"\"":2,"#":3}"##));
    // U+FFFF is before U+1F600, though its UTF-16 form is after.
    assert_eq!(
        strict(r#"{"\ud83d\ude00":1,"\uffff":2,"~":3}"#).as_deref(),
        Ok("{\"~\":3,\"\u{ffff}\":2,\"\u{1f600}\":1}")
    );
    assert_eq!(
        strict(r#"{"ab":1,"a":2,"":3,"a\n":4,"a\\":5}"#).as_deref(),
        Ok(r#"{"":3,"a":2,"a\n":4,"a\\":5,"ab":1}"#)
    );
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    assert_eq!(strict(r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a":2}"#));
    assert_eq!(
        strict(r#"{"b":0,"a":{"x":1},"\u0061":{"y":2,"y":3},"c":0}"#).as_deref(),
        Ok(r#"{"a":{"y":3},"b":0,"c":0}"#)
    );
    assert_eq!(strict(r#"{"a":1,"b":2,"a":[3],"b":4,"a":5}"#).as_deref(), Ok(r#"{"a":5,"b":4}"#));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{}{}",
        "{},",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "nul",
        "True",
        "truex",
        "[1]x",
        "/**/{}",
        "{\"a\":1 \"b\":2}",
        "[\"a\":1]",
        "\u{a0}{}",
        "{}\0",
    ] {
        let error = strict(text).unwrap_err();
        assert!(error.is_not_json(), "{text:?}: {error:?}");
    }
    assert!(!JsonError::TooDeep.is_not_json());
}

#[test]
fn nesting_is_limited_and_the_limit_is_exact() {
    let nested = |open: &str, close: &str, depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), (" [ ", " ] ")] {
        let deepest = nested(open, close, MAX_DEPTH);
        assert!(strict(&deepest).is_ok());
        assert_eq!(check_depth(deepest.as_bytes()), Ok(()));
        let deeper = nested(open, close, MAX_DEPTH + 1);
        assert_eq!(strict(&deeper), Err(JsonError::TooDeep));
        assert_eq!(check_depth(deeper.as_bytes()), Err(JsonError::TooDeep));
        // The parser of responses takes what this one lets through, with room for the response around it.
        assert!(serde_json::from_str::<Value>(&nested(open, close, MAX_DEPTH + 25)).is_ok());
    }
    // A million levels end in an error and not in the stack's end.
    assert_eq!(strict(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
    assert_eq!(check_depth("[".repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
    // Brackets in strings do not count, nor do those that follow each other.
    assert_eq!(check_depth(format!("[\"{}\\\"[\"]", "[".repeat(200)).as_bytes()), Ok(()));
    assert!(strict(&format!("[{}[]]", "[],".repeat(10_000))).is_ok());
}

#[test]
fn an_object_is_asked_for_where_only_an_object_will_do() {
    assert_eq!(canonicalize_object(b" {} ", Integers::Strict).as_deref(), Ok(&b"{}"[..]));
    for json in ["[]", "1", "\"{}\"", "null"] {
        assert_eq!(canonicalize_object(json.as_bytes(), Integers::Strict), Err(JsonError::NotAnObject));
    }
}

#[test]
fn the_walk_over_canonical_json_finds_members_and_items() {
    let json = r#"{"a":[1,{"x":"]}"},[]],"b\"":"\\","c":{},"d":-1}"#;
    let members: Vec<_> = scan::members(json).map(|member| (member.key, member.value)).collect();
    assert_eq!(members, [("a", r#"[1,{"x":"]}"},[]]"#), (r#"b\""#, r#""\\""#), ("c", "{}"), ("d", "-1")]);
    assert_eq!(scan::member(json, "d"), Some("-1"));
    assert_eq!(scan::member(json, "e"), None);
    let items: Vec<_> = scan::items(r#"[1,{"x":"]}"},[],"a,b"]"#).collect();
    assert_eq!(items, ["1", r#"{"x":"]}"}"#, "[]", r#""a,b""#]);
    assert_eq!(scan::items("[]").count(), 0);
    assert_eq!(scan::items("{}").count(), 0);
    assert_eq!(scan::members("[1]").count(), 0);
    assert_eq!(scan::string(r#""a\nb""#).as_deref(), Some("a\nb"));
    assert_eq!(scan::string("1"), None);
}

#[test]
fn plain_text_ends_at_the_first_byte_that_is_not() {
    for special in ['"', '\\', '\0', '\u{1}', '\u{1f}'] {
        for length in 0..40 {
            let text = format!(
                "{}{special}{special}é\u{7f} !#[]",
                "é\u{7f} ".repeat(10).chars().take(length).collect::<String>()
            );
            assert_eq!(scan::plain_length(text.as_bytes()), text.find(special).unwrap());
        }
    }
    for byte in 0..=255 {
        assert_eq!(
            scan::plain_length(&[b'a', byte, 0, b'a', b'a', b'a', b'a', b'a']),
            1 + usize::from(scan::is_plain(byte))
        );
    }
    assert_eq!(scan::plain_length("é".repeat(100).as_bytes()), 200);
}

/// Numbers as written, arrays, objects and strings that need escapes more often than chance would have it.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".{0,6}", "[\"\\\\\u{0}-\u{1f}#a\u{10000}\u{ffff}]{0,4}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((text.clone(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Writes a value as somebody else might: other order, white space, other escapes, as `noise` has it.
fn write_noisily(value: &Value, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    fn space(noise: &mut impl Iterator<Item = u8>, out: &mut String) {
        if let Some(byte) = noise.next()
            && byte % 3 == 0
        {
            out.push([' ', '\n', '\t', '\r'][usize::from(byte >> 6)]);
        }
    }
    fn string(text: &str, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            if noise.next().is_some_and(|byte| byte % 4 == 0)
                || character < ' '
                || character == '"'
                || character == '\\'
            {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }
    space(noise, out);
    match value {
        Value::String(text) => string(text, noise, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_noisily(item, noise, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            let count = members.len();
            if count > 0 {
                members.rotate_left(usize::from(noise.next().unwrap_or(0)) % count);
            }
            if noise.next().is_some_and(|byte| byte % 2 == 0) {
                members.reverse();
            }
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(noise, out);
                string(key, noise, out);
                space(noise, out);
                out.push(':');
                write_noisily(value, noise, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    space(noise, out);
}

proptest! {
    #[test]
    fn the_canonical_form_is_one_for_all_writings_of_a_value(value in value(), noise: Vec<u8>, other: Vec<u8>) {
        let mut first = String::new();
        write_noisily(&value, &mut noise.into_iter(), &mut first);
        let mut second = String::new();
        write_noisily(&value, &mut other.into_iter(), &mut second);
        let canonical = strict(&first).unwrap();
        prop_assert_eq!(&canonical, &strict(&second).unwrap());
        prop_assert_eq!(&canonical, &lenient(&first).unwrap());
        // It is its own canonical form, and says the same.
        prop_assert_eq!(&canonical, &strict(&canonical).unwrap());
        prop_assert_eq!(serde_json::from_str::<Value>(&canonical).unwrap(), value);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = canonicalize(&bytes, Integers::Strict);
        let _ = check_depth(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = scan::members(text).count() + scan::items(text).count();
        }
    }

    #[test]
    fn what_one_json_parser_takes_the_other_takes(text in "[\\[\\]{}:,\"\\\\ua0-9eE.+ntrufals -]{0,12}") {
        // serde_json refuses numbers that overflow, and lone surrogates, too.
        prop_assert_eq!(lenient(&text).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn doubles_keep_their_value(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let text = lenient(&format!("{value:?}")).unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        prop_assert_eq!(lenient(&text).unwrap(), text);
    }
}
