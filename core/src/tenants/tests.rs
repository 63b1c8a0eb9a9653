//! The resolver over a store that can be counted, stopped and held.

use std::time::Duration;

use chrono::DateTime;

use super::faulty::Faulty;
use super::*;
use crate::clock::ManualClock;
use crate::error::codes;

const NUMBER: &str = "5491112345678";
const HOUR: Duration = Duration::from_hours(1);

pub(super) struct Fixture {
    pub(super) store: Arc<Faulty>,
    clock: ManualClock,
    channel: LocalInvalidation,
    tasks: Tasks,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let store = Faulty::new();
        store.add("hotel", "+5491112345678").await;
        Self {
            store,
            clock: ManualClock::at(DateTime::UNIX_EPOCH),
            channel: LocalInvalidation::new(),
            tasks: Tasks::new(),
        }
    }

    pub(super) fn resolver(&self, options: TenantOptions) -> TenantResolver {
        let channel = Arc::new(self.channel.clone());
        TenantResolver::new(
            self.store.clone(),
            channel,
            self.clock.shared(),
            self.tasks.clone(),
            options,
        )
    }
}

fn options() -> TenantOptions {
    TenantOptions {
        longest_wait: Duration::from_millis(20),
        ..TenantOptions::default()
    }
}

async fn source_and_age(resolver: &TenantResolver, identifier: &str) -> (ResolutionSource, Duration) {
    match resolver.resolve(identifier, None).await.unwrap() {
        Resolution::Found { source, age, .. } => (source, age),
        other => panic!("{other:?}"),
    }
}

/// Lets the tasks of this thread run until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{what} did not come");
}

#[cfg(feature = "testkit")]
#[tokio::test]
async fn the_memory_store_keeps_the_promises() {
    let clock = crate::clock::SystemClock::shared();
    let (store, channel) = (Arc::new(MemoryTenants::new()), Arc::new(LocalInvalidation::new()));
    let resolver = TenantResolver::new(store, channel, clock, Tasks::new(), TenantOptions::default());
    crate::testkit::tenants::suite(&resolver).await;
}

#[tokio::test]
async fn a_thousand_simultaneous_misses_ask_once() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    fixture.store.set_open(false);
    let spellings = ["5491112345678", "+5491112345678", "00 54 9 11 1234-5678"];
    let callers = (0..1000).map(|index| resolver.resolve(spellings[index % 3], None));
    let all = futures_util::future::join_all(callers);
    let open = async {
        until("the question", || fixture.store.finds() > 0).await;
        fixture.store.set_open(true);
    };
    let (answers, ()) = tokio::join!(all, open);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().tenant().is_some())
    );
    assert_eq!(fixture.store.finds(), 1);
}

#[tokio::test]
async fn dropping_the_caller_who_asked_first_fails_nobody() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    fixture.store.set_open(false);
    let mut first = Box::pin(resolver.resolve(NUMBER, None));
    assert!(futures_util::poll!(&mut first).is_pending());
    let second = resolver.resolve(NUMBER, None);
    until("the question", || fixture.store.finds() == 1).await;
    drop(first);
    fixture.store.set_open(true);
    assert_eq!(second.await.unwrap().as_str(), "found");
    assert_eq!(fixture.store.finds(), 1);
}

#[tokio::test]
async fn during_an_outage_what_is_known_is_served_as_stale_for_a_day() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    assert_eq!(
        source_and_age(&resolver, NUMBER).await,
        (ResolutionSource::Fresh, Duration::ZERO)
    );
    fixture.store.set_down(true);
    fixture.clock.advance(HOUR);
    assert_eq!(
        source_and_age(&resolver, NUMBER).await,
        (ResolutionSource::Stale, HOUR)
    );
    fixture.clock.advance(23 * HOUR);
    assert_eq!(
        source_and_age(&resolver, NUMBER).await,
        (ResolutionSource::Stale, 24 * HOUR)
    );
    fixture.clock.advance(HOUR);
    let error = resolver.resolve(NUMBER, None).await.unwrap_err();
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    fixture.store.set_down(false);
    assert_eq!(
        source_and_age(&resolver, NUMBER).await,
        (ResolutionSource::Fresh, Duration::ZERO)
    );
}

#[tokio::test]
async fn what_is_remembered_needs_no_wait_in_any_spelling_and_however_stale() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    assert_eq!(resolver.remembered(NUMBER, None), None, "not asked yet");
    resolver.resolve(NUMBER, None).await.unwrap();
    for spelling in [NUMBER, "+5491112345678", "00 54 9 11 1234-5678"] {
        let found = resolver.remembered(spelling, None).unwrap();
        assert_eq!(found.tenant().unwrap().id.as_str(), "hotel", "{spelling}");
    }
    fixture.clock.advance(HOUR);
    let asked = fixture.store.finds();
    match resolver.remembered(NUMBER, None).unwrap() {
        Resolution::Found { source, age, .. } => {
            assert_eq!((source, age), (ResolutionSource::Stale, HOUR));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.store.finds(), asked);
    fixture.clock.advance(24 * HOUR);
    assert_eq!(resolver.remembered(NUMBER, None), None, "too old");
    assert_eq!(resolver.remembered("no identifier\n", None), None);
}

#[tokio::test]
async fn what_a_change_made_wrong_is_remembered_until_something_newer_is_known_and_never_resolved() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.resolver(options()), fixture.resolver(options()));
    here.resolve(NUMBER, None).await.unwrap();
    let before = here.stats().changes;
    let update = TenantUpdate::new().name("Hotel Renovado").unwrap();
    there
        .update(&TenantId::parse("hotel").unwrap(), update)
        .await
        .unwrap();
    fixture.store.set_down(true);
    while here.stats().changes == before {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert!(here.resolve(NUMBER, None).await.is_err());
        match here.remembered(NUMBER, None).unwrap() {
            Resolution::Found { tenant, source, .. } => {
                assert_eq!((tenant.id.as_str(), source), ("hotel", ResolutionSource::Stale));
            }
            other => panic!("{other:?}"),
        }
    }
    fixture.store.set_down(false);
    here.resolve(NUMBER, None).await.unwrap();
    let found = here.remembered(NUMBER, None).unwrap();
    assert_eq!(found.tenant().unwrap().name, "Hotel Renovado");
}

#[tokio::test]
async fn during_an_outage_the_store_is_not_asked_for_every_guest() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture.store.set_down(true);
    fixture.clock.advance(HOUR);
    for _ in 0..100 {
        assert_eq!(source_and_age(&resolver, NUMBER).await.0, ResolutionSource::Stale);
    }
    assert_eq!(fixture.store.finds(), 2);
}

#[tokio::test]
async fn during_an_outage_a_stranger_is_an_error_and_not_unknown() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    fixture.store.set_down(true);
    for _ in 0..2 {
        let error = resolver.resolve("+34600111222", None).await.unwrap_err();
        assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    }
}

#[tokio::test]
async fn a_slow_store_delays_a_known_guest_by_the_patience_only() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture.clock.advance(HOUR);
    fixture.store.set_open(false);
    assert_eq!(
        source_and_age(&resolver, NUMBER).await,
        (ResolutionSource::Stale, HOUR)
    );
    let again = futures_util::poll!(std::pin::pin!(resolver.resolve(NUMBER, None)));
    assert!(again.is_ready(), "the next caller does not wait at all");
    fixture.store.set_open(true);
    let fresh = || {
        matches!(resolver.cached(NUMBER, None), Some(Resolution::Found { source, .. })
        if source == ResolutionSource::Fresh)
    };
    until("the late answer", fresh).await;
}

#[tokio::test]
async fn an_answer_from_before_a_change_is_not_kept() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    fixture.store.set_open(false);
    let mut before = Box::pin(resolver.resolve(NUMBER, None));
    assert!(futures_util::poll!(&mut before).is_pending());
    until("the question", || fixture.store.finds() == 1).await;
    resolver
        .suspend(&TenantId::parse("hotel").unwrap())
        .await
        .unwrap();
    fixture.store.set_open(true);
    assert_eq!(
        before.await.unwrap().as_str(),
        "found",
        "who asked before the change may hear of before"
    );
    assert_eq!(resolver.cached(NUMBER, None), None);
    assert_eq!(
        resolver.resolve(NUMBER, None).await.unwrap().as_str(),
        "suspended"
    );
}

#[tokio::test]
async fn who_asks_after_a_change_does_not_join_a_question_from_before() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    fixture.store.set_open(false);
    let mut before = Box::pin(resolver.resolve(NUMBER, None));
    assert!(futures_util::poll!(&mut before).is_pending());
    until("the question", || fixture.store.finds() == 1).await;
    resolver
        .suspend(&TenantId::parse("hotel").unwrap())
        .await
        .unwrap();
    let mut after = Box::pin(resolver.resolve(NUMBER, None));
    assert!(futures_util::poll!(&mut after).is_pending());
    fixture.store.set_open(true);
    assert_eq!(after.await.unwrap().as_str(), "suspended");
}

#[tokio::test]
async fn what_a_change_made_wrong_is_not_served_as_stale() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    let id = TenantId::parse("hotel").unwrap();
    resolver.remove_identifier(&id, NUMBER, None).await.unwrap();
    fixture.store.set_down(true);
    let error = resolver.resolve(NUMBER, None).await.unwrap_err();
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
}

#[tokio::test]
async fn unknown_is_believed_for_thirty_seconds_and_no_longer() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    let stranger = "+34600111222";
    assert_eq!(
        resolver.resolve(stranger, None).await.unwrap(),
        Resolution::Unknown
    );
    fixture.store.add("newcomer", stranger).await;
    fixture.clock.advance(Duration::from_millis(29_999));
    assert_eq!(resolver.cached(stranger, None), Some(Resolution::Unknown));
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(resolver.cached(stranger, None), None);
    assert_eq!(resolver.resolve(stranger, None).await.unwrap().as_str(), "found");
}

#[tokio::test]
async fn who_was_known_and_is_removed_is_remembered_as_unknown() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    let id = TenantId::parse("hotel").unwrap();
    resolver.remove_identifier(&id, NUMBER, None).await.unwrap();
    assert_eq!(resolver.resolve(NUMBER, None).await.unwrap(), Resolution::Unknown);
    assert_eq!(resolver.cached(NUMBER, None), Some(Resolution::Unknown));
    resolver.add_identifier(&id, NUMBER, None).await.unwrap();
    assert_eq!(resolver.resolve(NUMBER, None).await.unwrap().as_str(), "found");
    assert!(resolver.cached(NUMBER, None).is_some());
}

#[tokio::test]
async fn strangers_who_probe_neither_fill_the_memory_nor_push_hotels_out() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(TenantOptions {
        unknown_capacity: 50,
        ..options()
    });
    resolver.resolve(NUMBER, None).await.unwrap();
    for number in 0..500 {
        resolver
            .resolve(&format!("probe-{number}.example"), None)
            .await
            .unwrap();
    }
    assert!(resolver.stats().unknown <= 50, "{resolver:?}");
    assert!(resolver.cached(NUMBER, None).is_some());
}

#[tokio::test]
async fn the_cache_keeps_to_its_capacity() {
    let fixture = Fixture::new().await;
    for number in 0..100 {
        fixture
            .store
            .add("hotel", &format!("desk-{number}.example"))
            .await;
    }
    let resolver = fixture.resolver(TenantOptions {
        capacity: 20,
        ..options()
    });
    for number in 0..100 {
        let host = format!("desk-{number}.example");
        assert_eq!(resolver.resolve(&host, None).await.unwrap().as_str(), "found");
        fixture.clock.advance(Duration::from_millis(1));
    }
    assert!(resolver.stats().cached <= 20, "{resolver:?}");
    assert!(
        resolver.cached("desk-99.example", None).is_some(),
        "the youngest stays"
    );
}

#[tokio::test]
async fn an_answer_in_use_is_asked_for_again_before_it_expires() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture.clock.advance(Duration::from_secs(299));
    let at_once = futures_util::poll!(std::pin::pin!(resolver.resolve(NUMBER, None)));
    assert!(at_once.is_ready(), "the caller does not wait for the refresh");
    until("the refresh", || fixture.store.finds() == 2).await;
    fixture.clock.advance(Duration::from_secs(200));
    assert!(resolver.cached(NUMBER, None).is_some());
    assert_eq!(fixture.store.finds(), 2);
}

#[tokio::test]
async fn rows_as_the_app_wrote_them_resolve() {
    let fixture = Fixture::new().await;
    for (row, question) in [
        ("5491100000001", "+5491100000001"),
        (" 00 54 (9) 11-0000-0002 ", "5491100000002"),
        ("+52 1 (55) 1234-5678", "525512345678"),
        ("Reservas@Demo-Hotel.com", "reservas@demo-hotel.com"),
        ("(011) 4444-5555", "01144445555"),
        ("Hotel.Example.", "hotel.example:443"),
    ] {
        fixture.store.add("hotel", row).await;
        let answer = fixture.resolver(options()).resolve(question, None).await.unwrap();
        assert_eq!(answer.as_str(), "found", "{row:?} by {question:?}");
    }
}

#[tokio::test]
async fn spellings_that_belong_to_two_tenants_are_ambiguous() {
    let fixture = Fixture::new().await;
    fixture.store.add("other", "54 11 1234 5678").await;
    match fixture.resolver(options()).resolve(NUMBER, None).await.unwrap() {
        Resolution::Ambiguous { tenants } => {
            let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
            assert_eq!(ids, ["hotel", "other"]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_default_tenant_takes_the_unknown_and_nobody_else() {
    let fixture = Fixture::new().await;
    let suspended = fixture.store.add("suspended", "desk@suspended.example").await;
    let resolver = fixture.resolver(TenantOptions {
        default_tenant: Some(TenantId::parse("default").unwrap()),
        ..options()
    });
    resolver.suspend(&suspended).await.unwrap();
    for _ in 0..2 {
        match resolver.resolve("+34600111222", None).await.unwrap() {
            Resolution::Found { tenant, source, .. } => {
                assert_eq!(
                    (tenant.id.as_str(), source),
                    ("default", ResolutionSource::Default)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(source_and_age(&resolver, NUMBER).await.0, ResolutionSource::Fresh);
    assert_eq!(
        resolver
            .resolve("desk@suspended.example", None)
            .await
            .unwrap()
            .as_str(),
        "suspended"
    );
    fixture.store.set_down(true);
    assert!(
        resolver.resolve("+34600999999", None).await.is_err(),
        "an outage makes no sender a guest of the default"
    );
}

#[tokio::test]
async fn resolvers_hear_of_each_others_changes() {
    let fixture = Fixture::new().await;
    let (one, other) = (fixture.resolver(options()), fixture.resolver(options()));
    for resolver in [&one, &other] {
        assert_eq!(source_and_age(resolver, NUMBER).await.0, ResolutionSource::Fresh);
        assert_eq!(
            resolver.resolve("+34600111222", None).await.unwrap(),
            Resolution::Unknown
        );
    }
    let id = TenantId::parse("hotel").unwrap();
    one.add_identifier(&id, "+34600111222", None).await.unwrap();
    one.suspend(&id).await.unwrap();
    until("the announcement", || other.cached(NUMBER, None).is_none()).await;
    until("the second", || other.cached("+34600111222", None).is_none()).await;
    for identifier in [NUMBER, "+34600111222"] {
        assert_eq!(
            other.resolve(identifier, None).await.unwrap().as_str(),
            "suspended"
        );
    }
}

#[tokio::test]
async fn an_announcement_that_nobody_understands_makes_everything_be_asked_again() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture
        .channel
        .announce(b"from a later version".to_vec())
        .await
        .unwrap();
    until("the announcement", || resolver.cached(NUMBER, None).is_none()).await;
    fixture.store.set_down(true);
    assert_eq!(source_and_age(&resolver, NUMBER).await.0, ResolutionSource::Stale);
}

#[tokio::test]
async fn a_restart_during_an_outage_knows_its_hotels_from_the_disk() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let options = TenantOptions {
        snapshot_dir: Some(folder.path().to_owned()),
        ..options()
    };
    let resolver = fixture.resolver(options.clone());
    resolver.resolve(NUMBER, None).await.unwrap();
    assert_eq!(fixture.tasks.close(Duration::from_secs(5)).await, 0);

    let fixture = Fixture {
        tasks: Tasks::new(),
        ..fixture
    };
    fixture.clock.advance(HOUR);
    fixture.store.set_down(true);
    let restarted = fixture.resolver(options.clone());
    assert_eq!(
        source_and_age(&restarted, "+54 9 11 1234 5678").await,
        (ResolutionSource::Disk, HOUR)
    );
    assert!(restarted.resolve("+34600111222", None).await.is_err());
    fixture.store.set_down(false);
    let restarted = fixture.resolver(options);
    assert_eq!(
        source_and_age(&restarted, NUMBER).await,
        (ResolutionSource::Fresh, Duration::ZERO)
    );
}

#[tokio::test]
async fn a_damaged_snapshot_counts_as_none() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let options = TenantOptions {
        snapshot_dir: Some(folder.path().to_owned()),
        ..options()
    };
    let resolver = fixture.resolver(options.clone());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture.tasks.close(Duration::from_secs(5)).await;
    let path = folder.path().join("tenants.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, kept.replace("Hotel hotel", "Hotel other")).unwrap();

    let fixture = Fixture {
        tasks: Tasks::new(),
        ..fixture
    };
    fixture.store.set_down(true);
    let error = fixture.resolver(options).resolve(NUMBER, None).await.unwrap_err();
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
}

#[tokio::test]
async fn many_identifiers_cost_one_question() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    let asked: Vec<String> = (0..300).map(|number| format!("desk-{number}.example")).collect();
    let answers = resolver.resolve_many(&asked, None).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer.as_ref().unwrap() == Resolution::Unknown)
    );
    assert_eq!(fixture.store.finds(), 1);
}

#[tokio::test]
async fn a_closed_handle_refuses_what_it_does_not_know_already() {
    let fixture = Fixture::new().await;
    let resolver = fixture.resolver(options());
    resolver.resolve(NUMBER, None).await.unwrap();
    fixture.tasks.close(Duration::from_secs(5)).await;
    let error = resolver.resolve("+34600111222", None).await.unwrap_err();
    assert!(error.is(codes::POSADA_CLOSED), "{error}");
    let error = resolver
        .suspend(&TenantId::parse("hotel").unwrap())
        .await
        .unwrap_err();
    assert!(error.is(codes::POSADA_CLOSED), "{error}");
}
