//! The program as an operator uses it, on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use posada_tests::{PostgresServer, RedisServer, servers, unique};
use serde_json::Value;

/// What no output may hold; it stands in every URL and password here.
const SECRET: &str = "Zq9XkTt4LmV2-planted";
/// The key that signs tokens.
const KEY: &str = "0f8fad5bd9cb469fa16570867728950e-Zq9XkTt4LmV2-planted";

/// An installation on the servers of the tests.
struct Installation {
    variables: Vec<(&'static str, String)>,
    database: String,
}

impl Installation {
    /// On an empty database.
    fn empty() -> Self {
        let database = unique("cli");
        let url = servers::postgres().create_database(&database);
        Self {
            variables: vec![
                ("DATABASE_URL", url),
                ("REDIS_URL", servers::redis().url().to_owned()),
                ("SECRET_KEY", KEY.to_owned()),
            ],
            database,
        }
    }

    fn migrated() -> Self {
        let installation = Self::empty();
        assert_eq!(installation.run(&["migrate", "apply"]).0, 0);
        installation
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The exit status, and what was written to the two outputs, together.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        told(self.command(arguments).output().unwrap())
    }

    /// The data of a command that succeeds, or ends with this status.
    fn json(&self, arguments: &[&str], status: i32) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {}",
            told(output).1
        );
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["version"], 1);
        assert!(
            arguments
                .join(" ")
                .starts_with(value["command"].as_str().unwrap())
        );
        assert!(value["warnings"].is_array());
        value
    }

    fn with_input(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        told(child.wait_with_output().unwrap())
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posada"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn told(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(SECRET), "a secret is shown: {text}");
    (output.status.code().unwrap(), text)
}

#[test]
fn twenty_processes_migrate_at_once_and_one_of_them_applies() {
    for through_pooler in [false, true] {
        let mut installation = Installation::empty();
        if through_pooler {
            let url = servers::pgbouncer().url(&installation.database);
            installation = installation
                .set("DATABASE_URL", url)
                .set("POSTGRES_POOLER", "transaction");
        }
        let plan = installation.json(&["migrate", "plan", "--exit-code"], 3);
        let pending = plan["data"]["pending"].as_array().unwrap().len();
        assert!(
            pending >= 8
                && plan["data"]["pending"][0]["sql"]
                    .as_str()
                    .unwrap()
                    .contains("CREATE TABLE")
        );
        let runs: Vec<_> = (0..20)
            .map(|_| {
                let mut command = installation.command(&["migrate", "apply", "--json"]);
                command
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let applied: Vec<usize> = runs
            .into_iter()
            .map(|run| {
                let output = run.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", told(output).1);
                let value: Value = serde_json::from_slice(&output.stdout).unwrap();
                value["data"]["applied"].as_array().unwrap().len()
            })
            .collect();
        assert_eq!(
            applied.iter().filter(|count| **count == pending).count(),
            1,
            "{applied:?}"
        );
        assert_eq!(applied.iter().sum::<usize>(), pending);
        assert_eq!(
            installation.run(&["migrate", "plan", "--exit-code"]),
            (0, "There is nothing to do.\n".into())
        );
        let status = installation.json(&["migrate", "status", "--wait-for-current"], 0);
        assert_eq!(status["data"]["applied"].as_array().unwrap().len(), pending);
    }
}

#[test]
fn a_database_that_is_not_up_yet_is_waited_for_and_a_wrong_password_is_not() {
    let mut server = PostgresServer::start();
    let url = server.create_database("late");
    let installation = Installation::empty().set("DATABASE_URL", url.clone());
    server.stop();
    let (status, text) = installation.run(&["migrate", "apply"]);
    assert_eq!(status, 69, "{text}");
    assert!(text.contains("posada doctor"), "{text}");
    let mut waiting = installation.command(&["migrate", "apply", "--wait=120"]);
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.start_again();
    let (status, text) = told(waiting.wait_with_output().unwrap());
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("applied 0001_six_tables"), "{text}");

    server.execute(&format!("CREATE ROLE app LOGIN PASSWORD '{SECRET}'"));
    let (_, place) = url.split_once('@').unwrap_or_default();
    let wrong = installation.set("DATABASE_URL", format!("postgresql://nobody:{SECRET}@{place}"));
    let (status, text) = wrong.run(&["migrate", "apply", "--wait"]);
    assert_eq!(status, 5, "{text}");
}

#[test]
fn what_is_missing_is_named_with_its_remedy_and_a_status_of_its_own() {
    let nothing = program(&["tenants", "list"]).output().unwrap();
    let (status, text) = told(nothing);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("DATABASE_URL"), "{text}");
    let (status, text) = told(program(&["flags", "list", "--json"]).output().unwrap());
    assert_eq!(status, 2);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (value["ok"].as_bool(), value["error"]["code"].as_str()),
        (Some(false), Some("cli.usage"))
    );
    assert!(value["error"]["remedy"].as_str().unwrap().contains("REDIS_URL"));
    let (status, text) = told(program(&["tenants"]).output().unwrap());
    assert_eq!(status, 2, "{text}");
    let misspelt = Installation::empty().set("POSADA_HOLD_TLL", "5");
    let (status, text) = misspelt.run(&["settings"]);
    assert_eq!(status, 2);
    assert!(
        text.contains("POSADA_HOLD_TLL") && text.contains("POSADA_HOLD_TTL"),
        "{text}"
    );
}

#[test]
fn doctor_validate_health_and_size_say_what_is_wrong() {
    let empty = Installation::empty();
    let (status, text) = empty.run(&["validate"]);
    assert_eq!(status, 3);
    assert!(text.contains("postgres.tables") && text.contains("→"), "{text}");
    let migrated = Installation::migrated();
    let findings = migrated.json(&["doctor"], 3);
    assert_eq!(
        findings["data"]["severity"], "warning",
        "the mock books in no hotel"
    );
    let data = migrated.json(&["health"], 0);
    assert_eq!(data["data"]["status"], "healthy");
    let size = migrated.json(&["size", "--replicas", "3"], 0);
    assert_eq!(size["data"]["postgres"]["most_of_all"], 60);
    let mut redis = RedisServer::start();
    let ill = migrated.set("REDIS_URL", redis.url());
    redis.stop();
    let (status, text) = ill.run(&["health"]);
    assert_eq!(status, 3, "{text}");
}

#[test]
fn settings_show_where_things_are_and_no_secret() {
    let installation = Installation::empty()
        .set(
            "DATABASE_URL",
            format!("postgresql://app:{SECRET}@db.hotel.example:6543/app"),
        )
        .set("PMS_BASE_URL", "https://hotel.example.com")
        .set("PMS_API_KEY", SECRET);
    let (status, text) = installation.run(&["settings"]);
    assert_eq!(status, 0, "{text}");
    for shown in ["db.hotel.example:6543", "https://hotel.example.com", "(hidden)"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let example = told(program(&["settings", "--example"]).output().unwrap()).1;
    assert!(example.contains("#DATABASE_URL=") && example.contains("#POSADA_HOLD_TTL=1200"));
}

#[test]
fn hotels_and_their_numbers_are_kept() {
    let installation = Installation::migrated();
    let hotel = unique("hotel-mirador").replace('_', "-");
    let hours = [
        "--opens=7",
        "--closes=23",
        "--timezone=America/Argentina/Buenos_Aires",
    ];
    let create = [
        &["tenants", "create", &hotel, "Hotel Mirador del Lago"][..],
        &hours,
    ]
    .concat();
    let made = installation.json(&create, 0);
    assert_eq!(made["data"]["business_hours"]["start"], 7);
    let (status, text) = installation.run(&create);
    assert_eq!(status, 1, "there is one: {text}");
    let number = format!("+54911{:08}", std::process::id());
    assert_eq!(installation.run(&["identifiers", "add", &hotel, &number]).0, 0);
    let (status, text) = installation.run(&["identifiers", "resolve", &number, "--channel=whatsapp"]);
    assert_eq!((status, text.contains(&hotel)), (0, true), "{text}");
    assert_eq!(
        installation.run(&["identifiers", "resolve", "+5491100000000"]).0,
        3
    );
    let (status, text) = installation.run(&["identifiers", "remove", &hotel, &number]);
    assert_eq!(status, 4, "{text}");
    assert_eq!(
        installation
            .run(&["identifiers", "remove", &hotel, &number, "--yes"])
            .0,
        0
    );
    assert_eq!(
        installation.json(&["tenants", "suspend", &hotel], 0)["data"]["status"],
        "inactive"
    );
    let renamed = installation.json(
        &["tenants", "update", &hotel, "--name=Mirador", "--status=active"],
        0,
    );
    assert_eq!(
        (
            &renamed["data"]["name"],
            &renamed["data"]["business_hours"]["end"]
        ),
        (&"Mirador".into(), &23.into())
    );
    let (status, text) = installation.run(&["tenants", "list"]);
    assert_eq!((status, text.contains(&hotel)), (0, true), "{text}");
}

#[test]
fn flags_and_users_of_a_hotel_are_kept() {
    let installation = Installation::migrated();
    let hotel = unique("hotel-mirador").replace('_', "-");
    assert_eq!(
        installation
            .run(&["tenants", "create", &hotel, "Hotel Mirador del Lago"])
            .0,
        0
    );
    let flag = format!("cli.{}", unique("canary"));
    assert_eq!(
        installation
            .run(&["flags", "set", &flag, "true", "--tenant", &hotel])
            .0,
        0
    );
    let of_hotel = installation.json(&["flags", "list", "--tenant", &hotel], 0);
    let of_hotel = of_hotel["data"].as_array().unwrap();
    assert!(
        of_hotel
            .iter()
            .any(|one| one["key"] == flag.as_str() && one["enabled"] == true),
        "{of_hotel:?}"
    );
    assert_eq!(
        installation.json(&["flags", "unset", &flag, "--tenant", &hotel], 0)["data"]["was_set"],
        true
    );

    let user = [
        "users",
        "create",
        "ana",
        "ana@mirador.example",
        "--role=manager",
        "--tenant",
        &hotel,
    ];
    assert_eq!(installation.run(&user).0, 4, "a password is no argument");
    let piped = [&user[..], &["--password-stdin", "--json"]].concat();
    let (status, text) = installation.with_input(&piped, &format!("{SECRET}\n"));
    assert_eq!(status, 0, "{text}");
    let id = serde_json::from_str::<Value>(&text).unwrap()["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let set = [
        "users",
        "set-password",
        &id,
        "--password-stdin",
        "--tenant",
        &hotel,
    ];
    assert_eq!(installation.with_input(&set, &format!("{SECRET}-again\n")).0, 0);
    assert_eq!(installation.with_input(&set, "short\n").0, 2);
    assert_eq!(
        installation
            .run(&["users", "reset-token", &id, "--tenant", &hotel])
            .0,
        0
    );
}

#[test]
fn the_database_is_kept_tidy() {
    let installation = Installation::migrated();
    let done = installation.json(&["maintain"], 0);
    let names: Vec<_> = done["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].clone())
        .collect();
    assert_eq!(names, ["sessions", "passwords", "audit"]);
    let (status, text) = Installation::empty().run(&["maintain"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("run the migrations"), "{text}");
    assert_eq!(installation.run(&["maintain", "--every", "soon"]).0, 2);

    // With `--every` it stays until it is ended.
    let mut staying = installation.command(&["maintain", "--every", "1h", "--json"]);
    let mut staying = staying.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut told = std::io::BufReader::new(staying.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut told, &mut line).unwrap();
    assert!(
        serde_json::from_str::<Value>(&line).unwrap()["ok"] == true,
        "{line}"
    );
    let ended = Command::new("kill")
        .arg(staying.id().to_string())
        .status()
        .unwrap();
    assert!(ended.success());
    assert_eq!(staying.wait().unwrap().code(), Some(143));
}

#[test]
fn locks_limits_conversations_and_the_audit_are_looked_at() {
    let installation = Installation::migrated();
    assert_eq!(
        installation.run(&["locks", "show", "night-audit"]).1,
        "error: night-audit is free\n"
    );
    let (status, text) = installation.run(&["locks", "release", "night-audit", "--reason=the process died"]);
    assert_eq!(status, 4, "{text}");
    let release = [
        "locks",
        "release",
        "night-audit",
        "--reason=the process died",
        "--yes",
    ];
    assert_eq!(
        installation.run(&release),
        (0, "night-audit was free.\n".to_owned())
    );
    let limit = installation.json(&["limits", "show", "5/minute", "203.0.113.7", "/login"], 0);
    assert_eq!(limit["data"]["remaining"], 5);
    assert_eq!(
        installation
            .run(&["limits", "reset", "5/minute", "203.0.113.7", "/login", "--yes"])
            .0,
        0
    );
    assert_eq!(installation.run(&["limits", "show", "5 per eon", "x"]).0, 2);
    let holds = installation.json(
        &["holds", "room_type:1/5", "--from=2027-03-10", "--to=2027-03-12"],
        0,
    );
    assert_eq!(holds["data"].as_array().unwrap().len(), 0);
    assert_eq!(
        installation
            .run(&["holds", "room_type:1/5", "--from=2027-03-12", "--to=2027-03-10"])
            .0,
        2
    );
    assert_eq!(installation.run(&["sessions", "show", "5491187654321"]).0, 1);
    assert_eq!(installation.run(&["audit", "night-audit"]).0, 0);
}

#[test]
fn the_hotel_of_the_mock_is_shown() {
    let (status, text) = told(program(&["pms", "hotels"]).output().unwrap());
    assert_eq!(status, 0, "{text}");
    let free = [
        "pms",
        "availability",
        "2027-03-10",
        "2027-03-12",
        "--adults=2",
        "--child=7",
        "--json",
    ];
    let (status, text) = told(program(&free).output().unwrap());
    assert_eq!(status, 0, "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(!value["data"]["offers"].as_array().unwrap().is_empty());
    assert_eq!(told(program(&["pms", "self-test"]).output().unwrap()).0, 0);
    assert_eq!(
        told(program(&["pms", "booking", "999999"]).output().unwrap()).0,
        1
    );
}

#[test]
fn help_manual_and_completions_are_complete() {
    let (status, help) = told(program(&["--help"]).output().unwrap());
    assert_eq!(status, 0);
    for word in ["migrate", "doctor", "Exit status:", "75"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(!help.contains('\u{1b}'), "no colours without a terminal");
    let manual = told(program(&["man"]).output().unwrap()).1;
    assert!(manual.contains(".TH posada") && manual.contains("posada\\-migrate"));
    for shell in ["bash", "zsh", "fish"] {
        let script = told(program(&["completions", shell]).output().unwrap()).1;
        assert!(script.contains("identifiers"), "{shell}");
    }
}
