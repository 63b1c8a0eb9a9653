-- The highest fence that a resource has seen. A transaction that writes under a lock compares and raises it, so
-- that a holder whose lock was lost cannot write over its successor.

CREATE SCHEMA IF NOT EXISTS posada;

CREATE TABLE IF NOT EXISTS posada.lock_fence (
    resource text PRIMARY KEY,
    last_fence bigint NOT NULL
);
