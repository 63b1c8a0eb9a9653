//! Users, sessions and old passwords in the app's tables `users`, `user_sessions` and `password_history`.
//!
//! Works on every layout that is in the wild. Columns that one or the other lacks are read through `to_jsonb`, for
//! which a missing column is NULL; writes adapt to what the schema has. Every statement binds the hotel. Times are
//! UTC without a zone, and the present is a value, so that the zone of the server's role means nothing.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::model::{SignInSession, User};
use super::role::Role;
use super::store::{
    AuthStore, NewSession, Owner, PasswordChange, Rotation, SessionState, StoredUser, Which, Who, exists,
};
use crate::TenantId;
use crate::backends::postgres::{Failure, Postgres, Statement, Tx};
use crate::error::{Error, Result, codes};

/// What decides whether somebody may go on. A database without `role` knows superusers and guests.
macro_rules! standing {
    () => {
        "u.id::text AS user_id, u.tenant_id::text AS tenant, to_jsonb(u) ->> 'role' AS role, \
         u.is_active AS is_active, u.is_superuser AS is_superuser, u.password_must_change AS must_change, \
         (extract(epoch FROM u.password_last_changed) * 1000000)::bigint AS changed, \
         coalesce(t.status::text, 'active') = 'active' AS tenant_active"
    };
}

macro_rules! user {
    () => {
        concat!(
            standing!(),
            ", u.username::text AS username, u.email::text AS email, u.hashed_password::text AS hash, \
             u.full_name::text AS full_name, \
             coalesce((to_jsonb(u) ->> 'mfa_enabled')::boolean, FALSE) AS second_factor, \
             (extract(epoch FROM (to_jsonb(u) ->> 'account_locked_until')::timestamp) * 1000000)::bigint AS locked"
        )
    };
}

macro_rules! session {
    () => {
        concat!(
            standing!(),
            ", s.token_jti::text AS token, s.is_revoked AS is_revoked, \
             (extract(epoch FROM s.expires_at) * 1000000)::bigint AS expires"
        )
    };
}

/// The user, and the hotel whose user it must be.
macro_rules! owned {
    () => {
        "u.id = $1 AND u.tenant_id IS NOT DISTINCT FROM $2"
    };
}

macro_rules! from_users {
    () => {
        " FROM users u LEFT JOIN tenants t ON t.tenant_id = u.tenant_id "
    };
}

const FIND: &str = concat!(
    "SELECT ",
    user!(),
    from_users!(),
    "WHERE u.username = $1 AND ($2::text IS NULL OR u.tenant_id = $2)"
);
const FIND_BY_ID: &str = concat!(
    "SELECT ",
    user!(),
    from_users!(),
    "WHERE u.id = $1 AND ($2::text IS NULL OR u.tenant_id = $2)"
);
const GET: &str = concat!("SELECT ", user!(), from_users!(), "WHERE ", owned!());
const LOCK: &str = concat!(
    "SELECT ",
    user!(),
    from_users!(),
    "WHERE ",
    owned!(),
    " FOR UPDATE OF u"
);
const INSERT: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, is_active, \
     is_superuser, password_must_change, password_last_changed, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10)";
const INSERT_WITH_ROLE: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, \
     is_active, is_superuser, password_must_change, password_last_changed, created_at, updated_at, role, \
     is_verified, failed_login_attempts) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11::text::userrole, FALSE, 0)";
const INSERT_WITH_FACTOR: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, \
     is_active, is_superuser, password_must_change, password_last_changed, created_at, updated_at, role, \
     is_verified, failed_login_attempts, mfa_enabled) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11::text::userrole, FALSE, 0, FALSE)";
const REHASH: &str = concat!(
    "UPDATE users AS u SET hashed_password = $4 WHERE ",
    owned!(),
    " AND u.hashed_password = $3"
);
const REQUIRE_CHANGE: &str = concat!(
    "UPDATE users AS u SET password_must_change = TRUE WHERE ",
    owned!()
);
const NOTE_LOGIN: &str = concat!(
    "UPDATE users AS u SET last_login = $3, failed_login_attempts = 0 WHERE ",
    owned!()
);
const END_SURPLUS: &str = concat!(
    "UPDATE user_sessions AS s SET is_revoked = TRUE FROM users u WHERE s.user_id = u.id AND ",
    owned!(),
    " AND NOT s.is_revoked AND s.expires_at > $3 AND s.id NOT IN (SELECT k.id FROM user_sessions k \
     WHERE k.user_id = $1 AND NOT k.is_revoked AND k.expires_at > $3 \
     ORDER BY k.created_at DESC, k.id DESC LIMIT $4) RETURNING s.id::text AS id"
);
const BEGIN: &str = concat!(
    "INSERT INTO user_sessions (id, user_id, token_jti, expires_at, created_at, is_revoked, user_agent, ip_address) \
     SELECT $3::text, u.id, $4::text, $5::timestamp, $6::timestamp, FALSE, $7::text, $8::text FROM users u WHERE ",
    owned!()
);
const SESSION: &str = concat!(
    "SELECT ",
    session!(),
    " FROM user_sessions s JOIN users u ON u.id = s.user_id LEFT JOIN tenants t ON t.tenant_id = u.tenant_id \
     WHERE s.id = $1 AND u.tenant_id IS NOT DISTINCT FROM $2"
);
const ROTATE: &str = concat!(
    "UPDATE user_sessions AS s SET token_jti = $5, \
     expires_at = least($7::timestamp, s.created_at + $8 * interval '1 second')",
    from_users!(),
    "WHERE s.user_id = u.id AND ",
    owned!(),
    " AND s.id = $3 AND s.token_jti = $4 AND NOT s.is_revoked AND s.expires_at > $6 AND u.is_active RETURNING ",
    session!()
);
const REVOKE: &str = concat!(
    "UPDATE user_sessions AS s SET is_revoked = TRUE FROM users u WHERE s.user_id = u.id AND ",
    owned!(),
    " AND NOT s.is_revoked AND ($3::text IS NULL OR s.id = $3) AND ($4::text IS NULL OR s.id <> $4) \
     RETURNING s.id::text AS id"
);
const SESSIONS: &str = concat!(
    "SELECT s.id::text AS id, (extract(epoch FROM s.created_at) * 1000000)::bigint AS created, \
     (extract(epoch FROM s.expires_at) * 1000000)::bigint AS expires, \
     s.user_agent::text AS agent, s.ip_address::text AS address \
     FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE ",
    owned!(),
    " AND NOT s.is_revoked AND s.expires_at > $3 ORDER BY s.created_at DESC, s.id DESC"
);
const COUNT: &str =
    "SELECT count(*) AS live FROM user_sessions s WHERE NOT s.is_revoked AND s.expires_at > $1";
const HISTORY: &str = concat!(
    "SELECT h.password_hash::text AS hash FROM password_history h JOIN users u ON u.id = h.user_id WHERE ",
    owned!(),
    " ORDER BY h.created_at DESC, h.id DESC LIMIT $3"
);
const CHANGE: &str = concat!(
    "UPDATE users AS u SET hashed_password = $4, password_last_changed = $5, password_must_change = $6, \
     updated_at = $5 WHERE ",
    owned!(),
    " AND u.hashed_password = $3"
);
const REMEMBER: &str = concat!(
    "INSERT INTO password_history (user_id, password_hash, created_at) \
     SELECT u.id, $3::text, $4::timestamp FROM users u WHERE ",
    owned!()
);
const PRUNE: &str = concat!(
    "DELETE FROM password_history AS h USING users u WHERE h.user_id = u.id AND ",
    owned!(),
    " AND h.id NOT IN (SELECT k.id FROM password_history k WHERE k.user_id = $1 \
     ORDER BY k.created_at DESC, k.id DESC LIMIT $3)"
);

/// The three tables.
pub(crate) struct PostgresAuth {
    postgres: Postgres,
}

impl PostgresAuth {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

fn owned(statement: Statement, owner: &Owner) -> Statement {
    statement
        .bind(owner.user.clone())
        .bind(owner.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()))
}

#[async_trait]
impl AuthStore for PostgresAuth {
    async fn insert(&self, new: &StoredUser, now: DateTime<Utc>) -> Result<()> {
        let schema = self.postgres.schema().await?;
        let has_role = schema.has_column("users", "role");
        let sql = match (has_role, schema.has_column("users", "mfa_enabled")) {
            (false, _) => INSERT,
            (true, false) => INSERT_WITH_ROLE,
            (true, true) => INSERT_WITH_FACTOR,
        };
        let user = &new.user;
        let mut statement = owned(Statement::write("auth.create_user", sql), &new.owner())
            .bind(user.username.as_str())
            .bind(user.email.as_str())
            .bind(new.hash.as_str())
            .bind(user.full_name.as_deref())
            .bind(user.is_active)
            .bind(user.is_superuser)
            .bind(user.must_change_password)
            .bind(now.naive_utc());
        if has_role {
            let labels = schema.role_labels();
            let label = labels
                .iter()
                .find(|label| label.eq_ignore_ascii_case(user.role.as_str()));
            statement = statement.bind(label.map_or(user.role.as_str(), String::as_str).to_owned());
        }
        match self.postgres.execute(statement).await {
            Ok(_) => Ok(()),
            Err(Failure::UniqueViolation { .. }) => Err(exists()),
            Err(Failure::ForeignKeyViolation { .. }) => Err(Error::field_invalid(
                codes::AUTH_INVALID_USER,
                "tenant",
                "there is no such tenant",
            )),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn find(&self, who: Who<'_>, tenant: Option<&TenantId>) -> Result<Option<StoredUser>> {
        let (sql, name) = match who {
            Who::Username(name) => (FIND, name),
            Who::Id(id) => (FIND_BY_ID, id),
        };
        let statement = Statement::read("auth.find_user", sql)
            .bind(name)
            .bind(tenant.map(TenantId::as_str));
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_user).transpose()?)
    }

    async fn user(&self, owner: &Owner) -> Result<Option<StoredUser>> {
        let rows = self
            .postgres
            .fetch(owned(Statement::read("auth.user", GET), owner))
            .await?;
        Ok(rows.first().map(read_user).transpose()?)
    }

    async fn rehash(&self, owner: &Owner, old: &str, new: &str) -> Result<bool> {
        let statement = owned(Statement::write("auth.rehash", REHASH), owner)
            .bind(old)
            .bind(new);
        Ok(self.postgres.execute(statement).await? == 1)
    }

    async fn require_change(&self, owner: &Owner) -> Result<()> {
        let statement = owned(Statement::write("auth.require_change", REQUIRE_CHANGE), owner);
        self.postgres.execute(statement).await?;
        Ok(())
    }

    async fn begin(&self, session: &NewSession) -> Result<Option<Vec<String>>> {
        let schema = self.postgres.schema().await?;
        let notes =
            schema.has_column("users", "last_login") && schema.has_column("users", "failed_login_attempts");
        let new = session.clone();
        let begun = self.postgres.transaction("auth.begin_session", move |tx| {
            let new = new.clone();
            Box::pin(async move { begin(tx, &new, notes).await })
        });
        Ok(begun.await?)
    }

    async fn session(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<SessionState>> {
        let statement = Statement::read("auth.session", SESSION)
            .bind(id)
            .bind(tenant.map(TenantId::as_str));
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_session).transpose()?)
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionState>> {
        let statement = owned(Statement::write("auth.refresh", ROTATE), &rotation.owner)
            .bind(rotation.session.as_str())
            .bind(rotation.old.as_str())
            .bind(rotation.next.as_str())
            .bind(rotation.now.naive_utc())
            .bind(rotation.expires_at.naive_utc())
            .bind(rotation.longest.as_secs_f64());
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_session).transpose()?)
    }

    async fn revoke(&self, owner: &Owner, which: &Which) -> Result<Vec<String>> {
        let rows = self.postgres.fetch(revoke(owner, which)).await?;
        Ok(read_ids(&rows)?)
    }

    async fn sessions(&self, owner: &Owner, now: DateTime<Utc>) -> Result<Vec<SignInSession>> {
        let statement = owned(Statement::read("auth.sessions", SESSIONS), owner).bind(now.naive_utc());
        let rows = self.postgres.fetch(statement).await?;
        let read: std::result::Result<Vec<_>, Failure> = rows
            .iter()
            .map(|row| {
                Ok(SignInSession {
                    id: row.try_get("id")?,
                    created_at: moment(row, "created")?,
                    expires_at: moment(row, "expires")?,
                    user_agent: row.try_get("agent")?,
                    address: row.try_get("address")?,
                })
            })
            .collect();
        Ok(read?)
    }

    async fn count(&self, now: DateTime<Utc>) -> Result<u64> {
        let statement = Statement::read("auth.count", COUNT).bind(now.naive_utc());
        let rows = self.postgres.fetch(statement).await?;
        let live: std::result::Result<Option<i64>, sqlx::Error> =
            rows.first().map(|row| row.try_get("live")).transpose();
        Ok(u64::try_from(live.map_err(Failure::from)?.unwrap_or(0)).unwrap_or(0))
    }

    async fn history(&self, owner: &Owner, limit: usize) -> Result<Vec<String>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = owned(Statement::read("auth.history", HISTORY), owner).bind(limit);
        let rows = self.postgres.fetch(statement).await?;
        let read: std::result::Result<Vec<String>, sqlx::Error> =
            rows.iter().map(|row| row.try_get("hash")).collect();
        Ok(read.map_err(Failure::from)?)
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<Option<Vec<String>>> {
        let change = change.clone();
        let changed = self.postgres.transaction("auth.change_password", move |tx| {
            let change = change.clone();
            Box::pin(async move { change_password(tx, &change).await })
        });
        Ok(changed.await?)
    }
}

async fn begin(
    tx: &mut Tx,
    new: &NewSession,
    notes: bool,
) -> std::result::Result<Option<Vec<String>>, Failure> {
    // The row of the user is the door: sign-ins and changes of the password of one user go through one by one.
    let rows = tx
        .fetch(owned(Statement::read("auth.lock_user", LOCK), &new.owner))
        .await?;
    let Some(stored) = rows.first().map(read_user).transpose()? else {
        return Ok(None);
    };
    if !stored.user.is_active || stored.user.password_changed_at != new.password_changed_at {
        return Ok(None);
    }
    let others = i64::try_from(new.limit.saturating_sub(1)).unwrap_or(i64::MAX);
    let surplus = owned(Statement::write("auth.end_surplus", END_SURPLUS), &new.owner)
        .bind(new.now.naive_utc())
        .bind(others);
    let ended = read_ids(&tx.fetch(surplus).await?)?;
    let insert = owned(Statement::write("auth.begin_session", BEGIN), &new.owner)
        .bind(new.id.clone())
        .bind(new.token.clone())
        .bind(new.expires_at.naive_utc())
        .bind(new.now.naive_utc())
        .bind(new.user_agent.clone())
        .bind(new.address.clone());
    tx.execute(insert).await?;
    if notes {
        let note =
            owned(Statement::write("auth.note_login", NOTE_LOGIN), &new.owner).bind(new.now.naive_utc());
        tx.execute(note).await?;
    }
    Ok(Some(ended))
}

async fn change_password(
    tx: &mut Tx,
    change: &PasswordChange,
) -> std::result::Result<Option<Vec<String>>, Failure> {
    let owner = &change.owner;
    let update = owned(Statement::write("auth.change_password", CHANGE), owner)
        .bind(change.old_hash.clone())
        .bind(change.new_hash.clone())
        .bind(change.now.naive_utc())
        .bind(change.must_change);
    if tx.execute(update).await? == 0 {
        return Ok(None);
    }
    let remember = owned(Statement::write("auth.remember", REMEMBER), owner)
        .bind(change.old_hash.clone())
        .bind(change.now.naive_utc());
    tx.execute(remember).await?;
    let kept = i64::try_from(change.history).unwrap_or(i64::MAX);
    tx.execute(owned(Statement::write("auth.prune", PRUNE), owner).bind(kept))
        .await?;
    let ended = tx.fetch(revoke(owner, &Which::All)).await?;
    Ok(Some(read_ids(&ended)?))
}

fn revoke(owner: &Owner, which: &Which) -> Statement {
    let (only, but) = match which {
        Which::One(id) => (Some(id.clone()), None),
        Which::All => (None, None),
        Which::AllBut(id) => (None, Some(id.clone())),
    };
    owned(Statement::write("auth.revoke", REVOKE), owner)
        .bind(only)
        .bind(but)
}

fn read_ids(rows: &[PgRow]) -> std::result::Result<Vec<String>, Failure> {
    let ids: std::result::Result<Vec<String>, sqlx::Error> =
        rows.iter().map(|row| row.try_get("id")).collect();
    Ok(ids?)
}

fn moment(row: &PgRow, column: &str) -> std::result::Result<DateTime<Utc>, Failure> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros
        .and_then(DateTime::from_timestamp_micros)
        .unwrap_or_default())
}

fn read_tenant(row: &PgRow) -> std::result::Result<Option<TenantId>, Failure> {
    let tenant: Option<String> = row.try_get("tenant")?;
    // An id that no tenant can have must not make its users users of the installation.
    tenant
        .map(|id| TenantId::parse(&id).map_err(Failure::Abandoned))
        .transpose()
}

fn read_role(row: &PgRow) -> std::result::Result<Role, Failure> {
    let label: Option<String> = row.try_get("role")?;
    let is_superuser: bool = row.try_get("is_superuser")?;
    Ok(match label {
        Some(label) => Role::parse(&label).unwrap_or(Role::Guest),
        None if is_superuser => Role::Admin,
        None => Role::Guest,
    })
}

fn read_user(row: &PgRow) -> std::result::Result<StoredUser, Failure> {
    let locked: Option<i64> = row.try_get("locked")?;
    Ok(StoredUser {
        user: User {
            id: row.try_get("user_id")?,
            username: row.try_get("username")?,
            email: row.try_get("email")?,
            full_name: row.try_get("full_name")?,
            tenant: read_tenant(row)?,
            role: read_role(row)?,
            is_active: row.try_get("is_active")?,
            is_superuser: row.try_get("is_superuser")?,
            must_change_password: row.try_get("must_change")?,
            password_changed_at: moment(row, "changed")?,
        },
        hash: row.try_get("hash")?,
        tenant_active: row.try_get("tenant_active")?,
        needs_second_factor: row.try_get("second_factor")?,
        locked_until: locked.and_then(DateTime::from_timestamp_micros),
    })
}

fn read_session(row: &PgRow) -> std::result::Result<SessionState, Failure> {
    let is_active: bool = row.try_get("is_active")?;
    let tenant_active: bool = row.try_get("tenant_active")?;
    Ok(SessionState {
        user: row.try_get("user_id")?,
        tenant: read_tenant(row)?,
        role: read_role(row)?,
        is_active: is_active && tenant_active,
        is_superuser: row.try_get("is_superuser")?,
        must_change: row.try_get("must_change")?,
        is_revoked: row.try_get("is_revoked")?,
        token: row.try_get("token")?,
        expires_at: moment(row, "expires")?,
        password_changed_at: moment(row, "changed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_on_a_users_data_binds_the_hotel() {
        let statements = [
            FIND,
            FIND_BY_ID,
            GET,
            LOCK,
            REHASH,
            REQUIRE_CHANGE,
            NOTE_LOGIN,
            END_SURPLUS,
            BEGIN,
            SESSION,
            ROTATE,
            REVOKE,
            SESSIONS,
            HISTORY,
            CHANGE,
            REMEMBER,
            PRUNE,
        ];
        for sql in statements {
            let binds =
                sql.contains("u.tenant_id IS NOT DISTINCT FROM $2") || sql.contains("u.tenant_id = $2");
            assert!(binds && sql.contains("users"), "{sql}");
        }
        for sql in [INSERT, INSERT_WITH_ROLE, INSERT_WITH_FACTOR] {
            assert!(
                sql.contains("(id, tenant_id,") && sql.contains("($1, $2,"),
                "{sql}"
            );
        }
        // A number, for all hotels together, that names nobody.
        assert!(COUNT.starts_with("SELECT count(*) "), "{COUNT}");
        // Whoever adds a statement adds it to the lists above.
        let source = include_str!("postgres.rs");
        assert_eq!(source.matches("\nconst ").count(), statements.len() + 4);
    }
}
