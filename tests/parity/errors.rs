//! Error codes are a contract with programs in every language: `errors.toml` is the list that they read.

use std::collections::BTreeMap;

use posada::error::codes;

const FROZEN: &str = include_str!("errors.toml");

/// The frozen codes with their kinds.
fn frozen() -> BTreeMap<&'static str, &'static str> {
    FROZEN
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (code, kind) = line
                .split_once(" = ")
                .unwrap_or_else(|| panic!("not `\"code\" = \"kind\"`: {line}"));
            (code.trim_matches('"'), kind.trim_matches('"'))
        })
        .collect()
}

#[test]
fn every_code_of_the_crate_stands_in_errors_toml_with_its_kind() {
    let frozen = frozen();
    let missing: Vec<String> = codes::ALL
        .iter()
        .filter(|code| frozen.get(code.name) != Some(&code.kind.as_str()))
        .map(|code| format!("\"{}\" = \"{}\"", code.name, code.kind.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "tests/parity/errors.toml lacks these lines, or has another kind for them. Add new codes there; \
         changing the kind of a published one breaks callers and belongs into CHANGELOG.md:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_code_of_errors_toml_exists_in_the_crate() {
    let gone: Vec<&str> = frozen()
        .into_keys()
        .filter(|name| codes::ALL.iter().all(|code| code.name != *name))
        .collect();
    assert!(
        gone.is_empty(),
        "tests/parity/errors.toml has codes that core/src/error/codes.rs has not. Removing a published code \
         breaks callers: restore it, or remove the line and say so in CHANGELOG.md: {gone:?}"
    );
}

#[test]
fn the_codes_are_sorted_and_stand_once() {
    let lines: Vec<&str> = FROZEN.lines().filter(|line| line.starts_with('"')).collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(
        lines, sorted,
        "sort the lines of tests/parity/errors.toml and remove doubles"
    );
}
