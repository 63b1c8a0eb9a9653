//! Methods and parameters of the services in every language: `api.toml` is the one table of them. Which service stands
//! where in the crate is its `place`: folders and files, with commas between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use posada::settings::{Settings, SettingsBuilder};
use posada_bindings::arguments;

const TABLE: &str = include_str!("api.toml");

/// A service: where it stands in the crate, and its methods with their rows.
#[derive(Default)]
struct Service {
    place: String,
    rows: BTreeMap<String, BTreeMap<String, String>>,
}

/// The table: `[Service]`, then `place = "…"` and lines `method = { rust = "…", python = "…", why = "…" }`.
fn table() -> BTreeMap<String, Service> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let mut current = None;
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_owned();
            assert!(!services.contains_key(&name), "{name} stands twice in api.toml");
            current = Some(services.entry(name).or_default());
            continue;
        }
        let service = current
            .as_mut()
            .unwrap_or_else(|| panic!("outside of a service: {line}"));
        let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("no row: {line}"));
        if key == "place" {
            value.trim_matches('"').clone_into(&mut service.place);
            continue;
        }
        let cells = value.trim_start_matches("{ ").trim_end_matches(" }");
        let cells = cells.split("\", ").map(|cell| {
            let (name, text) = cell
                .split_once(" = \"")
                .unwrap_or_else(|| panic!("no cell: {line}"));
            (name.to_owned(), text.trim_end_matches('"').to_owned())
        });
        let doubled = service.rows.insert(key.to_owned(), cells.collect());
        assert!(doubled.is_none(), "{key} stands twice");
    }
    services
}

/// The Rust files of the places: a folder with all below it, or one file.
fn files(place: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut found = Vec::new();
    for path in place.split(", ").map(|place| source.join(place)) {
        if path.is_dir() {
            walk(&path, &mut found);
        } else {
            found.push(path);
        }
    }
    found
}

/// The public methods in the blocks `impl Service`, with the names of their parameters.
fn methods(service: &str, place: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let begins = format!("impl {service} {{\n");
    for file in files(place) {
        let text = fs::read_to_string(file).unwrap();
        for (start, _) in text.match_indices(&begins) {
            let block = &text[start..];
            let block = &block[..block.find("\n}\n").unwrap_or(block.len())];
            for (at, _) in block.match_indices("\n    pub ") {
                let line = block[at..].trim_start().trim_start_matches("pub ");
                let line = line.trim_start_matches("const ").trim_start_matches("async ");
                if let Some(declared) = line.strip_prefix("fn ") {
                    let name: String = declared
                        .chars()
                        .take_while(|character| character.is_alphanumeric() || *character == '_')
                        .collect();
                    found.insert(name.clone(), parameters(&declared[name.len()..]));
                }
            }
        }
    }
    found
}

/// The names in a list of parameters, behind the name of the function.
fn parameters(declared: &str) -> String {
    let (mut depth, mut names, mut name) = (0_i32, Vec::new(), String::new());
    let mut is_name = true;
    // Parameters of the type come first, in their own brackets.
    let start = if declared.starts_with('<') {
        let mut open = 0;
        let closing = declared.char_indices().find(|(at, character)| {
            open += match character {
                '<' => 1,
                '>' if !declared[..*at].ends_with('-') => -1,
                _ => 0,
            };
            open == 0
        });
        closing.map_or(0, |(at, _)| at + 1)
    } else {
        0
    };
    for character in declared[start..].chars() {
        match character {
            '(' | '[' | '<' | '{' => depth += 1,
            ')' | ']' | '>' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            names.push(std::mem::take(&mut name));
            is_name = true;
            if depth == 0 {
                break;
            }
        } else if depth == 1 && character == ':' {
            is_name = false;
        } else if is_name && !(depth == 1 && character == '(') {
            name.push(character);
        }
    }
    let names = names.iter().map(|name| name.trim().trim_start_matches("mut "));
    let names: Vec<&str> = names
        .filter(|name| !name.is_empty() && !name.ends_with("self"))
        .collect();
    names.join(", ")
}

#[test]
fn every_method_and_parameter_of_the_services_stands_in_api_toml() {
    let mut wrong = Vec::new();
    for (name, service) in table() {
        let mut methods = methods(&name, &service.place);
        assert!(!methods.is_empty(), "nothing public was found in impl {name}");
        if name == "Settings" {
            // The table of settings makes a method of each option that has a value.
            let settings = Settings::embedded();
            let options = SettingsBuilder::OPTIONS.iter();
            let options = options.filter(|option| settings.value(option).is_some());
            methods.extend(options.map(|option| ((*option).to_owned(), String::new())));
        }
        for (method, parameters) in &methods {
            let row = service.rows.get(method).and_then(|row| row.get("rust"));
            if row != Some(parameters) {
                wrong.push(format!("[{name}] {method} = {{ rust = \"{parameters}\" … }}"));
            }
        }
        let gone = service
            .rows
            .iter()
            .filter(|(method, row)| row.contains_key("rust") && !methods.contains_key(*method));
        wrong.extend(gone.map(|(method, _)| format!("[{name}] {method} is gone from the crate")));
    }
    assert!(
        wrong.is_empty(),
        "tests/parity/api.toml differs from the crate; docs/guides/add-a-method.md says what belongs to a method:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_method_that_a_language_lacks_has_its_reason() {
    for (name, service) in table() {
        for (method, row) in &service.rows {
            let is_everywhere = row.contains_key("rust") && row.contains_key("python");
            assert!(
                is_everywhere || row.contains_key("why"),
                "{name}.{method} needs a why"
            );
        }
    }
}

#[test]
fn the_options_that_cross_by_name_are_those_of_the_table() {
    let table = table();
    for (method, options) in [
        ("acquire", arguments::ACQUIRE),
        ("acquire_all", arguments::ACQUIRE),
        ("hold_stay", arguments::HOLD_STAY),
    ] {
        let python = &table["LockManager"].rows[method]["python"];
        let (_, keywords) = python.split_once("*, ").unwrap();
        let keywords: BTreeSet<&str> = keywords.split(", ").collect();
        let options: BTreeSet<&str> = options.iter().copied().collect();
        assert_eq!(keywords, options, "LockManager.{method}");
    }
}
