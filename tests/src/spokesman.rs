//! What a pooler or proxy says that no server here can be brought to say.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Stands before a Postgres server without TLS and passes everything on, except where it was told to speak itself:
/// to who connects, or to who has a connection and asks something. What it says is the last word of that session.
#[derive(Debug)]
pub struct Spokesman {
    port: u16,
    script: Arc<Mutex<Script>>,
}

/// What is still to be said, and how often.
#[derive(Debug, Default)]
struct Script {
    to_newcomers: Option<(Vec<u8>, u32)>,
    to_the_connected: Option<(Vec<u8>, u32)>,
    takes_no_options: Option<Vec<u8>>,
    refused: u32,
}

impl Spokesman {
    /// One before the server at this address, `127.0.0.1:10123`.
    pub fn before(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let script = Arc::<Mutex<Script>>::default();
        let (shared, address) = (script.clone(), address.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (script, address) = (shared.clone(), address.clone());
                std::thread::spawn(move || serve(client, &address, &script));
            }
        });
        Self { port, script }
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Refuses the next `times` connections.
    pub fn refuse(&self, severity: &str, state: &str, message: &str, times: u32) {
        self.script().to_newcomers = Some((error(severity, state, message), times));
    }

    /// Refuses every connection that asks for start-up options.
    pub fn take_no_options(&self, state: &str, message: &str) {
        self.script().takes_no_options = Some(error("FATAL", state, message));
    }

    /// Answers the next `times` questions on live connections, and ends these.
    pub fn interrupt(&self, severity: &str, state: &str, message: &str, times: u32) {
        self.script().to_the_connected = Some((error(severity, state, message), times));
    }

    /// Passes everything on from now on.
    pub fn fall_silent(&self) {
        *self.script() = Script::default();
    }

    /// How many connections were refused.
    pub fn refused(&self) -> u32 {
        self.script().refused
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        locked(&self.script)
    }
}

fn locked(script: &Mutex<Script>) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An `ErrorResponse`.
fn error(severity: &str, state: &str, message: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{state}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    let mut bytes = vec![b'E'];
    bytes.extend(length.to_be_bytes());
    bytes.extend(fields.as_bytes());
    bytes
}

/// The words, if they are to be said once more.
fn next(words: &mut Option<(Vec<u8>, u32)>) -> Option<Vec<u8>> {
    let (bytes, left) = words.as_mut()?;
    *left = left.checked_sub(1)?;
    Some(bytes.clone())
}

fn serve(mut client: TcpStream, address: &str, script: &Arc<Mutex<Script>>) {
    let Ok(hello) = start_up_packet(&mut client) else {
        return;
    };
    let refusal = {
        let mut script = locked(script);
        let options = hello.windows(9).any(|bytes| bytes == b"\0options\0");
        let refusal =
            next(&mut script.to_newcomers).or_else(|| script.takes_no_options.clone().filter(|_| options));
        script.refused += u32::from(refusal.is_some());
        refusal
    };
    if let Some(words) = refusal {
        let _ = client.write_all(&words);
        let _ = client.shutdown(Shutdown::Write);
        return;
    }
    let Ok(mut server) = TcpStream::connect(address) else {
        return;
    };
    if server.write_all(&hello).is_err() {
        return;
    }
    let lives = Arc::new(Mutex::new(false));
    let (Ok(answers), Ok(asker), known) = (server.try_clone(), client.try_clone(), lives.clone()) else {
        return;
    };
    std::thread::spawn(move || pass_back(answers, asker, &known));
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let is_live = *lives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = is_live
            .then(|| next(&mut locked(script).to_the_connected))
            .flatten()
        {
            let _ = client.write_all(&words);
            break;
        }
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Write);
    let _ = server.shutdown(Shutdown::Both);
}

/// Passes answers on, and notes when the session has begun: with the first `ReadyForQuery`.
fn pass_back(mut server: TcpStream, mut client: TcpStream, lives: &Mutex<bool>) {
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = server.read(&mut bytes) {
        let answer = &bytes[..count];
        if answer.ends_with(&[b'Z', 0, 0, 0, 5, b'I']) {
            *lives.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        if client.write_all(answer).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Write);
}

/// Reads the start-up packet, and says no to TLS before it.
fn start_up_packet(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap_or(8).max(8) - 4];
        client.read_exact(&mut rest)?;
        if rest == 80_877_103_u32.to_be_bytes() {
            client.write_all(b"N")?;
        } else {
            return Ok([&length[..], &rest].concat());
        }
    }
}
