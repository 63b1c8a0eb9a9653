//! What the version before left in Redis, which this one finds, changes and ends: `tests/vectors/earlier/redis.json`,
//! byte for byte. Bookings of before are in `pms.rs`, conversations in `sessions_python.rs`.

use posada::error::codes;
use posada::locks::{AcquireOptions, Release, Resource, StayHold};
use posada::{Posada, Settings, Stay, TenantId};
use posada_tests::{servers, unique};
use serde_json::Value;

/// Writes the records of this kind for a tenant, and returns what is known of them.
fn write(kind: &str, tenant: &TenantId) -> Value {
    let text = include_str!("../vectors/earlier/redis.json").replace("{tenant}", tenant.as_str());
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let known = vectors[kind].clone();
    for command in known["commands"].as_array().unwrap() {
        let words: Vec<_> = command
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        servers::redis().command::<()>(&words);
    }
    known
}

fn connect() -> Posada {
    let settings = Settings::builder()
        .redis_url(servers::redis().url())
        .build()
        .unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

#[tokio::test]
async fn a_hold_of_the_version_before_is_found_kept_free_of_others_extended_and_released() {
    let tenant = TenantId::parse(&unique("hotel-centro")).unwrap();
    let known = write("hold", &tenant);
    let (posada, text) = (connect(), |name: &str| known[name].as_str().unwrap().to_owned());
    let stay = Stay::parse(&text("check_in"), &text("check_out")).unwrap();
    let (old, new): (Resource, Resource) = ("room_type:3".parse().unwrap(), "room_type:1/3".parse().unwrap());
    let listed = posada.locks().holds(&tenant, &old, stay).await.unwrap();
    let [listed] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(
        (&listed.id, u64::from(listed.quantity)),
        (&text("id"), known["quantity"].as_u64().unwrap())
    );

    let wanted = |resource: &Resource, quantity| {
        StayHold::new(resource.clone(), stay)
            .tenant(&tenant)
            .capacity(5)
            .quantity(quantity)
            .session_id("s-1")
    };
    let refused = posada.locks().hold_stay(&wanted(&new, 4)).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NIGHTS_TAKEN), "{refused}");
    let beside = posada.locks().hold_stay(&wanted(&new, 3)).await.unwrap();
    let later = Stay::new(stay.check_out(), stay.check_out() + chrono::Days::new(2)).unwrap();
    let mut moving = posada
        .locks()
        .hold_stay(
            &StayHold::new(new.clone(), later)
                .tenant(&tenant)
                .capacity(5)
                .quantity(4)
                .session_id("s-2"),
        )
        .await
        .unwrap();
    let refused = moving.move_to(stay, 8).await.unwrap_err();
    assert!(
        refused.is(codes::LOCKS_NIGHTS_TAKEN),
        "three, two of before, and four more are nine: {refused}"
    );
    beside.release().await.unwrap();
    let refused = moving.move_to(stay, 5).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NIGHTS_TAKEN), "{refused}");

    let mut hold = posada.locks().resume_hold(&text("ticket")).await.unwrap();
    assert_eq!(
        (hold.fence(), hold.resource()),
        (known["fence"].as_u64().unwrap(), &old)
    );
    hold.extend(std::time::Duration::from_mins(5)).await.unwrap();
    hold.confirm(std::time::Duration::from_mins(1)).await.unwrap();
    let refused = hold.move_to(later, 5).await.unwrap_err();
    assert!(
        refused.is(codes::LOCKS_INVALID_RESOURCE),
        "it does not say in which hotel: {refused}"
    );
    assert_eq!(hold.release().await.unwrap(), Release::Released);
    moving.move_to(stay, 5).await.unwrap();
    moving.release().await.unwrap();
}

#[tokio::test]
async fn a_lock_of_the_version_before_is_seen_kept_from_others_and_released_by_its_token() {
    let tenant = TenantId::parse(&unique("hotel-centro")).unwrap();
    let known = write("lock", &tenant);
    let (posada, name) = (connect(), known["name"].as_str().unwrap());
    let seen = posada.locks().inspect(&tenant, name).await.unwrap().unwrap();
    assert_eq!(seen.fence, known["fence"].as_u64().unwrap());
    let options = AcquireOptions::new().tenant(&tenant);
    assert!(
        posada
            .locks()
            .try_acquire(name, &options)
            .await
            .unwrap()
            .is_none()
    );
    let token = known["token"].as_str().unwrap();
    let released = posada.locks().release(&tenant, name, token).await.unwrap();
    assert_eq!(released, Release::Released);
    let next = posada.locks().try_acquire(name, &options).await.unwrap().unwrap();
    assert!(next.fence() > known["fence"].as_u64().unwrap());
}
