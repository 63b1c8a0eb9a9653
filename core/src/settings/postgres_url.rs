//! The Postgres URL: what libpq, SQLAlchemy and Supabase write, with libpq's meaning.
//!
//! The app hands its URL to asyncpg, which knows none of libpq's options and fails on `sslmode`; here they mean what
//! the PostgreSQL manual says, "Connection Strings" and "Parameter Key Words". An option is understood, known to be of
//! no consequence, or refused: one that is silently dropped may be the one that protects the connection.

use std::path::PathBuf;
use std::time::Duration;

use super::dsn::{Dsn, decode, parse_port, scheme};
use super::sourced::{Fault, nearest, whole_number, yes_or_no};
use super::{Secret, TlsMode};
use crate::text::Shown;

const FORMS: &str = "must begin with postgresql:// or postgres:// (a driver as in postgresql+asyncpg:// is read \
                     over) and have no quotes around it, or be memory:";

/// The options that mean something here.
const OPTIONS: [&str; 15] = [
    "sslmode",
    "sslrootcert",
    "application_name",
    "connect_timeout",
    "pgbouncer",
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "ssl",
    "ssl_check_hostname",
    "sslaccept",
    "channel_binding",
    "target_session_attrs",
];

/// Options of other programs that share the URL. They tune those programs' own pools, caches and timers, and change
/// neither where a connection goes nor how it is protected, so they are read over.
const FOREIGN: [&str; 59] = [
    // SQLAlchemy and asyncpg
    "async_fallback",
    "command_timeout",
    "max_cacheable_statement_size",
    "max_cached_statement_lifetime",
    "max_inactive_connection_lifetime",
    "max_overflow",
    "pool_pre_ping",
    "pool_recycle",
    "pool_reset_on_return",
    "pool_size",
    "pool_use_lifo",
    "prepare_threshold",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement-cache-capacity",
    "statement_cache_capacity",
    "statement_cache_size",
    "timeout",
    // Prisma and Supabase's dashboard
    "connection_limit",
    "pool_timeout",
    "socket_timeout",
    "supa",
    "workaround",
    // Django, Rails and pgx
    "advisory_locks",
    "checkout_timeout",
    "conn_health_checks",
    "conn_max_age",
    "default_query_exec_mode",
    "description_cache_capacity",
    "disable_server_side_cursors",
    "idle_timeout",
    "pool",
    "pool_health_check_period",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "pool_max_conns",
    "pool_min_conns",
    "prepared_statements",
    "reaping_frequency",
    "uselibpqcompat",
    // JDBC
    "connectTimeout",
    "defaultRowFetchSize",
    "loginTimeout",
    "preparedStatementCacheQueries",
    "preparedStatementCacheSizeMiB",
    "prepareThreshold",
    "reWriteBatchedInserts",
    "socketTimeout",
    "stringtype",
    "tcpKeepAlive",
    // libpq and its relatives: the network layer underneath, and texts that we always send as UTF-8
    "client_encoding",
    "encoding",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslsni",
    "tcp_user_timeout",
];

/// Where Postgres is, before defaults and rules: from a URL or from single variables.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) tls: Option<TlsMode>,
    pub(super) root_certificate: Option<RootCertificate>,
    pub(super) application_name: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) says_pgbouncer: bool,
    /// Whether the password may only be proven to the server whose certificate was seen.
    pub(super) binds_channel: bool,
    /// Whether the certificate must name the host, if that is said apart from `sslmode`.
    pub(super) checks_hostname: Option<bool>,
}

/// What `sslrootcert` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RootCertificate {
    /// The word `system`: the public roots.
    Public,
    /// A file.
    File(PathBuf),
}

/// Takes a URL apart. Rules that concern several parts are checked by [`Parts::settings`].
pub(super) fn parse(text: &str) -> Result<Parts, Fault> {
    let (scheme, rest) = scheme(text).ok_or(FORMS)?;
    let base = scheme.split('+').next().unwrap_or(scheme);
    if !matches!(base.to_ascii_lowercase().as_str(), "postgres" | "postgresql") {
        return Err(FORMS.into());
    }
    let dsn = Dsn::parse(rest)?;
    let [address] = dsn.addresses.as_slice() else {
        return Err("names several servers; posada writes to one, so name the primary".into());
    };
    let mut parts = Parts {
        host: Some(address.host.clone()).filter(|host| !host.is_empty()),
        port: address.port,
        user: dsn.user,
        password: dsn.password,
        ..Parts::default()
    };
    if !dsn.path.is_empty() {
        parts.database = Some(decode(dsn.path, "the database")?);
    }
    for (name, value) in dsn.options {
        parts.option(&name, &value)?;
    }
    Ok(parts)
}

impl Parts {
    /// Puts one option into its place. No message repeats a value, except the path of `sslrootcert`.
    fn option(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "sslmode" => once(name, &mut self.tls, tls_mode(value)?),
            "ssl" => once("sslmode", &mut self.tls, asyncpg_ssl(value)?),
            "sslrootcert" => once(name, &mut self.root_certificate, root_certificate(value)?),
            "application_name" => once(name, &mut self.application_name, application_name(value)?),
            "connect_timeout" => once(name, &mut self.connect_timeout, connect_timeout(value)?),
            "pgbouncer" => {
                self.says_pgbouncer = yes_or_no(value).map_err(|_| "pgbouncer must be true or false")?;
                Ok(())
            }
            "host" => once("the host", &mut self.host, value.to_owned()),
            "port" => once("the port", &mut self.port, parse_port(value)?),
            "user" => once("the user", &mut self.user, value.to_owned()),
            "password" => once("the password", &mut self.password, Secret::new(value)),
            "dbname" | "database" => once("the database", &mut self.database, value.to_owned()),
            "ApplicationName" => once("application_name", &mut self.application_name, application_name(value)?),
            "ssl_check_hostname" => {
                let checks = yes_or_no(value).map_err(|_| "ssl_check_hostname must be true or false")?;
                once(name, &mut self.checks_hostname, checks)
            }
            "sslaccept" if value == "accept_invalid_certs" => Ok(()),
            "sslaccept" if value == "strict" => once("ssl_check_hostname", &mut self.checks_hostname, true),
            "sslaccept" => Err("sslaccept must be strict or accept_invalid_certs".into()),
            // posada writes to the one server of the URL, and says so when that takes no writes.
            "target_session_attrs" | "targetServerType"
                if matches!(value, "any" | "read-write" | "primary" | "master") => Ok(()),
            "target_session_attrs" | "targetServerType" => {
                Err(format!("{name} must be any, read-write or primary: posada writes").into())
            }
            // With one server there is nothing to balance.
            "load_balance_hosts" | "loadBalanceHosts" => Ok(()),
            "sslnegotiation" if value == "postgres" => Ok(()),
            "sslnegotiation" => Err("sslnegotiation must be postgres, which every server understands".into()),
            // TLS 1.2 is the oldest that there is here.
            "ssl_min_protocol_version" if matches!(value, "TLSv1" | "TLSv1.1" | "TLSv1.2") => Ok(()),
            "ssl_min_protocol_version" => {
                Err("ssl_min_protocol_version must be TLSv1.2 or older; newer ones are agreed on where both can".into())
            }
            "sslcert" | "sslkey" | "sslpassword" | "sslidentity" => Err(format!(
                "{name} is not supported: posada shows no certificate of its own; name the authority of the server in \
                 sslrootcert, and use a password"
            )
            .into()),
            "passfile" | "service" => Err(format!(
                "{name} is not supported; give the password in the URL or in POSTGRES_PASSWORD"
            )
            .into()),
            "channel_binding" if matches!(value, "disable" | "prefer") => Ok(()),
            "channel_binding" if value == "require" => {
                self.binds_channel = true;
                Ok(())
            }
            "channel_binding" => Err("channel_binding must be disable, prefer or require".into()),
            // Neon's way around clients without SNI, which is always sent here.
            "options" if value.starts_with("endpoint=") => Ok(()),
            "options" => Err(
                "options are refused by PgBouncer and dropped by Supavisor; use ALTER ROLE … SET \
                              instead"
                    .into(),
            ),
            "gssencmode" if matches!(value, "disable" | "prefer") => Ok(()),
            "gssencmode" => Err("gssencmode must be disable or prefer; posada encrypts with TLS".into()),
            "schema" | "currentSchema" if value == "public" => Ok(()),
            "schema" | "currentSchema" => {
                Err(format!("{name} must be public, where the app's tables are").into())
            }
            _ if FOREIGN.contains(&name) => Ok(()),
            _ => Err(unknown_option(name, &OPTIONS)),
        }
    }
}

/// Reads libpq's `sslmode`.
pub(super) fn tls_mode(text: &str) -> Result<TlsMode, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "disable" => Ok(TlsMode::Disable),
        "allow" => Ok(TlsMode::Allow),
        "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(format!("sslmode must be one of {}", TlsMode::NAMES.join(", ")).into()),
    }
}

/// Reads asyncpg's `ssl`: a mode of libpq, or true for full verification.
fn asyncpg_ssl(text: &str) -> Result<TlsMode, Fault> {
    match yes_or_no(text) {
        Ok(true) => Ok(TlsMode::VerifyFull),
        Ok(false) => Ok(TlsMode::Disable),
        Err(_) => tls_mode(text),
    }
}

/// Reads `sslrootcert`. The file must exist: otherwise the first connection would fail, hours later perhaps.
pub(super) fn root_certificate(text: &str) -> Result<RootCertificate, Fault> {
    if text == "system" {
        return Ok(RootCertificate::Public);
    }
    let path = PathBuf::from(text);
    if path.is_file() {
        Ok(RootCertificate::File(path))
    } else {
        Err(format!(
            "sslrootcert must name a file that exists, or be system; there is no file {}",
            Shown(text)
        )
        .into())
    }
}

/// Reads `application_name`. Postgres cuts at 63 bytes and replaces what is not ASCII, so both are refused here.
fn application_name(text: &str) -> Result<String, Fault> {
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| text.to_owned())
        .ok_or_else(|| "application_name must have 1 to 63 printable ASCII characters".into())
}

/// Reads `connect_timeout`, in whole seconds.
fn connect_timeout(text: &str) -> Result<Duration, Fault> {
    match whole_number::<u64>(text) {
        Ok(seconds @ 1..=300) => Ok(Duration::from_secs(seconds)),
        _ => {
            Err("connect_timeout must be 1 to 300 seconds (0, libpq's for ever, does not exist here)".into())
        }
    }
}

/// Fills a place that must be empty: two different answers to one question are a mistake worth hearing of.
fn once<T>(what: &str, place: &mut Option<T>, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("gives {what} twice").into()),
    }
}

/// The fault of an unknown option. Its name is shown only when it looks like one.
pub(super) fn unknown_option(name: &str, known: &[&str]) -> Fault {
    let shows = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-');
    let mut message = "has an option that posada does not know".to_owned();
    if shows {
        message = format!("{message}: {name}");
        if let Some(nearest) = nearest(name, known.iter().copied()) {
            message = format!("{message} (did you mean {nearest}?)");
        }
    }
    Fault::unknown(format!("{message}; known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, codes};
    use crate::settings::{Pooling, PostgresSettings};

    fn read(url: &str) -> PostgresSettings {
        PostgresSettings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn refused(url: &str) -> Error {
        let error = PostgresSettings::parse(url).expect_err(url);
        assert_eq!(error.field(), Some("postgres_url"), "{url}");
        error
    }

    #[test]
    fn the_url_of_the_setup_guide_reads_as_it_is_meant() {
        let settings = read(
            "postgresql://postgres.xxxxx:password@host.pooler.supabase.com:6543/postgres?sslmode=require",
        );
        assert_eq!(settings.host, "host.pooler.supabase.com");
        assert_eq!((settings.port, settings.database.as_str()), (6543, "postgres"));
        assert_eq!(settings.user, "postgres.xxxxx");
        assert_eq!(settings.password, Some(Secret::new("password")));
        assert_eq!(settings.tls, TlsMode::Require);
        assert_eq!(settings.pooling, Pooling::Transaction);
    }

    #[test]
    fn every_driver_of_every_orm_means_the_same_server() {
        let plain = read("postgresql://ana:s@h:5432/db");
        for scheme in [
            "postgres",
            "postgresql+asyncpg",
            "postgresql+psycopg2",
            "postgresql+psycopg",
            "postgresql+psycopg_async",
            "postgresql+psycopg2cffi",
            "postgresql+pg8000",
            "postgresql+pygresql",
            "postgres+pg8000",
            "POSTGRESQL",
        ] {
            assert_eq!(read(&format!("{scheme}://ana:s@h:5432/db")), plain);
        }
        assert_eq!(
            read("postgresql+asyncpg://localhost:5432/postgres"),
            PostgresSettings::default()
        );
    }

    #[test]
    fn what_is_not_a_postgres_url_is_told_what_would_be() {
        for text in [
            "mysql://ana:s3cret@h/db",
            "host=h user=ana password=s3cret",
            "s3cret",
            "\"postgres://ana:s3cret@h/db\"",
            "",
        ] {
            let error = refused(text);
            assert!(error.is(codes::SETTINGS_INVALID));
            assert!(
                error.message().contains("must begin with postgresql://"),
                "{error}"
            );
        }
    }

    #[test]
    fn all_six_modes_have_the_meaning_of_libpq() {
        for (name, mode) in [
            ("disable", TlsMode::Disable),
            ("allow", TlsMode::Allow),
            ("prefer", TlsMode::Prefer),
            ("require", TlsMode::Require),
            ("verify-ca", TlsMode::VerifyCa),
            ("verify-full", TlsMode::VerifyFull),
        ] {
            assert_eq!(read(&format!("postgres://h/db?sslmode={name}")).tls, mode);
        }
        assert_eq!(read("postgres://h/db").tls, TlsMode::Prefer);
        let error = refused("postgres://h/db?sslmode=no-verify");
        assert!(
            error
                .message()
                .contains("disable, allow, prefer, require, verify-ca, verify-full"),
            "{error}"
        );
    }

    #[test]
    fn the_ssl_option_of_asyncpg_is_understood() {
        for (value, mode) in [
            ("true", TlsMode::VerifyFull),
            ("require", TlsMode::Require),
            ("false", TlsMode::Disable),
        ] {
            assert_eq!(read(&format!("postgres://h/db?ssl={value}")).tls, mode);
        }
        assert!(
            refused("postgres://h/db?ssl=require&sslmode=require")
                .message()
                .contains("twice")
        );
    }

    #[test]
    fn names_and_times_of_the_url_arrive() {
        let settings = read("postgres://h/db?application_name=hotel_agent%20prod&connect_timeout=3");
        assert_eq!(settings.application_name, "hotel_agent prod");
        assert_eq!(settings.connect_timeout, Duration::from_secs(3));
        for option in [
            "application_name=",
            "application_name=%C3%B1",
            "connect_timeout=0",
            "connect_timeout=-1",
            "connect_timeout=301",
            "port=x",
        ] {
            assert!(
                refused(&format!("postgres://h/db?{option}")).is(codes::SETTINGS_INVALID),
                "{option}"
            );
        }
    }

    #[test]
    fn options_of_other_programs_are_read_over() {
        for option in FOREIGN {
            assert_eq!(
                read(&format!("postgres://h/db?{option}=1")),
                read("postgres://h/db"),
                "{option}"
            );
        }
        read("postgres://h/db?schema=public&channel_binding=prefer&gssencmode=disable");
        read("postgres://h/db?sslmode=verify-full&channel_binding=require");
        read("postgres://h/db?target_session_attrs=any&load_balance_hosts=disable&sslnegotiation=postgres");
        read("postgres://h/db?target_session_attrs=read-write&ssl_min_protocol_version=TLSv1.2");
        read("postgres://h/db?options=endpoint%3Dep-cool-darkness-123456");
        let jdbc = read("postgresql://h/db?currentSchema=public&ApplicationName=hotel&prepareThreshold=0");
        assert_eq!(jdbc.application_name, "hotel");
    }

    #[test]
    fn whether_the_certificate_names_the_host_may_be_said_by_an_option_of_its_own() {
        for (options, mode) in [
            ("ssl_check_hostname=true", TlsMode::VerifyFull),
            ("ssl_check_hostname=true&sslmode=verify-full", TlsMode::VerifyFull),
            ("ssl_check_hostname=false", TlsMode::Prefer),
            ("ssl_check_hostname=false&sslmode=verify-ca", TlsMode::VerifyCa),
            ("ssl_check_hostname=false&sslmode=require", TlsMode::Require),
            ("sslaccept=strict", TlsMode::VerifyFull),
            ("sslaccept=accept_invalid_certs&sslmode=require", TlsMode::Require),
        ] {
            assert_eq!(read(&format!("postgres://h/db?{options}")).tls, mode, "{options}");
        }
        for options in [
            "ssl_check_hostname=true&sslmode=require",
            "ssl_check_hostname=true&sslmode=verify-ca",
            "ssl_check_hostname=false&sslmode=verify-full",
            "sslaccept=strict&sslmode=prefer",
        ] {
            let error = refused(&format!("postgres://h/db?{options}"));
            assert!(error.message().contains("verify-full"), "{error}");
        }
    }

    #[test]
    fn options_that_would_change_the_meaning_are_not_read_over() {
        for (option, says) in [
            ("options=-c%20statement_timeout%3D5", "ALTER ROLE"),
            ("channel_binding=require", "verify-full"),
            ("channel_binding=require&sslmode=require", "verify-full"),
            ("gssencmode=require", "TLS"),
            ("schema=hotels", "public"),
            ("currentSchema=hotels", "public"),
            ("target_session_attrs=standby", "read-write"),
            ("target_session_attrs=prefer-standby", "read-write"),
            ("targetServerType=secondary", "primary"),
            ("sslnegotiation=direct", "postgres"),
            ("ssl_min_protocol_version=TLSv1.3", "TLSv1.2"),
            ("sslcert=%2Fcerts%2Fclient.crt", "sslrootcert"),
            ("passfile=%2Froot%2F.pgpass", "POSTGRES_PASSWORD"),
            ("ssl_check_hostname=perhaps", "true or false"),
            ("sslaccept=no", "strict"),
        ] {
            assert!(
                refused(&format!("postgres://h/db?{option}"))
                    .message()
                    .contains(says),
                "{option}"
            );
        }
    }

    #[test]
    fn an_unknown_option_lists_the_known_ones() {
        let error = refused("postgres://h/db?ssl_mode=require");
        assert!(error.is(codes::SETTINGS_UNKNOWN));
        for known in OPTIONS {
            assert!(error.message().contains(known), "{error}");
        }
        assert!(error.message().contains("did you mean sslmode?"), "{error}");
        let strange = refused("postgres://h/db?S3cret!=x");
        assert!(strange.is(codes::SETTINGS_UNKNOWN));
        assert!(!strange.to_string().contains("S3cret"), "{strange}");
    }

    #[test]
    fn two_servers_and_hosts_that_are_none_are_refused() {
        assert!(
            refused("postgres://a,b/db")
                .message()
                .contains("name the primary")
        );
        for url in [
            "postgres://h/db?host=other",
            "postgres://?host=a:1",
            "postgres://?host=http%3A%2F%2Fh",
            "postgres://a%20b/db",
        ] {
            assert!(refused(url).is(codes::SETTINGS_INVALID), "{url}");
        }
    }
}
