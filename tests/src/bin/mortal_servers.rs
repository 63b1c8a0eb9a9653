//! A Postgres and a Redis that lose nothing, for tests in other languages that kill them.
//!
//! Says both URLs on one line; then does what each line of its input says, such as `kill redis`, and says `done`.
//! The servers end with the input.

#![forbid(unsafe_code)]

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;

use posada_tests::{PostgresServer, RedisServer};

fn main() -> ExitCode {
    let mut postgres = PostgresServer::start();
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let say = |line: &str| {
        let mut out = stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
    };
    if !say(&format!("{} {}", postgres.url(), redis.url())) {
        return ExitCode::FAILURE;
    }
    for line in stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "kill postgres" => postgres.kill(),
            "start postgres" => postgres.start_again(),
            "kill redis" => redis.kill(),
            "start redis" => redis.start_again(),
            other => {
                eprintln!("what is {other:?}? kill or start, postgres or redis");
                return ExitCode::from(2);
            }
        }
        if !say("done") {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
