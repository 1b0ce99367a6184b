//! What is known of a room, for people to read.

use std::fmt::Write as _;

use serde_json::Value;

/// Bytes with a unit.
fn size(bytes: i64) -> String {
    match bytes {
        ..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

fn age(milliseconds: i64) -> String {
    match milliseconds / 1000 {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn event(out: &mut String, event: &Value) {
    let key = event["state_key"].as_str().map(|key| format!(" {key:?}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "  {} {}{key} by {}, depth {}, place {}, {}",
        word(&event["event_id"]),
        word(&event["type"]),
        word(&event["sender"]),
        word(&event["depth"]),
        word(&event["place"]),
        word(&event["standing"]),
    );
}

/// The text. Writing to a `String` does not fail.
pub(super) fn of(told: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}, version {}", word(&told["room_id"]), word(&told["version"]));
    let _ = writeln!(out, "Members: {} joined, {} invited", word(&told["joined"]), word(&told["invited"]));
    for (name, key) in [
        ("Members missing from the state", "partial"),
        ("In the directory", "published"),
        ("Appender open", "appender_open"),
        ("Revision", "revision"),
    ] {
        let _ = writeln!(out, "{name}: {}", word(&told[key]));
    }
    let history = &told["history"];
    let _ = writeln!(out, "History: places {} to {}", word(&history["first"]), word(&history["last"]));

    let _ = writeln!(out, "\nTips ({}):", list(&told["tips"]).len());
    for tip in list(&told["tips"]) {
        event(&mut out, tip);
        let _ = writeln!(out, "    {} old", age(tip["age_ms"].as_i64().unwrap_or(0)));
    }
    let _ = writeln!(out, "\nMissing events: {}", word(&told["missing_count"]));
    for missing in list(&told["missing"]) {
        let next = match missing["next_try"].as_i64() {
            Some(0) => "now".to_owned(),
            Some(at) => format!("at {at} ms"),
            None => "never".to_owned(),
        };
        let _ = writeln!(
            out,
            "  {} cited by {} at place {}, tried {} times, next {next}",
            word(&missing["event_id"]),
            word(&missing["cited_by"]),
            word(&missing["place"]),
            word(&missing["tries"]),
        );
    }
    let _ = writeln!(out, "\nNot accepted: {}", list(&told["unshown"]).len());
    for unshown in list(&told["unshown"]) {
        let _ = writeln!(
            out,
            "  {} {} from {}: {}",
            word(&unshown["event_id"]),
            word(&unshown["standing"]),
            word(&unshown["origin"]),
            word(&unshown["reason"]),
        );
    }
    let _ = writeln!(out, "\nLost state: {}", list(&told["state_resets"]).len());
    for reset in list(&told["state_resets"]) {
        let _ = writeln!(out, "  at {} ms: {}", word(&reset["at"]), reset["evidence"]);
    }
    let _ = writeln!(out, "\nOn the disk, without indexes:");
    let mut sum = 0;
    for usage in list(&told["usage"]) {
        let bytes = usage["bytes"].as_i64().unwrap_or(0);
        sum += bytes;
        let _ = writeln!(out, "  {:<24} {:>10} rows {:>12}", word(&usage["table"]), word(&usage["rows"]), size(bytes));
    }
    let _ = writeln!(out, "  {:<24} {:>15} {:>12}", "together", "", size(sum));
    if told["event"].is_object() {
        neighbourhood(&mut out, &told["event"]);
    }
    out
}

fn neighbourhood(out: &mut String, told: &Value) {
    let _ = writeln!(out, "\nThe event{}:", if told["redacted"] == true { " (redacted)" } else { "" });
    event(out, told);
    if told["origin"].is_object() {
        let origin = &told["origin"];
        let _ = writeln!(out, "    from {}, reason: {}", word(&origin["server"]), word(&origin["reason"]));
    }
    for (title, key) in [("Before it", "before"), ("After it", "after"), ("Authorised by", "auth_events")] {
        let _ = writeln!(out, "{title}:");
        for other in list(&told[key]) {
            event(out, other);
        }
    }
    let _ = writeln!(out, "State before it ({}):", list(&told["state"]).len());
    for entry in list(&told["state"]) {
        let _ = writeln!(
            out,
            "  {} {:?} {}",
            word(&entry["type"]),
            entry["state_key"].as_str().unwrap_or_default(),
            word(&entry["event_id"])
        );
    }
}
