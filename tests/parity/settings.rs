//! The names of the variables are a contract with everybody's `.env` files: `SETTINGS.md` is the list that people read.

use posada::settings::{PostgresSettings, RedisSettings, Settings, SettingsBuilder, Variable};

const PAGE: &str = include_str!("../../SETTINGS.md");
const PYTHON: &str = include_str!("../../bindings-python/python/posada/settings.py");

#[test]
fn settings_md_has_the_table_of_the_crate() {
    let table = Variable::markdown();
    assert!(
        PAGE.contains(&table),
        "put this table into SETTINGS.md in the place of the old one:\n{table}"
    );
}

#[test]
fn python_has_every_option_and_every_value() {
    let settings = Settings::embedded();
    for name in SettingsBuilder::OPTIONS {
        assert!(
            PYTHON.contains(&format!("        {name}: ")),
            "Settings.build lacks {name}"
        );
        if settings.value(name).is_some() {
            assert!(
                PYTHON.contains(&format!("    def {name}(self)")),
                "Settings lacks {name}"
            );
        }
    }
}

#[test]
fn every_url_of_settings_md_is_accepted() {
    let urls: Vec<&str> = PAGE
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("://") && !code.contains('…') && !code.contains('<'))
        .collect();
    for url in &urls {
        if url.starts_with("postgres") {
            PostgresSettings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        } else if url.starts_with("redis") {
            RedisSettings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    }
    assert!(urls.len() >= 8, "the page shows every form: {urls:?}");
}

#[test]
fn the_example_of_settings_md_is_a_production_that_starts() {
    let (_, behind) = PAGE.split_once("```sh\n").expect("the page has an example");
    let (example, _) = behind.split_once("```").expect("the example ends");
    let with = |secret: &str| {
        let lines = example.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        Settings::from_vars(pairs.map(|(name, value)| (name.to_owned(), value.replace('…', secret))))
    };
    let settings = with("Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3i").unwrap();
    assert!(settings.environment().is_production());
    let unchanged = with("…").unwrap_err();
    assert!(unchanged.code().starts_with("settings."), "{unchanged}");
}
