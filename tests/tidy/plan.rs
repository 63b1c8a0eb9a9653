//! ARCHITECTURE.md and the sources agree.

use std::collections::BTreeSet;

use crate::files;

#[test]
fn every_folder_of_the_crate_stands_in_the_architecture() {
    let plan =
        std::fs::read_to_string(files::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let folders: BTreeSet<&str> = files::core()
        .filter_map(|file| file.path.strip_prefix("core/src/")?.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    files::expect_none(folders.into_iter().filter(|folder| !plan.contains(&format!("{folder}/"))).map(|folder| {
        format!("core/src/{folder}:1: say in ARCHITECTURE.md, under \"Code map\", what lives in `core/src/{folder}/`")
    }));
}

#[test]
fn every_path_of_the_architecture_exists() {
    let plan =
        std::fs::read_to_string(files::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    files::expect_none(plan.lines().enumerate().flat_map(|(index, line)| {
        line.split('`')
            .skip(1)
            .step_by(2)
            .filter(|path| path.starts_with("core/") || path.starts_with("tests/"))
            .filter(|path| !path.contains(['*', ' ']) && !files::root().join(path).exists())
            .map(move |path| {
                format!(
                    "ARCHITECTURE.md:{}: `{path}` does not exist; correct the plan",
                    index + 1
                )
            })
            .collect::<Vec<_>>()
    }));
}

#[test]
fn every_module_says_what_it_is() {
    files::expect_none(
        files::all()
            .iter()
            .filter(|file| file.is_rust() && !file.text.starts_with("//! "))
            .map(|file| {
                file.at(
                    1,
                    "begin the file with `//!`, a sentence on what it is and what it promises",
                )
            }),
    );
}

#[test]
fn every_vector_is_read_by_a_test() {
    let vectors = files::all()
        .iter()
        .filter(|file| file.path.starts_with("tests/vectors/"));
    files::expect_none(
        vectors
            .filter(|file| file.has_ending(&["json"]))
            .filter_map(|vector| {
                let name = vector.path.trim_start_matches("tests/");
                let folder = name.rsplit_once('/').map_or(name, |(folder, _)| folder);
                // A test names the file, or reads all of its folder.
                let is_read = files::all().iter().any(|file| {
                    file.is_rust()
                        && (file.text.contains(name) || file.text.contains(&format!("\"{folder}\"")))
                });
                (!is_read).then(|| {
                    format!(
                        "{}:1: no Rust test reads `{name}`; read it, or remove it",
                        vector.path
                    )
                })
            }),
    );
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let documents = files::all().iter().filter(|file| file.has_ending(&["md"]));
    files::expect_none(documents.flat_map(|file| {
        let folder = files::root().join(&file.path).parent().unwrap().to_path_buf();
        file.text.lines().enumerate().flat_map(move |(index, line)| {
            let links = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', '#']).next());
            let broken = links.filter(|link| {
                !link.is_empty()
                    && !link.contains("://")
                    && !link.contains(' ')
                    && !folder.join(link).exists()
            });
            broken
                .map(|link| file.at(index + 1, &format!("`{link}` does not exist; correct the link")))
                .collect::<Vec<_>>()
        })
    }));
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = std::fs::read_to_string(files::root().join("Makefile")).expect("there is a Makefile");
    let has_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let documents = files::all().iter().filter(|file| file.has_ending(&["md"]));
    files::expect_none(documents.flat_map(|file| {
        file.text.lines().enumerate().filter_map(move |(index, line)| {
            let is_target = |character: char| character.is_ascii_lowercase() || character == '-';
            // A command stands in backticks, or at the beginning of a line of a block.
            let command = line
                .split('`')
                .chain([line])
                .find_map(|part| part.strip_prefix("make "))?;
            let name = command.split(|character| !is_target(character)).next()?;
            (!name.is_empty() && !has_target(name)).then(|| {
                file.at(
                    index + 1,
                    &format!("the Makefile has no target `{name}`; correct one of the two"),
                )
            })
        })
    }));
}
