//! A hold that was granted.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::earlier;
use super::engine::{HoldEngine, Made};
use super::model::{Resource, StayHold, audit_key};
use super::owned::OwnedHold;
use super::release;
use super::store::{Record, ResourceKey};
use super::ticket::Ticket;
use crate::error::Result;
use crate::locks::model::{AcquireOptions, Release, check_duration};
use crate::settings::Settings;
use crate::stay::Stay;
use crate::sync::lock;
use crate::tenants::TenantId;

/// Nights that are held for a guest.
///
/// Dropping this value does **not** release the hold: a guest thinks for twenty minutes, across many requests and
/// perhaps several processes. The hold ends by [`release`](Self::release) or at
/// [`expires_at`](Self::expires_at). To find it again in another process, ask for the same nights in the same
/// conversation: [`hold_stay`](crate::LockManager::hold_stay) answers the same hold.
pub struct Hold {
    holds: HoldEngine,
    owned: OwnedHold,
    quantity: u32,
    fence: u64,
    term: Mutex<Term>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    /// Until when we may rely on the hold, on our own monotonic clock.
    deadline: Instant,
    expires_at: DateTime<Utc>,
    extensions: u32,
}

impl Hold {
    /// What one extension adds unless the settings say otherwise: 10 minutes.
    pub const EXTENSION: Duration = Settings::DEFAULT_HOLD_EXTENSION;
    /// How often a hold may be extended unless the settings say otherwise: twice.
    pub const MAX_EXTENSIONS: u32 = Settings::DEFAULT_HOLD_MAX_EXTENSIONS;
    /// How long [`confirm`](Self::confirm) may keep a hold alive.
    pub const MAX_CONFIRMATION: Duration = Duration::from_mins(5);

    pub(super) fn new(holds: HoldEngine, key: ResourceKey, made: Made) -> Self {
        let Made {
            record, asked, now, ..
        } = made;
        Self {
            holds,
            term: Mutex::new(Term::of(&record, asked, now)),
            owned: OwnedHold {
                key,
                slot: record.slot,
                id: record.id,
                token: record.token,
            },
            quantity: record.quantity,
            fence: record.fence,
        }
    }

    /// The hold's id, which may be shown.
    pub fn id(&self) -> &str {
        &self.owned.id
    }

    /// The owner's secret: who knows it may extend and release the hold.
    pub fn token(&self) -> &str {
        &self.owned.token
    }

    /// A number that grows with every hold of this resource, also when Redis lost its data in between.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// What is held.
    pub fn resource(&self) -> &Resource {
        &self.owned.key.resource
    }

    /// Whose it is.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.owned.key.tenant.as_ref()
    }

    /// The nights.
    pub fn stay(&self) -> Stay {
        self.owned.slot.stay
    }

    /// The key under which `lock_audit` tells its story.
    pub fn audit_key(&self) -> String {
        audit_key(self.tenant(), self.resource(), self.stay())
    }

    /// Units per night.
    pub fn quantity(&self) -> u32 {
        self.quantity
    }

    /// The conversation.
    pub fn session_id(&self) -> Option<&str> {
        self.owned.session_id()
    }

    /// Everything that another process needs to [resume](crate::LockManager::resume_hold) this hold, as one line of
    /// text. It contains the [token](Self::token), so it is a secret: keep it in the conversation, never show it.
    pub fn ticket(&self) -> String {
        Ticket::of(&self.owned.key, &self.owned.slot, &self.owned.token).to_text()
    }

    /// When it ends unless it is extended, by the server's clock (UTC).
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.term().expires_at
    }

    /// How often it was extended.
    pub fn extensions(&self) -> u32 {
        self.term().extensions
    }

    /// How long we may rely on it, by our own monotonic clock; a little less than the server grants. Zero when it
    /// has ended.
    pub fn remaining(&self) -> Duration {
        self.term()
            .deadline
            .saturating_duration_since(self.holds.instant())
    }

    /// Adds to the time that is left what the setting `POSADA_HOLD_EXTENSION` says ([`EXTENSION`](Self::EXTENSION) by
    /// default), or less when `extra` is given, at most as often as `POSADA_HOLD_MAX_EXTENSIONS` says
    /// ([`MAX_EXTENSIONS`](Self::MAX_EXTENSIONS) by default).
    ///
    /// Repeating a call whose answer was lost does not extend twice. When Redis is down the hold stays as it is.
    /// Cancel-safe: dropping the future may or may not have extended the hold.
    ///
    /// # Errors
    /// `locks.max_extensions` (fact `extensions`); `locks.lost` when it has ended; `locks.not_owner` when the same
    /// conversation holds the nights anew; `locks.invalid_duration` (field `extra`); `redis.*`.
    pub async fn extend(&self, extra: impl Into<Option<Duration>>) -> Result<()> {
        let most = self.holds.extension();
        let extra = extra.into().unwrap_or(most);
        check_duration("extra", extra, AcquireOptions::MIN_TTL, most)?;
        let asked = self.holds.instant();
        let seen = self.extensions();
        let (record, now) = self.holds.extend(&self.owned, extra, seen).await?;
        *self.term() = Term::of(&record, asked, now);
        Ok(())
    }

    /// Moves the hold to other nights, in one step: longer, shorter or elsewhere. Nights that it has already are kept
    /// throughout; each new one must have enough units left of `capacity`. The hold's id, token, fence and end stay,
    /// its [ticket](Self::ticket) changes. A refusal changes nothing.
    ///
    /// When Redis is down the hold stays as it is. Cancel-safe: dropping the future may or may not have moved the
    /// hold; calling it again tells.
    ///
    /// # Errors
    /// `locks.nights_taken` as for a new hold, also when the same conversation has another hold on exactly these
    /// nights; `locks.invalid_quantity` (field `capacity`); `locks.lost` when it has ended; `locks.not_owner`;
    /// `redis.*`.
    pub async fn move_to(&mut self, stay: Stay, capacity: u32) -> Result<()> {
        let request = StayHold {
            tenant: self.owned.key.tenant.clone(),
            session_id: self.owned.session_id().map(str::to_owned),
            quantity: self.quantity,
            capacity,
            ..StayHold::new(self.owned.key.resource.clone(), stay)
        };
        request.check()?;
        self.holds.ensure_kept(&self.owned)?;
        let left = earlier::left_to_move(&self.holds, self.owned.slot.stay, &request).await?;
        let asked = self.holds.instant();
        let (record, now) = self.holds.move_to(&self.owned, &request, left).await?;
        *self.term() = Term::of(&record, asked, now);
        self.owned.slot = record.slot;
        Ok(())
    }

    /// Asks the server whether the hold stands, and keeps it alive for at least `at_least` from now (at most
    /// [`MAX_CONFIRMATION`](Self::MAX_CONFIRMATION)), so that it outlives the booking that begins now. This does not
    /// count as an extension.
    ///
    /// When Redis is down nothing is known about the hold. Cancel-safe.
    ///
    /// # Errors
    /// `locks.lost` when it has ended; `locks.not_owner`; `locks.invalid_duration` (field `at_least`); `redis.*`.
    pub async fn confirm(&self, at_least: Duration) -> Result<()> {
        check_duration("at_least", at_least, Duration::ZERO, Self::MAX_CONFIRMATION)?;
        let asked = self.holds.instant();
        let (record, now) = self.holds.confirm(&self.owned, at_least).await?;
        *self.term() = Term::of(&record, asked, now);
        Ok(())
    }

    /// Gives the nights back. May be repeated; a hold that had expired is no error, the answer says so.
    ///
    /// When Redis is down this fails, and the release goes on in the background: it is repeated until Redis is back, or
    /// until the hold has ended by its time to live. From then on the hold counts as given back: in this process
    /// nothing more can be done with it, and who asks for the same nights in the same conversation gets a new hold.
    /// (Another process finds the old one until Redis has heard of the release, and then loses it.) Cancel-safe:
    /// dropping the future releases in the background, too.
    ///
    /// # Errors
    /// `locks.not_owner` when the same conversation holds the nights anew; `redis.*`: the nights may still be kept, and
    /// are given back as soon as Redis can be asked.
    pub async fn release(&self) -> Result<Release> {
        // It may be confirmed while this is on its way.
        let within = || self.remaining() + Self::MAX_CONFIRMATION;
        release::now(&self.holds, &self.owned, within).await
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        lock(&self.term)
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("id", &self.owned.id)
            .field("resource", &self.owned.key.resource)
            .field("stay", &self.owned.slot.stay)
            .field("quantity", &self.quantity)
            .field("fence", &self.fence)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

impl Term {
    fn of(record: &Record, asked: Instant, now: DateTime<Utc>) -> Self {
        let left = (record.expires_at - now).to_std().unwrap_or_default();
        // A hundredth for the drift of the two clocks, as with locks.
        Self {
            deadline: asked + left.saturating_sub(left / 100),
            expires_at: record.expires_at,
            extensions: record.extensions,
        }
    }
}
