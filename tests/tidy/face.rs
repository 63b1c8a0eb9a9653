//! The public face of the crate: few names at the root, a page per module, nothing for bindings in the documentation.
//! `docs/api-guidelines.md` says why.

use std::collections::BTreeSet;

use crate::files::{self, TextFile};

/// Everything that `posada::…` names without a module. Whatever is not needed by most programs belongs to a module.
const ROOT: &[&str] = &[
    "Authenticator",
    "Claims",
    "Code",
    "Error",
    "FeatureFlags",
    "IdempotencyKey",
    "Kind",
    "LockManager",
    "Money",
    "PmsClient",
    "Posada",
    "PosadaBuilder",
    "RateLimiter",
    "Result",
    "Retry",
    "SessionManager",
    "Settings",
    "Stay",
    "TenantId",
    "TenantResolver",
    "chrono",
    "rust_decimal",
];

/// The public modules that users read.
const MODULES: &[&str] = &[
    "auth",
    "clock",
    "correlation",
    "doctor",
    "error",
    "flags",
    "health",
    "limits",
    "locks",
    "maintenance",
    "metrics",
    "migrations",
    "pms",
    "sessions",
    "settings",
    "tenants",
];

fn library() -> &'static TextFile {
    files::core()
        .find(|file| file.path == "core/src/lib.rs")
        .expect("the crate has a root")
}

/// The names that the root exports, without what only exists with the feature `testkit`.
fn exported() -> BTreeSet<String> {
    let lines: Vec<&str> = library().code().map(|(_, line)| line).collect();
    let code = lines.join("\n");
    code.split("pub use ")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .flat_map(|path| {
            let names = path.rsplit_once("::").map_or(path, |(_, names)| names);
            let names = path.split_once('{').map_or(names, |(_, names)| names);
            names
                .trim_end_matches(['}', '\n'])
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_root_exports_the_agreed_names_and_no_more() {
    let agreed: BTreeSet<String> = ROOT.iter().map(|name| (*name).to_owned()).collect();
    let exported = exported();
    files::expect_none(exported.symmetric_difference(&agreed).map(|name| {
        library().at(
            1,
            &format!("`{name}` is not what was agreed for the root; put it into its module, or change the list here"),
        )
    }));
}

#[test]
fn the_public_modules_are_the_agreed_ones_and_what_is_for_bindings_is_hidden() {
    let lines: Vec<(usize, &str)> = library().code().collect();
    let mut found = BTreeSet::new();
    for (index, (number, line)) in lines.iter().enumerate() {
        let Some(name) = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        else {
            continue;
        };
        let attribute = lines[index - 1].1;
        match name {
            "bridge" => assert_eq!(
                attribute, "#[doc(hidden)]",
                "core/src/lib.rs:{number}: hide what is for bindings"
            ),
            "testkit" => {}
            _ => drop(found.insert(name)),
        }
    }
    assert_eq!(
        found,
        MODULES.iter().copied().collect(),
        "the public modules of core/src/lib.rs"
    );
}

#[test]
fn nothing_else_of_the_crate_exports_or_names_the_bridge() {
    files::expect_none(files::core().flat_map(|file| {
        let lines = file.text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim_start();
            let is_exported = line.starts_with("pub use ")
                && (line.contains("bridge::") || line.contains("loop_connections::"));
            let is_shown =
                (line.starts_with("//!") || line.starts_with("/// ")) && line.contains("posada::bridge");
            (is_exported && !file.path.starts_with("core/src/bridge.rs")) || is_shown
        });
        lines
            .map(|(index, _)| {
                file.at(
                    index + 1,
                    "`bridge` is for bindings only; do not show it to users",
                )
            })
            .collect::<Vec<_>>()
    }));
}

#[test]
fn every_public_module_has_an_example_that_runs() {
    files::expect_none(MODULES.iter().filter_map(|module| {
        let paths = [
            format!("core/src/{module}.rs"),
            format!("core/src/{module}/mod.rs"),
        ];
        let file = files::core()
            .find(|file| paths.contains(&file.path))
            .expect("every module has a file");
        let page: String = file
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let runs = page.contains("//! ```//!");
        (!runs).then(|| {
            file.at(
                1,
                "show on the module's page how it is used, in an example that the tests run",
            )
        })
    }));
}

#[test]
fn a_setter_has_the_name_of_what_it_sets() {
    files::expect_none(files::core().flat_map(|file| {
        file.code_without_tests()
            .filter(|(_, line)| line.contains("pub fn with_") && line.contains("self"))
            .map(|(number, _)| file.at(number, "call the setter as what it sets, without `with_`"))
            .collect::<Vec<_>>()
    }));
}
