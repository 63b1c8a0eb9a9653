//! The shapes of all values, as the shared vectors have them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Posada;
use crate::auth::{Permission, Role};
use crate::flags::{Context, FlagValue};
use crate::limits::RateLimit;
use crate::locks::{LockName, Resource};
use crate::pms::{
    BookingId, BookingRequest, ChosenService, Currency, Guest, HotelId, IdempotencyKey, Money, Occupancy,
    Party, Price, Quote, RoomTypeId,
};
use crate::sessions::Document;
use crate::settings::Secret;
use crate::stay::Stay;
use crate::tenants::{
    BusinessHours, Channel, Identifier, NewTenant, Resolution, TenantId, TenantStatus, TenantUpdate,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/values/values.json")).unwrap()
}

/// Reads a value and writes it again.
type Way = fn(&Value) -> Result<Value, String>;

fn way<T: Serialize + DeserializeOwned>(given: &Value) -> Result<Value, String> {
    let value: T = serde_json::from_value(given.clone()).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(value).unwrap())
}

const WAYS: [(&str, Way); 20] = [
    ("TenantId", way::<TenantId>),
    ("Channel", way::<Channel>),
    ("TenantStatus", way::<TenantStatus>),
    ("Resource", way::<Resource>),
    ("LockName", way::<LockName>),
    ("IdempotencyKey", way::<IdempotencyKey>),
    ("Currency", way::<Currency>),
    ("HotelId", way::<HotelId>),
    ("BookingId", way::<BookingId>),
    ("Role", way::<Role>),
    ("Permission", way::<Permission>),
    ("FlagValue", way::<FlagValue>),
    ("Stay", way::<Stay>),
    ("Money", way::<Money>),
    ("Occupancy", way::<Occupancy>),
    ("Party", way::<Party>),
    ("ChosenService", way::<ChosenService>),
    ("BusinessHours", way::<BusinessHours>),
    ("Price", way::<Price>),
    ("Document", way::<Document>),
];

/// The cases of a value, in one part of the vectors.
fn cases(vectors: &Value, part: &str, name: &str) -> Vec<Value> {
    vectors[part][name].as_array().cloned().unwrap_or_default()
}

#[test]
fn what_is_written_reads_back() {
    let vectors = vectors();
    assert_eq!(vectors["both"].as_object().unwrap().len(), WAYS.len());
    for (name, way) in WAYS {
        let cases = cases(&vectors, "both", name);
        assert!(!cases.is_empty(), "{name}");
        for case in cases {
            assert_eq!(way(&case), Ok(case.clone()), "{name}");
        }
    }
}

#[test]
fn what_may_be_left_out_or_spelled_in_another_way_is_read() {
    let vectors = vectors();
    for (name, way) in WAYS {
        for case in cases(&vectors, "read", name) {
            assert_eq!(way(&case[0]), Ok(case[1].clone()), "{name}");
        }
    }
}

#[test]
fn a_refusal_says_what_is_wrong_and_in_which_field() {
    let vectors = vectors();
    for (name, way) in WAYS {
        for case in cases(&vectors, "refused", name) {
            let refusal = way(&case[0]).unwrap_err();
            let said = case[1].as_str().unwrap();
            assert!(
                refusal.contains(said),
                "{name} {}: {refusal} does not name {said}",
                case[0]
            );
        }
    }
}

/// Everything that the mock and the services answer, but for what differs from day to day.
async fn answers() -> Value {
    let posada = Posada::embedded();
    let (hotel, room_type) = (HotelId::from(1), RoomTypeId::from(1));
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let party = Party::from(Occupancy::new(2, &[]).unwrap());
    let pms = posada.pms();
    let breakfast = ChosenService::new(9.into(), 1).unwrap();
    let availability = pms.availability(hotel, stay, party.clone(), None).await.unwrap();
    let quote = pms
        .quote_with_services(hotel, room_type, stay, party.clone(), [breakfast])
        .await
        .unwrap();
    let guest = Guest::new("Ada", "Lovelace", "ada@example.com", "+5491187654321").unwrap();
    let key = IdempotencyKey::of("whatsapp", "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFjNFQjBDMEE4RjAA").unwrap();
    let request = BookingRequest::from_quote(quote.clone(), guest, key);
    let booking = pms.book(&request, None).await.unwrap();
    let folio = pms.invoices(booking.id).await.unwrap();
    let tenants = posada.tenants();
    let new: NewTenant = serde_json::from_value(json!({
        "tenant_id": "hotel-test", "name": "Hotel Test", "business_hours": {"start": 8, "end": 22}
    }))
    .unwrap();
    let tenant = tenants.create(new).await.unwrap();
    tenants
        .add_identifier(&tenant.id, "+5491112345678", Channel::WhatsApp)
        .await
        .unwrap();
    let resolution = tenants.resolve("5491112345678", Channel::WhatsApp).await.unwrap();
    let identifier = Identifier::parse("+5491112345678", Some(Channel::WhatsApp)).unwrap();
    let flags = posada.flags();
    flags.set(&tenant.id, "booking.enabled", true).await.unwrap();
    let context = Context::new().tenant(&tenant.id);
    let limit: RateLimit = serde_json::from_value(json!("30/minute")).unwrap();
    let decision = posada.limits().check(&limit, &["203.0.113.7"]).await.unwrap();
    let mut answers = json!({
        "hotels": pms.hotels().await.unwrap(),
        "room_types": pms.room_types(hotel).await.unwrap(),
        "services": pms.services(hotel, room_type).await.unwrap(),
        "availability": availability,
        "quote": quote,
        "booking": booking,
        "folio": folio,
        "capabilities": pms.capabilities(),
        "tenant": tenant,
        "resolution": resolution,
        "unknown": tenants.resolve("5491100000000", Channel::WhatsApp).await.unwrap(),
        "identifier": identifier,
        "evaluation": flags.evaluate("booking.enabled", &context),
        "decision": decision,
        "health": posada.health().await,
    });
    posada.close().await.unwrap();
    still(&mut answers);
    answers
}

/// Takes out what differs from call to call: moments, ages, and what is left of a window.
fn still(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), &member) {
                    ("timestamp", Value::String(_)) => *member = json!("…"),
                    (name, Value::String(_)) if name.ends_with("_at") => *member = json!("…"),
                    ("age" | "reset_after", _) => *member = json!(0),
                    _ => still(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        _ => {}
    }
}

#[tokio::test]
async fn what_the_services_answer_has_the_shape_that_every_language_shows() {
    let answers = answers().await;
    let wanted = &vectors()["mock"];
    assert_eq!(
        answers,
        *wanted,
        "{}",
        serde_json::to_string_pretty(&answers).unwrap()
    );
}

#[tokio::test]
async fn a_quote_that_was_kept_as_text_books_at_its_price() {
    let posada = Posada::embedded();
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let party = Party::from(Occupancy::new(2, &[]).unwrap());
    let quote = posada.pms().quote(1.into(), 2.into(), stay, party).await.unwrap();
    let kept = serde_json::to_string(&quote).unwrap();
    let again: Quote = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, quote);
    let guest = serde_json::from_value(
        json!({"first_name": "Ada", "last_name": "Lovelace", "phone": "+5491187654321"}),
    );
    let request = BookingRequest::from_quote(again, guest.unwrap(), IdempotencyKey::parse("k1").unwrap());
    let booking = posada.pms().book(&request, None).await.unwrap();
    assert_eq!(booking.total, quote.total);
    posada.close().await.unwrap();
}

#[test]
fn nothing_of_a_guest_is_in_what_is_written_of_a_booking() {
    let written = vectors()["mock"]["booking"].to_string();
    for secret in ["Ada", "Lovelace", "example.com", "5491187654321", "key"] {
        assert!(!written.contains(secret), "{secret}");
    }
}

#[test]
fn a_change_of_a_tenant_keeps_what_it_does_not_name_and_forgets_what_is_null() {
    let read = |given: Value| serde_json::from_value::<TenantUpdate>(given);
    let wanted = TenantUpdate::new()
        .name("Hotel Centro")
        .unwrap()
        .start(None)
        .unwrap()
        .timezone(Some("Europe/Madrid"))
        .unwrap();
    let given = json!({"name": "Hotel Centro", "start": null, "timezone": "Europe/Madrid"});
    assert_eq!(read(given).unwrap(), wanted);
    assert_eq!(read(json!({})).unwrap(), TenantUpdate::new());
    assert!(
        read(json!({"nam": "Hotel"}))
            .unwrap_err()
            .to_string()
            .contains("nam")
    );
}

#[test]
fn a_secret_comes_in_and_is_not_shown() {
    let secret: Secret = serde_json::from_str(r#""el loro pinta mapas""#).unwrap();
    assert_eq!(secret.expose(), "el loro pinta mapas");
    assert!(!format!("{secret:?}").contains("loro"));
}

#[test]
fn a_resolution_names_every_candidate() {
    let resolution = Resolution::Unknown;
    let written = serde_json::to_value(resolution).unwrap();
    assert_eq!(
        written,
        json!({"outcome": "unknown", "tenant": null, "suspended": null, "candidates": [], "source": null, "age": null})
    );
}
