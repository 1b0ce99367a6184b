//! The known word that somebody who mistyped may have meant.

/// The nearest of `known`, when it is near enough to be worth naming.
pub(super) fn nearest<'a>(typed: &str, known: &'a [String]) -> Option<&'a str> {
    let (distance, word) =
        known.iter().map(|word| (distance(typed, word), word)).min_by_key(|(distance, _)| *distance)?;
    (distance <= typed.len().max(word.len()) * 2 / 3).then_some(word.as_str())
}

/// How many letters have to be added, removed or changed to turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, with) in row.iter_mut().skip(1).zip(&other) {
            let replaced = diagonal + usize::from(letter != *with);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
