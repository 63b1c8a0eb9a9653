//! What we build upon: the checks of deny.toml that need no network, so that they run everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::files;

/// The crates whose code or licence we do not want, with the reason.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls with ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    ("rsa", "it leaks keys through timing (RUSTSEC-2023-0071)"),
];

fn read(name: &str) -> String {
    std::fs::read_to_string(files::root().join(name)).unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

#[test]
fn no_banned_crate_is_in_the_lock_file_and_deny_toml_bans_the_same() {
    let (lock, deny) = (read("Cargo.lock"), read("deny.toml"));
    files::expect_none(BANNED.iter().flat_map(|(name, reason)| {
        let line = lock.lines().position(|line| line == format!("name = \"{name}\""));
        let locked = line.map(|line| {
            format!(
                "Cargo.lock:{}: `{name}` is banned: {reason}. `cargo tree -i {name}` says who wants it",
                line + 1
            )
        });
        let is_denied = deny.contains(&format!("crate = \"{name}\""));
        let undenied = (!is_denied).then(|| format!("deny.toml:1: ban `{name}` under [bans] as well"));
        locked.into_iter().chain(undenied)
    }));
}

#[test]
fn every_dependency_comes_from_crates_io() {
    const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    files::expect_none(
        read("Cargo.lock")
            .lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with("source = ") && *line != CRATES_IO)
            .map(|(index, line)| format!("Cargo.lock:{}: {line}; depend on a published version", index + 1)),
    );
}

#[test]
fn the_licence_of_every_dependency_is_one_that_deny_toml_allows() {
    let deny = read("deny.toml");
    let (_, licences) = deny
        .split_once("[licenses]")
        .expect("deny.toml has a section [licenses]");
    let (_, list) = licences
        .split_once("allow = [")
        .expect("[licenses] has a list `allow`");
    let (list, _) = list.split_once(']').expect("the list ends");
    let allowed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();

    let listed = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--prefix=none",
            "--format={p}|{l}",
        ])
        .args(["--edges=normal,build,dev"])
        .current_dir(files::root())
        .output()
        .expect("cargo can be started");
    assert!(
        listed.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let tree = String::from_utf8(listed.stdout).unwrap();
    let licences: BTreeMap<&str, &str> = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .collect();
    assert!(
        licences.len() > 50,
        "the list of dependencies is too short to be true:\n{tree}"
    );
    files::expect_none(licences.into_iter().filter(|(_, licence)| !is_satisfied(licence, &allowed)).map(
        |(package, licence)| {
            format!("Cargo.toml:1: {package} is under `{licence}`: choose another crate, or allow it in deny.toml")
        },
    ));
}

/// Whether an SPDX expression can be fulfilled by the allowed licences alone. `AND` binds closer than `OR`;
/// an old `/` means `OR`.
fn is_satisfied(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let (holds, rest) = any_of(&words, allowed);
    holds && rest.is_empty()
}

fn any_of<'a, 'w>(words: &'w [&'a str], allowed: &[&str]) -> (bool, &'w [&'a str]) {
    let (mut holds, mut rest) = all_of(words, allowed);
    while let ["OR", following @ ..] = rest {
        let (other, after) = all_of(following, allowed);
        (holds, rest) = (holds || other, after);
    }
    (holds, rest)
}

fn all_of<'a, 'w>(words: &'w [&'a str], allowed: &[&str]) -> (bool, &'w [&'a str]) {
    let (mut holds, mut rest) = one_of(words, allowed);
    while let ["AND", following @ ..] = rest {
        let (other, after) = one_of(following, allowed);
        (holds, rest) = (holds && other, after);
    }
    (holds, rest)
}

fn one_of<'a, 'w>(words: &'w [&'a str], allowed: &[&str]) -> (bool, &'w [&'a str]) {
    match words {
        ["(", inner @ ..] => match any_of(inner, allowed) {
            (holds, [")", rest @ ..]) => (holds, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => (
            allowed.contains(&format!("{licence} WITH {exception}").as_str()),
            rest,
        ),
        [licence, rest @ ..] => (allowed.contains(licence), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "ISC AND (GPL-3.0 OR MIT)",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_satisfied(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "ISC AND GPL-3.0",
        "Apache-2.0",
        "(MIT",
        "MIT AND (GPL-3.0 OR MPL-2.0)",
    ] {
        assert!(!is_satisfied(bad, &allowed), "{bad}");
    }
}

/// The packages that a command compiles, each with the features that it turns on there.
fn features(folder: &str, options: &[&str]) -> BTreeSet<String> {
    let listed = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix=none",
            "--format={p}|{f}",
        ])
        .args(options)
        .current_dir(files::root().join(folder))
        .output()
        .expect("cargo can be started");
    assert!(
        listed.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.starts_with("posada"))
        .map(str::to_owned)
        .collect()
}

/// The packages that stand on axum, and their folders.
const ON_AXUM: [(&str, &str); 2] = [
    ("posada-axum", "bindings-axum"),
    ("axum-service", "examples/rust/axum_service"),
];

/// Otherwise `cargo test -p posada` compiles redis, sqlx and what depends on them again after `make test`, which takes
/// minutes. A dependency of a test that turns on more belongs into a package of its own, as `tests/benches/rslock`.
/// axum turns on more of serde and hyper, so that there are two sets: that of the whole workspace, and that of every
/// package which does not stand on axum, the wheel's among them.
#[test]
fn a_package_alone_is_compiled_with_the_same_features_of_its_dependencies_as_the_workspace() {
    let manifest = read("Cargo.toml");
    let (_, members) = manifest
        .split_once("members = [")
        .expect("a workspace has members");
    let (members, _) = members.split_once(']').expect("the list ends");
    let mut options = vec!["--workspace", "--edges=normal,build,dev"];
    options.extend(ON_AXUM.iter().flat_map(|(package, _)| ["--exclude", package]));
    let whole = features(".", &options);
    let members = members.split('"').skip(1).step_by(2);
    let members = members.filter(|member| ON_AXUM.iter().all(|(_, folder)| folder != member));
    files::expect_none(members.flat_map(|member| {
        let alone = features(member, &["--edges=normal,build"]);
        let other: Vec<String> = alone.difference(&whole).cloned().collect();
        other.into_iter().map(move |package| {
            format!(
                "{member}/Cargo.toml:1: {package} has other features than in the workspace; \
                 `cargo tree -e features -i` says who turns them on"
            )
        })
    }));
}
