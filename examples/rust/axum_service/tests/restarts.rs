//! Guests who write and book while the service is killed and started again: everything that was acknowledged is in the
//! conversation, every message is decided once, and no room is sold twice. The hotel's system is a simulated QloApps.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test whose guests are tasks of their own and whose hotel has the real calendar; it fails loudly"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum_service::receptionist::{BOOKING_FLAG, JUST_TAKEN};
use posada::chrono::Days;
use posada::clock::{Clock as _, SystemClock};
use posada::settings::Secret;
use posada::testkit::qloapps::QloAppsSimulator;
use posada::{Posada, Settings, TenantId};
use posada_tests::{servers, unique};
use serde_json::{Value, json};
use support::{KEY, PASSWORD, Program, SECRET, ask, notification, number, signature, wamid};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Who wants one of the twenty rooms in each of two weekends.
const GUESTS: usize = 48;
/// After so many replies the program is killed.
const KILLED_AFTER: [usize; 3] = [20, 60, 100];

/// A guest, whose phone is patient.
struct Phone {
    hotel: String,
    to: String,
    address: watch::Receiver<String>,
    replied: watch::Sender<usize>,
}

impl Phone {
    /// Sends a message again and again, until it is answered 200.
    async fn deliver(&self, body: &str) -> String {
        let signature = signature(body);
        let mut address = self.address.clone();
        loop {
            let now = address.borrow_and_update().clone();
            let headers = [("X-Hub-Signature-256", signature.as_str())];
            match ask(&now, "POST", "/webhooks/whatsapp", &headers, body).await {
                Ok(answer) if answer.status == 200 => {
                    self.replied.send_modify(|count| *count += 1);
                    return answer.body["replies"][0].as_str().unwrap().to_owned();
                }
                Ok(answer) => assert!(matches!(answer.status, 409 | 429 | 500..), "{answer:?}"),
                // The program is gone: the next one has another address.
                Err(_) => drop(address.changed().await),
            }
        }
    }

    /// Greets, books a weekend, asking again while others are faster, and thanks. Answers what was sent, and the replies.
    async fn guest(&self, place: usize, weekends: [String; 2]) -> Vec<(String, String)> {
        let (sender, wish) = (number(100 + place), &weekends[place % 2]);
        let mut told = Vec::new();
        for text in ["hello", wish, "thank you"] {
            loop {
                let id = wamid(&format!("{}{place}x{}", self.hotel, told.len()));
                let body = notification(&id, &sender, &self.to, text).to_string();
                let reply = self.deliver(&body).await;
                told.push((id, reply.clone()));
                if reply != JUST_TAKEN {
                    break;
                }
            }
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_lose_nothing_while_the_service_is_killed_and_started_again() {
    let (hotel, to) = (unique("hotel"), number(9));
    let system = QloAppsSimulator::start(SystemClock::shared()).await;
    let database = servers::postgres().create_database(&unique("axum"));
    let redis = servers::redis().url();
    let posada = set_up(&hotel, &to, &database, redis).await;
    let start = || {
        Program::start(&[
            ("DATABASE_URL", &database),
            ("REDIS_URL", redis),
            ("SECRET_KEY", KEY),
            ("ADMIN_PASSWORD", PASSWORD),
            ("WHATSAPP_APP_SECRET", SECRET),
            ("WEBHOOK_LIMIT", "100000/minute"),
            ("PMS_BASE_URL", system.url()),
            ("PMS_API_KEY", QloAppsSimulator::KEY),
            ("POSADA_PMS_MAX_RATE", "10000"),
            ("RUST_LOG", "info"),
        ])
    };
    let mut program = start();
    let (tell, address) = watch::channel(program.address.clone());
    let (replied, mut count) = watch::channel(0);
    let phone = Arc::new(Phone {
        hotel: hotel.clone(),
        to,
        address,
        replied,
    });
    let weekends = weekends();
    let mut guests = JoinSet::new();
    for place in 0..GUESTS {
        let (phone, weekends) = (phone.clone(), weekends.clone());
        guests.spawn(async move { (place, phone.guest(place, weekends).await) });
    }
    for enough in KILLED_AFTER {
        count.wait_for(|replied| *replied >= enough).await.unwrap();
        drop(program);
        program = start();
        tell.send_replace(program.address.clone());
    }
    let told = guests.join_all().await;

    let tenant: TenantId = hotel.parse().unwrap();
    let mut references = BTreeSet::new();
    for (place, told) in &told {
        let session = posada
            .sessions()
            .get(&tenant, &number(100 + place))
            .await
            .unwrap()
            .unwrap();
        let history = serde_json::to_value(&session.document).unwrap()["history"].clone();
        let turn = |turn: &Value| {
            (
                turn["id"].as_str().unwrap().to_owned(),
                turn["content"].as_str().unwrap().to_owned(),
            )
        };
        let turns: Vec<_> = history.as_array().unwrap().iter().map(turn).collect();
        // A conversation keeps its last fifty turns: a message, its reply, and so on.
        let wanted = told
            .iter()
            .flat_map(|(id, _)| [id.clone(), format!("{id}:reply")]);
        let wanted: Vec<_> = wanted.collect();
        let ids: Vec<_> = turns.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, wanted[wanted.len().saturating_sub(50)..], "guest {place}");
        for (id, reply) in told {
            let kept = turns.iter().find(|(kept, _)| *kept == format!("{id}:reply"));
            assert!(
                kept.is_none_or(|(_, kept)| kept == reply),
                "guest {place}: {reply}"
            );
            if let Some((_, reference)) = reply.split_once("reference ") {
                assert!(
                    references.insert(reference.to_owned()),
                    "{reference} was told twice"
                );
            }
        }
    }
    assert_eq!(references.len(), 40, "{told:?}");
    assert_eq!((system.bookings(), system.double_booked_nights()), (40, 0));
    assert_eq!(program.stop(), Some(0));
    posada.close().await.unwrap();
}

/// A hotel whose receptionist may book.
async fn set_up(hotel: &str, to: &str, database: &str, redis: &str) -> Posada {
    let settings = Settings::builder()
        .postgres_url(database)
        .redis_url(redis)
        .secret_key(Secret::new(KEY));
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    posada.migrate().await.unwrap();
    let new = json!({"tenant_id": hotel, "name": "Hotel Test"});
    let tenant = posada
        .tenants()
        .create(serde_json::from_value(new).unwrap())
        .await
        .unwrap();
    posada
        .tenants()
        .add_identifier(&tenant.id, &format!("+{to}"), None)
        .await
        .unwrap();
    posada.flags().set(&tenant.id, BOOKING_FLAG, true).await.unwrap();
    posada
}

/// Two wishes for two nights each, some weeks from now.
fn weekends() -> [String; 2] {
    let today = SystemClock.now().date_naive();
    [30, 60].map(|days| {
        let arrival = today + Days::new(days);
        let departure = arrival + Days::new(2);
        format!("book {arrival} {departure} for 2")
    })
}
