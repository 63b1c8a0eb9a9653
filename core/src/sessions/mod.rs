//! Conversations: what a guest and the hotel have said so far, shared by every process that talks to the guest.
//!
//! A conversation is a JSON document at `session:{tenant}:{user}` in Redis (or in this process), with a life of
//! 30 minutes after its last write. The Python app reads and writes the same documents, so they keep the app's keys,
//! members, order and spelling, and members that posada does not know are left alone.
//!
//! Promises:
//! * No update is lost. A write replaces exactly the bytes that it was made from, or it is a conflict; that the other
//!   writer is the app makes no difference.
//! * Nothing is overwritten blindly. A read that fails never begins a new conversation, what is not a conversation
//!   is reported and left as it is, and a write never brings a deleted conversation back.
//! * A write whose answer was lost is looked up, not guessed.
//! * One round trip per call in the common case, whatever else is in the database: lists and counts come from an
//!   index per tenant, never from a scan.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> posada::Result<()> {
//! use posada::sessions::{Json, Turn};
//! use posada::{Posada, TenantId};
//!
//! let posada = Posada::embedded();
//! let hotel = TenantId::parse("hotel-test")?;
//! let sessions = posada.sessions();
//!
//! let mut session = sessions.get_or_create(&hotel, "5491112345678", "whatsapp").await?;
//! session.document.set(["context", "last_intent"], "book")?;
//! sessions.save(&mut session).await?; // `sessions.conflict` if another caller wrote
//!
//! let nights = Json::parse(r#"{"context": {"nights": 2}}"#)?;
//! sessions.update(&hotel, "5491112345678", &nights).await?; // re-applied if another caller wrote
//! sessions.append_turn(&hotel, "5491112345678", Turn::new("user", "¿Hay lugar?")).await?;
//! assert_eq!(sessions.count(Some(&hotel)).await?, 1);
//! # Ok(()) }
//! ```

mod document;
mod json;
mod memory;
mod model;
mod options;
mod recent;
mod redis;
mod store;
mod turn;
mod version;
mod writing;

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};

pub use document::Document;
pub use json::{Json, JsonNumber, JsonObject, JsonText};
pub use model::{ActiveSession, Session};
pub use turn::Turn;

pub(crate) use memory::MemorySessions;
pub(crate) use options::SessionOptions;
pub(crate) use redis::RedisSessions;
pub(crate) use store::SessionStore;

use crate::TenantId;
use crate::clock::SharedClock;
use crate::error::Result;
use crate::metrics::SESSION_ACTIVE_TOTAL;
use crate::scope::Scope;
use crate::task::Tasks;
use model::{Address, check_channel};
use store::Replaced;
use version::Version;
use writing::Writer;

/// The conversations of guests: no lost update, and no conversation overwritten because a read failed. Cheap to clone.
///
/// Every call may answer `sessions.invalid_user` for a user id that is empty, longer than 255 bytes or holds control
/// characters. When Redis is down, every call answers `redis.unavailable` or `redis.timeout` within the command
/// timeout of the settings, and nothing was done; a write that was sent and could not be looked up either answers
/// `redis.outcome_unknown`. A key that holds something else than a text is `redis.wrong_type`.
#[derive(Debug, Clone)]
pub struct SessionManager {
    store: Arc<dyn SessionStore>,
    clock: SharedClock,
    tasks: Tasks,
    writer: Arc<Writer>,
    scope: Scope,
}

/// How many conversations are looked at at once, where there are many.
const AT_ONCE: usize = 32;

impl SessionManager {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        clock: SharedClock,
        tasks: Tasks,
        options: SessionOptions,
    ) -> Self {
        let writer = Arc::new(Writer::new(store.clone(), clock.clone(), options));
        Self {
            store,
            clock,
            tasks,
            writer,
            scope: Scope::default(),
        }
    }

    /// The same conversations, of one tenant.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            ..self.clone()
        }
    }

    /// The conversation of a user, begun now if there is none. Any number of callers who begin it at once get the
    /// same one. Reading does not renew its life.
    ///
    /// `channel` (a `Channel`, or a text of 1 to 255 bytes such as `whatsapp`) matters only when the conversation begins.
    ///
    /// Cancel-safe: at worst an empty conversation has begun. A failure never replaces a conversation.
    ///
    /// # Errors
    /// `sessions.invalid_channel`; `sessions.corrupt` when something else is stored there, which stays as it is.
    pub async fn get_or_create<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
        channel: impl AsRef<str>,
    ) -> Result<Session> {
        let (at, channel) = (self.address(tenant.into(), user)?, channel.as_ref());
        check_channel(channel)?;
        let body = Document::begin(user, channel, at.tenant.as_ref(), self.clock.now()).to_text();
        let (stored, is_new) = self.store.create(&at, &body, self.writer.options().ttl).await?;
        let mut session = self.writer.session(&at, &stored)?;
        session.is_new = is_new;
        Ok(session)
    }

    /// The conversation of a user, if there is one. Reading does not renew its life. Cancel-safe read.
    ///
    /// # Errors
    /// `sessions.corrupt` when something else is stored there, which stays as it is.
    pub async fn get<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
    ) -> Result<Option<Session>> {
        let at = self.address(tenant.into(), user)?;
        let stored = self.store.read(&at).await?;
        stored.map(|stored| self.writer.session(&at, &stored)).transpose()
    }

    /// Stores a changed conversation, sets its `last_activity` and renews its life.
    ///
    /// After a success the session can be changed and saved again. After a conflict read it again, or use
    /// [`update`](Self::update), which does that. Detached: it ends although the caller stops waiting, and then the
    /// session in hand is of an older version.
    ///
    /// # Errors
    /// `sessions.conflict` when another caller wrote since it was read; `sessions.gone` when it expired or was deleted
    /// (it is not brought back); `sessions.too_large` beyond 256 KiB; `sessions.invalid_document` when `user_id` or
    /// `tenant_id` was changed, `canal` or `state` removed, or the document is nested too deep.
    pub async fn save(&self, session: &mut Session) -> Result<()> {
        self.scope.admit(session.tenant())?;
        let now = self.clock.now();
        let new = self
            .writer
            .render(&mut session.document, &session.identity, now)?;
        let (writer, at, expected) = (self.writer.clone(), session.at.clone(), session.version());
        let work = async move {
            let outcome = writer.replace("save", &at, expected, &new).await?;
            Ok((outcome, new))
        };
        let (outcome, new) = self.tasks.finish(work).await?;
        match outcome {
            Replaced::Done => {
                // Found here and not before the write: a caller that has its answer has more time than one that waits.
                session.stored(Version::of(new.as_bytes()), now + self.ttl());
                Ok(())
            }
            Replaced::Occupied(_) => Err(writing::conflict(&session.at)),
            Replaced::Missing => Err(writing::gone(&session.at)),
        }
    }

    /// Applies a JSON merge patch (RFC 7396: `null` removes a member, lists are replaced as a whole) to a
    /// conversation, again and again while others write it too, and answers what is stored then. Sets `last_activity`
    /// and renews the life. Detached.
    ///
    /// # Errors
    /// `sessions.gone` when there is no such conversation; `sessions.conflict` when others kept writing for five
    /// seconds; `sessions.too_large`, `sessions.invalid_document` and `sessions.corrupt` as [`save`](Self::save) and
    /// [`get`](Self::get).
    pub async fn update<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
        patch: &Json,
    ) -> Result<Session> {
        let at = self.address(tenant.into(), user)?;
        let (writer, patch) = (self.writer.clone(), patch.clone());
        let work = async move {
            writer
                .apply("update", &at, |document| document.merge(&patch).map(|()| true))
                .await
        };
        self.tasks.finish(work).await
    }

    /// Appends a turn to the list `history` of a conversation and answers what is stored then. The oldest turns go
    /// when there are more than 50 or when they take more than 64 KiB. A turn whose id is there already changes
    /// nothing. Sets `last_activity` and renews the life. Detached.
    ///
    /// # Errors
    /// As [`update`](Self::update); `sessions.too_large` also for a single turn beyond 64 KiB, and
    /// `sessions.invalid_document` when `history` is something else than a list.
    pub async fn append_turn<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
        turn: Turn,
    ) -> Result<Session> {
        let at = self.address(tenant.into(), user)?;
        let (writer, turn) = (self.writer.clone(), turn.written(self.clock.now()));
        let work = async move {
            let options = writer.options();
            writer
                .apply("append_turn", &at, |document| turn.append_to(document, options))
                .await
        };
        self.tasks.finish(work).await
    }

    /// Renews the life of a conversation without writing it; returns whether there is one. Detached.
    ///
    /// # Errors
    /// Those of every call, after which a repeat does no harm; `sessions.corrupt` or `redis.wrong_type` when something
    /// else is stored there, which stays as it is.
    pub async fn touch<'t>(&self, tenant: impl Into<Option<&'t TenantId>>, user: &str) -> Result<bool> {
        let at = self.address(tenant.into(), user)?;
        let (store, ttl) = (self.store.clone(), self.writer.options().ttl);
        self.tasks
            .finish(async move { store.touch(&at, ttl).await })
            .await
    }

    /// Ends a conversation; returns whether there was one. Sessions in hand cannot bring it back. It also removes
    /// what is `sessions.corrupt`. Detached.
    ///
    /// # Errors
    /// Only those of every call.
    pub async fn delete<'t>(&self, tenant: impl Into<Option<&'t TenantId>>, user: &str) -> Result<bool> {
        let at = self.address(tenant.into(), user)?;
        let writer = self.writer.clone();
        self.tasks.finish(async move { writer.delete(&at).await }).await
    }

    /// The live conversations of a tenant (or of none), the first to end first. Cancel-safe read.
    ///
    /// A conversation that only another program has written is listed once posada has met it, and one that another
    /// program deleted until it would have ended.
    ///
    /// # Errors
    /// Only those of every call.
    pub async fn list<'t>(&self, tenant: impl Into<Option<&'t TenantId>>) -> Result<Vec<ActiveSession>> {
        self.tasks.ensure_open()?;
        self.store.list(self.scope.choose(tenant.into())?).await
    }

    /// How many conversations [`list`](Self::list) would name. Cancel-safe read.
    ///
    /// # Errors
    /// Only those of every call.
    pub async fn count<'t>(&self, tenant: impl Into<Option<&'t TenantId>>) -> Result<u64> {
        self.tasks.ensure_open()?;
        self.store.count(self.scope.choose(tenant.into())?).await
    }

    /// Counts the live conversations of all tenants and of none, and shows the sum as the gauge
    /// `session_active_total`. One call per tenant; for a scheduler, not for a request. Cancel-safe read.
    ///
    /// # Errors
    /// Only those of every call.
    pub async fn measure(&self) -> Result<u64> {
        self.tasks.ensure_open()?;
        self.scope.ensure_all()?;
        let tenants = self.store.tenants().await?.into_iter().map(Some).chain([None]);
        let counts: Vec<u64> = stream::iter(tenants)
            .map(|tenant| async move { self.store.count(tenant.as_ref()).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let active: u64 = counts.into_iter().sum();
        metrics::gauge!(SESSION_ACTIVE_TOTAL).set(f64::from(u32::try_from(active).unwrap_or(u32::MAX)));
        Ok(active)
    }

    /// Deletes every conversation of a tenant, also those that only the app has written; returns how many there were.
    /// Detached.
    ///
    /// On one Redis server it walks all keys, so it is for the rare case. A cluster is not walked: there, what only
    /// the app has written ends by itself after its 30 minutes.
    ///
    /// # Errors
    /// Only those of every call; after an error some may be left, and a repeat deletes those.
    pub async fn purge_tenant(&self, tenant: &TenantId) -> Result<u64> {
        self.tasks.ensure_open()?;
        self.scope.admit(Some(tenant))?;
        let (store, tenant) = (self.store.clone(), tenant.clone());
        self.tasks
            .detach(async move { store.purge_tenant(&tenant).await })
            .await
    }

    /// Deletes the conversations of a user with every tenant and with none, found as by
    /// [`purge_tenant`](Self::purge_tenant); returns how many there were. Of a handle that is bound to a tenant, only
    /// the one with that tenant. Detached.
    ///
    /// # Errors
    /// Only those of every call; after an error some may be left, and a repeat deletes those.
    pub async fn purge_user(&self, user: &str) -> Result<u64> {
        let at = self.address(None, user)?;
        if self.scope.tenant().is_some() {
            return Ok(u64::from(self.delete(None, user).await?));
        }
        let store = self.store.clone();
        self.tasks
            .detach(async move { store.purge_user(&at.user).await })
            .await
    }

    fn address(&self, tenant: Option<&TenantId>, user: &str) -> Result<Address> {
        self.tasks.ensure_open()?;
        Address::new(&*self.store, user, self.scope.choose(tenant)?)
    }

    fn ttl(&self) -> TimeDelta {
        TimeDelta::from_std(self.writer.options().ttl).unwrap_or(TimeDelta::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::error::codes;
    use crate::testkit;

    const LIFE: Duration = Duration::from_mins(30);
    const ALMOST: Duration = Duration::from_millis(1_799_999);

    fn in_memory() -> (ManualClock, Tasks, SessionManager) {
        let (clock, tasks) = (ManualClock::at(DateTime::UNIX_EPOCH), Tasks::new());
        let store = Arc::new(MemorySessions::new(clock.shared()));
        let sessions = SessionManager::new(store, clock.shared(), tasks.clone(), SessionOptions::default());
        (clock, tasks, sessions)
    }

    #[tokio::test]
    async fn memory_keeps_every_promise() {
        let (_, _, sessions) = in_memory();
        testkit::sessions::every_promise(&sessions, "memory").await;
    }

    #[tokio::test]
    async fn reading_does_not_renew_a_life_and_writing_and_touching_do() {
        let (clock, _, sessions) = in_memory();
        let mut session = sessions.get_or_create(None, "549", "whatsapp").await.unwrap();
        clock.advance(LIFE / 2);
        let read = sessions.get(None, "549").await.unwrap().unwrap();
        assert_eq!(read.expires(), Some(clock.now() + LIFE / 2));
        sessions.save(&mut session).await.unwrap();
        assert_eq!(session.expires(), Some(clock.now() + LIFE));
        clock.advance(ALMOST);
        assert!(sessions.touch(None, "549").await.unwrap());
        clock.advance(ALMOST);
        assert_eq!(sessions.count(None).await.unwrap(), 1);
        clock.advance(Duration::from_millis(1));
        assert!(sessions.get(None, "549").await.unwrap().is_none());
        assert_eq!(sessions.count(None).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_save_after_the_end_is_gone() {
        let (clock, _, sessions) = in_memory();
        let mut session = sessions.get_or_create(None, "549", "whatsapp").await.unwrap();
        clock.advance(LIFE);
        assert!(
            sessions
                .save(&mut session)
                .await
                .unwrap_err()
                .is(codes::SESSIONS_GONE)
        );
        assert!(
            sessions
                .get_or_create(None, "549", "whatsapp")
                .await
                .unwrap()
                .is_new()
        );
    }

    #[tokio::test]
    async fn a_save_notes_the_moment_of_the_activity() {
        let (clock, _, sessions) = in_memory();
        let mut session = sessions.get_or_create(None, "549", "whatsapp").await.unwrap();
        clock.advance(Duration::from_millis(1500));
        sessions.save(&mut session).await.unwrap();
        let text = session.document.to_text();
        assert!(text.contains(r#""created_at": "1970-01-01T00:00:00+00:00""#));
        assert!(text.contains(r#""last_activity": "1970-01-01T00:00:01.500000+00:00""#));
    }

    #[tokio::test]
    async fn of_two_who_store_the_very_same_text_one_was_second() {
        let (_, _, sessions) = in_memory();
        let mut one = sessions.get_or_create(None, "549", "whatsapp").await.unwrap();
        one.document.set(["visits"], 1).unwrap();
        let mut other = one.clone();
        sessions.save(&mut one).await.unwrap();
        let error = sessions.save(&mut other).await.unwrap_err();
        assert_eq!(other.document, one.document);
        assert!(error.is(codes::SESSIONS_CONFLICT));
    }

    #[tokio::test]
    async fn a_closed_handle_says_so() {
        let (_, tasks, sessions) = in_memory();
        tasks.close(Duration::from_secs(1)).await;
        assert!(
            sessions
                .get(None, "549")
                .await
                .unwrap_err()
                .is(codes::POSADA_CLOSED)
        );
        assert!(
            sessions
                .delete(None, "549")
                .await
                .unwrap_err()
                .is(codes::POSADA_CLOSED)
        );
    }
}
