//! The statements of `postgres.rs`.
//!
//! Every one on a user's data binds the hotel. Columns that one or the other layout lacks are read through `to_jsonb`,
//! for which a missing column is NULL.

/// What decides whether a user may go on. A database without `role` knows superusers and guests.
macro_rules! standing {
    ($active:expr) => {
        concat!(
            "u.id::text AS user_id, u.tenant_id::text AS tenant, to_jsonb(u) ->> 'role' AS role, \
             u.is_active AS is_active, u.is_superuser AS is_superuser, u.password_must_change AS must_change, \
             (extract(epoch FROM u.password_last_changed) * 1000000)::bigint AS changed, ",
            $active,
            " AS tenant_active"
        )
    };
}

/// Whether the user has no hotel, or one that exists and is active as the resolver of tenants means it: a status of
/// NULL is not.
macro_rules! active {
    () => {
        "(u.tenant_id IS NULL OR coalesce(t.status::text = 'active', FALSE))"
    };
}

/// The same, and the hotel is the one that it was when the user was made or signed in last, not a new one of that id.
/// Who was moved to another id since is a user of that one.
macro_rules! same {
    () => {
        concat!(
            "(",
            active!(),
            " AND NOT EXISTS (SELECT FROM posada.user_hotel k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id \
             AND k.hotel <> t.id))"
        )
    };
}

macro_rules! user {
    ($active:expr) => {
        concat!(
            standing!($active),
            ", u.username::text AS username, u.email::text AS email, u.hashed_password::text AS hash, \
             u.full_name::text AS full_name, \
             coalesce((to_jsonb(u) ->> 'mfa_enabled')::boolean, FALSE) AS second_factor, \
             (extract(epoch FROM (to_jsonb(u) ->> 'account_locked_until')::timestamp) * 1000000)::bigint AS locked"
        )
    };
}

macro_rules! session {
    ($active:expr) => {
        concat!(
            standing!($active),
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

/// The statements that look at the hotel of a user.
pub(super) struct Reads {
    pub(super) find: &'static str,
    pub(super) find_by_id: &'static str,
    pub(super) get: &'static str,
    pub(super) lock: &'static str,
    pub(super) session: &'static str,
    pub(super) rotate: &'static str,
}

macro_rules! reads {
    ($active:expr) => {
        Reads {
            find: concat!(
                "SELECT ",
                user!($active),
                from_users!(),
                "WHERE u.username = $1 AND ($2::text IS NULL OR u.tenant_id = $2)"
            ),
            find_by_id: concat!(
                "SELECT ",
                user!($active),
                from_users!(),
                "WHERE u.id = $1 AND ($2::text IS NULL OR u.tenant_id = $2)"
            ),
            get: concat!("SELECT ", user!($active), from_users!(), "WHERE ", owned!()),
            lock: concat!(
                "SELECT ",
                user!($active),
                from_users!(),
                "WHERE ",
                owned!(),
                " FOR UPDATE OF u"
            ),
            session: concat!(
                "SELECT ",
                session!($active),
                " FROM user_sessions s JOIN users u ON u.id = s.user_id \
                 LEFT JOIN tenants t ON t.tenant_id = u.tenant_id \
                 WHERE s.id = $1 AND u.tenant_id IS NOT DISTINCT FROM $2"
            ),
            rotate: concat!(
                "UPDATE user_sessions AS s SET token_jti = $5, \
                 expires_at = least($7::timestamp, s.created_at + $8 * interval '1 second')",
                from_users!(),
                "WHERE s.user_id = u.id AND ",
                owned!(),
                " AND s.id = $3 AND s.token_jti = $4 AND NOT s.is_revoked AND s.expires_at > $6 AND u.is_active AND ",
                $active,
                " RETURNING ",
                session!($active)
            ),
        }
    };
}

/// For a database that remembers which hotels its users belong to.
pub(super) const REMEMBERING: Reads = reads!(same!());
/// For one that was not migrated so far.
pub(super) const FORGETFUL: Reads = reads!(active!());

/// Which hotel a user belongs to: noted when the user is made and with every sign-in, changed only for one of another
/// id.
pub(super) const NOTE_HOTEL: &str = concat!(
    "INSERT INTO posada.user_hotel AS k (user_id, tenant_id, hotel) \
     SELECT u.id, u.tenant_id, t.id FROM users u JOIN tenants t ON t.tenant_id = u.tenant_id WHERE ",
    owned!(),
    " ON CONFLICT (user_id) DO UPDATE SET tenant_id = excluded.tenant_id, hotel = excluded.hotel \
     WHERE k.tenant_id <> excluded.tenant_id"
);
/// Two spellings of one address are two texts to the unique index, so making a user takes this lock.
pub(super) const ADDRESS_LOCK: &str = "SELECT pg_advisory_xact_lock(845012387, hashtext(lower($1)))";
pub(super) const HAS_ADDRESS: &str = "SELECT count(*) AS taken FROM users u WHERE lower(u.email) = lower($1)";
/// What is computed at most is checked again when the hash is read.
pub(super) const COSTLIEST: &str = "SELECT u.hashed_password::text AS hash FROM users u \
     WHERE u.hashed_password ~ '^[$]2[aby]?[$](0[4-9]|1[0-4])[$]' \
     ORDER BY split_part(u.hashed_password::text, '$', 3) DESC LIMIT 1";
/// Whether a hotel is active, as [`active`] means it.
pub(super) const HOTEL: &str =
    "SELECT coalesce(t.status::text = 'active', FALSE) AS is_active FROM tenants t WHERE t.tenant_id = $1";
pub(super) const INSERT: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, is_active, \
     is_superuser, password_must_change, password_last_changed, created_at, updated_at) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10 \
     WHERE $2::text IS NULL OR EXISTS (SELECT FROM tenants t WHERE t.tenant_id = $2)";
pub(super) const INSERT_WITH_ROLE: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, \
     is_active, is_superuser, password_must_change, password_last_changed, created_at, updated_at, role, \
     is_verified, failed_login_attempts) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11::text::userrole, FALSE, 0 \
     WHERE $2::text IS NULL OR EXISTS (SELECT FROM tenants t WHERE t.tenant_id = $2)";
pub(super) const INSERT_WITH_FACTOR: &str = "INSERT INTO users (id, tenant_id, username, email, hashed_password, full_name, \
     is_active, is_superuser, password_must_change, password_last_changed, created_at, updated_at, role, \
     is_verified, failed_login_attempts, mfa_enabled) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11::text::userrole, FALSE, 0, FALSE \
     WHERE $2::text IS NULL OR EXISTS (SELECT FROM tenants t WHERE t.tenant_id = $2)";
pub(super) const REHASH: &str = concat!(
    "UPDATE users AS u SET hashed_password = $4 WHERE ",
    owned!(),
    " AND u.hashed_password = $3"
);
pub(super) const REQUIRE_CHANGE: &str = concat!(
    "UPDATE users AS u SET password_must_change = TRUE WHERE ",
    owned!()
);
pub(super) const NOTE_LOGIN: &str = concat!(
    "UPDATE users AS u SET last_login = $3, failed_login_attempts = 0 WHERE ",
    owned!()
);
pub(super) const END_SURPLUS: &str = concat!(
    "UPDATE user_sessions AS s SET is_revoked = TRUE FROM users u WHERE s.user_id = u.id AND ",
    owned!(),
    " AND NOT s.is_revoked AND s.expires_at > $3 AND s.id NOT IN (SELECT k.id FROM user_sessions k \
     WHERE k.user_id = $1 AND NOT k.is_revoked AND k.expires_at > $3 \
     ORDER BY k.created_at DESC, k.id DESC LIMIT $4) RETURNING s.id::text AS id"
);
pub(super) const BEGIN: &str = concat!(
    "INSERT INTO user_sessions (id, user_id, token_jti, expires_at, created_at, is_revoked, user_agent, ip_address) \
     SELECT $3::text, u.id, $4::text, $5::timestamp, $6::timestamp, FALSE, $7::text, $8::text FROM users u WHERE ",
    owned!()
);
pub(super) const REVOKE: &str = concat!(
    "UPDATE user_sessions AS s SET is_revoked = TRUE FROM users u WHERE s.user_id = u.id AND ",
    owned!(),
    " AND NOT s.is_revoked AND ($3::text IS NULL OR s.id = $3) AND ($4::text IS NULL OR s.id <> $4) \
     RETURNING s.id::text AS id"
);
pub(super) const SESSIONS: &str = concat!(
    "SELECT s.id::text AS id, (extract(epoch FROM s.created_at) * 1000000)::bigint AS created, \
     (extract(epoch FROM s.expires_at) * 1000000)::bigint AS expires, \
     s.user_agent::text AS agent, s.ip_address::text AS address \
     FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE ",
    owned!(),
    " AND NOT s.is_revoked AND s.expires_at > $3 ORDER BY s.created_at DESC, s.id DESC"
);
pub(super) const COUNT: &str =
    "SELECT count(*) AS live FROM user_sessions s WHERE NOT s.is_revoked AND s.expires_at > $1";
pub(super) const HISTORY: &str = concat!(
    "SELECT h.password_hash::text AS hash FROM password_history h JOIN users u ON u.id = h.user_id WHERE ",
    owned!(),
    " ORDER BY h.created_at DESC, h.id DESC LIMIT $3"
);
pub(super) const CHANGE: &str = concat!(
    "UPDATE users AS u SET hashed_password = $4, password_last_changed = $5, password_must_change = $6, \
     updated_at = $5 WHERE ",
    owned!(),
    " AND u.hashed_password = $3"
);
pub(super) const REMEMBER: &str = concat!(
    "INSERT INTO password_history (user_id, password_hash, created_at) \
     SELECT u.id, $3::text, $4::timestamp FROM users u WHERE ",
    owned!()
);
pub(super) const PRUNE: &str = concat!(
    "DELETE FROM password_history AS h USING users u WHERE h.user_id = u.id AND ",
    owned!(),
    " AND h.id NOT IN (SELECT k.id FROM password_history k WHERE k.user_id = $1 \
     ORDER BY k.created_at DESC, k.id DESC LIMIT $3)"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_on_a_users_data_binds_the_hotel() {
        let statements = [
            NOTE_HOTEL,
            REHASH,
            REQUIRE_CHANGE,
            NOTE_LOGIN,
            END_SURPLUS,
            BEGIN,
            REVOKE,
            SESSIONS,
            HISTORY,
            CHANGE,
            REMEMBER,
            PRUNE,
        ];
        let reads = [REMEMBERING, FORGETFUL]
            .map(|of| [of.find, of.find_by_id, of.get, of.lock, of.session, of.rotate])
            .concat();
        for sql in statements.into_iter().chain(reads) {
            assert!(!sql.contains("coalesce(t.status::text, 'active')"), "{sql}");
            let binds =
                sql.contains("u.tenant_id IS NOT DISTINCT FROM $2") || sql.contains("u.tenant_id = $2");
            assert!(binds && sql.contains("users"), "{sql}");
        }
        for sql in [INSERT, INSERT_WITH_ROLE, INSERT_WITH_FACTOR] {
            assert!(
                sql.contains("(id, tenant_id,")
                    && sql.contains("SELECT $1, $2,")
                    && sql.contains("FROM tenants"),
                "{sql}"
            );
        }
        // Numbers, for all hotels together, that name no user.
        for sql in [COUNT, HAS_ADDRESS] {
            assert!(sql.starts_with("SELECT count(*) "), "{sql}");
        }
        // A lock, a hash that is used to look at a clock, and a hotel without its users.
        assert!(ADDRESS_LOCK.starts_with("SELECT pg_advisory_xact_lock(") && COSTLIEST.ends_with("LIMIT 1"));
        assert!(HOTEL.ends_with("t.tenant_id = $1") && !HOTEL.contains("users"));
        // A new statement is added to the lists above.
        let source = include_str!("sql.rs");
        let texts = source.matches("\npub(super) const ").count() - 2;
        assert_eq!(
            texts,
            statements.len() + 3 + 2 + 3,
            "three inserts, two numbers, three others"
        );
    }
}
