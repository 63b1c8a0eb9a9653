//! Words that must not stand in the repository.

use crate::files::{self, TextFile};

/// Files where the rules themselves stand.
fn is_rule(file: &TextFile) -> bool {
    file.path.starts_with("tests/tidy/")
}

fn sources() -> impl Iterator<Item = &'static TextFile> {
    let endings = [
        "rs", "py", "pyi", "ts", "mts", "js", "mjs", "lua", "sh", "sql", "toml", "yml", "yaml",
    ];
    files::all().iter().filter(move |file| {
        !is_rule(file)
            && (file.has_ending(&endings) || file.name() == "Makefile" || file.path.starts_with("scripts/"))
    })
}

/// Where `word` stands by itself, not as a part of a longer name.
fn stands_alone(line: &str, word: &str) -> bool {
    let joins = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(joins) && !line[start + word.len()..].starts_with(joins))
}

#[test]
fn nothing_is_left_to_do_later() {
    let markers = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    files::expect_none(sources().flat_map(move |file| {
        file.text
            .lines()
            .enumerate()
            .filter(move |(_, line)| markers.iter().any(|marker| stands_alone(line, marker)))
            .map(|(index, _)| file.at(index + 1, "finish it, or write an issue and remove the marker"))
    }));
}

#[test]
fn no_test_is_ignored_or_skipped() {
    let markers = [
        "#[ignore",
        "pytest.mark.skip",
        "pytest.skip(",
        "test.skip(",
        "it.skip(",
        "describe.skip(",
    ];
    files::expect_none(sources().flat_map(move |file| {
        file.code()
            .filter(move |(_, line)| markers.iter().any(|marker| line.contains(marker)))
            .map(|(number, _)| {
                file.at(
                    number,
                    "make the test run, or remove it with its reason in the commit",
                )
            })
    }));
}

#[test]
fn no_path_of_somebodys_machine_stands_in_a_file() {
    let folders = ["/work/", "/root/", "/tmp/", "/home/", "/Users/"];
    files::expect_none(
        files::all()
            .iter()
            .filter(|file| !is_rule(file))
            .flat_map(move |file| {
                file.text
                    .lines()
                    .enumerate()
                    .filter(move |(_, line)| {
                        folders.iter().any(|folder| {
                            // A part of a longer path or of a URL is somebody else's matter.
                            line.match_indices(folder).any(|(start, _)| {
                                !line[..start].ends_with(|before: char| {
                                    before.is_alphanumeric() || "._-}*)".contains(before)
                                })
                            })
                        })
                    })
                    .map(|(index, _)| {
                        file.at(index + 1, "use a relative path, a setting or a temporary folder")
                    })
            }),
    );
}

#[test]
fn the_library_prints_nothing() {
    let macros = ["println!", "eprintln!", "print!", "eprint!"];
    let is_program = |file: &TextFile| file.path.starts_with("core/src/bin/") || file.name() == "main.rs";
    files::expect_none(
        files::core()
            .filter(move |file| !is_program(file))
            .flat_map(move |file| {
                file.code_without_tests()
                    .filter(move |(_, line)| macros.iter().any(|wanted| stands_alone(line, wanted)))
                    .map(|(number, _)| {
                        file.at(
                            number,
                            "use `tracing`: the output belongs to the program, not to us",
                        )
                    })
            }),
    );
}

/// Names of types, modules and functions that said nothing to a reader who did not know the project's own language.
const RETIRED: &[&str] = &[
    "Berth",
    "Book",
    "Claim",
    "Crowd",
    "Envelope",
    "Fate",
    "Fickle",
    "Heard",
    "Herald",
    "Holding",
    "Inbox",
    "Judgement",
    "Keeper",
    "Landing",
    "Named",
    "Patience",
    "Patient",
    "Pulse",
    "Seat",
    "Shelf",
    "Stranger",
    "Traces",
    "Treacherous",
    "Wire",
    "fly",
    "let_go",
    "take_off",
];

#[test]
fn names_that_were_replaced_do_not_come_back() {
    let declarations = ["struct", "enum", "trait", "type", "mod", "fn"];
    let declares = |line: &str| {
        let words: Vec<_> = line
            .split(|character: char| !character.is_alphanumeric() && character != '_')
            .collect();
        words
            .windows(2)
            .any(|pair| declarations.contains(&pair[0]) && RETIRED.contains(&pair[1]))
    };
    files::expect_none(sources().filter(|file| file.is_rust()).flat_map(move |file| {
        file.code()
            .filter(move |(_, line)| declares(line))
            .map(|(number, _)| file.at(number, "say what it is: HoldTable, AutoExtender, ConnectionSlot"))
    }));
}

/// Sources, documentation and messages that name their actors. Tests tell stories and may say what they like.
fn is_plain_text(file: &TextFile) -> bool {
    let folders = [
        "core/src/",
        "bindings-axum/src/",
        "bindings-shared/",
        "bindings-python/src/",
        "bindings-python/python/",
        "docs/",
        "examples/",
    ];
    let not_yet = ["core/src/testkit/"];
    let pages = !file.path.contains('/') && file.has_ending(&["md"]) && file.name() != "CHANGELOG.md";
    let is_test = ["/tests/", "/tests.rs", "tests_"]
        .iter()
        .any(|part| file.path.contains(part));
    pages
        || (folders.iter().any(|folder| file.path.starts_with(folder))
            && !not_yet.iter().any(|path| file.path.starts_with(path))
            && !is_test
            && file.has_ending(&["rs", "lua", "py", "pyi", "md"]))
}

#[test]
fn texts_say_who_does_what() {
    let words = ["somebody", "whoever", "nobody", "so many"];
    let is_plain = |line: &str| {
        let line = line.to_lowercase();
        !words.iter().any(|word| stands_alone(&line, word))
    };
    files::expect_none(
        files::all()
            .iter()
            .filter(|file| is_plain_text(file))
            .flat_map(move |file| {
                file.text
                    .lines()
                    .enumerate()
                    .filter(move |(_, line)| !is_plain(line))
                    .map(|(index, _)| file.at(index + 1, "say who: the caller, another process, at most N"))
            }),
    );
}
