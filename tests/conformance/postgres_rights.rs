//! Rights in Postgres: what a data API must not reach, and what this role must not miss.

use posada::auth::SignIn;
use posada::doctor::{Diagnosis, Severity};
use posada::error::codes;
use posada::health::Check;
use posada::settings::{Pooling, SettingsBuilder};
use posada::{Error, Posada, Settings, TenantId};
use posada_tests::{PgBouncer, PostgresServer};

const L1: &str = include_str!("../vectors/schema/l1.sql");
const L2: &str = include_str!("../vectors/schema/l2.sql");
const L3: &str = include_str!("../vectors/schema/l3.sql");
const KEY: &str = "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3X";

/// Supabase's roles, Neon's, and a role of a backend, which all get rights on whatever is made in `public`.
const DATA_API: &str = "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE anonymous; \
     CREATE ROLE service_role BYPASSRLS; CREATE ROLE clerk LOGIN PASSWORD 'wr0ng-Word'; \
     GRANT clerk TO CURRENT_USER";
const BY_DEFAULT: &str = "ALTER DEFAULT PRIVILEGES IN SCHEMA public \
     GRANT ALL ON TABLES TO anon, authenticated, anonymous, service_role, clerk; \
     ALTER DEFAULT PRIVILEGES IN SCHEMA public \
     GRANT ALL ON SEQUENCES TO anon, authenticated, anonymous, service_role, clerk; \
     ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon";
/// How many of the six tables and their sequences a role may use in any way.
const REACHED: &str = "SELECT rolname, \
     (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN \
     ('lock_audit', 'password_history', 'tenant_user_identifiers', 'tenants', 'user_sessions', 'users') \
     AND (has_table_privilege(rolname, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') \
     OR has_any_column_privilege(rolname, oid, 'SELECT, INSERT, UPDATE, REFERENCES'))), \
     (SELECT count(*) FROM pg_class WHERE relname <> 'mine_id_seq' AND relnamespace = 'public'::regnamespace \
     AND CASE WHEN relkind = 'S' THEN has_sequence_privilege(rolname, oid, 'USAGE, SELECT, UPDATE') END) \
     FROM pg_roles WHERE rolname IN ('anon', 'anonymous', 'authenticated', 'clerk', 'service_role') ORDER BY 1";
const CLOSED: &str = "anon|0|0\nanonymous|0|0\nauthenticated|0|0\nclerk|6|4\nservice_role|6|4";

fn settings(url: &str) -> SettingsBuilder {
    Settings::builder().postgres_url(url).secret_key(KEY)
}

fn on(settings: SettingsBuilder) -> Posada {
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

async fn migrate(url: &str) {
    let posada = on(settings(url));
    posada.migrate().await.unwrap();
    posada.close().await.unwrap();
}

async fn examine(url: &str) -> Diagnosis {
    let posada = on(settings(url));
    let diagnosis = posada.doctor().await;
    posada.close().await.unwrap();
    diagnosis
}

fn severity(diagnosis: &Diagnosis, code: &str) -> Severity {
    diagnosis
        .finding(code)
        .unwrap_or_else(|| panic!("{diagnosis}"))
        .severity
}

/// The SQL of a remedy: from the first word in capitals that begins a statement.
fn sql(diagnosis: &Diagnosis, code: &str, begins: &str) -> String {
    let remedy = diagnosis.finding(code).unwrap().remedy.clone().unwrap();
    let start = remedy.find(begins).unwrap_or_else(|| panic!("{remedy}"));
    let end = remedy.rfind(';').unwrap();
    remedy[start..=end].to_owned()
}

#[tokio::test]
async fn a_data_api_reaches_no_table_of_ours_on_any_layout_and_other_roles_keep_their_rights() {
    let server = PostgresServer::start();
    server.execute(DATA_API);
    for (name, layout) in [("empty", "SELECT 1"), ("l1", L1), ("l2", L2), ("l3", L3)] {
        for way in ["migrated", "pasted"] {
            let database = format!("{name}_{way}");
            let url = server.create_database(&database);
            server.execute_in(&database, BY_DEFAULT);
            server.execute_in(&database, layout);
            server.execute_in(&database, "CREATE TABLE mine (id serial)");
            if way == "migrated" {
                migrate(&url).await;
            } else {
                server.execute_in(&database, &Posada::schema_sql());
            }
            let reached = server.execute_in(&database, REACHED);
            // Other layouts bring tables of others with sequences of their own.
            let of_ours = |text: &str| -> Vec<String> {
                let lines = text.lines().take(3);
                lines
                    .map(|line| line.rsplit_once('|').unwrap().0.to_owned())
                    .collect()
            };
            assert_eq!(of_ours(&reached), of_ours(CLOSED), "{database}");
            if name == "empty" {
                assert_eq!(reached, CLOSED, "{database}");
            }
            let mine = "SELECT has_table_privilege('anon', 'mine', 'SELECT'), \
                        has_table_privilege('anon', 'posada.lock_fence', 'SELECT')";
            assert_eq!(server.execute_in(&database, mine), "t|f", "{database}");
        }
    }
}

#[tokio::test]
async fn what_was_granted_since_is_revoked_by_the_next_run_and_until_then_the_doctor_has_the_sql() {
    let server = PostgresServer::start();
    server.execute(DATA_API);
    let url = server.create_database("hotel");
    migrate(&url).await;
    let healthy = examine(&url).await;
    assert_eq!(severity(&healthy, "postgres.data_api"), Severity::Ok, "{healthy}");
    let grants = [
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated; \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO anon",
        "GRANT SELECT (hashed_password), UPDATE (is_superuser) ON users TO anonymous",
        "GRANT SELECT ON users TO authenticated WITH GRANT OPTION; \
         SET ROLE authenticated; GRANT SELECT ON users TO anon",
        "GRANT USAGE ON SCHEMA posada TO anon; GRANT INSERT ON posada.lock_fence TO anon",
    ];
    for grant in grants {
        server.execute_in("hotel", grant);
        let open = examine(&url).await;
        assert_eq!(severity(&open, "postgres.data_api"), Severity::Error, "{open}");
        migrate(&url).await;
        let closed = examine(&url).await;
        assert_eq!(
            severity(&closed, "postgres.data_api"),
            Severity::Ok,
            "{grant}: {closed}"
        );
    }
    // What was not given to these roles by name may be what another role works by: only the doctor speaks of it.
    let by_others = [
        "GRANT SELECT ON users, tenants TO PUBLIC",
        "CREATE ROLE \"Web users\"; GRANT SELECT ON users TO \"Web users\"; GRANT \"Web users\" TO anon",
    ];
    for grant in grants.into_iter().chain(by_others) {
        server.execute_in("hotel", grant);
        let open = examine(&url).await;
        let remedy = sql(&open, "postgres.data_api", "REVOKE");
        server.execute_in("hotel", &remedy);
        let closed = examine(&url).await;
        assert_eq!(
            severity(&closed, "postgres.data_api"),
            Severity::Ok,
            "{remedy}: {closed}"
        );
    }
    server.execute_in(
        "hotel",
        "CREATE VIEW public.staff AS SELECT username, email FROM users; GRANT SELECT ON public.staff TO anon",
    );
    let viewed = examine(&url).await;
    assert_eq!(
        severity(&viewed, "postgres.data_api"),
        Severity::Warning,
        "{viewed}"
    );
    server.execute_in("hotel", "ALTER VIEW public.staff SET (security_invoker = on)");
    let viewed = examine(&url).await;
    assert_eq!(severity(&viewed, "postgres.data_api"), Severity::Ok, "{viewed}");
}

/// A server with one hotel, one guest and a role `clerk` that may do everything and is bound by policies.
async fn hotel() -> (PostgresServer, String) {
    let server = PostgresServer::start();
    server.execute(DATA_API);
    let owner = server.create_database("hotel");
    migrate(&owner).await;
    server.execute_in(
        "hotel",
        "INSERT INTO tenants (tenant_id, name) VALUES ('hotel-centro', 'Hotel Centro'), ('default', 'Default'); \
         INSERT INTO tenant_user_identifiers (tenant_id, identifier) \
             SELECT id, '+5491112345678' FROM tenants WHERE tenant_id = 'hotel-centro'; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk; \
         GRANT USAGE ON SCHEMA posada TO clerk; \
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA posada TO clerk",
    );
    let clerk = format!("postgres://clerk:wr0ng-Word@{}/hotel", server.address());
    (server, clerk)
}

fn as_clerk(url: &str, pooling: Pooling) -> Posada {
    let default = TenantId::parse("default").unwrap();
    on(settings(url).postgres_pooler(pooling).default_tenant(default))
}

/// Every question fails for this very reason.
async fn assert_blind(posada: &Posada, note: &str) {
    let tenants = posada.tenants();
    let id = TenantId::parse("hotel-centro").unwrap();
    let attempt = SignIn::new("ana", "el loro pinta mapas de cobre");
    let errors: [(&str, Option<Error>); 5] = [
        ("resolve", tenants.resolve("+5491199999999", None).await.err()),
        ("list", tenants.list().await.err()),
        ("get", tenants.get(&id).await.err()),
        ("login", posada.auth().login(&attempt).await.err()),
        ("suspend", tenants.suspend(&id).await.err()),
    ];
    for (what, error) in errors {
        let error = error.unwrap_or_else(|| panic!("{note}: {what} succeeds"));
        assert!(error.is(codes::POSTGRES_ROW_SECURITY), "{note}: {what}: {error}");
    }
}

#[tokio::test]
async fn no_answer_is_made_of_rows_that_row_level_security_may_hide() {
    let (server, clerk) = hotel().await;
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let posada = as_clerk(&clerk, pooling);
        // Open and prepared connections notice it as well.
        let known = posada.tenants().resolve("+5491112345678", None).await.unwrap();
        assert_eq!(
            known.tenant().map(|tenant| tenant.id.as_str()),
            Some("hotel-centro")
        );
        posada.tenants().list().await.unwrap();
        let all = "tenants, tenant_user_identifiers, users, user_sessions, password_history, lock_audit";
        for table in all.split(", ") {
            server.execute_in("hotel", &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"));
        }
        assert_blind(&posada, "switched on").await;
        let health = posada.health().await;
        assert_eq!(health.postgres, Check::Error("postgres.row_security"));
        let started = Posada::connect(settings(&clerk).build().unwrap()).await;
        let refused = started.map(|_| ()).unwrap_err();
        assert!(refused.is(codes::POSTGRES_ROW_SECURITY), "{refused}");
        server.execute_in(
            "hotel",
            "CREATE POLICY every_row ON tenants TO clerk USING (true)",
        );
        let refused = posada.tenants().list().await.unwrap_err();
        assert!(refused.is(codes::POSTGRES_ROW_SECURITY), "{refused}");
        server.execute_in("hotel", "DROP POLICY every_row ON tenants");
        assert_blind(&as_clerk(&clerk, pooling), "on from the start").await;
        for table in all.split(", ") {
            server.execute_in(
                "hotel",
                &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
            );
        }
        assert_eq!(posada.tenants().list().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn behind_a_pooler_and_for_an_owner_on_whom_it_is_forced_the_same_holds() {
    let (server, clerk) = hotel().await;
    server.execute_in("hotel", "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY");
    let pooler = PgBouncer::start(&server, 2);
    // The pooler knows one user; the role is bound because it is the owner's, with FORCE.
    server.execute_in(
        "hotel",
        "ALTER TABLE tenants FORCE ROW LEVEL SECURITY; ALTER TABLE tenants OWNER TO clerk",
    );
    let forced = as_clerk(&clerk, Pooling::Session);
    let refused = forced.tenants().list().await.unwrap_err();
    assert!(refused.is(codes::POSTGRES_ROW_SECURITY), "{refused}");
    let diagnosis = examine(&clerk).await;
    assert_eq!(
        severity(&diagnosis, "postgres.row_security"),
        Severity::Error,
        "{diagnosis}"
    );
    server.execute_in("hotel", &sql(&diagnosis, "postgres.row_security", "ALTER TABLE"));
    assert_eq!(forced.tenants().list().await.unwrap().len(), 2);
    // A superuser is bound by nothing, through the pooler either.
    let through = on(settings(&pooler.url("hotel")));
    assert_eq!(through.tenants().list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_doctor_names_the_tables_and_its_remedy_helps() {
    let (server, clerk) = hotel().await;
    let open = examine(&clerk).await;
    assert_eq!(severity(&open, "postgres.row_security"), Severity::Ok, "{open}");
    server.execute_in(
        "hotel",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE posada.lock_fence ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE posada.migrations ENABLE ROW LEVEL SECURITY",
    );
    for pooler in ["", "?pgbouncer=true"] {
        let bound = examine(&format!("{clerk}{pooler}")).await;
        let finding = bound.finding("postgres.row_security").unwrap();
        assert_eq!(finding.severity, Severity::Error, "{bound}");
        for table in ["public.users", "posada.lock_fence", "posada.migrations"] {
            assert!(finding.seen.contains(table), "{finding}");
        }
        assert!(!finding.seen.contains("tenants"), "{finding}");
    }
    let bound = examine(&clerk).await;
    server.execute_in("hotel", &sql(&bound, "postgres.row_security", "ALTER ROLE"));
    let free = examine(&clerk).await;
    assert_eq!(severity(&free, "postgres.row_security"), Severity::Ok, "{free}");
    let refused = as_clerk(&clerk, Pooling::Session)
        .auth()
        .login(&SignIn::new("ana", "el loro pinta mapas de cobre"))
        .await
        .unwrap_err();
    assert!(refused.is(codes::AUTH_BAD_CREDENTIALS), "{refused}");
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_is_told_the_grants_and_they_are_enough() {
    let server = PostgresServer::start();
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'wr0ng-Word'");
    server.create_database("hotel");
    let clerk = format!("postgres://clerk:wr0ng-Word@{}/hotel", server.address());
    let posada = on(settings(&clerk));
    let refused = posada.migrate().await.unwrap_err();
    assert!(refused.is(codes::POSTGRES_REFUSED), "{refused}");
    assert!(refused.message().contains("CREATE"), "{refused}");
    let diagnosis = posada.doctor().await;
    let grants = sql(&diagnosis, "postgres.tables", "GRANT");
    assert!(
        grants.contains("ON SCHEMA \"public\"") && grants.contains("ON DATABASE \"hotel\""),
        "{grants}"
    );
    server.execute_in("hotel", &grants);
    posada.migrate().await.unwrap();
    let diagnosis = posada.doctor().await;
    assert_eq!(
        severity(&diagnosis, "postgres.tables"),
        Severity::Ok,
        "{diagnosis}"
    );
    posada.close().await.unwrap();
}
