//! What was read from the environment, and what can be written there.

use std::fmt::Write as _;

use posada::Settings;
use posada::settings::{PmsSettings, Store, Variable};
use serde_json::json;

use crate::failure::Outcome;
use crate::report::Report;
use crate::table::table;

/// How the names of variables end that hold a secret, or an address with one in it.
const SECRET: [&str; 3] = ["_KEY", "_PASSWORD", "_URL"];
const NO_SECRET: &str = "PMS_BASE_URL";
const HIDDEN: &str = "(hidden)";

/// A `.env` file: every variable with its meaning, switched off by a `#`.
pub(super) fn example() -> String {
    let mut text = String::new();
    for variable in Variable::ALL {
        for line in wrapped(variable.what) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{}={}\n", variable.name, variable.default);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

pub(super) fn show() -> Outcome<Report> {
    let settings = Settings::from_env()?;
    let read: Vec<_> = Variable::ALL
        .iter()
        .filter_map(|variable| Some((variable, found(variable.name)?)))
        .collect();
    let rows = read
        .iter()
        .map(|(variable, value)| [variable.name.to_owned(), shown(variable.name, value)]);
    let mut text = table(
        ["variable", "value"],
        rows,
        "No variable of posada is set: everything has its default.",
    );
    let (postgres, redis, pms) = (
        place(settings.postgres()),
        place(settings.redis()),
        match settings.pms() {
            PmsSettings::Mock => "the built-in mock".to_owned(),
            PmsSettings::QloApps(server) => format!("QloApps at {}", server.base_url),
            PmsSettings::Custom => "a system of the program's own".to_owned(),
        },
    );
    let environment = settings.environment();
    let _ = write!(
        text,
        "\n\nenvironment  {environment}\nPostgres     {postgres}\nRedis        {redis}\nPMS          {pms}"
    );
    for name in settings.service_variables() {
        let _ = write!(
            text,
            "\nnot read: {name}, which Kubernetes or Docker made for a service"
        );
    }
    let variables = read
        .iter()
        .map(|(variable, value)| json!({"name": variable.name, "value": shown(variable.name, value)}));
    let data = json!({
        "environment": environment.as_str(),
        "postgres": postgres,
        "redis": redis,
        "pms": pms,
        "variables": variables.collect::<Vec<_>>(),
        "not_read": settings.service_variables(),
    });
    Ok(Report::new(data, text))
}

/// Where a kind of state lives; the settings show no password.
fn place<T: ToString>(store: &Store<T>) -> String {
    match store {
        Store::Memory => "memory of the process".to_owned(),
        Store::Server(server) => server.to_string(),
    }
}

/// The value of a variable under any case of its name; an empty one counts as unset.
fn found(name: &str) -> Option<String> {
    std::env::vars_os()
        .filter(|(there, _)| there.to_string_lossy().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .find(|value| !value.is_empty())
}

fn shown(name: &str, value: &str) -> String {
    if name != NO_SECRET && SECRET.iter().any(|end| name.ends_with(end)) {
        HIDDEN.to_owned()
    } else {
        value.to_owned()
    }
}

/// A text in lines of at most 100 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if !line.is_empty() && line.chars().count() + 1 + word.chars().count() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if line.is_empty() => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_every_variable_and_sets_none() {
        let example = example();
        for variable in Variable::ALL {
            assert!(
                example.contains(&format!("\n#{}=", variable.name)),
                "{}",
                variable.name
            );
        }
        assert!(
            example
                .lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
    }

    #[test]
    fn what_may_hold_a_secret_is_hidden() {
        for variable in Variable::ALL {
            let is_secret = [
                "SECRET",
                "PASSWORD",
                "API_KEY",
                "DATABASE_URL",
                "POSTGRES_URL",
                "REDIS_URL",
            ]
            .iter()
            .any(|part| variable.name.contains(part))
                && !variable.name.ends_with("_UNTIL");
            assert_eq!(
                shown(variable.name, "Zq9Xk") == HIDDEN,
                is_secret,
                "{}",
                variable.name
            );
        }
    }
}
