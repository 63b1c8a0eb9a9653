//! The fields that Unleash gives a feature: any other field of a definition was meant to be one.
//!
//! `"stratgies"` would be left out without a word, and the flag would be on for everybody. What stands in Redis already
//! is not refused for it: a later Unleash may have written it.

use serde_json::{Map, Value};

/// Of a feature, as Unleash's client and admin interfaces write it.
const FEATURE: &[&str] = &[
    "name",
    "enabled",
    "strategies",
    "variants",
    "dependencies",
    "segments",
    "type",
    "description",
    "project",
    "stale",
    "impressionData",
    "createdAt",
    "lastSeenAt",
    "archived",
    "archivedAt",
    "favorite",
    "tags",
    "environments",
    "environment",
];
const STRATEGY: &[&str] = &[
    "name",
    "parameters",
    "constraints",
    "segments",
    "variants",
    "sortOrder",
    "id",
    "title",
    "disabled",
    "featureName",
];
const CONSTRAINT: &[&str] = &[
    "contextName",
    "operator",
    "values",
    "value",
    "inverted",
    "caseInsensitive",
];
const SEGMENT: &[&str] = &[
    "id",
    "name",
    "description",
    "constraints",
    "createdBy",
    "createdAt",
    "project",
];
const VARIANT: &[&str] = &[
    "name",
    "weight",
    "weightType",
    "stickiness",
    "payload",
    "overrides",
];
const DEPENDENCY: &[&str] = &["feature", "enabled", "variants"];

/// Names the first field that is none. What is wrong otherwise has been found before.
pub(super) fn check_fields(text: &str) -> Result<(), String> {
    let Ok(Value::Object(feature)) = serde_json::from_str(text) else {
        return Ok(());
    };
    known(&feature, "the definition", FEATURE)?;
    each(&feature, "segments", "a segment", SEGMENT)?;
    each(&feature, "variants", "a variant", VARIANT)?;
    each(&feature, "dependencies", "a dependency", DEPENDENCY)?;
    each(&feature, "strategies", "a strategy", STRATEGY)?;
    for part in members(&feature, "strategies").chain(members(&feature, "segments")) {
        each(part, "constraints", "a constraint", CONSTRAINT)?;
        each(part, "variants", "a variant", VARIANT)?;
    }
    Ok(())
}

fn each(within: &Map<String, Value>, field: &str, what: &str, allowed: &[&str]) -> Result<(), String> {
    members(within, field).try_for_each(|member| known(member, what, allowed))
}

fn members<'v>(within: &'v Map<String, Value>, field: &str) -> impl Iterator<Item = &'v Map<String, Value>> {
    let members = within.get(field).and_then(Value::as_array);
    members.into_iter().flatten().filter_map(Value::as_object)
}

fn known(fields: &Map<String, Value>, what: &str, allowed: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => {
            let name: String = name.chars().take(40).collect();
            Err(format!(
                "{what} has no field {name:?}, only {}",
                allowed.join(", ")
            ))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_named_wherever_it_stands() {
        for (text, name) in [
            (r#"{"enabled":true,"stratgies":[]}"#, "stratgies"),
            (
                r#"{"enabled":true,"strategies":[{"name":"default","constrains":[]}]}"#,
                "constrains",
            ),
            (
                r#"{"enabled":true,"strategies":[{"name":"default","constraints":[{"contextName":"a","operator":"IN","values":[],"invertd":true}]}]}"#,
                "invertd",
            ),
            (
                r#"{"enabled":true,"variants":[{"name":"a","wieght":1}]}"#,
                "wieght",
            ),
            (
                r#"{"enabled":true,"dependencies":[{"feature":"a","enable":false}]}"#,
                "enable",
            ),
        ] {
            let fault = check_fields(text).unwrap_err();
            assert!(fault.contains(&format!("{name:?}")), "{fault}");
        }
    }

    #[test]
    fn a_feature_as_unleash_exports_it_is_well_formed() {
        let text = r#"{"name":"new.greeting","type":"release","enabled":true,"project":"default","stale":false,
            "impressionData":false,"description":"","createdAt":"2026-01-01T00:00:00.000Z","lastSeenAt":null,
            "strategies":[{"id":"1","title":"","sortOrder":0,"name":"flexibleRollout","parameters":{"rollout":"50"},
            "constraints":[{"contextName":"userId","operator":"IN","values":["1"],"inverted":false,"caseInsensitive":false}],
            "variants":[{"name":"a","weight":1000,"weightType":"variable","stickiness":"default"}],"segments":[1]}],
            "segments":[{"id":1,"name":"s","constraints":[]}],"variants":[],
            "dependencies":[{"feature":"parent","enabled":true,"variants":[]}]}"#;
        assert_eq!(check_fields(text), Ok(()));
    }
}
