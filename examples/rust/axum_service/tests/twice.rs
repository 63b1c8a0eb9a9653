//! Messages that come twice: at once, and after an outage.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test, which fails loudly"
)]

mod support;

use axum_service::receptionist::CANCELLED;
use futures_util::future::join_all;
use posada::clock::SystemClock;
use posada::pms::MockPms;
use posada::testkit::Proxy;
use posada::{IdempotencyKey, PosadaBuilder, TenantId};
use posada_tests::{servers, unique};
use serde_json::{Value, json};
use support::asked::{Asked, in_memory, on_servers};
use support::{notification, number, wamid};

/// What a conversation holds: pairs of an id and what was said.
async fn history(asked: &Asked, tenant: &TenantId, guest: &str) -> Vec<(String, String)> {
    let session = asked.posada.sessions().get(tenant, guest).await.unwrap().unwrap();
    let document = serde_json::to_value(&session.document).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let turns = document["history"].as_array().unwrap().iter();
    turns
        .map(|turn| (text(&turn["id"]), text(&turn["content"])))
        .collect()
}

/// Of twenty rooms the last ones: every guest whose message came twice hears the same both times.
async fn a_message_that_comes_twice_at_once_is_decided_once(posada: PosadaBuilder) {
    let hotel = MockPms::new(SystemClock::shared()).unwrap();
    hotel.set_gap(20);
    let asked = Asked::on(posada.mock_pms(hotel.clone())).await;
    let (name, to) = (unique("hotel"), number(10));
    let tenant = asked.open_hotel(&name, &to).await;
    let message = |place: usize| (number(200 + place), wamid(&format!("{name}{place}")));
    let deliver = async |place: usize| {
        let (guest, id) = message(place);
        asked
            .write(&id, &guest, &to, "book 2027-03-10 2027-03-12 for 2")
            .await
    };
    let replies = join_all((0..44).map(|delivery| deliver(delivery / 2))).await;
    let booked = |reply: &String| reply.starts_with("Booked");
    for (place, pair) in replies.chunks(2).enumerate() {
        assert_eq!(pair[0], pair[1]);
        let (guest, id) = message(place);
        let said = history(&asked, &tenant, &guest).await;
        assert_eq!(said.len(), 2);
        assert_eq!(said[1], (format!("{id}:reply"), pair[0].clone()));
        assert_eq!(deliver(place).await, pair[0]);
    }
    let bookings = replies.iter().filter(|reply| booked(reply)).count() / 2;
    assert_eq!((hotel.bookings(), hotel.double_booked_nights()), (bookings, 0));
    let lucky = replies.chunks(2).position(|pair| booked(&pair[0])).unwrap();
    let key = IdempotencyKey::of("whatsapp", &message(lucky).1).unwrap();
    let booking = asked.posada.pms().find_booking(&key).await.unwrap().unwrap();
    asked.posada.pms().cancel(booking.id).await.unwrap();
    assert_eq!(deliver(lucky).await, CANCELLED);
    asked.posada.close().await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_twice_at_once_is_decided_once_in_memory() {
    a_message_that_comes_twice_at_once_is_decided_once(in_memory()).await;
}

#[tokio::test]
async fn a_message_that_comes_twice_at_once_is_decided_once_on_servers() {
    a_message_that_comes_twice_at_once_is_decided_once(on_servers(servers::redis().url())).await;
}

/// WhatsApp repeats whatever was not answered 200, so an outage costs time and nothing else.
#[tokio::test]
async fn a_message_during_an_outage_is_sent_again_and_kept_once() {
    let redis = Proxy::in_front_of(servers::redis().url()).await;
    let asked = Asked::on(on_servers(redis.url())).await;
    let (name, to, guest) = (unique("hotel"), number(11), number(12));
    let tenant = asked.open_hotel(&name, &to).await;
    let id = wamid(&name);
    let body = notification(&id, &guest, &to, "hello").to_string();
    redis.refuse();
    redis.reset();
    // The limiter counts in memory meanwhile, so that it is the conversation that fails.
    let (status, refused) = asked.deliver(&body).await;
    assert!(matches!(status.as_u16(), 503 | 504), "{status} {refused}");
    assert_eq!(
        refused["message"],
        json!("a server does not answer; try again later")
    );
    let (_, ready) = asked.ask("GET", "/health/ready", "", Value::Null).await;
    assert_eq!(
        (&ready["redis"], &ready["ready"]),
        (&json!("error"), &json!(false))
    );
    redis.heal();
    while asked.deliver(&body).await.0 != 200 {}
    assert_eq!(asked.deliver(&body).await.0, 200);
    let ids: Vec<_> = history(&asked, &tenant, &guest)
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, [id.clone(), format!("{id}:reply")]);
    asked.posada.close().await.unwrap();
}
