//! The rules that concern several parts of a Postgres address: what follows from the host, what from the port, and
//! which combinations would protect less than they say.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::postgres_url::{Parts, RootCertificate};
use super::sourced::Fault;
use super::{Pooling, PostgresSettings, TlsMode};

impl Parts {
    /// Applies defaults and the rules that concern several parts.
    ///
    /// `behind_supabase` says that the server is Supabase although its host does not show it.
    pub(super) fn settings(self, behind_supabase: bool) -> Result<PostgresSettings, Fault> {
        let defaults = PostgresSettings::default();
        let host = self.host.unwrap_or(defaults.host);
        check_host(&host)?;
        let port = self.port.unwrap_or(defaults.port);
        let user = named("the user", self.user)?.unwrap_or(defaults.user);
        // As in libpq, a user's own database has the user's name.
        let database = named("the database", self.database)?.unwrap_or_else(|| user.clone());
        let asked = checking_the_name(self.tls, self.checks_hostname)?;
        let (tls, root_certificate) = protection(&host, asked, self.root_certificate, behind_supabase)?;
        if self.binds_channel && tls != TlsMode::VerifyFull {
            return Err(
                "asks for channel_binding=require, which posada cannot promise; sslmode=verify-full keeps the same \
                 strangers out, and is taken for it"
                    .into(),
            );
        }
        Ok(PostgresSettings {
            pooling: pooling(port, self.says_pgbouncer),
            host,
            port,
            database,
            user,
            password: self.password,
            tls,
            root_certificate,
            application_name: self.application_name.unwrap_or(defaults.application_name),
            connect_timeout: self.connect_timeout.unwrap_or(defaults.connect_timeout),
            ..PostgresSettings::default()
        })
    }
}

/// The mode that is asked for, when an option of its own says whether the certificate must name the host.
fn checking_the_name(asked: Option<TlsMode>, checks: Option<bool>) -> Result<Option<TlsMode>, Fault> {
    match (checks, asked) {
        (Some(true), None | Some(TlsMode::VerifyFull)) => Ok(Some(TlsMode::VerifyFull)),
        (Some(true), Some(other)) => Err(format!(
            "asks that the certificate names the host, which sslmode={other} does not check; write \
             sslmode=verify-full"
        )
        .into()),
        (Some(false), Some(TlsMode::VerifyFull)) => Err(
            "has sslmode=verify-full and yet asks that the name is not checked; write sslmode=verify-ca if that is meant"
                .into(),
        ),
        _ => Ok(asked),
    }
}

/// Whether a host belongs to Supabase, which refuses plain text.
pub(super) fn is_supabase(host: &str) -> bool {
    is_below(host, "supabase.co") || is_below(host, "supabase.com")
}

/// Whether a host name ends with `.domain`.
fn is_below(host: &str, domain: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(domain).is_some_and(|name| name.ends_with('.'))
}

/// Port 6543 is where Supavisor pools by transaction (on 5432 the same pooler gives a connection for the whole
/// session), and 6432 is PgBouncer's own. When in doubt the answer is `Transaction`: wrongly so it costs a round trip,
/// while a wrong `Session` lets one query receive the answer of another.
fn pooling(port: u16, says_pgbouncer: bool) -> Pooling {
    if says_pgbouncer || matches!(port, 6432 | 6543) {
        Pooling::Transaction
    } else {
        Pooling::Session
    }
}

/// Whom to trust. Never weaker than what was asked for.
fn protection(
    host: &str,
    asked: Option<TlsMode>,
    root: Option<RootCertificate>,
    behind_supabase: bool,
) -> Result<(TlsMode, Option<PathBuf>), Fault> {
    if host.starts_with('/') {
        return Ok((TlsMode::Disable, None));
    }
    let default = match &root {
        // Who names a root wants to know whom he talks to.
        Some(_) => TlsMode::VerifyFull,
        None if behind_supabase || is_supabase(host) => TlsMode::Require,
        None => TlsMode::Prefer,
    };
    let tls = asked.unwrap_or(default);
    if is_supabase(host) && !tls.is_encrypted() {
        return Err(format!(
            "sslmode={tls} may send the password and the guests' data in plain text, and Supabase refuses that; \
             write sslmode=require, or verify-full with sslrootcert"
        )
        .into());
    }
    match root {
        None => Ok((tls, None)),
        Some(RootCertificate::Public) if tls == TlsMode::VerifyFull => Ok((tls, None)),
        Some(RootCertificate::Public) => Err(
            "sslrootcert=system needs sslmode=verify-full, because anybody may have a certificate that \
             is signed by a public root"
                .into(),
        ),
        Some(RootCertificate::File(path)) => {
            let tls = if tls == TlsMode::Require {
                TlsMode::VerifyCa
            } else {
                tls
            };
            Ok((tls, Some(path)))
        }
    }
}

/// A host name, an address or the directory of a socket, and nothing that belongs into another part.
pub(super) fn check_host(host: &str) -> Result<(), Fault> {
    if host.chars().any(|c| c.is_control() || c.is_whitespace()) || host.is_empty() {
        return Err("must have a host without white space and control characters".into());
    }
    if host.starts_with('/') || host.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    if host.contains(['/', '@', ':', '?', '#', ',', '[', ']', '\\']) || host.len() > 253 {
        return Err("must have a host that is a name, an address or the directory of a socket".into());
    }
    Ok(())
}

/// A name that fits into Postgres's start-up message, if there is one.
fn named(what: &str, name: Option<String>) -> Result<Option<String>, Fault> {
    match name {
        Some(name) if name.is_empty() => Ok(None),
        Some(name) => check_name(&name)
            .map(|()| Some(name))
            .map_err(|fault| fault.about(what)),
        None => Ok(None),
    }
}

/// What a name must not hold: most often it is the newline at the end of a mounted secret.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    if name.trim_end_matches(['\r', '\n']).chars().any(char::is_control) {
        Err("must not hold control characters".into())
    } else if name.chars().any(char::is_control) {
        Err(
            "ends with a line break, as files of secrets do; write it without one (`echo -n`, `printf`)"
                .into(),
        )
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, codes};
    use crate::settings::Secret;

    fn read(url: &str) -> PostgresSettings {
        PostgresSettings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn refused(url: &str) -> Error {
        PostgresSettings::parse(url).expect_err(url)
    }

    #[test]
    fn supabase_is_never_reached_in_plain_text() {
        for host in [
            "db.abc.supabase.co",
            "x.pooler.supabase.com",
            "DB.ABC.SUPABASE.CO.",
        ] {
            assert_eq!(
                read(&format!("postgres://u:p@{host}/db")).tls,
                TlsMode::Require,
                "{host}"
            );
            for mode in ["disable", "allow", "prefer"] {
                let error = refused(&format!("postgres://u:p@{host}/db?sslmode={mode}"));
                assert!(error.message().contains("sslmode=require"), "{error}");
            }
            for mode in ["require", "verify-ca", "verify-full"] {
                let url = format!("postgres://u:p@{host}/db?sslmode={mode}");
                assert_eq!(read(&url).tls.as_str(), mode);
            }
        }
        for host in ["supabase.co", "notsupabase.co", "supabase.co.example.com"] {
            assert_eq!(
                read(&format!("postgres://u:p@{host}/db")).tls,
                TlsMode::Prefer,
                "{host}"
            );
        }
    }

    #[test]
    fn transaction_poolers_are_recognised() {
        for (url, pooling) in [
            ("postgres://x.pooler.supabase.com:6543/db", Pooling::Transaction),
            ("postgres://x.pooler.supabase.com:5432/db", Pooling::Session),
            ("postgres://x.pooler.supabase.com/db", Pooling::Session),
            ("postgres://db.abc.supabase.co:6543/db", Pooling::Transaction),
            ("postgres://h:6543/db", Pooling::Transaction),
            ("postgres://h:5432/db", Pooling::Session),
            ("postgres://h:5432/db?pgbouncer=true", Pooling::Transaction),
            ("postgres://h:6432/db", Pooling::Transaction),
            ("postgres://%2Frun:6432/db", Pooling::Transaction),
            ("postgres://h:6543/db?pgbouncer=false", Pooling::Transaction),
            ("postgres://h:5433/db?pgbouncer=false", Pooling::Session),
        ] {
            assert_eq!(read(url).pooling, pooling, "{url}");
        }
        assert!(refused("postgres://h/db?pgbouncer=perhaps").is(codes::SETTINGS_INVALID));
    }

    #[test]
    fn a_root_certificate_must_exist_and_is_used() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (mode, means) in [
            ("", TlsMode::VerifyFull),
            ("&sslmode=require", TlsMode::VerifyCa),
            ("&sslmode=verify-ca", TlsMode::VerifyCa),
            ("&sslmode=verify-full", TlsMode::VerifyFull),
        ] {
            let settings = read(&format!("postgres://h/db?sslrootcert={path}{mode}"));
            assert_eq!(settings.tls, means, "{mode}");
            assert_eq!(settings.root_certificate.as_deref(), Some(file.path()));
        }
        let error = refused("postgres://h/db?sslrootcert=/no/such/prod-ca-2021.crt");
        assert!(error.message().contains("/no/such/prod-ca-2021.crt"), "{error}");
    }

    #[test]
    fn the_public_roots_are_chosen_by_the_word_system_and_need_the_host_name() {
        let settings = read("postgres://h/db?sslrootcert=system");
        assert_eq!(
            (settings.tls, settings.root_certificate),
            (TlsMode::VerifyFull, None)
        );
        assert!(
            refused("postgres://h/db?sslrootcert=system&sslmode=require")
                .message()
                .contains("verify-full")
        );
    }

    #[test]
    fn addresses_sockets_and_libpqs_options_for_them_are_read() {
        let settings = read("postgres://ana@[2001:db8::1]:6000");
        assert_eq!((settings.host.as_str(), settings.port), ("2001:db8::1", 6000));
        assert_eq!(
            settings.database, "ana",
            "libpq's default database has the user's name"
        );
        for url in [
            "postgres://ana@%2Frun%2Fpostgresql/hotels",
            "postgres:///hotels?host=/run/postgresql&user=ana",
            "postgres://?host=%2Frun%2Fpostgresql&user=ana&dbname=hotels&sslmode=require",
        ] {
            let settings = read(url);
            assert_eq!(settings.host, "/run/postgresql");
            assert_eq!(
                (settings.user.as_str(), settings.database.as_str()),
                ("ana", "hotels")
            );
            assert!(settings.is_socket());
            assert_eq!(settings.tls, TlsMode::Disable, "libpq has no TLS on sockets");
        }
        let settings = read("postgres://h?password=a%26b&port=1");
        assert_eq!(settings.password, Some(Secret::new("a&b")));
        assert_eq!(settings.port, 1);
    }
}
