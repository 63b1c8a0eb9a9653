//! Where this process runs: it decides how strict the settings are.

use std::fmt;
use std::str::FromStr;

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
    /// What would be right; the settings name the variable.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err("must be development, staging or production"),
        }
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
    fn only_production_is_production() {
        let strict: Vec<_> = Environment::NAMES
            .into_iter()
            .filter(|name| name.parse::<Environment>().unwrap().is_production())
            .collect();
        assert_eq!(strict, ["production"]);
    }
}
