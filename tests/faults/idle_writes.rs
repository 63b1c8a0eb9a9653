//! Writes on a connection that the server closed while it was idle: every service goes through.

use std::time::Duration;

use posada::limits::RateLimit;
use posada::locks::{AcquireOptions, Resource, StayHold};
use posada::sessions::{Json, Turn};
use posada::{Posada, Settings, Stay, TenantId};
use posada_tests::{RedisServer, unique};

/// A handle whose connection has just been closed by the server, before anybody noticed.
struct Fixture {
    server: RedisServer,
    posada: Posada,
}

impl Fixture {
    async fn new() -> Self {
        let server = RedisServer::start();
        let settings = Settings::builder().redis_url(server.url()).build().unwrap();
        let posada = Posada::builder().settings(settings).build().unwrap();
        posada.flags().refresh().await.unwrap();
        Self { server, posada }
    }

    /// As a server with `timeout`, or a balancer, does. The test's only thread is busy here, so the connection does not
    /// hear of it.
    fn close_connections(&self) -> &Posada {
        self.server
            .command::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        &self.posada
    }
}

#[tokio::test]
async fn flags_are_set_and_unset() {
    let fixture = Fixture::new().await;
    let hotel = TenantId::parse("hotel-centro").unwrap();
    for tenant in [None, Some(&hotel)] {
        for value in [true, false] {
            let flags = fixture.close_connections().flags();
            flags.set(tenant, "booking.stop", value).await.unwrap();
        }
        let flags = fixture.close_connections().flags();
        assert!(flags.unset(tenant, "booking.stop").await.unwrap());
        let flags = fixture.close_connections().flags();
        assert!(!flags.unset(tenant, "booking.stop").await.unwrap());
    }
    let version: i64 = fixture.server.command(&["GET", "posada:flags:version"]);
    assert_eq!(version, 8, "each of them once");
}

#[tokio::test]
async fn conversations_are_written_and_deleted() {
    let fixture = Fixture::new().await;
    let guest = unique("5491112345678");
    let sessions = fixture.close_connections().sessions();
    let mut session = sessions.get_or_create(None, &guest, "whatsapp").await.unwrap();
    session.document.set_state("payment");
    fixture
        .close_connections()
        .sessions()
        .save(&mut session)
        .await
        .unwrap();
    let patch = Json::parse(r#"{"language": "es"}"#).unwrap();
    let sessions = fixture.close_connections().sessions();
    sessions.update(None, &guest, &patch).await.unwrap();
    let sessions = fixture.close_connections().sessions();
    sessions
        .append_turn(None, &guest, Turn::new("user", "hola"))
        .await
        .unwrap();
    assert!(
        fixture
            .close_connections()
            .sessions()
            .touch(None, &guest)
            .await
            .unwrap()
    );
    assert!(
        fixture
            .close_connections()
            .sessions()
            .delete(None, &guest)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn limits_are_counted_and_reset() {
    let fixture = Fixture::new().await;
    let limit = RateLimit::parse("5/minute").unwrap();
    for left in [4, 3] {
        let limits = fixture.close_connections().limits();
        let decision = limits.check(&limit, &["login", "203.0.113.7"]).await.unwrap();
        assert!(decision.allowed);
        assert!(decision.remaining >= left - 1, "{decision:?}");
    }
    let limits = fixture.close_connections().limits();
    limits.reset(&limit, &["login", "203.0.113.7"]).await.unwrap();
}

#[tokio::test]
async fn locks_and_holds_are_taken_and_given_back() {
    let fixture = Fixture::new().await;
    let options = AcquireOptions::new().ttl(Duration::from_secs(30));
    let guard = fixture
        .close_connections()
        .locks()
        .acquire("pms:mock:hotel:1", &options)
        .await
        .unwrap();
    fixture.close_connections();
    guard.release().await.unwrap();
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let request = StayHold::new(Resource::room("101").unwrap(), stay)
        .tenant(&TenantId::parse("hotel-centro").unwrap())
        .user_id("5491112345678");
    let hold = fixture
        .close_connections()
        .locks()
        .hold_stay(&request)
        .await
        .unwrap();
    fixture.close_connections();
    hold.extend(None).await.unwrap();
    fixture.close_connections();
    hold.release().await.unwrap();
}
