//! What names one hold to the server, and how it is refused.

use super::store::{HoldSlot, Holder, ResourceKey};
use crate::error::{Code, Error, codes};

/// A hold's place, its id and its owner's token.
pub(super) struct OwnedHold {
    pub(super) key: ResourceKey,
    pub(super) slot: HoldSlot,
    pub(super) id: String,
    pub(super) token: String,
}

impl OwnedHold {
    pub(super) fn session_id(&self) -> Option<&str> {
        match &self.slot.holder {
            Holder::Session(id) => Some(id),
            Holder::Anonymous(_) => None,
        }
    }

    /// A refusal that names this hold.
    pub(super) fn refused(&self, code: Code, message: &str) -> Error {
        Error::new(code, message)
            .with("resource", &self.key.resource)
            .with("stay", self.slot.stay)
            .with("hold", &self.id)
    }

    pub(super) fn gone(&self) -> Error {
        self.refused(codes::LOCKS_LOST, "the hold has ended")
    }

    pub(super) fn not_owner(&self) -> Error {
        self.refused(codes::LOCKS_NOT_OWNER, "the nights are held under another token")
    }
}
