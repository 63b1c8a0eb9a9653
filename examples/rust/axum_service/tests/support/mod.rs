//! What the tests share: WhatsApp as it posts, a client over TCP, and the service as a program.

#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, of which failing loudly is the job"
)]

pub(crate) mod asked;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const PASSWORD: &str = "el loro pinta mapas de cobre";
pub(crate) const SECRET: &str = "the secret of the account";
pub(crate) const KEY: &str = "the key of the example, long enough for HS256";

/// The id of a message, as long as those of WhatsApp, that no other message has.
pub(crate) fn wamid(unique: &str) -> String {
    let unique: String = unique
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { 'x' })
        .collect();
    format!("wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0{unique:A>32}AA==")
}

/// An Argentine mobile number, as WhatsApp sends it.
pub(crate) fn number(place: usize) -> String {
    format!(
        "54911{:08}",
        (std::process::id() as usize % 9_000) * 10_000 + place
    )
}

/// What WhatsApp posts for one message.
pub(crate) fn notification(id: &str, from: &str, to: &str, text: &str) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": to, "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Ana"}, "wa_id": from}],
            "messages": [{"from": from, "id": id, "timestamp": "1804669200", "type": "text", "text": {"body": text}}]
        }
    }]}]})
}

/// The header that WhatsApp sends with a body.
pub(crate) fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let mut signature = "sha256=".to_owned();
    for byte in tag.as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    signature
}

/// What was answered over TCP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Asks over a connection of its own. An error when nobody answers, or nobody to the end.
pub(crate) async fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let broken = || std::io::Error::other("no whole answer");
    let mut connection = TcpStream::connect(address).await?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    write!(
        request,
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse::<usize>()
            .ok()
    });
    if length.is_some_and(|length| length != body.len()) {
        return Err(broken());
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(broken)?,
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

/// The service as a program, which is gone with the value.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
}

impl Program {
    /// Starts it with nothing in its environment but this, and waits until it listens.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum-service"))
            .env_clear()
            .env("BIND", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.trim().to_owned()))
            .expect("the program listens");
        // Nobody who writes to it may wait because nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Tells it to stop, and answers with which code it ends.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let told = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.child.id())])
            .status();
        assert!(told.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
