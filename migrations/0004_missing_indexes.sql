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
