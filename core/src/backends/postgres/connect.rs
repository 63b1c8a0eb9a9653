//! How one connection is made: TLS by libpq's rules, and the check whether a pooler stands in between.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Row as _};

use super::failure::{Failure, Outage, Refusal};
use super::relay;
use crate::settings::{Pooling, PostgresSettings, TlsMode};

/// Statements that stay prepared on one connection of our own.
const PREPARED_STATEMENTS: usize = 100;

/// Waits for a connection at most so long.
pub(super) async fn in_time<T>(
    timeout: Duration,
    connecting: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(timeout, connecting)
        .await
        .map_err(|_| Failure::Unreachable {
            how: Outage::Silent,
            reason: format!("no connection within {} ms", timeout.as_millis()),
        })?
}

/// What was found at the other end.
pub(super) enum Found {
    /// A connection that behaves as asked.
    Ready(PgConnection),
    /// Something in between drops or refuses what belongs to a session: it must be used as a transaction pooler.
    Pooler,
}

/// Makes a connection for this way of pooling.
///
/// In session mode the server is asked, as part of the start-up packet, for a time limit on statements and for
/// `row_security = off`. PgBouncer refuses such a packet and Supavisor drops it silently; both mean that prepared
/// statements would not be safe either, whatever the settings say. (Transactions behind a pooler ask for the same.)
///
/// With `row_security = off` a server refuses a statement whose rows some policy would hide or choose, from then on
/// and at once, whenever row-level security is switched on; `pg_dump` asks for the same thing. Without it an empty
/// answer would mean "no such hotel" and "no such user". A role that is not subject to policies notices nothing.
pub(super) async fn connect(settings: &PostgresSettings, pooling: Pooling) -> Result<Found, Failure> {
    // The server should give up before we do.
    let limit = settings.statement_timeout;
    let limit = limit.saturating_sub(limit / 10).as_millis().max(1).to_string();
    let mut last = None;
    for mode in tls_attempts(settings) {
        match attempt(settings, pooling, *mode, &limit).await {
            Ok(connection) if pooling == Pooling::Transaction => return Ok(Found::Ready(connection)),
            Ok(connection) => return keeps_session(connection, &limit).await,
            Err(failure) => {
                // In whatever words something in between refuses the options: without them it may take us, and if not,
                // that refusal is the true one.
                if pooling == Pooling::Session && may_be_about_options(&failure) {
                    return Ok(Found::Pooler);
                }
                if !matches!(failure, Failure::Refused { .. } | Failure::Tls { .. }) {
                    return Err(failure);
                }
                last.get_or_insert(failure);
            }
        }
    }
    Err(last.unwrap_or(Failure::Unreachable {
        how: Outage::Broken,
        reason: "no way to connect".into(),
    }))
}

/// Makes a connection that is good for transactions, through whatever stands in between.
pub(super) async fn connect_through_pooler(settings: &PostgresSettings) -> Result<PgConnection, Failure> {
    match connect(settings, Pooling::Transaction).await? {
        Found::Ready(connection) => Ok(connection),
        // Without options there is nothing to take back.
        Found::Pooler => Err(Failure::Refused {
            what: Refusal::Options,
            reason: "it takes no start-up options".into(),
        }),
    }
}

/// One attempt, by the driver or, where that would not do what the settings say, by the relay.
async fn attempt(
    settings: &PostgresSettings,
    pooling: Pooling,
    tls: PgSslMode,
    limit: &str,
) -> Result<PgConnection, Failure> {
    let driver = options(settings, pooling, tls, limit);
    let password = settings.password.as_ref();
    if relay::is_needed(settings) {
        let asked = format!("-c statement_timeout={limit} -c row_security=off");
        let asked = (pooling == Pooling::Session).then_some(asked.as_str());
        let connecting = Box::pin(relay::connect(settings, tls, asked, driver));
        return connecting
            .await
            .map_err(|failure| failure.without(password).hinting_at_a_line_break(password));
    }
    let connected = driver.connect().await;
    connected.map_err(|error| Failure::of_connecting(error, password))
}

/// The TLS modes to try, in libpq's order. `require` with a root certificate means `verify-ca` there; the driver
/// would ignore the certificate.
fn tls_attempts(settings: &PostgresSettings) -> &'static [PgSslMode] {
    match settings.tls {
        // libpq does not encrypt what never leaves the machine.
        _ if settings.host.starts_with('/') => &[PgSslMode::Disable],
        TlsMode::Disable => &[PgSslMode::Disable],
        TlsMode::Allow => &[PgSslMode::Disable, PgSslMode::Require],
        TlsMode::Prefer => &[PgSslMode::Prefer, PgSslMode::Disable],
        TlsMode::Require if settings.root_certificate.is_some() => &[PgSslMode::VerifyCa],
        TlsMode::Require => &[PgSslMode::Require],
        TlsMode::VerifyCa => &[PgSslMode::VerifyCa],
        TlsMode::VerifyFull => &[PgSslMode::VerifyFull],
    }
}

/// Never format the result: its `Debug` shows the password. Everything that the driver would otherwise take from
/// libpq's variables (`PGPASSWORD`, `PGSSLROOTCERT` …) is set; for those that cannot be, there is the relay.
fn options(settings: &PostgresSettings, pooling: Pooling, tls: PgSslMode, limit: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&settings.host)
        .port(settings.port)
        .database(&settings.database)
        .username(&settings.user)
        .password(settings.password.as_ref().map_or("", |secret| secret.expose()))
        .application_name(&settings.application_name)
        .ssl_mode(tls)
        .extra_float_digits(None)
        .disable_statement_logging();
    options = match &settings.root_certificate {
        Some(certificate) => options.ssl_root_cert(certificate),
        None => options.ssl_root_cert_from_pem(Vec::new()),
    };
    match pooling {
        Pooling::Session => options
            .statement_cache_capacity(PREPARED_STATEMENTS)
            .options([("statement_timeout", limit), ("row_security", "off")]),
        Pooling::Transaction => options.statement_cache_capacity(0),
    }
}

fn may_be_about_options(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Refused {
            what: Refusal::Words | Refusal::Options,
            ..
        }
    )
}

async fn keeps_session(mut connection: PgConnection, limit: &str) -> Result<Found, Failure> {
    let row = sqlx::raw_sql(
        "SELECT setting, current_setting('row_security') FROM pg_settings WHERE name = 'statement_timeout'",
    )
    .fetch_one(&mut connection)
    .await?;
    let kept = row.try_get::<String, _>(0)? == limit && row.try_get::<String, _>(1)? == "off";
    Ok(if kept {
        Found::Ready(connection)
    } else {
        Found::Pooler
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Secret;

    pub(in crate::backends::postgres) fn settings() -> PostgresSettings {
        PostgresSettings {
            host: "127.0.0.1".into(),
            port: 1,
            database: "hotel".into(),
            user: "agente".into(),
            password: Some(Secret::new("hunter2")),
            tls: TlsMode::Disable,
            root_certificate: None,
            pooling: Pooling::Session,
            pool_size: 2,
            max_overflow: 1,
            connect_timeout: Duration::from_secs(1),
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(1),
            application_name: "posada".into(),
        }
    }

    #[test]
    fn require_with_a_root_certificate_verifies_the_chain() {
        let mut settings = settings();
        settings.tls = TlsMode::Require;
        assert!(matches!(tls_attempts(&settings), [PgSslMode::Require]));
        settings.root_certificate = Some(PathBuf::from("ca.crt"));
        assert!(matches!(tls_attempts(&settings), [PgSslMode::VerifyCa]));
    }

    #[test]
    fn a_pooler_is_sent_no_session_options() {
        let session = options(&settings(), Pooling::Session, PgSslMode::Disable, "900");
        assert_eq!(
            session.get_options(),
            Some("-c statement_timeout=900 -c row_security=off")
        );
        let pooled = options(&settings(), Pooling::Transaction, PgSslMode::Disable, "900");
        assert_eq!(pooled.get_options(), None);
    }
}
