//! [`Posada`]: the whole house behind one handle, and the only place that chooses adapters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backends::postgres::Postgres;
use crate::backends::redis::Redis;
use crate::clock::{SharedClock, SystemClock};
use crate::error::{Error, Result, codes};
use crate::flags::{FeatureFlags, FlagOptions, FlagStore, MemoryFlags, RedisFlags};
use crate::health::{Check, Health};
use crate::limits::{MemoryLimitStore, RateLimiter, RedisLimitStore};
use crate::locks::{
    HoldStore, LockManager, LockStore, MemoryAudit, MemoryHolds, MemoryLocks, RedisHolds, RedisLocks,
};
use crate::sessions::{MemorySessions, RedisSessions, SessionManager, SessionOptions, SessionStore};
use crate::settings::{Settings, Store};
use crate::task::Tasks;
use crate::tenants::{
    Invalidation, LocalInvalidation, MemoryTenants, PostgresTenants, RedisInvalidation, TenantOptions,
    TenantResolver, TenantStore,
};

/// Every service of posada, built from [`Settings`]. Cloning is cheap and shares everything.
///
/// [`embedded`](Self::embedded) keeps everything in this process; [`connect`](Self::connect) uses the servers that
/// the settings name. Both give the same services with the same meaning. Use it inside a tokio runtime.
#[derive(Clone)]
pub struct Posada(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: SharedClock,
    tasks: Tasks,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    flags: FeatureFlags,
    limits: RateLimiter,
    locks: LockManager,
    sessions: SessionManager,
    tenants: TenantResolver,
}

/// Puts a [`Posada`] together piece by piece.
#[derive(Debug)]
pub struct PosadaBuilder {
    settings: Settings,
    clock: SharedClock,
}

impl PosadaBuilder {
    /// Where the servers are and how to behave.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The time, for tests.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the services. Nothing connects: the first call of a service does, within its deadline.
    ///
    /// # Errors
    /// `settings.*` when the settings name something that cannot be used, such as an unreadable certificate.
    pub fn build(self) -> Result<Posada> {
        let (tasks, clock) = (Tasks::new(), self.clock);
        let postgres = match self.settings.postgres() {
            Store::Memory => None,
            Store::Server(settings) => Some(Postgres::new(settings, tasks.clone(), clock.clone())?),
        };
        let redis = match self.settings.redis() {
            Store::Memory => None,
            Store::Server(settings) => Some(Redis::new(settings, tasks.clone())?),
        };
        let limits = match &redis {
            None => RateLimiter::new(Arc::new(MemoryLimitStore::new(clock.clone())), clock.clone()),
            Some(redis) => RateLimiter::new(Arc::new(RedisLimitStore::new(redis.clone())), clock.clone()),
        };
        let flags = flags(&self.settings, redis.as_ref(), &clock, &tasks);
        let sessions = sessions(&self.settings, redis.as_ref(), &clock, &tasks);
        let locks = locks(redis.as_ref(), &clock, &tasks);
        let tenants = tenants(&self.settings, postgres.as_ref(), redis.as_ref(), &clock, &tasks);
        Ok(Posada(Arc::new(Inner {
            settings: self.settings,
            clock,
            tasks,
            postgres,
            redis,
            flags,
            limits,
            locks,
            sessions,
            tenants,
        })))
    }
}

fn flags(settings: &Settings, redis: Option<&Redis>, clock: &SharedClock, tasks: &Tasks) -> FeatureFlags {
    let store: Arc<dyn FlagStore> = match redis {
        None => Arc::new(MemoryFlags::new()),
        Some(redis) => Arc::new(RedisFlags::new(redis.clone())),
    };
    let options = FlagOptions {
        poll: settings.flags_poll(),
        snapshot_dir: settings.snapshot_dir().map(Into::into),
        ..FlagOptions::default()
    };
    FeatureFlags::new(store, clock.clone(), tasks.clone(), options)
}

fn locks(redis: Option<&Redis>, clock: &SharedClock, tasks: &Tasks) -> LockManager {
    let (locks, holds): (Arc<dyn LockStore>, Arc<dyn HoldStore>) = match redis {
        None => (
            Arc::new(MemoryLocks::new(clock.clone())),
            Arc::new(MemoryHolds::new(clock.clone())),
        ),
        Some(redis) => (
            Arc::new(RedisLocks::new(redis.clone())),
            Arc::new(RedisHolds::new(redis.clone())),
        ),
    };
    LockManager::new(
        locks,
        holds,
        Arc::new(MemoryAudit::default()),
        clock.clone(),
        tasks.clone(),
    )
}

fn sessions(
    settings: &Settings,
    redis: Option<&Redis>,
    clock: &SharedClock,
    tasks: &Tasks,
) -> SessionManager {
    let store: Arc<dyn SessionStore> = match redis {
        Some(redis) => Arc::new(RedisSessions::new(redis.clone(), clock.clone(), tasks.clone())),
        None => Arc::new(MemorySessions::new(clock.clone())),
    };
    let options = SessionOptions {
        ttl: settings.session_ttl(),
        ..SessionOptions::default()
    };
    SessionManager::new(store, clock.clone(), tasks.clone(), options)
}

/// The services.
impl Posada {
    /// The conversations.
    pub fn sessions(&self) -> &SessionManager {
        &self.0.sessions
    }
}

/// How a handle is made, watched and closed.
impl Posada {
    /// A builder with the embedded settings and the system's clock.
    pub fn builder() -> PosadaBuilder {
        PosadaBuilder {
            settings: Settings::embedded(),
            clock: SystemClock::shared(),
        }
    }

    /// Everything in memory, with the mock PMS: for a first look, for tests, and for programs without servers.
    pub fn embedded() -> Self {
        match Self::builder().build() {
            Ok(posada) => posada,
            Err(error) => unreachable!("the embedded settings are complete: {error}"),
        }
    }

    /// Builds the services from the process's environment and connects.
    ///
    /// # Errors
    /// As [`Settings::from_env`] and [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self> {
        Self::connect(Settings::from_env()?).await
    }

    /// Builds the services and makes sure that every server answers, each within its own deadline.
    ///
    /// # Errors
    /// `settings.*`, `postgres.*` or `redis.*`. A program that should start although a server is down uses
    /// [`builder`](Self::builder), and asks [`health`](Self::health) later.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let posada = Self::builder().settings(settings).build()?;
        tokio::try_join!(posada.ping_postgres(), posada.ping_redis())?;
        posada.0.flags.connect().await;
        Ok(posada)
    }

    /// The settings that this handle was built from.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The feature flags.
    pub fn flags(&self) -> &FeatureFlags {
        &self.0.flags
    }

    /// Locks and stay holds.
    pub fn locks(&self) -> &LockManager {
        &self.0.locks
    }

    /// Tenants, and whose guest somebody is.
    pub fn tenants(&self) -> &TenantResolver {
        &self.0.tenants
    }

    /// Rate limits.
    pub fn limits(&self) -> &RateLimiter {
        &self.0.limits
    }

    /// Asks every server for a sign of life, each within its own deadline. Never fails; cancel-safe.
    pub async fn health(&self) -> Health {
        let redis = self.ping_redis().await;
        Health {
            postgres: Check::Ok,
            redis: redis.into(),
            timestamp: self.0.clock.now(),
        }
    }

    /// Stops the background work, waits for writes that are under way (at most the `close_deadline` of the
    /// settings), flushes the audit, and gives the connections back. Every later call answers `posada.closed`.
    /// May be called again. Cancel-safe: what was not waited for ends by itself.
    ///
    /// # Errors
    /// `posada.close_timeout` when work was still under way at the deadline.
    pub async fn close(&self) -> Result<()> {
        let left = self.0.tasks.close(self.0.settings.close_deadline()).await;
        if let Some(postgres) = &self.0.postgres {
            postgres.close().await;
        }
        match left {
            0 => Ok(()),
            left => Err(Error::new(
                codes::POSTGRES_TIMEOUT,
                "work was still under way at the deadline",
            )
            .with("tasks", left)),
        }
    }

    async fn ping_postgres(&self) -> Result<()> {
        match &self.0.postgres {
            Some(postgres) => Ok(postgres.ping().await?),
            None => Ok(()),
        }
    }

    async fn ping_redis(&self) -> Result<()> {
        match &self.0.redis {
            Some(redis) => Ok(redis.ping().await?),
            None => Ok(()),
        }
    }
}

fn tenants(
    settings: &Settings,
    postgres: Option<&Postgres>,
    redis: Option<&Redis>,
    clock: &SharedClock,
    tasks: &Tasks,
) -> TenantResolver {
    let store: Arc<dyn TenantStore> = match postgres {
        None => Arc::new(MemoryTenants::new()),
        Some(postgres) => Arc::new(PostgresTenants::new(postgres.clone())),
    };
    let invalidation: Arc<dyn Invalidation> = match redis {
        None => Arc::new(LocalInvalidation::new()),
        Some(redis) => Arc::new(RedisInvalidation::new(redis.clone())),
    };
    let options = TenantOptions::of(settings);
    TenantResolver::new(store, invalidation, clock.clone(), tasks.clone(), options)
}

impl fmt::Debug for Posada {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posada")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
