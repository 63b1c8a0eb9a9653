-- Identifiers are looked up however they were written: lower-case and without punctuation. The same expression
-- stands in core/src/tenants/postgres.rs; without this index the whole table is read for every look-up.

CREATE INDEX IF NOT EXISTS ix_tenant_user_identifiers_spelling
    ON tenant_user_identifiers (lower(translate(identifier, E' \t\r\n()+-./\u00a0', '')));
