//! Fences in the table `posada.lock_fence`.

use async_trait::async_trait;

use super::store::{FenceStore, GUARD};
use crate::backends::postgres::{Postgres, Statement};
use crate::error::Result;

/// Fences on Postgres.
pub(crate) struct PostgresFences {
    postgres: Postgres,
}

impl PostgresFences {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

#[async_trait]
impl FenceStore for PostgresFences {
    async fn accept(&self, resource: &str, fence: i64) -> Result<bool> {
        let statement = Statement::write("locks.fence", GUARD)
            .bind(resource.to_owned())
            .bind(fence);
        Ok(!self.postgres.fetch(statement).await?.is_empty())
    }
}
