//! How a document is written so that no update is lost, not even one whose answer was.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::document::{Document, Identity};
use super::model::{Address, Session};
use super::options::SessionOptions;
use super::store::{Replaced, Replacement, SessionStore, Stored};
use super::version::Version;
use crate::clock::SharedClock;
use crate::error::{Error, Kind, Result, codes};
use crate::metrics::{SESSION_CONFLICTS_TOTAL, SESSION_SAVE_RETRIES_TOTAL};
use crate::rng;

/// Longest pause between two attempts of an update.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);
/// Most attempts of an update, for the case that its clock stands still.
const MOST_ATTEMPTS: u32 = 1000;

/// The writing half of the service, which detached tasks share.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<dyn SessionStore>,
    clock: SharedClock,
    options: SessionOptions,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn SessionStore>, clock: SharedClock, options: SessionOptions) -> Self {
        Self {
            store,
            clock,
            options,
        }
    }

    pub(crate) fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// What is stored, as a session.
    pub(crate) fn session(&self, at: &Address, stored: &Stored) -> Result<Session> {
        let expires = stored.time_to_live.map(|left| self.after(left));
        Session::read(at, &stored.body, expires)
    }

    /// The text of a changed document, if it may be stored.
    pub(crate) fn render(
        &self,
        document: &mut Document,
        identity: &Identity,
        now: DateTime<Utc>,
    ) -> Result<String> {
        identity.check(document)?;
        document.mark_active(now);
        let body = document.to_text();
        let limit = self.options.max_bytes;
        if body.len() > limit {
            let size = body.len();
            return Err(Error::field_invalid(
                codes::SESSIONS_TOO_LARGE,
                "document",
                "is larger than the limit",
            )
            .with("bytes", size)
            .with("limit", limit));
        }
        Ok(body)
    }

    /// Replaces what is stored, and finds out how it ended when the answer was lost.
    pub(crate) async fn replace(
        &self,
        operation: &'static str,
        at: &Address,
        expected: Version,
        new: &str,
    ) -> Result<Replaced> {
        let mut replacement = Replacement {
            expected,
            new,
            ttl: self.options.ttl,
            is_repeat: false,
        };
        let lost = match self.store.replace(at, replacement).await {
            // The write may have been done: what is stored now decides.
            Err(lost) if lost.kind() == Kind::Ambiguous => lost,
            outcome => return outcome,
        };
        count_retry(operation, "retry");
        let outcome = match self.store.read(at).await {
            Err(_) => Err(lost),
            Ok(None) => Ok(Replaced::Missing),
            Ok(Some(stored)) => match Version::of(&stored.body) {
                version if version == Version::of(new.as_bytes()) => Ok(Replaced::Done),
                // Not done so far. It may still be on its way, so the repetition is marked: the store takes the text that is
                // new already for its own.
                version if version == expected => {
                    replacement.is_repeat = true;
                    self.store.replace(at, replacement).await
                }
                _ => Ok(Replaced::Occupied(stored)),
            },
        };
        count_retry(operation, if outcome.is_ok() { "success" } else { "failed" });
        outcome
    }

    /// Reads, edits and replaces, again while others write too. `edit` answers whether there is something to write;
    /// it must give the same result when it meets its own earlier work, because an answer may have been lost.
    pub(crate) async fn apply(
        &self,
        operation: &'static str,
        at: &Address,
        edit: impl Fn(&mut Document) -> Result<bool> + Send + Sync,
    ) -> Result<Session> {
        let deadline = self.clock.instant() + self.options.longest_wait;
        let mut stored = self.store.read(at).await?.ok_or_else(|| gone(at))?;
        // Optimistic: nothing is locked while `edit` runs, and a writer that dies holds up no other.
        for attempt in 0..MOST_ATTEMPTS {
            let mut session = self.session(at, &stored)?;
            if !edit(&mut session.document)? {
                return Ok(session);
            }
            let now = self.clock.now();
            let new = self.render(&mut session.document, &session.identity, now)?;
            match self.replace(operation, at, session.version(), &new).await? {
                Replaced::Done => {
                    session.stored(Version::of(new.as_bytes()), self.after(self.options.ttl));
                    return Ok(session);
                }
                Replaced::Missing => return Err(gone(at)),
                Replaced::Occupied(other) => stored = other,
            }
            metrics::counter!(SESSION_CONFLICTS_TOTAL, "operation" => operation).increment(1);
            if self.clock.instant() >= deadline {
                break;
            }
            tokio::time::sleep(rng::jitter(pause(attempt))).await;
        }
        Err(conflict(at))
    }

    /// Removes a conversation, and finds out whether it is gone when the answer was lost.
    pub(crate) async fn delete(&self, at: &Address) -> Result<bool> {
        let lost = match self.store.delete(at).await {
            Err(lost) if lost.kind() == Kind::Ambiguous => lost,
            outcome => return outcome,
        };
        match self.store.read(at).await {
            Err(_) => Err(lost),
            Ok(None) => Ok(true),
            Ok(Some(_)) => self.store.delete(at).await,
        }
    }

    fn after(&self, left: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(left).unwrap_or(TimeDelta::days(36_500))
    }
}

/// None at first: the other writer is usually done. Then up to 1, 2, 4 … 32 ms.
fn pause(attempt: u32) -> Duration {
    match attempt {
        0 => Duration::ZERO,
        _ => LONGEST_PAUSE.min(Duration::from_millis(1 << attempt.min(10))),
    }
}

fn count_retry(operation: &'static str, result: &'static str) {
    metrics::counter!(SESSION_SAVE_RETRIES_TOTAL, "operation" => operation, "result" => result).increment(1);
}

/// Another caller wrote.
pub(crate) fn conflict(at: &Address) -> Error {
    Error::new(
        codes::SESSIONS_CONFLICT,
        "another caller wrote the conversation since it was read",
    )
    .with("key", at.shown())
}

/// There is nothing to write to.
pub(crate) fn gone(at: &Address) -> Error {
    Error::new(
        codes::SESSIONS_GONE,
        "there is no such conversation: it ended, was deleted or never began",
    )
    .with("key", at.shown())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::TenantId;
    use crate::clock::ManualClock;
    use crate::sessions::MemorySessions;
    use crate::sessions::model::ActiveSession;
    use crate::sessions::turn::Turn;

    /// What happens to the next replacement.
    #[derive(Debug, Clone, Copy)]
    enum StoreFault {
        /// Done, but the answer is lost.
        AnswerLost,
        /// Not done, and the caller cannot know.
        RequestLost,
        /// Another caller writes first.
        Overtaken,
        /// Done, overtaken by another caller that keeps what we wrote, and the answer is lost.
        AnswerLostThenOvertaken,
        /// Not done, and the store does not answer any more.
        Silence,
    }

    #[derive(Debug)]
    struct FaultyStore {
        real: MemorySessions,
        fates: Mutex<VecDeque<StoreFault>>,
        silent: Mutex<bool>,
    }

    impl FaultyStore {
        async fn somebody_else_writes(&self, at: &Address) {
            let stored = self.real.read(at).await.unwrap().unwrap();
            let mut document = Document::parse(&stored.body).unwrap();
            let turns = document.at(["others"]).and_then(super::super::Json::as_i64);
            document.set(["others"], turns.unwrap_or(0) + 1).unwrap();
            let replacement = Replacement {
                expected: Version::of(&stored.body),
                new: &document.to_text(),
                ttl: Duration::from_mins(1),
                is_repeat: false,
            };
            let replaced = self.real.replace(at, replacement).await;
            assert!(matches!(replaced, Ok(Replaced::Done)));
        }
    }

    fn lost() -> Error {
        Error::new(codes::REDIS_OUTCOME_UNKNOWN, "lost")
    }

    #[async_trait]
    impl SessionStore for FaultyStore {
        fn key(&self, user: &str, tenant: Option<&TenantId>) -> String {
            self.real.key(user, tenant)
        }

        async fn read(&self, at: &Address) -> Result<Option<Stored>> {
            if *self.silent.lock().unwrap() {
                return Err(Error::new(codes::REDIS_TIMEOUT, "silence"));
            }
            self.real.read(at).await
        }

        async fn create(&self, at: &Address, body: &str, ttl: Duration) -> Result<(Stored, bool)> {
            self.real.create(at, body, ttl).await
        }

        async fn replace(&self, at: &Address, replacement: Replacement<'_>) -> Result<Replaced> {
            let fate = self.fates.lock().unwrap().pop_front();
            match fate {
                None => self.real.replace(at, replacement).await,
                Some(StoreFault::RequestLost) => Err(lost()),
                Some(StoreFault::AnswerLost) => {
                    self.real.replace(at, replacement).await?;
                    Err(lost())
                }
                Some(StoreFault::AnswerLostThenOvertaken) => {
                    self.real.replace(at, replacement).await?;
                    self.somebody_else_writes(at).await;
                    Err(lost())
                }
                Some(StoreFault::Overtaken) => {
                    self.somebody_else_writes(at).await;
                    self.real.replace(at, replacement).await
                }
                Some(StoreFault::Silence) => {
                    *self.silent.lock().unwrap() = true;
                    Err(lost())
                }
            }
        }

        async fn touch(&self, at: &Address, ttl: Duration) -> Result<bool> {
            self.real.touch(at, ttl).await
        }

        async fn delete(&self, at: &Address) -> Result<bool> {
            self.real.delete(at).await?;
            Err(lost())
        }

        async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<ActiveSession>> {
            self.real.list(tenant).await
        }

        async fn count(&self, tenant: Option<&TenantId>) -> Result<u64> {
            self.real.count(tenant).await
        }

        async fn purge_tenant(&self, tenant: &TenantId) -> Result<u64> {
            self.real.purge_tenant(tenant).await
        }

        async fn purge_user(&self, user: &str) -> Result<u64> {
            self.real.purge_user(user).await
        }

        async fn tenants(&self) -> Result<Vec<TenantId>> {
            self.real.tenants().await
        }
    }

    async fn writer(fates: impl IntoIterator<Item = StoreFault>) -> (Writer, Address) {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH).shared();
        let store = FaultyStore {
            real: MemorySessions::new(clock.clone()),
            fates: Mutex::new(fates.into_iter().collect()),
            silent: Mutex::new(false),
        };
        let at = Address::new(&store, "549", None).unwrap();
        let body = Document::begin("549", "whatsapp", None, clock.now()).to_text();
        store.create(&at, &body, Duration::from_mins(1)).await.unwrap();
        (Writer::new(Arc::new(store), clock, SessionOptions::default()), at)
    }

    async fn save(writer: &Writer, at: &Address) -> Result<Replaced> {
        let stored = writer.store.read(at).await.unwrap().unwrap();
        let mut session = writer.session(at, &stored).unwrap();
        session.document.set_state("booking");
        let now = writer.clock.now();
        let new = writer
            .render(&mut session.document, &session.identity, now)
            .unwrap();
        writer.replace("save", at, session.version(), &new).await
    }

    async fn append(writer: &Writer, at: &Address) -> Result<Session> {
        let turn = Turn::new("user", "hola").written(writer.clock.now());
        writer
            .apply("append_turn", at, |document| {
                turn.append_to(document, &writer.options)
            })
            .await
    }

    #[tokio::test]
    async fn a_save_whose_answer_was_lost_is_a_success() {
        let (writer, at) = writer([StoreFault::AnswerLost]).await;
        assert!(matches!(save(&writer, &at).await, Ok(Replaced::Done)));
    }

    #[tokio::test]
    async fn a_save_that_was_lost_is_sent_again() {
        let (writer, at) = writer([StoreFault::RequestLost]).await;
        assert!(matches!(save(&writer, &at).await, Ok(Replaced::Done)));
        let stored = writer.store.read(&at).await.unwrap().unwrap();
        assert_eq!(Document::parse(stored.body).unwrap().state(), Some("booking"));
    }

    #[tokio::test]
    async fn a_save_that_was_lost_twice_is_unknown() {
        let (writer, at) = writer([StoreFault::RequestLost, StoreFault::RequestLost]).await;
        let error = save(&writer, &at).await.unwrap_err();
        assert!(error.is(codes::REDIS_OUTCOME_UNKNOWN));
    }

    #[tokio::test]
    async fn a_save_that_cannot_be_looked_up_is_unknown() {
        let (writer, at) = writer([StoreFault::Silence]).await;
        let error = save(&writer, &at).await.unwrap_err();
        assert!(error.is(codes::REDIS_OUTCOME_UNKNOWN));
    }

    #[tokio::test]
    async fn an_overtaken_save_is_occupied() {
        let (writer, at) = writer([StoreFault::Overtaken]).await;
        assert!(matches!(save(&writer, &at).await, Ok(Replaced::Occupied(_))));
    }

    #[tokio::test]
    async fn a_turn_is_appended_once_whatever_happens_to_the_answers() {
        for fates in [
            vec![StoreFault::AnswerLost],
            vec![StoreFault::RequestLost],
            vec![StoreFault::Overtaken, StoreFault::AnswerLost],
            vec![StoreFault::AnswerLostThenOvertaken],
            vec![
                StoreFault::Overtaken,
                StoreFault::Overtaken,
                StoreFault::AnswerLostThenOvertaken,
            ],
        ] {
            let (writer, at) = writer(fates.clone()).await;
            let session = append(&writer, &at).await.unwrap();
            assert_eq!(session.document.history().unwrap().len(), 1, "{fates:?}");
            let stored = writer.store.read(&at).await.unwrap().unwrap();
            assert_eq!(
                Document::parse(stored.body).unwrap(),
                session.document,
                "{fates:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_update_keeps_what_others_wrote_meanwhile() {
        let (writer, at) = writer([StoreFault::Overtaken; 20]).await;
        let session = append(&writer, &at).await.unwrap();
        let others = session.document.get("others").unwrap().as_i64();
        assert_eq!((others, session.document.history().unwrap().len()), (Some(20), 1));
    }

    #[tokio::test]
    async fn a_deletion_whose_answer_was_lost_is_looked_up() {
        let (writer, at) = writer([]).await;
        assert!(writer.delete(&at).await.unwrap());
    }
}
