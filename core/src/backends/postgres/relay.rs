//! A connection that posada opens itself and hands to the driver through a socket on this machine.
//!
//! The driver cannot be given an open connection, so it connects to a port of 127.0.0.1 that is open for it alone:
//! its start-up packet must hold a token that was made for this one connection, and the port closes behind it. From
//! then on bytes are passed on, which costs some 20 µs per answer; so this way is taken only where the driver's own
//! does not work. Between the two sockets, inside this machine, they travel in plain text.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::handshake::{self, Stream};
use crate::rng;
use crate::settings::PostgresSettings;

/// The longest time for a visitor of the local port to show the token, and for the driver to come at all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// `SSLRequest`.
const ASK_FOR_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const AUTHENTICATION_OK: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

/// Variables of libpq that the driver reads and that nothing can take back from it; posada does not read them.
const UNAVOIDABLE: [&str; 3] = ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"];

/// Whether the driver would do something else than it is told, or could not do it.
pub(super) fn is_needed(settings: &PostgresSettings) -> bool {
    let password = settings.password.as_ref().map_or("", |secret| secret.expose());
    // The driver also writes the user into its part of SCRAM, without escaping it.
    let cannot_say = stringprep::saslprep(password).is_err()
        || stringprep::saslprep(&settings.user).is_err()
        || settings.user.contains([',', '=']);
    cannot_say || UNAVOIDABLE.iter().any(|name| std::env::var_os(name).is_some())
}

/// Opens a connection in this mode, with these start-up options, and hands it to a driver with these options.
pub(super) async fn connect(
    settings: &PostgresSettings,
    tls: PgSslMode,
    options: Option<&str>,
    driver: PgConnectOptions,
) -> Result<PgConnection, Failure> {
    let mut server = dial(settings, tls).await?;
    handshake::begin(&mut server, settings, options).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let token = rng::token();
    #[allow(
        clippy::disallowed_methods,
        reason = "it lives as long as its connection, whose end close() brings about"
    )]
    tokio::spawn(pass_on(listener, token.clone(), server));
    let driver = driver
        .host("127.0.0.1")
        .port(port)
        .username(&token)
        .password("")
        .ssl_mode(PgSslMode::Disable);
    driver
        .connect()
        .await
        .map_err(|error| Failure::of_connecting(error, None))
}

async fn dial(settings: &PostgresSettings, tls: PgSslMode) -> Result<Box<dyn Stream>, Failure> {
    #[cfg(unix)]
    if settings.is_socket() {
        return Ok(Box::new(tokio::net::UnixStream::connect(settings.place()).await?));
    }
    let mut stream = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
    stream.set_nodelay(true)?;
    if matches!(tls, PgSslMode::Disable | PgSslMode::Allow) {
        return Ok(Box::new(stream));
    }
    stream.write_all(&ASK_FOR_TLS).await?;
    match (stream.read_u8().await?, tls) {
        (b'S', _) => {}
        (_, PgSslMode::Prefer) => return Ok(Box::new(stream)),
        _ => {
            return Err(Failure::Tls {
                reason: "server does not support TLS".into(),
            });
        }
    }
    let config = trust(settings, tls).map_err(|reason| Failure::Tls { reason })?;
    let name = ServerName::try_from(settings.host.clone()).map_err(|error| Failure::Tls {
        reason: error.to_string(),
    })?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Whom to trust in this mode.
fn trust(settings: &PostgresSettings, tls: PgSslMode) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if !matches!(tls, PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        let verifier = Arc::new(AnyNameVerifier {
            authorities: None,
            provider,
        });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(builder.with_no_client_auth());
    }
    let roots = Arc::new(roots(settings)?);
    if matches!(tls, PgSslMode::VerifyFull) {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(AnyNameVerifier {
        authorities: Some(authorities),
        provider,
    });
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

fn roots(settings: &PostgresSettings) -> Result<RootCertStore, String> {
    let Some(file) = &settings.root_certificate else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    Ok(roots)
}

/// Waits for the driver, tells it that it is in, and passes everything on until one side is done.
async fn pass_on(listener: TcpListener, token: String, server: Box<dyn Stream>) {
    let coming = async {
        loop {
            let (mut visitor, _) = listener.accept().await?;
            visitor.set_nodelay(true)?;
            if shows(&mut visitor, &token).await.is_ok_and(|shown| shown) {
                visitor.write_all(&AUTHENTICATION_OK).await?;
                return Ok::<_, std::io::Error>(visitor);
            }
        }
    };
    let Ok(Ok(driver)) = tokio::time::timeout(TIMEOUT, coming).await else {
        return;
    };
    drop(listener);
    let (mut from_server, mut to_server) = split(server);
    let (mut from_driver, mut to_driver) = driver.into_split();
    tokio::select! {
        _ = copy(&mut from_driver, &mut to_server) => {}
        _ = copy(&mut from_server, &mut to_driver) => {}
    }
}

/// Whether the start-up packet of a visitor holds the token.
async fn shows(visitor: &mut TcpStream, token: &str) -> std::io::Result<bool> {
    let length = usize::try_from(visitor.read_u32().await?).unwrap_or(usize::MAX);
    let Some(length) = length.checked_sub(4).filter(|length| *length < 10_000) else {
        return Ok(false);
    };
    let mut packet = vec![0; length];
    visitor.read_exact(&mut packet).await?;
    Ok(packet
        .split(|byte| *byte == 0)
        .any(|text| text == token.as_bytes()))
}

/// Trusts every certificate that a trusted authority signed, whatever the name; or anybody, if no authority is known.
#[derive(Debug)]
struct AnyNameVerifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyNameVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
