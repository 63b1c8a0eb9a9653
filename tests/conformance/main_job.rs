//! The main job, end to end: a guest's message becomes a booked room, with its audit written.

use posada::error::codes;
use posada::flags::Context;
use posada::locks::{Resource, StayHold};
use posada::pms::{BookingRequest, BookingStatus, Guest, HoldProof, HotelId, Occupancy};
use posada::tenants::{Channel, NewTenant, Resolution};
use posada::{IdempotencyKey, Posada, Settings, Stay};
use posada_tests::{PostgresServer, servers, unique};

/// A guest's message on its whole way. Answers the key of the hold's audit.
async fn a_guest_books(posada: &Posada) -> String {
    let slug = unique("hotel");
    let tenant = posada
        .tenants()
        .create(NewTenant::new(&slug, "Hotel Test").unwrap())
        .await
        .unwrap();
    let digits: String = slug.chars().filter(char::is_ascii_digit).collect();
    let number = format!("+54911{:0>8}", &digits[digits.len().saturating_sub(8)..]);
    posada
        .tenants()
        .add_identifier(&tenant.id, &number, Channel::WhatsApp)
        .await
        .unwrap();

    let resolution = posada
        .tenants()
        .resolve(&number[1..], Channel::WhatsApp)
        .await
        .unwrap();
    let Resolution::Found { tenant, .. } = resolution else {
        panic!("{}", resolution.as_str())
    };
    assert_eq!(tenant.id.as_str(), slug);

    let mut session = posada
        .sessions()
        .get_or_create(&tenant.id, "5491187654321", "whatsapp")
        .await
        .unwrap();
    session.document.set(["context", "last_intent"], "book").unwrap();
    posada.sessions().save(&mut session).await.unwrap();

    posada
        .flags()
        .set(&tenant.id, "canary.enabled", true)
        .await
        .unwrap();
    assert!(
        posada
            .flags()
            .is_enabled("canary.enabled", &Context::new().tenant(&tenant.id))
    );

    let (hotel, stay) = (HotelId::from(1), Stay::parse("2027-03-10", "2027-03-12").unwrap());
    let guests = || Occupancy::new(2, &[]).unwrap();
    let offers = posada
        .pms()
        .availability(hotel, stay, guests(), None)
        .await
        .unwrap()
        .offers;
    let nights = StayHold::new(Resource::room_type(&hotel, &offers[0].room_type), stay)
        .tenant(&tenant.id)
        .capacity(offers[0].available);
    let hold = posada
        .locks()
        .hold_stay(&nights.clone().session_id(session.id()))
        .await
        .unwrap();
    let greedy = nights.session_id("somebody else").quantity(offers[0].available);
    let refused = posada.locks().hold_stay(&greedy).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NIGHTS_TAKEN), "{refused}");

    let guest = Guest::new("Ana", "Pérez", "ana@example.com", "+5491187654321").unwrap();
    let key = IdempotencyKey::parse(&slug).unwrap();
    let request = BookingRequest::new(hotel, offers[0].room_type, stay, guests(), guest, key);
    let booking = posada
        .pms()
        .book(&request, Some(&HoldProof::from(&hold)))
        .await
        .unwrap();
    assert_eq!(booking.status, BookingStatus::Confirmed);

    hold.extend(None).await.unwrap();
    hold.release().await.unwrap();
    hold.audit_key()
}

async fn on(postgres: &str, redis: &str) -> Posada {
    let settings = Settings::builder()
        .postgres_url(postgres)
        .redis_url(redis)
        .build()
        .unwrap();
    let posada = Posada::connect(settings).await.unwrap();
    posada.migrate().await.unwrap();
    posada
}

/// Runs the job, closes the handle, and looks at what is left in the database.
async fn books_and_leaves_an_audit(postgres: &str, database: &str, server: &PostgresServer, redis: &str) {
    let posada = on(postgres, redis).await;
    let key = a_guest_books(&posada).await;
    assert!(posada.health().await.is_healthy());
    posada.close().await.unwrap();
    let events =
        format!("SELECT string_agg(event_type, ' ' ORDER BY id) FROM lock_audit WHERE lock_key = '{key}'");
    assert_eq!(
        server.execute_in(database, &events),
        "acquired conflict extended released"
    );
    let stuck = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state LIKE 'idle in transaction%'"
    );
    assert_eq!(server.execute(&stuck), "0");
}

#[tokio::test]
async fn on_postgres_and_one_redis() {
    let (server, database) = (servers::postgres(), unique("job"));
    let url = server.create_database(&database);
    books_and_leaves_an_audit(&url, &database, server, servers::redis().url()).await;
}

#[tokio::test]
async fn behind_a_transaction_pooler_and_on_a_redis_cluster() {
    let (server, database) = (servers::postgres(), unique("job"));
    server.create_database(&database);
    let pooled = format!("{}?pgbouncer=true", servers::pgbouncer().url(&database));
    books_and_leaves_an_audit(&pooled, &database, server, servers::cluster().url()).await;
}

#[tokio::test]
async fn in_memory() {
    let posada = Posada::embedded();
    let key = a_guest_books(&posada).await;
    posada
        .locks()
        .flush_audit(std::time::Duration::from_secs(5))
        .await
        .unwrap();
    let mut events: Vec<_> = posada
        .locks()
        .audit(&key, 10)
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    events.reverse();
    assert_eq!(events, ["acquired", "conflict", "extended", "released"]);
    posada.close().await.unwrap();
    let closed = posada.sessions().get(None, "5491187654321").await.unwrap_err();
    assert!(closed.is(codes::POSADA_CLOSED), "{closed}");
}
