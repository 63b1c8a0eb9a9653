//! The table of adversarial cases is complete and true.

use std::collections::BTreeSet;

use crate::files;

const TABLE: &str = "tests/CASES.md";
const LAST: u32 = 262;
/// A fork after the first use: for the bindings, as the table says.
const ELSEWHERE: u32 = 252;

#[test]
fn every_case_has_a_row_and_every_row_names_tests_that_exist() {
    let table = files::all()
        .iter()
        .find(|file| file.path == TABLE)
        .expect("the table is there");
    let mut missing: BTreeSet<u32> = (1..=LAST).filter(|case| *case != ELSEWHERE).collect();
    let mut wrong = Vec::new();
    for (index, line) in table.text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Some(numbers) = cells.first().and_then(|cell| range(cell)) else {
            continue;
        };
        missing.retain(|number| !numbers.contains(number));
        let tests: Vec<&str> = cells
            .last()
            .unwrap_or(&"")
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        if tests.is_empty() {
            wrong.push(table.at(index + 1, "name the tests of this row"));
        }
        for test in tests {
            let begun = format!("fn {test}(");
            let exists = files::all()
                .iter()
                .any(|file| file.is_rust() && file.text.contains(&begun));
            if !exists {
                wrong.push(table.at(index + 1, &format!("there is no test `{test}`")));
            }
        }
    }
    assert_eq!(missing, BTreeSet::new(), "cases without a row in {TABLE}");
    files::expect_none(wrong);
}

/// `7` or `1-19`.
fn range(cell: &str) -> Option<std::ops::RangeInclusive<u32>> {
    let (first, last) = cell.split_once('-').unwrap_or((cell, cell));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
