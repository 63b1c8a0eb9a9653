//! The suites of `posada::testkit` on real servers: what the memory adapters promise, the servers keep.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real servers run on real time")]

mod auth;
mod auth_hotels;
mod auth_keys;
mod auth_python;
mod auth_races;
mod auth_trust;
mod doctor;
mod earlier;
mod fast_paths;
mod flags;
mod hold_rules;
mod hold_sets;
mod limits;
mod limits_python;
mod lock_cancelling;
mod lock_crowds;
mod lock_expiry;
mod lock_keeping;
mod lock_replicas;
mod lock_sets;
mod locks;
mod main_job;
mod maintenance;
mod migrations;
mod pms;
mod pms_live;
mod pms_systems;
mod postgres;
mod postgres_passwords;
mod postgres_rights;
mod postgres_tls;
mod redis_urls;
mod scope;
mod scope_hotel;
mod scope_surface;
mod servers;
mod sessions;
mod sessions_python;
mod tenants;
