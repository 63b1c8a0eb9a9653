-- Generated from the files beside it; see README.md. Paste it into the Supabase SQL editor, or run
-- `psql -f schema.sql`. It may be run again at any time.

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = 0;
SELECT pg_advisory_xact_lock(123623979443297);
SET LOCAL lock_timeout = 2000;
SELECT set_config('search_path', quote_ident(coalesce(
    (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE pg_class.oid = coalesce(to_regclass('tenants'), to_regclass('users'))),
    nullif(current_schema(), 'posada'), 'public')), true);
CREATE SCHEMA IF NOT EXISTS posada;
CREATE TABLE IF NOT EXISTS posada.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- 0001_six_tables

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

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (1, '0001_six_tables', 'f66b942c4e4594d2be7168199f8415cf077c341a') ON CONFLICT (version) DO NOTHING;

-- 0002_missing_columns

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

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (2, '0002_missing_columns', '8b592251d2f3d0c4ad38d799c9961756654ee47a') ON CONFLICT (version) DO NOTHING;

-- 0003_missing_defaults

-- Defaults for columns that must not be null and have none: the ORM of the app fills them in itself, and every
-- other writer would have to know all of them.

DO $$
DECLARE
    wanted record;
    present record;
    expression text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('tenants', 'status', '''active'''),
            ('tenants', 'created_at', 'now'),
            ('tenants', 'updated_at', 'now'),
            ('tenant_user_identifiers', 'created_at', 'now'),
            ('users', 'role', 'role'),
            ('users', 'is_active', 'TRUE'),
            ('users', 'is_superuser', 'FALSE'),
            ('users', 'is_verified', 'FALSE'),
            ('users', 'mfa_enabled', 'FALSE'),
            ('users', 'failed_login_attempts', '0'),
            ('users', 'password_last_changed', 'now'),
            ('users', 'password_must_change', 'FALSE'),
            ('users', 'created_at', 'now'),
            ('users', 'updated_at', 'now'),
            ('password_history', 'created_at', 'now'),
            ('user_sessions', 'created_at', 'now'),
            ('user_sessions', 'is_revoked', 'FALSE'),
            ('lock_audit', 'timestamp', 'now')
        ) AS list (table_name, column_name, value)
    LOOP
        SELECT atttypid, typtype INTO present
        FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
        WHERE attrelid = to_regclass(wanted.table_name)
            AND attname = wanted.column_name
            AND NOT attisdropped AND NOT atthasdef AND attidentity = '';
        CONTINUE WHEN NOT FOUND;
        expression := CASE
            WHEN wanted.value = 'now' AND present.atttypid = 'timestamptz'::regtype THEN 'now()'
            WHEN wanted.value = 'now' THEN '(now() AT TIME ZONE ''utc'')'
            WHEN wanted.value = 'role' AND present.typtype = 'e' THEN (
                SELECT quote_literal(enumlabel) FROM pg_enum
                WHERE enumtypid = present.atttypid AND lower(enumlabel) = 'guest' LIMIT 1)
            WHEN wanted.value = 'role' THEN '''guest'''
            ELSE wanted.value
        END;
        CONTINUE WHEN expression IS NULL;
        EXECUTE format(
            'ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %s', wanted.table_name, wanted.column_name, expression);
    END LOOP;
END
$$;

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (3, '0003_missing_defaults', 'b1c7dd708979d7a8ce0bb8d0fae9fe5ca2a98587') ON CONFLICT (version) DO NOTHING;

-- 0004_missing_indexes

-- Indexes that posada's look-ups and clean-ups need. A column that begins any index is served already, whatever
-- that index is called.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT list.*, attnum
        FROM (VALUES
            ('tenants', 'tenant_id', TRUE),
            ('tenants', 'status', FALSE),
            ('tenant_user_identifiers', 'identifier', TRUE),
            ('tenant_user_identifiers', 'tenant_id', FALSE),
            ('users', 'username', TRUE),
            ('users', 'email', TRUE),
            ('users', 'tenant_id', FALSE),
            ('password_history', 'user_id', FALSE),
            ('password_history', 'created_at', FALSE),
            ('user_sessions', 'token_jti', TRUE),
            ('user_sessions', 'user_id', FALSE),
            ('user_sessions', 'expires_at', FALSE),
            ('lock_audit', 'lock_key', FALSE),
            ('lock_audit', 'timestamp', FALSE),
            ('lock_audit', 'tenant_id', FALSE)
        ) AS list (table_name, column_name, is_unique)
        JOIN pg_attribute ON attrelid = to_regclass(table_name) AND attname = column_name AND NOT attisdropped
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = to_regclass(wanted.table_name) AND indkey[0] = wanted.attnum AND indpred IS NULL
                AND (NOT wanted.is_unique OR (indisunique AND indnkeyatts = 1))
        );
        EXECUTE format(
            'CREATE %s INDEX IF NOT EXISTS %I ON %I (%I)',
            CASE WHEN wanted.is_unique THEN 'UNIQUE' ELSE '' END,
            CASE WHEN wanted.is_unique THEN 'uq_' ELSE 'ix_' END || wanted.table_name || '_' || wanted.column_name,
            wanted.table_name, wanted.column_name);
    END LOOP;
END
$$;

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (4, '0004_missing_indexes', '1ddbb8a6d64c9a89e55c9f385648b55bb9ff42c6') ON CONFLICT (version) DO NOTHING;

-- 0005_lock_fences

-- The highest fence that a resource has seen. A transaction that writes under a lock compares and raises it, so
-- that a holder whose lock was lost cannot write over its successor.

CREATE SCHEMA IF NOT EXISTS posada;

CREATE TABLE IF NOT EXISTS posada.lock_fence (
    resource text PRIMARY KEY,
    last_fence bigint NOT NULL
);

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (5, '0005_lock_fences', '2e286fe386f2155b4aabf1c1bbf12468e13de44e') ON CONFLICT (version) DO NOTHING;

-- 0006_identifier_spellings

-- Identifiers are looked up however they were written: lower-case and without punctuation. The same expression
-- stands in core/src/tenants/postgres.rs; without this index the whole table is read for every look-up.

CREATE INDEX IF NOT EXISTS ix_tenant_user_identifiers_spelling
    ON tenant_user_identifiers (lower(translate(identifier, E' \t\r\n()+-./\u00a0', '')));

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (6, '0006_identifier_spellings', '34d6c0e00485b4f8ace205e46f11953aa8164e59') ON CONFLICT (version) DO NOTHING;

-- 0007_no_data_api

-- Supabase and Neon publish the tables of `public` over HTTP to the roles `anon` and `authenticated` (`anonymous` on
-- Neon), and default privileges give those roles all rights on every new table: password hashes and guests could be
-- read and changed with a key that stands in every web page. Nothing of posada is meant for them. Where such roles
-- exist, they lose their rights on our tables, columns and sequences and on the schema `posada`; other roles and
-- other people's tables keep theirs. Every run of the migrations ends with this text, so that later tables are
-- closed too.

DO $$
DECLARE
    ours oid[] := ARRAY[
        to_regclass('lock_audit'), to_regclass('password_history'), to_regclass('tenant_user_identifiers'),
        to_regclass('tenants'), to_regclass('user_sessions'), to_regclass('users')
    ]::oid[];
    given record;
BEGIN
    -- CASCADE takes back what the role passed on; without it one such grant would stop the run.
    FOR given IN
        SELECT pg_class.oid::regclass AS name, rolname, relkind = 'S' AS is_sequence
        FROM pg_class
            JOIN pg_namespace ON pg_namespace.oid = relnamespace
            JOIN pg_roles ON rolname IN ('anon', 'anonymous', 'authenticated') AND rolname <> current_user
        WHERE relkind IN ('r', 'p', 'v', 'S')
            AND (
                nspname = 'posada' OR pg_class.oid = ANY (ours) OR EXISTS (
                    SELECT FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                        AND refclassid = 'pg_class'::regclass AND refobjid = ANY (ours) AND deptype IN ('a', 'i')
                        AND relkind = 'S'
                )
            )
            AND pg_has_role(relowner, 'USAGE')
            AND (
                EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = pg_roles.oid)
                OR EXISTS (
                    SELECT FROM pg_attribute, aclexplode(attacl)
                    WHERE attrelid = pg_class.oid AND grantee = pg_roles.oid
                )
            )
    LOOP
        EXECUTE format(
            'REVOKE ALL ON %s %s FROM %I CASCADE',
            CASE WHEN given.is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END, given.name, given.rolname);
    END LOOP;
    FOR given IN
        SELECT rolname
        FROM pg_namespace, aclexplode(nspacl) JOIN pg_roles ON pg_roles.oid = grantee
        WHERE nspname = 'posada' AND rolname IN ('anon', 'anonymous', 'authenticated') AND rolname <> current_user
            AND pg_has_role(nspowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA posada FROM %I CASCADE', given.rolname);
    END LOOP;
END
$$;

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (7, '0007_no_data_api', '2670f0e25837f1093480104c0ba6bdcb67522395') ON CONFLICT (version) DO NOTHING;

-- 0008_hotels_of_users

-- Which row of `tenants` each user belongs to, beside the id that `users.tenant_id` has: a new hotel of the same id must
-- not inherit the users of one that was deleted. posada notes it when it makes a user and with every sign-in; here,
-- for the users that there are. A user who is not noted so far belongs to the hotel of the id.

CREATE TABLE IF NOT EXISTS posada.user_hotel (
    user_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    hotel bigint NOT NULL
);

INSERT INTO posada.user_hotel (user_id, tenant_id, hotel)
SELECT u.id, u.tenant_id, t.id FROM users u JOIN tenants t ON t.tenant_id = u.tenant_id
ON CONFLICT (user_id) DO NOTHING;

INSERT INTO posada.migrations (version, name, checksum)
    VALUES (8, '0008_hotels_of_users', 'afe2106b9252d4fe012f4f6cf04f57dcbcc6d8c0') ON CONFLICT (version) DO NOTHING;

-- Supabase and Neon publish the tables of `public` over HTTP to the roles `anon` and `authenticated` (`anonymous` on
-- Neon), and default privileges give those roles all rights on every new table: password hashes and guests could be
-- read and changed with a key that stands in every web page. Nothing of posada is meant for them. Where such roles
-- exist, they lose their rights on our tables, columns and sequences and on the schema `posada`; other roles and
-- other people's tables keep theirs. Every run of the migrations ends with this text, so that later tables are
-- closed too.

DO $$
DECLARE
    ours oid[] := ARRAY[
        to_regclass('lock_audit'), to_regclass('password_history'), to_regclass('tenant_user_identifiers'),
        to_regclass('tenants'), to_regclass('user_sessions'), to_regclass('users')
    ]::oid[];
    given record;
BEGIN
    -- CASCADE takes back what the role passed on; without it one such grant would stop the run.
    FOR given IN
        SELECT pg_class.oid::regclass AS name, rolname, relkind = 'S' AS is_sequence
        FROM pg_class
            JOIN pg_namespace ON pg_namespace.oid = relnamespace
            JOIN pg_roles ON rolname IN ('anon', 'anonymous', 'authenticated') AND rolname <> current_user
        WHERE relkind IN ('r', 'p', 'v', 'S')
            AND (
                nspname = 'posada' OR pg_class.oid = ANY (ours) OR EXISTS (
                    SELECT FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                        AND refclassid = 'pg_class'::regclass AND refobjid = ANY (ours) AND deptype IN ('a', 'i')
                        AND relkind = 'S'
                )
            )
            AND pg_has_role(relowner, 'USAGE')
            AND (
                EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = pg_roles.oid)
                OR EXISTS (
                    SELECT FROM pg_attribute, aclexplode(attacl)
                    WHERE attrelid = pg_class.oid AND grantee = pg_roles.oid
                )
            )
    LOOP
        EXECUTE format(
            'REVOKE ALL ON %s %s FROM %I CASCADE',
            CASE WHEN given.is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END, given.name, given.rolname);
    END LOOP;
    FOR given IN
        SELECT rolname
        FROM pg_namespace, aclexplode(nspacl) JOIN pg_roles ON pg_roles.oid = grantee
        WHERE nspname = 'posada' AND rolname IN ('anon', 'anonymous', 'authenticated') AND rolname <> current_user
            AND pg_has_role(nspowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA posada FROM %I CASCADE', given.rolname);
    END LOOP;
END
$$;

COMMIT;
