//! The start of a session as libpq makes it: start-up packet and proof of the password.
//!
//! The driver has one of its own, and it refuses passwords that SASLprep refuses (an emoji, a tab, the line break of
//! a mounted secret, Arabic beside Latin), where libpq and the server use the bytes as they are; and it sends
//! `PGOPTIONS` of the environment, which nothing can take out again (sqlx pull request 3832). This is for where that
//! matters; see [`relay`](super::relay).

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use ring::{digest, hmac, pbkdf2};
use sha1::Digest as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::failure::{Failure, Refusal};
use super::words::Answer;
use crate::hex::hex;
use crate::rng;
use crate::settings::PostgresSettings;

/// Version 3.0 of the protocol.
const VERSION: u32 = 196_608;
/// The longest message that belongs here, in bytes.
const LONGEST: usize = 65_536;
/// As many rounds of the hash as a server may ask for; the usual number is 4096.
const MOST_ROUNDS: u32 = 10_000_000;
const MECHANISM: &str = "SCRAM-SHA-256";

/// Something that bytes are sent through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Sends the start-up packet with these options and proves the password. What the server says next is its state and
/// that it is ready.
pub(super) async fn begin(
    stream: &mut impl Stream,
    settings: &PostgresSettings,
    options: Option<&str>,
) -> Result<(), Failure> {
    let password = settings.password.as_ref().map_or("", |secret| secret.expose());
    stream.write_all(&start_up_packet(settings, options)).await?;
    stream.flush().await?;
    loop {
        let (kind, body) = receive(stream).await?;
        match kind {
            // A notice, or which parts of the protocol are newer than the server.
            b'N' | b'v' => {}
            b'R' => match split_number(&body)? {
                (0, _) => return Ok(()),
                (3, _) => send(stream, password.as_bytes(), true).await?,
                (5, salt) => {
                    let inner = hex(&Md5::digest([password, &settings.user].concat()));
                    let outer = hex(&Md5::digest([inner.as_bytes(), salt].concat()));
                    send(stream, format!("md5{outer}").as_bytes(), true).await?;
                }
                (10, mechanisms) => scram(stream, mechanisms, password).await?,
                (other, _) => return Err(foreign(format!("it asks for authentication method {other}"))),
            },
            other => {
                return Err(foreign(format!(
                    "its message {:?} is out of turn",
                    char::from(other)
                )));
            }
        }
    }
}

fn start_up_packet(settings: &PostgresSettings, options: Option<&str>) -> Vec<u8> {
    let mut parameters = vec![
        ("user", settings.user.as_str()),
        ("database", settings.database.as_str()),
        ("application_name", settings.application_name.as_str()),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
    ];
    parameters.extend(options.map(|options| ("options", options)));
    let mut body = VERSION.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            body.extend(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    with_length(&body)
}

/// RFC 5802 and 7677, without channel binding.
async fn scram(stream: &mut impl Stream, mechanisms: &[u8], password: &str) -> Result<(), Failure> {
    if !mechanisms
        .split(|byte| *byte == 0)
        .any(|name| name == MECHANISM.as_bytes())
    {
        return Err(foreign("it knows no SCRAM-SHA-256".to_owned()));
    }
    let nonce = rng::token();
    // The server takes the name from the start-up packet.
    let first = format!("n=,r={nonce}");
    let hello = format!("n,,{first}");
    let mut message = [MECHANISM.as_bytes(), &[0]].concat();
    message.extend(with_length_before(hello.as_bytes()));
    send(stream, &message, false).await?;

    let challenge = sasl_answer(stream, 11).await?;
    let challenge =
        String::from_utf8(challenge).map_err(|_| foreign("its challenge is no text".to_owned()))?;
    let (mut whole_nonce, mut salt, mut rounds) = (None, None, None);
    for part in challenge.split(',') {
        match part.split_once('=') {
            Some(("r", value)) => whole_nonce = Some(value).filter(|value| value.starts_with(&nonce)),
            Some(("s", value)) => salt = BASE64_STANDARD.decode(value).ok(),
            Some(("i", value)) => {
                rounds = value
                    .parse::<NonZeroU32>()
                    .ok()
                    .filter(|rounds| rounds.get() <= MOST_ROUNDS);
            }
            _ => {}
        }
    }
    let (Some(whole_nonce), Some(salt), Some(rounds)) = (whole_nonce, salt, rounds) else {
        return Err(foreign("its challenge is not one of SCRAM".to_owned()));
    };
    let salted = salted(password, salt, rounds).await?;
    let last = format!("c=biws,r={whole_nonce}");
    let spoken = format!("{first},{challenge},{last}");
    let key = |name: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), name.as_bytes());
    let client_key = key("Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref()),
        spoken.as_bytes(),
    );
    let pairs = client_key.as_ref().iter().zip(signature.as_ref());
    let proof: Vec<u8> = pairs.map(|(key, signature)| key ^ signature).collect();
    let answer = format!("{last},p={}", BASE64_STANDARD.encode(proof));
    send(stream, answer.as_bytes(), false).await?;

    let verdict = sasl_answer(stream, 12).await?;
    let verifier = verdict
        .strip_prefix(b"v=")
        .and_then(|text| BASE64_STANDARD.decode(text).ok())
        .unwrap_or_default();
    let server_key = hmac::Key::new(hmac::HMAC_SHA256, key("Server Key").as_ref());
    hmac::verify(&server_key, spoken.as_bytes(), &verifier)
        .map_err(|_| foreign("it does not prove that it knows the password".to_owned()))
}

/// The slow part, on a thread for such work. As in libpq, a password that SASLprep refuses is used as it is.
async fn salted(password: &str, salt: Vec<u8>, rounds: NonZeroU32) -> Result<[u8; 32], Failure> {
    let prepared = stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into);
    let hashing = tokio::task::spawn_blocking(move || {
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            &salt,
            prepared.as_bytes(),
            &mut salted,
        );
        salted
    });
    hashing
        .await
        .map_err(|_| foreign("the hash was not finished".to_owned()))
}

/// The body of an `AuthenticationSASLContinue` (11) or `…Final` (12).
async fn sasl_answer(stream: &mut impl Stream, expected: u32) -> Result<Vec<u8>, Failure> {
    let (kind, body) = receive(stream).await?;
    match (kind, split_number(&body)?) {
        (b'R', (found, data)) if found == expected => Ok(data.to_vec()),
        _ => Err(foreign("its message is out of turn".to_owned())),
    }
}

/// The kind and the body of the next message; a refusal is a failure.
async fn receive(stream: &mut impl Stream) -> Result<(u8, Vec<u8>), Failure> {
    let kind = stream.read_u8().await?;
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    let Some(length) = length.checked_sub(4).filter(|length| *length <= LONGEST) else {
        return Err(foreign("its message has no possible length".to_owned()));
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if kind == b'E' {
        return Err(refusal(&body));
    }
    Ok((kind, body))
}

/// What an `ErrorResponse` says.
fn refusal(body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let field = |kind: char| {
        text.split('\0')
            .find_map(|field| field.strip_prefix(kind))
            .unwrap_or_default()
    };
    let answer = Answer {
        state: field('C'),
        message: field('M'),
        routine: field('R'),
        is_last: true,
        constraint: "",
        column: "",
    };
    answer.while_connecting()
}

/// Sends a `PasswordMessage`, whose other meanings have the same letter.
async fn send(stream: &mut impl Stream, body: &[u8], is_text: bool) -> Result<(), Failure> {
    let mut body = body.to_vec();
    if is_text {
        body.push(0);
    }
    stream
        .write_all(&[&b"p"[..], &with_length(&body)].concat())
        .await?;
    Ok(stream.flush().await?)
}

/// A body after its length, which counts itself.
fn with_length(body: &[u8]) -> Vec<u8> {
    prefixed(body, body.len().saturating_add(4))
}

/// A body after its length, which does not.
fn with_length_before(body: &[u8]) -> Vec<u8> {
    prefixed(body, body.len())
}

fn prefixed(body: &[u8], number: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    [&number[..], body].concat()
}

/// The number in front of a body, and the rest.
fn split_number(body: &[u8]) -> Result<(u32, &[u8]), Failure> {
    body.split_first_chunk::<4>()
        .map(|(number, rest)| (u32::from_be_bytes(*number), rest))
        .ok_or_else(|| foreign("its message is too short".to_owned()))
}

fn foreign(reason: String) -> Failure {
    Failure::Refused {
        what: Refusal::Protocol,
        reason,
    }
}

impl From<std::io::Error> for Failure {
    fn from(broken: std::io::Error) -> Self {
        sqlx::Error::Io(broken).into()
    }
}
