//! Paths of requests to other servers.

use std::fmt::Write as _;

/// `/_matrix` and these segments, percent-encoded.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = String::from("/_matrix");
    for segment in segments {
        path.push('/');
        encode(segment, &mut path);
    }
    path
}

/// A path with a query.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (at, (key, value)) in pairs.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        encode(key, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_id_holds_stays_within_its_segment() {
        let path = path(&["federation", "v1", "event", "$a/b?c#d%"]);
        assert_eq!(path, "/_matrix/federation/v1/event/%24a%2Fb%3Fc%23d%25");
        assert_eq!(query(&path, &[("v", "$x&y"), ("limit", "1")]), format!("{path}?v=%24x%26y&limit=1"));
    }
}
