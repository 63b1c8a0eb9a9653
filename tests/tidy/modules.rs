//! A module per feature: modules do not look into each other, and services do not see their adapters.

use crate::files::{self, TextFile};

const MODULES: &[&str] = &["tenants", "sessions", "flags", "locks", "auth", "limits", "pms"];

/// What a module may use of another one: of tenants the two values that everybody speaks of, and pms locks nights.
fn is_allowed(module: &str, path: &str) -> bool {
    match path.split("::").collect::<Vec<_>>().as_slice() {
        ["crate", "tenants", "TenantId" | "Channel" | "id", ..] => true,
        ["crate", other, ..] if *other == module || !MODULES.contains(other) => true,
        ["crate", "locks", ..] => module == "pms",
        ["crate", ..] => false,
        _ => true,
    }
}

/// The module in which a file lies.
fn module_of(file: &TextFile) -> Option<&str> {
    let (module, _) = file.path.strip_prefix("core/src/")?.split_once('/')?;
    MODULES.contains(&module).then_some(module)
}

/// Every path that begins with `crate::`, with its line; `crate::{a, b::c}` counts as two.
fn crate_paths(file: &TextFile) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> = file.code().collect();
    let mut found = Vec::new();
    for (index, (number, line)) in lines.iter().enumerate() {
        for (start, _) in line.match_indices("crate::") {
            if line[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let mut text = line[start..].to_owned();
            // A list may go on over the following lines.
            let mut following = index + 1;
            while text.matches('{').count() > text.matches('}').count()
                && text.contains("::{")
                && following < lines.len()
            {
                text.push_str(lines[following].1.trim());
                following += 1;
            }
            found.extend(expand(&text).into_iter().map(|path| (*number, path)));
        }
    }
    found
}

/// The paths in `a::{b, c::{d, e}}`: `a::b`, `a::c::d`, `a::c::e`.
pub(crate) fn expand(text: &str) -> Vec<String> {
    let text = text.trim();
    let is_path = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let end = text.find(|character| !is_path(character)).unwrap_or(text.len());
    let prefix = &text[..end];
    if !prefix.ends_with("::") || !text[end..].starts_with('{') {
        return vec![prefix.to_owned()];
    }
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in text[end..].chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match (character, depth) {
            ('{', 1) => {}
            (_, 0) => break,
            (',', 1) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(character),
        }
    }
    parts
        .iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| expand(part))
        .map(|part| format!("{prefix}{part}"))
        .collect()
}

/// The names that the crate's root re-exports, with the module that they come from.
fn exports() -> Vec<(String, String)> {
    let library = files::core()
        .find(|file| file.path == "core/src/lib.rs")
        .expect("the crate has a root");
    let text: String = library.code().map(|(_, line)| line).collect();
    text.split(';')
        .filter_map(|statement| statement.trim().strip_prefix("pub use "))
        .flat_map(expand)
        .filter_map(|path| {
            let (module, name) = path.split_once("::")?;
            let name = name.rsplit("::").next()?;
            MODULES
                .contains(&module)
                .then(|| (name.to_owned(), module.to_owned()))
        })
        .collect()
}

#[test]
fn features_do_not_import_each_other() {
    let exports = exports();
    let full = |path: &str| {
        let first = path.split("::").nth(1).unwrap_or_default();
        let module = exports
            .iter()
            .find(|(name, _)| name == first)
            .map(|(_, module)| module);
        module.map_or_else(
            || path.to_owned(),
            |module| path.replacen("crate::", &format!("crate::{module}::"), 1),
        )
    };
    files::expect_none(files::core().filter_map(|file| Some((file, module_of(file)?))).flat_map(|(file, module)| {
        crate_paths(file).into_iter().filter(|(_, path)| !is_allowed(module, &full(path))).map(|(number, _)| {
            let advice = "a module uses no other module: move the shared value to the crate's root, or let posada.rs \
                          connect the two";
            file.at(number, advice)
        })
    }));
}

#[test]
fn a_service_knows_its_port_and_never_an_adapter() {
    const ADAPTERS: &[&str] = &["postgres", "redis", "memory"];
    let is_adapter = |file: &TextFile| {
        let name = file.name().trim_end_matches(".rs");
        ADAPTERS.contains(&name)
            || ADAPTERS
                .iter()
                .any(|adapter| file.path.contains(&format!("/{adapter}/")))
    };
    let names_one = |line: &str| {
        // The names of keys are shared with the app in production; they are values, not an adapter.
        let line = line.replace("backends::redis::keys", "");
        ADAPTERS.iter().any(|adapter| {
            line.contains(&format!("{adapter}::")) || line.contains(&format!("backends::{{{adapter}"))
        })
    };
    let services = files::core().filter(|file| module_of(file).is_some() && !is_adapter(file));
    files::expect_none(services.flat_map(|file| {
        file.code_without_tests()
            .filter(|(_, line)| names_one(line) && !line.trim_start().starts_with("pub(crate) use "))
            .map(|(number, _)| file.at(number, "use the trait of store.rs; posada.rs chooses the adapter"))
    }));
}

#[test]
fn lists_in_paths_are_expanded() {
    let paths = expand("crate::{tenants::{TenantId, Channel}, locks::LockGuard}");
    assert_eq!(
        paths,
        [
            "crate::tenants::TenantId",
            "crate::tenants::Channel",
            "crate::locks::LockGuard"
        ]
    );
    assert!(paths.iter().all(|path| is_allowed("pms", path)));
    assert!(is_allowed("locks", "crate::locks::LockGuard"));
    assert!(!is_allowed("sessions", "crate::locks::LockGuard"));
    assert!(!is_allowed("flags", "crate::tenants::TenantResolver"));
}
