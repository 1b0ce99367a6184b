//! Numbers.

use super::{Integers, JsonError, MAX_INTEGER};

/// Reads the number at the start of `input[at..]`, writes its canonical form to `out` and returns where it ends.
pub(super) fn write_number(input: &[u8], at: usize, integers: Integers, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let mut end = at;
    let negative = input.get(end) == Some(&b'-');
    if negative {
        end += 1;
    }
    let digits = end;
    end = skip_digits(input, end);
    // No leading zeros, at least one digit.
    if end == digits || (input[digits] == b'0' && end - digits > 1) {
        return Err(JsonError::Syntax(digits));
    }
    let integer_end = end;
    let mut point = false;
    let mut exponent = false;
    if input.get(end) == Some(&b'.') {
        point = true;
        let fraction = end + 1;
        end = skip_digits(input, fraction);
        if end == fraction {
            return Err(JsonError::Syntax(end));
        }
    }
    if matches!(input.get(end), Some(b'e' | b'E')) {
        exponent = true;
        let mut power = end + 1;
        if matches!(input.get(power), Some(b'+' | b'-')) {
            power += 1;
        }
        end = skip_digits(input, power);
        if end == power {
            return Err(JsonError::Syntax(end));
        }
    }
    let text = &input[at..end];
    if !point && !exponent {
        if &input[digits..integer_end] == b"0" {
            out.push(b'0');
        } else if integers == Integers::Strict && !within_range(&input[digits..integer_end]) {
            return Err(JsonError::OutOfRange(at));
        } else {
            out.extend_from_slice(text);
        }
        return Ok(end);
    }
    if integers == Integers::Strict {
        return Err(JsonError::NotAnInteger(at));
    }
    let value: f64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(JsonError::Syntax(at))?;
    if !value.is_finite() {
        return Err(JsonError::OutOfRange(at));
    }
    write_double(value, point, out);
    Ok(end)
}

fn skip_digits(input: &[u8], from: usize) -> usize {
    from + input.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn within_range(digits: &[u8]) -> bool {
    // 2^53 − 1 has 16 digits.
    if digits.len() < 16 {
        return true;
    }
    digits.len() == 16 && digits.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0')) <= MAX_INTEGER
}

/// Writes a double as [`Integers::Lenient`] says. `point`: the text had a decimal point.
fn write_double(value: f64, point: bool, out: &mut Vec<u8>) {
    #[expect(clippy::cast_precision_loss, reason = "2^53 − 1 is exact as a double")]
    let limit = MAX_INTEGER as f64;
    if !point && value.fract() == 0.0 && value.abs() <= limit {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be an integer within 2^53")]
        let integer = value as i64;
        out.extend_from_slice(integer.to_string().as_bytes());
        return;
    }
    // `{:e}` gives the shortest digits that read back as the same double: `d.ddde±x`.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let text = if (-4..16).contains(&exponent) {
        if exponent < 0 {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            format!("{sign}0.{zeros}{digits}")
        } else if count <= exponent + 1 {
            let zeros = "0".repeat(usize::try_from(exponent + 1 - count).unwrap_or(0));
            format!("{sign}{digits}{zeros}.0")
        } else {
            let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
            format!("{sign}{whole}.{fraction}")
        }
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.unsigned_abs())
    };
    out.extend_from_slice(text.as_bytes());
}
