//! Who may see our tables: the roles of a data API, which should not, and this role, which should see all of them.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::failure::Failure;
use super::schema;

/// Our tables, where the bare name finds them, and what belongs to posada alone. Before the names of the tables.
const OURS: &str = "WITH ours AS (SELECT pg_class.oid, relkind, relacl, relowner, relrowsecurity, relnamespace \
     FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND (nspname = 'posada' \
     OR pg_table_is_visible(pg_class.oid) AND relname IN ";

// Rights come by name, by PUBLIC and by membership, on the table or on columns; a view without `security_invoker`
// shows the rows that its owner sees.
const PUBLISHED: &str = "watched AS ( \
     SELECT oid, 'TABLE' AS kind, relacl, relowner, relrowsecurity AS guarded, relnamespace FROM ours \
     UNION SELECT s.oid, 'SEQUENCE', s.relacl, s.relowner, true, s.relnamespace \
     FROM pg_class s JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid \
     AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
     JOIN ours ON ours.oid = d.refobjid WHERE s.relkind = 'S' \
     UNION SELECT v.oid, 'VIEW', v.relacl, v.relowner, true, v.relnamespace \
     FROM pg_class v JOIN pg_rewrite w ON w.ev_class = v.oid \
     JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid \
     AND d.refclassid = 'pg_class'::regclass JOIN ours ON ours.oid = d.refobjid AND ours.oid <> v.oid \
     WHERE v.relkind IN ('v', 'm') AND NOT EXISTS (SELECT FROM pg_options_to_table(v.reloptions) \
     WHERE option_name = 'security_invoker' AND option_value::boolean)) \
     SELECT format('%I.%I', nspname, relname), kind, rolname::text, \
     CASE WHEN given.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END, \
     string_agg(DISTINCT given.privilege_type, ', '), watched.guarded::text \
     FROM watched JOIN pg_class USING (oid) JOIN pg_namespace ON pg_namespace.oid = watched.relnamespace \
     JOIN pg_roles ON rolname IN ('anon', 'anonymous', 'authenticated') AND rolname <> current_user \
     AND has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'USAGE') \
     CROSS JOIN LATERAL (SELECT grantee, privilege_type FROM \
     aclexplode(coalesce(watched.relacl, acldefault('r', watched.relowner))) \
     UNION ALL SELECT x.grantee, x.privilege_type FROM pg_attribute, aclexplode(attacl) x \
     WHERE attrelid = watched.oid) given \
     WHERE given.grantee = 0 OR pg_has_role(pg_roles.oid, given.grantee, 'USAGE') \
     GROUP BY nspname, relname, kind, rolname, given.grantee, watched.guarded ORDER BY kind DESC, 1, 3";

// `row_security_active` says whether policies bind this very role, whatever `row_security` is.
const GUARDED: &str = "SELECT format('%I.%I', nspname, relname), \
     pg_has_role(ours.relowner, 'USAGE')::text, quote_ident(pg_get_userbyid(ours.relowner)) \
     FROM ours JOIN pg_class USING (oid) JOIN pg_namespace ON pg_namespace.oid = ours.relnamespace \
     WHERE row_security_active(ours.oid) ORDER BY 1";

/// The tables whose policies bind this role, as one text; NULL when there are none, which is found by two indexes.
pub(super) const BOUND: &str = "SELECT string_agg(relname::text, ', ' ORDER BY relname) FROM pg_class \
     WHERE (relname IN ('lock_audit', 'password_history', 'tenant_user_identifiers', 'tenants', 'user_sessions', \
     'users') AND pg_table_is_visible(oid) OR oid = to_regclass('posada.lock_fence')) AND row_security_active(oid)";

/// The rights that this role lacks on the table that remembers which hotel a user belongs to; no row without the table.
const MEMORY: &str = "SELECT array_to_string(ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) p \
     WHERE NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(c.oid, p)), ', ') \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'posada' AND c.relname = 'user_hotel'";

/// What was found about rights.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// What the roles of a data API may do.
    pub(crate) published: Vec<Published>,
    /// The tables whose policies bind this role.
    pub(crate) guarded: Vec<Guarded>,
    /// What this role lacks on `posada.user_hotel`, such as `INSERT, UPDATE`; empty when nothing or when there is no
    /// such table.
    pub(crate) lacks_on_memory: String,
}

/// A right of a role of a data API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// Table, sequence or view with its schema, quoted where SQL wants it.
    pub(crate) relation: String,
    /// `TABLE`, `SEQUENCE` or `VIEW`, as SQL writes it.
    pub(crate) kind: String,
    /// `anon`, `anonymous` or `authenticated`.
    pub(crate) role: String,
    /// Who was given the right: the role itself, a role that it belongs to (quoted where SQL wants it), or `PUBLIC`.
    pub(crate) grantee: String,
    /// `SELECT, UPDATE` and so on.
    pub(crate) rights: String,
    /// Something else stands between: policies of the table, or a view.
    pub(crate) is_guarded: bool,
}

/// A table whose policies bind this role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// With its schema, quoted where SQL wants it.
    pub(crate) table: String,
    /// Whether the role owns it, so that `FORCE` is what binds it.
    pub(crate) is_owner: bool,
    /// The owner, quoted where SQL wants it.
    pub(crate) owner: String,
}

/// Asks for all of it.
pub(super) async fn look(connection: &mut PgConnection) -> Result<Rights, Failure> {
    let ours = format!("{OURS} ('{}')))", schema::TABLES.join("', '"));
    let published = AssertSqlSafe(format!("{ours}, {PUBLISHED}"));
    let published = sqlx::raw_sql(published).fetch_all(&mut *connection).await?;
    let guarded = AssertSqlSafe(format!("{ours} {GUARDED}"));
    let guarded = sqlx::raw_sql(guarded).fetch_all(&mut *connection).await?;
    let memory = sqlx::raw_sql(MEMORY).fetch_optional(connection).await?;
    Ok(Rights {
        lacks_on_memory: memory.map(|row| row.try_get(0)).transpose()?.unwrap_or_default(),
        published: published.iter().map(of_api).collect::<Result<_, _>>()?,
        guarded: guarded.iter().map(of_policies).collect::<Result<_, _>>()?,
    })
}

/// An identifier as SQL wants it. Always in quotes, which are never wrong.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn of_api(row: &PgRow) -> Result<Published, Failure> {
    Ok(Published {
        relation: row.try_get(0)?,
        kind: row.try_get(1)?,
        role: row.try_get(2)?,
        grantee: row.try_get(3)?,
        rights: row.try_get(4)?,
        is_guarded: row.try_get::<String, _>(5)? == "true",
    })
}

fn of_policies(row: &PgRow) -> Result<Guarded, Failure> {
    Ok(Guarded {
        table: row.try_get(0)?,
        is_owner: row.try_get::<String, _>(1)? == "true",
        owner: row.try_get(2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_asks_about_every_table() {
        for table in schema::TABLES {
            assert!(BOUND.contains(&format!("'{table}'")), "{table}");
        }
    }
}
