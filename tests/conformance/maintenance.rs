//! The upkeep of the database, on a real server.

use futures_util::future::join_all;
use posada::error::codes;
use posada::maintenance::{Cleaned, Cleanup, Retention};
use posada::{Posada, Settings};
use posada_tests::{servers, unique};

/// Two thousand ended sessions of 20 users and one that is young enough, 15 passwords of each user, audit of 40 days.
const CONTENT: &str = "\
    INSERT INTO users (id, username, email, hashed_password) \
        SELECT 'user-' || n, 'user-' || n, n || '@mirador.example', 'x' FROM generate_series(1, 20) n; \
    INSERT INTO user_sessions (id, user_id, token_jti, expires_at) \
        SELECT 's' || n, 'user-' || (1 + n % 20), 'j' || n, (now() AT TIME ZONE 'utc') - interval '7 days 1 minute' \
        FROM generate_series(1, 2000) n; \
    INSERT INTO user_sessions (id, user_id, token_jti, expires_at) \
        VALUES ('young', 'user-1', 'young', (now() AT TIME ZONE 'utc') - interval '6 days 23 hours'); \
    INSERT INTO password_history (user_id, password_hash, created_at) \
        SELECT 'user-' || u, 'hash-' || n, (now() AT TIME ZONE 'utc') - n * interval '1 day' \
        FROM generate_series(1, 20) u, generate_series(1, 15) n; \
    INSERT INTO lock_audit (lock_key, event_type, \"timestamp\") \
        SELECT 'lock:room:101:2027-01-01:2027-01-02', 'acquired', (now() AT TIME ZONE 'utc') - n * interval '1 hour' \
        FROM generate_series(1, 960) n";

const LEFT: &str = "SELECT (SELECT string_agg(id, ',') FROM user_sessions), \
    (SELECT count(*) FROM password_history), (SELECT min(count) FROM (SELECT count(*) FROM password_history \
     WHERE password_hash IN ('hash-1', 'hash-10') GROUP BY user_id) newest), (SELECT count(*) FROM lock_audit)";

async fn filled(url: &str, database: &str) -> Posada {
    let settings = Settings::builder().postgres_url(url).build().unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    posada.migrate().await.unwrap();
    servers::postgres().execute_in(database, CONTENT);
    posada
}

fn deleted(all: &[Vec<Cleaned>], what: Cleanup) -> u64 {
    let of_it = all.iter().flatten().filter(|cleaned| cleaned.what == what);
    of_it.map(|cleaned| cleaned.deleted).sum()
}

#[tokio::test]
async fn what_is_old_is_deleted_once_also_by_three_processes_at_a_time_and_behind_a_pooler() {
    for through_pooler in [false, true] {
        let database = unique("maintain");
        let direct = servers::postgres().create_database(&database);
        // The port of the tests' pooler says nothing, so the URL does.
        let pooled = servers::pgbouncer().url(&database) + "?pgbouncer=true";
        let posada = filled(if through_pooler { &pooled } else { &direct }, &database).await;
        let kept = Retention::new();
        let all: Vec<_> = join_all((0..3).map(|_| posada.maintain(&kept))).await;
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        for (what, expected) in [
            (Cleanup::Sessions, 2000),
            (Cleanup::Passwords, 100),
            (Cleanup::Audit, 241),
        ] {
            let last = posada.maintain(&kept).await.unwrap();
            assert_eq!(deleted(&all, what) + deleted(&[last], what), expected, "{what}");
        }
        let left = servers::postgres().execute_in(&database, LEFT);
        assert_eq!(left, "young|200|2|719");
        posada.close().await.unwrap();
    }
}

#[tokio::test]
async fn retention_is_what_the_operator_says() {
    let database = unique("maintain");
    let posada = filled(&servers::postgres().create_database(&database), &database).await;
    let kept = Retention::new().sessions(6).passwords(15).audit(1);
    let done = [posada.maintain(&kept).await.unwrap()];
    assert_eq!(deleted(&done, Cleanup::Sessions), 2001);
    assert_eq!(deleted(&done, Cleanup::Passwords), 0);
    assert_eq!(deleted(&done, Cleanup::Audit), 937);
    posada.close().await.unwrap();
}

#[tokio::test]
async fn without_its_index_a_clean_up_is_refused() {
    let database = unique("maintain");
    let posada = filled(&servers::postgres().create_database(&database), &database).await;
    servers::postgres().execute_in(&database, "DROP INDEX ix_lock_audit_timestamp");
    let error = posada.maintain(&Retention::new()).await.unwrap_err();
    assert!(error.is(codes::POSTGRES_MIGRATION), "{error}");
    assert!(error.message().contains("lock_audit"), "{error}");
    posada.close().await.unwrap();
}
