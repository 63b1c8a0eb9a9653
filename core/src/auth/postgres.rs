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
use super::sql::{
    ADDRESS_LOCK, BEGIN, CHANGE, COSTLIEST, COUNT, END_SURPLUS, FORGETFUL, HAS_ADDRESS, HISTORY, HOTEL,
    INSERT, INSERT_WITH_FACTOR, INSERT_WITH_ROLE, NOTE_HOTEL, NOTE_LOGIN, PRUNE, REHASH, REMEMBER,
    REMEMBERING, REQUIRE_CHANGE, REVOKE, Reads, SESSIONS,
};
use super::store::{
    AuthStore, NewSession, Owner, PasswordChange, Rotation, SessionSet, SessionState, StoredUser, UserKey,
    exists, no_such_tenant,
};
use crate::TenantId;
use crate::backends::postgres::{Failure, Postgres, Statement, Tx};
use crate::error::Result;

/// The three tables.
pub(crate) struct PostgresAuth {
    postgres: Postgres,
}

impl PostgresAuth {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    async fn reads(&self) -> Result<&'static Reads> {
        let remembers = self.postgres.schema().await?.remembers_hotels();
        Ok(if remembers { &REMEMBERING } else { &FORGETFUL })
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
        let mut insert = owned(Statement::write("auth.create_user", sql), &new.owner())
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
            insert = insert.bind(label.map_or(user.role.as_str(), String::as_str).to_owned());
        }
        let note = (schema.remembers_hotels() && user.tenant.is_some())
            .then(|| owned(Statement::write("auth.note_hotel", NOTE_HOTEL), &new.owner()));
        let email = user.email.clone();
        let inserted = self.postgres.transaction("auth.create_user", move |tx| {
            let (email, insert, note) = (email.clone(), insert.clone(), note.clone());
            Box::pin(async move { create(tx, email, insert, note).await })
        });
        match inserted.await {
            Ok(()) => Ok(()),
            Err(Failure::UniqueViolation { .. }) => Err(exists()),
            Err(Failure::ForeignKeyViolation { .. }) => Err(no_such_tenant()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn find(&self, who: UserKey<'_>, tenant: Option<&TenantId>) -> Result<Option<StoredUser>> {
        let reads = self.reads().await?;
        let (sql, name) = match who {
            UserKey::Username(name) => (reads.find, name),
            UserKey::Id(id) => (reads.find_by_id, id),
        };
        let statement = Statement::read("auth.find_user", sql)
            .bind(name)
            .bind(tenant.map(TenantId::as_str));
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_user).transpose()?.flatten())
    }

    async fn user(&self, owner: &Owner) -> Result<Option<StoredUser>> {
        let statement = owned(Statement::read("auth.user", self.reads().await?.get), owner);
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_user).transpose()?.flatten())
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
        let remembers = schema.remembers_hotels();
        let new = session.clone();
        let begun = self.postgres.transaction("auth.begin_session", move |tx| {
            let new = new.clone();
            Box::pin(async move { begin(tx, &new, notes, remembers).await })
        });
        Ok(begun.await?)
    }

    async fn is_active(&self, tenant: &TenantId) -> Result<Option<bool>> {
        let statement = Statement::read("auth.hotel", HOTEL).bind(tenant.as_str());
        let rows = self.postgres.fetch(statement).await?;
        let is_active: std::result::Result<Option<bool>, sqlx::Error> =
            rows.first().map(|row| row.try_get("is_active")).transpose();
        Ok(is_active.map_err(Failure::from)?)
    }

    async fn costliest_hash(&self) -> Result<Option<String>> {
        let rows = self
            .postgres
            .fetch(Statement::read("auth.costliest_hash", COSTLIEST))
            .await?;
        let hash: std::result::Result<Option<String>, sqlx::Error> =
            rows.first().map(|row| row.try_get("hash")).transpose();
        Ok(hash.map_err(Failure::from)?)
    }

    async fn session(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<SessionState>> {
        let statement = Statement::read("auth.session", self.reads().await?.session)
            .bind(id)
            .bind(tenant.map(TenantId::as_str));
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_session).transpose()?.flatten())
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionState>> {
        let statement = owned(
            Statement::write("auth.refresh", self.reads().await?.rotate),
            &rotation.owner,
        )
        .bind(rotation.session.as_str())
        .bind(rotation.old.as_str())
        .bind(rotation.next.as_str())
        .bind(rotation.now.naive_utc())
        .bind(rotation.expires_at.naive_utc())
        .bind(rotation.longest.as_secs_f64());
        let rows = self.postgres.fetch(statement).await?;
        Ok(rows.first().map(read_session).transpose()?.flatten())
    }

    async fn revoke(&self, owner: &Owner, which: &SessionSet) -> Result<Vec<String>> {
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

async fn create(
    tx: &mut Tx,
    email: String,
    insert: Statement,
    note: Option<Statement>,
) -> std::result::Result<(), Failure> {
    tx.execute(Statement::read("auth.lock_address", ADDRESS_LOCK).bind(email.clone()))
        .await?;
    let rows = tx
        .fetch(Statement::read("auth.has_address", HAS_ADDRESS).bind(email))
        .await?;
    let taken: Option<i64> = rows.first().map(|row| row.try_get("taken")).transpose()?;
    if taken.is_some_and(|taken| taken > 0) {
        return Err(Failure::Abandoned(exists()));
    }
    if tx.execute(insert).await? == 0 {
        return Err(Failure::Abandoned(no_such_tenant()));
    }
    if let Some(note) = note {
        tx.execute(note).await?;
    }
    Ok(())
}

async fn begin(
    tx: &mut Tx,
    new: &NewSession,
    notes: bool,
    remembers: bool,
) -> std::result::Result<Option<Vec<String>>, Failure> {
    let reads = if remembers { &REMEMBERING } else { &FORGETFUL };
    // The row of the user is the door: sign-ins and changes of the password of one user go through one by one.
    let rows = tx
        .fetch(owned(Statement::read("auth.lock_user", reads.lock), &new.owner))
        .await?;
    let Some(stored) = rows.first().map(read_user).transpose()?.flatten() else {
        return Ok(None);
    };
    let may = stored.user.is_active && stored.tenant_active;
    if !may || stored.user.password_changed_at != new.password_changed_at {
        return Ok(None);
    }
    if remembers && new.owner.tenant.is_some() {
        let note = owned(Statement::write("auth.note_hotel", NOTE_HOTEL), &new.owner);
        tx.execute(note).await?;
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
    let ended = tx.fetch(revoke(owner, &SessionSet::All)).await?;
    Ok(Some(read_ids(&ended)?))
}

fn revoke(owner: &Owner, which: &SessionSet) -> Statement {
    let (only, but) = match which {
        SessionSet::One(id) => (Some(id.clone()), None),
        SessionSet::All => (None, None),
        SessionSet::AllBut(id) => (None, Some(id.clone())),
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

/// The hotel, if it is one that can be.
enum TenantColumn {
    Valid(Option<TenantId>),
    /// An id that no tenant can have, such as an empty one: such users belong to no hotel, and must not become users of
    /// the installation.
    Invalid,
}

fn read_tenant(row: &PgRow) -> std::result::Result<TenantColumn, Failure> {
    let tenant: Option<String> = row.try_get("tenant")?;
    let read = tenant.map(|id| TenantId::parse(&id)).transpose();
    Ok(read.map_or(TenantColumn::Invalid, TenantColumn::Valid))
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

fn read_user(row: &PgRow) -> std::result::Result<Option<StoredUser>, Failure> {
    let TenantColumn::Valid(tenant) = read_tenant(row)? else {
        return Ok(None);
    };
    let locked: Option<i64> = row.try_get("locked")?;
    Ok(Some(StoredUser {
        user: User {
            id: row.try_get("user_id")?,
            username: row.try_get("username")?,
            email: row.try_get("email")?,
            full_name: row.try_get("full_name")?,
            tenant,
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
    }))
}

fn read_session(row: &PgRow) -> std::result::Result<Option<SessionState>, Failure> {
    let TenantColumn::Valid(tenant) = read_tenant(row)? else {
        return Ok(None);
    };
    let is_active: bool = row.try_get("is_active")?;
    let tenant_active: bool = row.try_get("tenant_active")?;
    Ok(Some(SessionState {
        user: row.try_get("user_id")?,
        tenant,
        role: read_role(row)?,
        is_active: is_active && tenant_active,
        is_superuser: row.try_get("is_superuser")?,
        must_change: row.try_get("must_change")?,
        is_revoked: row.try_get("is_revoked")?,
        token: row.try_get("token")?,
        expires_at: moment(row, "expires")?,
        password_changed_at: moment(row, "changed")?,
    }))
}
