//! Which bytes of a conversation a caller has seen.

use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use crate::hex::hex;

/// The SHA-1 of a stored document. Redis computes the same with `redis.sha1hex`, so a compare-and-set notices any
/// other writer without asking it to keep a counter. It guards against accidents, not against forgery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version([u8; 20]);

impl Version {
    /// The version of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }

    /// Forty lower-case hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Which bytes a session has seen. Their version is found when a write asks for it: many conversations are only read.
#[derive(Clone)]
pub(crate) enum Seen {
    /// The bytes themselves.
    Text(Arc<str>),
    /// Bytes of this version.
    Version(Version),
}

impl Seen {
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Text(text) => Version::of(text.as_bytes()),
            Self::Version(version) => *version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_redis_computes() {
        assert_eq!(
            Version::of(b"abc").hex(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
    }
}
