//! Stores with bad contents: one that goes back in time (a restart from an older snapshot, or the promotion of a
//! replica that was behind), and one with fields that mean nothing.

use std::time::Duration;

use super::*;
use crate::clock::SystemClock;

const STOP: &str = "booking.stop";

fn options() -> FlagOptions {
    FlagOptions {
        poll: Duration::from_hours(1),
        ..FlagOptions::default()
    }
}

fn service(memory: &MemoryFlags) -> FeatureFlags {
    let store = Arc::new(memory.clone());
    FeatureFlags::new(store, SystemClock::shared(), Tasks::new(), options())
}

/// Flags that were there long before, a snapshot of them, and two processes.
async fn fixture() -> (MemoryFlags, impl Fn(&MemoryFlags), FeatureFlags, FeatureFlags) {
    let memory = MemoryFlags::new();
    let (one, other) = (service(&memory), service(&memory));
    for flag in [
        "canary.enabled",
        "reservation.qr.enabled",
        "humanize.delay.enabled",
        "old.one",
    ] {
        one.set(None, flag, true).await.unwrap();
    }
    other.refresh().await.unwrap();
    let go_back = memory.keep();
    (memory, go_back, one, other)
}

fn seen(flags: &FeatureFlags, context: &Context<'_>) -> (bool, Reason, bool) {
    let found = flags.evaluate(STOP, context);
    (found.value, found.reason, flags.status().stale)
}

#[tokio::test]
async fn a_flag_that_was_set_after_the_snapshot_stays_and_is_stale() {
    let (memory, go_back, one, other) = fixture().await;
    one.set(None, STOP, true).await.unwrap();
    other.refresh().await.unwrap();
    go_back(&memory);
    for flags in [&one, &other] {
        flags.refresh().await.unwrap();
        assert_eq!(seen(flags, &Context::new()), (true, Reason::Stale, true));
        assert_eq!(flags.status().lost, 1);
        // It does not become true by being looked at again.
        flags.refresh().await.unwrap();
        assert_eq!(seen(flags, &Context::new()), (true, Reason::Stale, true));
    }
    // The operator sets it once more, and all is well, in every process.
    one.set(None, STOP, true).await.unwrap();
    for flags in [&one, &other] {
        flags.refresh().await.unwrap();
        assert_eq!(seen(flags, &Context::new()), (true, Reason::Static, false));
    }
}

#[tokio::test]
async fn the_write_that_nobody_loaded_yet_is_known_to_the_process_that_made_it() {
    let (memory, go_back, one, _) = fixture().await;
    one.refresh().await.unwrap();
    one.set(None, STOP, true).await.unwrap();
    go_back(&memory);
    one.refresh().await.unwrap();
    assert_eq!(seen(&one, &Context::new()), (true, Reason::Stale, true));
}

#[tokio::test]
async fn writes_after_the_fall_do_not_hide_it() {
    let (memory, go_back, one, other) = fixture().await;
    one.set(None, STOP, true).await.unwrap();
    other.refresh().await.unwrap();
    go_back(&memory);
    let third = service(&memory);
    for value in [true, false] {
        third.set(None, "nlp.fallback.enhanced", value).await.unwrap();
    }
    third.set(None, "canary.enabled", false).await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!(seen(&other, &Context::new()), (true, Reason::Stale, true));
    // What was written after the fall is believed.
    assert!(!other.is_enabled("canary.enabled", &Context::new()));
    assert_eq!(other.status().lost, 1);
}

#[tokio::test]
async fn a_value_that_was_changed_or_unset_after_the_snapshot_does_not_return() {
    let (memory, go_back, one, other) = fixture().await;
    one.set(None, "canary.enabled", false).await.unwrap();
    one.unset(None, "reservation.qr.enabled").await.unwrap();
    other.refresh().await.unwrap();
    go_back(&memory);
    for flags in [&one, &other] {
        flags.refresh().await.unwrap();
        assert!(!flags.is_enabled("canary.enabled", &Context::new()));
        assert!(!flags.is_enabled("reservation.qr.enabled", &Context::new()));
        assert_eq!((flags.status().lost, flags.status().stale), (2, true));
    }
    other.adopt().await.unwrap();
    assert!(other.is_enabled("canary.enabled", &Context::new()));
    assert!(other.is_enabled("reservation.qr.enabled", &Context::new()));
    assert!(!other.status().stale);
}

#[tokio::test]
async fn the_overrides_of_a_hotel_are_not_lost_either_whatever_is_loaded_first() {
    let (memory, go_back, one, other) = fixture().await;
    let hotel = TenantId::parse("hotel-centro").unwrap();
    one.set(&hotel, STOP, true).await.unwrap();
    other.refresh().await.unwrap();
    go_back(&memory);
    let other_hotel = TenantId::parse("hotel-norte").unwrap();
    other.warm(std::slice::from_ref(&other_hotel)).await.unwrap();
    assert_eq!(
        seen(&other, &Context::new().tenant(&hotel)),
        (true, Reason::Stale, true)
    );
    other.refresh().await.unwrap();
    assert_eq!(
        seen(&other, &Context::new().tenant(&hotel)),
        (true, Reason::Stale, true)
    );
}

#[tokio::test]
async fn a_process_that_starts_after_the_fall_knows_it_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, go_back, one, _) = fixture().await;
    let started = || {
        let options = FlagOptions {
            snapshot_dir: Some(folder.path().into()),
            ..options()
        };
        let store = Arc::new(memory.clone());
        FeatureFlags::new(store, SystemClock::shared(), Tasks::new(), options)
    };
    one.set(None, STOP, true).await.unwrap();
    one.unset(None, "old.one").await.unwrap();
    started().refresh().await.unwrap();
    go_back(&memory);
    // The second of them reads what the first wrote after the fall.
    for turn in 0..2 {
        let flags = started();
        flags.refresh().await.unwrap();
        assert_eq!(
            seen(&flags, &Context::new()),
            (true, Reason::Stale, true),
            "{turn}"
        );
        assert!(!flags.is_enabled("old.one", &Context::new()), "{turn}");
        assert_eq!(flags.status().lost, 2, "{turn}");
    }
}

#[tokio::test]
async fn a_field_that_means_nothing_is_off_and_says_so() {
    let memory = MemoryFlags::new();
    memory.write_as_a_foreigner(None, |layer| {
        for (flag, text) in [("newline", "1\n"), ("typo", "ture"), ("off", "no"), ("empty", "")] {
            layer.insert(flag.to_owned(), text.to_owned());
        }
    });
    let flags = service(&memory);
    flags.refresh().await.unwrap();
    for flag in ["newline", "typo"] {
        let found = flags.evaluate_or(flag, &Context::new(), true);
        assert_eq!((found.value, found.reason), (false, Reason::Error), "{flag}");
        assert!(found.error.unwrap().contains("1, true, on, yes"));
    }
    for flag in ["off", "empty"] {
        let found = flags.evaluate_or(flag, &Context::new(), true);
        assert_eq!((found.value, found.reason), (false, Reason::Static), "{flag}");
    }
    let listed = flags.list(None).await.unwrap();
    let wrong = listed
        .iter()
        .filter(|flag| flag.error.is_some())
        .map(|flag| flag.key.as_str());
    assert_eq!(wrong.collect::<Vec<_>>(), ["newline", "typo"]);
}
