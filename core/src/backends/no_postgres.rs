//! Stands for `postgres` where the feature of that name is left out: a pool that nothing can open.

use crate::error::Result;

/// There is none.
#[derive(Debug, Clone)]
pub(crate) enum Postgres {}

impl Postgres {
    pub(crate) async fn ping(&self) -> Result<()> {
        match *self {}
    }

    pub(crate) async fn close(&self) {
        match *self {}
    }
}
