//! Third-party identifiers in their canonical form.
//!
//! Spec: <https://spec.matrix.org/v1.19/appendices/#3pid-types>

use std::fmt;

use phonenumber::{Metadata, Mode, country, metadata::DATABASE};

use crate::Error;

/// The longest mail address, by RFC 5321, and the longest part before the `@`.
const MAX_EMAIL: usize = 254;
const MAX_LOCAL: usize = 64;

/// The longest domain and the longest part of one.
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// The longest phone number that is looked at, with all its spaces and brackets, in bytes.
const MAX_PHONE: usize = 64;

/// How many digits a number of the E.164 plan has.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// Mail addresses.
    Email,
    /// Phone numbers.
    Msisdn,
}

impl Medium {
    /// The specification's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Msisdn => "msisdn",
        }
    }

    /// The medium of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Email, Self::Msisdn].into_iter().find(|medium| medium.as_str() == name)
    }
}

/// An address in its canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThirdPartyId {
    medium: Medium,
    address: String,
    /// Where a phone number belongs, as two letters.
    region: Option<String>,
}

/// Shown without its address, which is nobody's business in a log.
impl fmt::Debug for ThirdPartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThirdPartyId").field("medium", &self.medium).finish_non_exhaustive()
    }
}

impl ThirdPartyId {
    /// A mail address: `user@domain` and nothing around it. It is case-folded as a whole, so `Strauß@Example.com` becomes
    /// `strauss@example.com`, and mail goes to what came out: whoever reads that has proved that it is theirs.
    pub fn email(text: &str) -> Result<Self, Error> {
        // Bounded before anything is made of it; folding makes a text three times as long at most.
        if text.len() > MAX_EMAIL {
            return Err(Error::InvalidEmail);
        }
        let address = caseless::default_case_fold_str(text);
        let (local, domain) = address.rsplit_once('@').ok_or(Error::InvalidEmail)?;
        if address.len() > MAX_EMAIL || !is_local(local) || !is_domain(domain) {
            return Err(Error::InvalidEmail);
        }
        Ok(Self { medium: Medium::Email, address, region: None })
    }

    /// A phone number as it is dialled from a country, which is given as two capital letters.
    pub fn phone(country: &str, number: &str) -> Result<Self, Error> {
        let unknown = || Error::InvalidParam("the country is not two capital letters of ISO 3166");
        let dialled_from: country::Id = country.parse().map_err(|_| unknown())?;
        // Not every country of the list has numbers of its own.
        let plan = DATABASE.by_id(country).ok_or_else(unknown)?;
        let dialled = |c: char| c.is_ascii_digit() || " +-()./".contains(c);
        if number.len() > MAX_PHONE || !number.chars().all(dialled) {
            return Err(Error::InvalidAddress);
        }
        let parsed = match international(number, plan) {
            // Without the country: the crate would strip its trunk prefix from the number of another one.
            Some(number) => phonenumber::parse(None, number),
            None => phonenumber::parse(Some(dialled_from), number),
        };
        let number = parsed.map_err(|_| Error::InvalidAddress)?;
        let written = number.format().mode(Mode::E164).to_string();
        let region = match number.country().id() {
            Some(id) => Some(id.as_ref().to_owned()),
            // No number that is given to anybody: it belongs where its code says.
            None => main_country(number.code().value()),
        };
        Ok(Self { region, ..Self::digits(&written)? })
    }

    /// An address of a medium as somebody else names it, who knows its canonical form or something close to it.
    pub fn named(medium: &str, address: &str) -> Result<Self, Error> {
        match Medium::named(medium) {
            Some(Medium::Email) => Self::email(address),
            Some(Medium::Msisdn) => Self::digits(address),
            None => Err(Error::UnknownMedium),
        }
    }

    fn digits(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if !DIGITS.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::InvalidAddress);
        }
        Ok(Self { medium: Medium::Msisdn, address: digits.to_owned(), region: None })
    }

    /// Its kind.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// Its canonical form.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where a phone number belongs, as two capital letters, when that is known.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// What limits count it by.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.medium.as_str(), self.address)
    }

    /// What others may see of it: enough to recognise an address that one knows.
    #[must_use]
    pub fn redacted(&self) -> String {
        let short = |text: &str| text.chars().take(1).chain("...".chars()).collect::<String>();
        match self.address.rsplit_once('@') {
            Some((local, domain)) => format!("{}@{}", short(local), short(domain)),
            None => short(&self.address),
        }
    }
}

/// The number with its country's code, if it is dialled so: behind a `+`, or behind what is dialled for foreign countries.
fn international(number: &str, plan: &Metadata) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if number.trim_start().starts_with('+') {
        return Some(format!("+{digits}"));
    }
    let prefix = plan.international_prefix()?.find(&digits).filter(|found| found.start() == 0)?;
    let rest = digits.get(prefix.end()..)?;
    // No country's code begins with 0.
    (!rest.is_empty() && !rest.starts_with('0')).then(|| format!("+{rest}"))
}

/// The country to which a code belongs first of all.
fn main_country(code: u16) -> Option<String> {
    let plans = DATABASE.by_code(&code)?;
    let main = plans.iter().find(|plan| plan.is_main_country_for_code()).or(plans.first())?;
    Some(main.id().to_owned())
}

/// RFC 5322's dot-atom, with the letters of RFC 6531. Quoted local parts are refused: hardly anybody has one, and they are
/// the way to smuggle what a mail server takes for something else.
fn is_local(text: &str) -> bool {
    let atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && is_letter(c))
            })
    };
    text.len() <= MAX_LOCAL && text.split('.').all(atom)
}

fn is_domain(text: &str) -> bool {
    let label = |part: &str| {
        (1..=MAX_LABEL).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && is_letter(c)))
    };
    text.len() <= MAX_DOMAIN && text.split('.').all(label)
}

/// Beyond ASCII, what is neither white space nor invisible.
fn is_letter(c: char) -> bool {
    let marks = ('\u{300}'..='\u{36F}').contains(&c);
    c.is_alphanumeric() || marks
}

#[cfg(test)]
mod tests;
