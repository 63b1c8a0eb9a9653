//! Stands for `postgres.rs` where the feature `postgres` is left out: there is no server to ask.

use super::model::Finding;
use crate::backends::postgres::Postgres;
use crate::settings::PostgresSettings;

pub(super) async fn examine(postgres: &Postgres, _: &PostgresSettings) -> Vec<Finding> {
    match *postgres {}
}
