//! Stay holds: nights that are kept for a guest while she decides.

mod acquire;
mod earlier;
mod engine;
mod hold;
mod memory;
mod model;
mod owned;
mod pending_releases;
mod redis;
mod release;
mod store;
mod sweeper;
mod ticket;

pub(super) use acquire::{hold, hold_all, resume};
pub(super) use engine::HoldEngine;
pub(crate) use engine::HoldRules;
pub use hold::Hold;
pub(crate) use memory::MemoryHolds;
pub use model::{HoldState, Resource, StayHold};
pub(crate) use redis::RedisHolds;
pub(crate) use store::HoldStore;
