//! Every code of a finding, once, with what it is about. `tests/parity/findings.toml` freezes them.

macro_rules! codes {
    ($($constant:ident = $name:literal, $about:literal;)*) => {
        $(#[doc = $about] pub(super) const $constant: &str = $name;)*
        /// All codes and what each is about, in the order of this page.
        pub(super) const ALL: &[(&str, &str)] = &[$(($name, $about)),*];
    };
}

codes! {
    CLOSED = "posada.closed", "Whether the handle is open.";
    SETTINGS = "settings.refused", "Whether the settings can be used at all.";

    SERVICE_VARIABLES = "settings.service_variables", "Variables that Kubernetes or Docker made for a service, and that are not read.";

    SIGNING_KEY = "secrets.signing_key", "The key that signs tokens: there, long enough, and from no example.";
    POSTGRES_PASSWORD_STRENGTH = "secrets.postgres_password", "The password of Postgres is from no example.";
    REDIS_PASSWORD_STRENGTH = "secrets.redis_password", "The password of Redis: there on other machines, and from no example.";
    PMS_KEY_STRENGTH = "secrets.pms_key", "The key of the PMS: long enough, and from no example.";

    POSTGRES_MEMORY = "postgres.memory", "Whether tenants and users outlive the process.";
    SESSION_PORT = "postgres.session_port", "Supabase on port 5432, where every client takes a connection of the plan, instead of 6543.";
    USER_WITHOUT_PROJECT = "postgres.user_without_project", "A user of Supabase's pooler without `.<project-ref>`.";
    SSLMODE = "postgres.sslmode", "What an attacker on the network between us and the server could read or forge.";
    POSTGRES_CONNECTION = "postgres.connection", "Whether Postgres takes our connections.";
    POSTGRES_HOST = "postgres.unknown_host", "The name of the host is not known.";
    POSTGRES_UNREACHABLE = "postgres.unreachable", "Nothing listens there, or nothing answers.";
    POSTGRES_STARTING = "postgres.starting", "The server is starting, stopping or failing over.";
    POSTGRES_SERVER_FAULT = "postgres.server_fault", "The server runs and has no disk space or memory left, or another fault of its own.";
    POSTGRES_PASSWORD = "postgres.wrong_password", "The server does not accept the password.";
    POSTGRES_USER = "postgres.unknown_user", "The server or its pooler does not know the user.";
    POSTGRES_DATABASE = "postgres.unknown_database", "There is no such database.";
    POSTGRES_ENTRY = "postgres.not_admitted", "The server takes no connection from here, to this database, or without TLS.";
    POSTGRES_TLS = "postgres.tls", "TLS cannot be agreed on.";
    TOO_MANY_CONNECTIONS = "postgres.too_many_connections", "The server or the pooler has no connection left, or few.";
    POOL_SIZE = "postgres.pool_size", "The pool beside what the server admits.";
    POOLER = "postgres.pooler", "A pooler in transaction mode that the settings do not speak of.";
    POSTGRES_VERSION = "postgres.version", "The version of the server.";
    READ_ONLY = "postgres.read_only", "Whether the server takes writes.";
    TABLES = "postgres.tables", "The six tables, and the schema in which they are.";
    SEARCH_PATH = "postgres.search_path", "Tables that exist, in a schema where the bare name does not find them.";
    PERMISSIONS = "postgres.permissions", "What this role may not do with the tables.";
    DATA_API = "postgres.data_api", "What a data API (Supabase, Neon) lets everybody do with our tables.";
    ROW_SECURITY = "postgres.row_security", "Whether row-level security hides rows from this role.";
    MIGRATIONS = "postgres.migrations", "Whether `migrate` has something to do.";

    REDIS_PLAIN_TEXT = "redis.plain_text", "Whether passwords and conversations travel to Redis in plain text.";
    REDIS_MEMORY = "redis.memory", "Whether conversations, flags and locks outlive the process.";
    REDIS_CONNECTION = "redis.connection", "Whether Redis takes our connections.";
    REDIS_UNREACHABLE = "redis.unreachable", "Redis cannot be reached, or does not answer.";
    REDIS_SERVING = "redis.serving", "Whether Redis takes commands and writes, and what it says when it does not.";
    REDIS_REFUSED = "redis.refused", "Redis does not accept the password, or the user may not run our commands.";
    REDIS_PERMISSIONS = "redis.permissions", "What the access list of Redis forbids this user, and for what it is needed.";
    REDIS_VERSION = "redis.version", "The version of Redis.";
    EVICTION = "redis.eviction", "Whether Redis may throw away locks, flags and conversations.";
    MEMORY_LIMIT = "redis.memory_limit", "How much of its memory limit Redis has used.";
    PERSISTENCE = "redis.persistence", "Whether flags and conversations survive a restart of Redis.";
    TOPOLOGY = "redis.topology", "A cluster, sentinel or replica that the settings take for something else.";

    CLOCK = "clock.skew", "How far the clocks of the servers are from this machine's.";

    PMS_MOCK = "pms.mock", "Whether bookings reach a hotel.";
    PMS_PLAIN_HTTP = "pms.plain_http", "Whether the key travels in plain text.";
    PMS_CONNECTION = "pms.connection", "Whether the hotel's system answers.";
    PMS_UNREACHABLE = "pms.unreachable", "The hotel's system cannot be reached, or does not answer.";
    PMS_KEY = "pms.key", "The hotel's system does not accept our credentials.";
    PMS_PERMISSIONS = "pms.permissions", "What our credentials may not do, and for what it is needed.";
    PMS_SWITCHED_OFF = "pms.switched_off", "The web service of the QloApps server is switched off.";
    PMS_ADDRESS = "pms.address", "The address leads to something else than the hotel's system.";
    PMS_HOTEL = "pms.unknown_hotel", "Whether the system has the hotel that is meant when a call names none, or any at all.";
}
