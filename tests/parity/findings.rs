//! The codes of findings are a contract with programs in every language: `findings.toml` is the list that they read.

use posada::doctor::Diagnosis;

const FROZEN: &str = include_str!("findings.toml");

#[test]
fn the_codes_of_findings_stand_in_findings_toml_sorted() {
    let frozen: Vec<&str> = FROZEN.lines().filter(|line| line.starts_with('"')).collect();
    let mut ours: Vec<String> = Diagnosis::CODES
        .iter()
        .map(|(code, about)| format!("\"{code}\" = \"{about}\""))
        .collect();
    ours.sort_unstable();
    assert_eq!(
        frozen,
        ours,
        "tests/parity/findings.toml should read:\n{}",
        ours.join("\n")
    );
}
