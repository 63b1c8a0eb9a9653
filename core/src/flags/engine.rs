//! The evaluation of one definition for one context.
//!
//! The order of decisions is Unleash's: `enabled`, then the flags it depends on, then the first strategy that lets the
//! context through; its variants, or else those of the definition. Rules are closures compiled by `unleash-yggdrasil`;
//! lists of values, rollouts and variants are decided in `selection.rs`, without an allocation and with the strategy at
//! hand that gives the reason. A test compares every decision with `unleash-yggdrasil`'s own engine.

use std::sync::Arc;

use unleash_types::client_features::FeatureDependency;
use unleash_yggdrasil::state::{EnrichedContext, PropertiesRef};

use super::context::Context;
use super::definition::{CompiledStrategy, Definition};
use super::model::Reason;
use super::selection::Choice;
use super::variant::FlagVariant;
use crate::clock::Clock;

/// What a definition says to a context.
pub(super) struct Verdict<'d> {
    pub(super) enabled: bool,
    pub(super) reason: Reason,
    strategy: Option<&'d CompiledStrategy>,
}

impl Verdict<'_> {
    const fn off(reason: Reason) -> Self {
        Self {
            enabled: false,
            reason,
            strategy: None,
        }
    }
}

impl Context<'_> {
    /// What Unleash's rules look at.
    fn enrich<'b>(&'b self, toggle: &'b str, time: Option<&'b str>) -> EnrichedContext<'b> {
        EnrichedContext {
            user_id: self.user_id,
            session_id: self.session_id,
            environment: self.environment,
            app_name: self.app_name,
            current_time: time,
            remote_address: self.remote_address,
            properties: self.properties.as_ref().map(PropertiesRef::Cows),
            external_results: None,
            toggle_name: toggle,
            runtime_hostname: None,
        }
    }
}

/// Whether a flag that another one depends on is as it should be.
pub(super) type Parents<'p> = &'p dyn Fn(&FeatureDependency) -> bool;

impl Definition {
    /// Decides for a context. `parents` is asked only when the definition has dependencies.
    pub(super) fn decide(
        &self,
        context: &Context<'_>,
        clock: &dyn Clock,
        parents: Parents<'_>,
    ) -> Verdict<'_> {
        if !self.enabled {
            return Verdict::off(Reason::Disabled);
        }
        if !self.dependencies.iter().all(parents) {
            return Verdict::off(Reason::TargetingMatch);
        }
        // What depends on another flag may depend on the context with it.
        let unconditional = if self.dependencies.is_empty() {
            Reason::Static
        } else {
            Reason::TargetingMatch
        };
        if self.strategies.is_empty() {
            return Verdict {
                enabled: true,
                reason: unconditional,
                strategy: None,
            };
        }
        let given = context.find_property("currentTime");
        let now = (self.needs_time && given.is_none())
            .then(|| clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        let enriched = context.enrich(&self.name, given.or(now.as_deref()));
        let mut drawn = false;
        for (index, strategy) in self.strategies.iter().enumerate() {
            let passes = strategy.members.iter().all(|member| member.holds(context))
                && strategy.gate.as_ref().is_none_or(|gate| gate(&enriched));
            drawn |= strategy.gate_splits;
            if !passes {
                continue;
            }
            match &strategy.rollout {
                None => {
                    let reason = if strategy.gate_splits {
                        Reason::Split
                    } else if strategy.gate.is_none() && strategy.members.is_empty() {
                        // Where others were left out before, another context may get another answer.
                        if index == 0 {
                            unconditional
                        } else {
                            Reason::Default
                        }
                    } else {
                        Reason::TargetingMatch
                    };
                    return Verdict {
                        enabled: true,
                        reason,
                        strategy: Some(strategy),
                    };
                }
                Some(rollout) if rollout.includes(context) => {
                    return Verdict {
                        enabled: true,
                        reason: Reason::Split,
                        strategy: Some(strategy),
                    };
                }
                Some(_) => drawn = true,
            }
        }
        Verdict::off(if drawn { Reason::Split } else { Reason::Default })
    }

    /// The variant that goes with a verdict, and the reason if the choice gives a better one.
    pub(super) fn choose<'d>(
        &'d self,
        verdict: &Verdict<'d>,
        context: &Context<'_>,
    ) -> Option<(&'d Arc<FlagVariant>, Reason)> {
        if !verdict.enabled {
            return None;
        }
        let choice = self.choice_of(verdict);
        let candidate = choice.pick(context)?;
        let reason = if candidate.is_forced_for(context) {
            Reason::TargetingMatch
        } else if choice.candidates.len() > 1 {
            Reason::Split
        } else {
            verdict.reason
        };
        Some((&candidate.variant, reason))
    }

    fn choice_of<'d>(&'d self, verdict: &Verdict<'d>) -> &'d Choice {
        verdict
            .strategy
            .map(|strategy| &strategy.variants)
            .filter(|choice| !choice.candidates.is_empty())
            .unwrap_or(&self.variants)
    }

    /// Whether a flag that this one governs may be on: our state and, when asked for, our variant.
    pub(super) fn satisfies(
        &self,
        wanted: &FeatureDependency,
        context: &Context<'_>,
        clock: &dyn Clock,
    ) -> bool {
        // One level only, as in Unleash: chains could be circles.
        if !self.dependencies.is_empty() {
            return false;
        }
        let verdict = self.decide(context, clock, &|_| false);
        let variant_fits = match wanted.variants.as_deref() {
            None | Some([]) => true,
            Some(names) => self
                .choice_of(&verdict)
                .pick(context)
                .is_none_or(|candidate| names.contains(&candidate.variant.name)),
        };
        variant_fits && verdict.enabled == wanted.enabled.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::DateTime;
    use serde_json::Value;
    use unleash_types::client_features::{ClientFeature, ClientFeatures};
    use unleash_yggdrasil::EngineState;

    use super::*;
    use crate::clock::ManualClock;

    fn text<'v>(json: &'v Value, name: &str) -> Option<&'v str> {
        json.get(name).and_then(Value::as_str)
    }

    fn context(json: &Value) -> Context<'_> {
        let mut context = Context {
            user_id: text(json, "userId"),
            session_id: text(json, "sessionId"),
            remote_address: text(json, "remoteAddress"),
            environment: text(json, "environment"),
            app_name: text(json, "appName"),
            ..Context::default()
        };
        for (name, value) in json["properties"].as_object().into_iter().flatten() {
            context = context.property(name.as_str(), value.as_str().unwrap());
        }
        context
    }

    #[test]
    fn definitions_decide_as_the_vectors_say() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/flags/definitions.json")).unwrap();
        let clock = ManualClock::at(
            DateTime::parse_from_rfc3339(text(&vectors, "now").unwrap())
                .unwrap()
                .into(),
        );
        for flag in vectors["flags"].as_array().unwrap() {
            let definition =
                Definition::parse(text(flag, "name").unwrap(), &flag["definition"].to_string()).unwrap();
            for case in flag["cases"].as_array().unwrap() {
                let context = context(&case["context"]);
                let verdict = definition.decide(&context, &clock, &|_| true);
                let choice = definition.choose(&verdict, &context);
                let reason = choice.as_ref().map_or(verdict.reason, |(_, reason)| *reason);
                let variant = choice.as_ref().map(|(variant, _)| variant.name.as_str());
                let what = format!("{} {}", flag["name"], case["context"]);
                assert_eq!(verdict.enabled, case["enabled"], "{what}");
                assert_eq!(variant, text(case, "variant"), "{what}");
                assert_eq!(Some(reason.as_str()), text(case, "reason"), "{what}");
            }
        }
    }

    /// Definitions whose every decision sticks to the context, with Unleash's own types.
    const COMPARED: &[&str] = &[
        r#"{"name":"a","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"37","stickiness":"default","groupId":"a"}}]}"#,
        r#"{"name":"b","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"50","stickiness":"sessionId"}},
            {"name":"userWithId","parameters":{"userIds":"user-7, user-8"}}]}"#,
        r#"{"name":"c","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"80","stickiness":"room"},
            "constraints":[{"contextName":"room","operator":"NUM_GTE","value":"40"},{"contextName":"userId","operator":"STR_ENDS_WITH","values":["1","2","3"],"inverted":true}]}]}"#,
        r#"{"name":"d","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"60","stickiness":"userId","groupId":"group"},
            "variants":[{"name":"blue","weight":300},{"name":"red","weight":700}]}],
            "variants":[{"name":"top","weight":1000}]}"#,
        r#"{"name":"e","enabled":true,"strategies":[{"name":"default"}],
            "variants":[{"name":"one","weight":1,"stickiness":"room"},{"name":"two","weight":2},{"name":"three","weight":5,
            "overrides":[{"contextName":"userId","values":["user-11","user-12"]}]}]}"#,
        r#"{"name":"f","enabled":true,"strategies":[],"variants":[{"name":"left","weight":500},{"name":"right","weight":500,"payload":{"type":"string","value":"x"}}]}"#,
        r#"{"name":"g","enabled":true,"strategies":[{"name":"gradualRolloutUserId","parameters":{"percentage":"45","groupId":"g"}}]}"#,
        r#"{"name":"h","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"30","stickiness":"userId"},
            "variants":[{"name":"first","weight":1000}]},{"name":"flexibleRollout","parameters":{"rollout":"90","stickiness":"sessionId"},"variants":[]}],
            "variants":[{"name":"rest","weight":1000}]}"#,
        r#"{"name":"i","enabled":false,"strategies":[{"name":"default"}],"variants":[{"name":"never","weight":1000}]}"#,
        r#"{"name":"j","enabled":true,"strategies":[{"name":"neverHeardOf"}]}"#,
        r#"{"name":"k","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"90","stickiness":"userId"},"constraints":[
            {"contextName":"room","operator":"NOT_IN","values":["3","4","5"]},{"contextName":"userId","operator":"IN","values":["user-1","user-2","user-4","user \"x\""]},
            {"contextName":"missing","operator":"NOT_IN","values":["x"]},{"contextName":"room","operator":"IN","values":["2"],"inverted":true}]}]}"#,
        r#"{"name":"l","enabled":true,"strategies":[{"name":"default","constraints":[{"contextName":"missing","operator":"IN","values":["x"]}]},
            {"name":"default","constraints":[{"contextName":"missing","operator":"NOT_IN","values":["x"],"inverted":true}]},
            {"name":"default","constraints":[{"contextName":"room","operator":"IN","values":[]}]},
            {"name":"default","constraints":[{"contextName":"room","operator":"NOT_IN","values":[]},{"contextName":"room","operator":"NUM_LT","value":"9"}]}]}"#,
        r#"{"name":"m","enabled":true,"strategies":[{"name":"userWithId","parameters":{"userIds":"user-3,user-30,user-300"},
            "constraints":[{"contextName":"room","operator":"IN","values":["3","300"]}]}]}"#,
    ];

    #[test]
    fn every_decision_is_that_of_unleash() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        for definition in COMPARED {
            let ours = Definition::parse("x", definition).unwrap();
            let feature: ClientFeature = serde_json::from_str(definition).unwrap();
            let theirs = EngineState::initial_state(DateTime::UNIX_EPOCH);
            let warnings = theirs.apply_client_features(ClientFeatures {
                features: vec![feature],
                ..ClientFeatures::default()
            });
            assert!(warnings.is_none(), "{warnings:?}");
            for number in 0..500 {
                let (user, session, room) = (
                    format!("user-{number}"),
                    format!("s{}", number * 7),
                    number.to_string(),
                );
                let context = Context::new()
                    .user(&user)
                    .session(&session)
                    .property("room", room.as_str());
                let their_context = unleash_yggdrasil::Context {
                    user_id: Some(user.clone()),
                    session_id: Some(session.clone()),
                    properties: Some(HashMap::from([("room".to_owned(), room.clone())])),
                    ..unleash_yggdrasil::Context::default()
                };
                let expected = theirs.get_variant(&ours.name, &their_context, &None);
                let verdict = ours.decide(&context, &clock, &|_| true);
                let variant = ours
                    .choose(&verdict, &context)
                    .map(|(variant, _)| variant.clone());
                assert_eq!(verdict.enabled, expected.feature_enabled, "{definition} {user}");
                assert_eq!(
                    variant.as_ref().map_or("disabled", |variant| &variant.name),
                    expected.name,
                    "{definition} {user}"
                );
                assert_eq!(
                    variant.and_then(|variant| Some(variant.payload.as_ref()?.value.clone())),
                    expected.payload.map(|payload| payload.value)
                );
            }
        }
    }

    #[test]
    fn chance_decides_for_a_context_that_nothing_sticks_to() {
        let half =
            r#"{"enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":50}}]}"#;
        let definition = Definition::parse("half", half).unwrap();
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let on = (0..2000)
            .filter(|_| definition.decide(&Context::new(), &clock, &|_| true).enabled)
            .count();
        assert!((800..1200).contains(&on), "{on} of 2000");
    }

    #[test]
    fn a_rollout_on_a_field_leaves_out_who_does_not_have_it() {
        let all = r#"{"enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":100,"stickiness":"room"}}]}"#;
        let definition = Definition::parse("all", all).unwrap();
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let is_on = |context: &Context<'_>| definition.decide(context, &clock, &|_| true).enabled;
        assert!(!is_on(&Context::new().user("ana")));
        assert!(is_on(&Context::new().property("room", "101")));
    }
}
