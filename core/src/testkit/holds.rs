//! What every store of stay holds must do.

use std::time::Duration;

use futures_util::future::join_all;

use super::locks::eventually;
use crate::error::codes;
use crate::locks::{AuditEvent, LockManager, Release, Resource, StayHold};
use crate::stay::Stay;
use crate::tenants::TenantId;

/// A time to live that ends within the test.
const SHORT: Duration = Duration::from_millis(150);

/// Runs the whole suite. `prefix` makes the tenants of this run unlike those of others.
pub async fn suite(locks: &LockManager, prefix: &str) {
    let tenant = |name: &str| TenantId::parse(&format!("{prefix}-{name}")).unwrap();
    back_to_back_stays_do_not_collide(locks, &tenant("adjacent")).await;
    one_common_night_is_refused_and_named(locks, &tenant("overlap")).await;
    a_conversation_in_its_own_way_is_told_so(locks, &tenant("own")).await;
    resources_and_tenants_do_not_meet(locks, &tenant("apart")).await;
    units_are_counted_for_every_night(locks, &tenant("count")).await;
    a_thousand_guests_get_the_last_unit_once(locks, &tenant("race")).await;
    a_repeated_request_finds_its_hold(locks, &tenant("repeat")).await;
    another_quantity_changes_the_hold_if_there_is_room(locks, &tenant("quantity")).await;
    without_a_conversation_every_request_is_its_own(locks, &tenant("anonymous")).await;
    an_ended_hold_frees_its_nights(locks, &tenant("ended")).await;
    the_sweep_notices_ended_holds(locks, &tenant("sweep")).await;
    two_extensions_and_no_third(locks, &tenant("extend")).await;
    a_confirmation_keeps_a_hold_alive_without_an_extension(locks, &tenant("confirm")).await;
    a_release_may_be_repeated_and_belongs_to_the_owner(locks, &tenant("release")).await;
    a_year_is_held_and_given_back(locks, &tenant("year")).await;
    holds_are_listed_by_night(locks, &tenant("list")).await;
    a_hold_moves_to_other_nights_in_one_step(locks, &tenant("move")).await;
    several_stays_are_held_together_or_not_at_all(locks, &tenant("together")).await;
    a_ticket_finds_its_hold(locks, &tenant("ticket")).await;
    everything_is_audited(locks, &tenant("audit")).await;
    bad_requests_name_their_field(locks).await;
}

pub(super) fn stay(check_in: &str, check_out: &str) -> Stay {
    Stay::parse(check_in, check_out).unwrap()
}

pub(super) fn room(id: &str) -> Resource {
    Resource::room(id).unwrap()
}

pub(super) fn wish(tenant: &TenantId, session: &str, stay: Stay) -> StayHold {
    StayHold::new(room("101"), stay)
        .tenant(tenant)
        .session_id(session)
}

async fn is_taken(locks: &LockManager, request: &StayHold) -> bool {
    match locks.hold_stay(request).await {
        Ok(_) => false,
        Err(error) if error.is(codes::LOCKS_NIGHTS_TAKEN) => true,
        Err(error) => panic!("{error}"),
    }
}

async fn back_to_back_stays_do_not_collide(locks: &LockManager, tenant: &TenantId) {
    for (guest, nights) in [
        ("ana", stay("2027-03-10", "2027-03-12")),
        ("bea", stay("2027-03-12", "2027-03-13")),
        ("eva", stay("2027-03-08", "2027-03-10")),
    ] {
        locks.hold_stay(&wish(tenant, guest, nights)).await.unwrap();
    }
}

async fn one_common_night_is_refused_and_named(locks: &LockManager, tenant: &TenantId) {
    let first = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-10", "2027-03-12")))
        .await
        .unwrap();
    let later = wish(tenant, "bea", stay("2027-03-11", "2027-03-14"));
    let error = locks.hold_stay(&later).await.unwrap_err();
    assert!(
        error.is(codes::LOCKS_NIGHTS_TAKEN) && error.is_retryable(),
        "{error}"
    );
    assert_eq!(error.fact("nights"), Some("2027-03-11"));
    let frees_at = first
        .expires_at()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(error.fact("frees_at"), Some(frees_at.as_str()));
    let inside = wish(tenant, "bea", stay("2027-03-10", "2027-03-11"));
    assert!(is_taken(locks, &inside).await);
    let around = wish(tenant, "bea", stay("2027-03-01", "2027-04-01"));
    let error = locks.hold_stay(&around).await.unwrap_err();
    assert_eq!(error.fact("nights"), Some("2027-03-10,2027-03-11"));
    first.release().await.unwrap();
    locks.hold_stay(&around).await.unwrap();
}

async fn a_conversation_in_its_own_way_is_told_so(locks: &LockManager, tenant: &TenantId) {
    let longer = wish(tenant, "ana", stay("2027-03-10", "2027-03-13"));
    let mut own = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-10", "2027-03-12")))
        .await
        .unwrap();
    let error = locks.hold_stay(&longer).await.unwrap_err();
    assert!(
        error.is(codes::LOCKS_NIGHTS_TAKEN) && !error.is_retryable(),
        "{error}"
    );
    assert_eq!(error.fact("own_hold"), Some(own.id()));
    assert_eq!(error.fact("own_stay"), Some(own.stay().to_string().as_str()));
    assert_eq!(error.fact("nights"), Some("2027-03-10,2027-03-11"));
    assert!(error.message().contains("move_to"), "{error}");
    // A conversation whose name ends alike is another one, and so are two requests without any.
    let other = wish(tenant, "=ana", stay("2027-03-11", "2027-03-12"));
    let anonymous = StayHold::new(room("101"), stay("2027-03-11", "2027-03-12")).tenant(tenant);
    for others in [other, anonymous] {
        let error = locks.hold_stay(&others).await.unwrap_err();
        assert_eq!(
            (error.fact("own_hold"), error.is_retryable()),
            (None, true),
            "{error}"
        );
    }
    own.move_to(stay("2027-03-10", "2027-03-13"), 1).await.unwrap();
    // Where others would be in the way alone, it is they.
    locks
        .hold_stay(&wish(tenant, "bea", stay("2027-03-13", "2027-03-14")))
        .await
        .unwrap();
    let error = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-12", "2027-03-15")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.fact("own_hold"), error.fact("nights")),
        (None, Some("2027-03-12,2027-03-13"))
    );
    // Also when a hold is moved to where another of the same conversation is.
    let mut second = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-15", "2027-03-16")))
        .await
        .unwrap();
    let error = second
        .move_to(stay("2027-03-12", "2027-03-13"), 1)
        .await
        .unwrap_err();
    assert_eq!(error.fact("own_hold"), Some(own.id()));
    // With more units, what counts is whether there were room without its own.
    let three = |session: &str, quantity| {
        StayHold::new(room("102"), stay("2027-03-10", "2027-03-12"))
            .session_id(session)
            .tenant(tenant)
            .capacity(3)
            .quantity(quantity)
    };
    locks.hold_stay(&three("bea", 1)).await.unwrap();
    let two = locks.hold_stay(&three("ana", 2)).await.unwrap();
    let longer = |quantity| {
        StayHold::new(room("102"), stay("2027-03-11", "2027-03-13"))
            .session_id("ana")
            .tenant(tenant)
            .capacity(3)
            .quantity(quantity)
    };
    let error = locks.hold_stay(&longer(2)).await.unwrap_err();
    assert_eq!(error.fact("own_hold"), Some(two.id()));
    let error = locks.hold_stay(&longer(3)).await.unwrap_err();
    assert_eq!(error.fact("own_hold"), None, "one of the three is another's");
}

async fn resources_and_tenants_do_not_meet(locks: &LockManager, tenant: &TenantId) {
    let nights = stay("2027-03-10", "2027-03-12");
    let other = TenantId::parse(&format!("{tenant}-other")).unwrap();
    locks.hold_stay(&wish(tenant, "ana", nights)).await.unwrap();
    locks.hold_stay(&wish(&other, "bea", nights)).await.unwrap();
    for resource in [room("102"), "room_type:1/101".parse().unwrap()] {
        locks
            .hold_stay(&StayHold::new(resource, nights).tenant(tenant))
            .await
            .unwrap();
    }
}

async fn units_are_counted_for_every_night(locks: &LockManager, tenant: &TenantId) {
    let request =
        |session: &str, nights, quantity| wish(tenant, session, nights).capacity(3).quantity(quantity);
    let hold = |request: StayHold| async move { locks.hold_stay(&request).await };
    let two = hold(request("ana", stay("2027-03-10", "2027-03-13"), 2))
        .await
        .unwrap();
    hold(request("bea", stay("2027-03-11", "2027-03-12"), 1))
        .await
        .unwrap();
    let error = hold(request("eva", stay("2027-03-10", "2027-03-13"), 1))
        .await
        .unwrap_err();
    assert_eq!(error.fact("nights"), Some("2027-03-11"));
    let error = hold(request("eva", stay("2027-03-09", "2027-03-12"), 2))
        .await
        .unwrap_err();
    assert_eq!(error.fact("nights"), Some("2027-03-10,2027-03-11"));
    hold(request("eva", stay("2027-03-12", "2027-03-13"), 1))
        .await
        .unwrap();
    two.release().await.unwrap();
    hold(request("ida", stay("2027-03-10", "2027-03-13"), 2))
        .await
        .unwrap();
}

async fn a_thousand_guests_get_the_last_unit_once(locks: &LockManager, tenant: &TenantId) {
    let first = wish(tenant, "first", stay("2027-03-10", "2027-03-12")).capacity(2);
    locks.hold_stay(&first).await.unwrap();
    let guests = (0..1000).map(|guest| {
        let begin = if guest % 2 == 0 {
            "2027-03-10"
        } else {
            "2027-03-11"
        };
        let request = wish(tenant, &format!("guest-{guest}"), stay(begin, "2027-03-13")).capacity(2);
        async move { is_taken(locks, &request).await }
    });
    let refused = join_all(guests).await.into_iter().filter(|taken| *taken).count();
    assert_eq!(refused, 999);
}

async fn a_repeated_request_finds_its_hold(locks: &LockManager, tenant: &TenantId) {
    let request = wish(tenant, "ana", stay("2027-03-10", "2027-03-12"));
    let first = locks.hold_stay(&request).await.unwrap();
    let again = locks.hold_stay(&request.clone().ttl(SHORT)).await.unwrap();
    assert_eq!(
        (first.id(), first.token(), first.fence()),
        (again.id(), again.token(), again.fence())
    );
    assert_eq!(first.expires_at(), again.expires_at());
    first.release().await.unwrap();
    let anew = locks.hold_stay(&request).await.unwrap();
    assert!(anew.fence() > first.fence() && anew.id() != first.id());
}

async fn another_quantity_changes_the_hold_if_there_is_room(locks: &LockManager, tenant: &TenantId) {
    let request = |session: &str, quantity| {
        wish(tenant, session, stay("2027-03-10", "2027-03-12"))
            .capacity(4)
            .quantity(quantity)
    };
    let one = locks.hold_stay(&request("ana", 1)).await.unwrap();
    let three = locks.hold_stay(&request("ana", 3)).await.unwrap();
    assert_eq!(
        (three.id(), three.quantity(), three.expires_at()),
        (one.id(), 3, one.expires_at())
    );
    assert!(is_taken(locks, &request("bea", 2)).await);
    locks.hold_stay(&request("bea", 1)).await.unwrap();
    assert!(is_taken(locks, &request("ana", 4)).await);
    locks.hold_stay(&request("ana", 2)).await.unwrap();
    locks.hold_stay(&request("bea", 2)).await.unwrap();
}

async fn without_a_conversation_every_request_is_its_own(locks: &LockManager, tenant: &TenantId) {
    let request = StayHold::new(room("101"), stay("2027-03-10", "2027-03-12")).tenant(tenant);
    let first = locks.hold_stay(&request).await.unwrap();
    assert!(is_taken(locks, &request).await);
    first.release().await.unwrap();
    locks.hold_stay(&request).await.unwrap();
}

async fn an_ended_hold_frees_its_nights(locks: &LockManager, tenant: &TenantId) {
    let nights = stay("2027-03-10", "2027-03-12");
    let short = locks
        .hold_stay(&wish(tenant, "ana", nights).ttl(SHORT))
        .await
        .unwrap();
    assert!(short.remaining() <= SHORT);
    let request = wish(tenant, "bea", nights);
    eventually("the nights are free", async || !is_taken(locks, &request).await).await;
    assert_eq!(short.remaining(), Duration::ZERO);
    assert!(
        short
            .confirm(Duration::ZERO)
            .await
            .unwrap_err()
            .is(codes::LOCKS_LOST)
    );
    assert!(short.extend(None).await.unwrap_err().is(codes::LOCKS_LOST));
    assert_eq!(short.release().await.unwrap(), Release::AlreadyReleased);
    let alone = wish(tenant, "ana", stay("2027-05-01", "2027-05-02")).ttl(SHORT);
    let alone = locks.hold_stay(&alone).await.unwrap();
    tokio::time::sleep(SHORT + Duration::from_millis(20)).await;
    assert_eq!(alone.release().await.unwrap(), Release::Expired);
}

async fn the_sweep_notices_ended_holds(locks: &LockManager, tenant: &TenantId) {
    let nights = stay("2027-03-10", "2027-03-12");
    locks
        .hold_stay(&wish(tenant, "ana", nights).ttl(SHORT))
        .await
        .unwrap();
    eventually("a sweep finds it", async || locks.sweep().await.unwrap() > 0).await;
    let key = format!("tenant:{tenant}:lock:room:101:2027-03-10:2027-03-12");
    locks.flush_audit(Duration::from_secs(5)).await.unwrap();
    let rows = locks.audit(&key, 10).await.unwrap();
    assert_eq!(rows[0].event, AuditEvent::Expired);
    assert_eq!(rows[0].details["session_id"], "ana");
}

async fn two_extensions_and_no_third(locks: &LockManager, tenant: &TenantId) {
    let hold = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-10", "2027-03-12")))
        .await
        .unwrap();
    for count in 1..=2 {
        let before = hold.expires_at();
        hold.extend(None).await.unwrap();
        assert_eq!((hold.expires_at() - before).num_seconds(), 600);
        assert_eq!(hold.extensions(), count);
    }
    let error = hold.extend(None).await.unwrap_err();
    assert!(error.is(codes::LOCKS_MAX_EXTENSIONS), "{error}");
}

async fn a_confirmation_keeps_a_hold_alive_without_an_extension(locks: &LockManager, tenant: &TenantId) {
    let request = wish(tenant, "ana", stay("2027-03-10", "2027-03-12"));
    let hold = locks
        .hold_stay(&request.clone().ttl(Duration::from_secs(10)))
        .await
        .unwrap();
    hold.confirm(Duration::from_mins(1)).await.unwrap();
    assert!(hold.remaining() > Duration::from_secs(50) && hold.extensions() == 0);
    let end = hold.expires_at();
    hold.confirm(SHORT).await.unwrap();
    assert_eq!(hold.expires_at(), end);
    hold.release().await.unwrap();
    assert!(
        hold.confirm(Duration::ZERO)
            .await
            .unwrap_err()
            .is(codes::LOCKS_LOST)
    );
}

async fn a_release_may_be_repeated_and_belongs_to_the_owner(locks: &LockManager, tenant: &TenantId) {
    let request = wish(tenant, "ana", stay("2027-03-10", "2027-03-12"));
    let hold = locks.hold_stay(&request).await.unwrap();
    assert_eq!(hold.release().await.unwrap(), Release::Released);
    assert_eq!(hold.release().await.unwrap(), Release::AlreadyReleased);
    let anew = locks.hold_stay(&request).await.unwrap();
    assert!(hold.release().await.unwrap_err().is(codes::LOCKS_NOT_OWNER));
    assert!(hold.extend(None).await.unwrap_err().is(codes::LOCKS_NOT_OWNER));
    anew.confirm(Duration::ZERO).await.unwrap();
}

async fn a_year_is_held_and_given_back(locks: &LockManager, tenant: &TenantId) {
    let year = wish(tenant, "ana", stay("2027-01-01", "2028-01-02"));
    let hold = locks.hold_stay(&year).await.unwrap();
    let error = locks
        .hold_stay(&wish(tenant, "bea", stay("2027-01-01", "2028-01-02")))
        .await
        .unwrap_err();
    assert_eq!(error.fact("nights").unwrap().split(',').count(), 366);
    hold.release().await.unwrap();
    locks
        .hold_stay(&wish(tenant, "bea", stay("2027-06-01", "2028-06-01")))
        .await
        .unwrap();
}

async fn a_hold_moves_to_other_nights_in_one_step(locks: &LockManager, tenant: &TenantId) {
    let mut hold = locks
        .hold_stay(&wish(tenant, "ana", stay("2027-03-10", "2027-03-12")))
        .await
        .unwrap();
    let later = wish(tenant, "bea", stay("2027-03-14", "2027-03-16"));
    let other = locks.hold_stay(&later).await.unwrap();
    let (id, fence, end) = (hold.id().to_owned(), hold.fence(), hold.expires_at());
    let refused = hold
        .move_to(stay("2027-03-11", "2027-03-15"), 1)
        .await
        .unwrap_err();
    assert!(refused.is(codes::LOCKS_NIGHTS_TAKEN), "{refused}");
    assert_eq!(refused.fact("nights"), Some("2027-03-14"));
    assert!(refused.fact("frees_at").is_some());
    hold.move_to(stay("2027-03-11", "2027-03-14"), 1).await.unwrap();
    assert_eq!(
        (hold.id(), hold.fence(), hold.expires_at()),
        (id.as_str(), fence, end)
    );
    assert!(!is_taken(locks, &wish(tenant, "eva", stay("2027-03-10", "2027-03-11"))).await);
    assert!(is_taken(locks, &wish(tenant, "eva", stay("2027-03-13", "2027-03-14"))).await);
    let listed = locks
        .holds(Some(tenant), &room("101"), stay("2027-03-12", "2027-03-13"))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(hold.release().await.unwrap(), Release::Released);
    other.release().await.unwrap();
    assert!(!is_taken(locks, &wish(tenant, "eva", stay("2027-03-11", "2027-03-16"))).await);
    let gone = hold
        .move_to(stay("2027-04-01", "2027-04-02"), 1)
        .await
        .unwrap_err();
    assert!(gone.is(codes::LOCKS_LOST), "{gone}");
}

async fn several_stays_are_held_together_or_not_at_all(locks: &LockManager, tenant: &TenantId) {
    let nights = stay("2027-03-10", "2027-03-12");
    let of = |id: &str, session: &str| StayHold::new(room(id), nights).tenant(tenant).session_id(session);
    locks.hold_stay(&of("1", "ana")).await.unwrap();
    locks.hold_stay(&of("3", "bea")).await.unwrap();
    let refused = locks
        .hold_stays(&[of("3", "ana"), of("2", "ana"), of("1", "ana")])
        .await
        .unwrap_err();
    assert_eq!(refused.fact("resource"), Some("room:3"));
    assert_eq!(refused.fact("nights"), Some("2027-03-10,2027-03-11"));
    assert!(refused.fact("frees_at").is_some());
    assert!(
        !is_taken(locks, &of("2", "eva")).await,
        "the second room was kept"
    );
    assert!(
        is_taken(locks, &of("1", "eva")).await,
        "what she had before was given up"
    );
    let held = locks.hold_stays(&[of("5", "ana"), of("4", "ana")]).await.unwrap();
    assert_eq!(
        held.iter()
            .map(|hold| hold.resource().to_string())
            .collect::<Vec<_>>(),
        ["room:5", "room:4"]
    );
    let again = locks.hold_stays(&[of("5", "ana"), of("6", "ana")]).await.unwrap();
    assert_eq!(again[0].id(), held[0].id());
    // Two of one resource count together, whoever wants them.
    let both = [of("7", "ana"), of("7", "eva")];
    let refused = locks.hold_stays(&both).await.unwrap_err();
    assert_eq!(refused.fact("resource"), Some("room:7"));
    assert!(!is_taken(locks, &of("7", "bea")).await, "one of the two was kept");
    let too_many = vec![of("8", "ana"); 101];
    let refused = locks.hold_stays(&too_many).await.unwrap_err();
    assert_eq!(refused.field(), Some("requests"));
    assert!(locks.hold_stays(&[]).await.unwrap().is_empty());
}

async fn a_ticket_finds_its_hold(locks: &LockManager, tenant: &TenantId) {
    let nights = stay("2027-03-10", "2027-03-12");
    for request in [
        wish(tenant, "ana", nights),
        StayHold::new(room("102"), nights).tenant(tenant),
    ] {
        let hold = locks.hold_stay(&request).await.unwrap();
        let found = locks.resume_hold(&hold.ticket()).await.unwrap();
        assert_eq!((found.id(), found.fence()), (hold.id(), hold.fence()));
        assert_eq!(found.expires_at(), hold.expires_at());
        assert_eq!(found.release().await.unwrap(), Release::Released);
        let gone = locks.resume_hold(&hold.ticket()).await.unwrap_err();
        assert!(gone.is(codes::LOCKS_LOST), "{gone}");
    }
}

async fn holds_are_listed_by_night(locks: &LockManager, tenant: &TenantId) {
    for (session, nights) in [
        ("ana", stay("2027-03-10", "2027-03-12")),
        ("bea", stay("2027-03-12", "2027-03-13")),
    ] {
        locks
            .hold_stay(&wish(tenant, session, nights).user_id("549"))
            .await
            .unwrap();
    }
    let sessions = async |window| {
        let holds = locks.holds(Some(tenant), &room("101"), window).await.unwrap();
        assert!(holds.iter().all(|hold| hold.user_id.as_deref() == Some("549")));
        holds
            .into_iter()
            .filter_map(|hold| hold.session_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(sessions(stay("2027-03-01", "2027-04-01")).await, ["ana", "bea"]);
    assert_eq!(sessions(stay("2027-03-12", "2027-03-20")).await, ["bea"]);
    assert!(sessions(stay("2027-03-13", "2027-03-20")).await.is_empty());
}

async fn everything_is_audited(locks: &LockManager, tenant: &TenantId) {
    use AuditEvent::{Acquired, Conflict, Extended, Released};

    let request = wish(tenant, "ana", stay("2027-03-10", "2027-03-12")).user_id("549");
    let hold = locks.hold_stay(&request).await.unwrap();
    assert!(is_taken(locks, &wish(tenant, "bea", stay("2027-03-10", "2027-03-12"))).await);
    hold.extend(None).await.unwrap();
    hold.release().await.unwrap();
    locks.flush_audit(Duration::from_secs(5)).await.unwrap();
    let key = format!("tenant:{tenant}:lock:room:101:2027-03-10:2027-03-12");
    let mut rows = locks.audit(&key, 10).await.unwrap();
    rows.reverse();
    let events: Vec<_> = rows.iter().map(|row| row.event).collect();
    assert_eq!(events, [Acquired, Conflict, Extended, Released]);
    assert!(rows.iter().all(|row| row.tenant.as_ref() == Some(tenant)));
    let details = &rows[0].details;
    assert_eq!(
        (&details["session_id"], &details["user_id"]),
        (&"ana".into(), &"549".into())
    );
    assert_eq!(
        (&details["check_in"], &details["check_out"]),
        (&"2027-03-10".into(), &"2027-03-12".into())
    );
    assert_eq!(
        (&details["room_id"], &details["ttl"]),
        (&"101".into(), &1200.into())
    );
    assert_eq!(rows[1].details["reason"], "date_overlap");
    assert_eq!(
        (&rows[2].details["extension_count"], &rows[2].details["extra_ttl"]),
        (&1.into(), &600.into())
    );
    assert_eq!(rows[3].details["extensions"], 1);
    assert!(
        rows.iter()
            .all(|row| !row.details.to_string().contains(hold.token()))
    );
}

async fn bad_requests_name_their_field(locks: &LockManager) {
    let request = || StayHold::new(room("101"), stay("2027-03-10", "2027-03-12"));
    for (request, field) in [
        (request().quantity(0), "quantity"),
        (request().capacity(2).quantity(3), "quantity"),
        (request().capacity(0), "capacity"),
        (request().session_id(""), "session_id"),
        (request().user_id("a\0b"), "user_id"),
        (request().ttl(Duration::ZERO), "ttl"),
    ] {
        let error = locks.hold_stay(&request).await.unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
    }
}
