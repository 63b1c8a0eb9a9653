//! `posada.AuthOptions`, read from the Python class of that name.

use std::time::Duration;

use chrono::{DateTime, Utc};
use posada::auth::{AuthOptions, PasswordPolicy, Profile};
use posada::error::codes;
use pyo3::prelude::*;

use crate::arguments::Span;
use crate::errors::Refusal;

/// The attributes of `posada.AuthOptions`. What is `None` has the crate's default.
#[derive(FromPyObject)]
pub(crate) struct Options {
    profile: Option<String>,
    previous_keys: Vec<(String, DateTime<Utc>)>,
    accept_sessionless: Option<bool>,
    issuer: Option<String>,
    audience: Option<String>,
    access_life: Option<Span>,
    idle_life: Option<Span>,
    absolute_life: Option<Span>,
    grace: Option<Span>,
    max_staleness: Option<Span>,
    session_limit: Option<usize>,
    password_policy: Option<String>,
    password_min_length: Option<usize>,
    password_history: Option<usize>,
    password_life: Option<Span>,
}

impl Options {
    /// `access_life` is what the settings say unless the options say something.
    pub(crate) fn into_core(self, access_life: Duration) -> Result<AuthOptions, Refusal> {
        let keys = self.previous_keys.into_iter();
        let mut options = AuthOptions::new()
            .access_life(self.access_life.map_or(access_life, |life| life.0))
            .password_life(self.password_life.map(|life| life.0))
            .previous_keys(keys.map(|(key, until)| (key.into(), until)));
        if let Some(Span(life)) = self.idle_life {
            options = options.idle_life(life);
        }
        if let Some(Span(life)) = self.absolute_life {
            options = options.absolute_life(life);
        }
        if let Some(Span(grace)) = self.grace {
            options = options.grace(grace);
        }
        if let Some(Span(age)) = self.max_staleness {
            options = options.max_staleness(age);
        }
        if let Some(profile) = self.profile {
            options = options.profile(Profile::parse(&profile)?);
        }
        if let Some(accept) = self.accept_sessionless {
            options = options.accept_sessionless(accept);
        }
        if let Some(issuer) = self.issuer {
            options = options.issuer(issuer);
        }
        if let Some(audience) = self.audience {
            options = options.audience(audience);
        }
        if let Some(limit) = self.session_limit {
            options = options.session_limit(limit);
        }
        if let Some(history) = self.password_history {
            options = options.password_history(history);
        }
        if let Some(policy) = self.password_policy {
            options = options.password_policy(read_policy(&policy, self.password_min_length)?);
        }
        Ok(options)
    }
}

fn read_policy(name: &str, min_length: Option<usize>) -> Result<PasswordPolicy, Refusal> {
    match (name, min_length) {
        ("legacy", _) => Ok(PasswordPolicy::Legacy),
        ("nist", None) => Ok(PasswordPolicy::default()),
        ("nist", Some(min_length)) => Ok(PasswordPolicy::Nist { min_length }),
        _ => Err(invalid(
            "password_policy",
            format!("expected legacy or nist, not {name:?}"),
        )),
    }
}

fn invalid(field: &str, message: String) -> Refusal {
    Refusal::invalid(codes::SETTINGS_INVALID, field, message)
}

/// What a policy has against a password, in its words and order.
#[pyfunction]
#[pyo3(signature = (policy, min_length, password, context))]
pub(crate) fn password_violations(
    py: Python<'_>,
    policy: &str,
    min_length: Option<usize>,
    password: &str,
    context: Vec<String>,
) -> PyResult<Vec<String>> {
    let policy = read_policy(policy, min_length)?;
    let words: Vec<&str> = context.iter().map(String::as_str).collect();
    Ok(py.detach(|| policy.violations(password, &words)))
}

/// Whether a password is the one behind a stored hash.
#[pyfunction]
pub(crate) fn password_matches(py: Python<'_>, password: &str, hash: &str) -> bool {
    py.detach(|| posada::auth::password_matches(password, hash))
}

/// A hash that the app can verify too.
#[pyfunction]
pub(crate) fn legacy_password_hash(py: Python<'_>, password: &str) -> PyResult<String> {
    py.detach(|| Ok(posada::auth::legacy_password_hash(password).map_err(Refusal::from)?))
}
