-- Columns that one or the other layout lacks. What is there keeps its type, its labels and its data.

ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS status varchar(50) NOT NULL DEFAULT 'active',
    ADD COLUMN IF NOT EXISTS business_hours_start integer,
    ADD COLUMN IF NOT EXISTS business_hours_end integer,
    ADD COLUMN IF NOT EXISTS business_hours_timezone varchar(50),
    ADD COLUMN IF NOT EXISTS created_at timestamp DEFAULT (now() AT TIME ZONE 'utc'),
    ADD COLUMN IF NOT EXISTS updated_at timestamp DEFAULT (now() AT TIME ZONE 'utc');

ALTER TABLE tenant_user_identifiers
    ADD COLUMN IF NOT EXISTS created_at timestamp DEFAULT (now() AT TIME ZONE 'utc');

ALTER TABLE users
    ADD COLUMN IF NOT EXISTS full_name varchar(255),
    ADD COLUMN IF NOT EXISTS is_active boolean NOT NULL DEFAULT TRUE,
    ADD COLUMN IF NOT EXISTS is_superuser boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS is_verified boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS mfa_enabled boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS mfa_secret varchar(255),
    ADD COLUMN IF NOT EXISTS failed_login_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS last_login timestamp,
    ADD COLUMN IF NOT EXISTS account_locked_until timestamp,
    ADD COLUMN IF NOT EXISTS tenant_id varchar(255),
    ADD COLUMN IF NOT EXISTS password_last_changed timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    ADD COLUMN IF NOT EXISTS password_must_change boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    ADD COLUMN IF NOT EXISTS updated_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc');

ALTER TABLE password_history
    ADD COLUMN IF NOT EXISTS created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc');

ALTER TABLE user_sessions
    ADD COLUMN IF NOT EXISTS created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    ADD COLUMN IF NOT EXISTS is_revoked boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS user_agent text,
    ADD COLUMN IF NOT EXISTS ip_address varchar(45);

ALTER TABLE lock_audit
    ADD COLUMN IF NOT EXISTS details jsonb,
    ADD COLUMN IF NOT EXISTS tenant_id varchar(100);

-- A role that was not stored so far is the least one, in the spelling that the type has.
DO $$
DECLARE
    least text := (
        SELECT enumlabel FROM pg_enum
        WHERE enumtypid = to_regtype('userrole') AND lower(enumlabel) = 'guest'
        LIMIT 1
    );
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('users') AND attname = 'role' AND NOT attisdropped
    ) THEN
        EXECUTE format('ALTER TABLE users ADD COLUMN role userrole NOT NULL DEFAULT %L', least);
    END IF;
END
$$;
