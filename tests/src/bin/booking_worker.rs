//! One process that books, for the races of bookings.
//!
//! `booking_worker REDIS_URL`: each line of its input, `SERVER_URL CHECK_IN KEY RECHECK`, asks for the last general
//! room in the two nights from CHECK_IN on, at once; RECHECK is `wait` or `detached`. Each answer is a line of its
//! output:
//! `KEY booked BOOKING` or `KEY refused CODE`. `change SERVER_URL BOOKING CHECK_IN CHECK_OUT` gives a booking other
//! nights and answers `BOOKING changed` or `BOOKING refused CODE`. `forget SERVER_URL` ends what it has for that
//! server. It ends with its input, after everything was answered.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a program of the tests, on real time, that may stop loudly"
)]

use std::collections::HashMap;
use std::io::{BufRead, Write};

use posada::pms::{BookingChange, BookingId, Recheck};
use posada::{Posada, Stay};
use posada_tests::bookings::{process, request};

fn main() {
    let redis = std::env::args().nth(1).unwrap_or_else(|| {
        eprintln!("usage: booking_worker REDIS_URL");
        std::process::exit(2);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut servers: HashMap<String, Posada> = HashMap::new();
    let mut wishes = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["forget", server] => {
                if let Some(posada) = servers.remove(*server) {
                    runtime.spawn(async move { posada.close().await });
                }
            }
            ["change", server, booking, check_in, check_out] => {
                let _inside = runtime.enter();
                let posada = servers
                    .entry((*server).to_owned())
                    .or_insert_with(|| process(server, &redis));
                let stay = Stay::parse(check_in, check_out).unwrap();
                wishes.push(runtime.spawn(change(posada.clone(), booking.parse().unwrap(), stay)));
            }
            [server, check_in, key, recheck] => {
                let _inside = runtime.enter();
                let posada = servers
                    .entry((*server).to_owned())
                    .or_insert_with(|| process(server, &redis));
                let recheck = if *recheck == "wait" {
                    Recheck::Wait
                } else {
                    Recheck::Detached
                };
                let request = request(key, check_in.parse().unwrap()).recheck(recheck);
                wishes.push(runtime.spawn(book(posada.clone(), request)));
            }
            _ => panic!("not understood: {line}"),
        }
    }
    runtime.block_on(futures_util::future::join_all(wishes));
}

async fn book(posada: Posada, request: posada::pms::BookingRequest) {
    let key = request.key().clone();
    say(&match posada.pms().book(&request, None).await {
        Ok(booking) => format!("{key} booked {}", booking.id),
        Err(error) => format!("{key} refused {}", error.code()),
    });
}

async fn change(posada: Posada, booking: BookingId, stay: Stay) {
    let change = BookingChange::new().stay(stay);
    say(&match posada.pms().modify(booking, &change).await {
        Ok(_) => format!("{booking} changed"),
        Err(error) => format!("{booking} refused {}", error.code()),
    });
}

fn say(line: &str) {
    // The test may have gone away, and so shall we.
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(1);
    }
}
