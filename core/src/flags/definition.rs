//! Definitions: the JSON of an Unleash feature, checked and made ready to evaluate.
//!
//! The format is Unleash's own, with three courtesies for people who write it by hand: the name may be left out
//! (it is the flag's), numbers may stand where Unleash writes texts (`"rollout": 25`), and segments that
//! strategies name by id may stand in the definition under `segments`, because there is no server to ask. One that no
//! strategy names restricts nothing, so that the flag would be on for everybody: such a definition is refused, as are
//! two segments of one id.
//!
//! Rules (constraints, user lists, addresses) are compiled by `unleash-yggdrasil`, except lists of values. It builds
//! its rules as texts and trusts them, so everything that could break out of such a text, divide by a weight of zero,
//! or silently mean "off for ever" is refused here, with the reason: a definition that cannot work is an error that
//! its author sees, not a flag that is off.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
pub(super) use unleash_types::client_features::FeatureDependency;
use unleash_types::client_features::{
    ClientFeature, Constraint, Operator, Override, Segment, Strategy, StrategyVariant, Variant,
};
use unleash_yggdrasil::state::SdkError;
use unleash_yggdrasil::strategy_parsing::{RuleFragment, compile_rule};
use unleash_yggdrasil::strategy_upgrade::upgrade;

use super::bucket::Buckets;
use super::selection::{Candidate, Choice, Membership, Rollout, Stickiness};
use super::variant::{FlagPayload, FlagVariant};

/// Longest definition, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Most constraints of one definition, so that a rule is never deeper than a small stack.
const MAX_CONSTRAINTS: usize = 500;

/// Largest sum of variant weights; Unleash gives 1000.
const MAX_WEIGHT: u32 = 1_000_000;

/// A definition that can be evaluated.
pub(super) struct Definition {
    pub(super) name: Box<str>,
    pub(super) enabled: bool,
    /// Any of them switches the flag on; none at all means on for everybody.
    pub(super) strategies: Vec<CompiledStrategy>,
    pub(super) variants: Choice,
    pub(super) dependencies: Vec<FeatureDependency>,
    /// Whether a constraint looks at the time, which costs an allocation to write down.
    pub(super) needs_time: bool,
}

/// One strategy: everybody whom the gate lets through, thinned by the rollout.
pub(super) struct CompiledStrategy {
    pub(super) members: Vec<Membership>,
    pub(super) gate: Option<RuleFragment>,
    pub(super) rollout: Option<Rollout>,
    /// Whether chance decides inside the gate (the old `gradualRollout…` strategies).
    pub(super) gate_splits: bool,
    pub(super) variants: Choice,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("enabled", &self.enabled)
            .field("strategies", &self.strategies.len())
            .finish_non_exhaustive()
    }
}

/// The part of the JSON that Unleash's own type does not have.
#[derive(Deserialize)]
struct Segments {
    #[serde(default)]
    segments: Option<Vec<Segment>>,
}

impl Definition {
    /// Reads and compiles a definition; `flag` is its name unless it has one.
    pub(super) fn parse(flag: &str, text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_VALUE_BYTES {
            let length = text.len();
            return fault(format_args!(
                "a definition has at most {MAX_VALUE_BYTES} bytes, this has {length}"
            ));
        }
        let mut json: Value =
            serde_json::from_str(text).map_err(|error| Fault(format!("not JSON: {error}")))?;
        soften(&mut json);
        if let Value::Object(fields) = &mut json {
            fields.entry("name").or_insert_with(|| flag.into());
        }
        let unreadable = |error: serde_json::Error| Fault(format!("not an Unleash feature: {error}"));
        let segments = Segments::deserialize(&json).map_err(unreadable)?.segments;
        let feature = ClientFeature::deserialize(&json).map_err(unreadable)?;
        compile(
            feature,
            segments.unwrap_or_default(),
            text.contains("currentTime"),
        )
    }
}

fn compile(feature: ClientFeature, segments: Vec<Segment>, needs_time: bool) -> Result<Definition, Fault> {
    let strategies = feature.strategies.unwrap_or_default();
    let constraints = segments
        .iter()
        .map(|segment| segment.constraints.len())
        .sum::<usize>()
        + strategies
            .iter()
            .map(|strategy| strategy.constraints.as_ref().map_or(0, Vec::len))
            .sum::<usize>();
    if constraints > MAX_CONSTRAINTS {
        return fault(format_args!(
            "a definition has at most {MAX_CONSTRAINTS} constraints, this has {constraints}"
        ));
    }
    for constraint in segments.iter().flat_map(|segment| &segment.constraints) {
        check_constraint(constraint)?;
    }
    let segments = by_id(segments, &strategies)?;
    Ok(Definition {
        enabled: feature.enabled,
        strategies: strategies
            .into_iter()
            .map(|strategy| compile_strategy(strategy, &segments, &feature.name))
            .collect::<Result<_, _>>()?,
        variants: compile_variants(feature.variants.unwrap_or_default(), &feature.name)?,
        dependencies: feature.dependencies.unwrap_or_default(),
        needs_time,
        name: feature.name.into(),
    })
}

/// The segments of a definition by their ids, each of which some strategy names.
fn by_id(segments: Vec<Segment>, strategies: &[Strategy]) -> Result<HashMap<i32, Segment>, Fault> {
    let named = |id: i32| {
        let ids = strategies
            .iter()
            .filter_map(|strategy| strategy.segments.as_ref());
        ids.flatten().any(|named| *named == id)
    };
    let mut by_id = HashMap::with_capacity(segments.len());
    for segment in segments {
        let id = segment.id;
        if !named(id) {
            return fault(format_args!(
                "segment {id} restricts nothing: no strategy has its id in `segments`"
            ));
        }
        if by_id.insert(id, segment).is_some() {
            return fault(format_args!("segment {id} stands there twice"));
        }
    }
    Ok(by_id)
}

fn compile_strategy(
    mut strategy: Strategy,
    segments: &HashMap<i32, Segment>,
    flag: &str,
) -> Result<CompiledStrategy, Fault> {
    for constraint in strategy.constraints.iter().flatten() {
        check_constraint(constraint)?;
    }
    let parameter = |name: &str| {
        let parameters = strategy.parameters.as_ref();
        parameters
            .and_then(|parameters| parameters.get(name))
            .map(String::as_str)
    };
    let (group, stickiness) = (parameter("groupId").unwrap_or(flag), parameter("stickiness"));
    let variants = compile_strategy_variants(strategy.variants.as_deref(), stickiness, group)?;
    let gate_splits = strategy.name.starts_with("gradualRollout");
    let rollout = if strategy.name == "flexibleRollout" {
        let percent = parameter("rollout").and_then(|rollout| rollout.parse().ok());
        let Some(percent @ 0..=100) = percent else {
            return fault(
                "strategy flexibleRollout: parameters.rollout must be a whole number from 0 to 100",
            );
        };
        Some(Rollout {
            percent,
            buckets: Buckets::new(group, 0),
            stickiness: Stickiness::parse(stickiness),
        })
    } else {
        for (name, value) in strategy.parameters.iter().flatten() {
            // `userIds` is the one parameter whose quotes are escaped.
            if value.ends_with('\\') || (name != "userIds" && value.contains('"')) {
                return fault(format_args!(
                    "strategy {}: parameters.{name} must not hold quotes or end with a backslash",
                    strategy.name
                ));
            }
        }
        None
    };
    if rollout.is_some() {
        // The rollout is ours; the rest of the strategy is its constraints.
        "default".clone_into(&mut strategy.name);
    }
    let mut members = Vec::new();
    if let Some(constraints) = &mut strategy.constraints {
        // By far the most frequent constraint, at a third of the price.
        members = constraints
            .extract_if(.., |constraint| Membership::is_one(constraint))
            .map(Membership::new)
            .collect();
    }
    let unrestricted = strategy.name == "default"
        && strategy.constraints.as_ref().is_none_or(Vec::is_empty)
        && strategy.segments.as_ref().is_none_or(Vec::is_empty);
    let gate = if unrestricted {
        None
    } else {
        let rule = upgrade(std::slice::from_ref(&strategy), segments).map_err(rule_fault)?;
        Some(compile_rule(&rule).map_err(rule_fault)?)
    };
    Ok(CompiledStrategy {
        members,
        gate,
        rollout,
        gate_splits,
        variants,
    })
}

fn check_constraint(constraint: &Constraint) -> Result<(), Fault> {
    let name = &constraint.context_name;
    let broken = |text: &String| text.ends_with('\\');
    if name.contains('"') || broken(name) {
        return fault(format_args!(
            "constraint {name:?}: a context name must not hold quotes or end with a backslash"
        ));
    }
    if constraint
        .values
        .iter()
        .flatten()
        .chain(&constraint.value)
        .any(broken)
    {
        return fault(format_args!(
            "constraint {name:?}: a value must not end with a backslash"
        ));
    }
    let value = constraint.value.as_deref().unwrap_or_default();
    let usable = match &constraint.operator {
        Operator::NumEq | Operator::NumGt | Operator::NumGte | Operator::NumLt | Operator::NumLte => {
            value.parse::<f64>().is_ok_and(f64::is_finite)
        }
        Operator::DateAfter | Operator::DateBefore => chrono::DateTime::parse_from_rfc3339(value).is_ok(),
        Operator::SemverEq
        | Operator::SemverLt
        | Operator::SemverGt
        | Operator::SemverLte
        | Operator::SemverGte => is_version(value),
        Operator::Unknown(operator) => {
            return fault(format_args!(
                "constraint {name:?}: operator {operator:?} is not known"
            ));
        }
        _ => true,
    };
    if usable {
        Ok(())
    } else {
        let operator = &constraint.operator;
        fault(format_args!(
            "constraint {name:?}: {value:?} is not usable with {operator:?}"
        ))
    }
}

/// Whether a text cannot be mistaken for more than a version: digits and dots, then a pre-release or build.
fn is_version(text: &str) -> bool {
    let numbers = text
        .find(['-', '+'])
        .map_or(text, |end| text.get(..end).unwrap_or(text));
    let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '+'].contains(&c);
    !numbers.is_empty()
        && numbers
            .trim_start_matches('v')
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.')
        && text.chars().all(plain)
}

fn compile_variants(variants: Vec<Variant>, flag: &str) -> Result<Choice, Fault> {
    let stickiness = variants.first().and_then(|variant| variant.stickiness.clone());
    let candidates = variants.into_iter().map(|variant| {
        let payload = variant.payload.map(|payload| FlagPayload {
            kind: payload.payload_type,
            value: payload.value,
        });
        candidate(
            variant.name,
            variant.weight,
            payload,
            variant.overrides.unwrap_or_default(),
        )
    });
    choice(candidates, stickiness.as_deref(), flag)
}

fn compile_strategy_variants(
    variants: Option<&[StrategyVariant]>,
    stickiness: Option<&str>,
    group: &str,
) -> Result<Choice, Fault> {
    let candidates = variants.into_iter().flatten().cloned().map(|variant| {
        let payload = variant.payload.map(|payload| FlagPayload {
            kind: payload.payload_type,
            value: payload.value,
        });
        candidate(variant.name, variant.weight, payload, Vec::new())
    });
    choice(candidates, stickiness, group)
}

fn candidate(
    name: String,
    weight: i32,
    payload: Option<FlagPayload>,
    overrides: Vec<Override>,
) -> Result<Candidate, Fault> {
    match u32::try_from(weight) {
        Ok(weight) if weight <= MAX_WEIGHT => Ok(Candidate {
            variant: FlagVariant { name, payload }.into(),
            weight,
            overrides: overrides
                .into_iter()
                .map(|rule| (Stickiness::parse_field(&rule.context_name), rule.values))
                .collect(),
        }),
        _ => fault(format_args!(
            "variant {name:?}: weight must be from 0 to {MAX_WEIGHT}, is {weight}"
        )),
    }
}

fn choice(
    candidates: impl Iterator<Item = Result<Candidate, Fault>>,
    stickiness: Option<&str>,
    group: &str,
) -> Result<Choice, Fault> {
    let candidates = candidates.collect::<Result<Vec<_>, _>>()?;
    let total: u64 = candidates
        .iter()
        .map(|candidate| u64::from(candidate.weight))
        .sum();
    let total = u32::try_from(total)
        .ok()
        .filter(|total| candidates.is_empty() || (1..=MAX_WEIGHT).contains(total));
    let Some(total) = total else {
        return fault(format_args!(
            "the weights of the variants must add up to 1 to {MAX_WEIGHT}"
        ));
    };
    Ok(Choice {
        candidates,
        total,
        buckets: Buckets::new(group, Buckets::VARIANT_SEED),
        stickiness: Stickiness::parse(stickiness),
    })
}

/// Turns numbers and booleans into texts where Unleash's types want texts.
fn soften(json: &mut Value) {
    let Value::Object(fields) = json else {
        if let Value::Array(items) = json {
            items.iter_mut().for_each(soften);
        }
        return;
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("parameters", Value::Object(parameters)) => parameters.values_mut().for_each(to_text),
            ("values", Value::Array(values)) => values.iter_mut().for_each(to_text),
            ("value", value) => to_text(value),
            (_, value) => soften(value),
        }
    }
}

fn to_text(value: &mut Value) {
    if matches!(value, Value::Number(_) | Value::Bool(_)) {
        *value = Value::String(value.to_string());
    }
}

fn rule_fault(error: SdkError) -> Fault {
    match error {
        SdkError::StrategyParseError(message) => Fault(format!("a rule cannot be compiled: {message}")),
        SdkError::StrategyEvaluationError => Fault("a rule cannot be compiled".into()),
    }
}

fn fault<T>(message: impl fmt::Display) -> Result<T, Fault> {
    Err(Fault(message.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(text: &str) -> String {
        Definition::parse("flag", text).unwrap_err().to_string()
    }

    fn with_constraint(constraint: &str) -> String {
        format!(r#"{{"enabled":true,"strategies":[{{"name":"default","constraints":[{constraint}]}}]}}"#)
    }

    #[test]
    fn the_name_is_the_flags_unless_the_definition_has_one() {
        assert_eq!(
            &*Definition::parse("flag", r#"{"enabled":true}"#).unwrap().name,
            "flag"
        );
        let named = Definition::parse("flag", r#"{"name":"other","enabled":true}"#).unwrap();
        assert_eq!(&*named.name, "other");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (text, part) in [
            ("{", "not JSON"),
            (r#"{"strategies":[]}"#, "enabled"),
            (r#"{"enabled":"yes"}"#, "not an Unleash feature"),
            (
                r#"{"enabled":true,"strategies":[{"name":"flexibleRollout"}]}"#,
                "rollout",
            ),
            (
                r#"{"enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":101}}]}"#,
                "0 to 100",
            ),
            (
                r#"{"enabled":true,"strategies":[{"name":"default","segments":[7]}]}"#,
                "segment",
            ),
            // Of a feature and not of a strategy: it would restrict nothing.
            (
                r#"{"enabled":true,"segments":[{"id":7,"constraints":[]}],"strategies":[{"name":"default"}]}"#,
                "segment 7 restricts nothing",
            ),
            (
                r#"{"enabled":true,"segments":[{"id":7,"constraints":[]}]}"#,
                "segment 7 restricts nothing",
            ),
            (
                r#"{"enabled":true,"segments":[7],"strategies":[{"name":"default"}]}"#,
                "not an Unleash feature",
            ),
            (
                r#"{"enabled":true,"segments":[{"id":7,"constraints":[]},{"id":7,"constraints":[]}],
                    "strategies":[{"name":"default","segments":[7]}]}"#,
                "segment 7 stands there twice",
            ),
            (
                r#"{"enabled":true,"variants":[{"name":"a","weight":0}]}"#,
                "add up",
            ),
            (
                r#"{"enabled":true,"variants":[{"name":"a","weight":-1}]}"#,
                "weight",
            ),
            (
                r#"{"enabled":true,"variants":[{"name":"a","weight":900000},{"name":"b","weight":900000}]}"#,
                "add up",
            ),
        ] {
            assert!(fault_of(text).contains(part), "{text}: {}", fault_of(text));
        }
    }

    #[test]
    fn a_constraint_cannot_break_out_of_its_rule() {
        for constraint in [
            r#"{"contextName":"a\"] in [\"x\"] or !!context[\"b","operator":"IN","values":["x"]}"#,
            r#"{"contextName":"a","operator":"NUM_GT","value":"5 or true"}"#,
            r#"{"contextName":"a","operator":"SEMVER_EQ","value":"1.0.0 or true"}"#,
            r#"{"contextName":"a","operator":"SEMVER_EQ","value":"1.0.0ortrue"}"#,
            r#"{"contextName":"a","operator":"DATE_AFTER","value":"2027-01-01T00:00:00Z or true"}"#,
            r#"{"contextName":"a","operator":"IN","values":["x\\","] or !!true or user_id in ["]}"#,
            r#"{"contextName":"a","operator":"SOUNDS_LIKE","values":["x"]}"#,
            r#"{"contextName":"a","operator":"NUM_GT"}"#,
        ] {
            let text = with_constraint(constraint);
            assert!(Definition::parse("flag", &text).is_err(), "{text}");
        }
        let many = vec![r#"{"contextName":"a","operator":"IN","values":[]}"#; MAX_CONSTRAINTS + 1].join(",");
        assert!(fault_of(&with_constraint(&many)).contains("500 constraints"));
    }

    #[test]
    fn numbers_may_stand_where_unleash_wants_texts() {
        let text = r#"{"enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":25},
            "constraints":[{"contextName":"nights","operator":"NUM_GTE","value":3},{"contextName":"floor","operator":"IN","values":[1,2]}]}]}"#;
        assert!(Definition::parse("flag", text).is_ok());
    }
}
