//! What the settings alone give away. Needs no server.

use super::Bookings;
use super::codes;
use super::model::{Finding, Severity};
use super::redis_settings;
use crate::settings::{
    ADVICE, Environment, PostgresSettings, QloAppsSettings, SHORTEST_SECRET_KEY, Secret, Settings, Store,
    Variable, is_this_machine,
};

/// What production asks of the key of the PMS, in bytes; the settings refuse less there.
const PMS_KEY_BYTES: usize = 16;
/// The port of Supabase's pooler on which a client keeps a server connection, and the one on which it does not.
const SESSION_PORT: u16 = 5432;
const TRANSACTION_PORT: u16 = 6543;

/// Passwords of examples that are no placeholders by their form.
const EVERYBODYS: [&str; 8] = [
    "12345678",
    "123456789",
    "hotel123",
    "letmein",
    "postgres",
    "qwerty123",
    "redis123",
    "supabase",
];

/// Looks at the settings. What is as it should be is reported too.
pub(super) fn examine(settings: &Settings, bookings: Bookings<'_>) -> Vec<Finding> {
    let environment = settings.environment();
    let mut findings = vec![signing_key(settings)];
    findings.extend(service_variables(settings));
    match settings.postgres() {
        Store::Memory => findings.push(Finding::warning(
            codes::POSTGRES_MEMORY,
            "Tenants, users and the audit are kept in this process and are gone with it.",
            "Set DATABASE_URL when something has to stay.",
        )),
        Store::Server(postgres) => findings.extend(of_postgres(postgres, environment)),
    }
    match settings.redis() {
        Store::Memory => findings.push(Finding::warning(
            codes::REDIS_MEMORY,
            "Conversations, flags, locks and holds are kept in this process: they are gone with it, and other \
             processes do not see them.",
            "Set REDIS_URL when something has to stay, or when there is more than one process.",
        )),
        Store::Server(redis) => findings.extend(redis_settings::examine(redis, environment)),
    }
    match bookings {
        Bookings::Mock => findings.push(Finding::warning(
            codes::PMS_MOCK,
            "The PMS is the mock: bookings reach no hotel.",
            "Set PMS_BASE_URL and PMS_API_KEY of the hotel's QloApps.",
        )),
        Bookings::QloApps(server) => findings.extend(of_pms(server, environment)),
        // Its credentials are the program's.
        Bookings::Custom => {}
    }
    findings
}

/// As bad as it is where real guests depend on it.
pub(super) fn graver_in_production(environment: Environment) -> Severity {
    if environment.is_production() {
        Severity::Error
    } else {
        Severity::Warning
    }
}

fn signing_key(settings: &Settings) -> Finding {
    let in_memory = *settings.postgres() == Store::Memory && *settings.redis() == Store::Memory;
    match settings.secret_key() {
        None if in_memory => Finding::ok(
            codes::SIGNING_KEY,
            "Tokens are signed with a key that lives as long as this process.",
        ),
        None => Finding::warning(
            codes::SIGNING_KEY,
            "SECRET_KEY is not set, so no user can sign in.",
            format!("Set SECRET_KEY; {ADVICE}."),
        ),
        Some(secret) => strength(
            codes::SIGNING_KEY,
            "SECRET_KEY",
            secret,
            SHORTEST_SECRET_KEY,
            settings.environment(),
        ),
    }
}

/// What is said when a variable looks as if it had been written by hand.
fn service_variables(settings: &Settings) -> Option<Finding> {
    let names = settings.service_variables();
    if names.is_empty() {
        return None;
    }
    let seen = format!(
        "Kubernetes or Docker made {} for a service of that name; what they say is not read.",
        names.join(", ")
    );
    let reads = |name: &String| {
        Variable::ALL
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(name))
    };
    Some(if names.iter().any(reads) {
        Finding::warning(
            codes::SERVICE_VARIABLES,
            seen,
            "Say in DATABASE_URL and REDIS_URL where the servers are. Pods without such variables have \
             enableServiceLinks: false.",
        )
    } else {
        Finding::ok(codes::SERVICE_VARIABLES, seen)
    })
}

fn strength(
    code: &'static str,
    name: &str,
    secret: &Secret,
    shortest: usize,
    environment: Environment,
) -> Finding {
    match secret.weakness(shortest) {
        Some(weakness) => Finding::warning(
            code,
            format!("{name} {weakness}."),
            format!("Replace it before real guests depend on it; {ADVICE}."),
        )
        .rated(graver_in_production(environment)),
        None => Finding::ok(code, format!("{name} is long enough and from no example.")),
    }
}

fn of_postgres(postgres: &PostgresSettings, environment: Environment) -> Vec<Finding> {
    let PostgresSettings { host, port, user, .. } = postgres;
    let is_pooler = postgres.is_supabase() && host.contains(".pooler.");
    let mut findings = Vec::new();
    if postgres.is_supabase() {
        findings.push(if *port == SESSION_PORT {
            let way = if is_pooler {
                "its pooler lends every client a connection of its own"
            } else {
                "every client takes one of the plan's connections, and the address is reached by IPv6 only"
            };
            Finding::warning(
                codes::SESSION_PORT,
                format!("Supabase is used on port {SESSION_PORT}, where {way}."),
                format!(
                    "Take the URL of Connection pooling, mode Transaction: host …pooler.supabase.com, port \
                     {TRANSACTION_PORT}."
                ),
            )
        } else {
            Finding::ok(codes::SESSION_PORT, format!("Supabase is used on port {port}."))
        });
    }
    if is_pooler {
        let has_project = user
            .split_once('.')
            .is_some_and(|(_, project)| !project.is_empty());
        findings.push(if has_project {
            Finding::ok(codes::USER_WITHOUT_PROJECT, "The user names its project.")
        } else {
            Finding::error(
                codes::USER_WITHOUT_PROJECT,
                format!("The user is {user}; Supabase's pooler needs the project in it."),
                format!(
                    "Write {user}.<project-ref>; the reference stands in the project's URL and settings."
                ),
            )
        });
    }
    findings.push(match postgres.weakness() {
        None => Finding::ok(
            codes::SSLMODE,
            "An attacker on the network between us and Postgres can neither read nor forge anything.",
        ),
        Some(weakness) => {
            let (seen, remedy) = weakness
                .split_once("; ")
                .unwrap_or((weakness, "use sslmode=verify-full"));
            let encrypted = postgres.tls.is_encrypted();
            let finding = Finding::warning(
                codes::SSLMODE,
                format!("sslmode is {}: {seen}.", postgres.tls),
                format!("{}.", capital(remedy)),
            );
            // Supabase's own guide says `require`, and it keeps listeners out.
            finding.rated(if encrypted {
                Severity::Warning
            } else {
                graver_in_production(environment)
            })
        }
    });
    if let Some(password) = &postgres.password {
        findings.push(guessable(
            codes::POSTGRES_PASSWORD_STRENGTH,
            "The password of Postgres",
            password,
            postgres.is_local(),
            environment,
        ));
    }
    findings
}

/// A password that anybody would try. On this machine, outside production, that is usual.
pub(super) fn guessable(
    code: &'static str,
    name: &str,
    password: &Secret,
    is_local: bool,
    environment: Environment,
) -> Finding {
    let known = EVERYBODYS.contains(&password.expose().to_lowercase().as_str());
    if !known && password.is_strong() {
        return Finding::ok(
            code,
            format!("{name} is none of those that everybody tries first."),
        );
    }
    if is_local && !environment.is_production() {
        return Finding::ok(
            code,
            format!("{name} is easy to guess, and the server is on this machine."),
        );
    }
    Finding::warning(
        code,
        format!("{name} is one of those that everybody tries first."),
        "Give the user a random password, on the server and here.",
    )
    .rated(graver_in_production(environment))
}

fn of_pms(server: &QloAppsSettings, environment: Environment) -> Vec<Finding> {
    let key = strength(
        codes::PMS_KEY_STRENGTH,
        "PMS_API_KEY",
        &server.api_key,
        PMS_KEY_BYTES,
        environment,
    );
    let host = host_of(&server.base_url);
    let is_plain = server.base_url.starts_with("http://") && !is_this_machine(host);
    let plain = if is_plain {
        Finding::warning(
            codes::PMS_PLAIN_HTTP,
            format!("PMS_BASE_URL begins with http://, so the key and the guests' names travel to {host} in plain text."),
            "Use https://, unless the QloApps server is on a network of its own with this machine.",
        )
        // Names without a dot and private addresses are of such networks.
        .rated(if is_nearby(host) { Severity::Warning } else { graver_in_production(environment) })
    } else {
        Finding::ok(codes::PMS_PLAIN_HTTP, "The key does not travel in plain text.")
    };
    vec![key, plain]
}

/// The host of an address that the settings have read.
fn host_of(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

pub(super) fn is_nearby(host: &str) -> bool {
    let private = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_private());
    let inner = [".cluster.local", ".local", ".internal", ".lan", ".svc"];
    private || !host.contains(['.', ':']) || inner.iter().any(|end| host.ends_with(end))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PmsSettings;

    const STRONG: &str = "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3X";
    const SUPABASE: &str =
        "postgres://postgres.abcdefgh:Zq9Xk7Lm@aws-0-us-east-1.pooler.supabase.com:6543/postgres";

    fn examined(vars: &[(&str, &str)]) -> Vec<Finding> {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let settings = Settings::from_vars(vars).unwrap();
        let bookings = match settings.pms() {
            PmsSettings::Mock => Bookings::Mock,
            PmsSettings::QloApps(server) => Bookings::QloApps(server),
            PmsSettings::Custom => Bookings::Custom,
        };
        examine(&settings, bookings)
    }

    /// The severity of a code under these variables.
    fn severity(vars: &[(&str, &str)], code: &str) -> Option<Severity> {
        let findings = examined(vars);
        findings
            .iter()
            .find(|finding| finding.code == code)
            .map(|finding| finding.severity)
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "it is a table")]
    fn every_mistake_of_the_setup_guide_is_seen_in_the_settings() {
        use Severity::{Error, Ok, Warning};
        let production: &[(&str, &str)] = &[
            ("ENVIRONMENT", "production"),
            ("DATABASE_URL", "memory:"),
            ("REDIS_URL", "memory:"),
            ("PMS_TYPE", "mock"),
        ];
        let with = |name: &'static str, value: &'static str| [production, &[(name, value)]].concat();
        for (vars, code, expected) in [
            // Port 5432 instead of 6543.
            (vec![("DATABASE_URL", SUPABASE)], codes::SESSION_PORT, Some(Ok)),
            (
                vec![(
                    "DATABASE_URL",
                    "postgres://postgres.abcdefgh:x@aws-0.pooler.supabase.com:5432/postgres",
                )],
                codes::SESSION_PORT,
                Some(Warning),
            ),
            (
                vec![(
                    "DATABASE_URL",
                    "postgres://postgres:x@db.abcdefgh.supabase.co/postgres",
                )],
                codes::SESSION_PORT,
                Some(Warning),
            ),
            (
                vec![("DATABASE_URL", "postgres://ana:x@db.example.com/hotel")],
                codes::SESSION_PORT,
                None,
            ),
            // The user without its project.
            (
                vec![("DATABASE_URL", SUPABASE)],
                codes::USER_WITHOUT_PROJECT,
                Some(Ok),
            ),
            (
                vec![(
                    "DATABASE_URL",
                    "postgres://postgres:x@aws-0.pooler.supabase.com:6543/postgres",
                )],
                codes::USER_WITHOUT_PROJECT,
                Some(Error),
            ),
            (
                vec![(
                    "DATABASE_URL",
                    "postgres://postgres:x@db.abcdefgh.supabase.co:6543/postgres",
                )],
                codes::USER_WITHOUT_PROJECT,
                None,
            ),
            // The missing sslmode.
            (
                vec![("DATABASE_URL", "postgres://ana:x@localhost/hotel")],
                codes::SSLMODE,
                Some(Ok),
            ),
            (
                vec![("DATABASE_URL", "postgres://ana:x@db.example.com/hotel")],
                codes::SSLMODE,
                Some(Warning),
            ),
            (
                with("DATABASE_URL", "postgres://ana:x@db.example.com/hotel"),
                codes::SSLMODE,
                Some(Error),
            ),
            (with("DATABASE_URL", SUPABASE), codes::SSLMODE, Some(Warning)),
            (
                with(
                    "DATABASE_URL",
                    "postgres://ana:x@db.example.com/hotel?sslmode=verify-full",
                ),
                codes::SSLMODE,
                Some(Ok),
            ),
            // Passwords of everybody.
            (
                vec![("DATABASE_URL", "postgres://a:password@localhost/h")],
                codes::POSTGRES_PASSWORD_STRENGTH,
                Some(Ok),
            ),
            (
                vec![("DATABASE_URL", "postgres://a:password@db.example.com/h")],
                codes::POSTGRES_PASSWORD_STRENGTH,
                Some(Warning),
            ),
            (
                with("DATABASE_URL", "postgres://a:changeme@localhost/h"),
                codes::POSTGRES_PASSWORD_STRENGTH,
                Some(Error),
            ),
            (
                vec![("DATABASE_URL", "postgres://postgres:postgres@db.example.com/h")],
                codes::POSTGRES_PASSWORD_STRENGTH,
                Some(Warning),
            ),
            (
                with("DATABASE_URL", SUPABASE),
                codes::POSTGRES_PASSWORD_STRENGTH,
                Some(Ok),
            ),
            (
                vec![("REDIS_URL", "redis://localhost")],
                codes::REDIS_PASSWORD_STRENGTH,
                Some(Ok),
            ),
            (
                vec![("REDIS_URL", "redis://cache")],
                codes::REDIS_PASSWORD_STRENGTH,
                Some(Warning),
            ),
            (
                vec![("REDIS_URL", "redis+cluster://:Zq9Xk7Lm@one,two")],
                codes::REDIS_PASSWORD_STRENGTH,
                Some(Ok),
            ),
            // Variables that were not written by hand.
            (vec![], codes::SERVICE_VARIABLES, None),
            (
                vec![("POSADA_API_SERVICE_HOST", "10.96.0.12")],
                codes::SERVICE_VARIABLES,
                Some(Ok),
            ),
            (
                vec![("REDIS_PORT", "tcp://10.96.0.13:6379")],
                codes::SERVICE_VARIABLES,
                Some(Warning),
            ),
            // Dummy secrets. In production the settings refuse them by themselves.
            (
                vec![("SECRET_KEY", "change-me")],
                codes::SIGNING_KEY,
                Some(Warning),
            ),
            (
                vec![("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
                codes::SIGNING_KEY,
                Some(Warning),
            ),
            (
                vec![("SECRET_KEY", "generate_secure_key_here")],
                codes::SIGNING_KEY,
                Some(Warning),
            ),
            (
                vec![("SECRET_KEY", "Qm2xL0vRk9Zp")],
                codes::SIGNING_KEY,
                Some(Warning),
            ),
            (vec![("SECRET_KEY", STRONG)], codes::SIGNING_KEY, Some(Ok)),
            (vec![], codes::SIGNING_KEY, Some(Ok)),
            (
                vec![("REDIS_URL", "redis://localhost")],
                codes::SIGNING_KEY,
                Some(Warning),
            ),
            (
                vec![
                    ("PMS_BASE_URL", "http://localhost"),
                    ("PMS_API_KEY", "dev-pms-key"),
                ],
                codes::PMS_KEY_STRENGTH,
                Some(Warning),
            ),
            // What is kept nowhere.
            (vec![], codes::POSTGRES_MEMORY, Some(Warning)),
            (vec![], codes::REDIS_MEMORY, Some(Warning)),
            (vec![], codes::PMS_MOCK, Some(Warning)),
            (vec![("PMS_TYPE", "custom")], codes::PMS_MOCK, None),
        ] {
            assert_eq!(severity(&vars, code), expected, "{code}: {vars:?}");
        }
    }

    #[test]
    fn a_key_in_plain_text_is_rated_the_way_is_long() {
        use Severity::{Error, Ok, Warning};
        for (url, here, in_production) in [
            ("https://hotel.example.com", Ok, Ok),
            ("http://localhost:8090", Ok, Ok),
            ("http://[::1]:8090", Ok, Ok),
            ("http://qloapps:80/shop", Warning, Warning),
            ("http://10.0.0.7", Warning, Warning),
            ("http://hotel.example.com", Warning, Error),
            ("http://198.51.100.7", Warning, Error),
        ] {
            let mut vars = vec![("PMS_BASE_URL", url), ("PMS_API_KEY", STRONG)];
            assert_eq!(severity(&vars, codes::PMS_PLAIN_HTTP), Some(here), "{url}");
            vars.extend([
                ("ENVIRONMENT", "production"),
                ("DATABASE_URL", "memory:"),
                ("REDIS_URL", "memory:"),
            ]);
            assert_eq!(
                severity(&vars, codes::PMS_PLAIN_HTTP),
                Some(in_production),
                "{url}"
            );
        }
    }

    #[test]
    fn whatever_is_not_ok_has_a_remedy_and_nothing_shows_a_secret() {
        const SECRETS: [&str; 4] = ["changeme-1", "changeme-2", "changeme-3", "changeme-4"];
        let findings = examined(&[
            ("DATABASE_URL", "postgres://ana:changeme-1@db.example.com/hotel"),
            ("REDIS_URL", "redis://:changeme-2@cache"),
            ("PMS_BASE_URL", "http://hotel.example.com"),
            ("PMS_API_KEY", "changeme-3"),
            ("SECRET_KEY", "changeme-4"),
        ]);
        assert_eq!(findings.len(), 7, "{findings:?}");
        for finding in findings {
            assert_eq!(finding.severity, Severity::Warning, "{finding}");
            assert!(finding.remedy.is_some(), "{finding}");
            let shown = format!("{finding} {finding:?}");
            assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
        }
    }
}
