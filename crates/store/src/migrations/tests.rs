use super::*;

#[test]
fn every_file_is_listed_under_a_number_of_its_own() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".sql").unwrap().to_owned())
        .collect();
    files.sort();
    let listed: Vec<&str> = ALL.iter().map(|migration| migration.name).collect();
    assert_eq!(listed, files);
    assert!(ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()), "in the order in which they run");
}

#[test]
fn a_database_of_a_later_release_is_used_as_long_as_it_allows_it() {
    let known = ALL.last().unwrap().number();
    assert!(pending(known + 1, known).unwrap().is_empty());
    assert!(matches!(pending(known + 2, known + 1), Err(Error::TooNew { .. })));
    assert_eq!(pending(0, 0).unwrap().len(), ALL.len());
    assert_eq!(pending(1, 1).unwrap().len(), ALL.len() - 1);
}

#[test]
fn the_schema_has_no_foreign_keys() {
    for migration in ALL {
        assert!(!migration.text.contains("REFERENCES"), "{}", migration.name);
    }
}
