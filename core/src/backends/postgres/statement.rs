//! One SQL statement with its values and its name.

use std::fmt;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::{Arguments as _, Encode, Type};

/// A statement, ready to run, as often as a retry needs it.
///
/// The text is a constant, so no value can get into it. The name labels metrics and traces; values appear in
/// neither, nor in `Debug`.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    pub(super) writes: bool,
    pub(super) arguments: PgArguments,
    pub(super) unbindable: Option<String>,
}

impl Statement {
    /// A statement that changes nothing: its loss is repeated or reported as a plain failure.
    pub(crate) fn read(name: &'static str, sql: &'static str) -> Self {
        Self::new(name, sql, false)
    }

    /// A statement that changes something: when its answer is lost, it is unknown whether it happened.
    pub(crate) fn write(name: &'static str, sql: &'static str) -> Self {
        Self::new(name, sql, true)
    }

    /// Gives the next of `$1`, `$2`, … its value.
    #[must_use]
    pub(crate) fn bind<'value, V>(mut self, value: V) -> Self
    where
        V: Encode<'value, Postgres> + Type<Postgres>,
    {
        if let Err(failure) = self.arguments.add(value) {
            self.unbindable.get_or_insert_with(|| describe(&failure));
        }
        self
    }

    fn new(name: &'static str, sql: &'static str, writes: bool) -> Self {
        Self {
            name,
            sql,
            writes,
            arguments: PgArguments::default(),
            unbindable: None,
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("name", &self.name)
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}

fn describe(failure: &BoxDynError) -> String {
    failure.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_shows_its_name_and_no_value() {
        let statement = Statement::write("users.create", "INSERT INTO users VALUES ($1)").bind("hunter2");
        let shown = format!("{statement:?}");
        assert!(
            shown.contains("users.create") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
