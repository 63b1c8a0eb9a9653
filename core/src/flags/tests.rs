//! The service over a store in memory that can be made to fail, to hold its answers, and to forget.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::Notify;

use super::store::{FlagNotices, RawFlags, Written};
use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::error::{Error, codes};

/// The memory store behind a switch.
#[derive(Debug)]
struct FaultyStore {
    memory: MemoryFlags,
    fails: AtomicBool,
    loads: AtomicUsize,
    /// When set, the next load takes its answer and keeps it until the gate opens.
    gate: Mutex<Option<Arc<Gate>>>,
}

#[derive(Debug, Default)]
struct Gate {
    reached: Notify,
    open: Notify,
}

impl FaultyStore {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryFlags::new(),
            fails: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            gate: Mutex::default(),
        })
    }

    fn check(&self) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(codes::REDIS_UNAVAILABLE, "switched off by the test"));
        }
        Ok(())
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    fn hold_next_load(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    fn write_as_a_foreigner(&self, tenant: Option<&TenantId>, flag: &str, value: Option<&str>) {
        self.memory.write_as_a_foreigner(tenant, |layer| match value {
            Some(value) => drop(layer.insert(flag.to_owned(), value.to_owned())),
            None => drop(layer.remove(flag)),
        });
    }
}

#[async_trait]
impl FlagStore for FaultyStore {
    async fn load(&self, tenants: &[TenantId]) -> Result<RawFlags> {
        self.check()?;
        let answer = self.memory.load(tenants).await;
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        self.loads.fetch_add(1, Ordering::SeqCst);
        answer
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.check()?;
        self.memory.tenants().await
    }

    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<Written> {
        self.check()?;
        // No server answers at once.
        tokio::task::yield_now().await;
        self.memory.set(tenant, flag, value).await
    }

    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<Written> {
        self.check()?;
        self.memory.unset(tenant, flag).await
    }

    fn changes(&self) -> Box<dyn FlagNotices> {
        self.memory.changes()
    }
}

fn options() -> FlagOptions {
    FlagOptions {
        poll: Duration::from_hours(1),
        ..FlagOptions::default()
    }
}

fn service(store: &Arc<FaultyStore>) -> FeatureFlags {
    FeatureFlags::new(store.clone(), SystemClock::shared(), Tasks::new(), options())
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Waits until the watcher is told of this change.
async fn wait_for(watch: &mut FlagWatch, wanted: &FlagChange) {
    tokio::time::timeout(Duration::from_secs(5), async {
        while watch.next().await.as_ref() != Some(wanted) {}
    })
    .await
    .unwrap_or_else(|_| panic!("{wanted:?} was not told"));
}

fn changed(flag: &str, tenant: Option<&TenantId>) -> FlagChange {
    FlagChange::Changed {
        flag: flag.into(),
        tenant: tenant.cloned(),
    }
}

#[tokio::test]
async fn layers_decide_as_the_vectors_say() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/flags/layering.json")).unwrap();
    let tenant = tenant("hotel-test");
    for case in vectors["cases"].as_array().unwrap() {
        let store = FaultyStore::new();
        let defaults = case["code"]
            .as_bool()
            .map(|value| ("flag".to_owned(), value))
            .into_iter()
            .collect();
        let options = FlagOptions {
            defaults,
            ..options()
        };
        let flags = FeatureFlags::new(store.clone(), SystemClock::shared(), Tasks::new(), options);
        if let Some(value) = case["tenant"].as_str() {
            store.write_as_a_foreigner(Some(&tenant), "flag", Some(value));
        }
        if let Some(value) = case["global"].as_str() {
            store.write_as_a_foreigner(None, "flag", Some(value));
        }
        flags.refresh().await.unwrap();
        flags.warm(std::slice::from_ref(&tenant)).await.unwrap();
        let context = Context::new().tenant(&tenant);
        let call = case["call"].as_bool().unwrap();
        let evaluation = flags.evaluate_or("flag", &context, call);
        assert_eq!(evaluation.value, case["value"], "{case}");
        assert_eq!(evaluation.source.as_str(), case["source"], "{case}");
        assert_eq!(evaluation.reason.as_str(), case["reason"], "{case}");
        assert_eq!(evaluation.error.is_some(), case["reason"] == "ERROR", "{case}");
        assert_eq!(
            flags.is_enabled_or("flag", &context, call),
            case["value"],
            "{case}"
        );
    }
}

#[tokio::test]
async fn before_anything_is_loaded_code_defaults_speak() {
    let store = FaultyStore::new();
    store.fail(true);
    let flags = service(&store);
    flags.connect().await;
    let evaluation = flags.evaluate("nlp.fallback.enhanced", &Context::new());
    assert_eq!(
        (
            evaluation.value,
            evaluation.reason,
            evaluation.source,
            evaluation.age
        ),
        (true, Reason::Default, FlagSource::CodeDefault, None)
    );
    assert!(!flags.status().ready);
}

#[tokio::test]
async fn the_default_of_one_call_is_not_that_of_the_next() {
    let flags = service(&FaultyStore::new());
    assert!(flags.is_enabled_or("unknown", &Context::new(), true));
    assert!(!flags.is_enabled_or("unknown", &Context::new(), false));
    assert!(!flags.is_enabled("unknown", &Context::new()));
}

#[tokio::test]
async fn while_the_store_fails_the_last_good_value_is_served_as_stale() {
    let store = FaultyStore::new();
    store.write_as_a_foreigner(None, "nlp.fallback.enhanced", Some("0"));
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let flags = FeatureFlags::new(store.clone(), clock.shared(), Tasks::new(), options());
    flags.refresh().await.unwrap();
    let mut watch = flags.watch();
    store.fail(true);
    clock.advance(Duration::from_secs(40));
    assert!(flags.refresh().await.unwrap_err().is(codes::REDIS_UNAVAILABLE));
    let evaluation = flags.evaluate("nlp.fallback.enhanced", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (false, Reason::Stale));
    assert_eq!(evaluation.age, Some(Duration::from_secs(40)));
    wait_for(&mut watch, &FlagChange::Stale).await;

    store.fail(false);
    flags.refresh().await.unwrap();
    let evaluation = flags.evaluate("nlp.fallback.enhanced", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (false, Reason::Static));
    wait_for(&mut watch, &FlagChange::Fresh).await;
}

#[tokio::test]
async fn the_end_of_an_outage_at_the_start_is_told_once() {
    let store = FaultyStore::new();
    let flags = FeatureFlags::new(store.clone(), SystemClock::shared(), Tasks::new(), options());
    let mut watch = flags.watch();
    store.fail(true);
    flags.refresh().await.unwrap_err();
    flags.refresh().await.unwrap_err();
    store.fail(false);
    for _ in 0..2 {
        flags.refresh().await.unwrap();
    }
    store.write_as_a_foreigner(None, "flag", Some("1"));
    flags.refresh().await.unwrap();
    assert_eq!(
        watch.next().await,
        Some(FlagChange::Fresh),
        "nothing was there to become stale"
    );
    assert!(matches!(watch.next().await, Some(FlagChange::Changed { .. })));
}

#[tokio::test]
async fn values_that_nobody_confirmed_for_three_polls_are_stale() {
    let store = FaultyStore::new();
    store.write_as_a_foreigner(None, "flag", Some("1"));
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let flags = FeatureFlags::new(store, clock.shared(), Tasks::new(), options());
    flags.refresh().await.unwrap();
    clock.advance(Duration::from_hours(3) + Duration::from_millis(1));
    assert_eq!(flags.evaluate("flag", &Context::new()).reason, Reason::Stale);
}

#[tokio::test]
async fn a_store_that_lost_everything_is_not_believed() {
    let store = FaultyStore::new();
    let flags = service(&store);
    for flag in ["a", "b", "c", "d", "e"] {
        flags.set(None, flag, true).await.unwrap();
    }
    flags.refresh().await.unwrap();
    store.memory.flush();
    flags.refresh().await.unwrap();
    let evaluation = flags.evaluate("a", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (true, Reason::Stale));
    assert_eq!((flags.status().lost, flags.status().stale), (5, true));

    // A switch thrown meanwhile works, for everybody, and does not bring the loss of the others about.
    let other = service(&store);
    other.set(None, "a", false).await.unwrap();
    flags.refresh().await.unwrap();
    assert!(!flags.is_enabled("a", &Context::new()));
    assert!(flags.is_enabled("b", &Context::new()));

    flags.adopt().await.unwrap();
    assert!(!flags.is_enabled("b", &Context::new()));
    assert_eq!((flags.status().lost, flags.status().stale), (0, false));
}

#[tokio::test]
async fn flags_that_posada_unset_are_gone_also_when_they_were_the_last() {
    let store = FaultyStore::new();
    let (one, other) = (service(&store), service(&store));
    one.set(None, "flag", true).await.unwrap();
    other.refresh().await.unwrap();
    assert!(one.unset(None, "flag").await.unwrap());
    assert!(!one.unset(None, "flag").await.unwrap());
    other.refresh().await.unwrap();
    for flags in [&one, &other] {
        assert!(!flags.is_enabled("flag", &Context::new()));
        assert_eq!(flags.status().lost, 0);
    }
}

#[tokio::test]
async fn a_change_reaches_another_process_by_its_notice() {
    let store = FaultyStore::new();
    let (one, other) = (service(&store), service(&store));
    other.connect().await;
    let tenant = tenant("hotel-test");
    let mut watch = other.watch();
    one.set(&tenant, "flag", true).await.unwrap();
    wait_for(&mut watch, &changed("flag", Some(&tenant))).await;
    assert!(other.is_enabled("flag", &Context::new().tenant(&tenant)));
    assert!(!other.is_enabled("flag", &Context::new()));
    one.unset(&tenant, "flag").await.unwrap();
    wait_for(&mut watch, &changed("flag", Some(&tenant))).await;
    assert!(!other.is_enabled("flag", &Context::new().tenant(&tenant)));
}

#[tokio::test]
async fn an_answer_that_is_older_than_our_write_does_not_undo_it() {
    let store = FaultyStore::new();
    let flags = service(&store);
    let tenant = tenant("hotel-test");
    flags.set(&tenant, "there", true).await.unwrap();
    flags.connect().await;
    let gate = store.hold_next_load();
    let slow = tokio::join!(flags.refresh(), async {
        gate.reached.notified().await;
        flags.set(None, "new", true).await.unwrap();
        flags.unset(&tenant, "there").await.unwrap();
        gate.open.notify_one();
    });
    slow.0.unwrap();
    assert!(flags.is_enabled("new", &Context::new()));
    assert!(!flags.is_enabled("there", &Context::new().tenant(&tenant)));
    assert_eq!(flags.status().lost, 0);
}

#[tokio::test]
async fn a_failed_write_changes_nothing_here() {
    let store = FaultyStore::new();
    let flags = service(&store);
    flags.set(None, "flag", true).await.unwrap();
    store.fail(true);
    assert!(flags.set(None, "flag", false).await.is_err());
    assert!(flags.is_enabled("flag", &Context::new()));
}

#[tokio::test]
async fn a_write_whose_caller_went_away_still_ends() {
    let store = FaultyStore::new();
    let flags = service(&store);
    let mut watch = flags.watch();
    assert!(flags.set(None, "flag", true).now_or_never().is_none());
    wait_for(&mut watch, &changed("flag", None)).await;
    assert!(flags.is_enabled("flag", &Context::new()));
    assert_eq!(store.memory.load(&[]).await.unwrap().global["flag"], "1");
}

#[tokio::test]
async fn a_slow_watcher_is_told_how_much_it_missed() {
    let flags = service(&FaultyStore::new());
    let mut watch = flags.watch();
    for turn in 0..watch::BACKLOG + 3 {
        flags.set(None, "flag", turn % 2 == 0).await.unwrap();
    }
    assert_eq!(watch.next().await, Some(FlagChange::Missed(3)));
    assert_eq!(watch.next().await, Some(changed("flag", None)));
}

#[tokio::test]
async fn a_tenant_that_only_foreigners_override_is_looked_up_when_it_is_named() {
    let store = FaultyStore::new();
    let flags = service(&store);
    flags.connect().await;
    let tenant = tenant("hotel-centro");
    store.write_as_a_foreigner(Some(&tenant), "flag", Some("on"));
    let mut watch = flags.watch();
    assert!(!flags.is_enabled("flag", &Context::new().tenant(&tenant)));
    wait_for(&mut watch, &changed("flag", Some(&tenant))).await;
    assert!(flags.is_enabled("flag", &Context::new().tenant(&tenant)));
}

#[tokio::test]
async fn notices_do_not_put_the_poll_off() {
    let store = FaultyStore::new();
    let options = FlagOptions {
        poll: Duration::from_millis(50),
        ..FlagOptions::default()
    };
    let flags = FeatureFlags::new(store.clone(), SystemClock::shared(), Tasks::new(), options);
    let tenant = tenant("hotel-test");
    flags.warm(std::slice::from_ref(&tenant)).await.unwrap();
    store.write_as_a_foreigner(Some(&tenant), "foreign", Some("1"));
    tokio::time::timeout(Duration::from_secs(5), async {
        for turn in 0.. {
            if flags.is_enabled("foreign", &Context::new().tenant(&tenant)) {
                break;
            }
            flags.set(None, "busy", turn % 2 == 0).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn after_an_outage_one_load_confirms_everything() {
    let store = FaultyStore::new();
    let flags = service(&store);
    let (known, new) = (tenant("known"), tenant("new"));
    flags.set(&known, "flag", true).await.unwrap();
    store.fail(true);
    assert!(flags.refresh().await.is_err());
    store.write_as_a_foreigner(Some(&known), "flag", Some("0"));
    store.write_as_a_foreigner(Some(&new), "flag", Some("1"));
    store.fail(false);
    flags.warm(std::slice::from_ref(&new)).await.unwrap();
    let evaluation = flags.evaluate("flag", &Context::new().tenant(&known));
    assert_eq!((evaluation.value, evaluation.reason), (false, Reason::Static));
    assert!(flags.is_enabled("flag", &Context::new().tenant(&new)));
}

#[tokio::test]
async fn tenants_beyond_the_limit_are_not_looked_up() {
    let store = FaultyStore::new();
    let options = FlagOptions {
        max_tenants: 1,
        ..options()
    };
    let flags = FeatureFlags::new(store, SystemClock::shared(), Tasks::new(), options);
    for name in ["first", "second", "third"] {
        flags.is_enabled("flag", &Context::new().tenant(&tenant(name)));
    }
    flags.refresh().await.unwrap();
    assert_eq!(flags.0.view.load().tenants.len(), 1);
}

#[tokio::test]
async fn tenants_without_overrides_are_forgotten_when_nobody_asks_for_them() {
    let store = FaultyStore::new();
    let flags = service(&store);
    let (silent, busy) = (tenant("silent"), tenant("busy"));
    flags.warm(&[silent.clone(), busy.clone()]).await.unwrap();
    flags.refresh().await.unwrap();
    flags.is_enabled("flag", &Context::new().tenant(&busy));
    flags.refresh().await.unwrap();
    let view = flags.0.view.load();
    assert!(view.tenants.contains_key(&busy) && !view.tenants.contains_key(&silent));
}

#[tokio::test]
async fn an_unusable_definition_disturbs_its_own_flag_only() {
    let store = FaultyStore::new();
    let flags = service(&store);
    store.write_as_a_foreigner(None, "rich", Some(r#"{"enabled":true}"#));
    store.write_as_a_foreigner(None, "plain", Some("1"));
    flags.refresh().await.unwrap();
    store.write_as_a_foreigner(None, "rich", Some("{broken"));
    store.write_as_a_foreigner(None, "new", Some("{broken too"));
    flags.refresh().await.unwrap();
    let rich = flags.evaluate("rich", &Context::new());
    assert_eq!(
        (rich.value, rich.reason, rich.source),
        (true, Reason::Error, FlagSource::Global)
    );
    assert!(rich.error.unwrap().contains("not JSON"));
    let new = flags.evaluate_or("new", &Context::new(), true);
    assert_eq!(
        (new.value, new.reason, new.source),
        (true, Reason::Error, FlagSource::CallDefault)
    );
    assert_eq!(flags.evaluate("plain", &Context::new()).reason, Reason::Static);
    let listed = flags.list(None).await.unwrap();
    let broken: Vec<_> = listed
        .iter()
        .filter(|flag| flag.error.is_some())
        .map(|flag| flag.key.as_str())
        .collect();
    assert_eq!(broken, ["new", "rich"]);
}

#[tokio::test]
async fn dependencies_look_at_the_layers_of_the_same_tenant() {
    let store = FaultyStore::new();
    let flags = service(&store);
    let tenant = tenant("hotel-test");
    let child = FlagValue::parse(r#"{"enabled":true,"dependencies":[{"feature":"parent"}]}"#).unwrap();
    flags.set(None, "child", child).await.unwrap();
    assert!(!flags.is_enabled("child", &Context::new().tenant(&tenant)));
    flags.set(&tenant, "parent", true).await.unwrap();
    assert!(flags.is_enabled("child", &Context::new().tenant(&tenant)));
    assert!(!flags.is_enabled("child", &Context::new()));
    let circle = FlagValue::parse(r#"{"enabled":true,"dependencies":[{"feature":"child"}]}"#).unwrap();
    flags.set(None, "parent", circle).await.unwrap();
    assert!(!flags.is_enabled("child", &Context::new()));
}

#[tokio::test]
async fn a_snapshot_does_not_change_any_more() {
    let flags = service(&FaultyStore::new());
    flags.set(None, "flag", true).await.unwrap();
    let snapshot = flags.snapshot();
    flags.set(None, "flag", false).await.unwrap();
    assert!(snapshot.is_enabled("flag", &Context::new()));
    assert!(!flags.is_enabled("flag", &Context::new()));
    assert!(snapshot.evaluate_all(&Context::new())["flag"].value);
}

#[tokio::test]
async fn a_start_without_the_store_serves_the_snapshot_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = FaultyStore::new();
    let tenant = tenant("hotel-test");
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let options = || FlagOptions {
        snapshot_dir: Some(folder.path().join("snapshots")),
        ..options()
    };
    let before = FeatureFlags::new(store.clone(), clock.shared(), Tasks::new(), options());
    before.set(&tenant, "canary.enabled", true).await.unwrap();
    before.refresh().await.unwrap();

    clock.advance(Duration::from_mins(10));
    store.fail(true);
    let after = FeatureFlags::new(store.clone(), clock.shared(), Tasks::new(), options());
    after.connect().await;
    let evaluation = after.evaluate("canary.enabled", &Context::new().tenant(&tenant));
    assert_eq!((evaluation.value, evaluation.reason), (true, Reason::Stale));
    assert_eq!(evaluation.age, Some(Duration::from_mins(10)));

    // A store that comes back empty is judged against the file.
    store.memory.flush();
    store.fail(false);
    after.refresh().await.unwrap();
    assert!(after.is_enabled("canary.enabled", &Context::new().tenant(&tenant)));
    assert_eq!(after.status().lost, 1);
}

#[tokio::test]
async fn closing_ends_watches_and_refuses_writes() {
    let tasks = Tasks::new();
    let flags = FeatureFlags::new(
        FaultyStore::new(),
        SystemClock::shared(),
        tasks.clone(),
        options(),
    );
    let mut watch = flags.watch();
    tasks.close(Duration::from_secs(1)).await;
    assert_eq!(watch.next().await, None);
    assert!(
        flags
            .set(None, "flag", true)
            .await
            .unwrap_err()
            .is(codes::POSADA_CLOSED)
    );
}

#[tokio::test]
async fn following_ends_with_the_last_handle() {
    let store = FaultyStore::new();
    let (tasks, flags) = (Tasks::new(), service(&store));
    let inner = Arc::downgrade(&flags.0);
    flags.connect().await;
    drop((flags, tasks));
    // The loop lets go as soon as it waits again.
    tokio::time::timeout(Duration::from_secs(5), async {
        while inner.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[test]
fn outside_a_runtime_defaults_are_served() {
    let flags = service(&FaultyStore::new());
    assert!(flags.is_enabled("tenancy.dynamic.enabled", &Context::new()));
}

#[cfg(feature = "testkit")]
#[tokio::test]
async fn memory_keeps_the_promises() {
    let store = FaultyStore::new();
    let (one, other) = (service(&store), service(&store));
    other.connect().await;
    crate::testkit::flags::suite(&one, &other, "memory").await;
}
