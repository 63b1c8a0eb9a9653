//! [`Posada`]: every service behind one handle, and the only place that chooses adapters.

#[cfg_attr(not(feature = "postgres"), path = "posada/without_postgres.rs")]
mod on_postgres;
mod scoped;
#[cfg(feature = "auth")]
mod sign_in;
mod watching;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "auth")]
use crate::auth::Authenticator;
use crate::backends::postgres::Postgres;
use crate::backends::redis::Redis;
use crate::clock::{SharedClock, SystemClock};
use crate::error::{Error, Result, codes};
use crate::flags::{FeatureFlags, FlagOptions, FlagStore, MemoryFlags, RedisFlags};
use crate::health::SharedProbe;
use crate::limits::{LimitStore, MemoryLimits, RateLimiter, RedisLimits};
use crate::locks::{
    AuditStore, FenceStore, HoldRules, HoldStore, LockManager, LockStore, MemoryAudit, MemoryFences,
    MemoryHolds, MemoryLocks, RedisHolds, RedisLocks,
};
use crate::maintenance::{Cleaned, Retention};
use crate::migrations::{Applied, MigrationStatus};
#[cfg(feature = "pms-qloapps")]
use crate::pms::QloApps;
use crate::pms::port::{BookingSystem, Catalogue, Connected, Connection};
use crate::pms::{
    AnswerCache, AnswerStore, ClientParts, KeyStore, LockGate, MemoryAnswers, MemoryKeys, MockPms, PmsClient,
    RedisAnswers, RedisKeys, Resilience, Resilient, RetryPolicy,
};
use crate::scope::Scope;
use crate::sessions::{MemorySessions, RedisSessions, SessionManager, SessionOptions, SessionStore};
use crate::settings::{PmsLimits, PmsSettings, Settings, Store};
use crate::task::Tasks;
use crate::tenants::{
    Invalidation, LocalInvalidation, MemoryTenants, RedisInvalidation, TenantOptions, TenantResolver,
    TenantStore, read_numbering_plans,
};

/// Every service of posada, built from [`Settings`]. Cloning is cheap and shares everything.
///
/// [`embedded`](Self::embedded) keeps everything in this process; [`connect`](Self::connect) uses the servers that
/// the settings name. Both give the same services with the same meaning. Use it inside a tokio runtime.
#[derive(Clone)]
pub struct Posada(Arc<Inner>);

/// The services, and what they stand on.
struct Inner {
    base: Arc<Base>,
    scope: Scope,
    tenants: TenantResolver,
    sessions: SessionManager,
    flags: FeatureFlags,
    locks: LockManager,
    limits: RateLimiter,
    #[cfg(feature = "auth")]
    auth: Authenticator,
    pms: PmsClient,
}

/// What all scopes of a handle share.
struct Base {
    settings: Settings,
    clock: SharedClock,
    tasks: Tasks,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    /// Whether the program gave its own system to the builder, so that the one of the settings is not used.
    is_pms_given: bool,
    postgres_probe: SharedProbe,
    redis_probe: SharedProbe,
}

/// Puts a [`Posada`] together piece by piece.
pub struct PosadaBuilder {
    settings: Settings,
    clock: SharedClock,
    flags: Vec<(String, bool)>,
    #[cfg(feature = "auth")]
    sign_in: sign_in::SignInParts,
    pms: Option<PmsSource>,
}

impl PosadaBuilder {
    /// Where the servers are and how to behave.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The time, for tests. Servers keep their own.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Values of flags that were never set, instead of [`DEFAULT_FLAGS`](crate::flags::DEFAULT_FLAGS).
    #[must_use]
    pub fn default_flags<'a>(mut self, defaults: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        self.flags = defaults
            .into_iter()
            .map(|(flag, value)| (flag.to_owned(), value))
            .collect();
        self
    }

    /// A mock hotel to book in, whatever the settings say: its script of faults stays in the caller's hand.
    #[must_use]
    pub fn mock_pms(mut self, pms: MockPms) -> Self {
        self.pms = Some(PmsSource::Mock(pms));
        self
    }

    /// A property management system that posada does not know, whatever the settings say: `Arc::new(mine)` for one that
    /// keeps every promise by itself, `Guarded::new(Arc::new(mine))` for any other. Deadlines, breaker, pace and retries
    /// of reads stand around it, as the [limits](crate::settings::PmsLimits) of the settings say. See
    /// [`port`](crate::pms::port) for how to write one.
    #[must_use]
    pub fn pms(mut self, system: impl Into<Connection>) -> Self {
        self.pms = Some(PmsSource::Own(system.into()));
        self
    }

    /// Builds the services. Nothing connects: the first call of a service does, within its deadline.
    ///
    /// # Errors
    /// `settings.*` when the settings name something that cannot be used, such as an unreadable certificate, for previous
    /// keys that production refuses or that are more than two, for a system that cannot be connected, and for a custom one
    /// that was not given.
    pub fn build(self) -> Result<Posada> {
        let Self {
            settings,
            clock,
            flags,
            #[cfg(feature = "auth")]
            sign_in,
            pms,
        } = self;
        let is_pms_given = pms.is_some();
        let tasks = Tasks::new();
        let postgres = match settings.postgres() {
            Store::Memory => None,
            Store::Server(server) => Some(on_postgres::open(server, tasks.clone(), clock.clone())?),
        };
        let redis = match settings.redis() {
            Store::Memory => None,
            Store::Server(server) => Some(Redis::new(server, tasks.clone())?),
        };
        let parts = Parts {
            settings: &settings,
            postgres: postgres.as_ref(),
            redis: redis.as_ref(),
            clock: &clock,
            tasks: &tasks,
            hotels: Arc::new(MemoryTenants::new()),
        };
        let locks = parts.locks();
        Ok(Posada(Arc::new(Inner {
            tenants: parts.tenants(),
            sessions: parts.sessions(),
            flags: parts.flags(flags),
            limits: parts.limits(),
            #[cfg(feature = "auth")]
            auth: parts.auth(sign_in)?,
            pms: parts.pms(pms, &locks)?,
            locks,
            scope: Scope::default(),
            base: Arc::new(Base {
                settings,
                clock,
                tasks,
                postgres,
                redis,
                is_pms_given,
                postgres_probe: SharedProbe::default(),
                redis_probe: SharedProbe::default(),
            }),
        })))
    }

    /// [`build`](Self::build)s the services and makes sure that every server answers, each within its own deadline.
    /// Beside it the numbering plans of telephones are read, a tenth of a second of work that the first guest would
    /// wait for. Cancel-safe: dropping the future leaves nothing connected.
    ///
    /// # Errors
    /// As [`Posada::connect`].
    pub async fn connect(self) -> Result<Posada> {
        let posada = self.build()?;
        let numbers = posada.0.base.tasks.blocking(read_numbering_plans);
        let servers = async { tokio::try_join!(posada.ping_postgres(), posada.ping_redis()) };
        // Both are waited for, also after a failure: a fork must not meet the reading half done.
        let (answered, read) = tokio::join!(servers, numbers);
        answered?;
        read?;
        posada.0.flags.connect().await;
        Ok(posada)
    }
}

impl fmt::Debug for PosadaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosadaBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How a handle is made, watched and closed.
impl Posada {
    /// A builder with the embedded settings and the system's clock.
    pub fn builder() -> PosadaBuilder {
        PosadaBuilder {
            settings: Settings::embedded(),
            clock: SystemClock::shared(),
            flags: FlagOptions::default().defaults,
            #[cfg(feature = "auth")]
            sign_in: sign_in::SignInParts::default(),
            pms: None,
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
        Self::builder().settings(settings).connect().await
    }

    /// Brings the database to the state that this version needs, and that the Python app can go on using: missing
    /// tables, columns, defaults and indexes are added, nothing is dropped or narrowed. Safe to run from every
    /// replica at every start, also through a pooler in transaction mode, where it never makes others wait; returns what was
    /// applied now. In memory there is nothing to do. Detached once its turn came.
    ///
    /// # Errors
    /// `postgres.migration` when the database was migrated by a newer version or an applied migration was changed
    /// since; `postgres.contended` when the run of another process did not end within ten minutes; `postgres.*` when the
    /// database is down or refuses. Nothing is applied then.
    pub async fn migrate(&self) -> Result<Applied> {
        self.0.scope.ensure_all()?;
        match &self.0.base.postgres {
            Some(postgres) => on_postgres::migrate(postgres).await,
            None => Ok(Applied::nothing_to_do()),
        }
    }

    /// Which migrations the database has, which [`migrate`](Self::migrate) would apply, and whether a run is under way.
    /// In memory there are none. Cancel-safe read.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migration_status(&self) -> Result<MigrationStatus> {
        self.0.scope.ensure_all()?;
        match &self.0.base.postgres {
            Some(postgres) => on_postgres::migration_status(postgres).await,
            None => Ok(MigrationStatus::default()),
        }
    }

    /// Deletes what the database keeps for too long: ended sign-in sessions, old passwords, old rows of the lock audit.
    /// In batches that take milliseconds, with pauses between them; one process works, the others skip. Another run goes
    /// on where a run was cancelled. In memory there is nothing to do. Cancel-safe.
    ///
    /// # Errors
    /// `postgres.migration` when a table or an index is missing that a clean-up needs; `postgres.*` when the database is
    /// down or refuses. What was deleted until then stays deleted.
    pub async fn maintain(&self, kept: &Retention) -> Result<Vec<Cleaned>> {
        self.0.scope.ensure_all()?;
        match &self.0.base.postgres {
            Some(postgres) => on_postgres::maintain(postgres, kept).await,
            None => Ok(Vec::new()),
        }
    }

    /// All migrations as one text of SQL, for Supabase's SQL editor or `psql`. It may be run again at any time, and does
    /// what [`migrate`](Self::migrate) does.
    #[cfg(feature = "postgres")]
    pub fn schema_sql() -> String {
        on_postgres::schema_sql()
    }

    /// The settings that this handle was built from.
    pub fn settings(&self) -> &Settings {
        &self.0.base.settings
    }

    /// Tenants, and whose guest a sender is.
    pub fn tenants(&self) -> &TenantResolver {
        &self.0.tenants
    }

    /// Conversations.
    pub fn sessions(&self) -> &SessionManager {
        &self.0.sessions
    }

    /// Feature flags.
    pub fn flags(&self) -> &FeatureFlags {
        &self.0.flags
    }

    /// Locks and stay holds.
    pub fn locks(&self) -> &LockManager {
        &self.0.locks
    }

    /// The property management system.
    pub fn pms(&self) -> &PmsClient {
        &self.0.pms
    }

    /// Rate limits.
    pub fn limits(&self) -> &RateLimiter {
        &self.0.limits
    }
}

impl fmt::Debug for Posada {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posada")
            .field("settings", &self.0.base.settings)
            .field("tenant", &self.0.scope.tenant())
            .finish_non_exhaustive()
    }
}

/// What the services are made of. One function per service: the only lines that name its adapters.
struct Parts<'a> {
    settings: &'a Settings,
    postgres: Option<&'a Postgres>,
    redis: Option<&'a Redis>,
    clock: &'a SharedClock,
    tasks: &'a Tasks,
    /// The tenants of a process that has no database.
    hotels: Arc<MemoryTenants>,
}

impl Parts<'_> {
    fn tenants(&self) -> TenantResolver {
        let store: Arc<dyn TenantStore> = match self.postgres {
            Some(postgres) => on_postgres::tenants(postgres),
            None => self.hotels.clone(),
        };
        let invalidation: Arc<dyn Invalidation> = match self.redis {
            Some(redis) => Arc::new(RedisInvalidation::new(redis.clone())),
            None => Arc::new(LocalInvalidation::new()),
        };
        let options = TenantOptions::of(self.settings);
        TenantResolver::new(
            store,
            invalidation,
            self.clock.clone(),
            self.tasks.clone(),
            options,
        )
    }

    fn sessions(&self) -> SessionManager {
        let store: Arc<dyn SessionStore> = match self.redis {
            Some(redis) => Arc::new(RedisSessions::new(
                redis.clone(),
                self.clock.clone(),
                self.tasks.clone(),
            )),
            None => Arc::new(MemorySessions::new(self.clock.clone())),
        };
        let options = SessionOptions {
            ttl: self.settings.session_ttl(),
            ..SessionOptions::default()
        };
        SessionManager::new(store, self.clock.clone(), self.tasks.clone(), options)
    }

    fn flags(&self, defaults: Vec<(String, bool)>) -> FeatureFlags {
        let store: Arc<dyn FlagStore> = match self.redis {
            Some(redis) => Arc::new(RedisFlags::new(redis.clone())),
            None => Arc::new(MemoryFlags::new()),
        };
        let options = FlagOptions {
            defaults,
            poll: self.settings.flags_poll(),
            snapshot_dir: self.settings.snapshot_dir().map(Into::into),
            ..FlagOptions::default()
        };
        FeatureFlags::new(store, self.clock.clone(), self.tasks.clone(), options)
    }

    fn locks(&self) -> LockManager {
        let (locks, holds): (Arc<dyn LockStore>, Arc<dyn HoldStore>) = match self.redis {
            Some(redis) => (
                Arc::new(RedisLocks::new(redis.clone())),
                Arc::new(RedisHolds::new(redis.clone())),
            ),
            None => (
                Arc::new(MemoryLocks::new(self.clock.clone())),
                Arc::new(MemoryHolds::new(self.clock.clone())),
            ),
        };
        let (audit, fences): (Arc<dyn AuditStore>, Arc<dyn FenceStore>) = match self.postgres {
            Some(postgres) => (on_postgres::audit(postgres), on_postgres::fences(postgres)),
            None => (
                Arc::new(MemoryAudit::default()),
                Arc::new(MemoryFences::default()),
            ),
        };
        LockManager::new(
            locks,
            holds,
            audit,
            fences,
            HoldRules::of(self.settings),
            self.clock.clone(),
            self.tasks.clone(),
        )
    }

    fn limits(&self) -> RateLimiter {
        let store: Arc<dyn LimitStore> = match self.redis {
            Some(redis) => Arc::new(RedisLimits::new(redis.clone())),
            None => Arc::new(MemoryLimits::new(self.clock.clone())),
        };
        RateLimiter::new(store, self.clock.clone())
    }

    fn pms(&self, given: Option<PmsSource>, locks: &LockManager) -> Result<PmsClient> {
        let clock = self.clock.clone();
        let system: Arc<dyn BookingSystem> = match (given, self.settings.pms()) {
            (Some(PmsSource::Mock(mock)), _) => Arc::new(mock),
            (Some(PmsSource::Own(connection)), _) => return self.connected(connection, locks),
            (None, PmsSettings::Mock) => Arc::new(MockPms::new(clock)?),
            #[cfg(not(feature = "pms-qloapps"))]
            (None, PmsSettings::QloApps(_)) => return Err(left_out("PMS_TYPE", "pms-qloapps")),
            #[cfg(feature = "pms-qloapps")]
            (None, PmsSettings::QloApps(server)) => {
                let answers = self.answers();
                let limits = self.settings.pms_limits();
                let resilience = Resilience::new(limits, &clock);
                let tasks = self.tasks.clone();
                let system = QloApps::new(server, limits, clock, tasks, answers.clone(), resilience)?;
                let kept = self.answer_cache(answers, &system, limits);
                return Ok(self.guarded(Arc::new(system), locks, limits, Some(kept)));
            }
            (None, PmsSettings::Custom) => {
                return Err(Error::field_invalid(
                    codes::SETTINGS_MISSING,
                    "PMS_TYPE",
                    "is custom, so the program has to give its system to `Posada::builder().pms(...)`",
                ));
            }
        };
        // What is in this process anyway needs no copy, and no patience.
        Ok(self.guarded(system, locks, &PmsLimits::default(), None))
    }

    /// The client of a caller's own system, with everything around it that QloApps has.
    fn connected(&self, connection: Connection, locks: &LockManager) -> Result<PmsClient> {
        connection.check()?;
        let limits = self.settings.pms_limits();
        let (rules, tasks) = (Resilience::new(limits, self.clock), self.tasks.clone());
        Ok(match connection.0 {
            Connected::Guarded(system) => {
                let kept = self.answer_cache(self.answers(), &*system, limits);
                let system = Arc::new(Resilient::new(system, rules, tasks));
                self.guarded(system, locks, limits, Some(kept))
            }
            Connected::Own(pms) => {
                let kept = self.answer_cache(self.answers(), &*pms, limits);
                let pms = Arc::new(Resilient::new(pms, rules, tasks));
                PmsClient::own(pms, self.client(limits, Some(kept)))
            }
        })
    }

    fn guarded(
        &self,
        system: Arc<dyn BookingSystem>,
        locks: &LockManager,
        limits: &PmsLimits,
        kept: Option<AnswerCache>,
    ) -> PmsClient {
        let gate = Arc::new(LockGate::new(locks.clone(), system.system()));
        let keys: Arc<dyn KeyStore> = match self.redis {
            Some(redis) => Arc::new(RedisKeys::new(redis.clone())),
            None => Arc::new(MemoryKeys::new(self.clock.clone())),
        };
        PmsClient::guarded(system, gate, keys, self.client(limits, kept))
    }

    fn client(&self, limits: &PmsLimits, answers: Option<AnswerCache>) -> ClientParts {
        ClientParts {
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            retry: RetryPolicy {
                // A system works on a lost request no longer than on one that a caller waits for.
                total: limits.booking_timeout,
                limit: limits.booking_timeout * 2,
                ..RetryPolicy::default()
            },
            answers,
        }
    }

    fn answers(&self) -> Arc<dyn AnswerStore> {
        match self.redis {
            Some(redis) => Arc::new(RedisAnswers::new(redis.clone())),
            None => Arc::new(MemoryAnswers::new(self.clock.clone())),
        }
    }

    fn answer_cache(
        &self,
        store: Arc<dyn AnswerStore>,
        system: &dyn Catalogue,
        limits: &PmsLimits,
    ) -> AnswerCache {
        let (clock, tasks) = (self.clock.clone(), self.tasks.clone());
        AnswerCache::new(store, system.system(), limits.availability_fresh, clock, tasks)
    }
}

/// A system that was given to the builder.
enum PmsSource {
    Mock(MockPms),
    Own(Connection),
}

/// For a setting that asks for what this program was built without.
#[cfg(not(all(feature = "postgres", feature = "pms-qloapps")))]
fn left_out(field: &'static str, feature: &str) -> Error {
    let message = format!("this program was built without the feature `{feature}` of posada");
    Error::field_invalid(codes::SETTINGS_INVALID, field, message)
}
