//! The port of stay holds: what the service needs from a server.
//!
//! # Where the rule stands that holds do not overlap
//!
//! No night of a resource is given out beyond its capacity, and with a capacity of one no two holds share a night.
//!
//! * **On Redis** the rule is the loop over the nights in `hold.lua`: it adds the units that each night has (`n` and
//!   the day in the hold table, see `layout.lua`) and those that are asked for, and refuses with `taken` when the sum
//!   is above the capacity. `move.lua` has the same loop for the nights that a move adds. `hold_free.lua` is the case
//!   of `hold.lua` in which every night is free, and `hold_all.lua` calls `hold.lua` for each request and undoes all on
//!   a refusal. No other script adds units.
//! * **In memory** it is `HoldTable::hold` and `HoldTable::move_to` in `memory.rs`, the executable specification.
//! * **Why it is atomic**: Redis runs one script at a time, both keys of a resource live in one slot (`keys::holds`),
//!   and the counts and the record are written by the script that compared them. In memory all of it is under one
//!   mutex.
//! * **Why counts and records agree**: every script but the common cases begins with `take_expired`, which takes the
//!   units of ended holds back and mends a table of which a server has evicted a key.
//! * **Tests that play it**: `testkit/holds_walk.rs` compares both adapters with a plain count of units per night, over
//!   random steps; `testkit/holds.rs` is the suite of examples; `tests/conformance/fast_paths.rs` plays each common
//!   case through the whole script; `tests/conformance/hold_sets.rs` asks for several at once on real servers, also for
//!   callers who go away.
//!
//! Every operation is one indivisible step, keyed by a token that the caller chose, and may be repeated without
//! harm. A step first takes out the holds of that resource whose time has passed, and reports each of them once.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use super::model::Resource;
use crate::error::Result;
use crate::locks::model::Release;
use crate::stay::Stay;
use crate::tenants::TenantId;

/// Most live holds of one resource.
pub(crate) const MAX_HOLDS: usize = 10_000;

/// Whose nights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResourceKey {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) resource: Resource,
}

/// What makes two requests the same: the nights, and the conversation or, without one, the hold's own id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HoldSlot {
    pub(crate) stay: Stay,
    pub(crate) holder: Holder,
}

/// Who holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Holder {
    Session(String),
    Anonymous(String),
}

/// A request for nights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldRequest<'a> {
    pub(crate) key: &'a ResourceKey,
    pub(crate) slot: &'a HoldSlot,
    pub(crate) id: &'a str,
    pub(crate) token: &'a str,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) quantity: u32,
    pub(crate) capacity: u32,
    pub(crate) ttl: Duration,
}

/// A hold, live or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) slot: HoldSlot,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) user_id: Option<String>,
    pub(crate) quantity: u32,
    pub(crate) fence: u64,
    pub(crate) acquired_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) extensions: u32,
}

/// The answer to a request for nights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HoldOutcome {
    /// The nights are held now.
    New(Record),
    /// They were held already for the same conversation; with another quantity, that was changed.
    Same(Record),
    /// Some nights have too few units left.
    Taken(Shortage),
    /// The resource has [`MAX_HOLDS`] live holds.
    Full,
}

/// Nights with too few units left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) nights: Vec<NaiveDate>,
    /// The earliest moment at which a hold on one of these nights ends; none if none does (the capacity itself became
    /// too small).
    pub(crate) frees_at: Option<DateTime<Utc>>,
    /// A hold of the same conversation, if no other holder is in the way: without its own holds there were room.
    pub(crate) own: Option<Box<Record>>,
}

/// The answer to a change of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    /// The hold as it is now.
    Done(Record),
    /// A repeated request: it was done before.
    Already(Record),
    /// It was extended as often as it may be.
    MaxExtensions(Record),
    /// It has ended.
    Gone,
    /// The nights are held under another token.
    NotOwner,
}

/// The answer to a request for other nights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The hold is on the other nights now, with the same id, token, fence and end.
    Done(Record),
    /// Some nights have too few units left; nothing was changed.
    Taken(Shortage),
    /// The same conversation has a hold on exactly these nights.
    Occupied,
    /// It has ended.
    Gone,
    /// The nights are held under another token.
    NotOwner,
}

/// The answer to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What became of it; the record is there when this very call ended it.
    Done(Release, Option<Record>),
    /// The nights are held under another token.
    NotOwner,
}

/// A longer life for a hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prolong {
    pub(crate) extra: Duration,
    /// How often it may be extended in all.
    pub(crate) limit: u32,
    /// How often it had been extended when the caller last saw it: tells a repeated request from a second one.
    pub(crate) seen: u32,
}

/// An answer, the holds that were found ended, and the server's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step<T> {
    pub(crate) answer: T,
    pub(crate) expired: Vec<Record>,
    pub(crate) now: DateTime<Utc>,
}

/// A server of stay holds.
#[async_trait]
pub(crate) trait HoldStore: Send + Sync + 'static {
    /// Holds the nights if every one of them has enough units left.
    async fn hold(&self, request: HoldRequest<'_>) -> Result<Step<HoldOutcome>>;

    /// Whether holds of these resources can be made in one step.
    fn share_a_step(&self, keys: &[&ResourceKey]) -> bool;

    /// Makes holds in one step, in this order: all of them or none. Returns one by one up to the first that is
    /// refused; then those before it were undone, quantities that had been changed included.
    async fn hold_together(&self, requests: &[HoldRequest<'_>]) -> Result<Vec<Step<HoldOutcome>>>;

    /// Prolongs a hold.
    async fn extend(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        prolong: Prolong,
    ) -> Result<Step<Changed>>;

    /// Makes sure that a hold lives at least `at_least` from now, without counting it as an extension.
    async fn confirm(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        at_least: Duration,
    ) -> Result<Step<Changed>>;

    /// Moves a hold to other nights if every added one has enough units left.
    async fn move_to(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        stay: Stay,
        capacity: u32,
    ) -> Result<Step<Moved>>;

    /// Ends a hold.
    async fn release(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> Result<Step<Ended>>;

    /// The live holds, by their end.
    async fn list(&self, key: &ResourceKey) -> Result<Step<Vec<Record>>>;

    /// Only takes out the holds whose time has passed; returns when the next one ends.
    async fn sweep(&self, key: &ResourceKey) -> Result<Step<Option<DateTime<Utc>>>>;
}
