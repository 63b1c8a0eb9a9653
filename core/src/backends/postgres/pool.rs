//! The connections of one `Postgres`: lent one by one, kept only when their state is known.
//!
//! Why not the driver's own pool: it asks the server twice per loan, goes on trying a server that refuses
//! connections until the wait is over (so that "down" looks like "busy"), and takes back connections in any
//! state. Here a [`Lease`] that is merely dropped closes its connection, and only [`Lease::give_back`] keeps it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::{Found, connect, connect_through_pooler, in_time};
use super::deadline::Deadline;
use super::failure::Failure;
use crate::clock::SharedClock;
use crate::settings::{Pooling, PostgresSettings};
use crate::sync;
use crate::task::{Tasks, closed};
use crate::{metrics as names, rng};

/// Longest time that an idle connection has to prove that it lives.
const PING: Duration = Duration::from_millis(500);
/// A connection that is not among the kept ones closes after being idle for so long.
const SURPLUS_IDLE: Duration = Duration::from_secs(10);
/// Age at which a connection is replaced, plus up to a tenth so that they do not all go at once.
const LIFETIME: Duration = Duration::from_mins(30);
/// How often the idle ones are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// How the pool stands at one moment.
#[cfg(any(test, feature = "testkit"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolUsage {
    /// Connections that are lent out.
    pub(crate) in_use: u32,
    /// Connections that are open and free.
    pub(crate) idle: u32,
    /// The most that there may be.
    pub(crate) limit: u32,
}

/// The pool. Clones share the connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    settings: PostgresSettings,
    clock: SharedClock,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Live>>,
    open: Arc<AtomicU32>,
    in_use: Arc<AtomicU32>,
    generation: AtomicU64,
    pooled: AtomicBool,
    sweeping: AtomicBool,
}

struct Live {
    connection: PgConnection,
    pooling: Pooling,
    expires: Instant,
    idle_since: Instant,
    generation: u64,
    _counted: Counted,
}

/// Counts one connection for as long as it lives.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn new(counter: &Arc<AtomicU32>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, lent out. Dropping it closes the connection.
pub(super) struct Lease {
    live: Live,
    pool: Arc<Shared>,
    _used: Used,
    _permit: OwnedSemaphorePermit,
}

/// Counts and shows one lent connection for as long as it is lent.
struct Used {
    _counted: Counted,
}

impl Used {
    fn new(counter: &Arc<AtomicU32>) -> Self {
        metrics::gauge!(names::POSTGRES_CONNECTIONS_ACTIVE).increment(1.0);
        Self {
            _counted: Counted::new(counter),
        }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        metrics::gauge!(names::POSTGRES_CONNECTIONS_ACTIVE).decrement(1.0);
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.live.connection
    }

    /// How this very connection must be used.
    pub(super) fn pooling(&self) -> Pooling {
        self.live.pooling
    }

    /// Returns a connection whose last answer was complete and that is outside a transaction.
    pub(super) fn give_back(self) {
        let Self { mut live, pool, .. } = self;
        let now = pool.clock.instant();
        let current = live.generation == pool.generation.load(Ordering::Relaxed);
        if current && now < live.expires && !pool.permits.is_closed() {
            live.idle_since = now;
            pool.idle().push(live);
        }
    }
}

impl Pool {
    /// An empty pool. Nothing connects.
    pub(super) fn new(settings: PostgresSettings, tasks: Tasks, clock: SharedClock) -> Self {
        let limit = settings.pool_size.saturating_add(settings.max_overflow).max(1);
        let permits = usize::try_from(limit)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(permits)),
            pooled: AtomicBool::new(settings.pooling == Pooling::Transaction),
            settings,
            clock,
            tasks,
            idle: Mutex::default(),
            open: Arc::default(),
            in_use: Arc::default(),
            generation: AtomicU64::new(0),
            sweeping: AtomicBool::new(false),
        }))
    }

    /// Lends a connection: first come, first served. One that was idle for `stale` or longer must answer a ping.
    ///
    /// The wait for a free place is bounded by the acquire timeout, everything by the deadline.
    pub(super) async fn acquire(&self, deadline: &Deadline, stale: Duration) -> Result<Lease, Failure> {
        match self.0.at_once(stale) {
            Some(lease) => Ok(lease),
            // Boxed because it is rare and large: every call would carry it along otherwise.
            None => Box::pin(self.wait(deadline, stale)).await,
        }
    }

    async fn wait(&self, deadline: &Deadline, stale: Duration) -> Result<Lease, Failure> {
        let shared = &self.0;
        let timeout = shared.settings.acquire_timeout.min(deadline.remaining());
        let permit = match tokio::time::timeout(timeout, shared.permits.clone().acquire_owned()).await {
            Err(_) => return Err(Failure::PoolTimeout),
            Ok(Err(_)) => return Err(closed().into()),
            Ok(Ok(permit)) => permit,
        };
        let used = Used::new(&shared.in_use);
        let live = match shared.idle_and_alive(stale, deadline).await {
            Some(live) => live,
            None => shared.open(deadline).await?,
        };
        Ok(shared.lend(live, permit, used))
    }

    /// What the connections are made by.
    pub(super) fn settings(&self) -> &PostgresSettings {
        &self.0.settings
    }

    /// Closes what is idle, because one connection was found broken and the others probably are as well.
    pub(super) fn distrust_idle(&self) {
        self.0.idle().clear();
    }

    /// Closes what is idle now and what is lent out when it comes back: the server changed its role.
    pub(super) fn distrust_all(&self) {
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        self.distrust_idle();
    }

    /// How the pool stands.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn usage(&self) -> PoolUsage {
        let idle = u32::try_from(self.0.idle().len()).unwrap_or(u32::MAX);
        let settings = &self.0.settings;
        PoolUsage {
            in_use: self.0.in_use.load(Ordering::Relaxed),
            idle,
            limit: settings.pool_size.saturating_add(settings.max_overflow).max(1),
        }
    }

    /// Refuses every later and waiting loan and says goodbye to the server on the idle connections.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for live in idle {
            live.say_goodbye().await;
        }
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Live>> {
        sync::lock(&self.idle)
    }

    /// The most recently used connection, when there is a place for the caller, none waits for one, and it is so
    /// fresh that it needs no ping: nearly always.
    fn at_once(self: &Arc<Self>, stale: Duration) -> Option<Lease> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let now = self.clock.instant();
        let live = self
            .idle()
            .pop_if(|live| now < live.expires && now.saturating_duration_since(live.idle_since) < stale)?;
        Some(self.lend(live, permit, Used::new(&self.in_use)))
    }

    fn lend(self: &Arc<Self>, live: Live, permit: OwnedSemaphorePermit, used: Used) -> Lease {
        Lease {
            live,
            pool: self.clone(),
            _used: used,
            _permit: permit,
        }
    }

    /// The most recently used connection that still lives.
    async fn idle_and_alive(&self, stale: Duration, deadline: &Deadline) -> Option<Live> {
        loop {
            let mut live = self.idle().pop()?;
            let now = self.clock.instant();
            if now >= live.expires {
                continue;
            }
            if now.saturating_duration_since(live.idle_since) < stale {
                return Some(live);
            }
            if matches!(
                tokio::time::timeout(PING.min(deadline.remaining()), live.connection.ping()).await,
                Ok(Ok(()))
            ) {
                return Some(live);
            }
            // One dead connection means a dead server or network: the others would each cost a ping as well.
            self.idle().clear();
        }
    }

    async fn open(self: &Arc<Self>, deadline: &Deadline) -> Result<Live, Failure> {
        let timeout = self.settings.connect_timeout.min(deadline.remaining());
        let counted = Counted::new(&self.open);
        let generation = self.generation.load(Ordering::Relaxed);
        let (connection, pooling) = in_time(timeout, self.connect()).await?;
        self.keep_sweeping();
        let now = self.clock.instant();
        Ok(Live {
            connection,
            pooling,
            expires: now + LIFETIME + rng::jitter(LIFETIME / 10),
            idle_since: now,
            generation,
            _counted: counted,
        })
    }

    async fn connect(&self) -> Result<(PgConnection, Pooling), Failure> {
        if !self.pooled.load(Ordering::Relaxed) {
            match connect(&self.settings, Pooling::Session).await? {
                Found::Ready(connection) => return Ok((connection, Pooling::Session)),
                Found::Pooler => {}
            }
        }
        let connection = connect_through_pooler(&self.settings).await?;
        // Only now: what refused the first attempt may have had another reason.
        if !self.pooled.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a pooler stands between posada and Postgres: every statement runs in a transaction of its own"
            );
        }
        Ok((connection, Pooling::Transaction))
    }

    fn keep_sweeping(self: &Arc<Self>) {
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            let pool = Arc::downgrade(self);
            self.tasks.run_until_closed(sweep(pool));
        }
    }

    /// Takes out what has been idle for too long, the longest idle first, but keeps `pool_size` connections.
    fn superfluous(&self) -> Vec<Live> {
        let now = self.clock.instant();
        let mut surplus = self
            .open
            .load(Ordering::Relaxed)
            .saturating_sub(self.settings.pool_size);
        let mut idle = self.idle();
        let (out, kept) = std::mem::take(&mut *idle).into_iter().partition(|live| {
            let tired = surplus > 0 && now.saturating_duration_since(live.idle_since) >= SURPLUS_IDLE;
            let goes = tired || now >= live.expires;
            surplus -= u32::from(goes && surplus > 0);
            goes
        });
        *idle = kept;
        out
    }
}

impl Live {
    async fn say_goodbye(self) {
        let Self {
            connection, _counted, ..
        } = self;
        let _ = tokio::time::timeout(PING, connection.close()).await;
    }
}

async fn sweep(pool: Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(shared) = pool.upgrade() else { return };
        for live in shared.superfluous() {
            live.say_goodbye().await;
        }
    }
}
