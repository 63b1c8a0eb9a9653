-- The six tables of the product, for a database that lacks some of them. A table that exists stays as it is; the
-- next migration adds what it lacks. Times are UTC without a zone, whatever the session's time zone is.

DO $$
BEGIN
    IF to_regtype('userrole') IS NULL THEN
        CREATE TYPE userrole AS ENUM ('GUEST', 'RECEPTIONIST', 'MANAGER', 'ADMIN', 'SYSTEM');
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS tenants (
    id serial PRIMARY KEY,
    tenant_id varchar(255) NOT NULL CONSTRAINT uq_tenants_tenant_id UNIQUE,
    name varchar(255) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'active',
    business_hours_start integer,
    business_hours_end integer,
    business_hours_timezone varchar(50),
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    updated_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);

CREATE TABLE IF NOT EXISTS tenant_user_identifiers (
    id serial PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    identifier varchar(255) NOT NULL CONSTRAINT uq_identifier UNIQUE,
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);

-- The column `role` comes with the next migration, because its default depends on the labels that are found.
CREATE TABLE IF NOT EXISTS users (
    id varchar(255) PRIMARY KEY,
    username varchar(255) NOT NULL CONSTRAINT uq_users_username UNIQUE,
    email varchar(255) NOT NULL CONSTRAINT uq_users_email UNIQUE,
    hashed_password varchar(255) NOT NULL,
    full_name varchar(255),
    is_active boolean NOT NULL DEFAULT TRUE,
    is_superuser boolean NOT NULL DEFAULT FALSE,
    is_verified boolean NOT NULL DEFAULT FALSE,
    mfa_enabled boolean NOT NULL DEFAULT FALSE,
    mfa_secret varchar(255),
    failed_login_attempts integer NOT NULL DEFAULT 0,
    last_login timestamp,
    account_locked_until timestamp,
    tenant_id varchar(255),
    password_last_changed timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    password_must_change boolean NOT NULL DEFAULT FALSE,
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    updated_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);

CREATE TABLE IF NOT EXISTS password_history (
    id serial PRIMARY KEY,
    user_id varchar(255) NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password_hash varchar(255) NOT NULL,
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);

CREATE TABLE IF NOT EXISTS user_sessions (
    id varchar(255) PRIMARY KEY,
    user_id varchar(255) NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_jti varchar(255) NOT NULL CONSTRAINT uq_user_sessions_token_jti UNIQUE,
    expires_at timestamp NOT NULL,
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    is_revoked boolean NOT NULL DEFAULT FALSE,
    user_agent text,
    ip_address varchar(45)
);

CREATE TABLE IF NOT EXISTS lock_audit (
    id serial PRIMARY KEY,
    lock_key varchar(255) NOT NULL,
    event_type varchar(50) NOT NULL,
    "timestamp" timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    details jsonb,
    tenant_id varchar(100)
);
