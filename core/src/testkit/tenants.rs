//! What every store of tenants must do, seen through the resolver.

use crate::error::codes;
use crate::tenants::{
    BusinessHours, Channel, NewTenant, Resolution, ResolutionSource, Tenant, TenantId, TenantResolver,
    TenantStatus, TenantUpdate,
};

/// Runs the whole suite. The store must not know the identifiers of the suite yet, so every run needs a database of its own.
pub async fn suite(tenants: &TenantResolver) {
    a_created_tenant_is_got_and_listed(tenants).await;
    one_of_ten_simultaneous_creators_wins(tenants).await;
    an_update_changes_what_it_names_and_can_forget_hours(tenants).await;
    every_spelling_resolves_and_a_stranger_is_unknown(tenants).await;
    a_suspended_tenant_is_suspended_until_it_is_active_again(tenants).await;
    another_spelling_of_a_taken_identifier_is_refused(tenants).await;
    one_of_two_simultaneous_spellings_wins(tenants).await;
    a_removed_identifier_is_unknown_in_every_spelling(tenants).await;
    the_exact_host_comes_before_the_longest_wildcard(tenants).await;
    changes_to_what_does_not_exist_are_refused(tenants).await;
    many_identifiers_are_answered_in_their_order(tenants).await;
    warming_makes_the_next_answers_immediate(tenants).await;
}

/// The tenant of that id, or `None` when the identifier is unknown; anything else fails the test.
pub async fn owner(tenants: &TenantResolver, identifier: &str) -> Option<String> {
    match tenants.resolve(identifier, None).await.unwrap() {
        Resolution::Found { tenant, .. } => Some(tenant.id.to_string()),
        Resolution::Unknown => None,
        other => panic!("{identifier} is {other:?}"),
    }
}

async fn create(tenants: &TenantResolver, id: &str) -> TenantId {
    let tenant = tenants
        .create(NewTenant::new(id, &format!("Hotel {id}")).unwrap())
        .await
        .unwrap();
    assert_eq!(tenant.id.as_str(), id);
    tenant.id
}

async fn a_created_tenant_is_got_and_listed(tenants: &TenantResolver) {
    assert_eq!(
        tenants.get(&TenantId::parse("created").unwrap()).await.unwrap(),
        None
    );
    let zone = "America/Argentina/Buenos_Aires";
    let hours = BusinessHours::new(Some(8), Some(22), Some(zone)).unwrap();
    let new = NewTenant::new("created", "Hotel Ñandú")
        .unwrap()
        .business_hours(hours.clone());
    let created = tenants.create(new).await.unwrap();
    assert_eq!(
        (created.name.as_str(), created.status),
        ("Hotel Ñandú", TenantStatus::Active)
    );
    assert_eq!(created.business_hours, hours);
    assert!(created.created_at.is_some() && created.created_at == created.updated_at);
    let got = tenants.get(&created.id).await.unwrap();
    assert_eq!(
        got.as_deref(),
        Some(&created),
        "a new tenant is not hidden by an earlier absence"
    );
    let listed: Vec<Tenant> = tenants.list().await.unwrap();
    assert!(listed.contains(&created));
    assert!(listed.is_sorted_by(|one, other| one.id < other.id));
}

async fn one_of_ten_simultaneous_creators_wins(tenants: &TenantResolver) {
    let attempt = || tenants.create(NewTenant::new("raced", "Hotel Raced").unwrap());
    let outcomes = futures_util::future::join_all((0..10).map(|_| attempt())).await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 9);
    assert!(
        refused.iter().all(|error| error.is(codes::TENANTS_EXISTS)),
        "{refused:?}"
    );
}

async fn an_update_changes_what_it_names_and_can_forget_hours(tenants: &TenantResolver) {
    let hours = BusinessHours::new(Some(8), Some(22), Some("Europe/Madrid")).unwrap();
    let new = NewTenant::new("updated", "Before").unwrap().business_hours(hours);
    let id = tenants.create(new).await.unwrap().id;
    let renamed = tenants
        .update(&id, TenantUpdate::new().name("After").unwrap())
        .await
        .unwrap();
    assert_eq!(
        (renamed.name.as_str(), renamed.business_hours.start),
        ("After", Some(8))
    );
    let forget = TenantUpdate::new()
        .start(None)
        .unwrap()
        .end(Some(23))
        .unwrap()
        .timezone(None)
        .unwrap();
    let changed = tenants.update(&id, forget).await.unwrap();
    let hours = &changed.business_hours;
    assert_eq!(
        (hours.start, hours.end, hours.timezone.as_deref()),
        (None, Some(23), None)
    );
    let got = tenants.get(&id).await.unwrap();
    assert_eq!(
        got.as_deref(),
        Some(&changed),
        "a change is seen by the next reader"
    );
}

async fn every_spelling_resolves_and_a_stranger_is_unknown(tenants: &TenantResolver) {
    let id = create(tenants, "spelled").await;
    let identifiers = [
        ("+54 9 11 2222-3333", Some(Channel::WhatsApp)),
        ("Reservas@Spelled.example", Some(Channel::Email)),
    ];
    for (identifier, channel) in identifiers {
        tenants.add_identifier(&id, identifier, channel).await.unwrap();
    }
    for spelling in [
        "5491122223333",
        "+5491122223333",
        "00 54 9 11 2222 3333",
        "541122223333",
        "5491122223333@s.whatsapp.net",
        "reservas@spelled.example",
        " RESERVAS@SPELLED.EXAMPLE ",
    ] {
        assert_eq!(
            owner(tenants, spelling).await.as_deref(),
            Some("spelled"),
            "{spelling}"
        );
    }
    for stranger in ["+5491187654321", "nobody@spelled.example", "spelled.example"] {
        assert_eq!(owner(tenants, stranger).await, None, "{stranger}");
    }
}

async fn a_suspended_tenant_is_suspended_until_it_is_active_again(tenants: &TenantResolver) {
    let id = create(tenants, "suspended").await;
    tenants
        .add_identifier(&id, "desk@suspended.example", None)
        .await
        .unwrap();
    assert_eq!(
        owner(tenants, "desk@suspended.example").await.as_deref(),
        Some("suspended")
    );
    let state = tenants.suspend(&id).await.unwrap();
    assert_eq!(state.status, TenantStatus::Inactive);
    let resolution = tenants.resolve("desk@suspended.example", None).await.unwrap();
    assert!(
        matches!(resolution, Resolution::Suspended { .. }),
        "{resolution:?}"
    );
    tenants
        .update(&id, TenantUpdate::new().status(TenantStatus::Active))
        .await
        .unwrap();
    assert_eq!(
        owner(tenants, "desk@suspended.example").await.as_deref(),
        Some("suspended")
    );
}

async fn another_spelling_of_a_taken_identifier_is_refused(tenants: &TenantResolver) {
    let (first, second) = (create(tenants, "taken-a").await, create(tenants, "taken-b").await);
    tenants
        .add_identifier(&first, "+5215512345678", None)
        .await
        .unwrap();
    for spelling in ["+5215512345678", "5215512345678", "+52 55 1234 5678"] {
        let error = tenants.add_identifier(&second, spelling, None).await.unwrap_err();
        assert!(error.is(codes::TENANTS_IDENTIFIER_TAKEN), "{spelling}: {error}");
        tenants.add_identifier(&first, spelling, None).await.unwrap();
    }
    assert_eq!(owner(tenants, "+525512345678").await.as_deref(), Some("taken-a"));
}

async fn one_of_two_simultaneous_spellings_wins(tenants: &TenantResolver) {
    let (first, second) = (create(tenants, "race-a").await, create(tenants, "race-b").await);
    for last in 0..5 {
        let (long, short) = (format!("+553198765432{last}"), format!("+55318765432{last}"));
        let outcomes = tokio::join!(
            tenants.add_identifier(&first, &long, None),
            tenants.add_identifier(&second, &short, None)
        );
        let winners = usize::from(outcomes.0.is_ok()) + usize::from(outcomes.1.is_ok());
        assert_eq!(winners, 1, "{outcomes:?}");
        let winner = if outcomes.0.is_ok() { "race-a" } else { "race-b" };
        assert_eq!(owner(tenants, &long).await.as_deref(), Some(winner));
    }
}

async fn a_removed_identifier_is_unknown_in_every_spelling(tenants: &TenantResolver) {
    let id = create(tenants, "removed").await;
    let number = "+5491155550000";
    assert_eq!(owner(tenants, number).await, None);
    tenants.add_identifier(&id, number, None).await.unwrap();
    assert_eq!(
        owner(tenants, number).await.as_deref(),
        Some("removed"),
        "an absence ends with the write"
    );
    tenants
        .remove_identifier(&id, "54 11 5555 0000", None)
        .await
        .unwrap();
    for spelling in [number, "5491155550000", "+541155550000"] {
        assert_eq!(owner(tenants, spelling).await, None, "{spelling}");
    }
}

async fn the_exact_host_comes_before_the_longest_wildcard(tenants: &TenantResolver) {
    let (group, coast, beach) = (
        create(tenants, "host-group").await,
        create(tenants, "host-coast").await,
        create(tenants, "host-beach").await,
    );
    tenants
        .add_identifier(&group, "*.group.example", None)
        .await
        .unwrap();
    tenants
        .add_identifier(&coast, "*.coast.group.example", None)
        .await
        .unwrap();
    assert_eq!(
        owner(tenants, "beach.coast.group.example").await.as_deref(),
        Some("host-coast")
    );
    tenants
        .add_identifier(&beach, "beach.coast.group.example", None)
        .await
        .unwrap();
    for (host, expected) in [
        ("Beach.Coast.Group.Example:443", Some("host-beach")),
        ("hill.coast.group.example.", Some("host-coast")),
        ("city.group.example", Some("host-group")),
        ("group.example", None),
    ] {
        assert_eq!(owner(tenants, host).await.as_deref(), expected, "{host}");
    }
    tenants
        .remove_identifier(&beach, "beach.coast.group.example", None)
        .await
        .unwrap();
    assert_eq!(
        owner(tenants, "beach.coast.group.example").await.as_deref(),
        Some("host-coast")
    );
}

async fn changes_to_what_does_not_exist_are_refused(tenants: &TenantResolver) {
    let nobody = TenantId::parse("nobody").unwrap();
    for error in [
        tenants.suspend(&nobody).await.unwrap_err(),
        tenants
            .add_identifier(&nobody, "a@nobody.example", None)
            .await
            .unwrap_err(),
        tenants
            .remove_identifier(&nobody, "a@nobody.example", None)
            .await
            .unwrap_err(),
    ] {
        assert!(error.is(codes::TENANTS_NOT_FOUND), "{error}");
    }
    let id = create(tenants, "somebody").await;
    let error = tenants
        .remove_identifier(&id, "a@nobody.example", None)
        .await
        .unwrap_err();
    assert!(error.is(codes::TENANTS_IDENTIFIER_NOT_FOUND), "{error}");
}

async fn many_identifiers_are_answered_in_their_order(tenants: &TenantResolver) {
    let id = create(tenants, "many").await;
    tenants.add_identifier(&id, "+34600111222", None).await.unwrap();
    tenants.add_identifier(&id, "many.example", None).await.unwrap();
    let asked = ["34600111222", "not an identifier", "+34600999999", "MANY.example"];
    let answers = tenants.resolve_many(&asked, None).await;
    let names: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().map(Resolution::as_str))
        .collect();
    assert!(
        matches!(
            names.as_slice(),
            [Ok("found"), Err(_), Ok("unknown"), Ok("found")]
        ),
        "{names:?}"
    );
}

async fn warming_makes_the_next_answers_immediate(tenants: &TenantResolver) {
    let id = create(tenants, "warm").await;
    tenants.add_identifier(&id, "+34600333444", None).await.unwrap();
    assert_eq!(tenants.cached("+34600333444", None), None);
    assert!(tenants.warm(1000).await.unwrap() > 0);
    match tenants.cached("+34600333444", None) {
        Some(Resolution::Found { tenant, source, .. }) => {
            assert_eq!((tenant.id.as_str(), source), ("warm", ResolutionSource::Fresh));
        }
        other => panic!("{other:?}"),
    }
    assert!(tenants.refresh().await.unwrap() > 0);
}
