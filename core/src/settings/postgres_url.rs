//! The Postgres URL.

use super::dsn::{Dsn, Fault, scheme};
use super::postgres::{Pooling, PostgresSettings, TlsMode};

/// What a Postgres URL may begin with.
const FORMS: &str = "must begin with postgresql:// or postgres:// (a driver as in postgresql+asyncpg:// is \
                     accepted and ignored), or be memory:";

/// Reads a URL into settings that begin from the defaults.
pub(super) fn parse(text: &str) -> Result<PostgresSettings, Fault> {
    let (scheme, rest) = scheme(text).ok_or(FORMS)?;
    let base = scheme.split('+').next().unwrap_or(scheme);
    if !matches!(base, "postgres" | "postgresql") {
        return Err(FORMS.into());
    }
    let dsn = Dsn::parse(rest)?;
    let mut settings = PostgresSettings::default();
    if let Some(address) = dsn.addresses.first() {
        if !address.host.is_empty() {
            settings.host.clone_from(&address.host);
        }
        settings.port = address.port.unwrap_or(settings.port);
    }
    if let Some(user) = dsn.user {
        settings.user = user;
    }
    settings.password = dsn.password;
    if !dsn.path.is_empty() {
        settings.database = super::dsn::decode(dsn.path, "the database")?;
    }
    if settings.port == 6543 {
        settings.pooling = Pooling::Transaction;
    }
    for (name, value) in &dsn.options {
        if name == "sslmode" {
            settings.tls = TlsMode::parse(value).ok_or("unknown sslmode")?;
        }
    }
    Ok(settings)
}
