-- Layout 1: what the app's ORM makes on an empty database. No defaults at all, JSON, roles in upper case.

CREATE TYPE userrole AS ENUM ('GUEST', 'RECEPTIONIST', 'MANAGER', 'ADMIN', 'SYSTEM');

CREATE TABLE tenants (
    id SERIAL NOT NULL,
    tenant_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    status VARCHAR,
    business_hours_start INTEGER,
    business_hours_end INTEGER,
    business_hours_timezone VARCHAR,
    created_at TIMESTAMP WITHOUT TIME ZONE,
    updated_at TIMESTAMP WITHOUT TIME ZONE,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_tenants_tenant_id ON tenants (tenant_id);
CREATE INDEX ix_tenants_status ON tenants (status);

CREATE TABLE tenant_user_identifiers (
    id SERIAL NOT NULL,
    tenant_id INTEGER NOT NULL,
    identifier VARCHAR NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT uq_identifier UNIQUE (identifier),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX ix_tenant_user_identifiers_identifier ON tenant_user_identifiers (identifier);
CREATE INDEX ix_tenant_user_identifiers_tenant_id ON tenant_user_identifiers (tenant_id);

CREATE TABLE users (
    id VARCHAR(255) NOT NULL,
    username VARCHAR(255) NOT NULL,
    email VARCHAR(255) NOT NULL,
    hashed_password VARCHAR(255) NOT NULL,
    role userrole NOT NULL,
    full_name VARCHAR(255),
    is_active BOOLEAN NOT NULL,
    is_superuser BOOLEAN NOT NULL,
    is_verified BOOLEAN NOT NULL,
    mfa_enabled BOOLEAN NOT NULL,
    mfa_secret VARCHAR(255),
    failed_login_attempts INTEGER NOT NULL,
    last_login TIMESTAMP WITHOUT TIME ZONE,
    account_locked_until TIMESTAMP WITHOUT TIME ZONE,
    tenant_id VARCHAR(255),
    password_last_changed TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    password_must_change BOOLEAN NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id)
);
CREATE UNIQUE INDEX ix_users_username ON users (username);
CREATE UNIQUE INDEX ix_users_email ON users (email);

CREATE TABLE password_history (
    id SERIAL NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_password_history_user_id ON password_history (user_id);
CREATE INDEX ix_password_history_created_at ON password_history (created_at);

CREATE TABLE user_sessions (
    id VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    token_jti VARCHAR(255) NOT NULL,
    expires_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    is_revoked BOOLEAN NOT NULL,
    user_agent TEXT,
    ip_address VARCHAR(45),
    PRIMARY KEY (id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_user_sessions_token_jti ON user_sessions (token_jti);
CREATE INDEX ix_user_sessions_user_id ON user_sessions (user_id);
CREATE INDEX ix_user_sessions_expires_at ON user_sessions (expires_at);

CREATE TABLE lock_audit (
    id SERIAL NOT NULL,
    lock_key VARCHAR NOT NULL,
    event_type VARCHAR NOT NULL,
    timestamp TIMESTAMP WITHOUT TIME ZONE,
    details JSON,
    tenant_id VARCHAR(100),
    PRIMARY KEY (id)
);
CREATE INDEX ix_lock_audit_lock_key ON lock_audit (lock_key);
CREATE INDEX ix_lock_audit_tenant_id ON lock_audit (tenant_id);

-- Two tables of the app that are none of posada's business.
CREATE TABLE audit_logs (
    id SERIAL NOT NULL,
    timestamp TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    user_id VARCHAR(255),
    ip_address VARCHAR(45),
    resource VARCHAR(500),
    details JSON,
    tenant_id VARCHAR(100),
    severity VARCHAR(20) NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE dlq_permanent_failures (
    id VARCHAR(36) NOT NULL,
    message_data JSON NOT NULL,
    error_message TEXT,
    error_traceback TEXT,
    error_type VARCHAR(255),
    tenant_id VARCHAR(100),
    retry_count INTEGER NOT NULL,
    first_failed_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    last_retry_at TIMESTAMP WITHOUT TIME ZONE,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);

INSERT INTO tenants (tenant_id, name, status, business_hours_start, business_hours_end, business_hours_timezone) VALUES
    ('hotel-test', 'Hotel Test', 'active', 9, 21, 'America/Argentina/Buenos_Aires'),
    ('hotel_centro', 'Hotel Céntrico', NULL, NULL, NULL, NULL);
INSERT INTO tenant_user_identifiers (tenant_id, identifier, created_at) VALUES
    (1, '+5491112345678', '2025-11-01 12:00:00'), (1, ' Reservas@Hotel-Test.com', NULL);
INSERT INTO users VALUES (
    'u-1', 'ana', 'ana@hotel-test.com', '$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234', 'RECEPTIONIST',
    'Ana', TRUE, FALSE, TRUE, FALSE, NULL, 2, NULL, NULL, 'hotel-test',
    '2025-11-01 12:00:00', FALSE, '2025-11-01 12:00:00', '2025-11-01 12:00:00');
INSERT INTO password_history (user_id, password_hash, created_at) VALUES ('u-1', '$2b$12$old', '2025-10-01 12:00:00');
INSERT INTO user_sessions VALUES (
    's-1', 'u-1', 'jti-1', '2027-01-01 00:00:00', '2025-11-01 12:00:00', FALSE, 'Mozilla/5.0', '203.0.113.9');
INSERT INTO lock_audit (lock_key, event_type, timestamp, details, tenant_id) VALUES
    ('lock:room:101:2025-12-01:2025-12-03', 'acquired', '2025-11-01 12:00:00', '{"ttl": 1200,  "room_id": "101"}', 'hotel-test'),
    ('lock:room:102:2025-12-01:2025-12-03', 'released', NULL, NULL, NULL);
INSERT INTO audit_logs (timestamp, event_type, severity, created_at) VALUES
    ('2025-11-01 12:00:00', 'login', 'info', '2025-11-01 12:00:00');
