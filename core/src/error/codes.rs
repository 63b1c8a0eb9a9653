//! Every error code of posada, once, with the kind and the retry advice that belong to it.
//!
//! Codes are part of the public contract in every language; `tests/parity/errors.toml` freezes them.

use std::fmt;

use super::{Kind, Retry};

/// One error code. Compare with [`Error::is`](super::Error::is).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Code {
    /// The stable name, `room.what`.
    pub name: &'static str,
    /// What the caller should do.
    pub kind: Kind,
    /// The retry advice, unless the error itself knows better.
    pub retry: Retry,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $kind:ident, $retry:ident;)*) => {
        $($(#[$doc])* pub const $constant: Code = Code { name: $name, kind: Kind::$kind, retry: Retry::$retry };)*
        /// All codes, in the order of this page.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    /// The handle was closed by `close()`.
    POSADA_CLOSED = "posada.closed", Closed, Never;
    /// Work was still under way when `close()` stopped waiting; it ends by itself.
    POSADA_CLOSE_TIMEOUT = "posada.close_timeout", Timeout, Never;
    /// An argument cannot be read: a text that is no Unicode, a number that is out of range, a time without a zone. The
    /// bindings raise it, for what the types of Rust rule out.
    POSADA_INVALID_ARGUMENT = "posada.invalid_argument", Invalid, Never;
    /// A defect of posada itself.
    POSADA_INTERNAL = "posada.internal", Internal, Never;

    /// A setting has a value that cannot be used; the message names the variable and what would be right.
    SETTINGS_INVALID = "settings.invalid", Invalid, Never;
    /// A setting that is needed is missing.
    SETTINGS_MISSING = "settings.missing", Invalid, Never;
    /// An option of that name does not exist; the message lists the known ones.
    SETTINGS_UNKNOWN = "settings.unknown", Invalid, Never;
    /// A placeholder secret in production.
    SETTINGS_DUMMY_SECRET = "settings.dummy_secret", Invalid, Never;

    /// Postgres cannot be reached, or is starting, stopping or failing over.
    POSTGRES_UNAVAILABLE = "postgres.unavailable", Unavailable, Backoff;
    /// Postgres refused the user, the password or the database.
    POSTGRES_REFUSED = "postgres.refused", Unavailable, Never;
    /// No answer within the deadline, and nothing was changed.
    POSTGRES_TIMEOUT = "postgres.timeout", Timeout, Backoff;
    /// A commit was sent and its answer never came.
    POSTGRES_OUTCOME_UNKNOWN = "postgres.outcome_unknown", Ambiguous, Never;
    /// Every connection of the pool is busy, or the server has no more.
    POSTGRES_EXHAUSTED = "postgres.exhausted", Exhausted, Backoff;
    /// Transactions collided until the retries were used up.
    POSTGRES_CONTENDED = "postgres.contended", Conflict, Backoff;
    /// A table or column that posada needs does not exist; run the migrations.
    POSTGRES_SCHEMA = "postgres.schema", Internal, Never;
    /// Row-level security would hide rows from the role, so nothing was read or written; the doctor has the remedy.
    POSTGRES_ROW_SECURITY = "postgres.row_security", Unavailable, Never;
    /// A migration that was applied differs from the one that this version carries, or a newer one is there.
    POSTGRES_MIGRATION = "postgres.migration", Internal, Never;
    /// A constraint of the database refused a write; the facts name it.
    POSTGRES_CONSTRAINT = "postgres.constraint", Conflict, Never;
    /// A text holds a character that Postgres cannot store, such as NUL.
    POSTGRES_INVALID_TEXT = "postgres.invalid_text", Invalid, Never;
    /// Postgres answered something that posada does not expect.
    POSTGRES_INTERNAL = "postgres.internal", Internal, Never;

    /// Redis cannot be reached, is loading, or lost its primary.
    REDIS_UNAVAILABLE = "redis.unavailable", Unavailable, Backoff;
    /// Redis refused the user or the password, or the user may not run the command.
    REDIS_REFUSED = "redis.refused", Unavailable, Never;
    /// No answer to a read within the deadline.
    REDIS_TIMEOUT = "redis.timeout", Timeout, Backoff;
    /// A write was sent and its answer never came.
    REDIS_OUTCOME_UNKNOWN = "redis.outcome_unknown", Ambiguous, Never;
    /// Redis has no memory left and evicts nothing.
    REDIS_OUT_OF_MEMORY = "redis.out_of_memory", Exhausted, Backoff;
    /// A key of ours holds another type; the key is named and left as it is.
    REDIS_WRONG_TYPE = "redis.wrong_type", Internal, Never;
    /// Redis answered something that posada does not expect.
    REDIS_INTERNAL = "redis.internal", Internal, Never;

    /// Not a tenant id.
    TENANTS_INVALID_ID = "tenants.invalid_id", Invalid, Never;
    /// Not an e-mail address, phone number or host name.
    TENANTS_INVALID_IDENTIFIER = "tenants.invalid_identifier", Invalid, Never;
    /// Not a channel.
    TENANTS_INVALID_CHANNEL = "tenants.invalid_channel", Invalid, Never;
    /// A name, business hour or time zone of a tenant is not usable.
    TENANTS_INVALID_FIELD = "tenants.invalid_field", Invalid, Never;
    /// No tenant of that id.
    TENANTS_NOT_FOUND = "tenants.not_found", NotFound, Never;
    /// The tenant is not active, and nothing may be done for it.
    TENANTS_INACTIVE = "tenants.inactive", Denied, Never;
    /// A tenant of that id exists.
    TENANTS_EXISTS = "tenants.exists", Conflict, Never;
    /// The identifier, or another spelling of it, belongs to a tenant already.
    TENANTS_IDENTIFIER_TAKEN = "tenants.identifier_taken", Conflict, Never;
    /// The tenant does not have that identifier.
    TENANTS_IDENTIFIER_NOT_FOUND = "tenants.identifier_not_found", NotFound, Never;
    /// A handle that is bound to one tenant was asked about another, or about all.
    TENANTS_OUT_OF_SCOPE = "tenants.out_of_scope", Denied, Never;

    /// Not a user id.
    SESSIONS_INVALID_USER = "sessions.invalid_user", Invalid, Never;
    /// Not a channel.
    SESSIONS_INVALID_CHANNEL = "sessions.invalid_channel", Invalid, Never;
    /// The document or patch is not a JSON object that a conversation can be.
    SESSIONS_INVALID_DOCUMENT = "sessions.invalid_document", Invalid, Never;
    /// The document is larger than the limit.
    SESSIONS_TOO_LARGE = "sessions.too_large", Invalid, Never;
    /// Another caller wrote the conversation since it was read.
    SESSIONS_CONFLICT = "sessions.conflict", Conflict, Backoff;
    /// The conversation expired or was deleted since it was read.
    SESSIONS_GONE = "sessions.gone", Conflict, Never;
    /// What is stored under the conversation's key is not a conversation; it is left as it is.
    SESSIONS_CORRUPT = "sessions.corrupt", Internal, Never;

    /// Not a flag name.
    FLAGS_INVALID_KEY = "flags.invalid_key", Invalid, Never;
    /// Not a flag value or definition.
    FLAGS_INVALID_VALUE = "flags.invalid_value", Invalid, Never;

    /// Not a lock name.
    LOCKS_INVALID_NAME = "locks.invalid_name", Invalid, Never;
    /// A time to live, wait or extension that is zero, negative or too long.
    LOCKS_INVALID_DURATION = "locks.invalid_duration", Invalid, Never;
    /// Not a resource such as `room:101` or `room_type:1/3`.
    LOCKS_INVALID_RESOURCE = "locks.invalid_resource", Invalid, Never;
    /// A quantity or capacity that cannot be.
    LOCKS_INVALID_QUANTITY = "locks.invalid_quantity", Invalid, Never;
    /// An owner, session or user that cannot be.
    LOCKS_INVALID_OWNER = "locks.invalid_owner", Invalid, Never;
    /// A reason that is empty, too long or holds control characters.
    LOCKS_INVALID_REASON = "locks.invalid_reason", Invalid, Never;
    /// Not the fence of a lock or hold.
    LOCKS_INVALID_FENCE = "locks.invalid_fence", Invalid, Never;
    /// Not the ticket of a hold.
    LOCKS_INVALID_TICKET = "locks.invalid_ticket", Invalid, Never;
    /// A later holder of the lock has written already: the caller's lock was lost.
    LOCKS_STALE_FENCE = "locks.stale_fence", Conflict, Never;
    /// Another owner holds the lock.
    LOCKS_CONTENDED = "locks.contended", Conflict, Backoff;
    /// The stay collides with holds of others, or with one of the same conversation (fact `own_hold`); the facts name
    /// the nights and when the first of them frees.
    LOCKS_NIGHTS_TAKEN = "locks.nights_taken", Conflict, Never;
    /// The lock or hold is not the caller's any more.
    LOCKS_NOT_OWNER = "locks.not_owner", Conflict, Never;
    /// The lock or hold expired.
    LOCKS_LOST = "locks.lost", Conflict, Never;
    /// The hold was extended as often as it may be.
    LOCKS_MAX_EXTENSIONS = "locks.max_extensions", Exhausted, Never;
    /// Too few replicas had the lock in time; it was given back.
    LOCKS_NOT_REPLICATED = "locks.not_replicated", Unavailable, Backoff;
    /// The owner of a lock has entered it as often as it may.
    LOCKS_TOO_MANY_ENTRIES = "locks.too_many_entries", Exhausted, Never;
    /// The resource has more live holds than can be kept.
    LOCKS_TOO_MANY_HOLDS = "locks.too_many_holds", Exhausted, Backoff;

    /// Not a rate limit.
    LIMITS_INVALID = "limits.invalid", Invalid, Never;
    /// It is not said whose quota it is.
    LIMITS_INVALID_IDENTIFIER = "limits.invalid_identifier", Invalid, Never;
    /// Too many requests; the retry advice says when the next one may come.
    LIMITS_EXCEEDED = "limits.exceeded", Exhausted, Backoff;

    /// A token that was never good, or is for another purpose.
    AUTH_INVALID_TOKEN = "auth.invalid_token", Unauthenticated, Never;
    /// A token that was good until its time ended.
    AUTH_TOKEN_EXPIRED = "auth.token_expired", Unauthenticated, Never;
    /// The session of the token has ended: signed out, revoked, expired, or its user or hotel is not active any more.
    AUTH_SESSION_ENDED = "auth.session_ended", Unauthenticated, Never;
    /// A refresh token was used a second time. Its session is revoked.
    AUTH_TOKEN_REUSED = "auth.token_reused", Unauthenticated, Never;
    /// Wrong username or password, or a user who may not sign in; which of them is not said.
    AUTH_BAD_CREDENTIALS = "auth.bad_credentials", Unauthenticated, Never;
    /// Too many attempts to sign in; the retry advice says when the next one may come.
    AUTH_THROTTLED = "auth.throttled", Exhausted, Backoff;
    /// The password is right, and the account needs a second factor, which posada does not check.
    AUTH_SECOND_FACTOR_REQUIRED = "auth.second_factor_required", Denied, Never;
    /// The password must be changed before anything else.
    AUTH_PASSWORD_MUST_CHANGE = "auth.password_must_change", Denied, Never;
    /// The token is for another hotel.
    AUTH_WRONG_TENANT = "auth.wrong_tenant", Denied, Never;
    /// The role does not have the permission.
    AUTH_FORBIDDEN = "auth.forbidden", Denied, Never;
    /// Not a username, e-mail address or name.
    AUTH_INVALID_USER = "auth.invalid_user", Invalid, Never;
    /// The username or the e-mail address is taken.
    AUTH_USER_EXISTS = "auth.user_exists", Conflict, Never;
    /// No such user in that hotel.
    AUTH_USER_NOT_FOUND = "auth.user_not_found", NotFound, Never;
    /// Another caller changed the password at the same time.
    AUTH_PASSWORD_CONFLICT = "auth.password_conflict", Conflict, Never;
    /// A new password that was used recently.
    AUTH_PASSWORD_REUSED = "auth.password_reused", Invalid, Never;
    /// A password that cannot be one: too long, or with NUL inside.
    AUTH_INVALID_PASSWORD = "auth.invalid_password", Invalid, Never;
    /// A new password that the policy refuses; the facts say why.
    AUTH_WEAK_PASSWORD = "auth.weak_password", Invalid, Never;
    /// More passwords are being checked than there are cores for.
    AUTH_HASHING_BUSY = "auth.hashing_busy", Exhausted, Backoff;
    /// Not the name of a permission.
    AUTH_INVALID_PERMISSION = "auth.invalid_permission", Invalid, Never;

    /// Not a date, or not a stay of at least one and at most 366 nights.
    STAY_INVALID = "stay.invalid", Invalid, Never;
    /// Not an amount of money or currency.
    MONEY_INVALID = "money.invalid", Invalid, Never;

    /// A field of the request is wrong.
    PMS_INVALID_REQUEST = "pms.invalid_request", Invalid, Never;
    /// More guests than the room type takes.
    PMS_OCCUPANCY = "pms.occupancy", Invalid, Never;
    /// No such hotel.
    PMS_UNKNOWN_HOTEL = "pms.unknown_hotel", NotFound, Never;
    /// No such room type in that hotel.
    PMS_UNKNOWN_ROOM_TYPE = "pms.unknown_room_type", NotFound, Never;
    /// No such booking.
    PMS_UNKNOWN_BOOKING = "pms.unknown_booking", NotFound, Never;
    /// The rooms are gone.
    PMS_SOLD_OUT = "pms.sold_out", Conflict, Never;
    /// The price is not the one that was quoted.
    PMS_PRICE_CHANGED = "pms.price_changed", Conflict, Never;
    /// The same idempotency key was used for another request.
    PMS_KEY_REUSED = "pms.key_reused", Conflict, Never;
    /// The hold does not cover the request, or is not live any more.
    PMS_HOLD_MISMATCH = "pms.hold_mismatch", Conflict, Never;
    /// The booking is in a state that does not allow this.
    PMS_WRONG_STATE = "pms.wrong_state", Conflict, Never;
    /// The property management system cannot be reached.
    PMS_UNAVAILABLE = "pms.unavailable", Unavailable, Backoff;
    /// No answer within the deadline, and nothing was booked.
    PMS_TIMEOUT = "pms.timeout", Timeout, Backoff;
    /// A booking was sent and whether it was made is not known yet; ask again with the same idempotency key.
    PMS_OUTCOME_UNKNOWN = "pms.outcome_unknown", Ambiguous, Never;
    /// The property management system does not accept our key.
    PMS_REFUSED = "pms.refused", Unavailable, Never;
    /// The key may not do this.
    PMS_NOT_PERMITTED = "pms.not_permitted", Unavailable, Never;
    /// The web service of the property management system is switched off.
    PMS_SWITCHED_OFF = "pms.switched_off", Unavailable, Backoff;
    /// Whatever stands at the configured address is not the system that it should be.
    PMS_WRONG_SYSTEM = "pms.wrong_system", Unavailable, Never;
    /// The property management system in use cannot do this, or not this much of it. Nothing was asked.
    PMS_UNSUPPORTED = "pms.unsupported", Unsupported, Never;
    /// The property management system refused the request for a reason of its own, which the facts repeat.
    PMS_REJECTED = "pms.rejected", Conflict, Never;
    /// The property management system answered something that posada does not understand.
    PMS_UNEXPECTED_ANSWER = "pms.unexpected_answer", Internal, Never;
}
