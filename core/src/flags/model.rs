//! The values of the room: what a flag may be, and what an evaluation answers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::definition::Definition;
use super::fields::check_fields;
use super::variant::FlagVariant;
use crate::error::{Error, Result, codes};
use crate::tenants::TenantId;
use crate::text;

/// What flags are when Redis says nothing about them: the table of the production app.
pub const DEFAULT_FLAGS: &[(&str, bool)] = &[
    ("nlp.fallback.enhanced", true),
    ("canary.enabled", false),
    ("multi_tenant.experimental", false),
    ("tenancy.dynamic.enabled", true),
    ("tenancy.phone_normalization.advanced", false),
    ("features.interactive_messages", false),
    ("humanize.es_ar.enabled", false),
    ("humanize.consolidate_text.enabled", false),
    ("humanize.delay.enabled", false),
    ("reservation.qr.enabled", false),
];

/// Longest flag name, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 200;

/// Accepts a flag name: 1 to 200 bytes without control characters.
pub(super) fn check_key(flag: &str) -> Result<()> {
    text::check(flag, MAX_KEY_BYTES)
        .map_err(|fault| Error::field_invalid(codes::FLAGS_INVALID_KEY, "flag", fault))
}

/// The app's rule, to the letter: `1`, `true`, `on` and `yes` in any case are true; everything else, such as
/// ` true` with its blank, `t` or `1.0`, is false.
pub(super) fn is_truthy(value: &str) -> bool {
    ["1", "true", "on", "yes"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// What people write who mean that a flag is off.
const OFF: [&str; 4] = ["0", "false", "off", "no"];

/// What is wrong with a plain value that means neither on nor off; such a flag is off, as in the app.
pub(super) fn plain_fault(value: &str) -> Option<String> {
    let is_off = OFF.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is_off || is_truthy(value) {
        return None;
    }
    let shown: String = value.chars().take(40).collect();
    let words = "1, true, on, yes, 0, false, off, no, or the JSON of a definition, which begins with {";
    Some(if value.trim() == value {
        format!("must be {words}, is {shown:?}")
    } else {
        format!("must be {words}, without white space around it, is {shown:?}")
    })
}

/// What a flag is set to.
///
/// ```
/// use posada::flags::FlagValue;
/// let value = FlagValue::parse(r#"{"enabled": true, "strategies": [
///     {"name": "flexibleRollout", "parameters": {"rollout": "25", "stickiness": "userId"}}]}"#)?;
/// assert!(matches!(value, FlagValue::Definition(_)));
/// assert!(FlagValue::parse(r#"{"enabled": "maybe"}"#).is_err());
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlagValue {
    /// On or off for everybody; stored as `1` or `0`, which the Python app reads too.
    Bool(bool),
    /// The JSON of an Unleash feature. Make it with [`FlagValue::parse`].
    Definition(FlagDefinition),
}

/// The JSON of an Unleash feature that was found usable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FlagDefinition(Arc<str>);

impl FlagDefinition {
    /// The JSON as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FlagValue {
    /// Reads a value that a flag is to be set to: `1`, `true`, `on` and `yes` in any case are on, `0`, `false`, `off`
    /// and `no` are off, and text that begins with `{` is a definition.
    ///
    /// A value that another program wrote into Redis may be anything. The app, and so posada, takes what is none of
    /// these for off; an evaluation then has the reason [`Reason::Error`] and says what is wrong, as
    /// [`list`](super::FeatureFlags::list) does.
    ///
    /// # Errors
    /// `flags.invalid_value` (field `value`) for any other text, also with white space around it, and when a definition
    /// is longer than 64 KiB, cannot be evaluated, or has a field that Unleash does not know; the message names what is
    /// wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid =
            |fault: &dyn fmt::Display| Error::field_invalid(codes::FLAGS_INVALID_VALUE, "value", fault);
        if !text.starts_with('{') {
            return match plain_fault(text) {
                Some(fault) => Err(invalid(&fault)),
                None => Ok(Self::Bool(is_truthy(text))),
            };
        }
        Definition::parse("flag", text).map_err(|fault| invalid(&fault))?;
        check_fields(text).map_err(|fault| invalid(&fault))?;
        Ok(Self::Definition(FlagDefinition(text.into())))
    }

    /// The text that is stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bool(true) => "1",
            Self::Bool(false) => "0",
            Self::Definition(definition) => definition.as_str(),
        }
    }
}

impl From<bool> for FlagValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for FlagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an evaluation gave its value; the words of OpenFeature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A plain value, the same for everybody.
    Static,
    /// The flag was never set, or no strategy of its definition spoke for this context.
    Default,
    /// A strategy matched this context.
    TargetingMatch,
    /// A rollout or a choice among variants decided.
    Split,
    /// The definition says `enabled: false`.
    Disabled,
    /// The last good value: Redis does not answer, or what it answers is implausible.
    Stale,
    /// The definition is unusable; the value is the last good one, or that of the next layer.
    Error,
}

impl Reason {
    /// OpenFeature's name, such as `TARGETING_MATCH`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Stale => "STALE",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The layer that a value came from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FlagSource {
    /// `feature_flags:{tenant}`.
    Tenant,
    /// `feature_flags`.
    Global,
    /// [`DEFAULT_FLAGS`], or the table that replaced it.
    CodeDefault,
    /// The default that the caller gave.
    CallDefault,
}

impl FlagSource {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Global => "global",
            Self::CodeDefault => "code_default",
            Self::CallDefault => "call_default",
        }
    }
}

impl fmt::Display for FlagSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Whether the flag is on for this context.
    pub value: bool,
    /// The variant that this context got, if the definition has variants and the flag is on.
    pub variant: Option<Arc<FlagVariant>>,
    /// Why.
    pub reason: Reason,
    /// From where.
    pub source: FlagSource,
    /// How long ago Redis confirmed the value; `None` for defaults.
    pub age: Option<Duration>,
    /// What is wrong with the definition, when the reason is [`Reason::Error`].
    pub error: Option<Arc<str>>,
}

/// One flag, as [`FeatureFlags::list`](super::FeatureFlags::list) shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flag {
    /// Its name.
    pub key: String,
    /// What is stored, also when it is unusable; `1` or `0` for code defaults.
    pub value: String,
    /// Whether it is switched on: a plain value's truth, or `enabled` of the definition.
    pub enabled: bool,
    /// The layer that decides.
    pub source: FlagSource,
    /// Whether the value was lost in Redis, or Redis does not answer.
    pub stale: bool,
    /// What is wrong with the definition, if something is.
    pub error: Option<Arc<str>>,
}

/// How the service follows Redis. `FlagOptions::default()` is right for production.
#[derive(Debug, Clone)]
pub(crate) struct FlagOptions {
    /// The code defaults, instead of [`DEFAULT_FLAGS`].
    pub(crate) defaults: Vec<(String, bool)>,
    /// Longest time until a change that was not published is seen. 30 seconds; each wait is jittered below it.
    pub(crate) poll: Duration,
    /// Longest wait for the first load at connect. 2 seconds.
    pub(crate) first_load: Duration,
    /// Most tenants whose overrides are followed. 10,000; beyond it a tenant that only a foreign program
    /// overrides is not looked up.
    pub(crate) max_tenants: usize,
    /// Folder of the snapshot that serves a start while Redis is down; none unless set.
    pub(crate) snapshot_dir: Option<PathBuf>,
}

impl Default for FlagOptions {
    fn default() -> Self {
        Self {
            defaults: DEFAULT_FLAGS
                .iter()
                .map(|(flag, value)| ((*flag).to_owned(), *value))
                .collect(),
            poll: Duration::from_secs(30),
            first_load: Duration::from_secs(2),
            max_tenants: 10_000,
            snapshot_dir: None,
        }
    }
}

/// What [`FlagWatch`](super::FlagWatch) tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlagChange {
    /// A flag has another value, or none any more.
    Changed {
        /// Its name.
        flag: Arc<str>,
        /// Whose override changed; `None` for the global value.
        tenant: Option<TenantId>,
    },
    /// Redis does not answer, or answers something implausible: values are the last good ones from now on.
    Stale,
    /// Values are confirmed again, or for the first time if Redis did not answer at the start.
    Fresh,
    /// The watcher was too slow and missed this many events: read the flags that matter again.
    Missed(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::definition::MAX_VALUE_BYTES;

    #[test]
    fn truth_is_what_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/flags/truthiness.json")).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            assert_eq!(
                is_truthy(case["value"].as_str().unwrap()),
                case["enabled"],
                "{case}"
            );
        }
    }

    #[test]
    fn keys_are_short_and_printable() {
        for key in ["", "a\nb", &"x".repeat(201)] {
            let error = check_key(key).unwrap_err();
            assert!(error.is(codes::FLAGS_INVALID_KEY));
            assert_eq!(error.field(), Some("flag"));
        }
        assert!(check_key(&"x".repeat(200)).is_ok());
    }

    #[test]
    fn an_unusable_definition_says_what_is_wrong() {
        let error = FlagValue::parse(r#"{"strategies": []}"#).unwrap_err();
        assert!(error.is(codes::FLAGS_INVALID_VALUE));
        assert!(error.message().contains("enabled"), "{error}");
        let error = FlagValue::parse(&format!("{{{}}}", " ".repeat(MAX_VALUE_BYTES))).unwrap_err();
        assert!(error.message().contains("65536"), "{error}");
    }

    #[test]
    fn a_plain_value_that_is_neither_on_nor_off_is_refused_and_named() {
        for (text, on) in [
            ("TRUE", true),
            ("Yes", true),
            ("False", false),
            ("oFF", false),
            ("no", false),
        ] {
            assert_eq!(FlagValue::parse(text).unwrap(), FlagValue::Bool(on), "{text}");
        }
        for text in [
            "ture", "y", "n", "1\n", " true", "", "2", "-1", "1.0", "0x1", "null", "s\u{ed}", "\u{ff11}",
            "[]", "\"true\"",
        ] {
            let error = FlagValue::parse(text).unwrap_err();
            assert!(error.is(codes::FLAGS_INVALID_VALUE), "{text:?}");
            assert_eq!(error.field(), Some("value"), "{text:?}");
            assert!(error.message().contains("1, true, on, yes"), "{error}");
        }
        assert!(
            FlagValue::parse("1\n")
                .unwrap_err()
                .message()
                .contains("white space")
        );
        assert!(
            FlagValue::parse(&"x".repeat(70_000))
                .unwrap_err()
                .to_string()
                .len()
                < 400
        );
    }

    #[test]
    fn booleans_are_stored_as_the_app_stores_them() {
        assert_eq!(
            (FlagValue::Bool(true).as_str(), FlagValue::Bool(false).as_str()),
            ("1", "0")
        );
    }
}
