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
