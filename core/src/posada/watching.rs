//! How a handle is watched and closed.

use super::Posada;
use crate::doctor::{self, Diagnosis, Target};
use crate::error::{Error, Result, codes};
use crate::health::{DEADLINE, Health};

/// How a handle is watched and closed.
impl Posada {
    /// Asks every server for a sign of life, and Redis whether it takes writes, without writing anything. The answer
    /// comes within a second, also from servers that are silent; a caller that asks while a question is under way
    /// shares it.
    /// [`Health::is_ready`] says whether guests can be served. Never fails; cancel-safe.
    pub async fn health(&self) -> Health {
        let (inner, base) = (&self.0, &self.0.base);
        let (postgres, redis) = (self.clone(), self.clone());
        let (postgres, redis, knows_hotels) = tokio::join!(
            base.postgres_probe
                .probe(&base.tasks, DEADLINE, codes::POSTGRES_TIMEOUT, || async move {
                    postgres.ping_postgres().await
                }),
            base.redis_probe
                .probe(&base.tasks, DEADLINE, codes::REDIS_TIMEOUT, || async move {
                    redis.may_write_redis().await
                }),
            inner.tenants.knows_some(),
        );
        let health = Health {
            postgres,
            redis,
            knows_hotels,
            timestamp: base.clock.now(),
        };
        health.show();
        health
    }

    /// Walks through everything that usually is wrong with an installation, and names the remedy: ports, TLS,
    /// passwords, tables and their schema, connections, the memory policy of Redis, secrets from examples, what the hotel's
    /// system says of our credentials, whichever system it is, and more ([`Diagnosis::CODES`]). A server that is down is a finding; the others
    /// are examined all the same. Takes seconds at most, and writes nothing. Never fails; cancel-safe.
    ///
    /// A report holds names of hosts, users and tables, and no secret: it is for who runs the installation, not for the
    /// public. [`Diagnosis::from_env`] needs no handle.
    pub async fn doctor(&self) -> Diagnosis {
        let (inner, base) = (&self.0, &self.0.base);
        doctor::examine(Target {
            settings: &base.settings,
            postgres: base.postgres.as_ref(),
            redis: base.redis.as_ref(),
            pms: &inner.pms,
            is_pms_given: base.is_pms_given,
            clock: &base.clock,
        })
        .await
    }

    /// Stops the background work, waits for writes that are under way (at most the `close_deadline` of the
    /// settings), flushes the audit, and gives the connections back. Every later call answers `posada.closed`.
    /// May be called again. A handle that is bound to a tenant closes nothing. Cancel-safe: what was not waited for
    /// ends by itself.
    ///
    /// # Errors
    /// `posada.close_timeout` when work was still under way at the deadline.
    pub async fn close(&self) -> Result<()> {
        if self.0.scope.tenant().is_some() {
            return Ok(());
        }
        let left = self
            .0
            .base
            .tasks
            .close(self.0.base.settings.close_deadline())
            .await;
        if let Some(postgres) = &self.0.base.postgres {
            postgres.close().await;
        }
        if let Some(redis) = &self.0.base.redis {
            redis.close();
        }
        match left {
            0 => Ok(()),
            left => Err(Error::new(
                codes::POSADA_CLOSE_TIMEOUT,
                "work was still under way at the deadline",
            )
            .with("tasks", left)),
        }
    }

    pub(super) async fn ping_postgres(&self) -> Result<()> {
        match &self.0.base.postgres {
            Some(postgres) => Ok(postgres.ping().await?),
            None => Ok(()),
        }
    }

    async fn may_write_redis(&self) -> Result<()> {
        match &self.0.base.redis {
            Some(redis) => Ok(redis.may_write().await?),
            None => Ok(()),
        }
    }

    pub(super) async fn ping_redis(&self) -> Result<()> {
        match &self.0.base.redis {
            Some(redis) => Ok(redis.ping().await?),
            None => Ok(()),
        }
    }
}
