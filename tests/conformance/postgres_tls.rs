//! TLS with Postgres, in the meaning that libpq gives to each mode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use posada::settings::{Pooling, PostgresSettings, TlsMode};
use posada::testkit::postgres::Probe;
use posada::{Error, codes};
use posada_tests::{PostgresServer, wait_until};

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
        let mut settings = PostgresSettings::parse(self.server.url()).unwrap();
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
        let outcome = encrypted.connect(host, tls, authority).await;
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
