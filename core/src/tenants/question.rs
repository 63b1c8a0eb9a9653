//! A question to the resolver: as the caller spelled it, and as it is understood.

use std::hash::{Hash, Hasher};

use super::TenantId;
use super::channel::{Channel, Hint};
use super::identifier::Identifier;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Identifier(Identifier),
    Tenant(TenantId),
}

impl Target {
    pub(super) fn key(&self) -> String {
        match self {
            Self::Identifier(identifier) => format!("{}:{identifier}", identifier.kind().as_str()),
            Self::Tenant(id) => format!("tenant:{id}"),
        }
    }

    pub(super) fn is_named_by(&self, names: &[String]) -> bool {
        match self {
            Self::Identifier(identifier) => identifier.candidates().iter().any(|own| names.contains(own)),
            Self::Tenant(_) => false,
        }
    }
}

/// How the caller spelled the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Spelling {
    Hinted(Hint),
    Id,
}

/// A question exactly as the caller gave it, borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) spelling: Spelling,
    pub(super) text: &'a str,
}

/// The same, owned. Both hash alike, so that a look-up need not allocate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnedRaw {
    spelling: Spelling,
    text: Box<str>,
}

impl Hash for Raw<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.tag());
        self.text.hash(state);
    }
}

impl<'a> Raw<'a> {
    /// An identifier, as it came in on a channel.
    pub(super) fn identifier(text: &'a str, channel: Option<Channel>) -> Self {
        Self {
            spelling: Spelling::Hinted(Channel::hint(channel)),
            text,
        }
    }

    /// A tenant by its id.
    pub(super) fn id(id: &'a TenantId) -> Self {
        Self {
            spelling: Spelling::Id,
            text: id.as_str(),
        }
    }

    fn tag(&self) -> u8 {
        match self.spelling {
            Spelling::Hinted(Hint::None) => 0,
            Spelling::Hinted(Hint::Phone) => 1,
            Spelling::Hinted(Hint::Host) => 2,
            Spelling::Id => 3,
            Spelling::Hinted(Hint::WhatsApp) => 4,
            Spelling::Hinted(Hint::Voice) => 5,
            Spelling::Hinted(Hint::Account(_)) => 6,
        }
    }

    pub(super) fn to_owned(self) -> OwnedRaw {
        OwnedRaw {
            spelling: self.spelling,
            text: self.text.into(),
        }
    }
}

impl Hash for OwnedRaw {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let raw = Raw {
            spelling: self.spelling,
            text: &self.text,
        };
        raw.hash(state);
    }
}

impl papaya::Equivalent<OwnedRaw> for Raw<'_> {
    fn equivalent(&self, owned: &OwnedRaw) -> bool {
        self.spelling == owned.spelling && *self.text == *owned.text
    }
}
