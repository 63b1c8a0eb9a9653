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
