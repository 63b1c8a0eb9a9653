//! What every store of feature flags promises, told through two [`FeatureFlags`] over the same store, as two
//! processes have them.
//!
//! The functions share a store with each other and with strangers: each works with flags and tenants named after
//! the `word` that it is given, which nobody else may use.

use std::time::Duration;

use futures_util::future::join_all;

use crate::error::codes;
use crate::flags::{Context, FeatureFlags, FlagSource, FlagValue, Reason};
use crate::tenants::TenantId;

/// Longest wait for something that a notice should bring at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs every function of this page, one after the other.
pub async fn suite(one: &FeatureFlags, other: &FeatureFlags, word: &str) {
    what_is_set_is_evaluated_at_once(one, word).await;
    a_change_reaches_another_process(one, other, word).await;
    a_tenants_override_is_its_own(one, other, word).await;
    tenants_whose_names_look_like_keys_are_apart(one, other, word).await;
    a_definition_means_the_same_in_every_process(one, other, word).await;
    concurrent_writes_all_arrive(one, other, word).await;
    an_unset_flag_is_gone_everywhere(one, other, word).await;
    a_list_names_the_layer_that_decides(one, word).await;
    what_cannot_be_a_flag_is_refused(one).await;
}

fn tenant(word: &str, name: &str) -> TenantId {
    TenantId::parse(&format!("{word}-{name}")).unwrap()
}

/// Waits, woken by every change, until it is so.
pub async fn until(flags: &FeatureFlags, what: &str, is_so: impl Fn(&FeatureFlags) -> bool) {
    let mut watch = flags.watch();
    let waiting = async {
        while !is_so(flags) {
            assert!(watch.next().await.is_some(), "closed while waiting until {what}");
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Whoever sets a flag evaluates it without waiting for anybody.
pub async fn what_is_set_is_evaluated_at_once(flags: &FeatureFlags, word: &str) {
    let flag = format!("{word}.own");
    for value in [true, false, true] {
        flags.set(None, &flag, value).await.unwrap();
        let evaluation = flags.evaluate(&flag, &Context::new());
        assert_eq!((evaluation.value, evaluation.source), (value, FlagSource::Global));
    }
}

/// The other process sees a change, and its neighbours keep their values.
pub async fn a_change_reaches_another_process(one: &FeatureFlags, other: &FeatureFlags, word: &str) {
    let (flag, neighbour) = (format!("{word}.change"), format!("{word}.neighbour"));
    one.set(None, &neighbour, true).await.unwrap();
    for value in [true, false, true] {
        one.set(None, &flag, value).await.unwrap();
        until(other, "the change is seen", |flags| {
            flags.is_enabled(&flag, &Context::new()) == value
        })
        .await;
    }
    assert!(other.is_enabled(&neighbour, &Context::new()));
}

/// An override holds for its tenant only, beats the global value, and gives way to it when it is unset.
pub async fn a_tenants_override_is_its_own(one: &FeatureFlags, other: &FeatureFlags, word: &str) {
    let flag = format!("{word}.override");
    let (hotel, neighbour) = (tenant(word, "hotel"), tenant(word, "neighbour"));
    one.set(None, &flag, false).await.unwrap();
    one.set(&hotel, &flag, true).await.unwrap();
    until(other, "the override is seen", |flags| {
        flags.is_enabled(&flag, &Context::new().tenant(&hotel))
    })
    .await;
    let source = |tenant| other.evaluate(&flag, &Context::new().tenant(tenant)).source;
    assert_eq!(source(&hotel), FlagSource::Tenant);
    assert_eq!(source(&neighbour), FlagSource::Global);
    assert!(!other.is_enabled(&flag, &Context::new()));
    assert!(one.unset(&hotel, &flag).await.unwrap());
    until(other, "the override is gone", |flags| {
        flags.evaluate(&flag, &Context::new().tenant(&hotel)).source == FlagSource::Global
    })
    .await;
}

/// No tenant reaches another's hash by its name.
pub async fn tenants_whose_names_look_like_keys_are_apart(
    one: &FeatureFlags,
    other: &FeatureFlags,
    word: &str,
) {
    let flag = format!("{word}.apart");
    let names = ["a:b", "a%3Ab", "{a}b", "a", "ñ"].map(|name| tenant(word, name));
    for (index, name) in names.iter().enumerate() {
        one.set(Some(name), &flag, index % 2 == 0).await.unwrap();
    }
    let hotel = &names[4];
    until(other, "the last override is seen", |flags| {
        flags.is_enabled(&flag, &Context::new().tenant(hotel))
    })
    .await;
    for (index, name) in names.iter().enumerate() {
        let expected = index % 2 == 0;
        assert_eq!(
            other.is_enabled(&flag, &Context::new().tenant(name)),
            expected,
            "{name}"
        );
    }
}

/// A rollout puts the same guests in, wherever it is evaluated.
pub async fn a_definition_means_the_same_in_every_process(
    one: &FeatureFlags,
    other: &FeatureFlags,
    word: &str,
) {
    let flag = format!("{word}.rollout");
    let definition = r#"{"enabled": true, "strategies": [{"name": "flexibleRollout",
        "parameters": {"rollout": 40, "stickiness": "userId", "groupId": "gr1"}}],
        "variants": [{"name": "blue", "weight": 500}, {"name": "red", "weight": 500}]}"#;
    one.set(None, &flag, FlagValue::parse(definition).unwrap())
        .await
        .unwrap();
    until(other, "the definition is seen", |flags| {
        flags.evaluate(&flag, &Context::new()).source == FlagSource::Global
    })
    .await;
    let mut enabled = 0;
    for number in 0..200 {
        let guest = format!("guest-{number}");
        let context = Context::new().user(&guest);
        let (here, there) = (one.evaluate(&flag, &context), other.evaluate(&flag, &context));
        assert_eq!(
            (here.value, &here.variant),
            (there.value, &there.variant),
            "{guest}"
        );
        assert_eq!(there.reason, Reason::Split);
        enabled += u32::from(there.value);
    }
    assert!(
        (50..110).contains(&enabled),
        "{enabled} of 200 are in a rollout of 40 %"
    );
}

/// Writes at the same moment do not undo each other, here or there.
pub async fn concurrent_writes_all_arrive(one: &FeatureFlags, other: &FeatureFlags, word: &str) {
    let names: Vec<String> = (0..20)
        .map(|number| format!("{word}.concurrent.{number}"))
        .collect();
    let writes = names.iter().enumerate().map(|(index, name)| {
        let writer = if index % 2 == 0 { one } else { other };
        writer.set(None, name, true)
    });
    for written in join_all(writes).await {
        written.unwrap();
    }
    for flags in [one, other] {
        until(flags, "all flags are on", |flags| {
            names.iter().all(|name| flags.is_enabled(name, &Context::new()))
        })
        .await;
    }
}

/// Removing the last flag of a hash is believed by the other process, because posada did it.
pub async fn an_unset_flag_is_gone_everywhere(one: &FeatureFlags, other: &FeatureFlags, word: &str) {
    let flag = format!("{word}.unset");
    let hotel = tenant(word, "unset");
    one.set(&hotel, &flag, true).await.unwrap();
    until(other, "the flag is on", |flags| {
        flags.is_enabled(&flag, &Context::new().tenant(&hotel))
    })
    .await;
    assert!(one.unset(&hotel, &flag).await.unwrap());
    assert!(!one.unset(&hotel, &flag).await.unwrap());
    until(other, "the flag is off", |flags| {
        !flags.is_enabled(&flag, &Context::new().tenant(&hotel))
    })
    .await;
    assert_eq!(
        other.evaluate(&flag, &Context::new().tenant(&hotel)).source,
        FlagSource::CallDefault
    );
}

/// The list shows code defaults, global values and overrides, each flag once.
pub async fn a_list_names_the_layer_that_decides(flags: &FeatureFlags, word: &str) {
    let (global, overridden) = (format!("{word}.list.global"), format!("{word}.list.tenant"));
    let hotel = tenant(word, "list");
    flags.set(None, &global, true).await.unwrap();
    flags.set(None, &overridden, false).await.unwrap();
    flags.set(&hotel, &overridden, true).await.unwrap();
    let list = flags.list(&hotel).await.unwrap();
    let of = |key: &str| {
        let mut found = list.iter().filter(|flag| flag.key == key);
        let flag = found.next().unwrap_or_else(|| panic!("{key} is not listed"));
        assert!(found.next().is_none(), "{key} is listed twice");
        (flag.value.as_str(), flag.enabled, flag.source)
    };
    assert_eq!(of(&global), ("1", true, FlagSource::Global));
    assert_eq!(of(&overridden), ("1", true, FlagSource::Tenant));
    // Somebody else may have set this one; that it is listed is what counts.
    of("tenancy.dynamic.enabled");
    assert!(list.is_sorted_by(|a, b| a.key < b.key));
    let list = flags.list(None).await.unwrap();
    let plain = list.iter().find(|flag| flag.key == overridden).unwrap();
    assert_eq!((plain.enabled, plain.source), (false, FlagSource::Global));
}

/// Names that are empty, long or unprintable never reach the store.
pub async fn what_cannot_be_a_flag_is_refused(flags: &FeatureFlags) {
    for name in ["", "a\nb", &"x".repeat(201)] {
        let set = flags.set(None, name, true).await.unwrap_err();
        let unset = flags.unset(None, name).await.unwrap_err();
        assert!(set.is(codes::FLAGS_INVALID_KEY) && unset.is(codes::FLAGS_INVALID_KEY));
    }
}
