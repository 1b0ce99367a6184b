//! [Glob-style matching](https://spec.matrix.org/v1.19/appendices/#glob-style-matching), without regard to case.
//!
//! `*` stands for any characters, `?` for exactly one; nothing else is special. Case is folded character by character where
//! the lower case of a character is one character, which is all that a comparison without allocation can do and more than the
//! specification asks for.

/// A compiled pattern. Equal patterns (also those that differ in case, or in `**` for `*`) compile to equal globs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    /// What stands between the stars, folded, `?` for any character. Never empty; only the first and the last can be empty
    /// slices.
    segments: Box<[Box<[char]>]>,
}

/// How many comparisons of characters may still be made. A pattern of thousands of characters against a text of tens of
/// thousands could otherwise ask for hundreds of millions; when the budget is used up, nothing matches any more.
#[derive(Debug)]
pub(crate) struct Budget(u64);

impl Budget {
    pub(crate) fn new(comparisons: u64) -> Self {
        Self(comparisons)
    }

    fn spend(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

fn fold(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        _ => character,
    }
}

/// Whether two texts are equal without regard to case.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    a == b || a.chars().map(fold).eq(b.chars().map(fold))
}

/// Whether a text contains another one between word boundaries; nothing in it is special.
pub(crate) fn contains_words(text: &str, wanted: &str, budget: &mut Budget) -> bool {
    let matches = |at: usize, budget: &mut Budget| {
        let mut characters = text[at..].chars();
        for wanted in wanted.chars() {
            if !budget.spend() || characters.next().is_none_or(|character| fold(character) != fold(wanted)) {
                return false;
            }
        }
        is_boundary(text, text.len() - characters.as_str().len())
    };
    !wanted.is_empty()
        && any_offset(text, 0, |at, budget| is_boundary(text, at) && matches(at, budget), budget).is_some()
}

/// The sets `[A-Z]`, `[a-z]`, `[0-9]` and `_`; every other character is a word boundary.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether a substring may start or end at this byte offset: at the ends of the text, or where a character on either side is
/// a word boundary.
fn is_boundary(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at..].chars().next();
    before.is_none_or(|character| !is_word(character)) || after.is_none_or(|character| !is_word(character))
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let parts = pattern.split('*').collect::<Vec<_>>();
        let last = parts.len() - 1;
        let segments = parts.into_iter().enumerate();
        let segments = segments.filter(|(index, part)| *index == 0 || *index == last || !part.is_empty());
        Self { segments: segments.map(|(_, part)| part.chars().map(fold).collect()).collect() }
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str, budget: &mut Budget) -> bool {
        let (first, middle, last) = match &*self.segments {
            [] => return text.is_empty(),
            [only] => return starts_with(text, only, budget) == Some(text.len()),
            [first, middle @ .., last] => (first, middle, last),
        };
        let Some(at) = starts_with(text, first, budget) else { return false };
        let Some(at) = leftmost(text, at, middle, budget) else { return false };
        let Some(start) = nth_from_end(text, last.len()) else { return false };
        start >= at && starts_with(&text[start..], last, budget).is_some()
    }

    /// Whether a substring matches that starts and ends at a word boundary.
    pub(crate) fn matches_words(&self, text: &str, budget: &mut Budget) -> bool {
        let (first, middle, last) = match &*self.segments {
            [] => return text.is_empty(),
            [only] if only.is_empty() => return text.is_empty(),
            [only] => {
                return any_offset(
                    text,
                    0,
                    |at, budget| {
                        is_boundary(text, at)
                            && starts_with(&text[at..], only, budget)
                                .is_some_and(|length| is_boundary(text, at + length))
                    },
                    budget,
                )
                .is_some();
            }
            [first, middle @ .., last] => (first, middle, last),
        };
        // The leftmost place of each segment leaves most to those that follow, so no other needs to be tried.
        let mut end_of_first = 0;
        let found = any_offset(
            text,
            0,
            |at, budget| {
                if !is_boundary(text, at) {
                    return false;
                }
                match starts_with(&text[at..], first, budget) {
                    Some(length) => {
                        end_of_first = at + length;
                        true
                    }
                    None => false,
                }
            },
            budget,
        );
        if found.is_none() {
            return false;
        }
        let Some(at) = leftmost(text, end_of_first, middle, budget) else { return false };
        last.is_empty()
            || any_offset(
                text,
                at,
                |at, budget| {
                    starts_with(&text[at..], last, budget).is_some_and(|length| is_boundary(text, at + length))
                },
                budget,
            )
            .is_some()
    }
}

/// The length of what the segment matches at the start of the text.
fn starts_with(text: &str, segment: &[char], budget: &mut Budget) -> Option<usize> {
    let mut characters = text.chars();
    for wanted in segment {
        if !budget.spend() {
            return None;
        }
        let character = characters.next()?;
        if *wanted != '?' && fold(character) != *wanted {
            return None;
        }
    }
    Some(text.len() - characters.as_str().len())
}

/// Where the last of the segments ends when each is placed as far left as it can be after the one before.
fn leftmost(text: &str, mut at: usize, segments: &[Box<[char]>], budget: &mut Budget) -> Option<usize> {
    for segment in segments {
        let mut end = at;
        any_offset(
            text,
            at,
            |at, budget| match starts_with(&text[at..], segment, budget) {
                Some(length) => {
                    end = at + length;
                    true
                }
                None => false,
            },
            budget,
        )?;
        at = end;
    }
    Some(at)
}

/// The first offset from `from` on, the end of the text included, for which `holds` does.
fn any_offset(
    text: &str,
    from: usize,
    mut holds: impl FnMut(usize, &mut Budget) -> bool,
    budget: &mut Budget,
) -> Option<usize> {
    let offsets = text[from..].char_indices().map(|(offset, _)| from + offset).chain([text.len()]);
    for offset in offsets {
        if !budget.spend() {
            return None;
        }
        if holds(offset, budget) {
            return Some(offset);
        }
    }
    None
}

/// The offset of the last `count` characters.
fn nth_from_end(text: &str, count: usize) -> Option<usize> {
    match count {
        0 => Some(text.len()),
        _ => text.char_indices().rev().nth(count - 1).map(|(offset, _)| offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).matches(text, &mut Budget::new(10_000))
    }

    fn words(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).matches_words(text, &mut Budget::new(10_000))
    }

    #[test]
    fn a_star_is_any_characters_and_a_question_mark_exactly_one() {
        for (pattern, text) in [
            ("lunc?*", "Lunch plans"),
            ("lunc?*", "LUNCH"),
            ("", ""),
            ("*", ""),
            ("**", "anything"),
            ("a*a", "aa"),
            ("a*b*c", "aXbXbXc"),
            ("*.example.org", "a.b.EXAMPLE.org"),
            ("é?", "Éß"),
            ("?", "\n"),
        ] {
            assert!(whole(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("lunc?*", " lunch"),
            ("lunc?*", "lunc"),
            ("", "x"),
            ("?", ""),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("ab", "abc"),
            ("[ab]", "a"),
        ] {
            assert!(!whole(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_for_the_body_matches_between_word_boundaries() {
        for (pattern, text) in [
            ("ex*ple", "An example event."),
            ("ex*ple", "exple"),
            ("ex*ple", "An exciting triple-whammy"),
            ("cake", "cake"),
            ("cake", "a piece of CAKE!"),
            ("cake", "cakes, cake"),
            (":)", "hello:)"),
            ("ca?e", "éca e"),
            ("*", ""),
            ("cake*lie", "the cake is a lie"),
        ] {
            assert!(words(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("ex*ple", "exciting triples"),
            ("cake", "pancake cakes cake_"),
            ("cake*lie", "pancake, cakes and liesbeth"),
            ("", "something"),
        ] {
            assert!(!words(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn equal_patterns_are_equal_globs() {
        assert_eq!(Glob::new("A**b"), Glob::new("a*B"));
        assert_ne!(Glob::new("a*b"), Glob::new("ab"));
    }

    #[test]
    fn a_pattern_made_to_be_slow_ends_with_its_budget() {
        let mut budget = Budget::new(100_000);
        // Each of these is a word boundary, so that every offset is tried.
        let pattern = format!("{}b", "!".repeat(5_000));
        assert!(!Glob::new(&pattern).matches_words(&"!".repeat(60_000), &mut budget));
        assert!(!Glob::new("a").matches("a", &mut budget), "nothing matches once the budget is used up");
    }
}
