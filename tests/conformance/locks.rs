//! Locks and stay holds on real servers.

use std::time::Duration;

use posada::error::codes;
use posada::locks::{AcquireOptions, Release, Resource, StayHold};
use posada::settings::RedisSettings;
use posada::testkit::locks_model::redis_agrees_with_memory;
use posada::testkit::{Proxy, holds, holds_walk, locks};
use posada::{Posada, Settings, Stay, TenantId};
use posada_tests::{PostgresServer, RedisSentinel, RedisServer, servers, unique};

/// The three schemas that are in use.
const LAYOUTS: [&str; 3] = [
    include_str!("../vectors/schema/l1.sql"),
    include_str!("../vectors/schema/l2.sql"),
    include_str!("../vectors/schema/l3.sql"),
];

/// What the fences need of the migrations.
const FENCES: &str = include_str!("../../migrations/0005_lock_fences.sql");

pub(crate) fn on(url: &str) -> Posada {
    Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn locks_on_one_redis_keep_the_promises() {
    locks::suite(on(servers::redis().url()).locks(), &unique("locks")).await;
}

#[tokio::test]
async fn locks_on_a_cluster_keep_the_promises() {
    locks::suite(on(servers::cluster().url()).locks(), &unique("locks")).await;
}

#[tokio::test]
async fn holds_on_one_redis_keep_the_promises() {
    holds::suite(on(servers::redis().url()).locks(), &unique("holds")).await;
}

#[tokio::test]
async fn holds_on_a_cluster_keep_the_promises() {
    holds::suite(on(servers::cluster().url()).locks(), &unique("holds")).await;
}

#[tokio::test]
async fn holds_on_redis_agree_with_a_plain_model() {
    let posada = on(servers::redis().url());
    // At the same time, so that ten thousand steps do not wait for each other's round trips.
    let walks = (1..=25).map(|seed| {
        let locks = posada.locks();
        async move {
            let tenant = TenantId::parse(&unique("model")).unwrap();
            holds_walk::random_walk(locks, &tenant, seed, 400, None).await;
        }
    });
    futures_util::future::join_all(walks).await;
}

#[tokio::test]
async fn locks_on_redis_agree_with_their_specification_in_memory() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let settings = RedisSettings::parse(url).unwrap();
        let mut taken = 0;
        for seed in 1..=60 {
            taken += redis_agrees_with_memory(&settings, &unique("model"), seed, 100)
                .await
                .unwrap();
        }
        assert!(taken > 600, "only {taken} steps were taken");
    }
}

/// How often a command ran on this server so far.
pub(crate) fn calls(server: &RedisServer, command: &str) -> u64 {
    let statistics: String = server.command(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:calls=");
    let line = statistics.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

async fn queue_of(server: &RedisServer, name: &str, waiters: usize) {
    let arrived = async {
        while server.command::<usize>(&["ZCARD", &format!("posada:{{lock:{name}}}:queue")]) != waiters {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), arrived)
        .await
        .unwrap();
}

// Two threads: ten thousand callers on one would starve the sign of life that their own process owes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_waiters_cost_no_more_per_hand_over_than_one() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new().wait(Duration::from_mins(10));
    let guard = posada.locks().acquire("crowded", &options).await.unwrap();
    let (grants, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut crowd: Vec<_> = (0..10_000)
        .map(|_| {
            let (locks, options, grants) = (posada.locks().clone(), options.clone(), grants.clone());
            tokio::spawn(async move {
                let guard = locks.acquire("crowded", &options).await.unwrap();
                grants.send(guard).unwrap();
            })
        })
        .collect();
    queue_of(&server, "crowded", 10_000).await;
    let before = (calls(&server, "evalsha"), calls(&server, "publish"));
    let begun = std::time::Instant::now();
    guard.release().await.unwrap();
    for _ in 0..500 {
        received.recv().await.unwrap().release().await.unwrap();
    }
    let beats = begun.elapsed().as_millis() / 400 + 2;
    let sent = u128::from(calls(&server, "evalsha") - before.0);
    assert!(sent <= 501 + beats, "{sent} calls for 500 hand-overs");
    assert_eq!(calls(&server, "publish"), before.1);
    let clients: String = server.command(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert_eq!(clients.lines().count(), 1, "{clients}");
    for waiter in &mut crowd {
        waiter.abort();
    }
}

#[tokio::test]
async fn a_waiter_whose_process_died_is_skipped_soon() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (here, dead) = (on(server.url()), on(proxy.url()));
    let options = AcquireOptions::new().wait(Duration::from_secs(20));
    let guard = here.locks().acquire("skipped", &options).await.unwrap();
    let mut doomed = Vec::new();
    for count in 1..=5 {
        let (locks, options) = (dead.locks().clone(), options.clone());
        doomed.push(tokio::spawn(async move {
            locks.acquire("skipped", &options).await.map(drop)
        }));
        queue_of(&server, "skipped", count).await;
    }
    let locks = here.locks().clone();
    let next = tokio::spawn(async move { locks.acquire("skipped", &options).await });
    queue_of(&server, "skipped", 6).await;
    proxy.black_hole();
    let begun = std::time::Instant::now();
    guard.release().await.unwrap();
    next.await.unwrap().unwrap().release().await.unwrap();
    // A waiter that nothing wakes looks again after 20 seconds; a dead process is skipped after 1.5.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "took {:?}",
        begun.elapsed()
    );
    doomed.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_lock_of_another_process_is_listed_soon() {
    let (one, other) = (on(servers::redis().url()), on(servers::redis().url()));
    let tenant = TenantId::parse(&unique("listed")).unwrap();
    let options = AcquireOptions::new().tenant(&tenant);
    let _guard = one.locks().acquire("a", &options).await.unwrap();
    let seen = async {
        while other.locks().list(Some(&tenant)).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
}

#[tokio::test]
async fn one_call_extends_all_locks_of_a_process() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new()
        .ttl(Duration::from_millis(900))
        .auto_extend(true);
    let names: Vec<_> = (0..80).map(|number| format!("kept-{number}")).collect();
    let kept = names.iter().map(|name| posada.locks().acquire(name, &options));
    let guards = futures_util::future::try_join_all(kept).await.unwrap();
    let before = calls(&server, "evalsha");
    tokio::time::sleep(Duration::from_secs(3)).await;
    for guard in &guards {
        guard.ensure_held().unwrap();
    }
    // Some ten beats; one call for each lock would be 800.
    let sent = calls(&server, "evalsha") - before;
    assert!((3..100).contains(&sent), "{sent} calls");
}

#[tokio::test]
async fn a_lock_that_was_forced_away_is_lost_at_once_in_another_process() {
    let (one, other) = (on(servers::redis().url()), on(servers::redis().url()));
    let name = unique("forced");
    let guard = one
        .locks()
        .acquire(&name, &AcquireOptions::new().ttl(Duration::from_mins(5)))
        .await
        .unwrap();
    // The subscription of the holder's process may still be on its way.
    let lost = async {
        let mut lost = std::pin::pin!(guard.lost());
        loop {
            other.locks().force_release(None, &name, "a test").await.unwrap();
            tokio::select! {
                cause = &mut lost => return cause,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    };
    let cause = tokio::time::timeout(Duration::from_secs(5), lost).await.unwrap();
    assert_eq!(cause.as_str(), "forced");
}

#[tokio::test]
async fn twenty_callers_share_a_lock_quickly_and_in_order() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new().wait(Duration::from_mins(1));
    let begun = std::time::Instant::now();
    let callers = (0..20).map(|_| {
        let (locks, options) = (posada.locks().clone(), options.clone());
        tokio::spawn(async move {
            let mut fences = Vec::new();
            for _ in 0..25 {
                let guard = locks.acquire("shared", &options).await.unwrap();
                fences.push(guard.fence());
                guard.release().await.unwrap();
            }
            fences
        })
    });
    let fences = futures_util::future::try_join_all(callers).await.unwrap();
    println!("{:.0} hand-overs a second", 500.0 / begun.elapsed().as_secs_f64());
    let mut order: Vec<_> = (0..20)
        .flat_map(|caller| fences[caller].iter().map(move |fence| (*fence, caller)))
        .collect();
    order.sort_unstable();
    // Whoever has had its turn goes to the end: in the middle, nobody comes twice before everybody came once.
    for round in order[100..400].windows(19) {
        let different: std::collections::HashSet<_> = round.iter().map(|(_, caller)| caller).collect();
        assert_eq!(different.len(), 19);
    }
}

#[tokio::test]
async fn fences_grow_although_redis_lost_its_data() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new();
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let request = StayHold::new("room_type:1/1".parse().unwrap(), stay).session_id("s");
    let lock = posada.locks().acquire("fenced", &options).await.unwrap();
    let hold = posada.locks().hold_stay(&request).await.unwrap();
    server.command::<()>(&["FLUSHALL"]);
    assert!(
        lock.extend(Duration::from_secs(30))
            .await
            .unwrap_err()
            .is(codes::LOCKS_LOST)
    );
    let next = posada.locks().acquire("fenced", &options).await.unwrap();
    assert!(next.fence() > lock.fence());
    assert!(posada.locks().hold_stay(&request).await.unwrap().fence() > hold.fence());
}

#[tokio::test]
async fn fences_grow_although_an_empty_replica_took_over() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    let options = AcquireOptions::new()
        .ttl(Duration::from_secs(1))
        .wait(Duration::from_secs(30));
    let lock = posada.locks().acquire("fenced", &options).await.unwrap();
    group.primary().kill();
    group.fail_over();
    group.replica().command::<()>(&["FLUSHALL"]);
    let next = posada.locks().acquire("fenced", &options).await.unwrap();
    assert!(next.fence() > lock.fence());
    lock.lost().await;
    assert!(lock.ensure_held().is_err());
}

#[tokio::test]
async fn a_silent_redis_does_not_keep_a_lock_alive() {
    let mut server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new()
        .ttl(Duration::from_millis(300))
        .auto_extend(true);
    let lock = posada.locks().acquire("silent", &options).await.unwrap();
    server.freeze();
    let lost = tokio::time::timeout(Duration::from_secs(2), lock.lost()).await;
    server.thaw();
    assert_eq!(lost.unwrap().as_str(), "expired");
}

#[tokio::test]
async fn a_server_without_memory_refuses_locks_and_still_lets_go_of_them() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let options = AcquireOptions::new();
    let lock = posada.locks().acquire("held", &options).await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = posada.locks().acquire("other", &options).await.unwrap_err();
    assert!(refused.is(codes::REDIS_OUT_OF_MEMORY), "{refused}");
    let fence = lock.fence();
    assert_eq!(lock.release().await.unwrap(), Release::Released);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(posada.locks().acquire("held", &options).await.unwrap().fence() > fence);
}

#[tokio::test]
async fn a_lock_of_another_type_is_left_alone_and_reported() {
    let server = servers::redis();
    let name = unique("foreign");
    server.command::<()>(&["LPUSH", &format!("posada:{{lock:{name}}}:lease"), "x"]);
    let error = on(server.url())
        .locks()
        .acquire(&name, &AcquireOptions::new())
        .await
        .unwrap_err();
    assert!(error.is(codes::REDIS_WRONG_TYPE), "{error}");
}

#[tokio::test]
async fn two_processes_hand_a_lock_over_at_once() {
    const ROUNDS: u32 = 50;
    let (one, other) = (on(servers::redis().url()), on(servers::redis().url()));
    let name = unique("handover");
    let options = AcquireOptions::new().wait(Duration::from_secs(20));
    let begun = std::time::Instant::now();
    for _ in 0..ROUNDS {
        let lock = one.locks().acquire(&name, &options).await.unwrap();
        let waiting = other.locks().acquire(&name, &options);
        let release = async {
            while one.locks().inspect(None, &name).await.unwrap().unwrap().waiters == 0 {
                tokio::task::yield_now().await;
            }
            lock.release().await.unwrap();
        };
        let (waited, ()) = tokio::join!(waiting, release);
        waited.unwrap().release().await.unwrap();
    }
    // Without the message each would wait for the next sign of life, every 500 ms.
    assert!(
        begun.elapsed() < Duration::from_millis(100) * ROUNDS,
        "took {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_refused_hold_does_not_slow_down_with_the_number_of_holds() {
    let posada = on(servers::redis().url());
    let tenant = TenantId::parse(&unique("full")).unwrap();
    let night = Stay::parse("2027-03-10", "2027-03-11").unwrap();
    let resource: Resource = "room_type:1/1".parse().unwrap();
    let request = |guest: u32| {
        StayHold::new(resource.clone(), night)
            .tenant(&tenant)
            .session_id(guest.to_string())
            .capacity(20_000)
    };
    for batch in 0..100 {
        let holds = (0..100).map(|guest| {
            let request = request(batch * 100 + guest);
            let locks = posada.locks();
            async move { locks.hold_stay(&request).await.map(drop) }
        });
        futures_util::future::try_join_all(holds).await.unwrap();
    }
    let error = posada.locks().hold_stay(&request(10_000)).await.unwrap_err();
    assert!(error.is(codes::LOCKS_TOO_MANY_HOLDS), "{error}");
    posada.locks().hold_stay(&request(77)).await.unwrap();
    assert_eq!(
        posada
            .locks()
            .holds(Some(&tenant), &resource, night)
            .await
            .unwrap()
            .len(),
        10_000
    );
}

/// A handle with its audit in a new database of this layout.
fn audited(layout: &str) -> (String, Posada) {
    let name = unique("audit");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, layout);
    let settings = Settings::builder()
        .redis_url(servers::redis().url())
        .postgres_url(servers::postgres().url_of(&name));
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    (name, posada)
}

#[tokio::test]
async fn the_audit_fits_every_layout_in_the_wild() {
    for layout in LAYOUTS {
        let (database, posada) = audited(layout);
        servers::postgres().execute_in(&database, FENCES);
        holds::suite(posada.locks(), &unique("audited")).await;
        locks::suite(posada.locks(), &unique("audited")).await;
        posada.close().await.unwrap();
    }
}

#[tokio::test]
async fn close_writes_the_audit_and_releases_dropped_guards() {
    let (database, posada) = audited(LAYOUTS[1]);
    let name = unique("closing");
    drop(
        posada
            .locks()
            .acquire(&name, &AcquireOptions::new())
            .await
            .unwrap(),
    );
    posada.close().await.unwrap();
    let events =
        format!("SELECT string_agg(event_type, ' ' ORDER BY id) FROM lock_audit WHERE lock_key = '{name}'");
    assert_eq!(
        servers::postgres().execute_in(&database, &events),
        "acquired released"
    );
}

#[tokio::test]
async fn a_stale_fence_is_never_accepted_however_many_write_at_once() {
    let (database, posada) = audited(LAYOUTS[1]);
    servers::postgres().execute_in(&database, FENCES);
    // Writers run the statement as a user would, inside a transaction with the write that it protects.
    let guard = posada::LockManager::fence_guard_sql()
        .replace("$1", "'register'")
        .replace("$2", "fence");
    servers::postgres().execute_in(
        &database,
        &format!(
            "CREATE TABLE register (place serial, fence bigint);
             CREATE FUNCTION write_under(fence bigint) RETURNS boolean LANGUAGE plpgsql AS $$
             DECLARE accepted bigint;
             BEGIN
                 {guard} INTO accepted;
                 IF accepted IS NULL THEN RETURN false; END IF;
                 PERFORM pg_sleep(0.002);
                 INSERT INTO register (fence) VALUES (write_under.fence);
                 RETURN true;
             END $$;",
        )
        .replace(
            "VALUES ('register', fence)",
            "VALUES ('register', write_under.fence)",
        ),
    );
    let writers = (0..8_u64).map(|writer| {
        let database = database.clone();
        tokio::task::spawn_blocking(move || {
            let mut dice = writer + 1;
            for _ in 0..12 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let write = format!("SELECT write_under({})", dice >> 54);
                servers::postgres().execute_in(&database, &write);
            }
        })
    });
    futures_util::future::try_join_all(writers).await.unwrap();
    let backwards = "SELECT count(*) FROM register one JOIN register other
                     ON other.place > one.place AND other.fence < one.fence";
    assert_eq!(servers::postgres().execute_in(&database, backwards), "0");
    let written = "SELECT count(*) > 1 FROM register";
    assert_eq!(servers::postgres().execute_in(&database, written), "t");
    posada.close().await.unwrap();
}

#[tokio::test]
async fn the_rows_are_those_of_the_app() {
    let (database, posada) = audited(LAYOUTS[0]);
    let long = "x".repeat(150);
    for tenant in ["hotel-test", &long] {
        let tenant = TenantId::parse(tenant).unwrap();
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        let request = StayHold::new(Resource::room("101").unwrap(), stay)
            .tenant(&tenant)
            .session_id(unique("s"));
        posada
            .locks()
            .hold_stay(&request)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
    }
    posada.locks().flush_audit(Duration::from_secs(5)).await.unwrap();
    let rows = "SELECT lock_key, event_type, tenant_id, details->>'check_out', details->>'tenant_id' = repeat('x', 150),
                       abs(extract(epoch FROM timestamp - now() AT TIME ZONE 'utc')) < 60
                FROM lock_audit WHERE event_type = 'acquired' AND lock_key LIKE '%:2027-03-10:%' ORDER BY id DESC LIMIT 2";
    let key = |tenant: &str| format!("tenant:{tenant}:lock:room:101:2027-03-10:2027-03-12");
    assert_eq!(
        servers::postgres().execute_in(&database, rows),
        format!(
            "{}|acquired||2027-03-12|t|t\n{}|acquired|hotel-test|2027-03-12||t",
            key(&long),
            key("hotel-test")
        )
    );
}

#[tokio::test]
async fn an_outage_of_postgres_delays_the_audit_and_nothing_else() {
    let mut postgres = PostgresServer::start();
    postgres.execute(LAYOUTS[1]);
    let settings = Settings::builder()
        .redis_url(servers::redis().url())
        .postgres_url(postgres.url());
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    let name = unique("outage");
    postgres.stop();
    for _ in 0..3 {
        let lock = posada
            .locks()
            .acquire(&name, &AcquireOptions::new())
            .await
            .unwrap();
        lock.release().await.unwrap();
    }
    let waiting = posada
        .locks()
        .flush_audit(Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(waiting.is(codes::POSTGRES_TIMEOUT));
    postgres.start_again();
    posada.locks().flush_audit(Duration::from_secs(40)).await.unwrap();
    assert_eq!(posada.locks().audit(&name, 10).await.unwrap().len(), 6);
}

#[tokio::test]
async fn an_evicted_key_neither_gives_a_night_out_twice_nor_keeps_it_for_ever() {
    let server = servers::redis();
    let posada = on(server.url());
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let room = Resource::room(&unique("evicted")).unwrap();
    let request = |session: &str| StayHold::new(room.clone(), stay).session_id(session);
    let short = request("ana").ttl(Duration::from_secs(2));
    posada.locks().hold_stay(&short).await.unwrap();
    let lose_ends = || server.command::<()>(&["DEL", &format!("posada:{{stay:{room}}}:ends")]);
    lose_ends();
    // Other nights are held and given back meanwhile, without a look at the lost ends.
    let later = Stay::parse("2027-04-10", "2027-04-12").unwrap();
    let other = StayHold::new(room.clone(), later).session_id("eva");
    let other = posada.locks().hold_stay(&other).await.unwrap();
    other.release().await.unwrap();
    assert_eq!(posada.locks().holds(None, &room, stay).await.unwrap().len(), 1);
    lose_ends();
    let error = posada.locks().hold_stay(&request("bea")).await.unwrap_err();
    assert!(
        error.is(codes::LOCKS_NIGHTS_TAKEN) && error.fact("frees_at").is_some(),
        "{error}"
    );
    tokio::time::sleep(Duration::from_millis(2050)).await;
    posada.locks().hold_stay(&request("bea")).await.unwrap();
    server.command::<()>(&["DEL", &format!("posada:{{stay:{room}}}:book")]);
    posada.locks().hold_stay(&request("eva")).await.unwrap();
    let live = posada.locks().holds(None, &room, stay).await.unwrap();
    assert_eq!(
        live.iter()
            .map(|hold| hold.session_id.as_deref())
            .collect::<Vec<_>>(),
        [Some("eva")]
    );
}
