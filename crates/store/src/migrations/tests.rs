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

fn applied(names: &[&str], oldest_writer: i64) -> Applied {
    let number = |name: &str| name.split('_').next().unwrap().parse().unwrap();
    Applied { ran: names.iter().map(|name| (number(name), (*name).to_owned())).collect(), oldest_writer }
}

#[test]
fn a_database_of_a_later_release_is_used_as_long_as_it_allows_it() {
    let known = ALL.last().unwrap().number();
    let names: Vec<&str> = ALL.iter().map(|migration| migration.name).collect();
    let later = [names.clone(), vec!["9999_later"]].concat();
    assert!(next(&applied(&later, known)).unwrap().is_none());
    assert!(matches!(next(&applied(&later, known + 1)), Err(Error::TooNew { .. })));
    assert!(next(&applied(&names, 1)).unwrap().is_none());
    assert_eq!(next(&applied(&[], 0)).unwrap().unwrap().name, ALL[0].name);
    assert_eq!(next(&applied(&names[..1], 1)).unwrap().unwrap().name, ALL[1].name);
}

#[test]
fn a_database_that_something_else_has_made_is_refused() {
    let refused = next(&applied(&["0001_log", "0002_something_else"], 1));
    assert!(matches!(refused, Err(Error::Foreign(name)) if name == "0002_something_else"));
}

#[test]
fn the_schema_has_no_foreign_keys() {
    for migration in ALL {
        assert!(!migration.text.contains("REFERENCES"), "{}", migration.name);
    }
}
