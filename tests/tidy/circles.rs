//! The files of a module are a tree: none of them uses a file that uses it, by whatever way.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{self, TextFile};
use crate::modules::expand;

/// Folders of `core/src/` whose files stand in no circle.
const TREES: &[&str] = &["locks"];

/// Folders whose files stand in no circle beside each other. A part of a service that lies in a file of its own, such as
/// `impl FeatureFlags` in `flags/load.rs`, uses the file of the service above it and does not count.
const LAYERED: &[&str] = &[
    "core/src/flags/",
    "core/src/limits/",
    "bindings-shared/src/",
    "bindings-python/src/",
];

/// The path of the module that a file is, such as `["locks", "holds", "engine"]`.
fn module_path(file: &TextFile) -> Vec<String> {
    let path = file
        .path
        .split_once("/src/")
        .map_or(&*file.path, |(_, path)| path);
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

/// Every path in the code of a file that names another module, from the root of the crate.
fn used_paths(file: &TextFile) -> Vec<Vec<String>> {
    let own = module_path(file);
    let code: String = file
        .code_without_tests()
        .map(|(_, line)| line.replace("pub(in crate", "pub(in here") + "\n")
        .collect();
    let children = code.lines().filter_map(|line| {
        line.trim()
            .strip_suffix(';')?
            .rsplit_once("mod ")
            .map(|(_, name)| format!("{name}::"))
    });
    let starts = ["super::", "crate::", "self::"]
        .map(str::to_owned)
        .into_iter()
        .chain(children);
    let mut used = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(&start) {
            let before = &code[..at];
            if before.ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before)) {
                continue;
            }
            let statement: String = code[at..]
                .split(';')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            for path in expand(&statement) {
                let mut base = own.clone();
                let mut rest: Vec<_> = path.split("::").map(str::to_owned).collect();
                while let Some(first) = rest.first() {
                    match first.as_str() {
                        "super" => drop(base.pop()),
                        "crate" => base.clear(),
                        "self" => {}
                        _ => break,
                    }
                    rest.remove(0);
                }
                base.extend(rest);
                used.push(base);
            }
        }
    }
    used
}

/// Which files of a folder use which others.
fn graph<'a>(files: impl Iterator<Item = &'a TextFile>) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: Vec<_> = files.collect();
    let modules: BTreeSet<_> = files.iter().map(|file| module_path(file)).collect();
    let uses = files.iter().map(|file| {
        let own = module_path(file);
        let used = used_paths(file);
        // What is no file is something in the file above it.
        let named = used.iter().filter_map(|path| {
            (1..=path.len())
                .rev()
                .map(|length| path[..length].to_vec())
                .find(|path| modules.contains(path))
        });
        let others = named.filter(|path| *path != own).collect();
        (own, others)
    });
    uses.collect()
}

/// A way from a module back to itself, if there is one.
fn circle(graph: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<String> {
    graph.keys().find_map(|start| {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for next in &graph[*way.last().unwrap()] {
                if next == start {
                    let names: Vec<_> = way.iter().chain([&start]).map(|path| path.join("/")).collect();
                    return Some(names.join(" → "));
                }
                if seen.insert(next) {
                    ways.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
        None
    })
}

#[test]
fn the_files_of_a_module_use_each_other_in_one_direction() {
    files::expect_none(TREES.iter().filter_map(|tree| {
        let folder = format!("core/src/{tree}/");
        let files: Vec<_> = files::core()
            .filter(|file| file.path.starts_with(&folder))
            .collect();
        assert!(files.len() > 1, "{folder} is empty");
        let way = circle(&graph(files.into_iter()))?;
        Some(format!(
            "{folder}: move what both need into a file below them: {way}"
        ))
    }));
}

#[test]
fn the_files_beside_each_other_use_each_other_in_one_direction() {
    files::expect_none(LAYERED.iter().filter_map(|folder| {
        let files = files::all()
            .iter()
            .filter(|file| file.is_rust() && file.path.starts_with(folder) && file.name() != "lib.rs");
        let mut graph = graph(files);
        assert!(graph.len() > 1, "{folder} is empty");
        for (file, used) in &mut graph {
            used.retain(|other| !file.starts_with(other));
        }
        let way = circle(&graph)?;
        Some(format!(
            "{folder}: move what both need into a file below them: {way}"
        ))
    }));
}

#[test]
fn the_modules_of_the_crate_use_each_other_in_one_direction() {
    let tests = ["testkit", "guidelines", "lib"];
    let mut modules = BTreeMap::<_, BTreeSet<_>>::new();
    for (file, used) in graph(files::core()) {
        let top = file[..1].to_vec();
        if tests.contains(&top[0].as_str()) {
            continue;
        }
        let others = used
            .into_iter()
            .map(|path| path[..1].to_vec())
            .filter(|other| *other != top && !tests.contains(&other[0].as_str()));
        modules.entry(top.clone()).or_default().extend(others);
    }
    assert!(modules.len() > 10, "no modules");
    let way =
        circle(&modules).map(|way| format!("core/src/: move what both need into a module below them: {way}"));
    files::expect_none(way);
}

#[test]
fn a_circle_is_found_through_lists_children_and_the_file_above() {
    let file = |path: &str, text: &str| TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let above = file("core/src/a/mod.rs", "mod b;\nmod c;\npub use b::B;\n");
    let b = file("core/src/a/b.rs", "use super::c::{\n    C,\n    D,\n};\n");
    let leaf = file(
        "core/src/a/c.rs",
        "pub(in crate::a) struct C;\n// super::b::B\n#[cfg(test)]\nuse super::b::B;\n",
    );
    assert_eq!(circle(&graph([&above, &b, &leaf].into_iter())), None);
    let back = file("core/src/a/c.rs", "use super::B;\n");
    let found = circle(&graph([&above, &b, &back].into_iter()));
    assert_eq!(found.as_deref(), Some("a → a/b → a/c → a"));
}
