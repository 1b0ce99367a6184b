//! Unpadded Base64, in the standard and the URL-safe alphabet.
//!
//! What is written never has padding. What is read may: either no `=` at all, or exactly as many as fill the last group of
//! four. Everything else that is not in the alphabet is refused, white space and the other alphabet's characters included.
//! Bits of the last character beyond the last byte are ignored: a value is what comes out of the decoder, and keys with such
//! bits are in use (`docs/decisions/0102-base64-stray-bits.md`).
//!
//! Specification: [unpadded Base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64).

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What no character of the alphabet stands for.
const NONE: u8 = 0xFF;

const STANDARD_VALUES: [u8; 256] = values(STANDARD);
const URL_SAFE_VALUES: [u8; 256] = values(URL_SAFE);

const fn values(alphabet: &[u8; 64]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0_u8;
    while value < 64 {
        table[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    table
}

/// The text is not Base64 in the alphabet asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid Base64")]
pub struct DecodeError;

/// Encodes with the standard alphabet, without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    encode_with(STANDARD, bytes)
}

/// Encodes with the URL-safe alphabet, without padding.
#[must_use]
pub fn encode_url(bytes: &[u8]) -> String {
    encode_with(URL_SAFE, bytes)
}

/// Decodes the standard alphabet, with or without padding.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, DecodeError> {
    decode_with(&STANDARD_VALUES, text.as_ref())
}

/// Decodes the URL-safe alphabet, with or without padding.
pub fn decode_url(text: impl AsRef<[u8]>) -> Result<Vec<u8>, DecodeError> {
    decode_with(&URL_SAFE_VALUES, text.as_ref())
}

/// Decodes either alphabet, with or without padding; for the public keys of third-party invites, which come in both.
pub fn decode_any(text: impl AsRef<[u8]>) -> Result<Vec<u8>, DecodeError> {
    let text = text.as_ref();
    decode(text).or_else(|_| decode_url(text))
}

/// Decodes the standard alphabet into exactly `N` bytes: a key, a signature, a hash.
pub fn decode_exact<const N: usize>(text: impl AsRef<[u8]>) -> Result<[u8; N], DecodeError> {
    let text = text.as_ref();
    // Long texts are refused before anything is allocated for them.
    if text.len() > N.div_ceil(3) * 4 {
        return Err(DecodeError);
    }
    decode(text)?.try_into().map_err(|_| DecodeError)
}

fn encode_with(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let [first, second, third] = match *group {
            [first, second, third] => [first, second, third],
            [first, second] => [first, second, 0],
            [first, ..] => [first, 0, 0],
            [] => break,
        };
        let sextets = [first >> 2, first << 4 | second >> 4, second << 2 | third >> 6, third];
        for sextet in &sextets[..=group.len()] {
            text.push(char::from(alphabet[usize::from(sextet & 0x3F)]));
        }
    }
    text
}

fn decode_with(values: &[u8; 256], text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let text = strip_padding(text)?;
    // One character over a full group carries no byte.
    if text.len() % 4 == 1 {
        return Err(DecodeError);
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for character in group {
            let value = values[usize::from(*character)];
            if value == NONE {
                return Err(DecodeError);
            }
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend_from_slice(&[first, second, third][..group.len() - 1]);
    }
    Ok(bytes)
}

fn strip_padding(text: &[u8]) -> Result<&[u8], DecodeError> {
    let end = text.iter().rposition(|character| *character != b'=').map_or(0, |last| last + 1);
    let padding = text.len() - end;
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return Err(DecodeError);
    }
    Ok(&text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn padding_is_read_when_it_is_whole_and_never_written() {
        assert_eq!(decode("Zg==").unwrap(), b"f");
        assert_eq!(decode("Zm8=").unwrap(), b"fo");
        assert_eq!(decode_url("Zm9v").unwrap(), b"foo");
        for wrong in ["Zg=", "Zm9v=", "Zm9v====", "=", "==", "====", "Zg==Zg==", "Z===", "Zm8=="] {
            assert_eq!(decode(wrong), Err(DecodeError), "{wrong}");
        }
    }

    #[test]
    fn each_decoder_knows_its_own_alphabet_only() {
        assert_eq!(encode(&[0xFB, 0xEF, 0xFF]), "++//");
        assert_eq!(encode_url(&[0xFB, 0xEF, 0xFF]), "--__");
        assert_eq!(decode("--__"), Err(DecodeError));
        assert_eq!(decode_url("++//"), Err(DecodeError));
        for wrong in ["Z g", "Zm9v\n", "Zm9vYg\0", "Zmé", "A", "AAAAA"] {
            assert_eq!(decode(wrong), Err(DecodeError), "{wrong}");
        }
    }

    #[test]
    fn stray_bits_of_the_last_character_are_ignored() {
        assert_eq!(decode("Zh").unwrap(), decode("Zg").unwrap());
    }

    #[test]
    fn an_exact_length_is_asked_for_exactly() {
        assert_eq!(decode_exact::<3>("Zm9v"), Ok(*b"foo"));
        assert_eq!(decode_exact::<2>("Zm9v"), Err(DecodeError));
        assert_eq!(decode_exact::<4>("Zm9v"), Err(DecodeError));
        assert_eq!(decode_exact::<1>("Zg=="), Ok(*b"f"));
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_itself(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encode(&bytes)).unwrap(), bytes.clone());
            prop_assert_eq!(decode_url(encode_url(&bytes)).unwrap(), bytes);
        }
    }
}
