//! A server that speaks Redis's protocol and says what a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A stand-in for servers, proxies and services whose words no Redis of ours says. It greets every client, and has one
/// reply to every other command. It serves until the test ends.
#[derive(Debug)]
pub struct ScriptedRedis {
    url: String,
    reply: Arc<Mutex<String>>,
}

impl ScriptedRedis {
    /// Starts one that replies `OK`.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let reply = Arc::new(Mutex::new("+OK".to_owned()));
        let said = reply.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let said = said.clone();
                // A client that goes away is no fault of the test.
                std::thread::spawn(move || drop(serve(&client, &said)));
            }
        });
        Self {
            url: format!("redis://{address}"),
            reply,
        }
    }

    /// The server's URL, without a database number.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on every command is refused in these words, such as `NOREPLICAS Not enough good replicas to write.`
    pub fn refuse(&self, words: &str) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = format!("-{words}");
    }
}

fn serve(client: &TcpStream, said: &Mutex<String>) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let mut socket = client;
    while let Some(head) = lines.next() {
        let count: usize = head?.trim_start_matches('*').parse().unwrap_or(0);
        let mut words = Vec::new();
        // Each word is two lines: its length, and itself. Nothing of ours has line breaks in it here.
        for _ in 0..count {
            lines.next().transpose()?;
            words.push(lines.next().transpose()?.unwrap_or_default());
        }
        let reply = match words.first().map(String::as_str) {
            Some("HELLO") => "%1\r\n$6\r\nserver\r\n$5\r\nredis".to_owned(),
            Some("CLIENT") => "+OK".to_owned(),
            _ => said.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        socket.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}
