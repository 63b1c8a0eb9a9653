//! The doctor at real servers: every mistake of the setup guide is made on purpose, and named.

use posada::clock::SystemClock;
use posada::doctor::{Diagnosis, Finding, Severity};
use posada::error::codes;
use posada::testkit::qloapps::{QloAppsSimulator, SimulatedCall, SimulatedFault};
use posada::{Posada, Settings};
use posada_tests::{PostgresServer, RedisCluster, RedisServer, servers, unique};

const SIGNING_KEY: &str = "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3X";
/// The password of the shared server, as it is and as it stands in a URL.
const PASSWORDS: [&str; 2] = ["se/cret:1", "se%2Fcret%3A1"];

async fn examine(vars: &[(&str, &str)]) -> Diagnosis {
    let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let posada = Posada::builder()
        .settings(Settings::from_vars(vars).unwrap())
        .build()
        .unwrap();
    let diagnosis = posada.doctor().await;
    let again = posada.doctor().await;
    let severities = |diagnosis: &Diagnosis| -> Vec<_> {
        let findings = diagnosis.findings.iter();
        findings.map(|finding| (finding.code, finding.severity)).collect()
    };
    assert_eq!(severities(&again), severities(&diagnosis), "{again}");
    posada.close().await.unwrap();
    let shown = format!("{diagnosis} {diagnosis:?} {}", diagnosis.to_json());
    for secret in [
        &PASSWORDS[..],
        &[SIGNING_KEY, QloAppsSimulator::KEY, "wr0ng-Word"],
    ]
    .concat()
    {
        assert!(!shown.contains(secret), "{shown}");
    }
    diagnosis
}

#[track_caller]
fn expect(diagnosis: &Diagnosis, code: &str, severity: Severity, word: &str) {
    let finding = diagnosis
        .findings
        .iter()
        .find(|finding| finding.code == code && finding.severity == severity);
    let finding: &Finding = finding.unwrap_or_else(|| panic!("no {severity} {code}:\n{diagnosis}"));
    assert!(finding.to_string().contains(word), "{finding}");
}

/// The words of the rule that the doctor gives for what the access list of Redis forbids.
fn rule_of(diagnosis: &Diagnosis) -> Vec<&str> {
    let remedy = diagnosis.finding("redis.permissions").unwrap().remedy.as_deref();
    remedy.unwrap().split_once(": ").unwrap().1.split(' ').collect()
}

/// A database of its own with every table, and its URL.
async fn migrated(word: &str) -> (String, String) {
    let name = unique(word);
    let url = servers::postgres().create_database(&name);
    let vars = [("DATABASE_URL", url.as_str())].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let posada = Posada::connect(Settings::from_vars(vars).unwrap()).await.unwrap();
    posada.migrate().await.unwrap();
    posada.close().await.unwrap();
    (name, url)
}

#[tokio::test]
async fn where_everything_is_as_it_should_be_nothing_is_above_ok() {
    let (_, url) = migrated("healthy").await;
    let redis = RedisServer::start_with(&["--appendonly", "yes"]);
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let diagnosis = examine(&[
        ("DATABASE_URL", &url),
        ("REDIS_URL", redis.url()),
        ("PMS_BASE_URL", server.url()),
        ("PMS_API_KEY", QloAppsSimulator::KEY),
        ("SECRET_KEY", SIGNING_KEY),
    ])
    .await;
    assert_eq!(diagnosis.severity(), Severity::Ok, "{diagnosis}");
    assert!(diagnosis.findings.len() > 20, "{diagnosis}");
    for finding in &diagnosis.findings {
        assert!(
            Diagnosis::CODES.iter().any(|(code, _)| *code == finding.code),
            "{finding}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_names_what_was_refused() {
    let server = servers::postgres();
    let wrong = server.url().replace(PASSWORDS[1], "wr0ng-Word");
    expect(
        &examine(&[("DATABASE_URL", &wrong)]).await,
        "postgres.wrong_password",
        Severity::Error,
        "%40",
    );
    let nowhere = server.url_of(&unique("nowhere"));
    expect(
        &examine(&[("DATABASE_URL", &nowhere)]).await,
        "postgres.unknown_database",
        Severity::Error,
        "create",
    );
    let strict = format!("{}?sslmode=require", server.url());
    expect(
        &examine(&[("DATABASE_URL", &strict)]).await,
        "postgres.tls",
        Severity::Error,
        "require",
    );
    expect(
        &examine(&[(
            "DATABASE_URL",
            "postgres://ana:wr0ng-Word@no-such-host.invalid/hotel",
        )])
        .await,
        "postgres.unknown_host",
        Severity::Error,
        "no-such-host.invalid",
    );
}

#[tokio::test]
async fn a_wrong_password_is_named_behind_a_pooler_too() {
    let database = unique("pooled");
    servers::postgres().create_database(&database);
    let url = servers::pgbouncer().url(&database);
    let diagnosis = examine(&[("DATABASE_URL", &url)]).await;
    expect(
        &diagnosis,
        "postgres.pooler",
        Severity::Warning,
        "POSTGRES_POOLER",
    );
    let told = examine(&[("DATABASE_URL", &url), ("POSTGRES_POOLER", "transaction")]).await;
    expect(&told, "postgres.pooler", Severity::Ok, "expected");
    let wrong = url.replace(PASSWORDS[1], "wr0ng-Word");
    let diagnosis = examine(&[("DATABASE_URL", &wrong)]).await;
    expect(&diagnosis, "postgres.wrong_password", Severity::Error, "password");
}

#[tokio::test]
async fn missing_tables_are_named_and_so_is_the_schema_where_they_are() {
    let server = servers::postgres();
    let name = unique("tables");
    let url = server.create_database(&name);
    let empty = examine(&[("DATABASE_URL", &url)]).await;
    expect(
        &empty,
        "postgres.tables",
        Severity::Error,
        "tenant_user_identifiers",
    );
    expect(&empty, "postgres.migrations", Severity::Warning, "migrate");

    let (name, url) = migrated("moved").await;
    server.execute_in(&name, "CREATE SCHEMA hotel; ALTER TABLE users SET SCHEMA hotel");
    let moved = examine(&[("DATABASE_URL", &url)]).await;
    expect(&moved, "postgres.search_path", Severity::Error, "schema hotel");
    assert!(
        moved
            .finding("postgres.tables")
            .is_none_or(|finding| finding.severity == Severity::Ok),
        "{moved}"
    );

    server.execute_in(
        &name,
        "ALTER TABLE hotel.users SET SCHEMA public; DELETE FROM posada.migrations WHERE version = 6",
    );
    let behind = examine(&[("DATABASE_URL", &url)]).await;
    expect(&behind, "postgres.migrations", Severity::Warning, "0006");
    expect(&behind, "postgres.tables", Severity::Ok, "public");
}

#[tokio::test]
async fn a_role_that_may_too_little_is_told_what() {
    let (name, url) = migrated("rights").await;
    let role = unique("clerk");
    servers::postgres().execute_in(
        &name,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'wr0ng-Word' CONNECTION LIMIT 5; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; \
             REVOKE UPDATE ON users FROM {role}"
        ),
    );
    let address = servers::postgres().address();
    let url_of_role = format!("postgres://{role}:wr0ng-Word@{address}/{name}");
    assert_ne!(url, url_of_role);
    let diagnosis = examine(&[("DATABASE_URL", &url_of_role)]).await;
    expect(
        &diagnosis,
        "postgres.permissions",
        Severity::Error,
        "UPDATE on users",
    );
    expect(&diagnosis, "postgres.migrations", Severity::Ok, "may not read");
    expect(&diagnosis, "postgres.pool_size", Severity::Error, "admits 5");

    // What is missing only there lets a new hotel inherit users, and nothing else fails for it.
    for (grant, lacks) in [
        (
            "GRANT UPDATE ON users TO",
            "SELECT, INSERT, UPDATE on posada.user_hotel",
        ),
        (
            "GRANT USAGE ON SCHEMA posada TO",
            "SELECT, INSERT, UPDATE on posada.user_hotel",
        ),
        (
            "GRANT SELECT ON posada.user_hotel TO",
            "lacks INSERT, UPDATE on posada.user_hotel",
        ),
    ] {
        servers::postgres().execute_in(&name, &format!("{grant} {role}"));
        let diagnosis = examine(&[("DATABASE_URL", &url_of_role)]).await;
        expect(&diagnosis, "postgres.permissions", Severity::Warning, lacks);
    }
    let remedy = diagnosis_remedy(&url_of_role).await;
    let statements = remedy.split_once(": ").unwrap().1.rsplit_once(';').unwrap().0;
    servers::postgres().execute_in(&name, statements);
    let mended = examine(&[("DATABASE_URL", &url_of_role)]).await;
    expect(&mended, "postgres.permissions", Severity::Ok, "may do what");
}

async fn diagnosis_remedy(url: &str) -> String {
    let diagnosis = examine(&[("DATABASE_URL", url)]).await;
    let finding = diagnosis.finding("postgres.permissions").unwrap();
    finding.remedy.as_deref().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_full_server_is_named() {
    let server = PostgresServer::start();
    server.execute("CREATE ROLE crowd LOGIN PASSWORD 'wr0ng-Word' CONNECTION LIMIT 0");
    let url = format!("postgres://crowd:wr0ng-Word@{}/postgres", server.address());
    let diagnosis = examine(&[("DATABASE_URL", &url)]).await;
    expect(
        &diagnosis,
        "postgres.too_many_connections",
        Severity::Error,
        "POSTGRES_POOL_SIZE",
    );
}

#[tokio::test]
async fn redis_that_evicts_forgets_or_refuses_is_named() {
    let evicting = RedisServer::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let diagnosis = examine(&[("REDIS_URL", evicting.url())]).await;
    expect(&diagnosis, "redis.eviction", Severity::Warning, "allkeys-lru");
    expect(&diagnosis, "redis.persistence", Severity::Warning, "appendonly");

    let keeping = RedisServer::start_with(&["--save", "3600 1"]);
    keeping.command::<()>(&["CONFIG", "SET", "requirepass", "wr0ng-Word"]);
    let known = keeping.url().replace("redis://", "redis://:wr0ng-Word@");
    let unknown = keeping.url().replace("redis://", "redis://:another-wr0ng-Word@");
    let diagnosis = examine(&[("REDIS_URL", &known)]).await;
    expect(&diagnosis, "redis.eviction", Severity::Ok, "noeviction");
    expect(&diagnosis, "redis.persistence", Severity::Ok, "snapshots");
    for url in [unknown.as_str(), keeping.url()] {
        let diagnosis = examine(&[("REDIS_URL", url)]).await;
        expect(&diagnosis, "redis.refused", Severity::Error, "REDIS_PASSWORD");
    }
}

#[tokio::test]
async fn a_redis_that_does_not_tell_us_everything_is_not_called_broken() {
    let server = RedisServer::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let user = |name: &str, rights: &[&str]| {
        let fixed = ["ACL", "SETUSER", name, "on", ">wr0ng-Word", "~*", "&*", "+@all"];
        server.command::<()>(&[&fixed, rights].concat());
        server
            .url()
            .replace("redis://", &format!("redis://{name}:wr0ng-Word@"))
    };

    // Who may not ask for INFO hears what to ask for, and not that the password is wrong.
    let mute = examine(&[("REDIS_URL", &user("mute", &["-info"]))]).await;
    expect(&mute, "redis.refused", Severity::Warning, "maxmemory-policy");
    expect(&mute, "redis.refused", Severity::Warning, "info");
    assert!(!mute.to_string().contains("REDIS_PASSWORD"), "{mute}");

    // Without CONFIG everything but the snapshots is seen.
    let clerk = examine(&[("REDIS_URL", &user("clerk", &["-config"]))]).await;
    expect(&clerk, "redis.persistence", Severity::Ok, "CONFIG is not for us");
    expect(&clerk, "redis.eviction", Severity::Warning, "allkeys-lru");
    expect(&clerk, "clock.skew", Severity::Ok, "Redis");

    // As managed servers do it.
    let managed = RedisServer::start_with(&["--rename-command", "CONFIG", ""]);
    let diagnosis = examine(&[("REDIS_URL", managed.url())]).await;
    expect(
        &diagnosis,
        "redis.persistence",
        Severity::Ok,
        "CONFIG is not for us",
    );
    expect(&diagnosis, "redis.connection", Severity::Ok, "Connected");
}

#[tokio::test]
async fn what_the_access_list_of_redis_forbids_is_named_and_the_remedy_permits_all_of_it() {
    let server = RedisServer::start();
    for (name, rights, words) in [
        (
            "silent",
            &["~*", "&*", "+@all", "-@scripting"][..],
            &["run scripts"][..],
        ),
        ("halved", &["~*", "&*", "+@all", "-evalsha"], &["run scripts"]),
        (
            "muffled",
            &["~*", "resetchannels", "+@all"],
            &["PUBLISH", "posada:tenants", "posada:flags", "posada:wake:"],
        ),
        ("deaf", &["~*", "&*", "+@all", "-subscribe"], &["posada:tenants"]),
        (
            "keyless",
            &["~other:*", "&*", "+@all"],
            &[
                "session:*",
                "feature_flags",
                "feature_flags:*",
                "posada:*",
                "LIMITS:*",
            ],
        ),
        ("reader", &["~*", "&*", "+@all", "-@write"], &["session:*"]),
        (
            "mute",
            &["~*", "&*", "+@all", "-info", "-@scripting"],
            &["run scripts"],
        ),
    ] {
        let made = ["ACL", "SETUSER", name, "on", ">wr0ng-Word"];
        server.command::<()>(&[&made, rights].concat());
        let url = server
            .url()
            .replace("redis://", &format!("redis://{name}:wr0ng-Word@"));
        let diagnosis = examine(&[("REDIS_URL", &url)]).await;
        for word in words {
            expect(&diagnosis, "redis.permissions", Severity::Error, word);
        }

        let rule = rule_of(&diagnosis);
        // Nothing but what the remedy gives.
        server.command::<()>(&["ACL", "SETUSER", name, "resetkeys", "resetchannels", "-@all"]);
        server.command::<()>(&rule);
        let mended = examine(&[("REDIS_URL", &url)]).await;
        expect(&mended, "redis.permissions", Severity::Ok, name);
        expect(&mended, "redis.connection", Severity::Ok, "Connected");
    }
}

#[tokio::test]
async fn the_access_list_of_the_remedy_is_enough_for_every_service() {
    let server = RedisServer::start();
    server.command::<()>(&["ACL", "SETUSER", "clerk", "on", ">wr0ng-Word", "+ping"]);
    let url = server.url().replace("redis://", "redis://clerk:wr0ng-Word@");
    let diagnosis = examine(&[("REDIS_URL", &url)]).await;
    let rule = rule_of(&diagnosis);
    server.command::<()>(&rule);
    let settings = Settings::from_vars([("REDIS_URL".into(), url)]).unwrap();
    let one = Posada::connect(settings.clone()).await.unwrap();
    let other = Posada::connect(settings).await.unwrap();
    posada::testkit::flags::suite(one.flags(), other.flags(), &unique("flags")).await;
    posada::testkit::limits::suite(one.limits(), &unique("limits")).await;
    posada::testkit::locks::suite(one.locks(), &unique("locks")).await;
    posada::testkit::holds::suite(one.locks(), &unique("holds")).await;
    let mut session = one
        .sessions()
        .get_or_create(None, "549", "whatsapp")
        .await
        .unwrap();
    session.document.set(["context", "nights"], 2).unwrap();
    one.sessions().save(&mut session).await.unwrap();
    assert!(other.sessions().get(None, "549").await.unwrap().is_some());
    one.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn on_a_cluster_the_remedy_is_enough_too() {
    let mut cluster = RedisCluster::start(3);
    let every_node = |cluster: &mut RedisCluster, words: &[&str]| {
        for node in cluster.nodes() {
            node.command::<()>(words);
        }
    };
    let all = ["~*", "&*", "+@all", "-@scripting"];
    let made = [&["ACL", "SETUSER", "clerk", "on", ">wr0ng-Word"][..], &all].concat();
    every_node(&mut cluster, &made);
    let url = cluster
        .url()
        .replace("redis+cluster://", "redis+cluster://clerk:wr0ng-Word@");
    let diagnosis = examine(&[("REDIS_URL", &url)]).await;
    let finding = diagnosis.finding("redis.permissions").unwrap();
    assert_eq!(finding.severity, Severity::Error, "{diagnosis}");
    let rule = rule_of(&diagnosis);
    let nothing = ["ACL", "SETUSER", "clerk", "resetkeys", "resetchannels", "-@all"];
    every_node(&mut cluster, &nothing);
    every_node(&mut cluster, &rule);
    let mended = examine(&[("REDIS_URL", &url)]).await;
    expect(&mended, "redis.permissions", Severity::Ok, "clerk");
    let settings = Settings::from_vars([("REDIS_URL".into(), url)]).unwrap();
    let posada = Posada::connect(settings).await.unwrap();
    posada::testkit::limits::suite(posada.limits(), &unique("limits")).await;
    posada::testkit::locks::suite(posada.locks(), &unique("locks")).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn an_examination_of_what_is_permitted_leaves_redis_as_it_is() {
    let server = RedisServer::start();
    server.command::<()>(&["HSET", "feature_flags", "a", "{}"]);
    let diagnosis = examine(&[("REDIS_URL", server.url())]).await;
    expect(&diagnosis, "redis.permissions", Severity::Ok, "default");
    let kept: Vec<String> = server.command(&["KEYS", "*"]);
    assert_eq!(kept, ["feature_flags"]);
    let flags: Vec<String> = server.command(&["HGETALL", "feature_flags"]);
    assert_eq!(flags, ["a", "{}"]);
}

#[tokio::test]
async fn a_command_that_is_not_permitted_costs_nobody_the_connection() {
    let server = RedisServer::start();
    let rights = ["~*", "&*", "+@all", "-@read", "-@scripting"];
    server.command::<()>(&[&["ACL", "SETUSER", "clerk", "on", ">wr0ng-Word"][..], &rights].concat());
    let url = server.url().replace("redis://", "redis://clerk:wr0ng-Word@");
    let settings = Settings::from_vars([("REDIS_URL".into(), url)]).unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    let mut connections = Vec::new();
    for _ in 0..10 {
        let refused = posada.sessions().get(None, "549").await.unwrap_err();
        assert!(refused.is(codes::REDIS_REFUSED), "{refused}");
        let clients: String = server.command(&["CLIENT", "LIST"]);
        let mut ids: Vec<String> = clients
            .lines()
            .filter(|line| line.contains("user=clerk"))
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect();
        ids.sort();
        connections.push(ids);
    }
    assert!(!connections[9].is_empty());
    assert_eq!(connections[1], connections[9]);
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_examined_node_by_node_and_not_taken_for_a_single_server() {
    let cluster = servers::cluster().url();
    let diagnosis = examine(&[("REDIS_URL", cluster)]).await;
    expect(&diagnosis, "redis.topology", Severity::Ok, "cluster");
    expect(&diagnosis, "redis.eviction", Severity::Ok, "noeviction");
    let node = cluster.replace("redis+cluster", "redis");
    let single = node.split(',').next().unwrap();
    let diagnosis = examine(&[("REDIS_URL", single)]).await;
    expect(&diagnosis, "redis.topology", Severity::Error, "redis+cluster://");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named() {
    let mut redis = RedisServer::start_with_clock();
    redis.move_clock(-600);
    let diagnosis = examine(&[("REDIS_URL", redis.url())]).await;
    expect(&diagnosis, "clock.skew", Severity::Error, "behind");
}

#[tokio::test]
async fn a_shop_tells_what_is_wrong_with_key_and_address() {
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let examine_with = async |server: &QloAppsSimulator, key: &str| {
        examine(&[("PMS_BASE_URL", server.url()), ("PMS_API_KEY", key)]).await
    };
    server.hide(&["hotel_ari", "order_histories"]);
    let diagnosis = examine_with(&server, QloAppsSimulator::KEY).await;
    expect(&diagnosis, "pms.permissions", Severity::Error, "hotel_ari");
    server.hide(&[]);
    let diagnosis = examine_with(&server, "wr0ng-Word").await;
    expect(&diagnosis, "pms.key", Severity::Error, "PMS_API_KEY");
    for (status, body, code) in [
        (
            503,
            r#"{"errors":[{"code":22,"message":"no"}]}"#,
            "pms.switched_off",
        ),
        (302, "", "pms.address"),
        (404, "<html>nginx</html>", "pms.address"),
    ] {
        let server = QloAppsSimulator::start(SystemClock::shared()).await;
        let body = body.to_owned();
        server.script(SimulatedCall::Read, &SimulatedFault::Instead { status, body }, 50);
        let diagnosis = examine_with(&server, QloAppsSimulator::KEY).await;
        expect(&diagnosis, code, Severity::Error, "");
    }
}
