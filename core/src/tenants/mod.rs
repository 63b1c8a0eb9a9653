//! Whose guest is this? [`TenantResolver`] leads a phone number, e-mail address or host name to one tenant.
//!
//! What always holds:
//! * There is no silent default. An unknown identifier is [`Resolution::Unknown`], a suspended tenant is
//!   [`Resolution::Suspended`], and when Postgres does not answer and nothing older is known, it is an error.
//! * All spellings of an identifier lead to the same tenant, also when the row was written by others. When they
//!   lead to two, the answer is [`Resolution::Ambiguous`] and none is guessed.
//! * An answer that was asked for before a change is not kept after it.
//! * Postgres is the only truth. The announcements between processes and the disk carry no authority.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::Posada;
//! use posada::tenants::{Channel, NewTenant, Resolution};
//!
//! let posada = Posada::embedded();
//! let tenants = posada.tenants();
//! let hotel = tenants.create(NewTenant::new("hotel-test", "Hotel Test")?).await?;
//! tenants.add_identifier(&hotel.id, "+54 9 11 1234-5678", Channel::WhatsApp).await?;
//!
//! let found = tenants.resolve("541112345678", Channel::WhatsApp).await?;
//! assert_eq!(found.tenant().map(|tenant| tenant.name.as_str()), Some("Hotel Test"));
//! assert_eq!(tenants.resolve("+34600111222", None).await?, Resolution::Unknown);
//! # Ok(())
//! # }
//! ```

mod account;
mod answer;
mod cache;
mod change;
mod channel;
mod email;
mod gathering;
mod host;
mod id;
mod identifier;
mod invalidation;
mod lookup;
mod memory;
mod meters;
mod model;
mod options;
mod phone;
#[cfg_attr(not(feature = "phone"), path = "no_plan.rs")]
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod question;
mod redis;
mod renumbered;
mod resolution;
mod rows;
mod snapshot;
mod spelling;
mod store;

use std::fmt;
use std::sync::Arc;

pub use change::{NewTenant, TenantUpdate};
pub use channel::Channel;
pub use id::TenantId;
pub use identifier::{Identifier, IdentifierKind};
pub(crate) use invalidation::{Invalidation, LocalInvalidation};
pub(crate) use memory::MemoryTenants;
pub use model::{BusinessHours, Tenant, TenantStatus};
pub(crate) use options::TenantOptions;
pub(crate) use phone::read_numbering_plans;
#[cfg(feature = "postgres")]
pub(crate) use postgres::PostgresTenants;
pub(crate) use redis::RedisInvalidation;
pub use resolution::{Resolution, ResolutionSource};
pub(crate) use store::TenantStore;

use self::lookup::Inner;
use self::question::Raw;
use crate::clock::SharedClock;
use crate::error::{Result, codes};
use crate::scope::{OutOfScope, Scope};
use crate::task::Tasks;

/// Leads identifiers to tenants, from a cache that survives outages of Postgres. Cloning is cheap and shares the
/// cache.
///
/// Answers are fresh for 300 seconds by default and are asked for again a little earlier, in the background, as
/// long as callers want them. While Postgres does not answer, older ones are served up to 24 hours and say so.
/// "Unknown" is believed for 30 seconds. A change through posada reaches the other processes through Redis within
/// milliseconds; while Redis is down, or when others write into the tables, it takes up to 300 seconds.
#[derive(Clone)]
pub struct TenantResolver(Arc<Inner>, Scope);

/// What a resolver has done and holds: for health pages and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStats {
    /// Identifiers and tenants that are cached.
    pub cached: usize,
    /// Texts that are remembered as unknown.
    pub unknown: usize,
    /// How often the store was asked.
    pub lookups: u64,
    /// Grows with every change of a tenant or identifier that this process made or heard of, and with every
    /// [`refresh`](TenantResolver::refresh): a program that keeps a list of tenants reads it again then.
    pub changes: u64,
}

impl TenantResolver {
    pub(crate) fn new(
        store: Arc<dyn TenantStore>,
        invalidation: Arc<dyn Invalidation>,
        clock: SharedClock,
        tasks: Tasks,
        options: TenantOptions,
    ) -> Self {
        let inner = Inner::new(store, invalidation, clock, tasks, options);
        Self(Arc::new(inner), Scope::default())
    }

    /// The same resolver, which tells of one tenant only.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self(self.0.clone(), scope.clone())
    }

    /// Refuses an answer that names another tenant than that of the scope.
    fn admit(&self, resolution: &Resolution) -> Result<(), OutOfScope> {
        match resolution {
            Resolution::Found { tenant, .. } | Resolution::Suspended { tenant } => {
                self.1.admit(Some(&tenant.id))
            }
            Resolution::Unknown => Ok(()),
            Resolution::Ambiguous { .. } => self.1.ensure_all(),
        }
    }

    /// Whose guest a sender is. Cached answers need no server, no lock and no allocation.
    ///
    /// However many callers ask for one identifier at once, Postgres is asked once. While Postgres is down,
    /// identifiers that were seen in the last 24 hours resolve with
    /// [`Stale`](ResolutionSource::Stale) or [`Disk`](ResolutionSource::Disk); a slow Postgres is waited for one
    /// second then. Redis is not needed. Cancel-safe read.
    ///
    /// # Errors
    /// `tenants.invalid_identifier`; `postgres.*` when Postgres fails and nothing older is known; `posada.closed`.
    pub async fn resolve(&self, identifier: &str, channel: impl Into<Option<Channel>>) -> Result<Resolution> {
        let raw = Raw::identifier(identifier, channel.into());
        let resolution = match self.0.hit(raw) {
            Some(hit) => {
                if hit.due {
                    self.0.refresh_ahead(raw);
                }
                hit.resolution
            }
            None => self.0.ask(raw).await?,
        };
        self.admit(&resolution)?;
        Ok(resolution)
    }

    /// What [`resolve`](Self::resolve) would answer at once, or `None` when it has something to do: ask Postgres,
    /// or begin a refresh in the background. Never waits; needs no runtime.
    pub fn cached(&self, identifier: &str, channel: impl Into<Option<Channel>>) -> Option<Resolution> {
        let hit = self.0.hit(Raw::identifier(identifier, channel.into()))?;
        (!hit.due && self.admit(&hit.resolution).is_ok()).then_some(hit.resolution)
    }

    /// What memory holds of an identifier in any of its spellings, however old within the stale limit, and also when a
    /// change has made it wrong: as [`Stale`](ResolutionSource::Stale) then, until something newer is known. `None`
    /// when nothing is known or the text is no identifier. For callers that cannot wait: begin a
    /// [`resolve`](Self::resolve) beside it to learn more. Never waits; needs no runtime.
    pub fn remembered(&self, identifier: &str, channel: impl Into<Option<Channel>>) -> Option<Resolution> {
        let held = self.0.remembered(Raw::identifier(identifier, channel.into()))?;
        self.admit(&held).is_ok().then_some(held)
    }

    /// Resolves many identifiers of one channel, with one statement for every 500 that are not cached. One
    /// answer for each, in their order. Outages as in [`resolve`](Self::resolve). Cancel-safe read.
    pub async fn resolve_many<T: AsRef<str>>(
        &self,
        identifiers: &[T],
        channel: impl Into<Option<Channel>>,
    ) -> Vec<Result<Resolution>> {
        let channel = channel.into();
        let raws: Vec<_> = identifiers
            .iter()
            .map(|identifier| Raw::identifier(identifier.as_ref(), channel))
            .collect();
        let answers = self.0.ask_many(&raws, false).await.into_iter();
        answers
            .map(|answer| answer.and_then(|found| Ok(self.admit(&found).map(|()| found)?)))
            .collect()
    }

    /// A tenant by its id, whatever its status; `None` when there is none. Cached like identifiers are, and
    /// served while Postgres is down like them. Cancel-safe read.
    ///
    /// # Errors
    /// `postgres.*` when Postgres fails and nothing older is known; `posada.closed`.
    pub async fn get(&self, id: &TenantId) -> Result<Option<Arc<Tenant>>> {
        self.1.admit(Some(id))?;
        self.0.tenant(Raw::id(id)).await
    }

    /// All tenants, by id, whatever their status. Always asks Postgres. Cancel-safe read.
    ///
    /// # Errors
    /// `postgres.*`; `posada.closed`.
    pub async fn list(&self) -> Result<Vec<Tenant>> {
        self.0.tasks.ensure_open()?;
        self.1.ensure_all()?;
        let tenants = self.0.store.list().await?;
        self.0.count_tenants(&tenants);
        Ok(tenants)
    }

    /// Creates a tenant. Detached: it happens although the caller goes away.
    ///
    /// # Errors
    /// `tenants.exists`; `postgres.*`, of which `postgres.outcome_unknown` leaves open whether it happened.
    pub async fn create(&self, tenant: NewTenant) -> Result<Tenant> {
        self.1.ensure_all()?;
        let (store, now, id) = (self.0.store.clone(), self.0.clock.now(), tenant.id.clone());
        self.0
            .write(&id, None, async move { store.insert(&tenant, now).await })
            .await
    }

    /// Changes a tenant, and returns its new state. Detached.
    ///
    /// # Errors
    /// `tenants.not_found`; `postgres.*`, of which `postgres.outcome_unknown` leaves open whether it happened.
    pub async fn update(&self, id: &TenantId, update: TenantUpdate) -> Result<Tenant> {
        self.1.admit(Some(id))?;
        let (store, now, tenant) = (self.0.store.clone(), self.0.clock.now(), id.clone());
        self.0
            .write(id, None, async move { store.update(&tenant, &update, now).await })
            .await
    }

    /// Makes a tenant inactive: its identifiers resolve to [`Resolution::Suspended`] from then on. The app knows
    /// the status as `inactive`. Detached; errors as [`update`](Self::update).
    pub async fn suspend(&self, id: &TenantId) -> Result<Tenant> {
        self.update(id, TenantUpdate::new().status(TenantStatus::Inactive))
            .await
    }

    /// Gives a tenant an identifier, in its canonical spelling, which is answered. Host patterns such as
    /// `*.example.com` are identifiers too. Does nothing when the tenant has it in any spelling. Detached.
    ///
    /// # Errors
    /// `tenants.invalid_identifier`, `tenants.not_found`; `tenants.identifier_taken` when it belongs to another
    /// tenant in any spelling; `postgres.*`, of which `postgres.outcome_unknown` leaves open whether it happened.
    pub async fn add_identifier(
        &self,
        id: &TenantId,
        identifier: &str,
        channel: impl Into<Option<Channel>>,
    ) -> Result<Identifier> {
        self.1.admit(Some(id))?;
        let identifier = Identifier::parse(identifier, channel.into())?;
        let (store, now, tenant, added) = (
            self.0.store.clone(),
            self.0.clock.now(),
            id.clone(),
            identifier.clone(),
        );
        let work = async move { store.add_identifier(&tenant, &added, now).await };
        match self.0.write(id, Some(&identifier), work).await {
            Ok(()) => Ok(identifier),
            // Whose it is, is none of the scope's business.
            Err(error) if self.1.tenant().is_some() && error.is(codes::TENANTS_IDENTIFIER_TAKEN) => {
                Err(store::identifier_taken(None))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes an identifier away from a tenant, in all its spellings. Detached.
    ///
    /// # Errors
    /// `tenants.invalid_identifier`, `tenants.not_found`, `tenants.identifier_not_found`; `postgres.*`, of which
    /// `postgres.outcome_unknown` leaves open whether it happened.
    pub async fn remove_identifier(
        &self,
        id: &TenantId,
        identifier: &str,
        channel: impl Into<Option<Channel>>,
    ) -> Result<()> {
        self.1.admit(Some(id))?;
        let identifier = Identifier::parse(identifier, channel.into())?;
        let (store, tenant, removed) = (self.0.store.clone(), id.clone(), identifier.clone());
        let work = async move { store.remove_identifier(&tenant, &removed).await };
        self.0.write(id, Some(&identifier), work).await
    }

    /// Asks Postgres again for everything that is cached, and returns how many identifiers that were. For after
    /// changes that others made in the tables. When Postgres fails, what is cached stays and is served as stale.
    /// Cancel-safe: what was not asked yet is asked when a caller wants it.
    ///
    /// # Errors
    /// `postgres.*`; `posada.closed`.
    pub async fn refresh(&self) -> Result<usize> {
        self.1.ensure_all()?;
        self.0.refresh().await
    }

    /// Fills the cache with up to `limit` identifiers, so that the first guests after a start do not wait and an
    /// outage finds them known. Returns how many were filled in. Cancel-safe.
    ///
    /// # Errors
    /// `postgres.*`; `posada.closed`.
    pub async fn warm(&self, limit: usize) -> Result<usize> {
        self.1.ensure_all()?;
        self.0.warm(limit).await
    }

    /// Whether there are hotels whose guests resolve without the store. Reads the snapshot, if that was not done yet.
    pub(crate) async fn knows_some(&self) -> bool {
        // A closed resolver knows what it knew.
        let _ = self.0.start().await;
        self.stats().cached > 0
    }

    /// What the resolver holds and did.
    pub fn stats(&self) -> TenantStats {
        let (cached, unknown) = self.0.cache.sizes();
        TenantStats {
            cached,
            unknown,
            lookups: self.0.meters.lookups(),
            changes: self.0.cache.changes(),
        }
    }
}

impl fmt::Debug for TenantResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantResolver").field(&self.stats()).finish()
    }
}

#[cfg(test)]
mod burst;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;
