//! What a crowd costs in memory: a program of its own, because the others hash and build things at the same time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use futures_util::future::join_all;
use posada::auth::{NewUser, SignIn};
use posada::error::codes;
use posada::{Kind, Posada, Retry, Settings};
use posada_tests::{servers, unique};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
/// What one argon2id takes, in KiB.
const HASH: u64 = 19_456;
/// For connections, a thousand callers, and what the allocator keeps for later.
const SLACK: u64 = 24 * 1024;

/// The most that this process ever had resident, in KiB.
fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_106_a_thousand_sign_ins_at_once_take_no_more_memory_than_there_are_permits() {
    let database = unique("crowd");
    servers::postgres().create_database(&database);
    servers::postgres().execute_in(&database, &Posada::schema_sql());
    let settings = Settings::builder()
        .postgres_url(servers::postgres().url_of(&database))
        .redis_url(servers::redis().url())
        .secret_key(KEY);
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    let auth = posada.auth();
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    auth.create_user(ana).await.unwrap();
    let pair = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let before = most_resident();

    let names: Vec<String> = (0..1000).map(|number| format!("nobody{number}")).collect();
    let crowd = join_all(names.iter().map(|name| async move {
        let attempt = SignIn::new(name, "una llama silba en do menor");
        auth.login(&attempt).await.unwrap_err()
    }));
    let verifications = async {
        for _ in 0..200 {
            auth.verify(&pair.access).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (refusals, ()) = tokio::join!(crowd, verifications);
    let grown = most_resident() - before;

    let (judged, shed): (Vec<_>, Vec<_>) = refusals
        .into_iter()
        .partition(|refusal| refusal.is(codes::AUTH_BAD_CREDENTIALS));
    assert!(!judged.is_empty() && shed.len() > 500, "{} judged", judged.len());
    for refusal in shed {
        assert_eq!(refusal.kind(), Kind::Exhausted, "{refusal:?}");
        assert!(matches!(refusal.retry(), Retry::After(_)), "{refusal:?}");
    }
    let permits = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64 - 1);
    let most = permits.max(1) * HASH + SLACK;
    assert!(grown <= most, "{grown} KiB, more than {most}");
    auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
}
