//! Where this process runs: it decides how strict the settings are.

use std::fmt;
use std::str::FromStr;

use super::sourced::Fault;
use crate::error::{Error, Result};

/// The kind of installation. Only [`Production`](Environment::Production) refuses placeholder secrets and stores
/// that forget everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Environment {
    /// A developer's machine, or a test. The default.
    #[default]
    Development,
    /// A rehearsal of production; as lenient as development.
    Staging,
    /// Real hotels and real guests.
    Production,
}

impl Environment {
    /// The three names that `ENVIRONMENT` may have.
    pub const NAMES: [&'static str; 3] = ["development", "staging", "production"];

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Reads a name, in any case.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        match text.trim().to_ascii_lowercase().as_str() {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", ")).into()),
        }
    }

    /// Whether real guests depend on this process.
    pub const fn is_production(self) -> bool {
        matches!(self, Self::Production)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = Error;

    /// # Errors
    /// `settings.invalid` (field `environment`), naming the three.
    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).map_err(|fault| fault.blame("environment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_any_case() {
        for name in Environment::NAMES {
            assert_eq!(name.parse::<Environment>().unwrap().as_str(), name);
            assert!(name.to_uppercase().parse::<Environment>().is_ok());
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_three() {
        let error = "prod".parse::<Environment>().unwrap_err();
        assert_eq!(error.field(), Some("environment"));
        assert!(
            error.message().ends_with("development, staging, production"),
            "{error}"
        );
    }

    #[test]
    fn only_production_is_production() {
        let strict: Vec<_> = Environment::NAMES
            .into_iter()
            .filter(|name| name.parse::<Environment>().unwrap().is_production())
            .collect();
        assert_eq!(strict, ["production"]);
    }
}
