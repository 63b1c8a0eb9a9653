//! TLS with Postgres, in the meaning that libpq gives to each mode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use posada::error::codes;
use posada::settings::{Pooling, PostgresSettings, Secret, TlsMode};
use posada::testkit::postgres::Probe;
use posada::{Error, Posada, Settings};
use posada_tests::{PostgresServer, wait_until};

use crate::postgres_passwords::child;

/// A server with a certificate for `localhost`, the certificate of its authority, and that of another one.
struct Encrypted {
    server: PostgresServer,
    folder: tempfile::TempDir,
}

impl Encrypted {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for authority in ["ours", "other"] {
            openssl(
                folder.path(),
                &format!(
                    "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key \
                     -out {authority}.crt -addext basicConstraints=critical,CA:TRUE"
                ),
            );
        }
        fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(
            folder.path(),
            "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        );
        openssl(
            folder.path(),
            "x509 -req -in server.csr -CA ours.crt -CAkey ours.key -CAcreateserial -days 2 -extfile names -out server.crt",
        );
        let server = PostgresServer::start();
        for file in ["server.key", "server.crt"] {
            // The server writes its own files, so that they belong to its user.
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            server.execute(&format!(
                "COPY (SELECT line FROM regexp_split_to_table('{text}', '\\n') AS line) \
                 TO PROGRAM 'umask 077; cat > {file}'"
            ));
        }
        server.execute("ALTER SYSTEM SET ssl = on");
        server.execute("SELECT pg_reload_conf()");
        wait_until("the server encrypts", || {
            match server.execute("SHOW ssl").as_str() {
                "on" => Ok(()),
                state => Err(state.to_owned()),
            }
        });
        Self { server, folder }
    }

    fn certificate(&self, authority: &str) -> PathBuf {
        self.folder.path().join(format!("{authority}.crt"))
    }

    /// Whether a connection in this mode is encrypted.
    async fn connect(&self, host: &str, tls: TlsMode, authority: Option<&str>) -> Result<bool, Error> {
        let settings = PostgresSettings::parse(self.server.url()).unwrap();
        self.connect_with(settings, host, tls, authority).await
    }

    async fn connect_with(
        &self,
        mut settings: PostgresSettings,
        host: &str,
        tls: TlsMode,
        authority: Option<&str>,
    ) -> Result<bool, Error> {
        settings.pooling = Pooling::Session;
        host.clone_into(&mut settings.host);
        settings.tls = tls;
        settings.root_certificate = authority.map(|authority| self.certificate(authority));
        Probe::new(&settings).unwrap().is_encrypted().await
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let ran = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl can be started: it makes the certificates of this test");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
async fn each_mode_encrypts_and_verifies_as_libpq_does() {
    let encrypted = Encrypted::start();
    encrypted
        .server
        .execute("CREATE ROLE clerk LOGIN PASSWORD 'llave🔑'");
    let address = "127.0.0.1";
    for (host, tls, authority, expected) in [
        (address, TlsMode::Disable, None, Some(false)),
        (address, TlsMode::Allow, None, Some(false)),
        (address, TlsMode::Prefer, None, Some(true)),
        (address, TlsMode::Require, None, Some(true)),
        (address, TlsMode::Require, Some("ours"), Some(true)),
        (address, TlsMode::Require, Some("other"), None),
        (address, TlsMode::VerifyCa, None, None),
        (address, TlsMode::VerifyCa, Some("ours"), Some(true)),
        (address, TlsMode::VerifyCa, Some("other"), None),
        (address, TlsMode::VerifyFull, Some("ours"), None),
        ("localhost", TlsMode::VerifyFull, Some("ours"), Some(true)),
        ("localhost", TlsMode::VerifyFull, Some("other"), None),
    ] {
        // A password that the driver cannot send goes another way, by the same rules.
        let mut other_way = PostgresSettings::parse(encrypted.server.url()).unwrap();
        "clerk".clone_into(&mut other_way.user);
        other_way.password = Some(Secret::new("llave🔑"));
        for outcome in [
            encrypted.connect(host, tls, authority).await,
            encrypted.connect_with(other_way, host, tls, authority).await,
        ] {
            let found = outcome.as_ref().ok().copied();
            assert_eq!(
                found, expected,
                "{tls:?} with {authority:?} at {host}: {outcome:?}"
            );
            if let Err(error) = outcome {
                assert!(error.is(codes::POSTGRES_REFUSED), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn libpqs_certificates_are_neither_trusted_nor_shown() {
    let encrypted = Encrypted::start();
    encrypted.server.execute("CREATE TABLE probe (id text)");
    let ours = encrypted.certificate("ours");
    let (ours, url) = (ours.to_str().unwrap(), encrypted.server.url());
    let trusted = child(&format!("{url}?sslmode=verify-ca"), &[("PGSSLROOTCERT", ours)]);
    assert!(trusted.is_err_and(|printed| printed.contains("UnknownIssuer")));
    for (name, value) in [
        ("PGSSLROOTCERT", "/no/such/ca.crt"),
        ("PGSSLCERT", "/no/such/client.crt"),
        ("PGSSLKEY", "/no/such/client.key"),
        ("PGOPTIONS", "-c search_path=elsewhere"),
    ] {
        for options in [
            "sslmode=require".to_owned(),
            format!("sslmode=verify-ca&sslrootcert={ours}"),
        ] {
            let outcome = child(&format!("{url}?{options}"), &[(name, value)]);
            assert_eq!(outcome, Ok(()), "{name} {options}");
        }
    }
}

#[tokio::test]
async fn the_doctor_speaks_of_authorities_where_the_issuer_is_unknown_and_of_names_where_the_name_is_wrong() {
    let encrypted = Encrypted::start();
    let (ours, other) = (encrypted.certificate("ours"), encrypted.certificate("other"));
    for (options, remedy) in [
        ("sslmode=verify-full&sslrootcert=system".to_owned(), "sslrootcert"),
        (
            format!("sslmode=verify-ca&sslrootcert={}", other.display()),
            "root certificate",
        ),
        (
            format!("sslmode=verify-full&sslrootcert={}", ours.display()),
            "another name",
        ),
    ] {
        let settings = Settings::builder().postgres_url(format!("{}?{options}", encrypted.server.url()));
        let posada = Posada::builder()
            .settings(settings.build().unwrap())
            .build()
            .unwrap();
        let diagnosis = posada.doctor().await;
        let finding = diagnosis
            .finding("postgres.tls")
            .unwrap_or_else(|| panic!("{diagnosis}"));
        assert!(
            finding
                .remedy
                .as_deref()
                .is_some_and(|text| text.contains(remedy)),
            "{finding}"
        );
        assert!(!finding.to_string().contains("firewall"), "{finding}");
        posada.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_takes_encrypted_connections_only_is_reached_by_allow() {
    let encrypted = Encrypted::start();
    encrypted
        .server
        .execute("COPY (SELECT 'hostssl all all 127.0.0.1/32 scram-sha-256') TO PROGRAM 'cat > pg_hba.conf'");
    encrypted.server.execute("SELECT pg_reload_conf()");
    let mut plain = encrypted.connect("127.0.0.1", TlsMode::Disable, None).await;
    while plain.is_ok() {
        plain = encrypted.connect("127.0.0.1", TlsMode::Disable, None).await;
    }
    assert!(plain.unwrap_err().is(codes::POSTGRES_REFUSED));
    assert!(
        encrypted
            .connect("127.0.0.1", TlsMode::Allow, None)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_encryption_is_required() {
    let server = PostgresServer::start();
    let mut settings = PostgresSettings::parse(server.url()).unwrap();
    settings.tls = TlsMode::Require;
    let error = Probe::new(&settings).unwrap().connect().await.unwrap_err();
    assert!(error.is(codes::POSTGRES_REFUSED), "{error}");
    settings.tls = TlsMode::Prefer;
    assert!(!Probe::new(&settings).unwrap().is_encrypted().await.unwrap());
}
