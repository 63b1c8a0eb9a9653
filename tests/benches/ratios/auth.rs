//! Sign-in: what a verification and a sign-in cost, and what time tells about a refusal.

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use posada::auth::{NewUser, SignIn};
use posada::error::codes;
use posada::{Posada, Settings};
use posada_tests::{servers, unique};
use ring::hmac;

use crate::contest::{self, operation};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
/// Runs of each way to be refused, in turns.
const RUNS: usize = 200;
/// Runs before those that count.
const WARMING: usize = 5;

pub(crate) async fn rows() {
    tokens_and_passwords().await;
    signatures().await;
    refusals().await;
}

/// A handle in memory, and the access token of Ana.
async fn signed_in() -> (Posada, String) {
    let settings = Settings::builder().secret_key(KEY).build().unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    posada.auth().create_user(ana).await.unwrap();
    let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await;
    (posada, pair.unwrap().access)
}

/// What any reader of tokens does at least: the signature, and the claims from their JSON.
fn read_alone(key: &hmac::Key, token: &str) -> serde_json::Value {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    hmac::verify(key, signed.as_bytes(), &signature).unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

async fn tokens_and_passwords() {
    let (posada, token) = signed_in().await;
    let (handle, ours) = (posada.clone(), token.clone());
    contest::awaited(
        "auth: 100 verifications of a known session, against signature and claims alone",
        "<= 300 us",
        1,
        operation(move |_| {
            let (posada, token) = (handle.clone(), ours.clone());
            async move {
                for _ in 0..100 {
                    black_box(posada.auth().verify(&token).await.unwrap());
                }
            }
        }),
        operation(move |_| {
            let token = token.clone();
            async move {
                let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
                for _ in 0..100 {
                    black_box(read_alone(&key, &token));
                }
            }
        }),
    )
    .await;
    let handle = posada.clone();
    contest::awaited(
        "auth: sign-in, against one argon2id of the same cost",
        "ratio <= 1.1",
        1,
        operation(move |_| {
            let posada = handle.clone();
            async move {
                let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await;
                black_box(pair.unwrap());
            }
        }),
        operation(move |_| async move {
            let params = argon2::Params::new(19_456, 2, 1, Some(32)).unwrap();
            let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            let mut output = [0; 32];
            hasher
                .hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut output)
                .unwrap();
            black_box(output);
        }),
    )
    .await;
}

/// Where a wrong signature differs must not show in the time that it takes to refuse it.
async fn signatures() {
    let (posada, token) = signed_in().await;
    let dot = token.rfind('.').unwrap();
    let wrong = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let (posada, token) = (posada.clone(), String::from_utf8(bytes).unwrap());
        operation(move |_| {
            let (posada, token) = (posada.clone(), token.clone());
            async move {
                for _ in 0..100 {
                    black_box(posada.auth().verify(&token).await.unwrap_err());
                }
            }
        })
    };
    contest::awaited(
        "auth: 100 signatures wrong in the first byte, against the 40th",
        "ratio 1.0",
        1,
        wrong(dot + 1),
        wrong(dot + 40),
    )
    .await;
}

/// The ways to be refused, in turns, and their medians: first where everybody has argon2id, then with somebody who
/// still has a hash of the app.
async fn refusals() {
    let database = unique("refusals");
    servers::postgres().create_database(&database);
    servers::postgres().execute_in(&database, &Posada::schema_sql());
    let settings = Settings::builder()
        .postgres_url(servers::postgres().url_of(&database))
        .secret_key(KEY);
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    for name in ["wrong", "inactive", "locked", "bcrypt"] {
        let user = NewUser::new(name, &format!("{name}@example.com"), PASSWORD).unwrap();
        posada.auth().create_user(user).await.unwrap();
    }
    let hash = bcrypt::hash(PASSWORD, 10).unwrap();
    servers::postgres().execute_in(
        &database,
        &format!(
            "UPDATE users SET is_active = FALSE WHERE username = 'inactive';
             UPDATE users SET account_locked_until = now() + interval '100 years' WHERE username = 'locked';
             UPDATE users SET hashed_password = '{hash}' WHERE username = 'bcrypt';
             INSERT INTO users (id, username, email, hashed_password, is_active, account_locked_until)
                 SELECT id || '-' || run, username || run, run || email, hashed_password, is_active,
                     account_locked_until
                 FROM users, generate_series(0, {last}) AS run",
            last = 2 * (RUNS + WARMING)
        ),
    );
    let names = ["bcrypt", "wrong", "unknown", "inactive", "locked"];
    time_refusals(&posada, 0, &names[1..]).await;
    time_refusals(&posada, RUNS + WARMING, &names).await;
}

/// Every run tries accounts of its own, from the number `first` on, so that none waits for an earlier attempt.
async fn time_refusals(posada: &Posada, first: usize, names: &[&str]) {
    let mut times = vec![Vec::new(); names.len()];
    for run in 0..RUNS + WARMING {
        for turn in 0..names.len() {
            let which = (turn + run) % names.len();
            // An account that is inactive or locked is refused with its right password too.
            let password = if matches!(names[which], "inactive" | "locked") {
                PASSWORD
            } else {
                "una llama silba en do menor"
            };
            let name = format!("{}{}", names[which], first + run);
            let attempt = SignIn::new(&name, password);
            let begun = Instant::now();
            let error = posada.auth().login(&attempt).await.unwrap_err();
            let took = begun.elapsed().as_secs_f64();
            assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
            // The first ones meet the hash of the app.
            if run >= WARMING {
                times[which].push(took);
            }
        }
    }
    let reference = contest::median(times[0].clone());
    for (name, times) in names.iter().zip(times).skip(1) {
        contest::line(
            &format!("auth: refusal of {name}, against {}, {RUNS} runs", names[0]),
            "ratio 0.95 to 1.05",
            contest::median(times),
            reference,
        );
    }
}
