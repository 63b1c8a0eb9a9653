//! The service request by request: in memory and on real servers; and as a program.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test, which fails loudly"
)]

mod support;

use axum::body::Body;
use axum::http::Request;
use axum_service::receptionist::{
    A_COLLEAGUE, BOOKING_FLAG, CANCELLED, HOW_TO_ASK, NO_HOTEL, NO_SUCH_NIGHTS,
};
use axum_service::watching;
use posada::auth::{NewUser, Role, SignIn};
use posada::{IdempotencyKey, PosadaBuilder, TenantId};
use posada_tests::{servers, unique};
use serde_json::{Value, json};
use support::asked::{Asked, in_memory, on_servers};
use support::{PASSWORD, Program, SECRET, notification, number, signature, wamid};

async fn a_hotel_is_added(asked: &Asked, admin: &str, hotel: &str, to: &str) {
    let tenants = "/api/admin/tenants";
    let tenant = json!({"tenant_id": hotel, "name": "Hotel Test", "status": "active"});
    assert_eq!(
        asked
            .ask("POST", tenants, "garbage", tenant.clone())
            .await
            .0
            .as_u16(),
        403
    );
    let (created, stored) = asked.ask("POST", tenants, admin, tenant.clone()).await;
    assert_eq!(
        (created.as_u16(), &stored["id"], &stored["status"]),
        (201, &json!(hotel), &json!("active"))
    );
    assert_eq!(asked.ask("POST", tenants, admin, tenant).await.0.as_u16(), 409);
    let (_, all) = asked.ask("GET", tenants, admin, Value::Null).await;
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|tenant| tenant["id"] == json!(hotel))
    );
    let (wrong, _) = asked
        .ask(
            "POST",
            tenants,
            admin,
            json!({"tenant_id": hotel, "nam": "Hotel"}),
        )
        .await;
    assert_eq!(wrong.as_u16(), 422);
    let wanted = json!({"identifier": format!("+{to}"), "channel": "whatsapp"});
    let (added, identifier) = asked
        .ask("POST", &format!("{tenants}/{hotel}/identifiers"), admin, wanted)
        .await;
    assert_eq!(
        (added.as_u16(), &identifier["canonical"]),
        (201, &json!(format!("+{to}")))
    );
}

async fn a_guest_books(asked: &Asked, admin: &str, hotel: &str, to: &str) {
    let guest = number(2);
    let id = |place: &str| wamid(&format!("{hotel}{place}"));
    assert_eq!(asked.write(&id("a"), &guest, &number(3), "hello").await, NO_HOTEL);
    assert_eq!(asked.write(&id("b"), &guest, to, "hello").await, HOW_TO_ASK);
    let half = notification(&id("c"), &guest, to, "half of an emoji HERE").to_string();
    assert_eq!(asked.post(&half.replace("HERE", r"\ud83d")).await, HOW_TO_ASK);
    let wish = "book 2027-03-10 2027-03-12 for 2";
    assert_eq!(asked.write(&id("d"), &guest, to, wish).await, A_COLLEAGUE);
    let switch = format!("/api/admin/tenants/{hotel}/flags/{BOOKING_FLAG}");
    assert_eq!(
        asked.ask("PUT", &switch, admin, json!(true)).await.0.as_u16(),
        204
    );
    assert_eq!(
        asked
            .ask("PUT", &switch, admin, json!("perhaps"))
            .await
            .0
            .as_u16(),
        422
    );
    let booked = asked.write(&id("e"), &guest, to, wish).await;
    assert!(booked.starts_with("Booked: "), "{booked}");
    assert_eq!(asked.write(&id("e"), &guest, to, wish).await, booked);
    let reversed = "book 2027-03-12 2027-03-10 for 2";
    assert_eq!(asked.write(&id("f"), &guest, to, reversed).await, NO_SUCH_NIGHTS);

    let key = IdempotencyKey::of("whatsapp", &id("e")).unwrap();
    let booking = asked.posada.pms().find_booking(&key).await.unwrap().unwrap();
    asked.posada.pms().cancel(booking.id).await.unwrap();
    assert_eq!(asked.write(&id("e"), &guest, to, wish).await, CANCELLED);

    let forged = Request::post("/webhooks/whatsapp").header("x-hub-signature-256", signature("{}"));
    let body = notification(&id("g"), &guest, to, wish).to_string();
    assert_eq!(
        asked
            .send(forged.body(Body::from(body)).unwrap())
            .await
            .0
            .as_u16(),
        403
    );
    assert_eq!(
        asked
            .ask("GET", "/health/ready", "", Value::Null)
            .await
            .0
            .as_u16(),
        200
    );
}

async fn from_the_first_sign_in_to_a_booking(posada: PosadaBuilder) {
    let asked = Asked::on(posada).await;
    let (refused, told) = asked.sign_in("admin", "a guess").await;
    assert_eq!(
        (refused.as_u16(), &told["code"]),
        (401, &json!("auth.bad_credentials"))
    );
    let (_, tokens) = asked.sign_in("admin", PASSWORD).await;
    let (_, tokens) = asked
        .ask(
            "POST",
            "/admin/refresh",
            "",
            json!({"refresh_token": tokens["refresh_token"]}),
        )
        .await;
    let admin = tokens["access_token"].as_str().unwrap();
    let (_, me) = asked.ask("GET", "/admin/me", admin, Value::Null).await;
    assert_eq!(
        (&me["role"], &me["is_superuser"]),
        (&json!("admin"), &json!(true))
    );

    let (hotel, to) = (unique("hotel"), number(1));
    a_hotel_is_added(&asked, admin, &hotel, &to).await;
    a_guest_books(&asked, admin, &hotel, &to).await;
    let signed_out = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(
        asked
            .ask("POST", "/admin/logout", "", signed_out)
            .await
            .0
            .as_u16(),
        204
    );
    let (ended, told) = asked.ask("GET", "/api/admin/tenants", admin, Value::Null).await;
    assert_eq!(
        (ended.as_u16(), &told["code"]),
        (403, &json!("auth.session_ended"))
    );
    asked.posada.close().await.unwrap();
}

#[tokio::test]
async fn from_the_first_sign_in_to_a_booking_in_memory() {
    from_the_first_sign_in_to_a_booking(in_memory()).await;
}

#[tokio::test]
async fn from_the_first_sign_in_to_a_booking_on_servers() {
    from_the_first_sign_in_to_a_booking(on_servers(servers::redis().url())).await;
}

async fn support_reads_any_hotel_and_hotels_only_their_own(posada: PosadaBuilder) {
    let asked = Asked::on(posada).await;
    let (hotel, other, to, guest) = (unique("hotel"), unique("hotel"), number(4), number(5));
    let tenants = asked.posada.tenants();
    for name in [&hotel, &other] {
        tenants
            .create(serde_json::from_value(json!({"tenant_id": name, "name": "Hotel Test"})).unwrap())
            .await
            .unwrap();
    }
    let id: TenantId = hotel.parse().unwrap();
    tenants
        .add_identifier(&id, &format!("+{to}"), None)
        .await
        .unwrap();
    asked.write(&wamid(&hotel), &guest, &to, "is there a pool?").await;
    let token = async |role: Role, tenant: Option<&str>| {
        let name = unique("user");
        let new = NewUser::new(&name, &format!("{name}@example.com"), PASSWORD)
            .unwrap()
            .role(role);
        let tenant: Option<TenantId> = tenant.map(|tenant| tenant.parse().unwrap());
        asked
            .posada
            .auth()
            .create_user(new.tenant(tenant.as_ref()))
            .await
            .unwrap();
        asked
            .posada
            .auth()
            .login(&SignIn::new(&name, PASSWORD))
            .await
            .unwrap()
            .access
    };
    let (_, tokens) = asked.sign_in("admin", PASSWORD).await;
    let support = tokens["access_token"].as_str().unwrap();
    let own = token(Role::Manager, Some(&hotel)).await;
    let stranger = token(Role::Admin, Some(&other)).await;
    let (path, who) = (
        format!("/api/support/tenants/{hotel}/conversations"),
        json!({"guest": guest}),
    );
    let (read, conversation) = asked.ask("POST", &path, support, who.clone()).await;
    assert_eq!(read.as_u16(), 200, "{conversation}");
    let said: Vec<_> = conversation["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| &turn["content"])
        .collect();
    assert_eq!(said, [&json!("is there a pool?"), &json!(HOW_TO_ASK)]);
    assert_eq!(asked.ask("POST", &path, &own, who.clone()).await.1, conversation);
    let (refused, told) = asked.ask("POST", &path, &stranger, who).await;
    assert_eq!((refused.as_u16(), &told["code"]), (403, &json!("auth.forbidden")));
    let nobody = json!({"guest": number(6)});
    assert_eq!(asked.ask("POST", &path, support, nobody).await.0.as_u16(), 404);
    asked.posada.close().await.unwrap();
}

#[tokio::test]
async fn support_reads_any_hotel_and_hotels_only_their_own_in_memory() {
    support_reads_any_hotel_and_hotels_only_their_own(in_memory()).await;
}

#[tokio::test]
async fn support_reads_any_hotel_and_hotels_only_their_own_on_servers() {
    support_reads_any_hotel_and_hotels_only_their_own(on_servers(servers::redis().url())).await;
}

#[tokio::test]
async fn a_flag_that_is_thrown_is_news_for_operators() {
    let asked = Asked::on(in_memory()).await;
    let (_, tokens) = asked.sign_in("admin", PASSWORD).await;
    let admin = tokens["access_token"].as_str().unwrap();
    let thrown = async {
        // The watch has begun when it was polled once, which `join` does first.
        asked
            .posada
            .flags()
            .set(None, "chat.enabled", true)
            .await
            .unwrap();
        while asked.service.news.read().is_empty() {
            tokio::task::yield_now().await;
        }
        let (_, news) = asked.ask("GET", "/api/admin/news", admin, Value::Null).await;
        asked.posada.close().await.unwrap();
        news
    };
    let ((), news) = tokio::join!(watching::watch(&asked.posada, &asked.service.news), thrown);
    let what = json!({"what": "changed", "flag": "chat.enabled", "tenant": null, "missed": 0});
    assert_eq!(news, json!([{"about": "flags", "what": what}]));
}

#[tokio::test]
async fn the_program_serves_until_it_is_told_to_stop() {
    let program = Program::start(&[("ADMIN_PASSWORD", PASSWORD), ("WHATSAPP_APP_SECRET", SECRET)]);
    let address = program.address.clone();
    let ready = support::ask(&address, "GET", "/health/ready", &[], "")
        .await
        .unwrap();
    assert_eq!((ready.status, &ready.body["status"]), (200, &json!("healthy")));
    let body = notification(&wamid("program"), &number(7), &number(8), "hello").to_string();
    let signed = [("X-Hub-Signature-256", signature(&body))];
    let signed = [(signed[0].0, signed[0].1.as_str())];
    let told = support::ask(&address, "POST", "/webhooks/whatsapp", &signed, &body)
        .await
        .unwrap();
    assert_eq!(told.body, json!({"replies": [NO_HOTEL]}));
    let unsigned = support::ask(&address, "POST", "/webhooks/whatsapp", &[], &body)
        .await
        .unwrap();
    assert_eq!(unsigned.status, 403);
    let page = support::ask(&address, "GET", "/metrics", &[], "").await.unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(program.stop(), Some(0));
}
