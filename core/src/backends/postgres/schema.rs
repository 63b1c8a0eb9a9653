//! What the tables of the database look like: three layouts are in use, and the statements adapt.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sqlx::Row as _;

use super::{Failure, Postgres, Statement};

// Asked of the catalogue and not of `information_schema`: what counts is what a bare table name means to this role.
const COLUMNS: &str = "SELECT relname::text, attname::text, format_type(atttypid, NULL) \
     FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
     WHERE relname = ANY($1) AND pg_table_is_visible(pg_class.oid) AND attnum > 0 AND NOT attisdropped";
const LABELS: &str = "SELECT enumlabel::text FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid \
     WHERE typname = 'userrole' AND pg_type_is_visible(pg_type.oid) ORDER BY enumsortorder";

// Of the catalogue too: asking for the table by its name fails where the role may not enter the schema.
const MEMORY: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'posada' AND c.relname = 'user_hotel' AND has_schema_privilege(n.oid, 'USAGE') \
     AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
     AND has_table_privilege(c.oid, 'UPDATE'))";

/// The tables that belong to posada and to the app.
pub(crate) const TABLES: [&str; 6] = [
    "lock_audit",
    "password_history",
    "tenant_user_identifiers",
    "tenants",
    "user_sessions",
    "users",
];

/// The columns of our tables and the labels of the role type, as they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    columns: HashMap<(String, String), String>,
    roles: Vec<String>,
    remembers_hotels: bool,
}

impl Schema {
    /// Whether the table is there at all.
    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.columns.keys().any(|(known, _)| known == table)
    }

    /// Whether the table has the column.
    pub(crate) fn has_column(&self, table: &str, column: &str) -> bool {
        self.column_type(table, column).is_some()
    }

    /// The type of a column as Postgres writes it: `json`, `jsonb`, `character varying`, `userrole`,
    /// `timestamp without time zone`.
    pub(crate) fn column_type(&self, table: &str, column: &str) -> Option<&str> {
        self.columns
            .get(&(table.to_owned(), column.to_owned()))
            .map(String::as_str)
    }

    /// Whether the table `posada.user_hotel` is there and this role may use it: it came with a migration.
    pub(crate) fn remembers_hotels(&self) -> bool {
        self.remembers_hotels
    }

    /// The labels of the type `userrole` in their order and spelling; empty when there is no such type.
    pub(crate) fn role_labels(&self) -> &[String] {
        &self.roles
    }
}

/// The last probe.
#[derive(Default)]
pub(super) struct Cache(ArcSwapOption<Schema>);

impl Cache {
    pub(super) async fn get(&self, postgres: &Postgres) -> Result<Arc<Schema>, Failure> {
        if let Some(known) = self.0.load_full() {
            return Ok(known);
        }
        let found = Arc::new(probe(postgres).await?);
        // A database without our tables is about to be migrated: that is not worth remembering.
        if TABLES.iter().all(|table| found.has_table(table)) {
            self.0.store(Some(found.clone()));
        }
        Ok(found)
    }

    pub(super) fn forget(&self) {
        self.0.store(None);
    }
}

async fn probe(postgres: &Postgres) -> Result<Schema, Failure> {
    let tables: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
    let rows = postgres
        .fetch(Statement::read("postgres.columns", COLUMNS).bind(tables))
        .await?;
    let mut schema = Schema::default();
    for row in rows {
        let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        schema.columns.insert((table, column), row.try_get(2)?);
    }
    for row in postgres.fetch(Statement::read("postgres.roles", LABELS)).await? {
        schema.roles.push(row.try_get(0)?);
    }
    for row in postgres.fetch(Statement::read("postgres.memory", MEMORY)).await? {
        schema.remembers_hotels = row.try_get(0)?;
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_answers_for_tables_columns_and_types() {
        let mut schema = Schema::default();
        let key = ("lock_audit".to_owned(), "details".to_owned());
        schema.columns.insert(key, "jsonb".into());
        assert!(schema.has_table("lock_audit") && !schema.has_table("users"));
        assert_eq!(schema.column_type("lock_audit", "details"), Some("jsonb"));
        assert!(!schema.has_column("lock_audit", "tenant_id"));
    }
}
