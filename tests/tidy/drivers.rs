//! Each driver has its place, and only there is its language spoken.

use crate::files::{self, TextFile};

/// Whether the line names the crate, and not a module of ours with the same name.
fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(start, _)| {
        let before = &line[..start];
        // `::redis::` alone is the crate; `backends::redis::` is ours; `fred_redis::` is another.
        let is_ours = before
            .strip_suffix("::")
            .is_some_and(|path| path.ends_with(is_name));
        !is_ours && !before.ends_with(is_name)
    })
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Our own sources; the crate in `tests/` may speak to servers as it likes.
fn ours() -> impl Iterator<Item = &'static TextFile> {
    files::all()
        .iter()
        .filter(|file| file.is_rust() && !file.path.starts_with("tests/"))
}

#[track_caller]
fn expect_crate_only_in(name: &str, places: &[&str], advice: &str) {
    let is_place = |file: &TextFile| {
        places
            .iter()
            .any(|place| file.path.contains(place) || file.name() == *place)
            || file.declares_module(name)
    };
    files::expect_none(ours().filter(|file| !is_place(file)).flat_map(|file| {
        file.code()
            .filter(|(_, line)| names_crate(line, name))
            .map(|(number, _)| file.at(number, advice))
    }));
}

#[test]
fn sqlx_is_named_only_in_the_postgres_backend_and_in_files_named_postgres() {
    let advice = "put it into the module's postgres.rs, behind its port";
    expect_crate_only_in("sqlx", &["core/src/backends/postgres/", "postgres.rs"], advice);
}

#[test]
fn the_redis_crate_is_named_only_in_the_redis_backend_and_in_files_named_redis() {
    let advice = "put it into the module's redis.rs, behind its port";
    expect_crate_only_in("redis", &["core/src/backends/redis/", "redis.rs"], advice);
}

#[test]
fn http_is_spoken_only_by_the_provider_of_the_hotel_system() {
    let advice = "HTTP belongs to a provider in core/src/pms/qloapps/";
    expect_crate_only_in("reqwest", &["core/src/pms/qloapps/"], advice);
}

#[test]
fn only_the_postgres_backend_begins_a_transaction() {
    let starts = ["\"BEGIN", "START TRANSACTION", "\"SAVEPOINT", "\"COMMIT"];
    let is_place = |file: &TextFile| file.path.starts_with("core/src/backends/postgres/");
    files::expect_none(ours().filter(|file| !is_place(file)).flat_map(|file| {
        file.code_without_tests()
            .filter(|(_, line)| {
                // Only files of this name can hold a connection of sqlx.
                let begins = file.name() == "postgres.rs" && line.contains(".begin(");
                begins || starts.iter().any(|start| line.contains(start))
            })
            .map(|(number, _)| {
                file.at(
                    number,
                    "use `Postgres::transaction`: it retries, and survives a pooler",
                )
            })
    }));
}

#[test]
fn only_keys_rs_knows_how_redis_keys_look() {
    let prefixes = [
        "session:",
        "feature_flags",
        "posada:",
        "lock:",
        "LIMITS:",
        "availability:",
    ];
    // Tests and suites play the other program that shares the keys, so they write them out.
    let is_place = |file: &TextFile| {
        file.path == "core/src/backends/redis/keys.rs" || file.path.starts_with("core/src/testkit/")
    };
    let sources = files::all().iter().filter(|file| {
        file.path.starts_with("core/src/") && file.has_ending(&["rs", "lua"]) && !is_place(file)
    });
    files::expect_none(sources.flat_map(|file| {
        file.code_without_tests()
            .filter(|(_, line)| !line.trim_start().starts_with("--"))
            .filter(|(_, line)| {
                prefixes.iter().any(|prefix| {
                    line.contains(&format!("\"{prefix}")) || line.contains(&format!("'{prefix}"))
                })
            })
            .map(|(number, _)| {
                file.at(
                    number,
                    "add a function or a constant to backends/redis/keys.rs and call it",
                )
            })
    }));
}

#[test]
fn metric_names_stand_in_metrics_rs_only() {
    let macros = ["counter!(\"", "gauge!(\"", "histogram!(\""];
    let is_place = |file: &TextFile| file.path == "core/src/metrics.rs";
    files::expect_none(files::core().filter(|file| !is_place(file)).flat_map(|file| {
        file.code()
            .filter(|(_, line)| macros.iter().any(|start| line.contains(start)))
            .map(|(number, _)| file.at(number, "add a constant with its meaning to core/src/metrics.rs"))
    }));
}

#[test]
fn our_modules_are_told_from_the_crates() {
    assert!(names_crate("redis::cmd(\"GET\")", "redis"));
    assert!(names_crate("use ::redis::Value;", "redis"));
    assert!(!names_crate("use crate::backends::redis::Redis;", "redis"));
    assert!(!names_crate("fred_redis::connect()", "redis"));
}
